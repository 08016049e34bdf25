// SPDX-License-Identifier: Apache-2.0

// scattered does a given amount of work and ends: serve calls six functions, whose time is in maps, strings, slices and
// fmt, so that Go's runtime and library have most of it, a little in each of many functions. -dearer makes handle, which
// has a tenth of the time, do that many times as much.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
)

type record struct {
	id    int
	words []string
	index map[string]int
}

var (
	sink *record
	text = strings.Repeat("the quick brown fox jumps over the lazy dog ", 4)
)

// Every kind of work that the runtime does for a program.
func mixed(r *record, n int) {
	for i := 0; i < n; i++ {
		words := strings.Fields(text)
		for _, w := range words {
			r.index[w] += len(w)
		}
		r.words = append(r.words[:0], words...)
		r.id += len(fmt.Sprint(r.id, i)) + len(strings.ToUpper(text))
		if r.id%64 == 0 {
			r.index = make(map[string]int)
		}
		var any interface{} = r.words
		if list, ok := any.([]string); ok {
			r.id += len(strings.Join(list, " "))
		}
	}
	sink = r
}

func fresh() *record {
	return &record{index: make(map[string]int)}
}

//go:noinline
func handle(n int) { mixed(fresh(), n) }

//go:noinline
func decode(n int) { mixed(fresh(), n) }

//go:noinline
func encode(n int) { mixed(fresh(), n) }

//go:noinline
func store(n int) { mixed(fresh(), n) }

//go:noinline
func load(n int) { mixed(fresh(), n) }

//go:noinline
func expire(n int) { mixed(fresh(), n) }

//go:noinline
func serve(n int, dearer float64) {
	decode(n * 25 / 100)
	handle(int(float64(n) * dearer * 10 / 100))
	store(n * 20 / 100)
	load(n * 20 / 100)
	expire(n * 10 / 100)
	encode(n * 15 / 100)
}

func main() {
	work := flag.Int("work", 100, "rounds")
	dearer := flag.Float64("dearer", 1, "how much more handle does")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	for i := 0; i < *work; i++ {
		serve(1000, *dearer)
	}
}

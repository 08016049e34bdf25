// SPDX-License-Identifier: Apache-2.0

// fixed_work does a given amount of work and ends: five functions that take 40, 25, 15, 10 and 10
// per cent of it, and allocate in proportion. -slow makes `parse`, one of 10 per cent, take that
// many times as long; -alloc makes it allocate that many times as much.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

var sink uint64
var kept [64][]byte

//go:noinline
func spin(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

// The work is in the function itself, so that it is its own.
//
//go:noinline
func read(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

//go:noinline
func parse(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

//go:noinline
func sort(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

//go:noinline
func render(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

//go:noinline
func allocParse(n int) {
	for i := 0; i < n; i++ {
		kept[i%64] = make([]byte, 1024)
	}
}

//go:noinline
func allocRender(n int) {
	for i := 0; i < n; i++ {
		kept[i%64] = make([]byte, 512)
	}
}

func main() {
	work := flag.Int("work", 1000, "million steps")
	slow := flag.Float64("slow", 1, "how much longer parse takes")
	alloc := flag.Float64("alloc", 1, "how much more parse allocates")
	heap := flag.String("allocs", "", "write the profile of allocations there")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	step := *work * 10000
	for i := 0; i < 100; i++ {
		spin(step * 40 / 100)
		read(step * 25 / 100)
		sort(step * 15 / 100)
		parse(int(float64(step) * *slow * 10 / 100))
		render(step * 10 / 100)
		if *heap != "" {
			allocParse(int(4000 * *alloc))
			allocRender(20000)
		}
	}
	if *heap != "" {
		f, err := os.Create(*heap)
		if err == nil {
			err = pprof.Lookup("allocs").WriteTo(f, 0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		f.Close()
	}
}

// SPDX-License-Identifier: Apache-2.0

// labels spins under pprof labels: tenant=red for two parts of the time, tenant=blue for one, and no label for one.
//
// With -odd it spins under sets of labels that are no names: too long, with bytes that are no text, too many. A goroutine
// of each set waits, too. "test" names the set.
package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"

	"prowltest/ctl"
)

const unit = 1_000_000

var (
	red   = ctl.NewPhase("tenant=red")
	blue  = ctl.NewPhase("tenant=blue")
	plain = ctl.NewPhase("")
	sink  uint64
)

//go:noinline
func work(p *ctl.Phase, ns int64) {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < ns {
		for i := uint64(0); i < 50_000; i++ {
			sink = sink*6364136223846793005 + i
		}
	}
	p.Add(t)
}

func oddSets() [][]string {
	many := []string{"test", "many"}
	for i := 0; i < 100; i++ {
		many = append(many, fmt.Sprintf("k%02d", i*37%100), "v")
	}
	long := strings.Repeat("\xe2\x82\xac", 500)
	return [][]string{
		{"test", "plain", "sql", "select"},
		{"test", "long", "sql", long, "zone", "a"},
		{"test", "longer", "sql", strings.Repeat(long, 50), "zone", "a"},
		{"test", "longkey", strings.Repeat("k", 1000), "v", "zone", "a"},
		{"test", "nul", "sql", "a\x00z", "zone", "a"},
		{"test", "notext", "sql", "digest\x80\xff", "zone", "a"},
		{"test", "half", "sql", "caf\xc3", "zone", "a"},
		many,
	}
}

func spinOddly() {
	ctx := context.Background()
	for _, set := range oddSets() {
		go pprof.Do(ctx, pprof.Labels(set...), func(context.Context) { select {} })
	}
	for {
		for _, set := range oddSets() {
			pprof.Do(ctx, pprof.Labels(set...), func(context.Context) { work(plain, 5*unit) })
		}
	}
}

func main() {
	odd := flag.Bool("odd", false, "")
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	if *odd {
		go spinOddly()
		ctl.Ready("")
		ctl.Serve(*seconds)
		return
	}
	go func() {
		runtime.LockOSThread()
		ctx := context.Background()
		for {
			pprof.Do(ctx, pprof.Labels("tenant", "red", "zone", "a"), func(context.Context) { work(red, 20*unit) })
			pprof.Do(ctx, pprof.Labels("tenant", "blue", "zone", "a"), func(context.Context) { work(blue, 10*unit) })
			work(plain, 10*unit)
		}
	}()
	ctl.Ready("")
	ctl.Serve(*seconds)
}

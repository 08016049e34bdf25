// SPDX-License-Identifier: Apache-2.0

// labels spins under pprof labels: tenant=red for two parts of the time, tenant=blue for one, and no label for one.
package main

import (
	"context"
	"flag"
	"runtime"
	"runtime/pprof"

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

func main() {
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
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

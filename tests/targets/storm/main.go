// SPDX-License-Identifier: Apache-2.0

// storm starts about -rate threads a second; each burns a little CPU time and dies: a goroutine that ends while locked
// to its thread takes the thread with it.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"prowltest/ctl"
)

var (
	sink  uint64
	phase = ctl.NewPhase("main.burn")
	ended int64
)

//go:noinline
func burn() {
	t := ctl.ThreadCPU()
	var x uint64
	for ctl.ThreadCPU()-t < 200_000 {
		for i := uint64(0); i < 10_000; i++ {
			x = x*6364136223846793005 + i
		}
	}
	atomic.AddUint64(&sink, x)
	phase.Add(t)
}

func main() {
	rate := flag.Int("rate", 1000, "threads a second")
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	if *rate < 1 {
		fmt.Println(`{"error":"-rate must be positive"}`)
		return
	}
	go func() {
		start := time.Now()
		for made := 0; ; {
			due := int(time.Since(start).Seconds() * float64(*rate))
			// never more than 64 alive: on a slow machine the storm is what the machine can do
			for ; made < due && int64(made)-atomic.LoadInt64(&ended) < 64; made++ {
				go func() {
					runtime.LockOSThread()
					burn()
					atomic.AddInt64(&ended, 1)
				}()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	ctl.Ready("")
	ctl.Serve(*seconds)
}

// SPDX-License-Identifier: Apache-2.0

// waits has goroutines that wait and run for times which they measure themselves: "truth" answers with the nanoseconds
// of all goroutines in each phase. Flags:
//
//	-bulk   that many more goroutines that only wait
//	-ended  that many more at once that have ended before it is ready: the runtime keeps what they were in
package main

import (
	"flag"
	"math/rand"
	"runtime"
	"sync"
	"time"

	"prowltest/ctl"
)

var (
	ticks  = make(chan int)
	mu     sync.Mutex
	never  = make(chan int)
	sink   int
)

var (
	inSleep = ctl.NewPhase("sleep")
	inChan  = ctl.NewPhase("chan")
	inLock  = ctl.NewPhase("lock")
	inRun   = ctl.NewPhase("running")
)

func timed(p *ctl.Phase, f func()) {
	start := time.Now()
	f()
	p.AddNs(int64(time.Since(start)))
}

//go:noinline
func sleeps(d time.Duration) { time.Sleep(d) }

//go:noinline
func receives() { <-ticks }

//go:noinline
func locks() {
	mu.Lock()
	mu.Unlock()
}

//go:noinline
func runs(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i := 0; i < 1000; i++ {
			sink += i
		}
	}
}

func some(ms int) time.Duration {
	return time.Duration(ms)*time.Millisecond/2 + time.Duration(rand.Intn(ms*1000))*time.Microsecond
}

// About 60 ms of sleep, 30 of a channel, and what of a lock and the CPU.
func worker() {
	for {
		timed(inSleep, func() { sleeps(some(60)) })
		timed(inChan, receives)
		timed(inLock, locks)
	}
}

func ticker() {
	for {
		time.Sleep(some(10))
		ticks <- 1
	}
}

// Holds the lock for half of the time.
func holder() {
	for {
		mu.Lock()
		time.Sleep(some(20))
		mu.Unlock()
		time.Sleep(some(20))
	}
}

func runner() {
	for {
		timed(inRun, func() { runs(some(20)) })
		time.Sleep(some(60))
	}
}

func bulk() { <-never }

func end(n int) {
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			all.Done()
			all.Wait()
		}()
	}
	all.Wait()
	for runtime.NumGoroutine() > 1 {
		time.Sleep(time.Millisecond)
	}
}

func main() {
	n := flag.Int("bulk", 0, "")
	ended := flag.Int("ended", 0, "")
	flag.Parse()
	end(*ended)
	for i := 0; i < 8; i++ {
		go worker()
	}
	go ticker()
	go holder()
	go runner()
	for i := 0; i < *n; i++ {
		go bulk()
	}
	ctl.Ready("")
	ctl.Serve(0)
}

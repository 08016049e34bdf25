// SPDX-License-Identifier: Apache-2.0

// figures is a quiet program that says what its runtime says of itself: goroutines that wait for known reasons, profile
// rates, collections of garbage on request. Each line on stdin is answered by a line of JSON:
//
//	gc       runs the garbage collector, answers {"done":true}
//	stats    runtime.ReadMemStats, runtime.NumGoroutine and the like
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"prowltest/ctl"
)

var (
	never   = make(chan int)
	nobody  = make(chan int)
	garbage [][]byte
)

func receive()  { <-never }
func nothing()  { select {} }
func sleep()    { time.Sleep(time.Hour) }
func choose() {
	select {
	case <-never:
	case nobody <- 1:
	}
}

func stats() map[string]interface{} {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	pauses := []uint64{}
	for i := uint32(0); i < m.NumGC && i < 5; i++ {
		pauses = append(pauses, m.PauseNs[(m.NumGC-1-i)%256])
	}
	return map[string]interface{}{
		"goroutines": runtime.NumGoroutine(), "gomaxprocs": runtime.GOMAXPROCS(0),
		"threads": pprof.Lookup("threadcreate").Count(),
		"gc_count": m.NumGC, "gc_forced": m.NumForcedGC, "gc_last": m.LastGC, "pause_total": m.PauseTotalNs,
		"pauses": pauses, "gc_cpu_fraction": m.GCCPUFraction, "next_gc": m.NextGC,
		"heap_alloc": m.HeapAlloc, "heap_inuse": m.HeapInuse, "heap_released": m.HeapReleased,
		"total_alloc": m.TotalAlloc, "mem_rate": runtime.MemProfileRate,
	}
}

func main() {
	n := flag.Int("goroutines", 20, "goroutines that wait for each reason")
	flag.Parse()
	debug.SetGCPercent(60)
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(7)
	runtime.MemProfile(nil, true) // so that the linker leaves heap profiling on
	for i := 0; i < *n; i++ {
		go receive()
		go choose()
	}
	go nothing()
	go sleep()
	for i := 0; i < 100; i++ {
		garbage = append(garbage, make([]byte, 100_000))
	}
	time.Sleep(50 * time.Millisecond)
	ctl.Ready("")
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "gc":
			runtime.GC()
			fmt.Println(`{"done":true}`)
		case "stats":
			out.Encode(stats())
		case "quit":
			return
		}
	}
}

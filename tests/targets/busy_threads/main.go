// SPDX-License-Identifier: Apache-2.0

// busy_threads keeps -n threads busy, each with a goroutine locked to it. The kernel's own account of the process is the
// truth that a profile's total is compared with.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"prowltest/ctl"
)

var sinks [4096]uint64

//go:noinline
func spin(x uint64) uint64 {
	for i := uint64(0); i < 100_000; i++ {
		x = x*6364136223846793005 + i
	}
	return x
}

//go:noinline
func busy(i int) {
	for {
		sinks[i] = spin(sinks[i])
	}
}

func main() {
	n := flag.Int("n", 1, "threads")
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	if *n < 1 || *n > len(sinks) {
		fmt.Println(`{"error":"-n must be 1 to 4096"}`)
		return
	}
	debug.SetMaxThreads(*n + 1000)
	// as many run at once as the machine lets: not Go's scheduler but the kernel shares the CPUs
	runtime.GOMAXPROCS(*n + 2)
	var started sync.WaitGroup
	begin := make(chan bool)
	for i := 0; i < *n; i++ {
		started.Add(1)
		go func(i int) {
			runtime.LockOSThread()
			// behind everything else on the machine, so that the profiler and this program's answers come in time
			syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10)
			started.Done()
			<-begin
			busy(i)
		}(i)
	}
	started.Wait()
	close(begin)
	ctl.Ready("")
	ctl.Serve(*seconds)
}

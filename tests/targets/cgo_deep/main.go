// SPDX-License-Identifier: Apache-2.0

// cgo_deep spins below eleven C frames without frame pointers, in a Go function that C called back, and in plain Go;
// each phase is measured by the thread's CPU clock.
package main

/*
#cgo CFLAGS: -O2 -g -fomit-frame-pointer
#include "deep.h"
*/
import "C"

import (
	"flag"
	"runtime"

	"prowltest/ctl"
)

const unit = 1_000_000

var (
	phaseC  = ctl.NewPhase("main.phaseInC")
	phaseCB = ctl.NewPhase("main.phaseCallback")
	phaseG  = ctl.NewPhase("main.phaseInGo")
	sink    uint64
)

//go:noinline
func goLeaf(x, n uint64) uint64 {
	for i := uint64(0); i < n; i++ {
		x ^= x<<13 ^ i
		x ^= x >> 7
	}
	return x
}

//export goCallback
func goCallback(n C.ulong) C.ulong {
	return C.ulong(goBelowC(uint64(n)))
}

//go:noinline
func goBelowC(n uint64) uint64 { return goLeaf(n, n) + 1 }

//go:noinline
func goCallsC(n uint64) uint64 { return uint64(C.c_mid1(C.ulong(n))) + 1 }

//go:noinline
func goHot(n uint64) uint64 { return goCallsC(n) + 1 }

//go:noinline
func goCallsBack(n uint64) uint64 { return uint64(C.c_cb1(C.ulong(n))) + 1 }

//go:noinline
func phaseInC() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 12*unit {
		sink += goHot(5_000)
	}
	phaseC.Add(t)
}

//go:noinline
func phaseCallback() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 5*unit {
		sink += goCallsBack(50_000)
	}
	phaseCB.Add(t)
}

//go:noinline
func phaseInGo() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 3*unit {
		sink += goLeaf(sink, 50_000)
	}
	phaseG.Add(t)
}

func main() {
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	go func() {
		runtime.LockOSThread()
		for {
			phaseInC()
			phaseCallback()
			phaseInGo()
		}
	}()
	ctl.Ready("")
	ctl.Serve(*seconds)
}

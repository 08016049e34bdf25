// SPDX-License-Identifier: Apache-2.0

// known_shares spins in phases whose share of the CPU time is known: each phase is a function, measured by the CPU clock
// of the thread that it is locked to. The phases hold what profilers get wrong: leaves without a frame, inlined
// helpers, deep recursion, assembly (memmove), library code (sort) and system calls.
package main

import (
	"flag"
	"os"
	"runtime"
	"sort"
	"syscall"

	"prowltest/ctl"
)

// The time of each slice; a round of all phases is 100 ms of CPU time.
const unit = 1_000_000

var (
	phaseA1      = ctl.NewPhase("main.phaseLeafA1")
	phaseA2      = ctl.NewPhase("main.phaseLeafA2")
	phaseB       = ctl.NewPhase("main.phaseInline")
	phaseD       = ctl.NewPhase("main.phaseDeep")
	phaseM       = ctl.NewPhase("main.phaseMemmove")
	phaseS       = ctl.NewPhase("main.phaseSort")
	phaseY       = ctl.NewPhase("main.phaseSyscall")
	sink         uint64
	sinkInts     []int
	devNull      int
	oneByte      = []byte{0}
	copyA, copyB [256 << 10]byte
)

// leafSpin needs no frame: only the return address at SP tells who called it.
//
//go:noinline
func leafSpin(n uint64) uint64 {
	x := n
	for i := uint64(0); i < n; i++ {
		x ^= x<<13 ^ i
		x ^= x >> 7
	}
	return x
}

//go:noinline
func callerA1() uint64 { return leafSpin(200_000) + 1 }

//go:noinline
func callerA2() uint64 { return leafSpin(200_000) + 2 }

// inlHelper is inlined into midB.
func inlHelper(x uint64) uint64 {
	x ^= x << 17
	x ^= x >> 9
	return x * 0x9e3779b97f4a7c15
}

//go:noinline
func midB(n uint64) uint64 {
	x := n
	for i := uint64(0); i < n; i++ {
		x = inlHelper(x + i)
	}
	return x
}

//go:noinline
func recurse(depth int, n uint64) uint64 {
	if depth == 0 {
		x := n
		for i := uint64(0); i < n; i++ {
			x = x*6364136223846793005 + i
		}
		return x
	}
	return recurse(depth-1, n) + uint64(depth)
}

//go:noinline
func phaseLeafA1() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 20*unit {
		sink += callerA1()
	}
	phaseA1.Add(t)
}

//go:noinline
func phaseLeafA2() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 10*unit {
		sink += callerA2()
	}
	phaseA2.Add(t)
}

//go:noinline
func phaseInline() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 15*unit {
		sink += midB(200_000)
	}
	phaseB.Add(t)
}

//go:noinline
func phaseDeep() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 15*unit {
		sink += recurse(60, 200_000)
	}
	phaseD.Add(t)
}

//go:noinline
func phaseMemmove() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 10*unit {
		for i := 0; i < 32; i++ {
			copy(copyA[:], copyB[i:])
		}
	}
	phaseM.Add(t)
}

//go:noinline
func phaseSort() {
	t := ctl.ThreadCPU()
	ints := make([]int, 5000)
	for ctl.ThreadCPU()-t < 15*unit {
		x := uint32(1)
		for i := range ints {
			x = x*1664525 + 1013904223
			ints[i] = int(x >> 8)
		}
		sort.Slice(ints, func(i, j int) bool { return ints[i] < ints[j] })
	}
	phaseS.Add(t)
}

//go:noinline
func phaseSyscall() {
	t := ctl.ThreadCPU()
	for ctl.ThreadCPU()-t < 15*unit {
		for i := 0; i < 400; i++ {
			syscall.Getppid()
			syscall.Write(devNull, oneByte)
		}
	}
	phaseY.Add(t)
}

func worker() {
	runtime.LockOSThread()
	for {
		phaseLeafA1()
		phaseLeafA2()
		phaseInline()
		phaseDeep()
		phaseMemmove()
		phaseSort()
		phaseSyscall()
	}
}

func main() {
	threads := flag.Int("threads", 1, "threads that run the phases")
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	var err error
	if devNull, err = syscall.Open("/dev/null", syscall.O_WRONLY, 0); err != nil {
		os.Exit(1)
	}
	for i := 0; i < *threads; i++ {
		go worker()
	}
	ctl.Ready("")
	ctl.Serve(*seconds)
}

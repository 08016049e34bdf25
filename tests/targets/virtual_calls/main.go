// SPDX-License-Identifier: Apache-2.0

// virtual_calls has what profile-guided optimisation improves: an interface call that nearly always reaches one type, and
// hot functions just over the budget of ordinary inlining. Beside each stands a cold twin that must stay as it is.
package main

import (
	"flag"
	"runtime"

	"prowltest/ctl"
)

type mixer interface {
	mix(x uint64) uint64
}

type fast struct{ k uint64 }
type rare struct{ k uint64 }

func (f *fast) mix(x uint64) uint64 { return x*f.k ^ x>>31 }
func (r *rare) mix(x uint64) uint64 { return x/(r.k|1) + 7 }

var (
	sink  uint64
	phase = ctl.NewPhase("main.work")
)

// hotBig costs more than 80 nodes, the ordinary budget.
func hotBig(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	x = x*0x9e3779b97f4a7c15 + 1
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 29
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 32
	x ^= x << 11
	x ^= x >> 19
	x = x*0xbf58476d1ce4e5b9 + 3
	x ^= x >> 27
	x ^= x << 9
	x ^= x >> 5
	x = x*0x94d049bb133111eb + 11
	x ^= x >> 25
	x ^= x << 3
	x ^= x >> 21
	x = x*0xd6e8feb86659fd93 + 13
	x ^= x >> 23
	return x
}

// coldBig is hotBig's twin, called once a round.
func coldBig(x uint64) uint64 {
	x ^= x << 12
	x ^= x >> 6
	x ^= x << 18
	x = x*0x9e3779b97f4a7c15 + 5
	x ^= x >> 31
	x *= 0xff51afd7ed558ccd
	x ^= x >> 28
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 30
	x ^= x << 10
	x ^= x >> 18
	x = x*0xbf58476d1ce4e5b9 + 9
	x ^= x >> 26
	x ^= x << 8
	x ^= x >> 4
	x = x*0x94d049bb133111eb + 17
	x ^= x >> 24
	x ^= x << 2
	x ^= x >> 20
	x = x*0xd6e8feb86659fd93 + 19
	x ^= x >> 22
	return x
}

//go:noinline
func mixAll(m mixer, x uint64) uint64 {
	for i := 0; i < 20_000; i++ {
		x = m.mix(x + uint64(i))
	}
	return x
}

//go:noinline
func bigAll(x uint64) uint64 {
	for i := 0; i < 5_000; i++ {
		x = hotBig(x + uint64(i))
	}
	return x
}

//go:noinline
func work() {
	t := ctl.ThreadCPU()
	for i := 0; i < 100; i++ {
		sink += mixAll(&fast{k: sink | 1}, sink)
		sink += bigAll(sink)
	}
	sink += (&rare{k: sink}).mix(sink) + coldBig(sink)
	phase.Add(t)
}

func main() {
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	go func() {
		runtime.LockOSThread()
		for {
			work()
		}
	}()
	ctl.Ready("")
	ctl.Serve(*seconds)
}

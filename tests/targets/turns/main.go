// SPDX-License-Identifier: Apache-2.0

// turns works in turns that the wall clock gives: in even fifths of a second one thread is in main.turnA, in odd ones in
// main.turnB. Another thread works in odd ones only, in main.odd, and sleeps else.
package main

import (
	"runtime"
	"time"

	"prowltest/ctl"
)

const turn = 200 * int64(time.Millisecond)

var sinks [2]uint64

func slot() int64 { return time.Now().UnixNano() / turn }

func spin(x uint64) uint64 {
	for i := uint64(0); i < 20_000; i++ {
		x ^= x<<13 ^ i
		x ^= x >> 7
	}
	return x
}

//go:noinline
func turnA(until int64) {
	for slot() < until {
		sinks[0] = spin(sinks[0])
	}
}

//go:noinline
func turnB(until int64) {
	for slot() < until {
		sinks[0] = spin(sinks[0])
	}
}

//go:noinline
func odd(until int64) {
	for slot() < until {
		sinks[1] = spin(sinks[1])
	}
}

func first() {
	runtime.LockOSThread()
	for {
		if now := slot(); now%2 == 0 {
			turnA(now + 1)
		} else {
			turnB(now + 1)
		}
	}
}

func second() {
	runtime.LockOSThread()
	for {
		if now := slot(); now%2 == 1 {
			odd(now + 1)
		} else {
			time.Sleep(time.Duration((now+1)*turn - time.Now().UnixNano()))
		}
	}
}

func main() {
	go first()
	go second()
	ctl.Ready("")
	ctl.Serve(0)
}

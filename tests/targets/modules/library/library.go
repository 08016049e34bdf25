// SPDX-License-Identifier: Apache-2.0

// A library for C programs (-buildmode=c-shared): a goroutine that computes and allocates, and three that wait. With the
// tag second its functions have other names.
package main

import "C"

import "runtime/pprof"

var (
	sink int
	keep [][]byte
)

//go:noinline
func spin(n int) (s int) {
	for i := 0; i < n; i++ {
		s += i*i ^ s
	}
	return s
}

func fill() {
	keep = append(keep, make([]byte, 128<<10))
	if len(keep) > 64 {
		keep = keep[32:]
	}
}

//export Start
func Start() {
	pprof.Lookup("heap") // so that allocations are recorded
	never := make(chan int)
	for i := 0; i < 3; i++ {
		go waits(never)
	}
	go work()
}

func main() {}

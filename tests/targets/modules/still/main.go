// SPDX-License-Identifier: Apache-2.0

// Computes and allocates in one goroutine and waits in three others. It needs nothing of its surroundings.
package main

import (
	"fmt"
	"runtime/pprof"
)

var (
	sink int
	keep [][]byte
)

//go:noinline
func leaf(n int) (s int) {
	for i := 0; i < n; i++ {
		s += i*i ^ s
	}
	return s
}

//go:noinline
func middle(n int) int { return leaf(n) + 1 }

//go:noinline
func wait(never chan int) { <-never }

func main() {
	pprof.Lookup("heap") // so that allocations are recorded
	never := make(chan int)
	for i := 0; i < 3; i++ {
		go wait(never)
	}
	fmt.Println("ready")
	for {
		sink += middle(1000000)
		keep = append(keep, make([]byte, 128<<10))
		if len(keep) > 64 {
			keep = keep[32:]
		}
	}
}

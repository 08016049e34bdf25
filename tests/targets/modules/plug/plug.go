// SPDX-License-Identifier: Apache-2.0

package main

var (
	sink int
	keep [][]byte
)

//go:noinline
func plugLeaf(n int) (s int) {
	for i := 0; i < n; i++ {
		s += i*i ^ s
	}
	return s
}

func Work() {
	sink += plugLeaf(1000000)
	keep = append(keep, make([]byte, 128<<10))
	if len(keep) > 64 {
		keep = keep[32:]
	}
}

func Wait(never chan int) { <-never }

func main() {}

// SPDX-License-Identifier: Apache-2.0

//go:build !second

package main

func waits(never chan int) { waitFirst(never) }

func work() { workFirst() }

//go:noinline
func waitFirst(never chan int) { <-never }

//go:noinline
func workFirst() {
	for {
		sink += spin(1000000)
		keepFirst()
	}
}

//go:noinline
func keepFirst() { fill() }

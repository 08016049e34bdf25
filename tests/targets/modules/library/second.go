// SPDX-License-Identifier: Apache-2.0

//go:build second

package main

func waits(never chan int) { waitSecond(never) }

func work() { workSecond() }

//go:noinline
func waitSecond(never chan int) { <-never }

//go:noinline
func workSecond() {
	for {
		sink += spin(1000000)
		keepSecond()
	}
}

//go:noinline
func keepSecond() { fill() }

// SPDX-License-Identifier: Apache-2.0

// unprofiled allocates, contends for a mutex and waits for channels, all the time, and asks for no profile of any of it:
// the linker leaves heap profiling out, and the rates of block and mutex profiles are 0.
//
// For each line "work N" on stdin it computes a checksum in N rounds that do the same, and prints it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

type node struct {
	next  *node
	value uint64
	pad   [40]byte
}

var (
	mu     sync.Mutex
	shared uint64
	keep   *node
)

//go:noinline
func allocate(x uint64) *node {
	var list *node
	for i := uint64(0); i < 64; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		list = &node{next: list, value: x}
	}
	return list
}

func sum(n *node) (s uint64) {
	for ; n != nil; n = n.next {
		s = s*31 + n.value
	}
	return s
}

//go:noinline
func contend() {
	mu.Lock()
	shared++
	for i := 0; i < 2000; i++ {
		shared ^= shared << 1
	}
	mu.Unlock()
}

func background(in <-chan int) {
	for x := range in {
		list := allocate(uint64(x) + 1)
		mu.Lock()
		keep = list
		mu.Unlock()
		contend()
	}
}

func feed(out chan<- int) {
	for i := 0; ; i++ {
		out <- i
		if i%8 == 0 {
			time.Sleep(200 * time.Microsecond)
		}
	}
}

func checksum(rounds int) uint64 {
	in, out := make(chan uint64), make(chan uint64)
	go func() {
		for x := range in {
			out <- sum(allocate(x | 1))
		}
		close(out)
	}()
	s := uint64(88172645463325252)
	for i := 0; i < rounds; i++ {
		in <- s
		s ^= <-out
		contend()
	}
	close(in)
	return s
}

func main() {
	work := make(chan int)
	for i := 0; i < 4; i++ {
		go background(work)
	}
	go feed(work)
	fmt.Printf("{\"ready\":true,\"pid\":%d,\"go\":%q}\n", os.Getpid(), runtime.Version())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var rounds int
		if _, err := fmt.Sscanf(in.Text(), "work %d", &rounds); err != nil {
			fmt.Printf("{\"error\":%q}\n", err.Error())
			continue
		}
		fmt.Printf("{\"checksum\":%d}\n", checksum(rounds))
	}
}

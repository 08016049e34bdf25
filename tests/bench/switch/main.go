// SPDX-License-Identifier: Apache-2.0

// switch sends a byte to and fro between two threads on one CPU: two context switches a round.
// CPU time per round, with a sampler and without, gives what the sampler adds to a switch.
//
// The file that the reader maps holds 64-bit words: 0 ready, 1 rounds.
// Run with GODEBUG=asyncpreemptoff=1: a thread that blocks in a raw system call looks busy.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"
)

func pin(cpu int) error {
	var mask [128]uint64
	mask[cpu/64] = 1 << (cpu % 64)
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask),
		uintptr(unsafe.Pointer(&mask)))
	if e != 0 {
		return e
	}
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "switch:", err)
	os.Exit(1)
}

func pass(from, to int, rounds *uint64) {
	var b [1]byte
	for {
		n, _, _ := syscall.RawSyscall(syscall.SYS_READ, uintptr(from), uintptr(unsafe.Pointer(&b)), 1)
		if n != 1 {
			continue
		}
		if rounds != nil {
			*rounds++
		}
		syscall.RawSyscall(syscall.SYS_WRITE, uintptr(to), uintptr(unsafe.Pointer(&b)), 1)
	}
}

func main() {
	cpu := flag.Int("cpu", 0, "the CPU of both threads")
	file := flag.String("file", "", "the file of the counter")
	flag.Parse()

	f, err := os.OpenFile(*file, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		fail(err)
	}
	if err := f.Truncate(4096); err != nil {
		fail(err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_SHARED)
	if err != nil {
		fail(err)
	}
	p := (*[512]uint64)(unsafe.Pointer(&mem[0]))

	var ping, pong [2]int
	if err := syscall.Pipe(ping[:]); err != nil {
		fail(err)
	}
	if err := syscall.Pipe(pong[:]); err != nil {
		fail(err)
	}
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(-1)
	ready := make(chan bool)
	go func() {
		runtime.LockOSThread()
		if err := pin(*cpu); err != nil {
			fail(err)
		}
		close(ready)
		pass(ping[0], pong[1], nil)
	}()
	<-ready
	runtime.LockOSThread()
	if err := pin(*cpu); err != nil {
		fail(err)
	}
	if _, err := syscall.Write(ping[1], []byte{1}); err != nil {
		fail(err)
	}
	atomic.StoreUint64(&p[0], 1)
	pass(pong[0], ping[1], &p[1])
}

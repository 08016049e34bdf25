// SPDX-License-Identifier: Apache-2.0

// gap reads the clock in a tight loop, on one CPU, below a stack of a chosen depth, and counts the
// gaps between two readings by length. Whatever interrupts the program leaves a gap, so the
// histogram under a sampler, less the one without, is what a sample costs its target.
//
// The histogram lives in a file that the reader maps: being read costs the target nothing.
// 64-bit words: 0 magic, 1 picoseconds per bucket, 2 gaps beyond the last bucket, 3 the length of
// these in buckets, 4 ready, from 8 on the buckets.
//
// Run with GODEBUG=asyncpreemptoff=1: the runtime's own preemption would be counted too.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	buckets = 4096
	header  = 8
	shift   = 6 // clock ticks per bucket, as a power of two
	least   = 1500 * time.Nanosecond
)

func ticks() uint64

type page [header + buckets]uint64

var sink uint64

//go:noinline
func down(depth int, p *page, least uint64) {
	if depth > 1 {
		down(depth-1, p, least)
		sink++ // no tail call
		return
	}
	last := ticks()
	for {
		now := ticks()
		if now-last > least {
			if b := (now - last) >> shift; b < buckets {
				p[header+b]++
			} else {
				p[2]++
				p[3] += b
			}
			now = ticks()
		}
		last = now
	}
}

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
	fmt.Fprintln(os.Stderr, "gap:", err)
	os.Exit(1)
}

func main() {
	depth := flag.Int("depth", 30, "calls between main and the loop")
	cpu := flag.Int("cpu", 0, "the CPU to spin on")
	file := flag.String("file", "", "the file of the histogram")
	flag.Parse()

	f, err := os.OpenFile(*file, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		fail(err)
	}
	if err := f.Truncate(int64(unsafe.Sizeof(page{}))); err != nil {
		fail(err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, int(unsafe.Sizeof(page{})),
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		fail(err)
	}
	p := (*page)(unsafe.Pointer(&mem[0]))
	for i := range p {
		p[i] = 0 // every page is there before the loop
	}

	start, t := time.Now(), ticks()
	time.Sleep(200 * time.Millisecond)
	perTick := float64(time.Since(start).Nanoseconds()) / float64(ticks()-t)

	runtime.LockOSThread()
	if err := pin(*cpu); err != nil {
		fail(err)
	}
	debug.SetGCPercent(-1)
	p[0] = 0x706167
	p[1] = uint64(perTick * 1000 * (1 << shift))
	atomic.StoreUint64(&p[4], 1)
	down(*depth, p, uint64(float64(least.Nanoseconds())/perTick))
}

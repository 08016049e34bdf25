// SPDX-License-Identifier: Apache-2.0

// heapzoo records heap, block, mutex and thread profiles of stacks that are known: inlined functions, generic ones,
// method values, wrappers, recursion deeper than any limit, threads that were made for locked goroutines. It is quiet
// once it is ready, and gives its own profiles of it: "profile" is asked for over HTTP on a loopback port. Flags:
//
//	-nogc     no garbage collection ever
//	-busy     allocates and collects all the time
//	-buckets  makes that many more records of different stacks
//	-off      switches all recording off before it is ready, and says how many contentions there were
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"prowltest/ctl"
)

var keep [][]byte
var things []interface{}

func inlinedLeaf(n int) []byte      { return make([]byte, n) }
func inlinedMiddle(n int) []byte    { return inlinedLeaf(n + 1) }
func inlinedOuter(n int) []byte     { return inlinedMiddle(n + 1) }
func grow[T any](n int) []T        { return make([]T, n) }
func growTwice[T any](n int) [][]T { return [][]T{grow[T](n), grow[T](n + 8)} }

type zoo struct{ size int }

func (z zoo) Feed() { keep = append(keep, make([]byte, z.size)) }

type feeder interface{ Feed() }

//go:noinline
func call(f func()) { f() }

//go:noinline
func feed(f feeder) { f.Feed() }

//go:noinline
func deep(n int) {
	if n == 0 {
		keep = append(keep, inlinedOuter(3000))
		return
	}
	deep(n - 1)
}

//go:noinline
func contend(mu *sync.Mutex, rounds int) {
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := 0; k < rounds; k++ {
				locked(mu)
			}
		}()
	}
	wg.Wait()
}

func locked(mu *sync.Mutex) {
	mu.Lock()
	time.Sleep(200 * time.Microsecond)
	mu.Unlock()
}

//go:noinline
func wait(c chan int) {
	for i := 0; i < 5; i++ {
		go func() { time.Sleep(time.Millisecond); c <- 1 }()
		<-c
	}
}

func allocate() {
	for i := 0; i < 50; i++ {
		keep = append(keep, inlinedOuter(5000))
		things = append(things, growTwice[int64](100), growTwice[string](50))
		call(zoo{700}.Feed)
		feed(&zoo{800})
		deep(10)
	}
	deep(300)
	m := map[int]string{}
	for i := 0; i < 2000; i++ {
		m[i] = fmt.Sprint(i)
	}
	things = append(things, m)
}

// What a wrapper of the compiler calls, and what waits below more calls than old versions have room for.

type holder struct {
	mu   *sync.Mutex
	size int
}

func (h holder) Hold() {
	h.mu.Lock()
	time.Sleep(200 * time.Microsecond)
	keepOne(h.size)
	h.mu.Unlock()
}

type holds interface{ Hold() }

//go:noinline
func keepOne(n int) { things = append(things, make([]byte, n)) }

//go:noinline
func holdAll(h holds, rounds int, wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < rounds; i++ {
		h.Hold() // through (*holder).Hold
	}
}

//go:noinline
func holdAtEnd(mu *sync.Mutex, rounds int, wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < rounds; i++ {
		func() {
			mu.Lock()
			defer unlockLater(mu, 300+i%2) // through a wrapper since go1.17
			time.Sleep(200 * time.Microsecond)
		}()
	}
}

//go:noinline
func unlockLater(mu *sync.Mutex, n int) { keepOne(n); mu.Unlock() }

//go:noinline
func lockDeep(mu *sync.Mutex, n int) {
	if n > 0 {
		lockDeep(mu, n-1)
		return
	}
	locked(mu)
}

//go:noinline
func throughWrappers(rounds int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Add(6)
	go holdAll(&holder{&mu, 400}, rounds, &wg) // through a wrapper since go1.22
	go holdAll(&holder{&mu, 500}, rounds, &wg)
	go holdAtEnd(&mu, rounds, &wg)
	for i := 0; i < 3; i++ {
		go func() {
			defer wg.Done()
			for k := 0; k < rounds; k++ {
				lockDeep(&mu, 60)
			}
		}()
	}
	wg.Wait()
}

// Each bit of n takes another way: as many stacks as there are numbers.
//
//go:noinline
func zero(n uint, depth int) { ways(n>>1, depth-1) }

//go:noinline
func one(n uint, depth int) { ways(n>>1, depth-1) }

func ways(n uint, depth int) {
	if depth == 0 {
		keep = append(keep, make([]byte, 64))
	} else if n&1 == 0 {
		zero(n, depth)
	} else {
		one(n, depth)
	}
}

func busy() {
	for {
		for i := 0; i < 100; i++ {
			allocateSome()
		}
		runtime.GC()
	}
}

//go:noinline
func allocateSome() { sink = inlinedOuter(2000) }

var sink []byte

// The bytes to the next sample were drawn with the rate from before, on each processor.
func settle() {
	var wg sync.WaitGroup
	for i := 0; i < 4*runtime.GOMAXPROCS(0); i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := 0; k < 3; k++ {
				runtime.KeepAlive(make([]byte, 2<<20))
				runtime.Gosched()
			}
		}()
	}
	wg.Wait()
}

func switchOff() int {
	runtime.MemProfileRate = 0
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(0)
	records := make([]runtime.BlockProfileRecord, 10000)
	n, _ := runtime.MutexProfile(records)
	sum := 0
	for _, r := range records[:n] {
		sum += int(r.Count)
	}
	return sum
}

func main() {
	nogc := flag.Bool("nogc", false, "")
	isBusy := flag.Bool("busy", false, "")
	buckets := flag.Int("buckets", 0, "")
	rate := flag.Int("rate", 1024, "")
	off := flag.Bool("off", false, "")
	flag.Parse()
	atStartA, atStartB = nil, nil
	runtime.MemProfileRate = *rate
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	if !*nogc {
		debug.SetGCPercent(gcAtStart)
	}
	settle()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, nil)
	allocate()
	var mu sync.Mutex
	contend(&mu, 10)
	throughWrappers(10)
	wait(make(chan int))
	for i := 0; i < 3; i++ {
		go func() { runtime.LockOSThread(); select {} }()
	}
	for i := 0; i < *buckets; i++ {
		ways(uint(i), 14)
	}
	if *isBusy {
		go busy()
	} else if !*nogc {
		runtime.GC()
		runtime.GC()
		debug.SetGCPercent(-1)
	}
	time.Sleep(50 * time.Millisecond)
	contentions := 0
	if *off {
		contentions = switchOff()
	}
	ctl.Ready(fmt.Sprintf("%q:%q,%q:%d", "http", l.Addr().String(), "contentions", contentions))
	ctl.Serve(0)
}

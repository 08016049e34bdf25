// SPDX-License-Identifier: Apache-2.0

// gozoo has thousands of goroutines that wait for anything a goroutine can wait for, with stacks that are known: deep,
// inlined, generic, deferred, labelled, locked to their thread. It is quiet once it is ready, and gives its own profiles
// of them over HTTP on a loopback port. Flags:
//
//	-n       goroutines of each kind (default 300)
//	-churn   goroutines start, stop, grow their stacks and are collected all the time
//	-leak    one more goroutine blocks for ever, ten times a second, and one more waits for short times only
//	-spin    goroutines that run
//	-turns   pairs of goroutines that take turns on the one processor that there is then
//	-bulk    that many more goroutines of a usual depth, for figures
//	-meter   one that runs on a thread of its own and reads the clock: /stall answers with the longest pause that it had
//	         since it was asked last, in nanoseconds
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"prowltest/ctl"
)

var (
	never   = make(chan int)
	never2  = make(chan int)
	nilChan chan int
	mu      sync.Mutex
	rw      sync.RWMutex
	cond    = sync.NewCond(new(sync.Mutex))
	group   sync.WaitGroup
	conn    net.Conn
	pipe    int
	sink    int
)

func receive()       { <-never }
func send()          { never2 <- 1 }
func nilReceive()    { <-nilChan }
func nilSend()       { nilChan <- 1 }
func selectTwo() {
	select {
	case <-never:
	case never2 <- 1:
	}
}
func selectNone()    { select {} }
func lockMutex()     { mu.Lock() }
func readLock()      { rw.RLock() }
func writeLock()     { rw.Lock() }
func waitCond()      { cond.L.Lock(); cond.Wait() }
func waitGroup()     { group.Wait() }
func sleepLong()     { time.Sleep(time.Hour) }
func timer()         { <-time.After(time.Hour) }
func readConn()      { conn.Read(make([]byte, 1)) }
func rangeChan() {
	for v := range never {
		sink += v
	}
}

// In a system call that the runtime knows to block.
func readPipe() {
	var b [1]byte
	syscall.Read(pipe, b[:])
}

//go:noinline
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
	sink++
}

func deepReceive()   { deep(40, receive) }
func deeperReceive() { deep(400, receive) }

func inlinedLeaf()   { <-never }
func inlinedMiddle() { inlinedLeaf() }
func inlined()       { inlinedMiddle() }

func generic[T any](c chan T) T { return <-c }
func genericReceive()           { generic(never); generic(make(chan string)) }

type animal struct{ c chan int }

func (a animal) Wait()    { <-a.c }
func (a *animal) PWait()  { <-a.c }

type waiter interface{ Wait() }

//go:noinline
func call(w waiter)    { w.Wait() }
func throughInterface() { call(&animal{never}) }

func deferred() {
	defer receive()
}

func recovered() {
	defer func() {
		recover()
		receive()
	}()
	var p *int
	*p = 1
}

func panicked() {
	defer func() { receive() }()
	panic("held")
}

func closure() {
	x := 0
	func() { func() { <-never; x++ }() }()
}

func locked() {
	runtime.LockOSThread()
	<-never
}

func labelled(i int) {
	pprof.Do(context.Background(), pprof.Labels("kind", "labelled", "third", fmt.Sprint(i%3)), func(context.Context) {
		<-never
	})
}

// Lets go of the CPU again and again, and grows its stack between.
func churner(i int) {
	for k := 0; ; k++ {
		switch (i + k) % 4 {
		case 0:
			churnSleep(time.Duration(k%5) * 100 * time.Microsecond)
		case 1:
			churnDeep(k%200, churnYield)
		case 2:
			churnPing()
		case 3:
			churnSpawn()
		}
	}
}

//go:noinline
func churnSleep(d time.Duration) { time.Sleep(d) }

//go:noinline
func churnYield() { runtime.Gosched() }

//go:noinline
func churnDeep(n int, f func()) {
	var room [64]byte
	if n == 0 {
		f()
		return
	}
	churnDeep(n-1, f)
	sink += int(room[n%64])
}

//go:noinline
func churnPing() {
	a, b := make(chan int), make(chan int)
	go churnPong(a, b)
	for i := 0; i < 5; i++ {
		a <- i
		<-b
	}
	close(a)
}

func churnPong(a, b chan int) {
	for v := range a {
		b <- v
	}
}

//go:noinline
func churnSpawn() {
	var wg sync.WaitGroup
	for i := 0; i < 5; i++ {
		wg.Add(1)
		go churnChild(&wg, i)
	}
	wg.Wait()
}

func churnChild(wg *sync.WaitGroup, i int) {
	churnDeep(i*10, churnYield)
	wg.Done()
}

func collector() {
	for {
		runtime.GC()
		debug.FreeOSMemory()
		time.Sleep(time.Millisecond)
	}
}

func leaker() {
	for {
		go leaked(make(chan int))
		go recurs()
		time.Sleep(100 * time.Millisecond)
	}
}

func leaked(c chan int) { <-c }

func recurs() {
	for {
		time.Sleep(70 * time.Millisecond)
	}
}

// Sleeps until /stick is asked for, then waits for ever.
func sticks(stick *int32) {
	for atomic.LoadInt32(stick) == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	<-never
}

func spinner() {
	for {
		spin()
	}
}

//go:noinline
func spin() {
	for i := 0; i < 1000; i++ {
		sink += i
	}
}

//go:noinline
func turn() {
	for i := 0; i < 300000; i++ {
		sink += i
	}
	runtime.Gosched()
}

func turnEven() {
	for {
		turn()
	}
}

func turnOdd() {
	for {
		turn()
	}
}

// A stack as that of a server's request.
func request()               { requestServe() }

//go:noinline
func requestServe()          { requestHandle(1); sink++ }

//go:noinline
func requestHandle(n int)    { requestDecode(n); sink++ }

//go:noinline
func requestDecode(n int)    { requestQuery(n, 2); sink++ }

//go:noinline
func requestQuery(n, k int)  { requestRound(n+k); sink++ }

//go:noinline
func requestRound(n int)     { requestWait(); sink += n }

//go:noinline
func requestWait() {
	select {
	case <-never:
	case never2 <- 1:
	}
}

var longest int64

func meter() {
	runtime.LockOSThread()
	last := time.Now()
	for {
		now := time.Now()
		if d := int64(now.Sub(last)); d > atomic.LoadInt64(&longest) {
			atomic.StoreInt64(&longest, d)
		}
		last = now
	}
}

func start(n int, f func()) {
	for i := 0; i < n; i++ {
		go f()
	}
}

func main() {
	n := flag.Int("n", 300, "")
	churn := flag.Int("churn", 0, "")
	leak := flag.Bool("leak", false, "")
	spinners := flag.Int("spin", 0, "")
	turns := flag.Int("turns", 0, "")
	bulk := flag.Int("bulk", 0, "")
	hasMeter := flag.Bool("meter", false, "")
	flag.Parse()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	idle, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { idle.Accept(); <-never }()
	if conn, err = net.Dial("tcp", idle.Addr().String()); err != nil {
		log.Fatal(err)
	}
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		log.Fatal(err)
	}
	pipe = fds[0]
	mu.Lock()
	rw.Lock()
	group.Add(1)
	for _, f := range []func(){receive, send, nilReceive, nilSend, selectTwo, selectNone, lockMutex, readLock, writeLock,
		waitCond, waitGroup, sleepLong, timer, rangeChan, inlined, genericReceive, throughInterface, animal{never}.Wait,
		(&animal{never}).PWait, deferred, recovered, panicked, closure, deepReceive} {
		start(*n, f)
	}
	start(5, deeperReceive)
	start(3, readConn)
	start(3, readPipe)
	start(3, locked)
	for i := 0; i < *n; i++ {
		go labelled(i)
	}
	for i := 0; i < *churn; i++ {
		go churner(i)
	}
	if *churn > 0 {
		go collector()
	}
	if *leak {
		go leaker()
	}
	var stick int32
	if *leak {
		go sticks(&stick)
		http.HandleFunc("/stick", func(w http.ResponseWriter, r *http.Request) { atomic.StoreInt32(&stick, 1) })
	}
	start(*spinners, spinner)
	if *turns > 0 {
		runtime.GOMAXPROCS(1)
		start(*turns, turnEven)
		start(*turns, turnOdd)
	}
	start(*bulk, request)
	if *hasMeter {
		go meter()
		http.HandleFunc("/stall", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, atomic.SwapInt64(&longest, 0))
		})
	}
	startExtra()

	// until all wait
	for i := 0; i < 100 && *churn == 0 && *spinners+*turns == 0 && !*hasMeter; i++ {
		time.Sleep(20 * time.Millisecond)
		if !strings.Contains(dump(), "[runnable") {
			break
		}
	}
	go http.Serve(listener, nil)
	ctl.Ready(fmt.Sprintf("%q:%q", "http", listener.Addr().String()))
	ctl.Serve(0)
}

func dump() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

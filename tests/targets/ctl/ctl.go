// SPDX-License-Identifier: Apache-2.0

// Package ctl is what the test programs share: CPU clocks that tell the truth about where time went, and a control
// channel on stdin and stdout. It uses little of the standard library, so that it builds fast with every Go version.
//
// On start a program prints one line of JSON: {"ready":true,"pid":N,"go":"goX.Y"}. Then, for each line on stdin:
//
//	truth                    one line of JSON: wall and CPU time of the process, CPU time per phase (ns)
//	profile FILE SECONDS     writes Go's own CPU profile of that window to FILE, answers {"done":true}
//	profile250 FILE SECONDS  the same at 250 Hz, for its stacks: the file still claims 100 Hz
//	quit                     exits
//
// When stdin ends the program exits, so none outlives the test that started it.
package ctl

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	processClock = 2
	threadClock  = 3
)

func clock(id uintptr) int64 {
	var ts syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// ThreadCPU is the CPU time of the calling thread in nanoseconds; the caller has locked its thread.
func ThreadCPU() int64 { return clock(threadClock) }

// ProcessCPU is the CPU time of the whole process in nanoseconds.
func ProcessCPU() int64 { return clock(processClock) }

// Phase counts the CPU time that was spent in one function, which is called Name.
type Phase struct {
	Name string
	ns   int64
}

var (
	mu     sync.Mutex
	phases []*Phase
)

// NewPhase makes a phase which the answer to "truth" lists.
func NewPhase(name string) *Phase {
	p := &Phase{Name: name}
	mu.Lock()
	phases = append(phases, p)
	mu.Unlock()
	return p
}

// Add counts the thread CPU time since start.
func (p *Phase) Add(start int64) {
	atomic.AddInt64(&p.ns, ThreadCPU()-start)
}

// AddNs counts a time that the caller has measured.
func (p *Phase) AddNs(ns int64) {
	atomic.AddInt64(&p.ns, ns)
}

func truth() string {
	var b strings.Builder
	mu.Lock()
	defer mu.Unlock()
	fmt.Fprintf(&b, `{"wall_ns":%d,"cpu_ns":%d,"phases":{`, time.Now().UnixNano(), ProcessCPU())
	for i, p := range phases {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%d", p.Name, atomic.LoadInt64(&p.ns))
	}
	b.WriteString("}}")
	return b.String()
}

func profile(path, seconds string, fast bool) error {
	d, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if fast {
		// StartCPUProfile then complains on stderr that it cannot set its own rate, and goes on with this one
		runtime.SetCPUProfileRate(250)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	time.Sleep(d)
	pprof.StopCPUProfile()
	return f.Close()
}

// Ready prints the first line; extra is more JSON members, or empty.
func Ready(extra string) {
	if extra != "" {
		extra = "," + extra
	}
	fmt.Printf("{\"ready\":true,\"pid\":%d,\"go\":%q%s}\n", os.Getpid(), runtime.Version(), extra)
}

// Serve answers on stdin and stdout until stdin ends, or, when seconds is positive, only waits that long and prints the
// truth. It doesn't return.
func Serve(seconds float64) {
	if seconds > 0 {
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		fmt.Println(truth())
		os.Exit(0)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		switch {
		case len(words) == 1 && words[0] == "truth":
			fmt.Println(truth())
		case len(words) == 3 && (words[0] == "profile" || words[0] == "profile250"):
			if err := profile(words[1], words[2], words[0] != "profile"); err != nil {
				fmt.Printf("{\"error\":%q}\n", err.Error())
			} else {
				fmt.Println(`{"done":true}`)
			}
		case len(words) == 1 && words[0] == "quit":
			os.Exit(0)
		default:
			fmt.Printf("{\"error\":\"what is %q?\"}\n", in.Text())
		}
	}
	os.Exit(0)
}

// SPDX-License-Identifier: Apache-2.0

// dlopen_mid spins in Go, and after -after loads -lib with dlopen and spins in its mid_spin.
package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

typedef unsigned long (*spin_fn)(unsigned long);

static spin_fn load(const char *path)
{
	void *lib = dlopen(path, RTLD_NOW);

	return lib ? (spin_fn)dlsym(lib, "mid_spin") : (spin_fn)0;
}

static unsigned long call(spin_fn fn, unsigned long n)
{
	return fn(n) + 1;
}
*/
import "C"

import (
	"flag"
	"os"
	"runtime"
	"time"
	"unsafe"

	"prowltest/ctl"
)

var (
	phaseBefore = ctl.NewPhase("main.before")
	phaseAfter  = ctl.NewPhase("main.after")
	sink        uint64
)

//go:noinline
func before() {
	t := ctl.ThreadCPU()
	for i := uint64(0); i < 1_000_000; i++ {
		sink = sink*6364136223846793005 + i
	}
	phaseBefore.Add(t)
}

//go:noinline
func after(fn C.spin_fn) {
	t := ctl.ThreadCPU()
	sink += uint64(C.call(fn, 100_000))
	phaseAfter.Add(t)
}

func main() {
	lib := flag.String("lib", "", "the library")
	wait := flag.Duration("after", time.Second, "when to load it")
	seconds := flag.Float64("seconds", 0, "run so long, print the truth and exit; 0: serve on stdin")
	flag.Parse()
	go func() {
		runtime.LockOSThread()
		for start := time.Now(); time.Since(start) < *wait; {
			before()
		}
		path := C.CString(*lib)
		fn := C.load(path)
		C.free(unsafe.Pointer(path))
		if fn == nil {
			os.Exit(1)
		}
		for {
			after(fn)
		}
	}()
	ctl.Ready("")
	ctl.Serve(*seconds)
}

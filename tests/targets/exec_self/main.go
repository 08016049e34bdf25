// SPDX-License-Identifier: Apache-2.0

// exec_self spins in main.beforeExec, and after -after executes itself (or -program) in its place and spins in
// main.afterExec.
package main

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"prowltest/ctl"
)

var sink uint64

//go:noinline
func spin() {
	for i := uint64(0); i < 100_000; i++ {
		sink = sink*6364136223846793005 + i
	}
}

//go:noinline
func beforeExec(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
		spin()
	}
}

//go:noinline
func afterExec() {
	for {
		spin()
		sink++
	}
}

func main() {
	wait := flag.Duration("after", time.Second, "when to execute")
	program := flag.String("program", "", "executed with no arguments; default: itself")
	second := flag.Bool("second", false, "this is the second life")
	flag.Parse()
	if *second {
		go afterExec()
		ctl.Serve(0)
	}
	ctl.Ready("")
	beforeExec(*wait)
	args := []string{"/proc/self/exe", "-second"}
	if *program != "" {
		args = []string{*program}
	}
	fmt.Fprintln(os.Stderr, syscall.Exec(args[0], args, os.Environ()))
	os.Exit(1)
}

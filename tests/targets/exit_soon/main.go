// SPDX-License-Identifier: Apache-2.0

// exit_soon spins and exits with status -status after -after.
package main

import (
	"flag"
	"os"
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

func main() {
	after := flag.Duration("after", 500*time.Millisecond, "when to exit")
	status := flag.Int("status", 0, "exit status")
	flag.Parse()
	ctl.Ready("")
	for start := time.Now(); time.Since(start) < *after; {
		spin()
	}
	os.Exit(*status)
}

// SPDX-License-Identifier: Apache-2.0

// cgo_cleanup is always busy in C++ code that an exception would have to clean up.
package main

// unsigned long with_cleanup(unsigned long n);
import "C"

import (
	"fmt"
	"os"
)

var sink C.ulong

//go:noinline
func goCallsCleanup() {
	for i := 0; i < 100; i++ {
		sink = C.with_cleanup(sink)
	}
}

func main() {
	fmt.Fprintln(os.Stdout, `{"ready":true}`)
	for {
		goCallsCleanup()
	}
}

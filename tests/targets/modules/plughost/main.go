// SPDX-License-Identifier: Apache-2.0

// Loads a plugin; works in it and waits in it, in goroutines of its own.
package main

import (
	"fmt"
	"os"
	"plugin"
	"runtime/pprof"
)

func main() {
	p, err := plugin.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	work, _ := p.Lookup("Work")
	wait, _ := p.Lookup("Wait")
	pprof.Lookup("heap") // so that allocations are recorded
	never := make(chan int)
	for i := 0; i < 3; i++ {
		go wait.(func(chan int))(never)
	}
	fmt.Println("ready")
	for {
		work.(func())()
	}
}

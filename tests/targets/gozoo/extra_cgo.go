// SPDX-License-Identifier: Apache-2.0

//go:build cgo
// +build cgo

package main

/*
#include <unistd.h>

void goWaits(void);
static void sleepInC(void) { for (;;) pause(); }
static void callGo(void) { goWaits(); }
*/
import "C"

//export goWaits
func goWaits() { <-never }

func inC()      { C.sleepInC() }
func callback() { C.callGo() }

func startExtra() {
	start(3, inC)
	start(3, callback)
}

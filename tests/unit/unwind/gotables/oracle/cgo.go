// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

/*
static int twice_in_c(int n) { return 2 * n; }
*/
import "C"

func init() { _ = C.twice_in_c(1) }

// SPDX-License-Identifier: Apache-2.0

package main

// As in init_a.go, on another line.

var atStartB = make([]byte, 16<<20) // line 7

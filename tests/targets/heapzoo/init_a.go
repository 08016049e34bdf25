// SPDX-License-Identifier: Apache-2.0

package main

import "runtime/debug"

// No collection before the flags are read.
var gcAtStart = debug.SetGCPercent(-1)

// Large enough to be recorded at any rate. One function of the package, main.init, has a part in each of its files.
var atStartA = make([]byte, 16<<20) // line 11

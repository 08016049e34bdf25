// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package ctl

// With cgo every program is linked with C code and libc, as Debian's Go programs are.

import "C"

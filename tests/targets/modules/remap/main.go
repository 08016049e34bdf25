// SPDX-License-Identifier: Apache-2.0

// A program whose text is moved to anonymous memory at the same place, as those do that want it in large pages. How is
// told by REMAP: whole, part (neither its beginning nor its end), changed (it is not what the file has
// any more), memfd (to a file in memory); else it stays where it is.
package main

/*
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void find(uintptr_t *from, uintptr_t *to)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uintptr_t a, b, here = (uintptr_t)&find;
	char line[4096];

	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx", &a, &b) == 2 && here >= a && here < b) {
			*from = a;
			*to = b;
		}
	fclose(f);
}

// What is between two functions of Go, and never runs.
static void change(char *copy, size_t len)
{
	for (size_t i = 0, n = 0; i < len; i++) {
		n = copy[i] == (char)0xcc ? n + 1 : 0;
		if (n == 12)
			copy[i] = (char)0x90;
	}
}

__attribute__((constructor)) static void remap(void)
{
	const char *how = getenv("REMAP");
	uintptr_t from = 0, to = 0;
	int fd = -1;
	char *copy;

	if (!how)
		return;
	find(&from, &to);
	if (!strcmp(how, "part")) {
		from += 0x2000;
		to -= 0x2000;
	}
	if (!strcmp(how, "memfd")) {
		fd = memfd_create("text", 0);
		if (ftruncate(fd, to - from) < 0)
			abort();
	}
	copy = mmap(NULL, to - from, PROT_READ | PROT_WRITE,
		    fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	memcpy(copy, (void *)from, to - from);
	if (!strcmp(how, "changed"))
		change(copy, to - from);
	mprotect(copy, to - from, PROT_READ | PROT_EXEC);
	mremap(copy, to - from, to - from, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)from);
}
*/
import "C"

import (
	"fmt"
	"runtime/pprof"
)

var (
	sink int
	keep [][]byte
)

//go:noinline
func leaf(n int) (s int) {
	for i := 0; i < n; i++ {
		s += i*i ^ s
	}
	return s
}

//go:noinline
func middle(n int) int { return leaf(n) + 1 }

//go:noinline
func wait(never chan int) { <-never }

func main() {
	pprof.Lookup("heap") // so that allocations are recorded
	never := make(chan int)
	for i := 0; i < 3; i++ {
		go wait(never)
	}
	fmt.Println("ready")
	for {
		sink += middle(1000000)
		keep = append(keep, make([]byte, 128<<10))
		if len(keep) > 64 {
			keep = keep[32:]
		}
	}
}

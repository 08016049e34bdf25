#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes the seeds of fuzz_elfsym into corpus/elfsym, next to this script: one small program with its names in all the
# places where they can be. Needs gcc, objcopy, strip and xz.
set -euo pipefail
cd "$(dirname "$0")"
out=corpus/elfsym
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out"
cat >"$tmp/p.c" <<'C'
static inline __attribute__((always_inline)) int add(int a, int b) { return a * 3 + b; }
__attribute__((noinline)) int _ZN3app6Server6handleEi(int n) { return add(n, 7) ^ add(7, n); }
void _start(void)
{
	int r = _ZN3app6Server6handleEi(1);
	__asm__ volatile("syscall" : : "a"(60), "D"(r));
	for (;;)
		;
}
C
build() { gcc -O2 -nostdlib -static -fno-asynchronous-unwind-tables -fdebug-prefix-map="$tmp"=/src -Wl,--build-id=none -Wl,-z,noseparate-code "$@" "$tmp/p.c"; }
build -o "$out/symtab"
build -g -gdwarf-5 -o "$out/dwarf5"
build -g -gdwarf-4 -o "$out/dwarf4"
build -g -gdwarf-5 -gz=zlib -o "$out/dwarf5_packed"
build -shared -fPIC -o "$out/dynsym" && strip "$out/dynsym"
cp "$out/symtab" "$out/stripped" && strip "$out/stripped"
cp "$out/stripped" "$tmp/mini"
objcopy --only-keep-debug "$out/symtab" "$tmp/debug"
xz -k -f "$tmp/debug"
cp "$out/stripped" "$out/gnu_debugdata"
objcopy --add-section .gnu_debugdata="$tmp/debug.xz" "$out/gnu_debugdata"
(cd "$tmp" && objcopy --add-gnu-debuglink=debug mini)
cp "$tmp/mini" "$out/debuglink"
chmod 644 "$out"/*

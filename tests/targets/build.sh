#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds one test program: build.sh GOROOT OUTDIR NAME VARIANT [GO BUILD ARGUMENTS...], prints the path of the binary.
#
#   static     CGO_ENABLED=0                   stripped   static, without symbol table and DWARF
#   pie        position independent            piestripped  both
#   external   linked by the system's linker   cgo        with C code
#   arm64      static, for that machine   noinline  static, not optimised
#   cstatic    with C code, linked statically as gcc does: without .eh_frame_hdr
#   musl       the same with musl-gcc
#
# With arguments (say -pgo=FILE) the binary is always built anew; otherwise only when a source is newer.
set -euo pipefail
if [ $# -lt 4 ]; then
	sed -n '3,11s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
goroot=$1 out=$2 name=$3 variant=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
binary=$out/$name-$variant
flags=(-buildvcs=false)
cgo=0 arch=
case "$variant" in
static) ;;
stripped) flags+=('-ldflags=-s -w') ;;
pie) flags+=(-buildmode=pie) ;;
piestripped) flags+=(-buildmode=pie '-ldflags=-s -w') ;;
external) cgo=1 flags+=('-ldflags=-linkmode=external') ;;
cgo) cgo=1 ;;
arm64) arch=arm64 ;;
cstatic) cgo=1 flags+=('-ldflags=-linkmode=external -extldflags=-static') ;;
musl) cgo=1 flags+=('-ldflags=-linkmode=external -extldflags=-static') && export CC=musl-gcc ;;
noinline) flags+=('-gcflags=all=-N -l') ;;
cgostripped) cgo=1 flags+=('-ldflags=-s -w') ;;
*) echo "build.sh: no variant '$variant'" >&2 && exit 2 ;;
esac
mkdir -p "$out"
if [ $# -gt 0 ] || [ ! -x "$binary" ] ||
	[ -n "$(find "$here/$name" "$here/ctl" "$here/build.sh" -newer "$binary" -print -quit)" ]; then
	(
		cd "$here/$name"
		unset GOPATH GOBIN GOOS GOARCH
		[ -z "$arch" ] || export GOARCH=$arch
		export GOROOT=$goroot GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=mod GO111MODULE=on GOENV=off
		export GOTELEMETRY=off GOCACHE=${GOCACHE:-$(dirname "$out")/gocache} CGO_ENABLED=$cgo
		export GOWORK=off GOPATH=$GOCACHE/gopath
		"$goroot/bin/go" build "${flags[@]}" "$@" -o "$binary.$$" .
		mv "$binary.$$" "$binary"
		if [ -e mid.c ]; then
			"${CC:-cc}" -O2 -g -fPIC -shared -fomit-frame-pointer -o "$out/libmid.so" mid.c
		fi
	) >&2
fi
printf '%s\n' "$binary"

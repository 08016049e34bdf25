// SPDX-License-Identifier: Apache-2.0

// The program under test tells what Go itself says about its own pcs, from stdin: first the link-time
// address of main.main, then one pc a line, all hexadecimal. For each it prints the frames that
// runtime.CallersFrames gives, innermost first, and an empty line. With the argument "stacks" it
// prints stacks instead, taken in the middle of library code: "pc" lines, then the frames.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"text/template"
)

var out = bufio.NewWriter(os.Stdout)
var bias uintptr

func startLine(f *runtime.Frame) int64 {
	v := reflect.ValueOf(*f).FieldByName("startLine")
	if !v.IsValid() {
		return -1
	}
	return v.Int()
}

// An inlined frame is only followed by those that it was inlined into when another pc comes next
// (Go 1.21 and later; before, a single pc gives one frame). So callers may add one that is not shown.
func printFrames(pcs []uintptr, drop uintptr) {
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if !more && f.PC+1 == drop {
			break
		}
		file := f.File
		if file == "" {
			file = "?"
		}
		fmt.Fprintf(out, "%s\t%s:%d\t%d\n", f.Function, file, f.Line, startLine(&f))
		if !more {
			break
		}
	}
	fmt.Fprintln(out)
}

//go:noinline
func dump() {
	pcs := make([]uintptr, 200)
	pcs = pcs[:runtime.Callers(0, pcs)]
	for _, pc := range pcs {
		fmt.Fprintf(out, "pc\t%x\n", pc-bias)
	}
	printFrames(pcs, 0)
}

type number int

func (n number) MarshalJSON() ([]byte, error) { leaf(int(n)); return []byte(strconv.Itoa(int(n))), nil }
func (n number) String() string               { leaf(int(n)); return "n" }
func (n *number) set(to int)                  { *n = number(to); leaf(to) }

func leaf(n int) {
	if n > 0 {
		dump()
	}
}
func twice(n int)  { leaf(n); leaf(n - 1) }
func thrice(n int) { twice(n); leaf(n) }
func apply[T any](x []T, f func(T)) {
	for _, v := range x {
		f(v)
	}
}

type list[T any] struct{ items []T }

func (l *list[T]) each(f func(T)) { apply(l.items, f) }

type inner struct{ n number }

func (i inner) Touch() { thrice(int(i.n)) }

type outer struct{ inner }
type toucher interface{ Touch() }

func stacks() {
	thrice(2)
	sort.Slice([]int{3, 1, 2}, func(i, j int) bool { leaf(1); return i < j })
	json.Marshal(map[string]interface{}{"a": []number{1, 2}})
	regexp.MustCompile("a+").ReplaceAllStringFunc("xaayaa", func(s string) string { leaf(1); return s })
	strings.Map(func(r rune) rune { leaf(1); return r }, "ab")
	template.Must(template.New("x").Parse("{{.F 1}} {{range .L}}{{.}}{{end}}")).Execute(os.Stderr,
		struct {
			F func(int) string
			L []number
		}{func(n int) string { twice(n); return "" }, []number{4}})
	(&list[number]{[]number{1, 2}}).each(func(n number) { thrice(int(n)) })
	var n number
	set := n.set
	set(3)
	for _, t := range []toucher{outer{inner{2}}, &outer{inner{2}}, inner{1}} {
		t.Touch()
	}
	var once sync.Once
	once.Do(func() { thrice(1) })
	func() {
		defer func() { recover(); twice(1) }()
		var p *int
		*p = 1
	}()
	func() {
		defer set(1)
		defer func() { fmt.Fprintln(os.Stderr, errors.Unwrap(fmt.Errorf("%w", errors.New("e"))), n) }()
	}()
	var wg sync.WaitGroup
	wg.Add(1)
	go func(n int) { defer wg.Done(); twice(n) }(2)
	wg.Wait()
	m := sync.Map{}
	m.Store(1, 2)
	m.Range(func(k, v interface{}) bool { thrice(1); return true })
	func() {
		defer func() { recover() }()
		defer func() { leaf(1) }()
		var t toucher = (*outer)(nil)
		t.Touch()
	}()
}

func main() {
	defer out.Flush()
	in := bufio.NewScanner(os.Stdin)
	if !in.Scan() {
		return
	}
	link, _ := strconv.ParseUint(in.Text(), 16, 64)
	bias = reflect.ValueOf(main).Pointer() - uintptr(link)
	if len(os.Args) > 1 {
		stacks()
		return
	}
	last := reflect.ValueOf(main).Pointer() + 1
	for in.Scan() {
		pc, _ := strconv.ParseUint(in.Text(), 16, 64)
		printFrames([]uintptr{uintptr(pc) + bias + 1, last}, last)
	}
}

// SPDX-License-Identifier: Apache-2.0

// Command golayout writes unwind/golayout_table.c: for each Go toolchain named it builds a small
// program for amd64 and arm64 and reads the offsets of the runtime's structures from the DWARF. Rows
// of versions for which no toolchain is named stay as they are in the file. With -check nothing is
// written, and a difference is an error.
//
//	GOTOOLCHAIN=local go run tests/golayout/golayout.go [-check] unwind/golayout_table.c GOROOT...
//
// The numbers of functions (funcID) come from the toolchain's sources, since they are constants.
package main

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// A use of runtime/pprof keeps its types in the DWARF, one of timers and channels most of the rest.
const program = `package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
)

func main() {
	pprof.Do(context.Background(), pprof.Labels("a", "b"), func(context.Context) {
		pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
	})
	frames := runtime.CallersFrames(make([]uintptr, 9))
	frames.Next()
}
`

// field of the table's struct: its name there, and the names that it has had in Go.
type field struct {
	c   string
	gos []string
}

type group struct {
	c, typ string
	size   bool
	fields []field
}

func f(c string, names ...string) field {
	if len(names) == 0 {
		names = []string{c}
	}
	return field{c, names}
}

var groups = []group{
	{"header", "runtime.pcHeader", false, []field{f("nfunc"), f("funcname", "funcnameOffset"),
		f("cu", "cuOffset"), f("filetab", "filetabOffset"), f("pctab", "pctabOffset"),
		f("pcln", "pclnOffset")}},
	{"func", "runtime._func", false, []field{f("name", "nameOff", "nameoff"), f("pcsp"), f("pcfile"),
		f("pcln"), f("npcdata"), f("cu", "cuOffset"), f("start_line", "startLine"),
		f("id", "funcID"), f("flag"), f("nfuncdata")}},
	{"inl", "runtime.inlinedCall", true, []field{f("parent"), f("id", "funcID"), f("file"), f("line"),
		f("name", "nameOff", "func_"), f("parent_pc", "parentPc"), f("start_line", "startLine")}},
	{"module", "runtime.moduledata", true, []field{f("funcnametab"), f("cutab"), f("filetab"),
		f("pctab"), f("pclntable"), f("ftab"), f("minpc"), f("maxpc"), f("text"), f("etext"),
		f("noptrdata"), f("enoptrdata"), f("data"), f("edata"), f("bss"), f("ebss"),
		f("noptrbss"), f("enoptrbss"), f("end"), f("types"), f("etypes"), f("rodata"), f("gofunc"),
		f("textsectmap"), f("modulename"), f("hasmain"), f("bad"), f("next")}},
	{"g", "runtime.g", true, []field{f("stack"), f("panic", "_panic"), f("defer", "_defer"), f("m"),
		f("sched"), f("syscallsp"), f("syscallpc"), f("syscallbp"), f("atomicstatus"), f("goid"),
		f("schedlink"), f("waitsince"), f("waitreason"), f("lockedm"),
		f("parent_goid", "parentGoid"), f("gopc"), f("ancestors"), f("startpc"), f("waiting"),
		f("labels")}},
	{"gobuf", "runtime.gobuf", false, []field{f("sp"), f("pc"), f("g"), f("lr"), f("bp")}},
	{"m", "runtime.m", true, []field{f("g0"), f("procid"), f("gsignal"), f("tls"), f("curg"), f("p"),
		f("id"), f("incgo"), f("ncgo"), f("alllink"), f("lockedg"), f("createstack"),
		f("freelink"), f("vdso_sp", "vdsoSP"), f("vdso_pc", "vdsoPC")}},
}

type layout struct {
	structs map[string]*dwarf.StructType
	labels  dwarf.Type
	magic   uint32
}

func die(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, "golayout: "+format+"\n", args...)
	os.Exit(1)
}

func build(root, arch, dir string) string {
	out := filepath.Join(dir, "p-"+arch)
	cmd := exec.Command(filepath.Join(root, "bin/go"), "build", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOROOT="+root, "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0",
		"GOTOOLCHAIN=local", "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off",
		"GOCACHE="+filepath.Join(dir, "cache"))
	if msg, err := cmd.CombinedOutput(); err != nil {
		die("%s: %v\n%s", root, err, msg)
	}
	return out
}

func read(path string) *layout {
	file, err := elf.Open(path)
	if err != nil {
		die("%v", err)
	}
	defer file.Close()
	data, err := file.DWARF()
	if err != nil {
		die("%s: %v", path, err)
	}
	tab, err := file.Section(".gopclntab").Data()
	if err != nil {
		die("%s: %v", path, err)
	}
	l := &layout{structs: map[string]*dwarf.StructType{}, magic: binary.LittleEndian.Uint32(tab)}
	for r := data.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			die("%s: %v", path, err)
		}
		if e == nil {
			return l
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		if e.Tag != dwarf.TagStructType && !(e.Tag == dwarf.TagTypedef && name == "runtime/pprof.labelMap") {
			continue
		}
		t, err := data.Type(e.Offset)
		if err != nil {
			die("%s: %s: %v", path, name, err)
		}
		if name == "runtime/pprof.labelMap" {
			l.labels = t
		}
		if s, ok := t.(*dwarf.StructType); ok {
			l.structs[name] = s
		}
	}
}

func (l *layout) offset(typ string, names []string) (int64, *dwarf.StructField) {
	s := l.structs[typ]
	if s == nil {
		die("no type %s in the DWARF", typ)
	}
	for _, name := range names {
		for _, x := range s.Field {
			if x.Name == name {
				return x.ByteOffset, x
			}
		}
	}
	return -1, nil
}

// The constants of one block that counts with iota, by name in lower case and without the prefix.
func funcIDs(root string) map[string]int {
	ids := map[string]int{}
	for _, path := range []string{"src/internal/abi/symtab.go", "src/runtime/symtab.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
		if err != nil {
			continue
		}
		for _, d := range tree.Decls {
			block, ok := d.(*ast.GenDecl)
			if !ok || block.Tok != token.CONST {
				continue
			}
			for i, spec := range block.Specs {
				name := strings.ToLower(spec.(*ast.ValueSpec).Names[0].Name)
				if short := strings.TrimPrefix(name, "funcid"); short != name {
					ids[strings.TrimPrefix(short, "_")] = i
				}
			}
		}
		if len(ids) > 0 {
			return ids
		}
	}
	die("%s: no function ids", root)
	return nil
}

func row(l *layout, ids map[string]int, minor, patch int) string {
	var b strings.Builder
	entry, ftab := int64(8), l.structs["runtime.functab"]
	if ftab == nil {
		die("no runtime.functab")
	}
	entry = ftab.Size() / 2
	_, slice := l.labels.(*dwarf.StructType)
	if t, ok := l.labels.(*dwarf.TypedefType); ok {
		_, slice = t.Type.(*dwarf.StructType)
	}
	fmt.Fprintf(&b, "\t/* go1.%d.%d */\n\t{\n", minor, patch)
	fmt.Fprintf(&b, "\t\t.minor = %d,\n\t\t.patch = %d,\n\t\t.magic = %#x,\n", minor, patch, l.magic)
	fmt.Fprintf(&b, "\t\t.pc_size = %d,\n", entry)
	fmt.Fprintf(&b, "\t\t.id_systemstack = %d,\n\t\t.id_wrapper = %d,\n", ids["systemstack"], ids["wrapper"])
	fmt.Fprintf(&b, "\t\t.labels_slice = %v,\n", slice)
	for _, g := range groups {
		var parts []string
		if g.size {
			parts = append(parts, fmt.Sprintf(".size = %d", l.structs[g.typ].Size()))
		}
		for _, x := range g.fields {
			v := "UW_GO_NONE"
			if off, _ := l.offset(g.typ, x.gos); off >= 0 {
				v = strconv.FormatInt(off, 10)
			}
			parts = append(parts, fmt.Sprintf(".%s = %s", x.c, v))
		}
		fmt.Fprintf(&b, "\t\t.%s = {%s},\n", g.c, strings.Join(parts, ", "))
	}
	b.WriteString("\t},\n")
	return b.String()
}

func version(root string) (minor, patch int) {
	text, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		die("%v", err)
	}
	m := regexp.MustCompile(`go1\.(\d+)(?:\.(\d+))?`).FindStringSubmatch(string(text))
	if m == nil {
		die("%s: no version", root)
	}
	minor, _ = strconv.Atoi(m[1])
	patch, _ = strconv.Atoi(m[2])
	return minor, patch
}

var rowStart = regexp.MustCompile(`(?m)^\t/\* go1\.(\d+)\.(\d+) \*/\n`)

type rows map[[2]int]string

// split gives what stands before the rows, the rows, and what stands behind them.
func split(text string) (string, rows, string) {
	at := rowStart.FindAllStringSubmatchIndex(text, -1)
	end := strings.Index(text, "\n};\n")
	if len(at) == 0 || end < 0 {
		die("the table has no rows")
	}
	all := rows{}
	for i, x := range at {
		minor, _ := strconv.Atoi(text[x[2]:x[3]])
		patch, _ := strconv.Atoi(text[x[4]:x[5]])
		to := end + 1
		if i+1 < len(at) {
			to = at[i+1][0]
		}
		all[[2]int{minor, patch}] = text[x[0]:to]
	}
	return text[:at[0][0]], all, text[end+1:]
}

// firstOf gives the release from which on the row of minor.patch is valid, as the table has it.
func firstOf(all rows, minor, patch int) int {
	first := 0
	for k := range all {
		if k[0] == minor && k[1] <= patch && k[1] > first {
			first = k[1]
		}
	}
	return first
}

func measure(root string, all rows) ([2]int, string) {
	dir, err := os.MkdirTemp("", "golayout")
	if err != nil {
		die("%v", err)
	}
	defer os.RemoveAll(dir)
	os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o666)
	os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module p\n\ngo 1.16\n"), 0o666)
	minor, patch := version(root)
	key := [2]int{minor, firstOf(all, minor, patch)}
	ids := funcIDs(root)
	amd64 := row(read(build(root, "amd64", dir)), ids, key[0], key[1])
	arm64 := row(read(build(root, "arm64", dir)), ids, key[0], key[1])
	if amd64 != arm64 {
		die("go1.%d: amd64 and arm64 differ:\n%s%s", minor, amd64, arm64)
	}
	return key, amd64
}

func main() {
	check := flag.Bool("check", false, "compare only")
	flag.Parse()
	if flag.NArg() < 2 {
		die("usage: golayout [-check] golayout_table.c GOROOT...")
	}
	path := flag.Arg(0)
	old, err := os.ReadFile(path)
	if err != nil {
		die("%v", err)
	}
	head, all, tail := split(string(old))
	different := false
	for _, root := range flag.Args()[1:] {
		key, text := measure(root, all)
		if all[key] != text {
			different = true
			fmt.Printf("go1.%d: had\n%snow\n%s", key[0], all[key], text)
		} else {
			fmt.Printf("go1.%d: as in the table\n", key[0])
		}
		all[key] = text
	}
	if *check {
		if different {
			os.Exit(1)
		}
		return
	}
	var keys [][2]int
	for k := range all {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i][0] < keys[j][0] || keys[i][0] == keys[j][0] && keys[i][1] < keys[j][1]
	})
	var out bytes.Buffer
	out.WriteString(head)
	for _, k := range keys {
		out.WriteString(all[k])
	}
	out.WriteString(tail)
	if err := os.WriteFile(path, out.Bytes(), 0o666); err != nil {
		die("%v", err)
	}
}

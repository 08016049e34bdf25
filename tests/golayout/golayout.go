// SPDX-License-Identifier: Apache-2.0

// Command golayout writes unwind/gotables/golayout_table.c: for each Go toolchain named it builds a small
// program for amd64 and arm64 and reads the offsets of the runtime's structures from the DWARF. Rows
// of versions for which no toolchain is named stay as they are in the file. With -check nothing is
// written, and a difference is an error.
//
//	GOTOOLCHAIN=local go run tests/golayout/golayout.go [-check] unwind/gotables/golayout_table.c GOROOT...
//
// The numbers of functions (funcID), the reasons of waiting and the like come from the toolchain's
// sources, since they are constants.
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
		f("labels"), f("running_cleanups", "runningCleanups"),
		f("bubble", "bubble", "syncGroup"), f("tracking_seq", "trackingSeq")}},
	{"gobuf", "runtime.gobuf", false, []field{f("sp"), f("pc"), f("g"), f("lr"), f("bp")}},
	{"m", "runtime.m", true, []field{f("g0"), f("morebuf"), f("procid"), f("gsignal"), f("tls"), f("curg"), f("p"),
		f("id"), f("incgo"), f("ncgo"), f("alllink"), f("lockedg"), f("createstack"),
		f("freelink"), f("vdso_sp", "vdsoSP"), f("vdso_pc", "vdsoPC")}},
	{"p", "runtime.p", false, []field{f("status"), f("schedtick"), f("m"), f("runqhead"),
		f("runqtail"), f("runq"), f("runnext")}},
	{"sudog", "runtime.sudog", false, []field{f("g"), f("elem"), f("is_select", "isSelect"),
		f("waitlink"), f("c")}},
	{"sched", "runtime.schedt", false, []field{f("goidgen"), f("nmidle"), f("nmidlelocked"),
		f("maxmcount"), f("nmsys"), f("ngsys"), f("npidle"), f("nmspinning"),
		f("runqsize", "runqsize", "runq.size"), f("gcwaiting")}},
	{"memstats", "runtime.mstats", false, []field{f("buckhash_sys"), f("numgc"), f("numforcedgc"),
		f("gc_cpu_fraction"), f("last_gc_unix"), f("pause_total_ns"), f("pause_ns"),
		f("pause_end"), f("heap_live")}},
	{"gc", "runtime.gcControllerState", false, []field{f("gc_percent", "gcPercent"),
		f("memory_limit", "memoryLimit"), f("heap_live", "heapLive"),
		f("heap_marked", "heapMarked"), f("heap_goal", "heapGoal"),
		f("gc_percent_heap_goal", "gcPercentHeapGoal"), f("heap_in_use", "heapInUse"),
		f("heap_released", "heapReleased"), f("heap_free", "heapFree"),
		f("total_alloc", "totalAlloc"), f("total_free", "totalFree"),
		f("mapped_ready", "mappedReady")}},
	{"ticks", "runtime.ticks", false, []field{f("val"), f("start_ticks", "startTicks"),
		f("start_time", "startTime")}},
}

// Variables whose type, or whose mere presence, the table tells.
var variables = []string{"runtime.ticks", "runtime.mProfCycle"}

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
		if e.Tag == dwarf.TagVariable {
			l.addVariable(data, e, name)
			continue
		}
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

// prologues is how functions of amd64 begin, by their machine code.
type prologues struct {
	late  bool // a frame is made first, then the frame pointer is stored in it
	skips bool // assembly that calls has no frame where it needs none for itself
}

func readPrologues(path string) prologues {
	file, err := elf.Open(path)
	if err != nil {
		die("%v", err)
	}
	defer file.Close()
	code := func(name string) []byte {
		var found elf.Symbol
		symbols, _ := file.Symbols()
		for _, s := range symbols {
			// Beside assembly, x.abi0, there may be x, by which Go calls it.
			if s.Name == name+".abi0" || s.Name == name && found.Size == 0 {
				found = s
			}
		}
		if found.Size == 0 {
			die("%s: no symbol %s", path, name)
		}
		section := file.Sections[found.Section]
		text := make([]byte, found.Size)
		if _, err := section.ReadAt(text, int64(found.Value-section.Addr)); err != nil {
			die("%s: %s: %v", path, name, err)
		}
		return text
	}
	const pushBP = 0x55
	main := code("main.main")
	late := bytes.Contains(main, []byte{0x48, 0x89, 0x6c, 0x24}) || // MOVQ BP, n(SP)
		bytes.Contains(main, []byte{0x48, 0x89, 0xac, 0x24})
	if late == bytes.Contains(main, []byte{pushBP, 0x48, 0x89, 0xe5}) { // PUSHQ BP; MOVQ SP, BP
		die("%s: main.main begins in a way that is not known", path)
	}
	return prologues{late: late, skips: code("runtime.systemstack")[0] != pushBP}
}

// addVariable keeps a variable's type under the variable's name: that of runtime.ticks has no name
// of its own in old versions.
func (l *layout) addVariable(data *dwarf.Data, e *dwarf.Entry, name string) {
	for _, v := range variables {
		if v != name {
			continue
		}
		t, err := data.Type(e.Val(dwarf.AttrType).(dwarf.Offset))
		if err != nil {
			die("%s: %v", name, err)
		}
		if s := structOf(t); s != nil {
			l.structs[name] = s
		}
	}
}

func structOf(t dwarf.Type) *dwarf.StructType {
	if d, ok := t.(*dwarf.TypedefType); ok {
		t = d.Type
	}
	s, _ := t.(*dwarf.StructType)
	return s
}

func (l *layout) need(typ string) *dwarf.StructType {
	s := l.structs[typ]
	if s == nil {
		die("no type %s in the DWARF", typ)
	}
	return s
}

// member finds a field, or by a name with a dot a field of a field.
func member(s *dwarf.StructType, name string) (int64, dwarf.Type) {
	name, rest, nested := strings.Cut(name, ".")
	for _, x := range s.Field {
		if x.Name != name {
			continue
		}
		if !nested {
			return x.ByteOffset, x.Type
		}
		if inner := structOf(x.Type); inner != nil {
			if off, t := member(inner, rest); off >= 0 {
				return x.ByteOffset + off, t
			}
		}
	}
	return -1, nil
}

func (l *layout) offset(typ string, names []string) (int64, dwarf.Type) {
	s := l.need(typ)
	for _, name := range names {
		if off, t := member(s, name); off >= 0 {
			return off, t
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

func source(root, path string) string {
	text, err := os.ReadFile(filepath.Join(root, "src", path))
	if err != nil {
		die("%v", err)
	}
	return string(text)
}

// waitReasons gives the texts of runtime.waitReasonStrings in the order of their numbers, those of
// the block that counts waitReason with iota.
func waitReasons(root string) []string {
	path := filepath.Join(root, "src/runtime/runtime2.go")
	tree, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		die("%v", err)
	}
	number, text := map[string]int{}, map[string]string{}
	for _, d := range tree.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for i, spec := range block.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if block.Tok == token.CONST && strings.HasPrefix(v.Names[0].Name, "waitReason") {
				number[v.Names[0].Name] = i
			}
			if v.Names[0].Name != "waitReasonStrings" {
				continue
			}
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				kv := e.(*ast.KeyValueExpr)
				text[kv.Key.(*ast.Ident).Name], _ = strconv.Unquote(kv.Value.(*ast.BasicLit).Value)
			}
		}
	}
	if len(number) == 0 || len(number) != len(text) {
		die("%s: %d reasons of waiting with %d texts", path, len(number), len(text))
	}
	list := make([]string, len(number))
	for name, i := range number {
		list[i] = text[name]
	}
	return list
}

var profDepth = regexp.MustCompile(`"profstackdepth".*def: (\d+)`)

// facts gives what of the profiles is no offset.
func facts(l *layout, root string) string {
	var b strings.Builder
	bytes, _ := l.offset("runtime.memRecordCycle", []string{"alloc_bytes"})
	_, count := l.offset("runtime.blockRecord", []string{"count"})
	_, float := count.(*dwarf.FloatType)
	pprof := source(root, "runtime/pprof/pprof.go") + source(root, "runtime/pprof/protomem.go")
	depth := "32"
	if m := profDepth.FindStringSubmatch(source(root, "runtime/runtime1.go")); m != nil {
		depth = m[1]
	}
	fmt.Fprintf(&b, "\t\t.mem_has_bytes = %v,\n", bytes >= 0)
	fmt.Fprintf(&b, "\t\t.block_count_float = %v,\n", float)
	fmt.Fprintf(&b, "\t\t.mutex_scaled_on_read = %v,\n", strings.Contains(pprof, "scaleMutexProfile"))
	fmt.Fprintf(&b, "\t\t.prof_cycle_struct = %v,\n", l.structs["runtime.mProfCycle"] == nil)
	fmt.Fprintf(&b, "\t\t.stack_depth = %s,\n", depth)
	reasons := waitReasons(root)
	fmt.Fprintf(&b, "\t\t.wait_reasons_count = %d,\n", len(reasons))
	b.WriteString("\t\t.wait_reasons = (const char *const[]){")
	for _, r := range reasons {
		fmt.Fprintf(&b, "%q, ", r)
	}
	b.WriteString("NULL},\n")
	return b.String()
}

func row(l *layout, p prologues, root string, ids map[string]int, minor, patch int) string {
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
	fmt.Fprintf(&b, "\t\t.fp_saved_late = %v,\n\t\t.fp_skips_frameless = %v,\n", p.late, p.skips)
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
	b.WriteString(facts(l, root))
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
	program := build(root, "amd64", dir)
	p := readPrologues(program)
	amd64 := row(read(program), p, root, ids, key[0], key[1])
	arm64 := row(read(build(root, "arm64", dir)), p, root, ids, key[0], key[1])
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

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what the reader of Go's tables says with what Go says.

usage: gosym_oracle.py GOSYM_DUMP [PCS]

Builds oracle/ with each toolchain in $PROWL_GO_ROOTS (else with the `go` on PATH), in each way of
linking that the machine can do (or those in $PROWL_ORACLE_VARIANTS), and compares on random pcs: the
whole inline chain with runtime.CallersFrames, run by the program itself; the function and the
innermost line with `go tool addr2line`; the chain with DWARF, where a line may differ now and then,
because line tables mark statements more finely. In a cross build both the reader and the program
run in Meson's exe_wrapper. Exit 77 means that there is no toolchain.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
EMULATOR = shlex.split(os.environ.get("MESON_EXE_WRAPPER", ""))  # of a cross build
KEEP_WRAPPER = {"runtime.gopanic", "runtime.sigpanic", "runtime.panicwrap"}
VARIANTS = [  # name, GOARCH, CGO_ENABLED, arguments
    ("static", "amd64", "0", []),
    ("pie", "amd64", "0", ["-buildmode=pie"]),
    ("stripped", "amd64", "0", ["-ldflags=-s -w"]),
    ("trimpath", "amd64", "0", ["-trimpath"]),
    ("noopt", "amd64", "0", ["-gcflags=all=-N -l"]),
    ("cgo", "amd64", "1", ["-ldflags=-linkmode=external"]),
    ("cgo-pie", "amd64", "1", ["-buildmode=pie", "-ldflags=-linkmode=external"]),
    ("arm64", "arm64", "0", []),
    ("arm64-pie", "arm64", "0", ["-buildmode=pie"]),
]


def run(args, text=""):
    return subprocess.run(args, input=text, stdout=subprocess.PIPE, check=True, text=True,
                          stderr=subprocess.DEVNULL).stdout


def blocks(text):
    """Groups of lines, each ended by an empty one."""
    groups, group = [], []
    for line in text.split("\n")[:-1]:
        if line:
            group.append(line.split("\t"))
        else:
            groups.append(group)
            group = []
    return groups


def short(name):
    """As runtime.funcNameForPrint: type arguments are left out."""
    lo, hi = name.find("["), name.rfind("]")
    return name[:lo] + "[...]" + name[hi + 1:] if 0 <= lo < hi else name


def native_arch():
    machine = os.environ.get("PROWL_MACHINE", os.uname().machine)
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine)


class Case:
    def __init__(self, label, dump, binary, goroot):
        self.label, self.dump, self.binary, self.goroot = label, dump, binary, goroot
        self.failures, self.notes = [], []

    def reader(self, *mode, text=""):
        return run([*EMULATOR, self.dump, self.binary, *mode], text)

    def fail(self, *what):
        self.failures.append(" ".join(str(w) for w in what))

    def note(self, text):
        self.notes.append(text)

    def own(self, pcs, ours, base):
        """The program's own answer."""
        theirs = blocks(run([*EMULATOR, self.binary], base + "\n" + "\n".join(pcs) + "\n"))
        chains = 0
        for pc, o, t in zip(pcs, ours, theirs):
            chains += len(t) > 1
            # Before 1.21 a single pc gives the innermost frame only.
            got = [(short(f[0]), f[1]) for f in o][:len(t)]
            # The runtime takes name offset 0, that of the first function, for none.
            if got and t and t[0][0] == "":
                t[0][0] = got[0][0]
            if got != [(short(f[0]), f[1]) for f in t]:
                # In padding after the last instruction neither has a line.
                if not (o and o[0][1] == "?:0" and t[0][1] in ("?:0", "?:-1")):
                    self.fail(pc, "ours", o, "theirs", t)
            elif any(f[2] not in ("-1", g[2]) for f, g in zip(t, o)):
                self.fail(pc, "start line: ours", o, "theirs", t)
        if len(theirs) != len(pcs):
            self.fail("the program gave", len(theirs), "answers for", len(pcs))
        self.note("own %d (%d inlined)" % (len(theirs), chains))

    def stacks(self, base):
        n = frames = 0
        for stack in blocks(run([*EMULATOR, self.binary, "stacks"], base + "\n")):
            pcs = [f[1] for f in stack if f[0] == "pc"]
            theirs = [(short(f[0]), f[1]) for f in stack if f[0] != "pc"]
            text = "".join("%x\n" % (int(pc, 16) - 1) for pc in pcs)
            expanded = blocks(self.reader(text=text))
            ours, i, called = [], 0, None
            while i < len(pcs):
                kept = 0
                for f in expanded[i]:
                    if f[3] != "w" or called in KEEP_WRAPPER:
                        ours.append((short(f[0]), f[1]))
                        kept += 1
                    called = f[0]
                i += max(kept, 1)
            if ours != theirs:
                self.fail("stack: ours", ours, "theirs", theirs)
            n += 1
            frames += len(theirs)
        if n == 0:
            self.fail("no stacks")
        self.note("stacks %d (%d frames)" % (n, frames))

    def addr2line(self, pcs, ours):
        text = "".join("0x%s\n" % pc for pc in pcs)
        lines = run([os.path.join(self.goroot, "bin/go"), "tool", "addr2line", self.binary],
                    text).split("\n")
        if set(lines[0::2]) <= {"?", ""}:
            # Up to 1.25 it doesn't find the tables that a C linker merged into .data.rel.ro.
            return self.note("addr2line knows nothing")
        for pc, o, name, place in zip(pcs, ours, lines[0::2], lines[1::2]):
            place = "?:0" if re.match(r"\??:-?[01]?$", place) else place
            if name.startswith("go:") and o and o[0][1] == "?:0":
                continue  # a mark of the linker, without tables: it decodes offset 0
            if not o or o[-1][0] != name or o[0][1] != place:
                self.fail(pc, "ours", o, "addr2line", name, place)
        self.note("addr2line %d" % (len(lines) // 2))

    def dwarf(self, pcs, ours):
        theirs = blocks(self.reader("dwarf", text="\n".join(pcs) + "\n"))
        names = places = compared = 0
        for pc, o, t in zip(pcs, ours, theirs):
            if not t or not o or o[0][1] == "?:0" or t[0][1] == "?:0":
                continue
            compared += 1
            if [f[0] for f in o] != [f[0].removesuffix(".abi0") for f in t]:
                names += 1
                if names > compared // 100 + 5:
                    self.fail(pc, "ours", o, "DWARF", t)
            elif [f[1] for f in o] != [f[1].removeprefix("./") for f in t]:
                places += 1
        if places > compared // 50 + 5:
            self.fail("lines differ from DWARF's:", places, "of", compared)
        self.note("DWARF %d (%d other chains, %d other lines)" % (compared, names, places))

    def check(self, count, arch, stripped):
        pcs = self.reader("random", str(count)).split()
        ours = blocks(self.reader(text="\n".join(pcs) + "\n"))
        base = self.reader("func", "main.main").split()[0]
        if arch == native_arch():
            self.own(pcs, ours, base)
            self.stacks(base)
        if not stripped:
            self.addr2line(pcs, ours)
            self.dwarf(pcs[:1000], ours)


def build(goroot, work, arch, cgo, args):
    source = os.path.join(work, "oracle")
    if not os.path.isdir(source):
        shutil.copytree(os.path.join(HERE, "oracle"), source)
        with open(os.path.join(source, "go.mod"), "w") as f:
            f.write("module oracle\n\ngo 1.18\n")
    version = run([os.path.join(goroot, "bin/go"), "env", "GOVERSION"]).strip()
    env = dict(os.environ, GOROOT=goroot, GOTOOLCHAIN="local", GOPROXY="off", GOFLAGS="-mod=mod",
               GOARCH=arch, CGO_ENABLED=cgo, GOOS="linux", GOWORK="off")
    kept = os.environ.get("PROWL_CACHE")  # of the other tests' programs, where tests/run runs this
    env["GOCACHE"] = os.path.join(kept, "targets", os.path.basename(goroot), "gocache") if kept else \
        os.path.join(work, "cache-" + version)
    binary = os.path.join(work, "oracle-%s-%s" % (version, len(os.listdir(work))))
    p = subprocess.run([os.path.join(goroot, "bin/go"), "build", "-o", binary, *args, "."],
                       cwd=source, env=env, stderr=subprocess.PIPE, text=True)
    return (binary if p.returncode == 0 else None), version, p.stderr


def goroots():
    roots = os.environ.get("PROWL_GO_ROOTS", "").split()
    if not roots and shutil.which("go"):
        roots = [run(["go", "env", "GOROOT"]).strip()]
    return [r for r in roots if os.access(os.path.join(r, "bin/go"), os.X_OK)]


def main():
    dump, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    wanted = os.environ.get("PROWL_ORACLE_VARIANTS", "").split()
    roots = goroots()
    if not roots:
        print("SKIP: no Go toolchain in PROWL_GO_ROOTS or on PATH")
        return 77
    bad = cases = 0
    with tempfile.TemporaryDirectory() as work:
        for root in roots:
            for name, arch, cgo, args in VARIANTS:
                if wanted and name not in wanted:
                    continue
                binary, version, err = build(root, work, arch, cgo, args)
                label = "%s %s" % (version, name)
                if not binary:
                    print(label, "NOT BUILT:", err.strip().split("\n")[-1])
                    continue
                case = Case(label, dump, binary, root)
                case.check(count, arch, name == "stripped")
                os.unlink(binary)
                cases += 1
                bad += bool(case.failures)
                print(label, "FAILED" if case.failures else "ok", "; ".join(case.notes), flush=True)
                for f in case.failures[:5]:
                    print("   ", f[:1000])
    print("%d cases, %d failed" % (cases, bad))
    return 1 if bad or not cases else 0


if __name__ == "__main__":
    sys.exit(main())

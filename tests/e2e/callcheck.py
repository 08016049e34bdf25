#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the stacks of a profile against the machine code and the tables of the programs that it is of.

    callcheck.py PROFILE [--gotables PROGRAM]      lists the worst pairs of frames, and exits 1 where they weigh too much

An oracle without noise: it does not ask how often something was seen, but whether it can be. For each two neighbours of
a stack the bytes before the return address must be a call that can have led to the callee: to its entry, to a function
that jumps there, or one whose target is not in the code. Each frame's function and line must be those of Go's own
tables. Written apart from prowl's code, for amd64.
"""

import bisect
import collections
import functools
import os
import re
import struct
import subprocess
import sys

import pprof

FOLLOW = 3  # jumps and wrappers, from the target of a call to the callee
EXACT = re.compile(r'runtime\.(sigpanic|asyncPreempt|debugCallV[12]|sigreturn|sigreturn__sigaction|sigtramp|cgoSigtramp)$|'
                   r'__restore_rt$|rt_sigreturn')
# The compiler's own functions around others, and those that it marks like them (cmd/internal/objabi/funcid.go).
WRAPPER = re.compile(r'\.(gowrap|deferwrap|func)\d+(\.\d+)*$|·dwrap·\d+$|-fm$|'
                     r'runtime\.(deferreturn|runOpenDeferFrame|deferCallSave|reflectcallSave)$')

# Ways from a caller to a callee that no instruction of the caller shows, each with its reason: (name of what is called,
# name of the callee).
SWITCHES = [
    # a function finds its stack too small, and morestack calls newstack on the thread's own
    (re.compile(r'runtime\.morestack(_noctxt|c)?(\.abi0)?$'), re.compile(r'runtime\.(newstack|morestack|badmorestack.*)$')),
    # jumps through a register to the one of call16 ... call1073741824 that has room for the arguments
    (re.compile(r'(runtime\.)?reflectcall$|reflect\.call$'), re.compile(r'runtime\.call\d+$')),
    # on the thread's own stack already, it jumps to the function that it was given
    (re.compile(r'runtime\.systemstack$'), re.compile('')),
]


class Elf:
    """What of a file is mapped and executed."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data = f.read()
        if self.data[:6] != b'\x7fELF\x02\x01':
            raise ValueError('%s: no ELF file of this kind' % path)
        phoff, shoff = struct.unpack_from('<QQ', self.data, 32)
        phsize, phnum, shsize, shnum, _ = struct.unpack_from('<5H', self.data, 54)
        self.segments = []
        for i in range(phnum):
            kind, _, offset, vaddr, _, filesz, _, _ = struct.unpack_from('<IIQQQQQQ', self.data, phoff + i * phsize)
            if kind == 1:
                self.segments.append((offset, vaddr, filesz))
        self.sections = [struct.unpack_from('<IIQQQQIIQQ', self.data, shoff + i * shsize) for i in range(shnum)]
        self.functions = {}
        for s in self.sections:
            if s[1] in (2, 11) and s[6] < shnum:  # symbols, dynamic symbols
                self._symbols(s, self.sections[s[6]])

    def _symbols(self, table, strings):
        for at in range(table[4], table[4] + table[5], 24):
            name, info, _, section, value, size = struct.unpack_from('<IBBHQQ', self.data, at)
            if info & 15 in (2, 10) and section and value:
                start = strings[4] + name
                self.functions[value] = (value + size, self.data[start:self.data.index(b'\0', start)].decode('latin-1'))

    def vaddr(self, offset):
        for start, vaddr, size in self.segments:
            if start <= offset < start + size:
                return offset - start + vaddr
        return None

    def at(self, vaddr, size):
        """Bytes at a link-time address, b'' where there are none."""
        for start, first, length in self.segments:
            if first <= vaddr and vaddr + size <= first + length:
                return self.data[start + vaddr - first:start + vaddr - first + size]
        return b''


Function = collections.namedtuple('Function', 'entry end name go made')


class Code:
    """One program or library: its functions, what calls and jumps there are, and what Go's tables say of addresses."""

    def __init__(self, path, gotables=None):
        self.elf = Elf(path)
        self.path, self.gotables = path, gotables
        self.lines = {}
        functions = {entry: Function(entry, end, name, False, False) for entry, (end, name) in self.elf.functions.items()}
        for f in self._ask([])[0]:
            functions[f.entry] = f
        self.functions = [functions[e] for e in sorted(functions)]
        self.entries = [f.entry for f in self.functions]

    def _ask(self, addresses):
        if not self.gotables:
            return [], []
        p = subprocess.run([self.gotables, self.path], input=''.join('%x\n' % a for a in addresses), text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if p.returncode != 0 and 'no pclntab' in p.stderr:  # no Go in it
            return [], []
        if p.returncode != 0:
            raise ValueError(p.stderr)
        functions, lines = [], []
        for line in p.stdout.splitlines():
            what, first, rest = line.split(' ', 2)
            if what == 'L':
                lines.append((int(first), rest))
            else:
                end, file, name = rest.split(' ', 2)
                functions.append(Function(int(first, 16), int(end, 16), name, True, file == 'made'))
        return functions, lines

    def learn(self, addresses):
        """Asks for the lines of these addresses, all at once."""
        addresses = sorted(addresses)
        self.lines.update(zip(addresses, self._ask(addresses)[1]))

    def function(self, address):
        i = bisect.bisect_right(self.entries, address) - 1
        f = self.functions[i] if i >= 0 else None
        return f if f and (address < f.end or address == f.entry) else None

    def call_before(self, end):
        """('direct', target), ('indirect', None) or None: the call that ends at this address."""
        b = self.elf.at(end - 8, 8)
        if len(b) < 8:
            return None
        if b[3] == 0xe8:
            target = end + struct.unpack('<i', b[4:])[0]
            # what only looks like one leads nowhere
            if self.elf.at(target, 1):
                return 'direct', target
        for size in range(2, 8):
            if b[8 - size] == 0xff and b[9 - size] >> 3 & 7 == 2 and size == self._length(b[9 - size:]):
                return 'indirect', None
        return None

    @staticmethod
    def _length(modrm):
        """Bytes of the instruction of a byte and a mod/rm operand that begins here."""
        mod, rm = modrm[0] >> 6, modrm[0] & 7
        if mod == 3:
            return 2
        sib = rm == 4
        if mod == 0 and (rm == 5 or sib and len(modrm) > 1 and modrm[1] & 7 == 5):
            return 2 + sib + 4
        return 2 + sib + {0: 0, 1: 1, 2: 4}[mod]

    @functools.lru_cache(None)
    def leads(self, start, end):
        """Where the direct jumps and calls of a function go, and whether it has some whose targets are not in the code."""
        b, jumps, calls = self.elf.at(start, end - start), set(), set()
        open_jump = open_call = False
        for i in range(len(b) - 1):
            if b[i] in (0xe8, 0xe9) and i + 5 <= len(b):
                (jumps if b[i] == 0xe9 else calls).add(start + i + 5 + struct.unpack_from('<i', b, i + 1)[0])
            elif b[i] == 0xeb:
                jumps.add(start + i + 2 + struct.unpack_from('<b', b, i + 1)[0])
            elif b[i] == 0x0f and b[i + 1] & 0xf0 == 0x80 and i + 6 <= len(b):
                jumps.add(start + i + 6 + struct.unpack_from('<i', b, i + 2)[0])
            elif b[i] == 0xff and b[i + 1] >> 3 & 7 == 4:
                open_jump = True
            elif b[i] == 0xff and b[i + 1] >> 3 & 7 == 2:
                open_call = True
        return jumps, calls, open_jump, open_call

    def is_wrapper(self, f):
        """One that the compiler made: the profile leaves it out, as Go's own does."""
        return f.made or bool(WRAPPER.search(f.name))

    def reaches(self, target, callee, depth=FOLLOW):
        """Can a call of this address have become the callee."""
        f = self.function(target)
        if f is None:
            return not any(g.go for g in (callee,))  # the linker's own, to a library
        if f == callee:
            return True
        if any(a.search(f.name) and b.search(callee.name) for a, b in SWITCHES):
            return True
        if depth == 0:
            return False
        onward, calls, open_jump, open_call = self.leads(f.entry, f.end)
        if f.go and self.is_wrapper(f):
            # the same function for another convention of calling, a method of a pointer for one of a value, ...
            onward = onward | calls
            open_jump = open_jump or open_call
        elif f.go:
            open_jump = False
        if open_jump:
            return True
        onward = {t for t in onward if not f.entry <= t < f.end}
        return callee.entry in onward or any(callee.entry <= t < callee.end for t in onward) or \
            any(g and g != f and (t == g.entry) and self.reaches(t, callee, depth - 1)
                for t in onward for g in [self.function(t)])


class Checker:
    def __init__(self, profile, gotables=None):
        self.profile, self.gotables = profile, gotables
        self.codes, self.bad, self.misnamed = {}, collections.Counter(), collections.Counter()
        self.weight = self.checked = self.wrong = self.unchecked = 0
        self.frames = self.wrong_frames = 0
        self.places = {}

    def code(self, path):
        if path not in self.codes:
            try:
                self.codes[path] = Code(path, self.gotables)
            except (OSError, ValueError) as e:
                if not path.startswith('['):
                    print('not checked: %s: %s' % (path, e), file=sys.stderr)
                self.codes[path] = None
        return self.codes[path]

    def place(self, location):
        """(code, link-time address) of a location, or None."""
        if location['id'] not in self.places:
            mapping = self.profile.mappings.get(location['mapping'])
            code = mapping and self.code(mapping['file'])
            address = code and code.elf.vaddr(location['address'] - mapping['start'] + mapping['offset'])
            self.places[location['id']] = (code, address) if address else None
        return self.places[location['id']]

    def pair(self, callee, caller):
        """Why a call at the one cannot have led to the other; None: it can; False: nobody can say."""
        to, at = self.place(callee), self.place(caller)
        if callee['frames'][-1].name.startswith('[') or caller['frames'][-1].name.startswith('['):
            return False
        if EXACT.search(callee['frames'][-1].name):
            return False  # it was interrupted
        if at is None:
            return False
        code, address = at
        call = code.call_before(address + 1)
        if call is None:
            return 'no call'
        if call[0] == 'indirect' or to is None or to[0] is not code:
            return None
        f = code.function(to[1])
        if f is None:
            return None
        if code.reaches(call[1], f):
            return None
        target = code.function(call[1])
        return 'calls %s' % (target.name if target else hex(call[1]))

    def named(self, location):
        """What is wrong with the function or the line of a location in Go code; None: nothing; False: it is not Go's."""
        where = self.place(location)
        f = where and where[0].function(where[1])
        frames = location['frames']
        if not f or not f.go or frames[0].name.startswith('['):
            return False
        line, path = where[0].lines[where[1]]
        # what is inlined in a wrapper shows without it
        if frames[-1].name != f.name and not where[0].is_wrapper(f):
            return 'is %s' % f.name
        if (frames[0].line, frames[0].file) != (line, path):
            return 'is at %s:%d, not %s:%d' % (path, line, frames[0].file, frames[0].line)
        return None

    def run(self, kind='cpu'):
        p, at = self.profile, self.profile.index(kind)
        user = {i: l for i, l in p.locations.items() if not l['frames'][-1].kernel}
        asked = collections.defaultdict(set)
        for l in user.values():
            where = self.place(l)
            if where:
                asked[where[0]].add(where[1])
        for code, addresses in asked.items():
            code.learn(addresses)
        named = {i: self.named(l) for i, l in user.items()}
        pairs = {}
        for ids, values, _ in p.samples:
            stack = [user[i] for i in ids if i in user]
            self.weight += values[at]
            for l in stack:
                if named[l['id']] is not False:
                    self.frames += values[at]
                if named[l['id']]:
                    self.wrong_frames += values[at]
                    self.misnamed['%s (0x%x) %s' % (l['frames'][-1].name, l['address'], named[l['id']])] += values[at]
            for callee, caller in zip(stack, stack[1:]):
                key = callee['id'], caller['id']
                if key not in pairs:
                    pairs[key] = self.pair(callee, caller)
                if pairs[key] is False:
                    self.unchecked += values[at]
                    continue
                self.checked += values[at]
                if pairs[key]:
                    self.wrong += values[at]
                    self.bad['%s (0x%x) below %s (0x%x), which %s' % (
                        callee['frames'][-1].name, callee['address'], caller['frames'][-1].name, caller['address'],
                        pairs[key])] += values[at]
        return self

    def pairs_part(self):
        return self.wrong / max(self.checked, 1)

    def frames_part(self):
        return self.wrong_frames / max(self.frames, 1)

    def summary(self, most=10):
        yield '%d different places; pairs of frames that cannot be: %.4f %% of the weight of all (%.2f %% could not be checked)' % (
            len(self.places), 100 * self.pairs_part(), 100 * self.unchecked / max(self.checked + self.unchecked, 1))
        yield 'frames of Go with another function or line than Go\'s tables: %.4f %%' % (100 * self.frames_part())
        for counter, of in ((self.bad, self.checked), (self.misnamed, self.frames)):
            for what, weight in counter.most_common(most):
                yield '  %.4f %%  %s' % (100 * weight / of, what)


def main(args):
    gotables = args[args.index('--gotables') + 1] if '--gotables' in args else None
    c = Checker(pprof.load(args[0]), gotables).run()
    print('\n'.join(c.summary(30)))
    return 1 if c.pairs_part() > 0.0005 or c.frames_part() > 0.0005 else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

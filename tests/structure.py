#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the folders promise: structure.py BUILD. Prints what is wrong, and `ok` or `not ok` for each rule.

circles    no file includes itself by way of others, and no two folders include each other
direction  each folder includes only those below it, and cli nothing of unwind
private    a header *_parts.h is used in its own folder only
readme     each source file is named in the table of its folder's README, and each name there is one of a file
size       no folder has more than 14 C files, but for cli and pprofenc
compiler   an include that is not allowed does not compile, and one that is does
"""

import collections
import json
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Lowest first; the build has the rooms within each.
BELOW = {'unwind': [], 'pprofenc': [], 'profiler': ['unwind', 'pprofenc'], 'cli': ['profiler', 'pprofenc']}
MOST_FILES, MANY = 14, ('cli', 'pprofenc')
# (a source, what it may include, what it may not)
TRIED = [('unwind/memory/mem.c', 'bytes.h', 'walk.h'), ('unwind/native/cfi.c', 'elf.h', 'space.h'),
         ('profiler/stacks/stackkey.c', 'stackhash.h', 'session.h'), ('profiler/target/procs.c', 'space.h', 'prowl.h'),
         ('profiler/serve/serve.c', 'backend.h', 'host.h'), ('profiler/serve/capture.c', 'pprof.h', 'perf_sampler.h'),
         ('profiler/serve/http/http.c', 'clock.h', 'pprof.h'), ('profiler/serve/targets.c', 'series.h', 'kinds.h'),
         ('pprofenc/report/svg.c', 'pprof.h', 'compare.h'), ('cli/gate.c', 'pprof_compare.h', 'gosym.h'),
         ('cli/gate.c', 'err.h', 'model_parts.h')]


def sources():
    out = subprocess.check_output(['git', '-C', ROOT, 'ls-files', '--', *BELOW], text=True)
    return [f for f in out.split() if f.endswith(('.c', '.h'))]


def included(files):
    """file -> those of ours that it includes; their names are unique in the tree."""
    by_name = {os.path.basename(f): f for f in files}
    if len(by_name) != len(files):
        names = collections.Counter(map(os.path.basename, files))
        yield 'names', ['two files are called %s' % n for n, k in names.items() if k > 1]
    edges = {}
    for f in files:
        with open(os.path.join(ROOT, f)) as text:
            edges[f] = [by_name[n] for n in re.findall(r'^#include "([^"]+)"', text.read(), re.M) if n in by_name]
    yield 'edges', edges


def circle(edges):
    """A way from a node back to itself, or None."""
    state, way = {}, []

    def visit(node):
        state[node] = 1
        way.append(node)
        for other in edges.get(node, ()):
            if state.get(other) == 1:
                return way[way.index(other):] + [other]
            if other not in state:
                found = visit(other)
                if found:
                    return found
        way.pop()
        state[node] = 2
        return None

    for node in list(edges):
        found = None if node in state else visit(node)
        if found:
            return found
    return None


def check_circles(edges):
    rooms = collections.defaultdict(set)
    for f, others in edges.items():
        for o in others:
            if os.path.dirname(f) != os.path.dirname(o):
                rooms[os.path.dirname(f)].add(os.path.dirname(o))
    return ['a circle: ' + ' -> '.join(c) for c in (circle(edges), circle(rooms)) if c]


def check_direction(edges):
    top = lambda f: f.split('/')[0]
    return ['%s includes %s' % (f, o) for f, others in edges.items() for o in others
            if top(o) != top(f) and top(o) not in BELOW[top(f)]]


def check_private(edges):
    return ['%s includes %s' % (f, o) for f, others in edges.items() for o in others
            if o.endswith('_parts.h') and os.path.dirname(f) != os.path.dirname(o)]


def check_readme(files):
    wrong, folders = [], collections.defaultdict(set)
    for f in files:
        folders[os.path.dirname(f)].add(os.path.basename(f))
    for folder, names in sorted(folders.items()):
        try:
            with open(os.path.join(ROOT, folder, 'README.md')) as text:
                rows = [line.split('|')[1] for line in text if line.startswith('| `')]
        except OSError:
            wrong.append('%s has no README.md' % folder)
            continue
        named = {n for row in rows for n in re.findall(r'`([^`]+)`', row)}
        for name in sorted(names):
            if name not in named and name.rsplit('.', 1)[0] not in named:
                wrong.append('%s/README.md does not name %s' % (folder, name))
        known = names | {n.rsplit('.', 1)[0] for n in names}
        for name in sorted(named - known):
            if not os.path.exists(os.path.join(ROOT, folder, name)):
                wrong.append('%s/README.md names %s, which is not there' % (folder, name))
    return wrong


def check_size(files):
    counts = collections.Counter(os.path.dirname(f) for f in files if f.endswith('.c'))
    return ['%s has %d C files' % (d, n) for d, n in counts.items() if n > MOST_FILES and d not in MANY]


def compiles(command, directory, source, include):
    """Whether the source's own command takes a file that only includes that header."""
    words = [w for w in shlex.split(command) if w != source]
    for option in ('-o', '-MF', '-MQ'):
        if option in words:
            del words[words.index(option):words.index(option) + 2]
    words = [w for w in words if w not in ('-c', '-MD', 'ccache')]
    run = subprocess.run([*words, '-fsyntax-only', '-x', 'c', '-'], cwd=directory, text=True, capture_output=True,
                         input='#include <stdint.h>\n#include "%s"\n' % include)
    return run.returncode == 0, run.stderr


def check_compiler(build):
    wrong = []
    with open(os.path.join(build, 'compile_commands.json')) as f:
        commands = {os.path.relpath(os.path.realpath(os.path.join(c['directory'], c['file'])), ROOT): c for c in json.load(f)}
    for source, good, bad in TRIED:
        c = commands.get(source)
        if not c:
            wrong.append('%s is not built' % source)
            continue
        taken, said = compiles(c['command'], c['directory'], c['file'], good)
        if not taken:
            wrong.append('%s may not include %s: %s' % (source, good, said.strip().split('\n')[0]))
        taken, said = compiles(c['command'], c['directory'], c['file'], bad)
        if taken or 'No such file' not in said:
            wrong.append('%s may include %s' % (source, bad))
    return wrong


def main(build):
    files = sources()
    found = dict(included(files))
    edges = found['edges']
    results = {'circles': found.get('names', []) + check_circles(edges), 'direction': check_direction(edges),
               'private': check_private(edges), 'readme': check_readme(files), 'size': check_size(files),
               'compiler': check_compiler(build)}
    for rule, wrong in results.items():
        print('%s %s' % ('not ok' if wrong else 'ok', rule))
        for line in wrong:
            print('    ' + line)
    return 1 if any(results.values()) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))

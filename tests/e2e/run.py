#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end tests: run.py [--brief] [--jobs=N] [SUITE | PART OF A NAME]...; --list and --suites say what there is.

Prints TAP; with --brief (for tests/run) one line a test, figures of failed tests only, and counts at the end.
--jobs runs so many at a time, one for each CPU unless it says otherwise.
"""

import importlib
import io
import os
import re
import sys
from contextlib import redirect_stdout

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness

MODULES = [
    'shares',
    'goroutines',
    'wall',
    'recorded',
    'stacks',
    'machine_code',
    'cgo',
    'native',
    'labels',
    'leaves',
    'bpf',
    'figures',
    'total',
    'short_lived',
    'debian',
    'ends',
    'modules',
    'core',
    'rates',
    'pgo',
    'diff',
    'clients',
    'browser',
    'quickstart',
    'equal',
    'exports',
    'top',
    'report_page',
    'hostile',
    'host',
    'daemon',
    'daemon_http',
    'daemon_page',
    'daemon_store',
    'push',
    'monitoring',
]
# by name only
LONG = {'matrix', 'soak', 'cost', 'push', 'engines'}


class Brief(io.TextIOBase):
    """Turns the TAP that passes into short lines, and counts."""

    def __init__(self, out):
        self.out, self.rest = out, ''
        self.counts = [0, 0, 0]
        self.failures = []
        self.shown = False

    def write(self, text):
        *lines, self.rest = (self.rest + text).split('\n')
        for line in lines:
            self.line(line)
        return len(text)

    def line(self, line):
        m = re.match(r'(not )?ok \d+ - (.*)', line)
        if m:
            name, _, reason = m.group(2).partition(' # SKIP ')
            kind = 1 if m.group(1) else 2 if reason else 0
            self.counts[kind] += 1
            self.shown = kind == 1
            if kind == 1:
                self.failures.append(name)
            self.out.write({0: '  ok: %s', 1: '  FAILED: %s', 2: '  skipped: %s'}[kind] % name)
            self.out.write(': %s' % reason if reason else '')
        elif re.fullmatch(r'#   \d+\.\d s', line):  # the first line below each
            self.out.write(' (%s)\n' % line[4:])
        elif line.startswith('#') and (self.shown or os.environ.get('PROWL_TESTS_VERBOSE')):
            self.out.write('    ' + line + '\n')
        self.out.flush()

    def finish(self):
        for name in self.failures:
            self.out.write('FAILED %s\n' % name)
        self.out.write('COUNTS %d %d %d\n' % tuple(self.counts))


def named(t, word):
    """Whether a word is part of a test's name; of a long one's with its suite: 'matrix: goroutines'."""
    return word in t.name and word not in LONG and (t.suite not in LONG or word.startswith(t.suite + ': '))


def main(args):
    for name in MODULES:
        importlib.import_module(name)
    brief = '--brief' in args
    jobs = next((int(a[7:]) for a in args if a.startswith('--jobs=')), os.cpu_count() or 1)
    words = [a for a in args if not a.startswith('--')]
    if '--suites' in args:
        print('\n'.join(dict.fromkeys(t.suite for t in harness.tests)))
        return 0
    if '--list' in args:
        for t in harness.tests:
            print('%-10s %s' % (t.suite, t.name.partition(': ')[2]))
        return 0
    if words:
        selected = [t for t in harness.tests if any(w == t.suite or not brief and named(t, w) for w in words)]
    else:
        selected = [t for t in harness.tests if t.suite not in LONG]
    if not selected:
        print('no test is called %s' % ' or '.join(words), file=sys.stderr)
        return 2
    if not brief:
        return 0 if harness.run(selected, jobs) else 1
    out = Brief(sys.stdout)
    with redirect_stdout(out):
        good = harness.run(selected, jobs)
    out.finish()
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end tests: run.py [--brief] [--jobs=N] [SUITE | PART OF A NAME]...; --list and --suites say what there is.

Prints TAP; with --brief (for tests/run) one line a test, figures of failed tests only, and counts at the end; there a few
tests that fail are run a second time, and named if they pass then. --jobs runs so many at a time, one for each CPU
unless it says otherwise.
"""

import importlib
import io
import os
import re
import sys
from contextlib import redirect_stdout

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness

MODULES = ['shares', 'goroutines', 'wall', 'recorded', 'stacks', 'machine_code', 'cgo', 'native', 'labels', 'leaves', 'bpf', 'figures', 'total', 'short_lived', 'debian', 'ends', 'modules', 'core', 'rates', 'pgo', 'diff', 'clients', 'browser', 'quickstart', 'equal', 'exports', 'top', 'report_page', 'hostile']
# by name only
LONG = {'matrix', 'soak'}
# What is true of live processes on a busy machine is at times a matter of chance; more than this is none.
SECOND_RUNS = 2


class Brief(io.TextIOBase):
    """Turns the TAP that passes into short lines, and counts."""

    def __init__(self, out):
        self.out, self.rest = out, ''
        self.counts = [0, 0, 0]
        self.failures, self.second_runs = [], []
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
            second = name.endswith(harness.SECOND_RUN)
            kind = 1 if m.group(1) else 2 if reason else 0
            self.counts[kind] += 1
            self.shown = kind == 1 or second
            if kind == 1:
                self.failures.append(name)
            elif second:
                name = name[:-len(harness.SECOND_RUN)]
                self.second_runs.append(name)
            self.out.write({0: '  ok: %s', 1: '  FAILED: %s', 2: '  skipped: %s'}[kind] % name)
            self.out.write(': %s' % reason if reason else ', the second time' if second else '')
        elif re.fullmatch(r'#   \d+\.\d s', line):  # the first line below each
            self.out.write(' (%s)\n' % line[4:])
        elif line.startswith('#') and (self.shown or os.environ.get('PROWL_TESTS_VERBOSE')):
            self.out.write('    ' + line + '\n')
        self.out.flush()

    def finish(self):
        for name in self.second_runs:
            self.out.write('  passed the second time only: %s\n' % name)
        for name in self.failures:
            self.out.write('FAILED %s\n' % name)
        self.out.write('COUNTS %d %d %d\n' % tuple(self.counts))


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
        selected = [t for t in harness.tests if any(w == t.suite or (w in t.name and w not in LONG) for w in words)] \
            if not brief else [t for t in harness.tests if t.suite in words]
    else:
        selected = [t for t in harness.tests if t.suite not in LONG]
    if not selected:
        print('no test is called %s' % ' or '.join(words), file=sys.stderr)
        return 2
    if not brief:
        return 0 if harness.run(selected, 0, jobs) else 1
    out = Brief(sys.stdout)
    with redirect_stdout(out):
        good = harness.run(selected, SECOND_RUNS, jobs)
    out.finish()
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

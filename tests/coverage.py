#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The share of each folder's lines that the tests of a build ran (-Db_coverage=true): coverage.py BUILD [--files].

Exit code 1 where a folder has less than LEAST; what can only be run on a live kernel, and on a terminal, is in the
end-to-end tests.
"""

import collections
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ('cli', 'pprofenc', 'profiler', 'unwind')
LEAST = 80


def counters(build):
    """(file, line, count) of everything that was compiled."""
    data = [os.path.join(d, f) for d, _, names in os.walk(build) for f in names if f.endswith('.gcno')]
    for at in range(0, len(data), 50):
        out = subprocess.run(['gcov', '--json-format', '--stdout', *data[at:at + 50]], cwd=build, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=True).stdout
        for line in out.splitlines():
            if not line.startswith('{'):
                continue
            for f in json.loads(line)['files']:
                path = os.path.relpath(os.path.realpath(os.path.join(build, f['file'])), ROOT)
                if path.split('/')[0] in FOLDERS:
                    for l in f['lines']:
                        yield path, l['line_number'], l['count']


def main(build, *options):
    hits = collections.defaultdict(dict)
    for path, line, count in counters(os.path.realpath(build)):
        hits[path][line] = max(count, hits[path].get(line, 0))
    folders = collections.defaultdict(lambda: [0, 0])
    for path, lines in sorted(hits.items()):
        ran = sum(c > 0 for c in lines.values())
        for name in {os.path.dirname(path), path.split('/')[0]}:
            folders[name][0] += ran
            folders[name][1] += len(lines)
        if '--files' in options:
            print('%5.1f %%  %5d lines  %s' % (100 * ran / len(lines), len(lines), path))
    low = []
    for name, (ran, n) in sorted(folders.items()):
        print('%5.1f %%  %5d lines  %s' % (100 * ran / n, n, name + '/'))
        if 100 * ran < LEAST * n:
            low.append(name)
    if low:
        print('less than %d %%: %s' % (LEAST, ', '.join(low)))
    return 1 if low or not folders else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))

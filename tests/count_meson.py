# SPDX-License-Identifier: Apache-2.0
"""Counts the tests of a Meson test log: a program that speaks TAP is as many tests as it reports, any other is one.

count_meson.py LOG LABEL prints what was skipped and what failed, and last `COUNTS passed failed skipped`.
"""

import json
import re
import sys

LINE = re.compile(r'^(not )?ok\b\s*\d*\s*-?\s*(.*)$')


def subtests(output):
    """(name, result) of each TAP line."""
    for line in output.splitlines():
        m = LINE.match(line)
        if not m:
            continue
        name, _, directive = m.group(2).partition('# ')
        if directive.upper().startswith('SKIP'):
            yield (name.strip() or directive[4:].strip()), 'skipped', directive[4:].strip()
        else:
            yield name.strip(), 'failed' if m.group(1) else 'passed', ''


def main(path, label):
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    failures = []
    try:
        with open(path) as f:
            programs = [json.loads(line) for line in f if line.strip()]
    except OSError:
        print('FAILED %s: meson test left no log; see meson-logs/run.log' % label)
        print('COUNTS 0 1 0')
        return
    for program in programs:
        name = '%s: %s' % (label, program['name'].split(' / ')[-1])
        output, result = program.get('stdout') or '', program['result']
        here = {'passed': 0, 'failed': 0, 'skipped': 0}
        for sub, what, reason in subtests(output):
            here[what] += 1
            if what == 'failed':
                failures.append('%s: %s' % (name, sub))
            elif what == 'skipped':
                print('  skipped: %s: %s%s' % (name, sub, reason and ' (%s)' % reason))
        good = result in ('OK', 'EXPECTEDFAIL')
        if not sum(here.values()):
            here['passed' if good else 'skipped' if result == 'SKIP' else 'failed'] += 1
            if here['skipped']:
                print('  skipped: %s' % name)
        elif here['skipped'] and result == 'FAIL' and program.get('returncode') == 0:
            pass  # cmocka says 'not ok # SKIP', which Meson takes for a failure
        elif not good and result != 'SKIP' and not here['failed']:
            here['failed'] += 1  # it crashed, ran out of time, or left tests of its plan out
        if here['failed']:
            failures.append('%s: %s' % (name, result))
            print('--- %s: %s' % (name, result))
            print('\n'.join((output + (program.get('stderr') or '')).splitlines()[-60:]))
        for key in counts:
            counts[key] += here[key]
    print('%s: %d passed, %d failed, %d skipped' % (label, *counts.values()))
    for failure in failures:
        print('FAILED %s' % failure)
    print('COUNTS %d %d %d' % tuple(counts.values()))


if __name__ == '__main__':
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""go build -pgo takes our profile, and does with it what it does with Go's own."""

import os
import re

from harness import Target, any_goroot, build, build_output, check, note, profile, test, tmp


def decisions(text):
    """What the compiler decided: inlined and devirtualised calls, by place."""
    return {line.strip() for line in text.splitlines()
            if re.search(r'inlining call to|devirtualizing', line)}


def pgo(versions):
    version = any_goroot(versions)
    with Target(build(version, 'virtual_calls', 'static')) as t:
        own = tmp('own-%s.pprof' % version)
        t.ask('profile %s 4' % own)
        ours = profile(t.pid, 4, rate=199).path
    flags = '-gcflags=-m'
    plain = decisions(build_output(version, 'virtual_calls', 'static', flags, '-pgo=off'))
    theirs = decisions(build_output(version, 'virtual_calls', 'static', flags, '-pgo=' + own))
    with_ours = decisions(build_output(version, 'virtual_calls', 'static', flags, '-pgo=' + ours))
    gained = theirs - plain
    note('Go %s: %d decisions without a profile, %d more with Go\'s own, %d more with ours', version, len(plain),
         len(gained), len(with_ours - plain))
    check(any('hotBig' in line for line in gained), 'Go\'s own profile makes no difference: the program is wrong\n%s',
          '\n'.join(sorted(gained)))
    check(not any('coldBig' in line for line in with_ours), 'the cold twin was inlined')
    check(with_ours == theirs, 'only with Go\'s own:\n  %s\nonly with ours:\n  %s',
          '\n  '.join(sorted(theirs - with_ours)), '\n  '.join(sorted(with_ours - theirs)))
    check(os.path.getsize(ours) > 0, 'our profile is empty')


test('matrix', 'go build -pgo, Go 1.21: inlining', ['1.21'])(pgo)
test('clients', 'go build -pgo, Go 1.23: devirtualisation', ['1.23', '1.22'])(pgo)
test('matrix', 'go build -pgo, Go 1.27', ['1.27', '1.26'])(pgo)

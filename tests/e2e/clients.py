# SPDX-License-Identifier: Apache-2.0
"""go tool pprof, and prowl's own report, on our profile."""

import re
import subprocess

from harness import ROOT, Prowl, Target, build, check, go_environment, goroot, profile, test, weigh, names

VERSION = '1.19'  # the last toolchain here that ships pprof as a program

_shared = []


def known():
    """One profile of known_shares for all tests of this file, and its program."""
    if not _shared:
        program = build(VERSION, 'known_shares', 'static')
        with Target(program) as t:
            _shared.append((profile(t.pid, 4, rate=199), program))
    return _shared[0]


def pprof_tool(*args):
    p = subprocess.run([goroot(VERSION) + '/bin/go', 'tool', 'pprof', *args], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=120,
                       env=go_environment(VERSION))
    check(p.returncode == 0, 'go tool pprof %s: %s', ' '.join(args), p.stderr)
    check('error' not in p.stderr.lower(), 'go tool pprof %s said: %s', ' '.join(args), p.stderr)
    return p.stdout


@test('clients', 'go tool pprof -top')
def top():
    prof, _ = known()
    text = pprof_tool('-top', '-nodecount=50', prof.path)
    check('Type: cpu' in text, 'no type: %s', text[:300])
    m = re.search(r'Total samples = ([\d.]+)(m?)s', text)
    check(m, 'no total: %s', text[:500])
    said = float(m.group(1)) / (1000 if m.group(2) else 1)
    check(abs(said - prof.total('cpu') / 1e9) < 0.02, 'total is %.3f s, the profile\'s %.3f s', said,
          prof.total('cpu') / 1e9)
    for function in ('main.leafSpin', 'main.phaseSort', 'main.phaseDeep', 'runtime.memmove'):
        check(function in text, '%s is not in:\n%s', function, text)
    check(re.search(r'main\.inlHelper \(inline\)', text), 'the inlined helper is not marked as such:\n%s', text)


@test('clients', 'go tool pprof -tree')
def tree():
    prof, _ = known()
    text = pprof_tool('-tree', '-nodefraction=0', prof.path)
    blocks = text.split('----------------------------------------------------------+-------------')
    leaf = next((b for b in blocks if re.search(r'^\s+[\d.]+m?s\s.*\| +main\.leafSpin$', b, re.M)), '')
    check('main.callerA1' in leaf and 'main.callerA2' in leaf, 'the callers of main.leafSpin:\n%s', leaf or text[:2000])


@test('clients', 'go tool pprof -traces')
def traces():
    prof, _ = known()
    text = pprof_tool('-traces', prof.path)
    check(re.search(r'main\.leafSpin\n\s+main\.callerA2\n\s+main\.phaseLeafA2\n\s+main\.worker\n', text),
          'no whole trace:\n%s', text[:2000])


@test('clients', 'go tool pprof -list')
def source():
    prof, _ = known()
    # The program may have been built in another checkout, which need not be there any more.
    built_in = next(f.file for frames, _, _ in prof.stacks() for f in frames if f.name == 'main.midB')
    built_in = built_in[:built_in.index('/tests/targets/')]
    text = pprof_tool('-trim_path', built_in, '-source_path', ROOT, '-list', 'main.midB', prof.path)
    line = next((ln for ln in text.splitlines() if 'x = inlHelper(x + i)' in ln), '')
    check(re.search(r'[\d.]+m?s\s', line), 'no time at the line of the call:\n%s', text[:2000])


@test('clients', 'go tool pprof -dot and -disasm')
def dot():
    prof, program = known()
    text = pprof_tool('-dot', prof.path)
    check(text.startswith('digraph') and 'callerA1' in text, 'not a graph: %s', text[:200])
    text = pprof_tool('-disasm', 'main.leafSpin', program, prof.path)
    check(re.search(r'[\d.]+m?s\s+[\d.]+m?s\s+[0-9a-f]+:', text), 'no address has time:\n%s', text[:1500])


@test('clients', 'go tool pprof -raw')
def raw():
    prof, _ = known()
    text = pprof_tool('-raw', prof.path)
    check('samples/count cpu/nanoseconds' in text, 'sample types: %s', text[:500])
    check('PeriodType: cpu nanoseconds' in text, 'no period type: %s', text[:500])


@test('clients', 'prowl report agrees with the file')
def report():
    prof, _ = known()
    text = Prowl('report', prof.path).must().out
    for function in ('main.leafSpin', 'main.phaseSort'):
        check(function in text, '%s is not in the report:\n%s', function, text)
    folded = Prowl('report', '-f', 'folded', prof.path).must().out
    total = 0
    for line in folded.splitlines():
        m = re.match(r'.+ (\d+)$', line)
        check(m, 'not a folded line: %r', line)
        total += int(m.group(1))
    check(total in (prof.total('cpu'), prof.total('samples')), 'folded stacks sum to %d, the file to %d ns, %d samples',
          total, prof.total('cpu'), prof.total('samples'))
    check(re.search(r'main\.worker;main\.phaseLeafA1;main\.callerA1;main\.leafSpin', folded), 'not root first:\n%s',
          folded[:1000])
    tree = Prowl('report', '-f', 'tree', prof.path).must().out
    check('main.callerA2' in tree, 'no tree:\n%s', tree[:1000])


@test('clients', 'prowl report reads Go\'s own profile')
def report_own():
    with Target(build(VERSION, 'known_shares', 'static')) as t:
        own = t.own_profile(2)
        check(weigh(own, lambda frames, _: 'main.worker' in names(frames))[1] > 0, 'Go saw nothing')
        text = Prowl('report', own.path).must().out
    check('main.leafSpin' in text, 'no main.leafSpin:\n%s', text)

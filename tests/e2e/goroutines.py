# SPDX-License-Identifier: Apache-2.0
"""prowl goroutine beside the process' own dumps: every goroutine at rest equal to debug=2, frame by frame."""

import collections
import json
import re
import time
import urllib.request

import pprof
from harness import *

HEADER = re.compile(r'goroutine (\d+) \[([^\]]*)\](?: \{(.*)\})?:$')
PLACE = re.compile(r'\t(.*):(\d+)(?: \+0x([0-9a-f]+))?$')
ELIDED = re.compile(r'\.\.\.(additional|\d+) frames elided\.\.\.$')

Goroutine = collections.namedtuple('Goroutine', 'state locked labels frames created cut')


def plain(name):
    """As Go prints it: without type arguments."""
    start, end = name.find('['), name.rfind(']')
    return name[:start] + '[...]' + name[end + 1:] if 0 <= start < end else name


def parse(text):
    """Goroutines by number, of a dump in the form of a panic."""
    result = {}
    for part in text.strip().split('\n\n'):
        lines = part.split('\n')
        m = HEADER.match(lines[0])
        check(m, 'no header of a goroutine: %r', lines[0])
        words = [w for w in m.group(2).split(', ') if not w.endswith('minutes')]
        frames, created, cut, i = [], None, None, 1
        while i < len(lines):
            if ELIDED.match(lines[i]):
                cut = len(frames)
                i += 1
                continue
            if lines[i].startswith('\t'):  # no stack
                i += 1
                continue
            place = PLACE.match(lines[i + 1])
            check(place, 'no place: %r after %r', lines[i + 1], lines[i])
            where = (place.group(1), int(place.group(2)), place.group(3))
            if lines[i].startswith('created by '):
                created = (plain(lines[i][11:]),) + where
            else:
                frames.append((plain(lines[i].rsplit('(', 1)[0]),) + where)
            i += 2
        result[int(m.group(1))] = Goroutine(words[0].replace(' (scan)', ''), 'locked to thread' in words,
                                            m.group(3), tuple(frames), created, cut)
    return result


def own(target, query):
    with urllib.request.urlopen('http://%s/debug/pprof/goroutine%s' % (target.hello['http'], query), timeout=120) as f:
        return f.read()


def ours(pid, *args):
    p = Prowl('goroutine', '--pid', pid, *args).must(0)
    return p


def same_frames(mine, theirs):
    """Go cuts the middle of long stacks out, or their end."""
    if theirs.cut is None:
        # up to go1.20 the outer frames of long stacks are missing without a word where hidden ones are among the inner
        n = len(theirs.frames) if 90 <= len(theirs.frames) < 100 else None
        return mine.frames[:n] == theirs.frames
    inner, outer = theirs.frames[:theirs.cut], theirs.frames[theirs.cut:]
    return mine.frames[:len(inner)] == inner and (not outer or mine.frames[-len(outer):] == outer)


def show(g):
    lines = ['  %s %s:%d +%s' % f for f in g.frames]
    if len(lines) > 30:
        lines[12:-12] = ['  ... %d more' % (len(lines) - 24)]
    return '%s\n%s\n  created %r' % (g.state, '\n'.join(lines), g.created)


class Shown:
    """Shows it only where somebody reads it."""

    def __init__(self, g):
        self.g = g

    def __str__(self):
        return show(self.g)


def of_program(g):
    return not any(f[0].startswith('net/http.') for f in g.frames) and g.state not in ('running', 'runnable')


def compare(mine, theirs):
    """The goroutines of the program itself; that of the server come and go."""
    compared = 0
    for goid, g in theirs.items():
        if not of_program(g):
            continue
        m = mine.get(goid)
        check(m is not None, 'we lack goroutine %d: %s', goid, Shown(g))
        check(m.state == g.state and m.locked == g.locked, 'goroutine %d is %r, locked %r; Go says %r, %r', goid, m.state,
              m.locked, g.state, g.locked)
        check(same_frames(m, g), 'goroutine %d: we say %s\nGo says %s', goid, Shown(m), Shown(g))
        check(m.created == g.created, 'goroutine %d: created by %r, Go says %r', goid, m.created, g.created)
        compared += 1
    extra = [i for i, g in mine.items() if i not in theirs and of_program(g)]
    check(not extra, 'goroutines that Go lacks: %r\n%s', extra, show(mine[extra[0]]) if extra else '')
    return compared


def multiset(profile):
    result = collections.Counter()
    for frames, values, labels in profile.stacks():
        stack = tuple((f.name, f.file, f.line) for f in frames)
        if not any(name.startswith(('net/http.', 'runtime/pprof.')) for name, _, _ in stack):
            result[stack, tuple(sorted(labels.items()))] += values[0]
    return result


def cut_to(stack, depth):
    """Go records no more than that many frames (inlined ones count), from the leaf."""
    return stack[:depth]


def check_profile(t, version):
    path = out_file()
    Prowl('goroutine', '--pid', t.pid, '-o', path).must(0)
    mine, theirs = pprof.load(path), pprof.Profile(own(t, '?debug=0'))
    check(mine.sample_types == theirs.sample_types and mine.period_type == theirs.period_type,
          'types %r %r, Go has %r %r', mine.sample_types, mine.period_type, theirs.sample_types, theirs.period_type)
    a, b = multiset(mine), multiset(theirs)
    depth = 32 if int(version.split('.')[1]) <= 22 else 128
    cut = collections.Counter()
    for (stack, labels), n in a.items():
        cut[cut_to(stack, depth), labels] += n
    for key, n in b.items():
        if any('main.' in f[0] for f in key[0]) and not any('main.main' == f[0] for f in key[0]):
            check(cut.get(key) == n, 'the profile has %r of %d times:\n%s %r', cut.get(key), n,
                  '\n'.join('  %s %s:%d' % f for f in key[0]), key[1])
    note('%d samples alike', len(b))
    check(len(b) > 20, 'only %d stacks in the profile', len(b))


def zoo(version, variant):
    n = 300
    with Target(build(version, 'gozoo', variant), '-n', n) as t:
        for attempt in range(3):
            mine = ours(t.pid, '--text')
            said = mine.err
            mine = parse(mine.out)
            theirs = parse(own(t, '?debug=2').decode())
            try:
                count = compare(mine, theirs)
                break
            except Failed:
                if attempt == 2:
                    raise
                time.sleep(0.3)
        note('%d of %d goroutines compared', count, len(theirs))
        check(count >= 25 * n, 'only %d goroutines could be compared', count)
        states = collections.Counter(g.state for g in mine.values())
        note('%s', dict(states))
        check(len(states) >= 11, 'only %d states: %r', len(states), states)
        check('unstable 0, unreadable 0; cut 0' in said, 'of a quiet program:\n%s', said)
        labels = collections.Counter(g.labels for g in mine.values() if g.labels)
        check(labels == {'kind: labelled, third: %d' % i: n // 3 for i in range(3)}, 'labels: %r', labels)
        if 'cgo' in variant:
            for name in ('main.inC', 'main.callback'):
                found = [g for g in mine.values() if any(f[0] == name for f in g.frames)]
                check(len(found) == 3, '%d goroutines in %s', len(found), name)
        check_profile(t, version)


# Which function may call which, leaf first, in the churning program.
CHURN = [
    ['main.churner', 'main.churnSleep'], ['main.churner', 'main.churnDeep'], ['main.churner', 'main.churnPing'],
    ['main.churner', 'main.churnSpawn'], ['main.churnDeep', 'main.churnDeep'], ['main.churnDeep', 'main.churnYield'],
    ['main.churnChild', 'main.churnDeep'],
]
ROOTS = ['main.churner', 'main.churnPong', 'main.churnChild']


def check_churn(goroutines):
    seen = 0
    for goid, g in goroutines.items():
        chain = [f[0] for f in g.frames if f[0].startswith('main.churn')]
        if not chain:
            continue
        seen += 1
        check(chain[-1] in ROOTS, 'goroutine %d begins in %s: %s', goid, chain[-1], Shown(g))
        for callee, caller in zip(chain, chain[1:]):
            check([caller, callee] in CHURN, 'goroutine %d: %s does not call %s: %s', goid, caller, callee, Shown(g))
        check(g.created and g.created[0].startswith('main.'), 'goroutine %d was created by %r', goid, g.created)
        check(all(f[0].split('.')[0] in ('main', 'runtime', 'time', 'sync', 'internal/sync', 'sync/atomic')
                  for f in g.frames), 'goroutine %d: %s', goid, Shown(g))
    return seen


def churn(version, repeats):
    with Target(build(version, 'gozoo', 'static'), '-n', 5, '-churn', 300) as t:
        seen, lost, total = 0, 0, 0
        for _ in range(repeats):
            p = ours(t.pid, '--json')
            dump = json.loads(p.out)
            counts = dump['counts']
            lost += counts['unstable'] + counts['unreadable']
            total += counts['goroutines']
            goroutines = {}
            for g in dump['goroutines']:
                frames = tuple((f['function'], f['file'], f['line'], None) for f in g.get('frames', []))
                made = g.get('created_by')
                goroutines[g['id']] = Goroutine(g['state'], False, None, frames,
                                                (made['function'],) if made else None, None)
            seen += check_churn(goroutines)
    note('%d stacks of %d goroutines checked, %d not read (%.3f %%)', seen, total, lost, 100.0 * lost / max(total, 1))
    check(seen > 100 * repeats, 'only %d stacks', seen)
    check(lost <= 0.02 * total, '%d of %d goroutines could not be read', lost, total)


def running():
    need_perf()
    with Target(build(any_goroot(VERSIONS), 'gozoo', 'static'), '-n', 5, '-spin', 3) as t:
        p = ours(t.pid, '--text', '--state', 'running,runnable')
        found = parse(p.out)
        spinning = [g for g in found.values() if any(f[0] == 'main.spinner' for f in g.frames)]
        check(len(spinning) == 3, '%d of 3 spinning goroutines have a stack:\n%s\n%s', len(spinning), p.out, p.err)


def turns():
    """Those that take turns on one thread don't get each other's stacks."""
    need_perf()
    roots, sampled = {}, 0
    with Target(build(any_goroot(VERSIONS), 'gozoo', 'static'), '-n', 5, '-turns', 2) as t:
        for _ in range(25):
            for g in json.loads(ours(t.pid, '--json', '--match', r'^main\.turn').out)['goroutines']:
                sampled += g.get('sampled', False)
                names = {f['function'] for f in g['frames']} & {'main.turnEven', 'main.turnOdd'}
                check(len(names) == 1, 'goroutine %d: %r', g['id'], names)
                check(roots.setdefault(g['id'], names) == names, 'goroutine %d is in %r, once in %r', g['id'], names,
                      roots[g['id']])
    check(len(roots) == 4, '%d goroutines', len(roots))
    check(sampled >= 3, 'only %d sampled stacks', sampled)


def filters():
    with Target(build(any_goroot(VERSIONS), 'gozoo', 'static'), '-n', 20) as t:
        found = parse(ours(t.pid, '--text', '--state', 'select').out)
        check({g.state for g in found.values()} == {'select', 'select (no cases)'}, 'states %r',
              {g.state for g in found.values()})
        found = parse(ours(t.pid, '--text', '--match', r'^main\.deep$').out)
        check(len(found) == 25 and all(any(f[0] == 'main.deep' for f in g.frames) for g in found.values()),
              '%d goroutines in main.deep', len(found))
        found = json.loads(ours(t.pid, '--json', '--match', 'main.waitCond', '--state', 'waiting').out)
        check(len(found['goroutines']) == 20 and found['counts']['filtered'] > 400, '%r', found['counts'])
        check(ours(t.pid, '--group', '--match', 'main.waitCond').out.startswith('20 goroutines [sync.Cond.Wait]'),
              'no group of 20')
        user = parse(ours(t.pid, '--text').out)
        everything = parse(ours(t.pid, '--text', '--system').out)
        check(len(everything) > len(user) and any(f[0] == 'runtime.gopark' for g in everything.values()
                                                  for f in g.frames), 'no goroutine of the runtime')
        Prowl('goroutine', '--pid', t.pid, '--match', '(').must(2)
        Prowl('goroutine', '--pid', t.pid, '--state', ',').must(2)
        Prowl('goroutine', '--pid', t.pid, '--text', '--json').must(2)


def leaks():
    with Target(build(any_goroot(VERSIONS), 'gozoo', 'static'), '-n', 20, '-leak') as t:
        p = ours(t.pid, '--leaks', '--seconds', 2)
        check(re.match(r'\d+ goroutines \[chan receive\]', p.out) and 'main.leaked(...)' in p.out, 'no leak in\n%s', p.out)
        check(p.out.count('goroutines [') + p.out.count('goroutine [') == 1, 'more than one leak in\n%s', p.out)
        found = json.loads(ours(t.pid, '--leaks', '--seconds', 2, '--json').out)
        n = len(found['suspects'])
        check(2 <= n <= 20 and all('main.leaked' in [f['function'] for f in g['frames']] for g in found['suspects']),
              '%d suspects', n)
        p = Prowl('goroutine', '--pid', t.pid, '--leaks', '--seconds', 4, '--state', 'chan receive', wait=False).attached()
        urllib.request.urlopen('http://%s/stick' % t.hello['http'], timeout=10).close()
        out = p.wait().must(0).out
        check('main.leaked(...)' in out and 'main.sticks' not in out, 'not old, or nothing:\n%s\n%s', out, p.err)
    with Target(build(any_goroot(VERSIONS), 'gozoo', 'static'), '-n', 20) as t:
        p = ours(t.pid, '--leaks', '--seconds', 1)
        check(p.out == '', 'leaks of a quiet program:\n%s', p.out)


def leaked():
    """Those that the runtime's own look for leaks has found."""
    with Target(build('1.27', 'gozoo', 'static'), '-n', 20, '-leak') as t:
        for seconds in (4, 8, 16, 32, 64):
            p = Prowl('goroutine', '--pid', t.pid, '--leaks', '--seconds', seconds, '--json', wait=False).attached()
            begun = time.monotonic()
            time.sleep(0.6 * seconds)  # the second of three looks is over
            own(t, 'leak')
            early = time.monotonic() < begun + 0.9 * seconds  # else the machine is busy: once more, with more time
            found = json.loads(p.wait().must(0).out)['suspects']
            if early:
                break
        check(any(g.get('leaked') for g in found), 'no leaked one of %d suspects', len(found))
        found = ours(t.pid, '--text', '--state', 'leaked').out
        check(re.search(r'^goroutine \d+ \[chan receive \(leaked\)\]:\nmain.leaked', found, re.M), '%s', found)


def core():
    """The dump of a core file is that of the quiet process."""
    if not shutil.which('gcore'):
        raise Skip('no gcore')
    with Target(build(any_goroot(VERSIONS), 'gozoo', 'stripped'), '-n', 100) as t:
        live = parse(ours(t.pid, '--text').out)
        path = tmp('gozoo')
        p = subprocess.run(['gcore', '-o', path, str(t.pid)], capture_output=True, text=True, timeout=120)
        file = '%s.%d' % (path, t.pid)
        check(os.path.exists(file), 'gcore wrote nothing: %s', p.stderr)
        dead = parse(Prowl('goroutine', '--core', file, '--text').must(0).out)
        os.unlink(file)
        after = parse(ours(t.pid, '--text').out)
    # those that stood still; gcore's stop may have one of them out of its system call for a moment
    still = [i for i, g in live.items() if of_program(g) and i in after and after[i] == g]
    moved = [i for i in still if i not in dead or dead[i].frames != live[i].frames or dead[i].state != live[i].state]
    for i in moved[:3]:
        note('alive: %s\nin the core: %s', show(live[i]), show(dead[i]) if i in dead else 'not there')
    check(len(still) > 2000, 'only %d goroutines', len(still))
    check(len(moved) <= 2, '%d of %d goroutines differ', len(moved), len(still))


SHORT = {('1.19', 'static'), ('1.27', 'cgostripped')}
for v in VERSIONS:
    for variant in ('static', 'pie', 'stripped', 'cgo', 'cgostripped', 'external'):
        test('e2e' if (v, variant) in SHORT else 'matrix', 'goroutines, Go %s %s' % (v, variant), v, variant)(zoo)
    test('e2e' if v in ('1.19', '1.27') else 'matrix', 'goroutines that come and go, Go %s' % v, v,
         3 if v in ('1.19', '1.27') else 100)(churn)
test('matrix', 'goroutines that come and go, a thousand times', '1.23', 1000)(churn)
test('e2e', 'goroutines that run')(running)
test('e2e', 'goroutines that take turns')(turns)
test('e2e', 'goroutines: filters')(filters)
test('e2e', 'goroutines: leaks')(leaks)
test('e2e', 'goroutines: leaks that the runtime has found')(leaked)
test('e2e', 'goroutines of a core file')(core)

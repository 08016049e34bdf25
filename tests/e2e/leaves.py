# SPDX-License-Identifier: Apache-2.0
"""Leaves that are hard to walk from: their goroutines' callers belong to the stack all the same."""

from harness import Skip, Target, build, check, need_root, note, profile, test

DEPTH = 451  # calls of main.deep


def stacks_of(version, mode, seconds, rate):
    with Target(build(version, 'hard_leaves', 'static'), mode) as t:
        prof = profile(t.pid, seconds, rate=rate)
    at = prof.index('samples')
    result = [([f.name for f in frames], values[at]) for frames, values, _ in prof.stacks()]
    total = sum(n for _, n in result)
    if total < 20:
        raise Skip('the machine gave the target no CPU: %d samples' % total)
    return result, total


def share(stacks, total, true):
    return sum(n for names, n in stacks if true(names)) / total


def is_cut(names):
    return '[truncated]' in names


def climb(version, rate):
    need_root()
    stacks, total = stacks_of(version, 'climb', 2, rate)
    grows = share(stacks, total, lambda s: 'runtime.newstack' in s)
    ends = share(stacks, total, lambda s: s[-1] == 'runtime.morestack')
    whole = share(stacks, total, lambda s: 'runtime.newstack' in s and 'main.climb' in s and not is_cut(s))
    note('%.1f %% of %d samples grow a stack; %.1f %% of these have their goroutine', 100 * grows, total, 100 * whole / grows)
    check(ends == 0, '%.2f %% end at runtime.morestack', 100 * ends)
    # A matter of what memory still holds, not of chance: 85 to 97 % alone, nothing where a version's rule is wrong.
    check(whole > 0.3 * grows, 'only %.1f %% of the stacks that grow have their goroutine', 100 * whole / grows)
    # Who grows is called by one that calls it: the order of frames, wherever it is whole.
    for names, _ in stacks:
        if 'runtime.newstack' not in names or 'main.climb' not in names or is_cut(names):
            continue
        rest = names[names.index('runtime.newstack') + 1:]
        rest = rest[next((i for i, s in enumerate(rest) if s != 'main.climb'), len(rest)):]
        check(rest in (['main.climbForever.func1'], ['main.climbForever.func1.1']) or '[unknown]' in names,
              'above main.climb: %s', rest[:5])


def nil(version):
    stacks, total = stacks_of(version, 'nil', 2, 499)
    lost = share(stacks, total, lambda s: 'runtime.sigpanic0' in s and s[-1] == '[unknown]')
    faults = [s for s, _ in stacks if 'main.value' in s and not is_cut(s)]
    check(lost == 0, '%.2f %% end behind runtime.sigpanic0', 100 * lost)
    check(faults, 'no stack has the function that faults')
    # main.value has no frame of its own: the chain of frame pointers skips its caller. Where the recovery runs on the
    # thread's own stack, memory may no longer tell it, and says so.
    callers = [s[s.index('main.value') + 1:][:2] for s in faults]
    known = sum(c == ['main.framed', 'main.recovers'] for c in callers)
    wrong = [c for c in callers if c not in (['main.framed', 'main.recovers'], ['[unknown]', 'main.recovers'], ['[unknown]'])]
    note('%d of %d stacks with the function that faults have its caller', known, len(faults))
    check(not wrong, 'main.value is called by %s', wrong[:1])
    check(known > 0.5 * len(faults), '%d of %d stacks have its caller', known, len(faults))


def deep(version):
    stacks, total = stacks_of(version, 'deep', 3, 99)
    cut = share(stacks, total, is_cut)
    note('%.1f %% of %d stacks are cut', 100 * cut, total)
    check(cut <= 0.05 or total * cut <= 3, '%.1f %% of %d stacks of %d frames are cut', 100 * cut, total, DEPTH)
    whole = [s for s, _ in stacks if s[:1] == ['main.work'] and not is_cut(s)]
    check(whole, 'no stack is whole')
    for s in whole:
        check(s.count('main.deep') == DEPTH, 'main.deep is %d times in a stack, not %d', s.count('main.deep'), DEPTH)


def tls(version, rate):
    need_root()
    stacks, total = stacks_of(version, 'tls', 3, rate)
    cut = share(stacks, total, is_cut)
    note('%.2f %% of %d stacks are cut', 100 * cut, total)
    # Up to a quarter of those before the copies have grown: 50 samples, and what comes in 200 ms on two CPUs.
    check(cut * total <= 0.005 * total + 0.25 * (50 + 0.4 * rate) + 10, '%.2f %% of %d stacks are cut', 100 * cut, total)


for v in ('1.19', '1.27'):
    test('e2e', 'goroutines that grow have their callers, Go %s' % v, v, 199)(climb)
    test('e2e', 'a nil dereference has its callers, Go %s' % v, v)(nil)
    test('e2e', 'recursion deeper than the kernel looks, Go %s' % v, v)(deep)
for v in ('1.21', '1.22', '1.23', '1.24', '1.25', '1.26'):
    test('matrix', 'goroutines that grow have their callers, Go %s' % v, v, 199)(climb)
test('e2e', 'goroutines that grow have their callers, at a high rate', '1.24', 4999)(climb)
test('e2e', 'handshakes at 499 Hz', '1.27', 499)(tls)
test('e2e', 'handshakes at 4,999 Hz', '1.19', 4999)(tls)


def c_handler(version):
    with Target(build(version, 'c_handler', 'cgo')) as t:
        prof = profile(t.pid, 2, rate=499)
    at = prof.index('samples')
    stacks = [([f.name for f in frames], values[at]) for frames, values, _ in prof.stacks()]
    busy = [s for s, _ in stacks if 'c_busy' in s]
    whole = [s for s in busy if s[-1] == 'main.caller' or s[-1].startswith('runtime.')]  # roots, as Go has them
    note('%d of %d stacks with the handler go on at what it interrupted', len(whole), len(busy))
    check(len(busy) > 10, 'only %d stacks have the handler', len(busy))
    lost = [s for s in busy if s not in whole and not is_cut(s)]
    check(not lost, 'these end where the signal came: %s', lost[:1])
    # What was interrupted stands in memory for as long as the handler runs, and prowl may come later: then it is cut.
    check(len(whole) > 0.3 * len(busy), 'only %d of %d go on', len(whole), len(busy))


for v in ('1.19', '1.27'):
    test('e2e', 'a signal handler of C on the signal stack, Go %s' % v, v)(c_handler)

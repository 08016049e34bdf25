# SPDX-License-Identifier: Apache-2.0
"""The same stacks as Go's own profile of the same process."""

import itertools

import pprof
from harness import Target, VERSIONS, build, check, note, profile, test


def sequences(prof):
    """Weight by stack, a stack being its functions without the kernel's; pseudo-frames stay and match nothing.

    A function that calls itself counts once: how deep the sort happened to be is not a matter of the profiler, and the
    tests of known shares count the frames of a recursion.
    """
    result = {}
    at = prof.index('cpu')
    for frames, values, _ in prof.stacks():
        key = tuple(name for name, _ in itertools.groupby(f.name for f in pprof.user(frames)))
        result[key] = result.get(key, 0) + values[at]
    return result


def same_stacks(version, variant):
    with Target(build(version, 'known_shares', variant), '-threads', 2) as t:
        # before and after, not during: one profiler's signals are the other's samples
        theirs = sequences(t.own_profile(6, 'profile250'))
        prof = profile(t.pid, 5, rate=499)
        ours = sequences(prof)
        for stack, weight in sequences(t.own_profile(6, 'profile250')).items():
            theirs[stack] = theirs.get(stack, 0) + weight
    total = sum(ours.values())
    check(total > 0, 'no samples')
    same = sum(weight for stack, weight in ours.items() if stack in theirs)
    note('%.2f %% of the weight in %d stacks is in one of Go\'s own %d', 100 * same / total, len(ours), len(theirs))
    others = sorted(((w, s) for s, w in ours.items() if s not in theirs), reverse=True)
    for weight, stack in others[:8]:
        note('  not in Go\'s own: %5.2f %%  %s', 100 * weight / total, ' < '.join(stack[:6]))
    check(same >= 0.99 * total, 'only %.2f %% of the weight is in stacks that Go itself saw', 100 * same / total)
    # and nothing that Go sees often is missing here
    often = sum(theirs.values())
    missing = [s for s, w in theirs.items() if w > 0.01 * often and s not in ours]
    check(not missing, 'Go often sees, we never: %s', missing)


for v in VERSIONS:
    for kind in ('static', 'pie', 'stripped'):
        default = (v, kind) in (('1.19', 'static'), ('1.23', 'pie'), ('1.27', 'stripped'))
        test('e2e' if default else 'matrix', 'the stacks of Go\'s own profile, Go %s %s' % (v, kind), v,
             kind)(same_stacks)

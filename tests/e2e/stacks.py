# SPDX-License-Identifier: Apache-2.0
"""The same stacks as Go's own profile of the same process."""

import collections
import itertools

import pprof
from harness import SIGMAS, Target, VERSIONS, build, check, note, profile, test


# newstack: after a preemption, where Go's own has morestack above it
SCHEDULER = ('runtime.mstart', 'runtime.mcall', 'runtime.morestack', 'runtime.newstack', 'runtime.sigtramp')


def sequences(prof):
    """Samples by stack, a stack being its functions without the kernel's; pseudo-frames stay and match nothing.

    A function that calls itself counts once: how deep the sort happened to be is not a matter of the profiler, and the
    tests of known shares count the frames of a recursion.
    """
    result = collections.Counter()
    at = prof.index('samples')
    for frames, values, _ in prof.stacks():
        result[tuple(name for name, _ in itertools.groupby(f.name for f in pprof.user(frames)))] += values[at]
    return result


def calls(stack):
    """Who calls whom in a stack, and who stands at its root."""
    return set(zip(stack, stack[1:] + ('(root)',)))


def same_stacks(version, variant):
    with Target(build(version, 'known_shares', variant), '-threads', 2) as t:
        # before and after, not during: one profiler's signals are the other's samples
        theirs = sequences(t.own_profile(4, 'profile250'))
        prof = profile(t.pid, 4, rate=499, least=300)
        ours = sequences(prof)
        for _ in range(50):  # on a busy machine it takes several to have enough
            theirs += sequences(t.own_profile(4, 'profile250'))
            if sum(theirs.values()) > 300:
                break
    # Go's timers rarely reach threads that run no goroutine (sysmon, the scheduler); those stacks can only be ours.
    everything = sum(ours.values())
    ours, theirs = (collections.Counter({s: n for s, n in c.items() if s and s[-1] not in SCHEDULER})
                    for c in (ours, theirs))
    total, reference = sum(ours.values()), sum(theirs.values())
    check(total > 200 and reference > 200, 'too few samples: %d of ours, %d of Go\'s', total, reference)
    note('%.2f %% of our samples are the scheduler\'s own', 100 - 100 * total / everything)
    check(total >= 0.95 * everything, '%.2f %% of our stacks end in the scheduler', 100 - 100 * total / everything)
    same = sum(n for stack, n in ours.items() if stack in theirs)
    # Go's own profile is a sample too: what it has not seen yet has about the weight of what it saw once (Good, Turing).
    unseen = sum(1 for n in theirs.values() if n == 1) / reference
    sigma = ((unseen + 0.001) * (1 / total + 1 / reference)) ** 0.5
    note('%.2f %% of %d samples are in one of the %d stacks of Go\'s own %d samples; it would find %.2f %% in its own',
         100 * same / total, total, len(theirs), reference, 100 - 100 * unseen)
    for stack, n in collections.Counter({s: n for s, n in ours.items() if s not in theirs}).most_common(8):
        note('  not in Go\'s own: %5.2f %%  %s', 100 * n / total, ' < '.join(stack[:6]))
    check(same / total >= 0.99 - unseen - SIGMAS * sigma, 'only %.2f %% are in stacks that Go itself saw', 100 * same / total)
    # stacks that Go has not seen whole are still made of calls that it has seen
    seen = set().union(*(calls(stack) for stack in theirs))
    made = sum(n for stack, n in ours.items() if calls(stack) <= seen)
    note('%.2f %% consist of calls that Go itself saw', 100 * made / total)
    check(made / total >= 0.99 - SIGMAS * sigma, 'only %.2f %% consist of calls that Go itself saw', 100 * made / total)
    # and nothing that Go sees often is missing here, but for the preemption that its own signal comes together with
    missing = [s for s, n in theirs.items()
               if n > 0.01 * reference and n > 20 and s not in ours and s[0] != 'runtime.asyncPreempt']
    check(not missing, 'Go often sees, we never: %s', missing)


for v in VERSIONS:
    for kind in ('static', 'pie', 'stripped'):
        default = (v, kind) in (('1.19', 'static'), ('1.27', 'stripped'))
        test('e2e' if default else 'matrix', 'the stacks of Go\'s own profile, Go %s %s' % (v, kind), v,
             kind)(same_stacks)

# SPDX-License-Identifier: Apache-2.0
"""C without frame pointers below Go, and Go below C: one stack."""

from harness import SIGMAS, Busy, Target, VERSIONS, any_goroot, build, check, in_order, names, need_bpf, no_bpf, note, profile, \
    test, weigh, within

C_STACK = ['c_hot'] + ['c_mid%d' % n for n in range(11, 0, -1)]
CALLERS = ['main.goCallsC', 'main.goHot', 'main.phaseInC']
BACK = ['main.goBelowC', 'c_cb3', 'c_cb2', 'c_cb1', 'main.goCallsBack', 'main.phaseCallback']


def window(t, least=200):
    """One profile: the shares are right; how much of C, and of Go called back from it, is whole."""
    before = t.truth()
    prof = profile(t.pid, 5, rate=997, least=2 * least)
    after = t.truth()
    truth = {k: after['phases'][k] - before['phases'][k] for k in after['phases']}
    total = sum(truth.values())

    def in_c(frames, _=None):
        return any(n in ('c_leaf', 'c_hot') for n in names(frames))

    def in_back(frames, _=None):
        return any(n in ('main.goBelowC', 'main.goCallback') for n in names(frames))

    def in_phases(frames, _=None):
        return in_c(frames) or in_back(frames) or any(n.startswith('main.phase') for n in names(frames))

    # What the runtime itself does, the more the busier the machine, is no phase's.
    everything, samples = weigh(prof, in_phases)
    check(samples > least, 'only %d samples\n%s', samples, prof.said)
    # the samples are there at all: by leaf, whatever is below them
    c, _ = weigh(prof, in_c)
    back, _ = weigh(prof, in_back)
    check(within(c / everything, truth['main.phaseInC'] / total, samples, 'in C'), 'share of the C code')
    check(within(back / everything, truth['main.phaseCallback'] / total, samples, 'called back'),
          'share of Go called back from C')
    whole, _ = weigh(prof, lambda frames, _: in_c(frames) and in_order(names(frames), C_STACK + CALLERS))
    through, _ = weigh(prof, lambda frames, _: in_back(frames) and in_order(names(frames), BACK))
    whole, through = whole / max(c, 1), through / max(back, 1)
    note('C frames and their Go callers in one stack: %.2f %%', 100 * whole)
    note('Go, the C that called it, and its Go callers: %.2f %%', 100 * through)
    goal = 0.95 if no_bpf(prof) else 0.99
    # among so many samples
    bounds = [goal - SIGMAS * (goal * (1 - goal) / max(weigh(prof, part)[1], 1)) ** 0.5 for part in (in_c, in_back)]
    return prof, whole, through, whole >= bounds[0] and through >= bounds[1]


def cgo(version, variant):
    # The C below Go is on another stack than the sample's. Where BPF may not copy it, it is read when the sample is: on a
    # machine that lets prowl wait for its turn it has returned by then, and is left out. That can only take from the
    # figures, so the best of three counts then.
    with Target(build(version, 'cgo_deep', variant)) as t:
        results = [window(t)]
        while not results[-1][3] and no_bpf(results[-1][0]) and len(results) < 3:
            results.append(window(t))
        best = max(results, key=lambda r: (r[3], min(r[1:3])))
        check(best[3], 'whole in only %.2f %% of the samples in C, %.2f %% of those in callbacks', 100 * best[1],
              100 * best[2])


def beside_others():
    """Copied at the time of the sample, it is there however long prowl waits for its turn."""
    with Target(build(any_goroot(VERSIONS[::-1]), 'cgo_deep', 'cgo')) as t, Busy():
        prof, whole, through, good = window(t, least=200)
        need_bpf(prof)
        check(good, 'whole in only %.2f %% of the samples in C, %.2f %% of those in callbacks',
              100 * whole, 100 * through)


for v in VERSIONS:
    test('e2e' if v in ('1.19', '1.27') else 'matrix', 'cgo, Go %s' % v, v, 'cgo')(cgo)
test('e2e', 'cgo beside eight busy processes, by BPF')(beside_others)

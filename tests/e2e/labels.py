# SPDX-License-Identifier: Apache-2.0
"""Labels of pprof.Do are labels of the samples."""

from harness import Target, build, check, profile, test, weigh, within


@test('e2e', 'pprof labels')
def labels():
    with Target(build('1.22', 'labels', 'static')) as t:
        before = t.truth()
        prof = profile(t.pid, 4, '--labels', rate=499)
        after = t.truth()
    truth = {k: after['phases'][k] - before['phases'][k] for k in after['phases']}
    working = [(v, lab) for frames, v, lab in prof.stacks() if any(f.name == 'main.work' for f in frames)]
    at = prof.index('cpu')
    everything = sum(v[at] for v, _ in working)
    count = weigh(prof, lambda *_: True)[1]
    check(everything > 0, 'no samples in main.work')
    for tenant in ('red', 'blue'):
        share = sum(v[at] for v, lab in working if lab.get('tenant') == tenant) / everything
        check(within(share, truth['tenant=' + tenant] / sum(truth.values()), count, tenant), 'share of %s', tenant)
    check(all(lab.get('zone') == 'a' for _, lab in working if 'tenant' in lab), 'the second label is not there')

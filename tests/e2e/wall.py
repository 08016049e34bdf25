# SPDX-License-Identifier: Apache-2.0
"""prowl wall: shares of goroutines whose waiting times are known, and its budget."""

import json
import re
import resource
import time

import pprof
from harness import *

PHASES = {'sleep': ('main.sleeps', 'sleep'), 'chan': ('main.receives', 'chan'), 'lock': ('main.locks', 'lock'),
          'running': ('main.runs', 'running')}


def wall(pid, seconds, *args):
    path = out_file()
    p = Prowl('wall', '--pid', pid, '--seconds', seconds, '-o', path, *args).must(0)
    result = pprof.load(path)
    result.said, result.path = p.err, path
    return result


def seconds_in(prof, function, kind):
    at = prof.index(kind)
    return sum(v[at] for frames, v, _ in prof.stacks() if function in [f.name for f in frames]) / 1e9


def shares(version, variant):
    with Target(build(version, 'waits', variant)) as t:
        before = t.truth()
        prof = wall(t.pid, 8, '--rate', 50, '--max-overhead', '10%')
        after = t.truth()
    took = prof.duration_nanos / 1e9
    # what the program measures ends with each phase: some at the edges are in the one and not in the other
    scale = took / ((after['wall_ns'] - before['wall_ns']) / 1e9)
    for phase, (function, kind) in PHASES.items():
        truth = (after['phases'][phase] - before['phases'][phase]) / 1e9 * scale
        got = seconds_in(prof, function, kind)
        note('%-8s truth %6.2f s, profile %6.2f s', phase, truth, got)
        # goroutines that wait for one lock wait together: few looks are independent of each other
        slack = {'sleep': 0.05, 'chan': 0.15, 'lock': 0.2, 'running': 0.25}[phase] * truth + 0.4
        check(abs(got - truth) <= slack, '%s: %.2f s, the program measured %.2f s', phase, got, truth)
        wrong = sum(seconds_in(prof, function, k) for k in ('sleep', 'chan', 'lock', 'select', 'io') if k != kind)
        check(phase == 'running' or wrong == 0, '%s: %.2f s in another class', phase, wrong)
    kinds = [k for k, _ in prof.sample_types]
    at, wall_at = [kinds.index(k) for k in kinds[1:]], kinds.index('wall')
    check(all(sum(v[i] for i in at) == v[wall_at] for _, v, _ in prof.stacks()), 'the classes are not the whole')
    # each goroutine of the program has its time, once
    everything = sum(v[wall_at] for _, v, _ in prof.stacks()) / 1e9
    goroutines = everything / took
    note('%.1f goroutines all the time', goroutines)
    check(11.5 <= goroutines <= 13, '%.1f goroutines all the time, there are 12', goroutines)


def budget():
    with Target(build(any_goroot(VERSIONS), 'waits', 'static'), '-bulk', 100000) as t:
        time.sleep(1)
        prof = wall(t.pid, 6)
        used = float(re.search(r'looking used ([\d.]+) % of a CPU', prof.said).group(1))
        at = prof.index('chan')
        bulk = seconds_in(prof, 'main.bulk', 'chan')
        took = prof.duration_nanos / 1e9
        note('%.2f %% of a CPU; %s', used, prof.said.splitlines()[1])
        note('bulk: %.0f s, truth %.0f s', bulk, 100000 * took)
        check(used <= 1.5, 'looking used %.2f %% of a CPU, allowed is 1 %%', used)
        check(abs(bulk - 100000 * took) <= 0.03 * 100000 * took, '%.0f s of 100,000 goroutines in %.1f s', bulk, took)
        check(at and re.search(r'looks at (\d+\.\d+) %', prof.said), '%s', prof.said)


def the_living(version):
    """Goroutines that have ended are none, whoever counts them."""
    with Target(build(version, 'waits', 'static'), '-ended', 3000) as t:
        # the first of so many looks is at a part, which may have met all of them or none
        said = wall(t.pid, 2, '--rate', 100, '--max-overhead', '100%').said
        counts = {'wall': int(re.search(r'of (\d+) goroutines', said).group(1))}
        counts['info'] = json.loads(Prowl('info', '--json', '--pid', t.pid).must(0).out)['runtime']['goroutines']
        top = Prowl('top', '--once', '--json', '--interval', '0.5', '--pid', t.pid).must(0).out
        counts['top'] = json.loads(top)['runtime']['goroutines']
        listed = Prowl('goroutine', '--json', '--pid', t.pid).must(0)
        counts['goroutine'] = int(re.search(r'(\d+) goroutines', listed.err).group(1))
        path = out_file()
        Prowl('goroutine', '--pid', t.pid, '-o', path).must(0)
        counts['its profile'] = sum(values[0] for _, values, _ in pprof.load(path).stacks())
    check(set(counts.values()) == {12}, 'of 12 goroutines: %r', counts)


def refused():
    Prowl('wall', '--max-overhead', '0', '--pid', 1).must(2)
    Prowl('wall').must(2)
    with Target(build(any_goroot(VERSIONS), 'waits', 'static')) as t:
        p = Prowl('wall', '--pid', t.pid, '--seconds', 1, '-f', 'text', '-o', '-').must(0)
        check('main.sleeps' in p.out and 'Type: wall' in p.out, '%s', p.out)


for v in VERSIONS:
    for variant in ('static', 'stripped'):
        test('e2e' if (v, variant) in (('1.19', 'static'), ('1.27', 'stripped')) else 'matrix',
             'wall: known waits, Go %s %s' % (v, variant), v, variant)(shares)
test('e2e', 'wall: 100,000 goroutines within the budget')(budget)
for v in VERSIONS:
    test('e2e' if v in ('1.19', '1.27') else 'matrix', 'wall: the dead are not counted, Go %s' % v, v)(the_living)
test('e2e', 'wall: usage and text')(refused)

# SPDX-License-Identifier: Apache-2.0
"""Labels of pprof.Do are labels of the samples."""

import collections
import json
import os
import re

import pprof
from harness import SIGMAS, Busy, Prowl, Target, VERSIONS, any_goroot, build, check, names, need_bpf, no_bpf, note, out_file, \
    profile, test, within

WORK = 'main.work'


def working(prof):
    """(cpu, samples, labels) of the stacks in which the target works."""
    at, counts = prof.index('cpu'), prof.index('samples')
    return [(v[at], v[counts], lab) for frames, v, lab in prof.stacks() if WORK in names(frames)]


def check_callers(prof):
    """Each label has a function of its own that calls the work: labels are those of the sample's very moment."""
    counts = prof.index('samples')
    seen = collections.Counter()
    for frames, v, lab in prof.stacks():
        stack = names(frames)
        if WORK in stack[:-1]:
            seen[stack[stack.index(WORK) + 1], lab.get('tenant')] += v[counts]
    right = wrong = 0
    for caller in {c for c, _ in seen}:
        tenants = sorted((n, str(tenant)) for (c, tenant), n in seen.items() if c == caller and tenant)
        right += tenants[-1][0] if tenants else 0
        wrong += sum(n for n, _ in tenants[:-1])
    note('%d samples with the label of their caller, %d with another one', right, wrong)
    check(wrong <= 0.02 * right + 2, '%d of %d labels are not of the sample', wrong, right + wrong)


def counted(prof):
    """labelled, without, too old, unknown: what the comment of the profile says."""
    found = [re.match(r'labels: (\d+) samples labelled, (\d+) without labels, (\d+) too old, (\d+) unknown', c)
             for c in prof.comments]
    found = [m for m in found if m]
    check(len(found) == 1, 'no comment on labels in %r', prof.comments)
    return [int(n) for n in found[0].groups()]


def phases(before, after):
    return {k: after['phases'][k] - before['phases'][k] for k in after['phases']}


def check_shares(stacks, truth, lost):
    """Shares of the labels; `lost`: the part of all samples whose labels could not be read in time."""
    everything = sum(v for v, _, _ in stacks)
    named = sum(v for v, _, lab in stacks if 'tenant' in lab)
    count = sum(n for _, n, _ in stacks)
    total = sum(truth.values())
    labelled = truth['tenant=red'] + truth['tenant=blue']
    check(count > 100, 'only %d samples in %s', count, WORK)
    for tenant in ('red', 'blue'):
        share = sum(v for v, _, lab in stacks if lab.get('tenant') == tenant)
        check(within(share / named, truth['tenant=' + tenant] / labelled, count, tenant), 'share of %s', tenant)
    expected = labelled / total
    sigma = (expected * (1 - expected) / count) ** 0.5
    note('%-22s truth %5.2f %%  profile %5.2f %%', 'labelled', 100 * expected, 100 * named / everything)
    check(expected - SIGMAS * sigma - 0.005 - lost <= named / everything <= expected + SIGMAS * sigma + 0.005,
          'labelled are %.2f %%, not %.2f %%', 100 * named / everything, 100 * expected)
    check(all(lab.get('zone') == 'a' for _, _, lab in stacks if 'tenant' in lab), 'the second label is not there')
    check(not any('zone' in lab for _, _, lab in stacks if 'tenant' not in lab), 'half a set of labels')


def losses(prof, *targets, copied=True):
    """The share of samples without their labels; copied: the program copies the target's at the time of the sample."""
    labelled, without, old, unknown = counted(prof)
    total = labelled + without + old + unknown
    note('labelled %d, without %d, too old %.2f %%, unknown %.2f %%', labelled, without, 100 * old / total,
         100 * unknown / total)
    check(unknown <= 0.02 * total + 2, 'labels of %d of %d samples are unknown', unknown, total)
    # A machine that keeps us waiting for its CPUs makes samples old, but not where they bring their labels along: all do but
    # those in the kernel, of a thread that was not yet seen in Go.
    threads = sum(len(os.listdir('/proc/%d/task' % t.pid)) for t in targets)
    most = 0.001 * total + threads if copied and not no_bpf(prof) else 0.5 * total
    check(old <= most, '%d of %d samples were too old', old, total)
    return (old + unknown) / total


def labels(version, variant):
    with Target(build(version, 'labels', variant)) as t:
        before = t.truth()
        prof = profile(t.pid, 4, '--labels', rate=499, least=200)
        truth = phases(before, t.truth())
        lost = losses(prof, t)
    check_callers(prof)
    check_shares(working(prof), truth, lost)


def beside_others(version):
    with Target(build(version, 'labels', 'static')) as t, Busy():
        prof = profile(t.pid, 4, '--labels', rate=999, least=200)
        need_bpf(prof)
        losses(prof, t)
    check_callers(prof)


def several():
    """Two processes of different layouts at once, with labels of threads and processes beside those of Go."""
    old, new = any_goroot(['1.23', '1.22', '1.21', '1.19']), any_goroot(['1.27', '1.26', '1.25', '1.24'])
    with Target(build(old, 'labels', 'static')) as a, Target(build(new, 'labels', 'piestripped')) as b:
        before = {t.pid: t.truth() for t in (a, b)}
        prof = profile(a.pid, 4, '--labels', '--threads', '--pid', b.pid, rate=499, least=200)
        truth = {t.pid: phases(before[t.pid], t.truth()) for t in (a, b)}
        lost = losses(prof, a, b)
    for t in (a, b):
        stacks = [s for s in working(prof) if s[2].get('pid') == t.pid]
        check(all('thread_id' in lab for _, _, lab in stacks), 'thread_id is not there')
        check_shares(stacks, truth[t.pid], lost)


LABELS, BYTES = 64, 256  # at most, of one goroutine; of one key or value


def shown(text):
    """A key or value of Go's own profile as prowl shows it."""
    text = text.replace('\0', '\ufffd')
    if len(text.encode()) <= BYTES:
        return text
    return text.encode()[:BYTES - 3].decode(errors='ignore') + '\u2026'


def odd_sets(stacks):
    """By the label that names them; those that were set just then are not whole yet."""
    return {lab['test']: lab for lab in stacks if 'test' in lab}


def odd(version):
    """A label that is too long, too much or no text loses that, and no other label anything."""
    with Target(build(version, 'labels', 'static'), '-odd') as t:
        # On a busy machine some of the eight sets may have no turn in a short profile.
        for seconds in (1.5, 3, 6, 12):
            own = odd_sets(lab for _, _, lab in t.own_profile(seconds).stacks())
            if len(own) == 8:
                break
        for seconds in (2, 4, 8, 16):
            sampled = profile(t.pid, seconds, '--labels', rate=499, least=200)
            sets = [lab for _, _, lab in sampled.stacks()]
            if set(odd_sets(sets)) >= set(own) - {'many'} and any('k00' in lab for lab in sets):
                break
        lost = losses(sampled, t, copied=False)  # these sets are larger than what is copied
        json_out = Prowl('goroutine', '--json', '--pid', t.pid).must(0)
        path = out_file()
        Prowl('goroutine', '--pid', t.pid, '-o', path).must(0)
        text = Prowl('goroutine', '--text', '--pid', t.pid).must(0).out
    check(len(own) == 8, 'Go has %r', sorted(own))
    want = {}
    for name, lab in own.items():
        # Go's own profile has them in the order in which they were set
        want[name] = {shown(k): shown(v) for k, v in sorted(lab.items(), key=lambda l: l[0].encode())[:LABELS]}
    # "test" sorts after the other hundred, and is what tells that set
    want.pop('many')
    for what, sets in (('profile', [lab for _, _, lab in sampled.stacks()]),
                       ('goroutine', [lab for _, _, lab in pprof.load(path).stacks()]),
                       ('json', [g.get('labels', {}) for g in json.loads(json_out.out)['goroutines']])):
        found = odd_sets(sets)
        for name in want:
            check(found.get(name) == want[name], '%s: %s is %.300r, not %.300r', what, name, found.get(name), want[name])
        many = [lab for lab in sets if 'k00' in lab]
        check(many and all(sorted(lab) == ['k%02d' % i for i in range(LABELS)] for lab in many), '%s: of many: %.300r',
              what, many[:1])
    for name in want:
        check('test: %s' % name in text, 'no %s in %s', name, text)
    cut = re.search(r'(\d+) samples have labels that were cut', '\n'.join(sampled.comments))
    check(cut and int(cut.group(1)) > 0 and lost < 1, 'comments: %r', sampled.comments)
    # of the goroutines that wait and the one that spins
    cut = re.search(r'(\d+) goroutines have labels that were cut', json_out.err)
    check(cut and int(cut.group(1)) in (5, 6), '%s', json_out.err)


def without():
    """No labels are asked for, none are given."""
    with Target(build(any_goroot(VERSIONS), 'labels', 'static')) as t:
        prof = profile(t.pid, 1, rate=499)
    check(not any(lab for _, _, lab in working(prof)), 'labels that nobody asked for')
    check(not any(c.startswith('labels:') for c in prof.comments), 'a comment on labels')


for v in VERSIONS:
    test('e2e' if v in ('1.19', '1.27') else 'matrix', 'pprof labels, Go %s' % v, v, 'static')(labels)
    test('e2e' if v in ('1.19', '1.27') else 'matrix', 'pprof labels that are no names, Go %s' % v, v)(odd)
test('e2e', 'pprof labels, external linking', '1.26', 'external')(labels)
for v in '1.23', '1.27':  # a map, a slice
    test('e2e', 'pprof labels beside eight busy processes, by BPF, Go %s' % v, v)(beside_others)
test('e2e', 'pprof labels of two processes, with threads')(several)
test('e2e', 'no pprof labels without --labels')(without)

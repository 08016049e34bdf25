# SPDX-License-Identifier: Apache-2.0
"""go build -pgo takes our profile, and does with it what it does with Go's own."""

import math
import os
import re
import subprocess
import threading

import made
from harness import (TARGETS, Prowl, Target, any_goroot, build, build_output, check, go_environment, goroot, need_perf, note,
                     profile, test, tmp)


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
test('matrix', 'go build -pgo, Go 1.23: devirtualisation', ['1.23', '1.22'])(pgo)
test('matrix', 'go build -pgo, Go 1.27', ['1.27', '1.26'])(pgo)


_serial = [0]


def fresh(suffix):
    _serial[0] += 1
    return tmp('pgo-%d%s' % (_serial[0], suffix))


def edges(version, path):
    """What the compiler reads of a profile, by its own tool: the weight of each call (caller, callee, line), and in all."""
    out = fresh('.txt')
    p = subprocess.run([goroot(version) + '/bin/go', 'tool', 'preprofile', '-i', path, '-o', out], capture_output=True,
                       text=True, env=go_environment(version), timeout=120)
    check(p.returncode == 0, 'preprofile: %s', p.stderr)
    with open(out, encoding='utf-8') as f:
        lines = f.read().splitlines()
    check(lines and lines[0] == 'GO PREPROFILE V1', 'another format: %r', lines[:1])
    found = {}
    for caller, callee, place in zip(lines[1::3], lines[2::3], lines[3::3]):
        line, weight = place.split()
        found[caller, callee, int(line)] = int(weight)
    return found, sum(found.values())


@test('clients', 'prowl report -f pgo: the weights of hot calls are those of Go\'s own profile')
def weights():
    need_perf()
    version = any_goroot(['1.27', '1.26', '1.25', '1.24', '1.23'])
    seconds, whole, ours = 4, [fresh('.pb.gz'), fresh('.pb.gz')], fresh('.pgo')
    with Target(build(version, 'known_shares', 'static')) as t:
        # both look at the same time
        own = fresh('.pb.gz')
        asked = threading.Thread(target=t.ask, args=('profile %s %d' % (own, seconds),))
        asked.start()
        for path in whole:
            Prowl('profile', '-q', '-p', t.pid, '-d', seconds / 2, '-F', '999', '-o', path).must(0)
        asked.join()
    said = Prowl('report', '-f', 'pgo', '-o', ours, *whole).must(0).err
    m = re.search(r'taken off ([\d.]+) % of the samples', said)
    check(m, 'it said: %s', said)
    (theirs, all_theirs), (got, all_got), (plain, all_plain) = (edges(version, p) for p in (own, ours, whole[0]))
    foreign = sum(w for (caller, callee, _), w in got.items() if '.' not in callee or '[' in callee[:1])
    hidden = sum(w for (caller, callee, _), w in plain.items() if '.' not in callee or '[' in callee[:1])
    note('kernel or C in %.1f %% of the edges of the plain profile, %.2f %% for the compiler; taken off %s %% of the samples',
         100 * hidden / all_plain, 100 * foreign / all_got, m.group(1))
    # assembly, too, has names without a dot, but not in this program's phases
    check(foreign <= 0.01 * all_got, 'calls of what is not Go: %r', [e for e in got if '.' not in e[1]][:9])
    hot = {e for w, n in ((theirs, all_theirs), (got, all_got)) for e in w if w[e] >= 0.04 * n}
    check(len(hot) >= 4, 'only %d hot calls', len(hot))
    for e in sorted(hot, key=lambda e: -theirs.get(e, 0)):
        a, b = theirs.get(e, 0) / all_theirs, got.get(e, 0) / all_got
        # Drawn apart, with samples of Go's timer that come in bursts: twice the variance. 5.5 standard errors are passed
        # once in 26 million, for at most 25 calls once in a million runs; 3 % is what each phase is off by itself.
        bound = 5.5 * math.sqrt(2 * max(a, b) * (1 - min(a, b)) * (1 / all_theirs + 1 / all_got)) + 0.03
        note('%-60s %5.1f %%, of ours %5.1f %%, of the plain profile %5.1f %%', '%s -> %s +%d' % e, 100 * a, 100 * b,
             100 * plain.get(e, 0) / all_plain)
        check(abs(a - b) <= bound, '%s: %.3f and %.3f', e, a, b)


def compiled(version, name, profile=None):
    """What the compiler says of a target's main package, as go build runs it with -pgo and -gcflags=-m; go build would
    compile all packages anew, which takes a minute."""
    env = dict(go_environment(version), CGO_ENABLED='0')
    build(version, name, 'static')  # its packages are in the cache
    folder = os.path.join(TARGETS, name)

    def go(*args, **more):
        p = subprocess.run([goroot(version) + '/bin/go', *args], capture_output=True, text=True, env=env, timeout=300, **more)
        check(p.returncode == 0, 'go %s: %s', ' '.join(args), p.stderr)
        return p
    listed = go('list', '-export', '-deps', '-f', '{{.ImportPath}}={{.Export}}', '.', cwd=folder).stdout.split()
    *packages, main = [line.partition('=')[::2] for line in listed]
    config = fresh('.cfg')
    with open(config, 'w', encoding='utf-8') as f:
        f.writelines('packagefile %s=%s\n' % p for p in packages if p[1])
    args = ['tool', 'compile', '-m', '-p', 'main', '-importcfg', config, '-o', fresh('.a')]
    if profile:
        weights_of = fresh('.preprofile')
        go('tool', 'preprofile', '-i', profile, '-o', weights_of)
        args.append('-pgoprofile=' + weights_of)
    sources = go('list', '-f', '{{range .GoFiles}}{{$.Dir}}/{{.}} {{end}}', '.', cwd=folder).stdout.split()
    p = go(*args, *sources)
    return p.stdout + p.stderr


@test('clients', 'prowl report -f pgo: merged, taken by the compiler, refused where it would be')
def taken():
    need_perf()
    version = any_goroot(['1.27', '1.26', '1.25', '1.24', '1.23'])
    with Target(build(version, 'virtual_calls', 'static')) as t:
        direct = fresh('.pgo')
        said = Prowl('profile', '-p', t.pid, '-d', 3, '-F', '199', '-o', direct).must(0).err
        ours = profile(t.pid, 3, rate=199).path
    check('go build -pgo=' + direct in said, 'it said: %s', said)
    merged = fresh('.pgo')
    Prowl('report', '-f', 'pgo', ours, direct, '-o', merged).must(0)
    with_ours = decisions(compiled(version, 'virtual_calls', merged))
    check(any('inlining call to' in line for line in with_ours), 'the compiler decided nothing')
    check(decisions(compiled(version, 'virtual_calls')) < with_ours, 'the profile makes no difference')
    check(any('hotBig' in line for line in with_ours), 'the profile makes no difference')
    check(not any('coldBig' in line for line in with_ours), 'the cold twin was inlined')
    check(edges(version, direct)[1] > 0, 'the compiler makes nothing of %s', direct)
    # what can't be used is refused, and nothing is written
    heap, c = fresh('.pb.gz'), fresh('.pb.gz')
    with open(heap, 'wb') as f:
        f.write(made.profile([(('main.f',), (1,))], types=(('alloc_space', 'bytes'),)))
    with open(c, 'wb') as f:
        f.write(made.profile([(('main', 'start'), (1, 10 ** 7))], files={'main': 'x.c', 'start': 'y.c'}))
    none = fresh('.pgo')
    Prowl('report', '-f', 'pgo', '-o', none, heap).must(1)
    Prowl('report', '-f', 'pgo', '-o', none, c).must(5)
    Prowl('report', '-f', 'pgo', '-o', none, '--granularity', 'line', ours).must(2)
    check(not os.path.exists(none), 'a file was written')

# SPDX-License-Identifier: Apache-2.0
"""The BPF program: where it is loaded, how it is switched off, that it goes away."""

import glob
import os

import pprof
from harness import Prowl, Target, VERSIONS, any_goroot, build, check, need_bpf, need_perf, no_bpf, note, out_file, profile, test


def loaded(pid):
    """How many BPF programs the process holds."""
    n = 0
    for path in glob.glob('/proc/%d/fdinfo/*' % pid):
        try:
            with open(path) as f:
                n += 'prog_type:' in f.read()
        except OSError:
            pass  # closed meanwhile
    return n


def while_it_samples(t, *args, env=None):
    """Programs that a run of prowl holds, and what it said."""
    need_perf()
    p = Prowl('profile', '-v', '--pid', t.pid, '-d', 1, '-o', out_file(), *args, wait=False, env=env)
    held = loaded(p.attached().process.pid)
    p.wait()
    check(p.status in (0, 5), '%s exited with %d\n%s', p.command, p.status, p.err)  # 5: no CPU for the target
    return held, p.err


@test('e2e', 'BPF: loaded where it may be, not where it is switched off')
def switched_off():
    with Target(build(any_goroot(VERSIONS), 'labels', 'static')) as t:
        need_bpf(profile(t.pid, 2))
        n, said = while_it_samples(t)
        check(n == 1 and 'other stacks by BPF' in said, '%d programs are loaded\n%s', n, said)
        for args, env in ((['--no-bpf'], None), ([], dict(os.environ, PROWL_NO_BPF='1'))):
            n, said = while_it_samples(t, *args, env=env)
            check(n == 0, '%d programs are loaded with %s', n, args or 'PROWL_NO_BPF')
            check('by BPF' not in said and 'no BPF, it is switched off' in said, 'it said:\n%s', said)
        check('switched off' in no_bpf(profile(t.pid, 2, '--no-bpf')), 'not in the profile')


@test('e2e', 'BPF: thread by thread, and of threads that start later')
def per_thread():
    need_perf()
    path = out_file()
    p = Prowl('profile', '--per-thread', '--labels', '-F', 499, '-o', path, '--', build(any_goroot(VERSIONS), 'labels', 'static'),
              '-seconds', 2).must(0)
    prof = pprof.load(path)
    prof.said = p.err
    need_bpf(prof)
    said = [c for c in prof.comments if c.startswith('labels: ')][0]
    note(said)
    words = said.replace(',', ' ').replace(';', ' ').split()
    labelled, copied = int(words[1]), int(words[words.index('copied') - 1])
    # its threads all come from the one that was there at first; in the kernel some are not yet known
    check(labelled > 5 and copied >= 0.8 * labelled, 'few are copied: %s', said)


@test('e2e', 'BPF: a user without the privilege has profiles without it')
def without_privilege():
    with Target(build(any_goroot(VERSIONS), 'labels', 'static'), nobody=True) as t:
        said = no_bpf(profile(t.pid, 1, rate=199, nobody=True))
    check('CAP_BPF' in said, 'it says %r', said)

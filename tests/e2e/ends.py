# SPDX-License-Identifier: Apache-2.0
"""Targets that end, change or multiply while they are profiled; profiles that are stopped early; wrong targets."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time

import pprof
from harness import (CpuAccount, Prowl, Target, build, burns, check, names, need_perf, need_prowl, note, out_file, profile, test, weigh)

VERSION = '1.22'


def outcome(p, path, allowed):
    """A valid profile, or a clear error and no file."""
    check(p.status in allowed, '%s exited with %d\n%s', p.command, p.status, p.err)
    if p.status == 0:
        prof = pprof.load(path)
        check(prof.total('samples') > 0, 'exit 0, but no samples\n%s', p.err)
        return prof
    check(p.err.strip(), 'exit %d without a word', p.status)
    check(not os.path.exists(path) or os.path.getsize(path) > 0, 'an empty file was left')
    return None


def start(pid, seconds, *args, rate=499):
    need_perf()
    path = out_file()
    return Prowl('profile', '--pid', pid, '--seconds', seconds, '--rate', rate, '-o', path, *args, wait=False), path


@test('fault', 'the target exits')
def exits():
    with Target(build(VERSION, 'exit_soon', 'static'), '-after', '3s') as t:
        p, path = start(t.pid, 1000)
        prof = outcome(p.wait(), path, [0])
        spin, n = weigh(prof, lambda frames, _: 'main.spin' in names(frames))
        check(n > 20, 'only %d samples in main.spin: an exited target still has its names', n)


@test('fault', 'the target is killed at any moment')
def killed():
    rnd = random.Random(1)
    ends = {}
    for n in range(12):
        with Target(build(VERSION, 'busy_threads', 'static'), '-n', 4) as t:
            p, path = start(t.pid, 20)
            if n < 10:
                time.sleep(rnd.uniform(0, 0.4 if n % 2 else 0.03))
            else:
                burns(p.attached() and t.pid, 0.1)
            t.process.kill()
            t.process.wait()
            outcome(p.wait(), path, [0, 1, 5])
            ends[p.status] = ends.get(p.status, 0) + 1
    note('exit statuses: %s', ends)
    check(0 in ends, 'not one profile of twelve: exit statuses %s', ends)


@test('fault', 'the target executes itself')
def execs():
    with Target(build(VERSION, 'exec_self', 'static'), '-after', '1500ms') as t:
        p, path = start(t.pid, 4)
        prof = outcome(p.wait(), path, [0])
    for function in ('main.beforeExec', 'main.afterExec'):
        _, n = weigh(prof, lambda frames, _, f=function: f in names(frames))
        note('%s: %d samples', function, n)
        check(n > 20, 'only %d samples in %s', n, function)


@test('fault', 'the target executes another program')
def execs_other():
    other = build('1.24', 'exit_soon', 'stripped')  # another version's tables, too
    with Target(build(VERSION, 'exec_self', 'static'), '-after', '2s', '-program', other) as t:
        p, path = start(t.pid, 20)
        prof = outcome(p.wait(), path, [0])
    _, before = weigh(prof, lambda frames, _: 'main.beforeExec' in names(frames))
    _, after = weigh(prof, lambda frames, _: 'main.main' in names(frames) and 'main.beforeExec' not in names(frames))
    note('%d samples before, %d after', before, after)
    check(before > 20 and after > 10, '%d samples before and %d after', before, after)


@test('fault', 'short children whose files are deleted')
def short_children():
    """At a high rate too they are read soon enough: a file can be opened only as long as it is there."""
    need_perf()
    program = build(VERSION, 'exit_soon', 'static')
    with tempfile.TemporaryDirectory() as folder:
        script = ('for i in 1 2 3 4 5 6; do cp "$0" "$1/kid.$i"; "$1/kid.$i" -after 150ms >/dev/null; '
                  'rm "$1/kid.$i"; done')
        path = out_file()
        p = Prowl('profile', '--rate', 4999, '-o', path, '--', 'sh', '-c', script, program, folder)
        prof = outcome(p, path, [0])
    _, spin = weigh(prof, lambda frames, _: 'main.spin' in names(frames))
    _, unknown = weigh(prof, lambda frames, _: '[unknown]' in names(frames))
    note('%d samples in main.spin, %d with unknown frames', spin, unknown)
    check(spin > 100, 'only %d samples in main.spin', spin)
    check(unknown < 0.4 * spin, '%d samples have unknown frames, %d are in main.spin', unknown, spin)


@test('fault', 'a storm of threads')
def storm():
    with Target(build(VERSION, 'storm', 'static')) as t:
        burns(t.pid, 0.1)
        with CpuAccount(t.pid) as account:
            before = t.truth()
            p, path = start(t.pid, 4)
            prof = outcome(p.wait(), path, [0])
            after = t.truth()
    burnt = (after['phases']['main.burn'] - before['phases']['main.burn']) / (after['cpu_ns'] - before['cpu_ns'])
    seen, n = weigh(prof, lambda frames, _: 'main.burn' in names(frames))
    expected = burnt * account.between(prof.time_nanos, prof.time_nanos + prof.duration_nanos)
    note('%d samples in main.burn, %.2f s of about %.2f s', n, seen / 1e9, expected / 1e9)
    check(n > 20, 'only %d samples in threads that come and go', n)
    check(0.6 * expected < seen < 1.4 * expected, 'main.burn has %.2f s, truth about %.2f s', seen / 1e9, expected / 1e9)


@test('fault', 'a library loaded in the middle')
def dlopen():
    path = build(VERSION, 'dlopen_mid', 'cgo')
    library = os.path.join(os.path.dirname(path), 'libmid.so')
    with Target(path, '-after', '1500ms', '-lib', library) as t:
        prof = profile(t.pid, 4, rate=499, least=600)
    _, inside = weigh(prof, lambda frames, _: any((f.mapping or '').endswith('libmid.so') for f in frames))
    _, named = weigh(prof, lambda frames, _: 'mid_spin' in names(frames) and 'main.after' in names(frames))
    note('%d samples in the library, %d of them whole', inside, named)
    check(inside > 100, 'only %d samples in the library', inside)
    check(named >= 0.95 * inside, 'whole only in %d of %d', named, inside)


@test('fault', 'Ctrl-C writes what there is')
def interrupted():
    with Target(build(VERSION, 'busy_threads', 'static'), '-n', 2) as t:
        for sig in (signal.SIGINT, signal.SIGTERM):
            p, path = start(t.pid, 1000)
            burns(p.attached() and t.pid, 0.3)
            p.process.send_signal(sig)
            prof = outcome(p.wait(), path, [0])
            check(prof.duration_nanos < 900e9, 'the profile claims %d s', prof.duration_nanos / 1e9)


@test('fault', 'no such process')
def nobody_there():
    need_prowl()
    with subprocess.Popen(['true']) as p:
        p.wait()
        pid = p.pid
    path = out_file()
    p = Prowl('profile', '--pid', pid, '--seconds', 1, '-o', path)
    check(p.status not in (0, 2), 'exit %d for a process that does not exist', p.status)
    check(str(pid) in p.err, 'the message does not name the process: %r', p.err)
    check(not os.path.exists(path), 'a file was written')


@test('fault', 'an idle process')
def idle():
    with subprocess.Popen(['sleep', '60']) as sleeper:
        try:
            p, path = start(sleeper.pid, 1)
            p.wait()
            check(p.status == 5, 'exit %d, not 5, for a process that does nothing\n%s', p.status, p.err)
            check(not os.path.exists(path) or os.path.getsize(path) > 0, 'an empty file was left')
        finally:
            sleeper.kill()


@test('fault', 'the output cannot be written')
def full():
    with Target(build(VERSION, 'busy_threads', 'static'), '-n', 1) as t:
        need_perf()
        # a folder that is not there can be seen before; a full disk only at the end
        for path, named, allowed in (('/dev/full', '/dev/full', [1]), ('/nonexistent/p.pb.gz', '/nonexistent', [1, 2])):
            p = Prowl('profile', '--pid', t.pid, '--seconds', 1, '-o', path)
            check(p.status in allowed, 'exit %d when writing to %s\n%s', p.status, path, p.err)
            check(named in p.err, 'the message does not name %s: %r', named, p.err)


@test('fault', 'a launched command')
def launched():
    need_perf()
    path = out_file()
    p = Prowl('profile', '--seconds', 20, '--rate', 499, '-o', path, '--', build(VERSION, 'exit_soon', 'static'), '-after',
              '1s', '-status', 7)
    check(p.status == 7, 'the command ended with 7, prowl with %d\n%s', p.status, p.err)
    check('"ready":true' in p.out, 'the command\'s own output is lost: %r', p.out)
    prof = pprof.load(path)
    _, n = weigh(prof, lambda frames, _: 'main.spin' in names(frames))
    check(n > 5, 'only %d samples in main.spin', n)


@test('fault', 'several processes')
def several():
    with contextlib.ExitStack() as stack:
        a = stack.enter_context(Target(build(VERSION, 'known_shares', 'static')))
        b = stack.enter_context(Target(build('1.19', 'labels', 'static')))
        need_perf()
        path = out_file()
        p = Prowl('profile', '--pid', a.pid, '--pid', b.pid, '--seconds', 2, '--rate', 499, '-o', path)
        prof = outcome(p, path, [0])
    for function in ('main.phaseDeep', 'main.work'):
        _, n = weigh(prof, lambda frames, _, f=function: f in names(frames))
        check(n > 2, 'only %d samples in %s', n, function)


@test('soak', 'killed at a thousand moments')
def soak():
    rnd = random.Random()
    for _ in range(1000):
        with Target(build(VERSION, 'storm', 'static')) as t:
            p, path = start(t.pid, 20)
            time.sleep(rnd.uniform(0, 0.3))
            t.process.kill()
            t.process.wait()
            outcome(p.wait(), path, [0, 1, 5])

# SPDX-License-Identifier: Apache-2.0
"""C++ and Rust as most people build them, and C in static programs: stacks reach the root of their thread."""

import base64
import contextlib
import os
import shutil
import subprocess

import cgo
from harness import (Skip, TARGETS, Target, VERSIONS, build, check, debian_program, in_order, names, note, profile, test,
                     tmp, weigh)

# where threads begin
ROOTS = {'_start', 'clone', 'clone3', '__clone', '__clone3', 'thread_start'}


def compiled(compiler, source, *flags):
    if not shutil.which(compiler):
        raise Skip('no ' + compiler)
    out = tmp('native-%d' % len(os.listdir(tmp())))
    p = subprocess.run([compiler, *flags, os.path.join(TARGETS, 'native', source), '-o', out], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    check(p.returncode == 0, 'building %s:\n%s', source, p.stdout[-3000:])
    return out


@contextlib.contextmanager
def running(command, ready=True):
    p = subprocess.Popen(command, stdout=subprocess.PIPE if ready else subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        check(not ready or p.stdout.readline() == b'ready\n', '%s did not start', command[0])
        yield p
        check(p.poll() is None, '%s ended while it was looked at', command[0])
    finally:
        p.kill()
        p.wait()
        if ready:
            p.stdout.close()


def samples_of(pid):
    """A profile of at least 100 samples. Up to 250 Hz 16 KiB are copied."""
    prof = profile(pid, 1.5, rate=249, least=120)
    everything, samples = weigh(prof, lambda *_: True)
    check(samples >= 100, 'only %d samples\n%s', samples, prof.said)
    return prof, everything


def unknown_by_perf(pid):
    """The share of the samples whose root perf can't tell; None where there is no perf."""
    if not shutil.which('perf'):
        return None
    data = tmp('perf.data')
    r = subprocess.run(['perf', 'record', '-q', '--call-graph', 'dwarf', '-e', 'cpu-clock:u', '-F', '199', '-o', data, '-p',
                        str(pid), '--', 'sleep', '1'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    p = subprocess.run(['perf', 'script', '--no-inline', '-F', 'ip,sym', '-i', data], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True)
    stacks = [s.strip().splitlines() for s in p.stdout.split('\n\n') if s.strip()]
    if r.returncode != 0 or len(stacks) < 20:
        return None
    roots = [s[-1].split(None, 1)[1] for s in stacks]
    return sum(r not in ROOTS for r in roots) / len(roots)


def check_roots(pid, inner, outer):
    """Nearly all stacks have a root; those in function `inner` are below `outer`."""
    theirs = unknown_by_perf(pid)
    prof, everything = samples_of(pid)
    rooted, _ = weigh(prof, lambda frames, _: bool(ROOTS.intersection(names(frames)[-1:])))
    unknown = 1 - rooted / everything
    note('unknown root: %.1f %%; by perf: %s', 100 * unknown, 'not asked' if theirs is None else '%.1f %%' % (100 * theirs))
    check(unknown <= (theirs or 0) + 0.01, 'the root of %.1f %% is unknown\n%s', 100 * unknown, prof.said)
    if inner:
        inside, _ = weigh(prof, lambda frames, _: any(inner in n for n in names(frames)))
        below, _ = weigh(prof, lambda frames, _: in_order_by_part(names(frames), [inner, outer]))
        check(inside > everything / 4, 'only %.1f %% in %s', 100 * inside / everything, inner)
        check(below >= 0.99 * inside, '%s is above %s in only %.1f %%', inner, outer, 100 * below / inside)


def in_order_by_part(stack, wanted):
    """in_order, of names whatever their parameters and modules."""
    it = iter(stack)
    return all(any(w in name for name in it) for w in wanted)


def cxx(*flags):
    with running([compiled('c++', 'server.cc', '-O2', '-pthread', *flags)]) as p:
        check_roots(p.pid, 'spin', 'work')


def rust():
    if not shutil.which('rustc'):
        raise Skip('no rustc')
    with running([compiled('rustc', 'server.rs', '-O')]) as p:
        check_roots(p.pid, 'spin', 'work')


def ripgrep():
    """Rust in Debian's build, stripped: no name but those of the C library."""
    program, hay = debian_program('rg'), tmp('hay')
    with open(hay, 'wb') as f:
        f.write(base64.encodebytes(os.urandom(16 << 20)))
    with running([program, '-j2', '-c', '(a.*b.*c.*d|x[0-9]+y[0-9]+z.*q)+.*e.*w'] + [hay] * 1000, ready=False) as p:
        check_roots(p.pid, None, None)


def cgo_frames(version, name, variant, stack):
    """C frames below Go: down to where C was called; how Go goes on from there is another matter."""
    if variant == 'musl' and not shutil.which('musl-gcc'):
        raise Skip('no musl-gcc (Debian: musl-tools)')
    with Target(build(version, name, variant)) as t:
        prof, everything = samples_of(t.pid)
    inside, _ = weigh(prof, lambda frames, _: stack[0] in names(frames))
    whole, _ = weigh(prof, lambda frames, _: in_order(names(frames), stack + ['runtime.asmcgocall']))
    note('whole: %.2f %% of %s', 100 * whole / max(inside, 1), stack[0])
    check(inside > everything / 4, 'only %.1f %% in %s', 100 * inside / everything, stack[0])
    check(whole >= 0.99 * inside, 'whole in only %.2f %%\n%s', 100 * whole / max(inside, 1), prof.said)


for flags in ([], ['-no-pie', '-fno-pie'], ['-static']):
    test('matrix' if flags else 'e2e', 'C++ with cleanups, %s' % (' '.join(flags) or 'as by default'), *flags)(cxx)
test('e2e', 'Rust with panics and drops')(rust)
test('e2e', "Debian's ripgrep")(ripgrep)
for v in VERSIONS:
    for what, program, variant, stack, version in (
            ('C++ with cleanups', 'cgo_cleanup', 'cgo', ['cxx_spin', 'with_cleanup'], '1.27'),
            ('static C without a search table', 'cgo_deep', 'cstatic', cgo.C_STACK, '1.27'),
            ('C with musl', 'cgo_deep', 'musl', cgo.C_STACK, '1.19')):
        test('e2e' if v == version else 'matrix', '%s below Go, Go %s' % (what, v), v, program, variant, stack)(cgo_frames)

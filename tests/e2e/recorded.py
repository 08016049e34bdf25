# SPDX-License-Identifier: Apache-2.0
"""heap, allocs, block, mutex, threadcreate beside the process' own: ours lies between two of Go's own profiles."""

import collections
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import pprof
from harness import *

VERSIONS_SHORT = ['1.19', '1.27']


def own(target, kind, query=''):
    """Go's own profile of the target."""
    with urllib.request.urlopen('http://%s/debug/pprof/%s%s' % (target.hello['http'], kind, query), timeout=60) as f:
        return pprof.Profile(f.read())


def ours(pid, kind, *args):
    path = out_file()
    p = Prowl(kind, '--pid', pid, '-o', path, *args).must(0)
    result = pprof.load(path)
    result.said = p.err
    return result


def records(profile, starts=True, nofile=()):
    """Values by (stack line by line, size of object); go1.19 doesn't write where functions start."""
    result = collections.defaultdict(lambda: [0] * len(profile.sample_types))
    for frames, values, labels in profile.stacks():
        # the words 0 behind a thread's creation stack, which some versions write as a frame without a name
        stack = tuple((f.name, '' if f.name in nofile else f.file, f.line, f.start_line if starts else 0)
                      for f in frames if f.name)
        sums = result[stack, labels.get('bytes', 0)]
        for i, v in enumerate(values):
            sums[i] += v
    return result


def has_starts(profile):
    return any(f['start_line'] for f in profile.functions.values())


def of_several_files(profile):
    """Functions of ours whose lines are in more than one file, as a package's init.

    Go's own profile knows one file a function, the first that it meets, and gives it to all of its lines.
    """
    files = collections.defaultdict(set)
    for f in profile.functions.values():
        files[f['name']].add(f['file'])
    return {name for name, of in files.items() if len(of) > 1 or name.endswith('.init')}


def comparable(mine, *go):
    """Records of each, ours first, as far as Go's own can say them."""
    several = of_several_files(mine)
    return [records(p, all(map(has_starts, go)), several) for p in (mine, *go)]


def of_server(stack):
    """Records of the HTTP server that serves the profiles change with each that it serves."""
    return any(name.startswith(('net/http.', 'runtime/pprof.', 'net/http/pprof.', 'compress/', 'net.', 'bufio.',
                                'runtime.mcall', 'runtime.newm'))
               for name, *_ in stack)


def sandwich(before, mine, after, quiet, what, tolerance=0.0):
    check(mine.sample_types == before.sample_types, '%s: sample types %r, Go has %r', what, mine.sample_types,
          before.sample_types)
    check(mine.period_type == before.period_type and mine.period == before.period, '%s: period %r %r, Go has %r %r',
          what, mine.period_type, mine.period, before.period_type, before.period)
    m, a, b = comparable(mine, before, after)
    compared = 0
    for key in set(a) | set(m):
        if of_server(key[0]):
            continue
        if not quiet and key not in m and not any(a[key]):
            continue  # not published yet; when it is, Go writes its size, too
        if not quiet and key not in b and not any(m[key]):
            continue  # published only after we read it
        lo, hi = a.get(key), b.get(key)
        got = m.get(key)
        lines = '\n'.join('  %s %s:%d (from %d)' % f for f in key[0])
        check(got is not None, '%s: we lack a record of %r bytes, %r\n%s', what, key[1], lo, lines)
        if hi is None:
            raise Failed('%s: Go has no such record of %r bytes: %r\n%s' % (what, key[1], got, lines))
        lo = lo or [0] * len(got)
        for x, y, z in zip(lo, got, hi):
            slack = tolerance * max(abs(x), abs(z)) + 1 if tolerance else 0
            inside = min(x, z) - slack <= y <= max(x, z) + slack
            check(inside, '%s: %r is not between %r and %r\n%s', what, got, lo, hi, lines)
        compared += 1
        if quiet:
            check(tolerance or got == lo == hi, '%s: %r, Go has %r\n%s', what, got, lo, lines)
    note('%s: %d records alike', what, compared)
    return compared


def inits_of_files(mine):
    """The lines of a package's init are each in their own file."""
    seen = {(os.path.basename(f.file), f.line) for frames, *_ in mine.stacks() for f in frames if f.name == 'main.init'}
    check(seen == {('init_a.go', 11), ('init_b.go', 7)}, 'main.init: %r', sorted(seen))


def compare(version, variant):
    with Target(build(version, 'heapzoo', variant)) as t:
        for kind in ('heap', 'allocs', 'block', 'mutex', 'threadcreate'):
            own(t, kind)  # what serving it allocates for the first time is there
            # time in ns: the length of a tick is rounded by each reader
            tolerance = 0.001 if kind in ('block', 'mutex') else 0.0
            before, mine, after = own(t, kind), ours(t.pid, kind), own(t, kind)
            n = sandwich(before, mine, after, kind in ('heap', 'allocs'), kind, tolerance)
            # go1.23 and later record these by frame pointers, which find wrappers, too
            if kind == 'block':
                wrappers = {f.name for frames, *_ in mine.stacks() for f in frames if 'wrap' in f.name or
                            f.name == 'main.(*holder).Hold'}
                check(bool(wrappers) == (VERSIONS.index(version) >= VERSIONS.index('1.23')), 'wrappers: %r', wrappers)
            if kind == 'heap':
                inits_of_files(mine)
            check(n > (5 if kind in ('heap', 'allocs') else 0) or kind == 'threadcreate', '%s: only %d records', kind,
                  n)


def switched_off(version):
    """Records of a time when they were made, and the rate is 0 now: what was recorded, and a word on it."""
    with Target(build(version, 'heapzoo', 'static'), '-off') as t:
        mine = ours(t.pid, 'mutex')
        n = sum(values[0] for _, values, _ in mine.stacks())
        check(n == t.hello['contentions'] > 0, '%d contentions, not %d', n, t.hello['contentions'])
        check(all(values[1] > 0 for _, values, _ in mine.stacks()), 'contentions without time')
        # up to go1.19 they are scaled only when read, and Go's own has zeros
        scaled = all(not any(values) for _, values, _ in own(t, 'mutex').stacks())
        check(scaled == (version == '1.19'), 'Go\'s own profile is of zeros: %r', scaled)
        for text in (mine.said, '\n'.join(mine.comments)):
            check('rate is 0 now' in text and ('not scaled' in text) == scaled, '%s', text)
        for kind in ('heap', 'block'):
            before, mine, after = own(t, kind), ours(t.pid, kind), own(t, kind)
            sandwich(before, mine, after, kind == 'heap', kind, 0.001 if kind == 'block' else 0.0)
            check('rate is 0 now' in mine.said, '%s: %s', kind, mine.said)


def before_gc(version):
    with Target(build(version, 'heapzoo', 'static'), '-nogc') as t:
        mine = ours(t.pid, 'heap')  # first: Go's own changes what is active
        check(any('no' in c or 'none yet' in c for c in mine.comments if c.startswith('garbage')), 'comments: %r',
              mine.comments)
        after = own(t, 'heap')
        m, b = comparable(mine, after)
        # the program is quiet; what serves its profile is not
        same = [k for k in m if any(f[0].startswith('main.') for f in k[0])]
        for k in same:
            check(b.get(k) == m[k], '%r: we have %r, Go %r', k, m[k], b.get(k))
        check(len(same) > 5, 'only %d records', len(same))
        sandwich(own(t, 'heap'), ours(t.pid, 'heap'), own(t, 'heap'), False, 'heap')


def while_busy(version):
    with Target(build(version, 'heapzoo', 'static'), '-busy') as t:
        own(t, 'heap')
        for _ in range(5):
            sandwich_growing(own(t, 'heap'), ours(t.pid, 'heap'), own(t, 'heap'))


def sandwich_growing(before, mine, after):
    """What only grows lies between: all that was allocated."""
    m, a, b = comparable(mine, before, after)
    seen = 0
    for key in a:
        if key not in b or not any(a[key]):  # not published yet: Go writes no size then
            continue
        check(key in m, 'we lack %r', key)
        check(a[key][0] <= m[key][0] <= b[key][0], '%r: %r not between %r and %r', key, m[key], a[key], b[key])
        seen += 1
    check(seen > 5, 'only %d records', seen)


def debian_prometheus():
    program = debian_program('prometheus')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        address = '127.0.0.1:%d' % s.getsockname()[1]
    with open(tmp('prometheus.yml'), 'w') as f:
        f.write('global: {}\n')
    p = subprocess.Popen([program, '--config.file=' + tmp('prometheus.yml'), '--web.listen-address=' + address,
                          '--storage.tsdb.path=' + tmp('prometheus')], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        t = collections.namedtuple('Served', 'pid hello')(p.pid, {'http': address})
        for _ in range(100):
            with contextlib.suppress(OSError):
                own(t, 'heap')
                break
            time.sleep(0.1)
        n = 0
        for _ in range(3):
            n += sandwich(own(t, 'heap'), ours(t.pid, 'heap'), own(t, 'heap'), False, 'heap')
        check(n > 10, 'only %d records', n)
    finally:
        p.kill()
        p.wait()


def window(version):
    with Target(build(version, 'heapzoo', 'static'), '-busy') as t:
        mine = ours(t.pid, 'allocs', '--seconds', '0.5')
        check(mine.duration_nanos >= 400_000_000, 'duration %d', mine.duration_nanos)
        names = {f.name for frames, values, labels in mine.stacks() for f in frames if values[0] > 0}
        check('main.allocateSome' in names, 'no allocateSome: %r', sorted(names)[:20])
        check('main.growTwice' not in ' '.join(names) and 'main.deep' not in names, 'what was before is in it')
        check(all(any(values) for _, values, _ in mine.stacks()), 'samples of zeros')


def window_values(version):
    """What grew lies between Go's own differences within the window and around it."""
    with Target(build(version, 'heapzoo', 'static'), '-busy') as t:
        own(t, 'allocs')
        begun, early = 0, []

        def look():
            nonlocal begun
            begun = time.time_ns()
            return own(t, 'allocs')
        while True:
            before = own(t, 'allocs')
            path = out_file()
            p = Prowl('allocs', '--pid', t.pid, '--seconds', 1000, '-o', path, wait=False).attached()
            time.sleep(0.5)
            first = look()
            burns(t.pid, 0.3)
            last = own(t, 'allocs')
            p.process.send_signal(signal.SIGINT)
            p.wait().must(0)
            after = own(t, 'allocs')
            mine = pprof.load(path)
            if mine.time_nanos < begun:
                break
            early.append(begun)
            check(len(early) < 10, 'its window never began within half a second')
        mine, a, b, c, d = comparable(mine, before, first, last, after)
        grown = 0
        for key in set(c) | set(mine):
            if of_server(key[0]):
                continue
            for i in (0, 1):  # allocated objects and bytes; each figure is rounded
                at_least = c[key][i] - b[key][i] - 1 if key in c and key in b else 0
                at_most = d[key][i] - a[key][i] + 1
                check(at_least <= mine[key][i] <= at_most, '%r: %d is not from %d to %d', key, mine[key][i], at_least,
                      at_most)
                grown += at_least > 0
        check(grown > 1, 'nothing has grown')
        note('%d figures have grown', grown)


def speed(version):
    """At least 8,192 records: a third of the time of the process' own endpoint, best of several."""
    with Target(build(version, 'heapzoo', 'static'), '-buckets', 9000, '-rate', 1) as t:
        best = [1e9, 1e9]
        for _ in range(5):
            start = time.monotonic()
            own(t, 'heap')
            mid = time.monotonic()
            mine = ours(t.pid, 'heap', '-q')
            end = time.monotonic()
            best = [min(best[0], mid - start), min(best[1], end - mid)]
        note('%d records: own endpoint %.1f ms, prowl heap with the reader of this test %.1f ms',
             len(mine.samples), best[0] * 1e3, best[1] * 1e3)
        check(len(mine.samples) >= 8192, 'only %d records', len(mine.samples))


def refuses():
    version = any_goroot(['1.27', '1.26', '1.25', '1.24', '1.23', '1.19'])
    with Target(build(version, 'labels', 'static')) as t:
        p = Prowl('mutex', '--pid', t.pid, '-o', out_file())
        check(p.status == 5 and 'SetMutexProfileFraction' in p.err, 'exit %d: %s', p.status, p.err)
    Prowl('heap', '--pid', os.getpid(), '-o', out_file()).must(6)


def executes_itself():
    """An exec within the window: what is read at its end is another image's, also where the program is the same."""
    path = build(any_goroot(VERSIONS), 'exec_self', 'static')
    for program, caps in (('', ''), ('', '+sys_ptrace'), ('/usr/bin/yes', '')):
        with Target(path, '-after', '1500ms', *(['-program', program] if program else [])) as t:
            command = [PROWL, 'threadcreate', '--pid', str(t.pid), '--seconds', '3', '-f', 'pprof', '-o', '-']
            if caps:  # may read the memory, but not open /proc/PID/mem
                command = ['setpriv', '--reuid=%d' % NOBODY, '--clear-groups', '--inh-caps=' + caps,
                           '--ambient-caps=' + caps, staged(PROWL)] + command[1:]
            p = subprocess.run(command, capture_output=True, timeout=60)
            err = p.stderr.decode()
            if caps and 'setpriv' in err:
                note('not as another user: %s', err.strip())
                continue
            check(p.returncode == 5 and 'executes another program' in err, '%r %r: exit %d: %s', program, caps,
                  p.returncode, err)
            check(not p.stdout, 'a profile was written')


def goroutines_across_exec():
    path = build(any_goroot(VERSIONS), 'exec_self', 'static')
    with Target(path, '-after', '1500ms') as t:
        p = Prowl('goroutine', '--leaks', '--json', '--pid', t.pid, '--seconds', 3).must(5)
        check('executes another program' in p.err, '%s', p.err)
    with Target(path, '-after', '1500ms') as t:
        path = out_file()
        Prowl('wall', '--pid', t.pid, '--seconds', 3, '-o', path).must(0)
        seconds = pprof.load(path).duration_nanos / 1e9
        check(seconds < 2.5, 'it went on for %.1f s', seconds)


def nothing_changed():
    """No profile is better than an empty one."""
    with Target(build(any_goroot(VERSIONS), 'heapzoo', 'static')) as t:
        path = out_file()
        p = Prowl('heap', '--pid', t.pid, '--seconds', 0.3, '-o', path)
        check(p.status == 5 and 'nothing changed' in p.err and not os.path.exists(path), 'exit %d: %s', p.status, p.err)


FAILING_READS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long n, at;
static int after;

__attribute__((constructor)) static void begin(void)
{
	at = atol(getenv("FAIL_AT"));
	after = getenv("FAIL_AFTER") != NULL;
}

__attribute__((destructor)) static void end(void)
{
	if (n < at)
		(void)!write(STDERR_FILENO, "no such read\n", 13);
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *l, unsigned long k, const struct iovec *r, unsigned long m,
			 unsigned long f)
{
	if (++n == at || (after && n > at)) {
		errno = EFAULT;
		return -1;
	}
	return syscall(SYS_process_vm_readv, pid, l, k, r, m, f);
}
"""


def reads_fail(variant):
    """Each read of the process fails once, and all from each on: no profile, or one that has everything."""
    if not shutil.which('cc'):
        raise Skip('no C compiler')
    shim = tmp('failing_reads')
    with open(shim + '.c', 'w') as f:
        f.write(FAILING_READS)
    subprocess.run(['cc', '-shared', '-fPIC', '-o', shim + '.so', shim + '.c'], check=True)

    def read(pid, kind, at, after):
        env = dict(os.environ, LD_PRELOAD=shim + '.so', FAIL_AT=str(at))
        if after:
            env['FAIL_AFTER'] = '1'
        return subprocess.run([PROWL, kind, '--pid', str(pid), '-f', 'pprof', '-o', '-'], capture_output=True, env=env,
                              timeout=60)

    def counts(profile):
        """Without times: the length of a tick is measured anew by each reader."""
        n = len(profile.sample_types) if kind == 'heap' else 1
        return sorted((tuple((f.name, f.line) for f in frames), tuple(values[:n]), sorted(labels.items()))
                      for frames, values, labels in profile.stacks())

    with Target(build('1.26', 'heapzoo', variant)) as t:
        for kind in ('heap', 'block'):
            whole = counts(ours(t.pid, kind))
            for after in (False, True):
                complete = failed = 0
                for at in range(1, 1000):
                    p = read(t.pid, kind, at, after)
                    err = p.stderr.decode()
                    if p.returncode == 0:
                        check(counts(pprof.Profile(p.stdout)) == whole, '%s: read %d failed, and something is missing',
                              kind, at)
                        complete += 1
                    else:
                        check(p.returncode in (1, 5, 6) and 'error: ' in err, '%s: read %d failed: exit %d: %s', kind, at,
                              p.returncode, err)
                        check(not p.stdout, '%s: read %d failed, and there is output', kind, at)
                        failed += 1
                    if 'no such read' in err:
                        break
                check(failed > 1 and p.returncode == 0, '%s: %d reads failed, exit %d', kind, failed, p.returncode)
                note('%s: of %d reads %d were needed', kind, complete + failed - 1, failed)


for v in VERSIONS_SHORT:
    test('e2e', 'recorded profiles, go%s' % v, v, 'static')(compare)
for v in ('1.19', '1.27'):
    test('e2e', 'heap before the first collection, go%s' % v, v)(before_gc)
    test('e2e', 'recorded profiles that are switched off, go%s' % v, v)(switched_off)
    test('e2e', 'heap while allocating, go%s' % v, v)(while_busy)
test('e2e', 'allocs over a window', '1.27')(window)
test('e2e', 'allocs over a window, between differences of Go\'s own', '1.26')(window_values)
test('e2e', 'heap of Debian\'s prometheus')(debian_prometheus)
test('e2e', 'recorded profiles that there are not')(refuses)
test('e2e', 'recorded profiles of a program that executes itself')(executes_itself)
test('e2e', 'goroutines of a program that executes itself')(goroutines_across_exec)
test('e2e', 'recorded profiles where reads fail')(lambda: reads_fail('static'))
test('matrix', 'recorded profiles where reads fail, stripped')(lambda: reads_fail('stripped'))
test('e2e', 'recorded profiles of a window in which nothing happens')(nothing_changed)
for v in VERSIONS:
    for variant in ('static', 'pie', 'stripped', 'cgo'):
        test('matrix', 'recorded profiles, go%s %s' % (v, variant), v, variant)(compare)
    test('matrix', 'heap before the first collection, go%s' % v, v)(before_gc)
    test('matrix', 'recorded profiles that are switched off, go%s' % v, v)(switched_off)
    test('matrix', 'heap while allocating, go%s' % v, v)(while_busy)
test('matrix', 'heap of many records, speed', '1.27')(speed)


def linked_out(start):
    """The linker has left heap profiling out: prowl says why there is nothing, and what to do."""
    with start() as pid:
        p = Prowl('heap', '--pid', pid, '-o', out_file()).must(5)
        for word in ('linker switched heap profiling off', '--allow-write=heap-rate', 'runtime/pprof'):
            check(word in p.err, 'no word of %r in:\n%s', word, p.err)
        p = Prowl('goroutine', '--pid', pid, '--text').must(0)
        check('runtime.main' in p.out or 'main.main' in p.out, '%s', p.out)


@contextlib.contextmanager
def unprofiled():
    with Target(build(any_goroot(VERSIONS), 'unprofiled', 'stripped')) as t:
        yield t.pid


@contextlib.contextmanager
def restic():
    program = debian_program('restic')
    # it waits for a password on its standard input
    p = subprocess.Popen([program, '-r', tmp('restic'), 'init'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        check(p.poll() is None, 'restic ended')
        yield p.pid
    finally:
        p.kill()
        p.wait()
        p.stdin.close()


test('e2e', 'heap of a program without heap profiling')(lambda: linked_out(unprofiled))
test('e2e', 'heap of Debian\'s restic')(lambda: linked_out(restic))

# SPDX-License-Identifier: Apache-2.0
"""Threads and processes that live for less than, or little more than, a period: the total is what they used, and says so."""

import os
import re
import shutil
import subprocess

import pprof
from harness import NOBODY, PROWL, Prowl, Skip, Target, build, check, names, need_perf, need_root, note, out_file, staged, test, tmp, weigh

SHORT_LIVED = r'''
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double life;

static double cpu(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

__attribute__((noinline)) void spin_for_life(void)
{
	double until = cpu(CLOCK_THREAD_CPUTIME_ID) + life;
	volatile int v;

	while (cpu(CLOCK_THREAD_CPUTIME_ID) < until)
		for (int i = 0; i < 5000; i++)
			v = i;
}

static void *thread(void *arg)
{
	spin_for_life();
	return NULL;
}

static void two_threads(void)
{
	pthread_t t[2];

	for (int k = 0; k < 2; k++)
		pthread_create(&t[k], NULL, thread, NULL);
	for (int k = 0; k < 2; k++)
		pthread_join(t[k], NULL);
}

static void two_children(char **argv, int exec)
{
	for (int k = 0; k < 2; k++) {
		if (fork())
			continue;
		if (exec)
			execl(argv[0], argv[0], "once", argv[2], "0", (char *)0);
		spin_for_life();
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
}

/* HOW LIFE TOTAL: as many of them, two at a time, as have TOTAL seconds of CPU together. */
int main(int argc, char **argv)
{
	struct rusage children;

	life = atof(argv[2]);
	if (!strcmp(argv[1], "once"))
		spin_for_life();
	for (double n = 0; n < atof(argv[3]) / life; n += 2) {
		if (!strcmp(argv[1], "threads"))
			two_threads();
		else
			two_children(argv, !strcmp(argv[1], "exec"));
	}
	if (!strcmp(argv[1], "once"))
		return 0;
	getrusage(RUSAGE_CHILDREN, &children);
	printf("used %f\n", cpu(CLOCK_PROCESS_CPUTIME_ID) + children.ru_utime.tv_sec + children.ru_stime.tv_sec +
	       (children.ru_utime.tv_usec + children.ru_stime.tv_usec) / 1e6);
	return 0;
}
'''

built = {}


def compiled(name, text):
    cc = shutil.which(os.environ.get('CC', 'cc')) or shutil.which('gcc')
    if not cc:
        raise Skip('no C compiler')
    if name not in built:
        source, built[name] = tmp(name + '.c'), tmp(name)
        with open(source, 'w') as f:
            f.write(text)
        subprocess.run([cc, '-O1', '-fno-omit-frame-pointer', '-pthread', '-o', built[name], source], check=True)
    return staged(built[name])


def need_unprivileged():
    need_root()  # to become somebody else
    with open('/proc/sys/kernel/perf_event_paranoid') as f:
        if int(f.read()) > 2:
            raise Skip('perf_event_paranoid is above 2: unprivileged users may not sample')


def launched(how, life, total, rate, *options, nobody=False):
    """The profile of a launched program, what that used by its own clocks, and prowl's comment and words."""
    need_perf()
    if nobody:
        need_unprivileged()
    folder = tmp('nobody') if nobody else tmp()
    if nobody:
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, NOBODY, NOBODY)
    said, path = os.path.join(folder, 'short_lived.said'), os.path.join(folder, os.path.basename(out_file()))
    p = Prowl('profile', '--rate', rate, *options, '-o', path, '--', 'sh', '-c', 'exec "$0" "$@" > ' + said,
              compiled('short_lived', SHORT_LIVED), how, life, total, nobody=nobody).must(0)
    with open(said) as f:
        used = float(f.read().split()[1])
    prof = pprof.load(path)
    comment = next(c for c in prof.comments if 'charged by the kernel' in c)
    return prof, used, float(re.search(r'kernel: ([0-9.]+) s', comment).group(1)), p.err


def total(how, life, rate, options, nobody):
    prof, used, commented, _ = launched(how, life, 0.6, rate, *options, nobody=nobody)
    seen = prof.total('cpu') / 1e9
    note('%s of %g ms at %d Hz: used %.4f s, profile %.4f s (%+.2f %%), comment %.4f s, %d samples', how, life * 1e3,
         rate, used, seen, 100 * (seen / used - 1), commented, prof.total('samples'))
    # No matter of chance: both are readings of the same clocks. Between fork and exec, and after its last line, the
    # program uses some hundred microseconds that it doesn't know of.
    check(abs(seen / used - 1) <= 0.02, 'the total is %.4f s, but %.4f s were used', seen, used)
    check(abs(seen - commented) <= 1e-3, 'the samples are %.6f s, their comment says %.6f s', seen, commented)


WAYS = [('as root', [], False), ('thread by thread', ['--per-thread'], False), ('unprivileged', [], True)]
for what, options, nobody in WAYS:
    for rate in (99, 999):
        for how, life in (('exec', 0.02), ('fork', 0.02), ('exec', 0.05), ('fork', 0.05), ('threads', 0.001)):
            if what == 'thread by thread' and life != 0.001:
                continue
            test('e2e', 'total of %s of %g ms, %s, %d Hz' % ('threads' if how == 'threads' else how + 's', life * 1e3,
                                                           what, rate), how, life, rate, options, nobody)(total)


def shares(rate):
    """
    Threads of 1 ms, thread by thread: nearly all of their time has its function.

    The first 50 us of each can't be sampled, nor what the kernel does after an exit, nor the time until it is seen that
    threads are so short: less than a third in all. Beyond that the samples come in groups: threads that began within
    5 ms have the same period. On a busy machine prowl changes it less often, down to some ten times; steps of the
    golden ratio then still find 2/5 of the range within a factor of 1.5.
    """
    prof, used, _, _ = launched('threads', 0.001, 1.2, rate, '--per-thread')
    spun, n = weigh(prof, lambda frames, _: 'spin_for_life' in names(frames))
    lost, _ = weigh(prof, lambda frames, _: '[not sampled]' in names(frames))
    note('threads of 1 ms at %d Hz: 1.2 s in the function, %.3f s seen in %d samples; %.3f s not sampled, %.3f s in all',
         rate, spun / 1e9, n, lost / 1e9, used)
    check(spun / 1e9 + lost / 1e9 * 1.2 / used > 1.2 / 1.5, 'only %.3f s of 1.2 s are in the function', spun / 1e9)
    check(spun / 1e9 < min(1.2 * 1.5, used), '%.3f s of 1.2 s are in the function', spun / 1e9)
    check(lost / 1e9 < used / 3 + 0.2, '%.3f s of %.3f s are not sampled', lost / 1e9, used)


for rate in (99, 999):
    test('e2e', 'threads of 1 ms are sampled thread by thread, %d Hz' % rate, rate)(shares)


def told():
    """Threads that live too short for any sample: their time is there all the same, and it is said."""
    prof, used, _, err = launched('threads', 0.00001, 0.06, 99, '--per-thread')
    lost, _ = weigh(prof, lambda frames, _: '[not sampled]' in names(frames))
    note('threads of 10 us: %.3f s of %.3f s not sampled', lost / 1e9, used)
    check(abs(prof.total('cpu') / 1e9 / used - 1) < 0.03, 'the total is %.4f s, %.4f s were used',
          prof.total('cpu') / 1e9, used)
    check(lost > 0 and 'not sampled' in err, 'nothing is not sampled:\n%s', err)
    check(any('shown as [not sampled]' in c for c in prof.comments), 'no comment of it: %r', prof.comments)


test('e2e', 'threads that are too short for samples are told')(told)


NAMED_THREADS = r'''
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

static void spin(double life)
{
	struct timespec t;
	double until = 0;

	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		if (until == 0)
			until = t.tv_sec + t.tv_nsec / 1e9 + life;
		for (volatile int i = 0; i < 5000; i++)
			;
	} while (t.tv_sec + t.tv_nsec / 1e9 < until);
}

__attribute__((noinline)) void as_first(void) { spin(0.2); __asm__ volatile(""); }
__attribute__((noinline)) void as_second(void) { spin(0.2); __asm__ volatile(""); }
__attribute__((noinline)) void as_other(void) { spin(0.2); __asm__ volatile(""); }

static void *renames(void *arg)
{
	prctl(PR_SET_NAME, "first");
	as_first();
	prctl(PR_SET_NAME, "second");
	as_second();
	return 0;
}

static void *other(void *arg)
{
	prctl(PR_SET_NAME, "other");
	as_other();
	return 0;
}

int main(void)
{
	pthread_t t[2];

	pthread_create(&t[0], 0, renames, 0);
	pthread_create(&t[1], 0, other, 0);
	pthread_join(t[0], 0);
	pthread_join(t[1], 0);
	prctl(PR_SET_NAME, "afterwards");
	spin(0.1);
	return 0;
}
'''


def thread_names(*options):
    """Each sample has the name that its thread had then; the threads are gone when the profile is built."""
    need_perf()
    path = out_file()
    Prowl('profile', '--rate', 499, '--threads', *options, '-o', path, '--', compiled('named', NAMED_THREADS)).must(0)
    prof = pprof.load(path)
    for name in ('first', 'second', 'other'):
        seen = {}
        for frames, values, labels in prof.stacks():
            if 'as_' + name in names(frames):
                which = labels.get('thread_name')
                seen[which] = seen.get(which, 0) + values[0]
        note('as_%s: %r', name, seen)
        check(list(seen) == [name], 'as_%s is of the threads %r', name, seen)


test('e2e', 'names of threads are those of their time, as root or as allowed')(thread_names)
test('e2e', 'names of threads are those of their time, thread by thread', '--per-thread')(thread_names)


def limits():
    """What prowl is short of is said; with 500 MB of addresses it works."""
    with Target(build('1.22', 'busy_threads', 'static'), '-n', 1) as t:
        def limited(limit, *args):
            command = 'ulimit %s; exec "$0" "$@"' % limit
            return Prowl(*args, '--pid', t.pid, '-o', '/dev/null', before=['sh', '-c', command])
        need_perf()
        limited('-v 500000', 'profile', '-d', '1', '-F', '999').must(0)
        # so much that it is loaded, and little more
        loaded = next(n for n in range(6000, 100_000, 500) if subprocess.run(
            ['sh', '-c', 'ulimit -v %d; exec "$0" --version' % n, PROWL], capture_output=True).returncode == 0)
        for limit in ('-n 5', '-n 6', '-v %d' % (loaded + 500)):
            for args in (['profile', '-d', '0.3'], ['heap'], ['goroutine']):
                p = limited(limit, *args)
                check('not a Go program' not in p.err, '%s, ulimit %s:\n%s', args[0], limit, p.err)
                check(p.status == 0 or 'ulimit' in p.err or 'Too many open' in p.err or 'emory' in p.err,
                      '%s, ulimit %s: exit %d\n%s', args[0], limit, p.status, p.err)
                note('%s, ulimit %s: exit %d, %s', args[0], limit, p.status, p.err.strip().splitlines()[-1])


test('fault', 'limits of address space and of open files')(limits)

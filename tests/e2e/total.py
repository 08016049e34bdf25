# SPDX-License-Identifier: Apache-2.0
"""The profile's total is the CPU time that the kernel charged."""

import os
import re
import shutil
import subprocess
import time

import pprof
from harness import (SIGMAS, CpuAccount, Prowl, Skip, Target, build, burns, check, names, need_perf, need_root, note, out_file,
                     profile, test, tmp, weigh)


def total(threads, nobody, tolerance):
    need_perf()
    if nobody:
        need_root()  # to become somebody else
        with open('/proc/sys/kernel/perf_event_paranoid') as f:
            if int(f.read()) > 2:
                raise Skip('perf_event_paranoid is above 2: unprivileged users may not sample')
    elif os.geteuid() != 0:
        raise Skip('needs root')
    with Target(build('1.22', 'busy_threads', 'static'), '-n', threads, nobody=nobody) as t:
        burns(t.pid, 0.2)
        with CpuAccount(t.pid) as account:
            time.sleep(0.2)
            prof = profile(t.pid, 4, rate=199, nobody=nobody)
            time.sleep(0.2)
    start, end = prof.time_nanos, prof.time_nanos + prof.duration_nanos
    charged = account.between(start, end)
    seen = prof.total('cpu')
    counted = prof.total('samples')
    check(charged > 0 and counted > 0, 'nothing ran: %d ns charged, %d samples', charged, counted)
    # On CPUs that others use too, a sample hits the target or not: the spread of a binomial.
    slots = prof.duration_nanos / max(prof.period, 1) * os.cpu_count()
    share = min(1.0, counted / slots)
    sigma = ((1 - share) / max(counted, 1)) ** 0.5
    off = seen / charged - 1
    note('%d threads: profile %.3f s, kernel %.3f s: %+.2f %% (%d samples, sigma %.2f %%)', threads, seen / 1e9,
         charged / 1e9, 100 * off, counted, 100 * sigma)
    check(abs(off) <= tolerance + SIGMAS * sigma, 'the total is off by %+.2f %%', 100 * off)
    taken, lost = map(int, re.search(r'samples: (\d+); lost: (\d+)', '\n'.join(prof.comments)).groups())
    if not nobody and threads >= 100:  # prowl is real-time there: no matter of chance
        check(lost <= 0.01 * (taken + lost), 'lost %d of %d samples', lost, taken + lost)


for n in (1, 10, 100, 1000):
    test('e2e' if n in (1, 1000) else 'matrix', 'total CPU time, %d threads, as root' % n, n, False, 0.02)(total)
    test('e2e' if n in (1, 1000) else 'matrix', 'total CPU time, %d threads, unprivileged' % n, n, True, 0.03)(total)


LATE_THREADS = r'''
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static double begun, early, late;

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

__attribute__((noinline)) static void spin(volatile long *x)
{
	for (int i = 0; i < 100000; i++)
		*x += i;
}

__attribute__((noinline)) void spin_early(double until)
{
	volatile long x = 0;

	while (cpu() < until)
		spin(&x);
}

__attribute__((noinline)) void spin_late(void)
{
	volatile long x = 0;

	while (!stop)
		spin(&x);
	late = cpu();
}

static void *thread(void *arg)
{
	spin_late();
	return NULL;
}

int main(void)
{
	pthread_t t;
	char c;

	puts("{\"ready\":true}");
	fflush(stdout);
	if (read(0, &c, 1) != 1)
		return 1;
	spin_early(0.002); /* no CPU has given its first sample yet */
	pthread_create(&t, NULL, thread, NULL);
	spin_early(1.5);
	early = cpu();
	stop = 1;
	pthread_join(t, NULL);
	printf("%f %f\n", early, late);
	fflush(stdout);
	return 0;
}
'''


def late_threads(launched):
    need_perf()
    cc = shutil.which(os.environ.get('CC', 'cc')) or shutil.which('gcc')
    if not cc:
        raise Skip('no C compiler')
    source, program, path = tmp('late.c'), tmp('late'), out_file()
    with open(source, 'w') as f:
        f.write(LATE_THREADS)
    subprocess.run([cc, '-O1', '-fno-omit-frame-pointer', '-pthread', '-o', program, source], check=True)
    options = ['profile', '--per-thread', '--rate', '99', '-o', path]
    if launched:
        out = tmp('late.out')
        p = Prowl(*options, '--', 'sh', '-c', 'echo | exec "$0" > "$1"', program, out)
        with open(out) as f:
            answer = f.read().splitlines()[-1]
    else:
        with Target(program) as t:
            p = Prowl(*options, '--pid', t.pid, '--seconds', 20, wait=False).attached()
            t.process.stdin.write('\n')
            t.process.stdin.flush()
            answer = t.process.stdout.readline()
            p = p.wait()
    check(p.status == 0, 'prowl exited with %d\n%s', p.status, p.err)
    early, late = (float(x) for x in answer.split())
    prof = pprof.load(path)
    _, n_early = weigh(prof, lambda frames, _: 'spin_early' in names(frames))
    _, n_late = weigh(prof, lambda frames, _: 'spin_late' in names(frames))
    want, seen = late / (early + late), n_late / max(1, n_early + n_late)
    note('late thread: %.3f of the CPU time, %.3f of %d samples', want, seen, n_early + n_late)
    check(n_early + n_late > 100, 'only %d samples', n_early + n_late)
    check(abs(seen - want) < 0.05 + 3 * (want * (1 - want) / (n_early + n_late)) ** 0.5,
          'a thread that starts after prowl has %.3f of the CPU time, but %.3f of the samples', want, seen)


for n in (False, True):
    test('e2e', 'a thread that starts after prowl, %s' % ('launched' if n else 'attached'), n)(late_threads)

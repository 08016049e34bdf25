# SPDX-License-Identifier: Apache-2.0
"""The profile's total is the CPU time that the kernel charged."""

import os
import time

from harness import CpuAccount, Skip, Target, build, check, need_perf, need_root, note, profile, test


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
        time.sleep(0.5)
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
    check(abs(off) <= tolerance + 3 * sigma, 'the total is off by %+.2f %%', 100 * off)


for n in (1, 10, 100, 1000):
    test('e2e', 'total CPU time, %d threads, as root' % n, n, False, 0.02)(total)
    test('e2e', 'total CPU time, %d threads, unprivileged' % n, n, True, 0.03)(total)

# SPDX-License-Identifier: Apache-2.0
"""A whole host under one session: processes that come and go, windows, runtime profiles on a schedule."""

import os
import re
import shutil
import subprocess
import threading
import time

from harness import *

RUN = os.path.join(BUILD, 'tests', 'unit', 'profiler', 'host_run')


class Host:
    """host_run over processes of some names; `lines` grow while it runs."""

    def __init__(self, window, *names, nobody=False, **env):
        need_perf()
        check(os.access(RUN, os.X_OK), 'host_run is not built: no %s', RUN)
        command = [staged(RUN) if nobody else RUN, '0', str(window), *names]
        self.process = subprocess.Popen(as_nobody(command) if nobody else command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, TARGETS='1', MEMBERS='1', **env))
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def find(self, pattern):
        return [m for m in (re.match(pattern, line) for line in list(self.lines)) if m]

    def until(self, pattern, n=1):
        wait_for(lambda: len(self.find(pattern)) >= n or self.process.poll() is not None, pattern)
        found = self.find(pattern)
        check(len(found) >= n, '%r: %d of %d\n%s', pattern, len(found), n, ''.join(self.lines[-20:]))
        return found

    def say(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.reader.join()
        check(self.process.returncode == 0, 'host_run: exit %s', self.process.returncode)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def need_whole_cpus(self):
        self.until(r'window 0 ')
        if self.find(r'event 0 '):
            raise Skip(self.find(r'event 0 (.*)')[0].group(1))


def charged(usage):
    return usage.ru_utime + usage.ru_stime


@test('host', 'windows of a process add up to what the kernel charged, from its exec to its end')
def add_up():
    program = build('1.27', 'known_shares', 'static')
    with Host(1, 'known_shares-st', RATE='99') as host:
        host.need_whole_cpus()
        p = subprocess.Popen([program, '-seconds', '3'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        # a zombie until it was seen to end, so that its clock can be read
        host.until(r'target gone %d ' % p.pid)
        usage = os.wait4(p.pid, 0)[2]
        p.returncode = 0
        host.end()
    members = host.find(r'member \d+ %d .* cpu_ns=(\d+)' % p.pid)
    total = sum(int(m.group(1)) for m in members) / 1e9
    note('%.4f s in %d windows, charged %.4f s', total, len(members), charged(usage))
    check(len(members) >= 3, '%d windows', len(members))
    check(abs(total - charged(usage)) <= 0.01 * charged(usage), 'windows have %.4f s, the kernel charged %.4f s', total,
          charged(usage))
    times = [tuple(map(int, m.groups())) for m in host.find(r'window \d+ .* mono=(\d+)\.\.(\d+)')]
    for (_, end), (start, _) in zip(times, times[1:]):
        check(end == start, 'a window ends at %d, the next one begins at %d', end, start)


@test('host', 'Go programs that live for some milliseconds are targets from their exec on')
def short_lived():
    # under a name of its own: other tests may run the same program
    program = shutil.copy(build('1.27', 'known_shares', 'static'), tmp('host-short'))
    n, used = 20, 0.0
    with Host(1, 'host-short', RATE='997') as host:
        host.need_whole_cpus()
        for _ in range(n):
            pid = os.posix_spawn(program, [program, '-seconds', '0.05'], {},
                                 file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
            used += charged(os.wait4(pid, 0)[2])
        host.until(r'target gone ', n)
        host.end()
    appeared = {m.group(1) for m in host.find(r'target appeared (\d+) host-short \S+ go1\.27')}
    total = sum(int(m.group(1)) for m in host.find(r'part \d+ host-short .*cpu_ns=(\d+)')) / 1e9
    samples = sum(int(m.group(1)) for m in host.find(r'part \d+ host-short samples=(\d+)'))
    others = sum(int(m.group(1)) for m in host.find(r'other \d+ host-short cpu_ns=(\d+)')) / 1e9
    check(len(appeared) == n, '%d of %d appeared', len(appeared), n)
    # five standard deviations of independent samples: less than 1e-6
    bound = 5 * samples ** 0.5 / 997
    note('%.3f s in profiles +- %.3f, %.3f s among the others; charged %.3f s', total, bound, others, used)
    check(0.95 * used - bound <= total <= used + bound, 'profiles have %.3f s +- %.3f, charged were %.3f s', total, bound,
          used)


@test('host', 'runtime profiles on a schedule: levels, and flows that follow each other')
def looks():
    program = build('1.27', 'heapzoo', 'static')
    with Host(1, 'heapzoo-static', LOOKS_MS='300') as host:
        host.until(r'window 0 ')
        with Target(program, '-busy') as t:
            for kind in ('heap', 'allocs', 'goroutine', 'threadcreate'):
                host.until(r'snapshot %d heapzoo-static %s ' % (t.pid, kind), 3)
            host.until(r'figures %d heapzoo-static goroutines=[1-9]' % t.pid, 3)
            for kind in ('cpu', 'heap', 'goroutine'):
                host.say(kind)
                host.until(r'capture %s (\d+) samples=[1-9]' % kind)
            host.say('nonsense')
            host.until(r'capture nonsense failed busy=0 there is no kind')
            host.end()
    check(not host.find('capture of another'), 'a process that never was had a profile')
    flows = {}
    for m in host.find(r'snapshot (\d+) \S+ (\S+) flow=(\d) wall=(\d+)\.\.(\d+) cost_ns=\d+ samples=\d+ types=(\d) first=(\S+)'):
        pid, kind, flow, start, end, types, first = m.groups()
        check((flow == '1') == (kind in ('allocs', 'block', 'mutex')), '%s: flow=%s', kind, flow)
        check((start == end) == (flow == '0'), '%s: from %s to %s', kind, start, end)
        if kind in ('heap', 'allocs'):
            check(types == '2' and first == {'heap': 'inuse_objects', 'allocs': 'alloc_objects'}[kind],
                  '%s: %s types, the first is %s', kind, types, first)
        if flow == '1':
            flows.setdefault((pid, kind), []).append((start, end))
    for key, times in flows.items():
        for (_, end), (start, _) in zip(times, times[1:]):
            check(end == start, '%s: one flow ends at %s, the next one begins at %s', key, end, start)
    check(flows, 'no flows')


@test('host', 'without privilege: own processes, and the reason is said')
def unprivileged():
    need_root()  # to be somebody else
    program = build('1.27', 'known_shares', 'static')
    with Target(program, nobody=True) as t, Host(1, 'known_shares-st', nobody=True, RATE='99') as host:
        host.until(r'event 0 only processes that may be sampled one by one.*perf_event_paranoid'
                   if paranoid() > 0 else r'window 0 ')
        host.until(r'member \d+ %d .* cpu_ns=[1-9]' % t.pid, 2)
        host.end()
    note('%s', host.find(r'part 1 .*')[0].group(0))


def paranoid():
    with open('/proc/sys/kernel/perf_event_paranoid') as f:
        return int(f.read())

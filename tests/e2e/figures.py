# SPDX-License-Identifier: Apache-2.0
"""What prowl info says of a runtime beside what the runtime says of itself, and how it finds the runtime's variables."""

import json
import os
import shutil
import subprocess
import time

from debian import free_port, get, running
from harness import BUILD, PROWL, VERSIONS, Skip, Target, build, check, debian_program, note, test, tmp

DUMP = os.path.join(BUILD, 'tests', 'unit', 'unwind', 'globals_dump')
NOT_IN_ALL = {'runtime.ticks'}  # found by code only where the program reads block or mutex profiles
STRIPPED = {'stripped', 'piestripped', 'cgostripped'}


def runtime_of(pid, *core):
    subject = ['--core', *core] if core else ['--pid', str(pid)]
    p = subprocess.run([PROWL, 'info', '--json'] + subject, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, 'prowl info: %s', p.stderr)
    info = json.loads(p.stdout)
    check(info['runtime'], 'no runtime: %s', info.get('runtime_unknown_because'))
    return info['runtime']


def same(name, ours, *theirs):
    """Ours is one of theirs, or between them."""
    check(min(theirs) <= ours <= max(theirs), '%s: prowl says %r, Go says %r', name, ours, theirs)


def quiet(t):
    """The program's own figures, once it has nothing left to do."""
    t.ask('stats')
    time.sleep(0.1)
    return t.ask('stats')


def compare(r, before, after, n):
    def both(key):
        return before[key], after[key]
    same('goroutines', r['goroutines'], *both('goroutines'))
    states = [r['goroutines_' + s] for s in ('running', 'runnable', 'waiting', 'in_syscall', 'other')]
    check(sum(states) == r['goroutines'] and not r['goroutines_unread'], 'states %r of %d', states, r['goroutines'])
    waiting = r['goroutines_waiting_for']
    expected = {'chan receive': n, 'select': n, 'select (no cases)': 1, 'sleep': 1}
    for reason, count in expected.items():
        check(waiting.get(reason) == count, 'waiting for %s: %r, not %d', reason, waiting.get(reason), count)
    check(sum(waiting.values()) == r['goroutines_waiting'], 'reasons %r of %d', waiting, r['goroutines_waiting'])
    check(r['goroutines_of_runtime'] >= 3, 'only %d goroutines of the runtime', r['goroutines_of_runtime'])
    same('threads', r['threads'], *both('threads'))
    check(0 <= r['threads_idle'] < r['threads'] and r['threads_in_c'] == 0, 'threads %r', r)
    same('gomaxprocs', r['gomaxprocs'], *both('gomaxprocs'))
    check(0 <= r['procs_idle'] <= r['gomaxprocs'], 'idle processors: %d', r['procs_idle'])
    check(r['run_queue'] == 0 and r['run_queues_of_procs'] <= 2, 'queues %r', r)
    check(r['gc_percent'] == 60 and r['memory_limit_bytes'] == 2**63 - 1, 'GOGC %r', r)
    same('collections', r['gc_count'], *both('gc_count'))
    same('forced', r['gc_forced_count'], *both('gc_forced'))
    check(r['gc_forced_count'] == 3, 'forced %d', r['gc_forced_count'])
    same('last GC', r['gc_last_unix_ns'], *both('gc_last'))
    same('pauses', r['gc_pause_total_ns'], *both('pause_total'))
    check(r['gc_last_pauses_ns'] in both('pauses'), 'pauses %r, Go says %r', r['gc_last_pauses_ns'], both('pauses'))
    check(abs(r['gc_cpu_fraction'] - before['gc_cpu_fraction']) <= 1e-6, 'GC CPU fraction %r, Go says %r',
          r['gc_cpu_fraction'], before['gc_cpu_fraction'])
    same('heap goal', r['heap_goal_bytes'], *both('next_gc'))
    check(10e6 < r['heap_marked_bytes'] <= r['heap_live_bytes'], 'marked %d, live %d', r['heap_marked_bytes'],
          r['heap_live_bytes'])
    # Live bytes are counted by whole spans, ahead of the objects in them.
    check(abs(r['heap_live_bytes'] - before['heap_alloc']) < 1e6, 'live %d, Go says %d', r['heap_live_bytes'],
          before['heap_alloc'])
    same('released', r['heap_released_bytes'], *both('heap_released'))
    check(abs(r['total_alloc_bytes'] - before['total_alloc']) < 1e6, 'allocated %d, Go says %d', r['total_alloc_bytes'],
          before['total_alloc'])
    check(r['mem_profile_rate_bytes'] == before['mem_rate'] == 524288 and r['heap_profile'] == 'on', 'heap rate %r', r)
    check(r['mutex_profile_fraction'] == 7 and r['block_profile_rate_ticks'] >= 1, 'rates %r', r)


def figures(version, variant, n=20):
    with Target(build(version, 'figures', variant), '-goroutines', n) as t:
        for _ in range(3):
            t.ask('gc')
        before = quiet(t)
        r = runtime_of(t.pid)
        after = t.ask('stats')
    compare(r, before, after, n)
    how = {v['found_by'] for v in r['variables'].values()}
    want = 'code' if variant in STRIPPED else 'symbol'
    check(how == {want}, 'found by %r, not all by %s: %r', how, want, r['variables'])


for _v in ('1.19', '1.23', '1.27'):
    test('e2e' if _v == '1.27' else 'matrix', 'figures of go%s' % _v, _v, 'static')(figures)
    test('e2e' if _v == '1.19' else 'matrix', 'figures of go%s, stripped' % _v, _v, 'stripped')(figures)
for _v in VERSIONS:
    for _k in ('static', 'stripped', 'pie', 'piestripped', 'external', 'cgo', 'cgostripped'):
        test('matrix', 'figures of go%s %s' % (_v, _k), _v, _k)(figures)


def figures_of_core(version, variant):
    gcore = shutil.which('gcore')
    if not gcore:
        raise Skip('no gcore (package gdb)')
    with Target(build(version, 'figures', variant), '-goroutines', 20) as t:
        for _ in range(3):
            t.ask('gc')
        before = quiet(t)
        p = subprocess.run([gcore, '-o', tmp('figures-core'), str(t.pid)], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        check(p.returncode == 0, 'gcore: %s', p.stdout[-500:])
        after = t.ask('stats')
        core = tmp('figures-core.%d' % t.pid)
    compare(runtime_of(0, core), before, after, 20)
    os.unlink(core)


test('e2e', 'figures of a core file of go1.27', '1.27', 'static')(figures_of_core)
for _v in VERSIONS:
    test('matrix', 'figures of a core file of go%s' % _v, _v, 'piestripped')(figures_of_core)


# --- linked out, many, none -----------------------------------------------------------------------------------------

@test('e2e', 'figures of a program without heap profiling')
def linked_out():
    with Target(build('1.27', 'known_shares', 'static')) as t:
        r = runtime_of(t.pid)
    check(r['heap_profile'] == 'linked-out' and r['mem_profile_rate_bytes'] == 0, 'heap profile %r', r['heap_profile'])


@test('e2e', 'figures of a program whose goroutine of finalizers has not run yet')
def finalizers_before_they_run():
    # main does not let go of the only processor until the runtime takes it away, after some milliseconds
    for version in ('1.19', '1.24', '1.27'):
        queued = 0
        for _ in range(20):
            with Target('/usr/bin/env', 'GOMAXPROCS=1', build(version, 'exit_soon', 'static'), '-after', '1h') as t:
                r = runtime_of(t.pid)
            check(r['goroutines'] == 1, 'go%s: %d goroutines of the program, %d of them runnable', version, r['goroutines'],
                  r['goroutines_runnable'])
            queued += r['goroutines_running'] == 1 and r['run_queue'] + r['run_queues_of_procs'] > 0
            if queued == 3:
                break
        if queued == 0:
            raise Skip('go%s: it had run each time before it was looked at: a busy machine' % version)
        note('go%s: %d times others than main were to run', version, queued)


@test('e2e', 'figures of 200,000 goroutines take well below a second')
def many():
    n = 100_000
    with Target(build('1.27', 'figures', 'static'), '-goroutines', n) as t:
        start = time.monotonic()
        r = runtime_of(t.pid)
        took = time.monotonic() - start
    check(r['goroutines_waiting_for']['chan receive'] == n, 'waiting %r', r['goroutines_waiting_for'])
    note('%d goroutines in %.2f s', r['goroutines'], took)


# --- one way of finding variables beside another ----------------------------------------------------------------------

def dump(*args):
    if not os.access(DUMP, os.X_OK):
        raise Skip('%s is not built' % DUMP)
    p = subprocess.run([DUMP] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, 'globals_dump: %s', p.stderr)
    return {name: [int(a, 16) for a in rest] for name, *rest in (line.split() for line in p.stdout.splitlines())}


def by_code(version, name, variant):
    found = 0
    for var, (symbol, code) in dump(build(version, name, variant)).items():
        check(code in (0, symbol), '%s is at %x, by code %x', var, symbol, code)
        check(code or var in NOT_IN_ALL, '%s is not found by code', var)
        found += code != 0
    note('%d variables', found)


def never_wrong(version, variant):
    """Code that the recipes were not made for: what is found is right all the same."""
    found = 0
    for var, (symbol, code) in dump(build(version, 'figures', variant)).items():
        check(code in (0, symbol), '%s is at %x, by code %x', var, symbol, code)
        found += code != 0
    check(found >= 8, 'only %d variables', found)
    note('%d variables', found)


def by_value(version, variant):
    """What lies in a live program's variables: each list that is not empty, and no other."""
    with Target(build(version, 'figures', variant)) as t:
        t.ask('gc')
        quiet(t)
        found = dump('--pid', str(t.pid))
    for var, (symbol, code, value) in found.items():
        check(code == symbol, '%s is at %x, by code %x', var, symbol, code)
        check(value in (0, symbol), '%s is at %x, by value %x', var, symbol, value)
    for var in ('runtime.allgs', 'runtime.mbuckets'):
        check(found[var][2], '%s is not found by value', var)


for _v in ('1.19', '1.23', '1.26', '1.27'):
    test('e2e' if _v in ('1.19', '1.27') else 'matrix', "the runtime's variables by value, go%s" % _v, _v, 'static')(by_value)
test('e2e', "the runtime's variables in a program without optimisation", '1.27', 'noinline')(never_wrong)
for _v in VERSIONS:
    test('matrix', "the runtime's variables by code, go%s noinline" % _v, _v, 'noinline')(never_wrong)
    for _k in ('static', 'pie', 'external', 'cgo', 'arm64'):
        for _n in ('figures', 'known_shares'):
            test('matrix', "the runtime's variables by code, go%s %s %s" % (_v, _n, _k), _v, _n, _k)(by_code)
    for _k in ('static', 'pie', 'external', 'cgo'):
        test('matrix', "the runtime's variables by value, go%s %s" % (_v, _k), _v, _k)(by_value)


# --- programs of others -----------------------------------------------------------------------------------------------

def plausible(r, pid):
    for name, v in r['variables'].items():
        check(v['found_by'] == 'code', '%s found by %s', name, v['found_by'])
    tasks = len(os.listdir('/proc/%d/task' % pid))
    check(abs(r['threads'] - tasks) <= 3, '%d threads, the kernel has %d', r['threads'], tasks)
    check(r['goroutines'] > 20 and r['goroutines_unread'] == 0, 'goroutines %r', r)
    check(r['gomaxprocs'] == os.cpu_count(), 'GOMAXPROCS %d', r['gomaxprocs'])
    check(1e6 < r['heap_live_bytes'] < 1e9 and r['gc_count'] > 0, 'heap %r', r)
    check(r['heap_profile'] == 'on' and r['mem_profile_rate_bytes'] == 524288, 'heap profile %r', r)
    check(0 <= time.time() - r['gc_last_unix_ns'] / 1e9 < 300, 'last GC %d', r['gc_last_unix_ns'])


@test('e2e', 'figures of etcd')
def etcd():
    port, peer = free_port(), free_port()
    url, peers = 'http://127.0.0.1:%d' % port, 'http://127.0.0.1:%d' % peer
    command = [debian_program('etcd'), '--data-dir', tmp('figures-etcd'), '--listen-client-urls', url,
               '--advertise-client-urls', url, '--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers,
               '--initial-cluster', 'default=' + peers]
    with running(command, port, '/health') as p:
        time.sleep(1)
        plausible(runtime_of(p.pid), p.pid)


@test('e2e', 'figures of prometheus')
def prometheus():
    port = free_port()
    config = tmp('figures-prometheus.yml')
    with open(config, 'w') as f:
        f.write('global: {scrape_interval: 1s}\n')
    command = [debian_program('prometheus'), '--config.file=' + config, '--storage.tsdb.path=' + tmp('figures-tsdb'),
               '--web.listen-address=127.0.0.1:%d' % port]
    with running(command, port, '/-/ready') as p:
        before = goroutines_of(port)
        r = runtime_of(p.pid)
        after = goroutines_of(port)
        plausible(r, p.pid)
    check(min(before, after) - 8 <= r['goroutines'] <= max(before, after) + 8, '%d goroutines, Go says %d and %d',
          r['goroutines'], before, after)
    note('%d goroutines, Go says %d and %d', r['goroutines'], before, after)


def goroutines_of(port):
    for line in get(port, '/metrics').decode().splitlines():
        if line.startswith('go_goroutines '):
            return int(float(line.split()[1]))
    return 0

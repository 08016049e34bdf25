# SPDX-License-Identifier: Apache-2.0
"""Debian's etcd and prometheus under load: stripped, externally linked, built by somebody else."""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import goroutines
import pprof
from harness import Prowl, check, debian_program, need_perf, note, out_file, profile, test, tmp, wait_for

# where threads begin, in Go and in the C library
THREAD_ROOTS = {'runtime.mstart', 'runtime.mcall', 'runtime.newstack', 'runtime.rt0_go', 'runtime.main', '_start',
                'start_thread', 'clone', 'clone3', '__clone', '__clone3', 'thread_start', 'runtime.gcBgMarkWorker',
                'runtime.bgsweep', 'runtime.bgscavenge', 'runtime.forcegchelper', 'runtime.runfinq', 'runtime.runFinalizers',
                'runtime.sysmon', 'runtime/trace.Start.func1'}


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def get(port, path, body=None):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        c.request('POST' if body else 'GET', path, body)
        r = c.getresponse()
        data = r.read()
        check(r.status == 200, '%s answered %d', path, r.status)
        return data
    finally:
        c.close()


@contextlib.contextmanager
def running(command, port, ready):
    with open(tmp('log'), 'w') as log:
        p = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=tmp())
    try:
        for _ in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException, Exception):
                get(port, ready)
                break
            check(p.poll() is None, '%s ended: %s', command[0], open(tmp('log')).read()[-1000:])
            time.sleep(0.1)
        yield p
    finally:
        p.kill()
        p.wait()


@contextlib.contextmanager
def load(work, threads=3):
    """Calls work(connection number, round) until the block ends."""
    stop, errors, rounds = threading.Event(), [], [0] * threads

    def loop(i):
        while not stop.is_set():
            try:
                work(i, rounds[i])
            except (OSError, http.client.HTTPException) as e:
                errors.append(e)
                time.sleep(0.05)
            rounds[i] += 1
    workers = [threading.Thread(target=loop, args=(i,), daemon=True) for i in range(threads)]
    for w in workers:
        w.start()
    try:
        yield rounds
    finally:
        stop.set()
        for w in workers:
            w.join(30)


def judge(pid, port, work):
    with load(work) as rounds:
        wait_for(lambda: all(n > 20 for n in rounds), 'the load')
        # the true roots: what Go itself says goroutines start with
        roots = set(THREAD_ROOTS)

        def learn():
            for path in ('/debug/pprof/goroutine', '/debug/pprof/profile?seconds=1'):
                for frames, _, _ in pprof.Profile(get(port, path)).stacks():
                    if frames:
                        roots.add(frames[-1].name)
        learn()
        prof = profile(pid, 5, rate=499, least=550)
        learn()
    at = prof.index('cpu')
    everything = named = rooted = lined = go = 0
    count = prof.total('samples')
    wrong = {}
    for frames, values, _ in prof.stacks():
        mine = pprof.user(frames)
        weight = values[at]
        if not mine:  # a thread of the kernel's making, or a sample before the first user frame
            continue
        everything += weight
        nameless = [f for f in mine if not f.name or f.name.startswith('[unknown') or re.match(r'(0x)?[0-9a-f]+$', f.name)]
        if not nameless:
            named += weight
        # what belongs to Go has a dot in its name and is in the program itself
        code = [f for f in mine if '.' in f.name and not pprof.pseudo(f) and '@' not in f.name
                and os.path.basename(f.mapping or '') == os.path.basename(os.readlink('/proc/%d/exe' % pid))]
        go += weight if code else 0
        lined += weight if code and all(f.file and f.line > 0 for f in code) else 0
        if mine[-1].name in roots:
            rooted += weight
        else:
            wrong[mine[-1].name] = wrong.get(mine[-1].name, 0) + weight
    check(everything > 0, 'no samples')
    note('%d samples; %d requests; user frames all named %.2f %%, file and line %.2f %%, true root %.2f %%', count,
         sum(rounds), 100 * named / everything, 100 * lined / max(go, 1), 100 * rooted / everything)
    for name, weight in sorted(wrong.items(), key=lambda x: -x[1])[:6]:
        note('  root %s: %.2f %%', name or '(no name)', 100 * weight / everything)
    check(count >= 500, 'only %d samples: no load?', count)
    check(named >= 0.995 * everything, 'only %.2f %% have every user frame named', 100 * named / everything)
    check(go > 0.9 * everything, 'only %.2f %% have a Go frame', 100 * go / everything)
    check(lined >= 0.995 * go, 'only %.2f %% have file and line on every Go frame', 100 * lined / go)
    check(rooted >= 0.99 * everything, 'only %.2f %% end at a true root', 100 * rooted / everything)


def judge_runtime(pid, port):
    """Every profile of the runtime, of a program that was not written for these tests."""
    for kind in ('heap', 'allocs', 'threadcreate'):
        path = out_file()
        Prowl(kind, '--pid', pid, '-o', path).must(0)
        mine = pprof.load(path)
        check(sum(1 for _ in mine.stacks()) > (10 if kind != 'threadcreate' else 0), 'nearly nothing in %s', kind)
    for kind in ('block', 'mutex'):  # they record none
        p = Prowl(kind, '--pid', pid, '-o', out_file())
        check(p.status == 5 and 'rate is 0' in p.err or p.status == 0, '%s: %d %s', kind, p.status, p.err)
    theirs = goroutines.parse(get(port, '/debug/pprof/goroutine?debug=2').decode())
    dump = Prowl('goroutine', '--pid', pid, '--text').must(0)
    mine = goroutines.parse(dump.out)
    # those that were not elsewhere before and after: the same in both of Go's dumps
    after = goroutines.parse(get(port, '/debug/pprof/goroutine?debug=2').decode())
    at_rest = [i for i, g in theirs.items() if i in mine and i in after and g.state == mine[i].state == after[i].state
               and g.state != 'running' and goroutines.same_frames(g, after[i])]
    same = [i for i in at_rest if goroutines.same_frames(mine[i], theirs[i]) and mine[i].created == theirs[i].created]
    note('%d goroutines, %d at rest in the same state, %d of them equal', len(mine), len(at_rest), len(same))
    check(len(at_rest) >= 20, 'only %d goroutines of %d at rest', len(at_rest), len(theirs))
    check(len(same) >= 0.97 * len(at_rest), 'only %d of %d goroutines are equal', len(same), len(at_rest))
    check('unreadable 0' in dump.err, '%s', dump.err)


@contextlib.contextmanager
def serving_etcd(program):
    """An etcd, its port, and what loads it."""
    client, peer = free_port(), free_port()
    url = 'http://127.0.0.1:%d'
    command = [program, '--data-dir', tmp('etcd'), '--listen-client-urls', url % client, '--advertise-client-urls',
               url % client, '--listen-peer-urls', url % peer, '--initial-advertise-peer-urls', url % peer,
               '--initial-cluster', 'default=' + url % peer, '--unsafe-no-fsync', '--enable-pprof', '--log-level', 'error']
    connections = {}

    def work(i, n):
        c = connections.setdefault(i, http.client.HTTPConnection('127.0.0.1', client, timeout=60))
        key = base64.b64encode(b'key-%d-%d' % (i, n % 500)).decode()
        body = {'key': key, 'value': base64.b64encode(b'x' * 200).decode()}
        path = '/v3/kv/put'
        if n % 3 == 0:
            body = {'key': base64.b64encode(b'key').decode(), 'range_end': base64.b64encode(b'kez').decode(), 'limit': '200'}
            path = '/v3/kv/range'
        try:
            c.request('POST', path, json.dumps(body))
            r = c.getresponse()
            r.read()
        except (OSError, http.client.HTTPException):
            c.close()
            connections.pop(i, None)
            raise

    with running(command, client, '/health') as p:
        yield p, client, work


@contextlib.contextmanager
def serving_prometheus(program):
    port = free_port()
    with open(tmp('prometheus.yml'), 'w') as f:
        f.write('global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n')
        for n in range(3):
            f.write("- {job_name: 'self%d', static_configs: [{targets: ['127.0.0.1:%d']}]}\n" % (n, port))
    command = [program, '--config.file', tmp('prometheus.yml'), '--storage.tsdb.path', tmp('prometheus'),
               '--web.listen-address', '127.0.0.1:%d' % port, '--log.level', 'error']
    queries = ['/api/v1/query?query=sum%20by%20(job)(rate(prometheus_http_requests_total%5B1m%5D))',
               '/api/v1/query?query=histogram_quantile(0.9,sum%20by%20(le)(prometheus_http_request_duration_seconds_bucket))',
               '/metrics', '/api/v1/query?query=%7B__name__%3D~%22go_.*%22%7D']

    def work(i, n):
        get(port, queries[(n + i) % len(queries)])

    with running(command, port, '/-/ready') as p:
        yield p, port, work


def judge_all(serving, name):
    program = debian_program(name)
    need_perf()
    with serving(program) as (p, port, work):
        judge(p.pid, port, work)
        judge_runtime(p.pid, port)


test('e2e', 'etcd under load')(lambda: judge_all(serving_etcd, 'etcd'))
test('e2e', 'prometheus under load')(lambda: judge_all(serving_prometheus, 'prometheus'))

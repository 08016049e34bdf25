# SPDX-License-Identifier: Apache-2.0
"""prowl daemon by HTTP: go tool pprof, go build -pgo, Prometheus and a browser as its clients; commands that ask it."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import urllib.parse

import clients
import daemon
import debian
import harness
import pprof
from chromium import Browser
from harness import Prowl, check, note, test


class Asked(daemon.Daemon):
    """A daemon that listens at the loopback too, and one busy program that it knows as `shop`."""

    def __init__(self, name, target, more='    service: shop\n'):
        super().__init__(name, daemon.rule_for(target, more), '--listen', 'http://127.0.0.1:0')
        self.wait_for(lambda: re.search(r'listens at http://127\.0\.0\.1:[1-9]', self.said()), 'the address')
        self.port = int(re.search(r'listens at http://127\.0\.0\.1:([1-9]\d*)', self.said()).group(1))
        self.wait_for(lambda: json.loads(self.get('/api/v1/targets'))['targets'], 'the target')
        self.token = self.ask('token').out.strip()

    def ask(self, verb, *args):
        """One of the verbs that ask the daemon."""
        p = Prowl('daemon', verb, '--socket', self.socket, *args)
        p.must(0)
        return p

    def http(self, path, method='GET', **headers):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            c.request(method, path, headers=headers)
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read()
        finally:
            c.close()

    def url(self, path):
        return 'http://prowl:%s@127.0.0.1:%d%s' % (self.token, self.port, path)


@contextlib.contextmanager
def asked(name):
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target, Asked(name, target) as d:
        yield d, target


@test('daemon', 'go tool pprof takes profiles of a process that serves none')
def pprof_tool():
    with asked('pprof') as (d, target):
        base = '/targets/shop/debug/pprof/'
        check('main.work' in clients.pprof_tool('-top', '-seconds=2', d.url(base + 'profile')), 'no CPU profile')
        check('main.main' in clients.pprof_tool('-traces', d.url(base + 'goroutine')), 'no goroutines')
        status, headers, body = d.http(base + 'heap', Authorization='Bearer ' + d.token)
        check(status == 200 or (status == 422 and b'records no allocations' in body), 'heap: %d %s', status, body[:200])
        text = d.http(base + 'goroutine?debug=1', Authorization='Bearer ' + d.token)[2].decode()
        check(re.match(r'goroutine profile: total \d+\n', text) and 'main.main\t' in text, 'debug=1: %s', text[:300])
        status, headers, body = d.http(base + 'trace', Authorization='Bearer ' + d.token)
        check(status == 404 and headers['X-Go-Pprof'] == '1', 'trace: %d %s', status, body)
        path = os.path.join(d.folder, 'cpu.pb.gz')
        p = d.ask('capture', '-k', 'cpu', '-d', '1s', '-o', path, '--json', 'shop')
        check(json.loads(p.out)['file'] == path and pprof.load(path).total('cpu') > 0, 'capture: %s', p.out)
        p = Prowl('daemon', 'capture', '--socket', d.socket, 'nobody')
        p.must(5)
        check('no such process' in p.err, 'of nobody: %s', p.err)


@test('daemon', 'go tool pprof takes the heap of Debian\'s etcd')
def etcd_heap():
    program = harness.debian_program('etcd')
    harness.need_perf()
    with debian.serving_etcd(program) as (p, _, _), Asked('etcd', type('Program', (), {'path': program}), '') as d:
        text = clients.pprof_tool('-top', '-sample_index=alloc_space', d.url('/targets/%d/debug/pprof/heap' % p.pid))
        check('File: etcd' in text and 'go.etcd.io/etcd' in text, 'heap: %s', text[:1000])


@test('daemon', 'who asks needs the token, and is asked for it once')
def tokens():
    with asked('tokens') as (d, target):
        bearer = 'Bearer ' + d.token
        for headers, wanted in (({}, 401), ({'Authorization': bearer}, 200), ({'Authorization': bearer[:-1]}, 401),
                                ({'Authorization': bearer, 'Host': 'evil.example'}, 421),
                                ({'Authorization': bearer, 'Sec-Fetch-Site': 'cross-site'}, 403)):
            status = d.http('/api/v1/status', **headers)[0]
            check(status == wanted, '%s gets %d, not %d', headers, status, wanted)
        status = d.http('/api/v1/stop', 'POST', Authorization=bearer, **{'Content-Type': 'application/json'})[0]
        check(status == 403, 'stop at TCP: %d', status)
        url = d.ask('open', '--no-browser').out.strip()
        path = urllib.parse.urlsplit(url).path + '?' + urllib.parse.urlsplit(url).query
        status, headers, _ = d.http(path)
        check(status == 303 and 'HttpOnly; SameSite=Strict' in headers['Set-Cookie'], 'login: %d %s', status, headers)
        check(d.http('/api/v1/status', Cookie=headers['Set-Cookie'].partition(';')[0])[0] == 200, 'the cookie is refused')
        check(d.http(path)[0] == 403, 'the address is good for twice')
        for verb, part in (('status', 'whole machine'), ('targets', 'shop')):
            check(part in d.ask(verb).out, 'prowl daemon %s: %s', verb, d.ask(verb).out)
            json.loads(d.ask(verb, '--json').out)
        d.ask('stop')
        check(d.process.wait(30) == 0, 'the end: %d', d.process.wait())
        p = Prowl('daemon', 'status', '-q', '--socket', d.socket)
        check(p.wait().status == 1 and 'no daemon listens' in p.err, 'without a daemon: %s', p.err)


@test('daemon', 'the store is asked by HTTP: timeline, profiles of a range, a profile for the compiler')
def queries():
    with asked('queries') as (d, target):
        d.wait_for_windows(2)
        series = json.loads(d.get('/api/v1/series'))['series']
        check({'shop'} <= {s['labels']['service'] for s in series}, 'series: %s', series)
        line = next(s for s in json.loads(d.get('/api/v1/timeline?by=service&from=-1h'))['series'] if s['labels'] == {'service': 'shop'})
        total = sum(v for _, v, _ in line['points'])
        check(total > 0 and line['unit'] == 'nanoseconds', 'timeline: %s', line)
        path = os.path.join(d.folder, 'range.pb.gz')
        with open(path, 'wb') as f:
            f.write(d.get('/api/v1/profile?from=-1h&match=' + urllib.parse.quote('service="shop"')))
        got = pprof.load(path).total('cpu')
        # A window may have been written between the two.
        check(got >= total, 'the profile has %d ns, the timeline had %d', got, total)
        text = d.get('/api/v1/profile?from=-1h&format=text').decode()
        check('main.work' in text, 'as text: %s', text[:500])
        check(d.get('/api/v1/pgo?from=-1h&match=' + urllib.parse.quote('service="shop"'))[:2] == b'\x1f\x8b', 'no profile for the compiler')
        note('%d ns in %d points', total, len(line['points']))


@test('daemon', 'Prometheus scrapes it')
def prometheus():
    program = harness.debian_program('prometheus')
    with asked('scraped') as (d, target):
        config, data, log = (os.path.join(d.folder, n) for n in ('prometheus.yml', 'data', 'prometheus.log'))
        with open(config, 'w') as f:
            f.write('scrape_configs:\n- job_name: prowl\n  scrape_interval: 1s\n  authorization: {credentials: "%s"}\n'
                    '  static_configs: [{targets: ["127.0.0.1:%d"]}]\n' % (d.token, d.port))
        with open(log, 'w') as f:
            p = subprocess.Popen([program, '--config.file', config, '--storage.tsdb.path', data, '--web.listen-address',
                                  '127.0.0.1:0'], stdout=f, stderr=f)
        try:
            said = lambda: re.search(r'Listening on.*address=127\.0\.0\.1:([1-9]\d*)', open(log).read())
            harness.wait_for(said, 'Prometheus')
            port = int(said().group(1))

            def up():
                c = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
                with contextlib.suppress(OSError, http.client.HTTPException, ValueError):  # it is not ready yet
                    c.request('GET', '/api/v1/query?query=' +
                              urllib.parse.quote('up == 1 and on() prowl_targets{state="active"} >= 1'))
                    return json.loads(c.getresponse().read()).get('data', {}).get('result')
            harness.wait_for(up, 'a scrape')
        finally:
            p.kill()
            p.wait()


@test('daemon', 'its page in a browser, by an address that is good for once')
def page():
    with asked('page') as (d, target):
        d.wait_for(lambda: [s for s in json.loads(d.get('/api/v1/timeline?by=service&from=-1h'))['series']
                            if s['labels'] == {'service': 'shop'}], 'windows in the store')
        with Browser() as b:
            b.open(d.ask('open', '--no-browser').out.strip())
            b.wait('document.body.textContent.includes("shop")', 'the service is on the page')
            here = 'http://127.0.0.1:%d/' % d.port
            check(all(u.startswith(here) for u in b.requests), 'requests: %s', b.requests)
            # the page asks for whole minutes, of which there may be none yet
            others = [c for c in b.complaints if 'status of 422' not in c]
            check(not others, 'complaints: %s %s', others, b.requests)

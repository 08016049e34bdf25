# SPDX-License-Identifier: Apache-2.0
"""What profiler/push sends, to servers that are not ours: Connect and gRPC-Web by connect-node, OTLP messages by
protobuf-es; field by field. In the suite `push` they fail in every way, and nginx stands in front of them."""

import base64
import collections
import filecmp
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import made
import pprof
from harness import BUILD, CACHE, ROOT, Skip, check, debian_program, test, tmp, wait_for

DRIVE = os.path.join(BUILD, 'tests', 'unit', 'profiler', 'push_drive')
SOURCES = os.path.join(ROOT, 'tests', 'push')
CPU = [(['main.leaf', 'main.work', 'main.main'], [3, 30000000]), (['main.idle', 'main.main'], [2, 20000000])]
HEAP = [(['main.grow', 'main.main'], [4, 4096]), (['main.keep', 'main.main'], [1, 512])]
INUSE = (('inuse_objects', 'count'), ('inuse_space', 'bytes'))


# --- servers -------------------------------------------------------------------------------------------------------

def installed():
    """Where npm installed the servers, at the versions that the lock file pins."""
    there = os.path.join(CACHE, 'push')
    lock = 'package-lock.json'
    if not shutil.which('node') or not shutil.which('npm'):
        raise Skip('no npm')
    if os.path.exists(os.path.join(there, 'done')) and filecmp.cmp(os.path.join(SOURCES, lock), os.path.join(there, lock), False):
        return there
    os.makedirs(there, exist_ok=True)
    for name in ('package.json', lock):
        shutil.copy(os.path.join(SOURCES, name), there)
    p = subprocess.run(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], cwd=there, text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode != 0:
        shutil.rmtree(there, ignore_errors=True)
        # a wrong lock file is a defect, a registry that doesn't answer is not
        check('EINTEGRITY' not in p.stdout and 'EUSAGE' not in p.stdout, 'npm ci: %s', p.stdout[-1000:])
        raise Skip('npm could not install the servers')
    with open(os.path.join(there, 'done'), 'w'):
        return there


def descriptors():
    path = tmp('engines.bin')
    if not os.path.exists(path):
        p = subprocess.run(['protoc-c', '--proto_path=' + SOURCES, '--descriptor_set_out=' + path, 'pyroscope.proto',
                            'parca.proto', 'otlp.proto'], cwd=SOURCES, text=True, capture_output=True)
        check(p.returncode == 0, 'protoc-c: %s', p.stderr)
    return path


class Engine:
    """tests/push/server.mjs: the requests that it has seen."""

    def __init__(self):
        self.process = subprocess.Popen(['node', os.path.join(SOURCES, 'server.mjs'), descriptors()], cwd=installed(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())['port']
        self.url = 'http://127.0.0.1:%d' % self.port
        self.seen, self.scripts = [], 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            r = json.loads(line)
            if 'script' in r:
                self.seen, self.scripts = [], self.scripts + 1
            else:
                self.seen.append(r)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def script(self, *steps):
        """How the next requests are answered; those until now are forgotten."""
        before = self.scripts
        urllib.request.urlopen(urllib.request.Request(self.url + '/script', json.dumps(steps).encode(), method='POST')).read()
        wait_for(lambda: self.scripts > before, 'the script')

    def expect(self, n):
        """The requests, once there are so many."""
        wait_for(lambda: len(self.seen) >= n, '%d requests' % n)
        return list(self.seen)


def write(name, data):
    path = tmp(name)
    with open(path, 'wb') as f:
        f.write(data)
    return path


def cpu_file():
    return write('cpu.pb.gz', made.profile(CPU, comments=['prowl: nothing was lost'], seconds=60))


def heap_file():
    return write('heap.pb.gz', made.profile(HEAP, INUSE))


_spools = 0


def drive(sinks, items, tries=0, only=None, spool=None):
    """Pushes all, or until there were so many requests; the status of each sink at the end, by its name.
    sinks: (name, type, url, key=value...)."""
    global _spools
    _spools += 1
    words = [DRIVE, spool or tmp('spool-%d' % _spools)]
    for s in sinks:
        words += ['--sink', *s, 'backoff_min_ms=10', 'backoff_max_ms=50']
    for i in items:
        words += ['--item', *map(str, i)]
    words += ['--only', only] if only else []
    p = subprocess.run([*words, '--tries', str(tries), '--wait', '120'], text=True, capture_output=True,
                       stdin=subprocess.DEVNULL, timeout=180)
    check(p.returncode == 0, 'push_drive: %s', p.stderr)
    return {s['sink']: s for s in map(json.loads, p.stdout.splitlines())}


def check_sent(status, n=1):
    check(status['sent'] == n and status['waiting'] == 0, 'not all was sent: %s', status)
    check(not any(status['dropped'].values()), 'dropped: %s', status)


# --- the same profile ----------------------------------------------------------------------------------------------

def content(p):
    """Stacks and values of a profile, whatever their order."""
    return collections.Counter((tuple((f.name, f.file, f.line, f.address, f.mapping) for f in frames), tuple(values),
                                tuple(sorted(labels.items()))) for frames, values, labels in p.stacks())


def check_profile(raw, file, level):
    sent, original = pprof.Profile(base64.b64decode(raw)), pprof.load(file)
    check(content(sent) == content(original), 'other stacks: %s, %s', content(sent), content(original))
    check(sent.sample_types == original.sample_types, 'other types: %s', sent.sample_types)
    check(sent.comments == original.comments, 'other comments: %s', sent.comments)
    check(abs(sent.time_nanos / 1e9 - (time.time() - (1 if level else 61))) < 60, 'time %d', sent.time_nanos)
    check(sent.duration_nanos == (0 if level else 60 * 10 ** 9), 'duration %d', sent.duration_nanos)
    for table in (sent.mappings, sent.functions, sent.locations):  # as Parca wants them
        check(list(table) == list(range(1, len(table) + 1)), 'ids %s', list(table))
    return sent


def labels(pairs):
    found = {p['name']: p['value'] for p in pairs}
    check(len(found) == len(pairs), 'a label is there twice: %s', pairs)
    return found


def check_pyroscope(r, file, name, level):
    check(r['protocol'] == 'connect' and r['path'] == '/push.v1.PusherService/Push', '%s', r)
    check(r['headers']['content-type'] == 'application/proto' and r['headers']['x-scope-orgid'] == 'team-a', '%s', r['headers'])
    series, = r['message']['series']
    check(labels(series['labels']) == {
        '__name__': name, '__delta__': 'false', 'service_name': 'etcd', 'pyroscope_spy': 'prowl', 'host': 'node-1',
        'build': '4f5e6d', 'pod': 'etcd-0', 'region': 'north'}, '%s', series['labels'])
    sample, = series['samples']
    check(re.fullmatch(r'[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}', sample['ID']), '%s', sample['ID'])
    check_profile(sample['rawProfile'], file, level)


def check_parca(r, file, name, level):
    check(r['protocol'] == 'grpc-web' and r['path'].endswith('ProfileStoreService/WriteRaw'), '%s', r)
    series, = r['message']['series']
    check(not r['message'].get('normalized') and 'tenant' not in r['message'], '%s', r['message'].keys())
    check(labels(series['labels']['labels']) == {'__name__': name, 'service': 'etcd', 'host': 'node-1', 'build': '4f5e6d',
                                                 'pod': 'etcd-0', 'region': 'north'}, '%s', series['labels'])
    sample, = series['samples']
    check_profile(sample['rawProfile'], file, level)


def attributes(pairs):
    return {p['key']: next(iter(p['value'].values())) for p in pairs}


def otlp_stacks(message, profile):
    """As content(), of one value."""
    d = message['dictionary']
    out = collections.Counter()
    for s in profile['samples']:
        frames = []
        for i in d['stackTable'][s.get('stackIndex', 0)]['locationIndices']:
            at = d['locationTable'][i]
            mapping = d['mappingTable'][at['mappingIndex']]
            for line in at['lines']:
                f = d['functionTable'][line['functionIndex']]
                frames.append((d['stringTable'][f['nameStrindex']], d['stringTable'][f['filenameStrindex']], int(line['line']),
                               int(at['address']), d['stringTable'][mapping['filenameStrindex']]))
        out[tuple(frames)] += int(s['values'][0])
    return out


def check_otlp(r, file, level):
    check(r['path'] == '/v1development/profiles' and r['headers']['content-type'] == 'application/x-protobuf' and
          r['headers']['content-encoding'] == 'gzip', '%s', r['headers'])
    original, m = pprof.load(file), r['message']
    of, = m['resourceProfiles']
    check(attributes(of['resource']['attributes']) == {
        'service.name': 'etcd', 'host.name': 'node-1', 'service.version': '4f5e6d', 'process.pid': '4242',
        'process.executable.path': '/usr/bin/etcd', 'process.executable.name': 'etcd', 'k8s.pod.name': 'etcd-0',
        'region': 'north'}, '%s', of['resource'])
    for table in ('mappingTable', 'locationTable', 'functionTable', 'linkTable', 'attributeTable', 'stackTable'):
        check(m['dictionary'][table][0] == {}, '%s begins with %s', table, m['dictionary'][table][0])
    check(m['dictionary']['stringTable'][0] == '', 'the first string')
    scope, = of['scopeProfiles']
    check(scope['scope']['name'] == 'prowl', '%s', scope['scope'])
    check(len(scope['profiles']) == len(original.sample_types), '%d profiles', len(scope['profiles']))
    check(len({p['profileId'] for p in scope['profiles']}) == len(scope['profiles']), 'equal ids')
    for i, p in enumerate(scope['profiles']):
        kind = tuple(m['dictionary']['stringTable'][p['sampleType'][n]] for n in ('typeStrindex', 'unitStrindex'))
        check(kind == original.sample_types[i], '%s', kind)
        expected = collections.Counter()
        for frames, values, _ in original.stacks():
            expected[tuple((f.name, f.file, f.line, f.address, f.mapping) for f in frames)] += values[i]
        check(otlp_stacks(m, p) == expected, '%s: %s', otlp_stacks(m, p), expected)
        check(int(p.get('durationNano', 0)) == (0 if level else 60 * 10 ** 9), '%s', p.get('durationNano'))


@test('clients', 'push: servers that are not ours read every field', group='push')
def every_field():
    cpu, heap = cpu_file(), heap_file()
    items = [('cpu', 'flow', 'etcd', 1, 60, cpu), ('heap', 'level', 'etcd', 0, 60, heap)]
    with Engine() as engine:
        for kind in ('pyroscope', 'parca', 'otlp'):
            engine.script()
            status = drive([(kind, kind, engine.url, 'label=region=north', 'tenant=team-a')], items)
            check_sent(status[kind], 2)
            first, second = engine.expect(2)
            if kind == 'pyroscope':
                check_pyroscope(first, cpu, 'process_cpu', False)
                check_pyroscope(second, heap, 'memory', True)
            elif kind == 'parca':
                check_parca(first, cpu, 'process_cpu', False)
                check_parca(second, heap, 'memory', True)
            else:
                check_otlp(first, cpu, False)
                check_otlp(second, heap, True)


@test('clients', 'push: an old Pyroscope gets /ingest', group='push')
def ingest():
    cpu = cpu_file()
    with Engine() as engine:
        engine.script('unimplemented', None)
        check_sent(drive([('old', 'pyroscope', engine.url)], [('cpu', 'flow', 'etcd', 1, 60, cpu)])['old'])
        _, r = engine.expect(2)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(r['path']).query, strict_parsing=True)
        check(query['name'] == ['etcd{build=4f5e6d,host=node-1,pod=etcd-0,pyroscope_spy=prowl}'], '%s', query)
        check(query['format'] == ['pprof'] and query['spyName'] == ['prowl'], '%s', query)
        check(int(query['until'][0]) - int(query['from'][0]) == 60, '%s', query)
        check_profile(r['body'], cpu, False)


# --- servers that fail ---------------------------------------------------------------------------------------------

AGAIN, FINAL, PAUSE, OTHER = 'again', 'final', 'pause', 'other way'
CONNECT = {'canceled': AGAIN, 'unknown': AGAIN, 'invalid_argument': FINAL, 'deadline_exceeded': AGAIN, 'not_found': OTHER,
           'already_exists': FINAL, 'permission_denied': PAUSE, 'resource_exhausted': AGAIN, 'failed_precondition': FINAL,
           'aborted': AGAIN, 'out_of_range': FINAL, 'unimplemented': OTHER, 'internal': AGAIN, 'unavailable': AGAIN,
           'data_loss': AGAIN, 'unauthenticated': PAUSE}
GRPC = dict(CONNECT, not_found=FINAL, data_loss=FINAL, unimplemented=PAUSE)
HTTP = {400: FINAL, 401: PAUSE, 403: PAUSE, 408: AGAIN, 409: FINAL, 412: FINAL, 413: 'halve', 422: FINAL, 429: AGAIN, 500: AGAIN,
        502: AGAIN, 503: AGAIN, 504: AGAIN}
OTLP = {**HTTP, 404: PAUSE, 408: FINAL, 500: FINAL, 'rejected': 'rejected'}


def check_class(engine, kind, step, expected):
    """One window, whose first request is answered with the step and the next ones well."""
    engine.script(step)
    s = drive([(kind, kind, engine.url)], [('cpu', 'flow', 'etcd', 1, 60, cpu_file())], tries=int(expected == PAUSE))[kind]
    what = '%s, %s: %s' % (kind, step, s)
    if expected == AGAIN:
        check_sent(s)
        first, second = engine.expect(2)
        if 'message' in first and 'message' in second:  # the retry is the same, with the same id
            check(first['message'] == second['message'], 'the retry differs: %s', what)
    elif expected == 'halve':
        check_sent(s)
        check(sum(s['requests'].values()) == 3, 'not halved: %s', what)
    elif expected == OTHER:
        check_sent(s)
        check(engine.expect(2)[1]['path'].startswith('/ingest?'), 'not by /ingest: %s', what)
    elif expected == PAUSE:
        check(s['state'] == 'paused' and s['waiting'] == 1 and sum(s['requests'].values()) == 1, 'not paused: %s', what)
    else:
        reason = 'rejected' if expected == 'rejected' else 'refused'
        check(s['sent'] == 0 and s['waiting'] == 0 and s['dropped'][reason] == 1, 'not final: %s', what)
        check(sum(s['requests'].values()) == 1, 'sent again: %s', what)
    if expected in (PAUSE, FINAL, 'rejected'):
        check('because %s' % step in s['last_error'] or str(step) in s['last_error'], 'no reason: %s', what)


@test('push', 'each error of Connect', group='push')
def connect_errors():
    with Engine() as engine:
        for code, expected in CONNECT.items():
            check_class(engine, 'pyroscope', code, expected)


@test('push', 'each status of gRPC-Web', group='push')
def grpc_errors():
    with Engine() as engine:
        for code, expected in GRPC.items():
            check_class(engine, 'parca', code, expected)


@test('push', 'each status of HTTP', group='push')
def http_errors():
    with Engine() as engine:
        for status, expected in HTTP.items():
            for kind in ('pyroscope', 'parca'):
                check_class(engine, kind, status, expected)
        for status, expected in OTLP.items():
            check_class(engine, 'otlp', status, expected)


# --- nginx in front ------------------------------------------------------------------------------------------------

CONFIG = '''
daemon off; master_process off; pid %(dir)s/pid; error_log %(dir)s/error.log; worker_processes 1;
events { worker_connections 64; }
http {
  access_log %(dir)s/access.log; client_body_temp_path %(dir)s/body; proxy_temp_path %(dir)s/proxy;
  fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
  server {
    listen 127.0.0.1:%(port)d; %(more)s
    location / { proxy_pass %(upstream)s; proxy_http_version 1.1; proxy_read_timeout 1s; %(here)s }
  }
}
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Nginx:
    def __init__(self, upstream, more='', here=''):
        program = debian_program('nginx')
        self.dir = tmp('nginx-%d' % time.monotonic_ns())
        os.makedirs(self.dir)
        self.port = free_port()
        path = os.path.join(self.dir, 'nginx.conf')
        with open(path, 'w') as f:
            f.write(CONFIG % {'dir': self.dir, 'port': self.port, 'upstream': upstream, 'more': more, 'here': here})
        self.process = subprocess.Popen([program, '-p', self.dir, '-c', path, '-e', self.dir + '/start.log'],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.url = 'http://127.0.0.1:%d' % self.port
        wait_for(self.listens, 'nginx')

    def listens(self):
        check(self.process.poll() is None, 'nginx: %s', self.process.stderr.read() if self.process.poll() is not None else '')
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', self.port)) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


def cpu_item():
    return ('cpu', 'flow', 'etcd', 1, 60, cpu_file())


@test('push', 'nginx: a server that is not there (502), then is', group='push')
def gateway():
    for kind in ('pyroscope', 'parca', 'otlp'):
        spool = tmp('spool-502-' + kind)
        with Nginx('http://127.0.0.1:1') as front:
            s = drive([(kind, kind, front.url)], [cpu_item()], tries=2, spool=spool)[kind]
            check(s['waiting'] == 1 and s['sent'] == 0 and s['requests'].get('502', 0) >= 2, '%s', s)
            check(s['state'] in ('backoff', 'sending'), '%s', s)
        with Engine() as engine, Nginx(engine.url) as front:  # the spool, by another process
            check_sent(drive([(kind, kind, front.url)], [], spool=spool)[kind])
            check(len(engine.expect(1)) == 1, 'sent twice')


@test('push', 'nginx: a server that is slow (504)', group='push')
def slow():
    with socket.socket() as s:  # takes connections, says nothing
        s.bind(('127.0.0.1', 0))
        s.listen(16)
        with Nginx('http://127.0.0.1:%d' % s.getsockname()[1]) as front:
            out = drive([('x', 'pyroscope', front.url)], [cpu_item()], tries=1)['x']
            check(out['requests'].get('504', 0) >= 1 and out['waiting'] == 1, '%s', out)
        # and without a proxy its own timeout ends it
        out = drive([('x', 'pyroscope', 'http://127.0.0.1:%d' % s.getsockname()[1], 'timeout_ms=200')], [cpu_item()], tries=1)['x']
        check(out['requests'].get('0', 0) >= 1 and out['waiting'] == 1 and 'time' in out['last_error'].lower(), '%s', out)


@test('push', 'nginx: a body that is too large (413) goes in halves', group='push')
def too_large():
    stacks = [(['main.leaf%d_%s' % (i, 'x' * 40), 'main.main'], [1, 10]) for i in range(800)]
    path = write('large.pb.gz', made.profile(stacks))
    with Engine() as engine, Nginx(engine.url, 'client_max_body_size 12k;') as front:
        check(os.path.getsize(path) > 12 * 1024, 'the profile is not too large: %d', os.path.getsize(path))
        s = drive([('x', 'pyroscope', front.url)], [('cpu', 'flow', 'etcd', 1, 60, path)])['x']
        check_sent(s)
        check(s['requests']['413'] == 1 and s['requests']['200'] >= 2, '%s', s)
        total = sum(pprof.Profile(base64.b64decode(r['message']['series'][0]['samples'][0]['rawProfile'])).total()
                    for r in engine.expect(2))
        check(total == 800 * 10, 'the parts add up to %d', total)
    with Engine() as engine, Nginx(engine.url, 'client_max_body_size 1k;') as front:
        s = drive([('x', 'pyroscope', front.url)], [('cpu', 'flow', 'etcd', 1, 60, path), cpu_item()])['x']
        check(s['dropped']['too_large'] == 1 and s['sent'] == 1, '%s', s)


@test('push', 'nginx: connections that are cut, before and in an answer', group='push')
def resets():
    # 444 closes without an answer
    with Nginx('http://127.0.0.1:1', here='return 444;') as front:
        s = drive([('x', 'parca', front.url)], [cpu_item()], tries=2)['x']
        check(s['waiting'] == 1 and s['requests'].get('0', 0) >= 2 and s['last_error'], '%s', s)
    cut = b'HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 100\r\n\r\nshort'
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(16)
        stop = threading.Event()

        def answer():
            listener.settimeout(0.1)
            while not stop.is_set():
                try:
                    c, _ = listener.accept()
                except TimeoutError:
                    continue
                c.recv(1 << 16)
                c.sendall(cut)
                c.close()

        thread = threading.Thread(target=answer)
        thread.start()
        s = drive([('x', 'pyroscope', 'http://127.0.0.1:%d' % listener.getsockname()[1])], [cpu_item()], tries=1)['x']
        stop.set()
        thread.join()
        check(s['waiting'] == 1 and s['sent'] == 0 and s['requests'].get('0', 0) >= 1, 'half an answer counts: %s', s)


def certificate():
    """A certificate of our own for the loopback; (its file, that of the key)."""
    cert, key = tmp('cert.pem'), tmp('key.pem')
    if not shutil.which('openssl'):
        raise Skip('no openssl')
    p = subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext',
                        'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], text=True, capture_output=True)
    check(p.returncode == 0, 'openssl: %s', p.stderr)
    return cert, key


@test('push', 'nginx: TLS and passwords', group='push')
def tls_and_passwords():
    cert, key = certificate()
    hashed = subprocess.run(['openssl', 'passwd', '-apr1', 'sesame'], text=True, capture_output=True).stdout.strip()
    users = write('users', ('aladdin:%s\n' % hashed).encode())
    right, wrong = write('right', b'sesame\n'), write('wrong', b'thyme\n')
    more = 'ssl_certificate %s; ssl_certificate_key %s;' % (cert, key)
    here = 'auth_basic "cave"; auth_basic_user_file %s;' % users
    with Engine() as engine, Nginx(engine.url, more, here) as front:
        pass_tls = front.url.replace('http:', 'https:')
        # plain HTTP is what this listens for: made anew with TLS below
        s = drive([('x', 'pyroscope', pass_tls)], [cpu_item()], tries=1)['x']
        check(s['requests'] == {'0': s['requests'].get('0')} and s['waiting'] == 1, 'TLS with a plain server: %s', s)
        s = drive([('x', 'pyroscope', front.url, 'user=aladdin', 'password_file=' + right)], [cpu_item()])['x']
        check_sent(s)
        s = drive([('x', 'pyroscope', front.url, 'user=aladdin', 'password_file=' + wrong)], [cpu_item()], tries=1)['x']
        check(s['state'] == 'paused' and s['waiting'] == 1 and '401' in s['last_error'], '%s', s)
        check('thyme' not in json.dumps(s), 'the password is in the status')
    port = free_port()
    with Engine() as engine, Nginx(engine.url, 'listen 127.0.0.1:%d ssl http2; %s' % (port, more)) as front:
        url = 'https://127.0.0.1:%d' % port
        for kind in ('pyroscope', 'parca', 'otlp'):
            check_sent(drive([(kind, kind, url, 'ca=' + cert)], [cpu_item()])[kind])
        check_sent(drive([('x', 'pyroscope', url, 'insecure=1')], [cpu_item()])['x'])
        s = drive([('x', 'pyroscope', url)], [cpu_item()], tries=1)['x']
        check(s['sent'] == 0 and s['waiting'] == 1 and 'certificate' in s['last_error'], 'an unknown certificate: %s', s)
        with open(front.dir + '/access.log') as f:
            seen = f.read()
        check('HTTP/2.0" 200' in seen and 'WriteRaw HTTP/1.1" 200' in seen, 'versions of HTTP: %s', seen)


@test('push', 'a server that comes and goes: each window at least once, none but retries twice', group='push')
def comes_and_goes():
    cpu, n = cpu_file(), 30
    with Engine() as engine:
        engine.script(*[503 if i % 3 == 0 else 'unavailable' if i % 7 == 0 else None for i in range(60)])
        items = [('cpu', 'flow', 'service-%d' % i, 1, 60, cpu) for i in range(n)]
        s = drive([('x', 'pyroscope', engine.url), ('nobody', 'otlp', 'http://127.0.0.1:1')], items, only='x')
        check(s['nobody']['waiting'] == n, '%s', s['nobody'])
        check_sent(s['x'], n)
        taken = collections.Counter(r['message']['series'][0]['samples'][0]['ID'] for r in engine.expect(n) if r['answer'] is None)
        check(len(taken) == n and set(taken.values()) == {1}, '%d ids were taken, %s', len(taken), taken)


# --- the engines themselves, where they are there ------------------------------------------------------------------

class RealEngine:
    """A program that an environment variable names, until it says that it is ready."""

    def __init__(self, variable, arguments, ready):
        program = os.environ.get(variable)
        if not program:
            raise Skip('%s names no program' % variable)
        self.port = free_port()
        self.dir = tmp('engine-%d' % self.port)
        os.makedirs(self.dir)
        self.url = 'http://127.0.0.1:%d' % self.port
        self.log = os.path.join(self.dir, 'log')
        with open(self.log, 'w') as log:
            self.process = subprocess.Popen([program, *arguments(self.port, self.dir)], cwd=self.dir, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        self.ready = self.url + ready
        wait_for(self.is_ready, '%s to be ready' % program)

    def is_ready(self):
        if self.process.poll() is not None:
            with open(self.log) as f:
                check(False, 'it ended: %s', f.read()[-2000:])
        try:
            return urllib.request.urlopen(self.ready, timeout=5).status == 200
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def parca_arguments(port, folder):
    config = os.path.join(folder, 'parca.yaml')
    with open(config, 'w') as f:
        f.write('object_storage:\n  bucket:\n    type: FILESYSTEM\n    config:\n      directory: %s/blocks\n' % folder)
    return ['--http-address=127.0.0.1:%d' % port, '--config-path=' + config]


def pyroscope_arguments(port, folder):
    return ['-target=all', '-server.http-listen-address=127.0.0.1', '-server.http-listen-port=%d' % port,
            '-server.grpc-listen-address=127.0.0.1', '-server.grpc-listen-port=%d' % free_port(),
            '-memberlist.bind-addr=127.0.0.1', '-memberlist.bind-port=%d' % free_port(), '-self-profiling.disable-push=true',
            '-pyroscopedb.data-path=%s/data' % folder, '-storage.backend=filesystem', '-storage.filesystem.dir=%s/shared' % folder]


def by_names(p, value):
    """Stacks by the names of their functions, of one value."""
    out = collections.Counter()
    for frames, values, _ in p.stacks():
        out[tuple(f.name for f in frames)] += values[p.index(value)]
    return out


def ask_parca(engine, query):
    now = time.time()
    when = [time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now + d)) for d in (-900, 60)]
    arguments = {'mode': 'MODE_MERGE', 'merge.query': query, 'merge.start': when[0], 'merge.end': when[1],
                 'report_type': 'REPORT_TYPE_PPROF'}
    try:
        with urllib.request.urlopen(engine.url + '/api/profiles/query?' + urllib.parse.urlencode(arguments), timeout=30) as r:
            return pprof.Profile(base64.b64decode(json.load(r)['pprof']))
    except urllib.error.HTTPError as e:
        check(e.code == 404, 'Parca: %d %s', e.code, e.read()[:500])
        return None


def ask_pyroscope(engine, kind):
    now = int(time.time() * 1000)
    request = made.field(1, kind.encode()) + made.field(2, b'{service_name="etcd"}') + made.field(3, now - 900000) + made.field(4, now + 60000)
    post = urllib.request.Request(engine.url + '/querier.v1.QuerierService/SelectMergeProfile', request,
                                  {'Content-Type': 'application/proto', 'Connect-Protocol-Version': '1'})
    with urllib.request.urlopen(post, timeout=30) as r:
        data = r.read()
    p = pprof.Profile(data) if data else None
    return p if p and p.samples else None


def check_asked(ask, expected, value):
    found = []

    def there():
        p = ask()
        if p:
            found[:] = [by_names(p, value)]
        return p

    wait_for(there, 'the profile to be found')
    check(found[0] == expected, 'it gives back %s instead of %s', found[0], expected)


def large_items():
    """A window that goes in parts."""
    stacks = [(['main.leaf%d_%s' % (i, 'x' * 40), 'main.work', 'main.main'], [1, 10000000]) for i in range(12000)]
    return write('large.pb.gz', made.profile(stacks, seconds=60)), collections.Counter({tuple(n): v[1] for n, v in stacks})


@test('engines', 'Parca gives back what was pushed')
def real_parca():
    with RealEngine('PROWL_TEST_PARCA', parca_arguments, '/ready') as engine:
        status = drive([('x', 'parca', engine.url)], [('cpu', 'flow', 'etcd', 1, 60, cpu_file()),
                                                      ('heap', 'level', 'etcd', 0, 60, heap_file())])['x']
        check_sent(status, 2)
        check_asked(lambda: ask_parca(engine, 'process_cpu:cpu:nanoseconds:::delta{service="etcd"}'),
                    collections.Counter({tuple(n): v[1] for n, v in CPU}), 'cpu')
        check_asked(lambda: ask_parca(engine, 'memory:inuse_space:bytes::{service="etcd"}'),
                    collections.Counter({tuple(n): v[1] for n, v in HEAP}), 'inuse_space')


@test('engines', 'Pyroscope gives back what was pushed')
def real_pyroscope():
    with RealEngine('PROWL_TEST_PYROSCOPE', pyroscope_arguments, '/ready') as engine:
        status = drive([('x', 'pyroscope', engine.url)], [('cpu', 'flow', 'etcd', 1, 60, cpu_file()),
                                                          ('heap', 'level', 'etcd', 0, 60, heap_file())])['x']
        check_sent(status, 2)
        check_asked(lambda: ask_pyroscope(engine, 'process_cpu:cpu:nanoseconds::'),
                    collections.Counter({tuple(n): v[1] for n, v in CPU}), 'cpu')
        check_asked(lambda: ask_pyroscope(engine, 'memory:inuse_space:bytes::'),
                    collections.Counter({tuple(n): v[1] for n, v in HEAP}), 'inuse_space')


@test('engines', 'Pyroscope takes a window in parts')
def real_parts():
    path, expected = large_items()
    with RealEngine('PROWL_TEST_PYROSCOPE', pyroscope_arguments, '/ready') as engine:
        s = drive([('x', 'pyroscope', engine.url)], [('cpu', 'flow', 'etcd', 1, 60, path)])['x']
        check_sent(s)
        check(s['requests']['200'] > 1, 'not in parts: %s', s)
        check_asked(lambda: ask_pyroscope(engine, 'process_cpu:cpu:nanoseconds::'), expected, 'cpu')

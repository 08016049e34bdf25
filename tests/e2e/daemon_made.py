# SPDX-License-Identifier: Apache-2.0
"""A daemon that is made up: serves the page with its own policy, and an API whose answers follow from the times asked for."""

import contextlib
import http.server
import json
import math
import os
import re
import sys
import threading
import urllib.parse

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../profiler/serve/page')
sys.path.insert(0, PAGE)
import page_bundle

MINUTE, HOUR, DAY = 60000, 3600000, 86400000
T0 = 1741075200000  # 2025-03-04 08:00 UTC
HOSTILE = '<img src=x onerror=alert(1)>"\'&\u202ecod.exe</script>'
# CPUs that each uses on average
SERVICES = {'api-gateway': 0.9, 'prometheus': 0.55, 'etcd': 0.4, 'caddy': 0.22, 'worker': 0.15, 'billing-reconciler-with-a-long-name': 0.06,
            'node-exporter': 0.02, HOSTILE: 0.1}
OLD, NEW = '1f0c3a9be2', '9ad17c44f0'
RELEASED = T0 + 25 * MINUTE  # of api-gateway
GAP = (T0 - 40 * MINUTE, T0 - 31 * MINUTE)


def load(service, minute):
    """CPU time of a service in a minute, ns; None: nothing is known of it."""
    at = minute * MINUTE
    if GAP[0] <= at < GAP[1]:
        return None
    number = list(SERVICES).index(service)
    wave = 1 + 0.35 * math.sin(minute / (7 + 3 * number)) + 0.2 * math.sin(minute / 61 + number)
    more = 1.4 if service == 'api-gateway' and at >= RELEASED else 1
    return int(SERVICES[service] * wave * more * 60e9)


def build_of(service, at):
    return NEW if service == 'api-gateway' and at >= RELEASED else OLD


def services_of(match):
    m = re.search(r'service="((?:[^"\\]|\\.)*)"', match or '')
    if not m:
        return list(SERVICES)
    name = re.sub(r'\\(.)', r'\1', m.group(1))
    return [name] if name in SERVICES else []


def minutes(a, b):
    return range(-(-a // MINUTE), -(-b // MINUTE))


# --- profiles ------------------------------------------------------------------------------------------------------

STACKS = {
    'cpu': {'main.main;net/http.(*conn).serve;main.(*Server).handle;encoding/json.Marshal;encoding/json.(*encodeState).marshal': 30,
            'main.main;net/http.(*conn).serve;main.(*Server).handle;database/sql.(*DB).QueryContext': 18,
            'main.main;net/http.(*conn).serve;main.(*Server).handle;main.render;strings.(*Builder).WriteString;runtime.growslice': 9,
            'main.main;net/http.(*conn).serve;net/http.(*conn).readRequest;syscall.Read;entry_SYSCALL_64;ksys_read': 7,
            'runtime.gcBgMarkWorker;runtime.gcDrain;runtime.scanobject': 14, 'runtime.mstart;runtime.schedule;runtime.findRunnable': 6,
            'main.main;main.(*Server).refresh;compress/gzip.(*Writer).Write;compress/flate.(*compressor).deflate': 11,
            'main.main;%s;main.leaf' % HOSTILE: 4},
    'goroutine': {'main.main;net/http.(*Server).Serve;net/http.(*conn).serve;net.(*conn).Read;runtime.netpollblock;runtime.gopark': 120,
                  'main.worker;main.(*Queue).next;runtime.chanrecv1;runtime.gopark': 48, 'main.main;main.run;runtime.selectgo;runtime.gopark': 3,
                  'main.leak;%s;runtime.chansend1;runtime.gopark' % HOSTILE: 17},
    'heap': {'main.main;main.load;encoding/json.Unmarshal': 40, 'main.main;net/http.(*conn).serve;bufio.NewReaderSize': 12,
             'main.main;main.(*Cache).put': 33},
}
TYPES = {'cpu': [['samples', 'count'], ['cpu', 'nanoseconds']], 'goroutine': [['goroutine', 'count']],
         'heap': [['inuse_objects', 'count'], ['inuse_space', 'bytes']]}


def kind_of(name):
    if name.startswith('runtime.'):
        return 1
    if name.startswith(('entry_', 'ksys_')):
        return 2
    return 0


def stacks_of(kind, match, a, b):
    """{stack: values} and the number of windows: what the samples of that time are."""
    out, windows, found = {}, 0, services_of(match)
    build = re.search(r'build="(\w+)"', match or '')
    for minute in minutes(a, b):
        loads = [(s, load(s, minute)) for s in found if not build or build_of(s, minute * MINUTE) == build.group(1)]
        if not any(v for _, v in loads):
            continue
        windows += 1
        for service, cpu in loads:
            for number, (stack, share) in enumerate(STACKS[kind].items()):
                grown = 1 + (0.8 if number == 1 and build_of(service, minute * MINUTE) == NEW else 0)
                names = tuple(stack.split(';'))
                n = share * grown * (cpu or 0) / 60e9 * 10 if kind == 'cpu' else share * (1 + (minute % 1440) / 1440 * (number == 2))
                out[names] = out.get(names, 0) + n
    if kind != 'cpu':  # levels: the mean
        out = {stack: n / max(windows, 1) for stack, n in out.items()}
    scale = {'cpu': [1, 10000000], 'goroutine': [1], 'heap': [100, 65536]}[kind]
    return {stack: [round(n) * s for s in scale] for stack, n in out.items() if round(n)}, windows


def tree_of(kind, now, old=None):
    """The JSON that `prowl report -f flame` writes, which turns no text around either."""
    now, old = ({tuple(n.replace('\u202e', '\ufffd') for n in stack): v for stack, v in x.items()} if x else x for x in (now, old))
    names = sorted({name for stacks in (now, old or {}) for stack in stacks for name in stack})
    index = {name: i for i, name in enumerate(names)}
    paths = sorted({tuple(index[n] for n in stack[:k]) for stacks in (now, old or {}) for stack in stacks for k in range(1, len(stack) + 1)})
    ups, depth = [], 0
    for path in paths:
        ups.append(depth + 1 - len(path))
        depth = len(path)

    def columns(stacks):
        by_path, out = {tuple(index[n] for n in stack): v for stack, v in stacks.items()}, []
        for t in range(len(TYPES[kind])):
            pairs, last = [], 0
            for i, path in enumerate(paths, 1):
                if path in by_path:
                    pairs += [i - last, by_path[path][t]]
                    last = i
            out.append(pairs)
        return out

    def about(duration):
        return {'file': '/usr/bin/made', 'buildId': 'c0ffee', 'processes': '', 'time': T0, 'duration': duration, 'comments': ['made up']}

    out = {'version': 1, **about(0), 'types': TYPES[kind], 'type': len(TYPES[kind]) - 1, 'names': names, 'lines': [10] * len(names),
           'kinds': [kind_of(n) for n in names], 'files': [[0, 'main.go']], 'objects': [[0, 'made']], 'funcs': [p[-1] for p in paths],
           'ups': ups, 'values': columns(now)}
    if old is not None:
        out['base'] = {**about(0), 'values': columns(old)}
    return out


class Refused(Exception):
    def __init__(self, status, message, hint=''):
        super().__init__(message)
        self.status, self.body = status, {'error': {'code': 'made', 'message': message, 'hint': hint}}


def number(q, name):
    try:
        return int(q[name])
    except (KeyError, ValueError):
        raise Refused(400, 'parameter %s: not a time' % name) from None


# --- the API -------------------------------------------------------------------------------------------------------

def get_status(q):
    return {'version': '0.2.0', 'host': 'web-1', 'now': T0, 'sampling': True, 'mode': 'whole CPUs, 19 Hz', 'degraded': [],
            'targets': {'active': 37, 'denied': 2}, 'self': {'cpu': 0.0043, 'memory_bytes': 23 << 20},
            'store': {'bytes': 812 << 20, 'max_bytes': 2 << 30}}


def get_series(q):
    a, b = number(q, 'from'), number(q, 'to')
    out = []
    for service in SERVICES:
        for build in (OLD, NEW) if service == 'api-gateway' else (OLD,):
            cpu = sum(load(service, m) or 0 for m in minutes(a, b) if build_of(service, m * MINUTE) == build)
            out.append({'labels': {'service': service, 'build': build, 'host': 'web-1'}, 'cpu_ns': cpu,
                        'kinds': ['cpu', 'heap', 'goroutine']})
    return {'series': out, 'truncated': False}


def get_timeline(q):
    a, b, by = number(q, 'from'), number(q, 'to'), q.get('by', 'service')
    if 'boom' in q.get('match', ''):
        raise Refused(400, 'parameter match: boom is no label', 'Write NAME="VALUE".')
    step = max(MINUTE, -(-(b - a) // 500 // MINUTE) * MINUTE)
    sums = {}
    for service in services_of(q.get('match')):
        for m in minutes(a, b):
            v, at = load(service, m), m * MINUTE
            if v is None:
                continue
            value = {'service': service, 'build': build_of(service, at), 'host': 'web-1'}.get(by, '')
            points = sums.setdefault(value, {})
            start = a + (at - a) // step * step
            points[start] = points.get(start, 0) + v
    rows = sorted(sums.items(), key=lambda kv: -sum(kv[1].values()))
    series = [{'labels': {by: name}, 'unit': 'nanoseconds', 'level': False,
               'points': [[t, v, 1 if t == T0 - 31 * MINUTE else 0] for t, v in sorted(points.items())]} for name, points in rows]
    gaps = [{'from': GAP[0], 'to': GAP[1], 'reason': 'the daemon was not running'}] if GAP[0] < b and GAP[1] > a else []
    releases = [{'time': RELEASED, 'service': 'api-gateway', 'build': NEW, 'revision': NEW}] if a <= RELEASED < b else []
    return {'from': a, 'to': b, 'step': step, 'flags': ['short', 'clock_stepped'], 'series': series, 'gaps': gaps, 'releases': releases,
            'events': [e for e in EVENTS if a <= e['time'] < b]}


EVENTS = [
    {'id': 'e2-regression', 'time': RELEASED + 30 * MINUTE, 'kind': 'regression', 'labels': {'service': 'api-gateway'},
     'summary': 'database/sql.(*DB).QueryContext costs 1.8 times as much since 9ad17c44f0', 'files': [],
     'diff': {'a': {'match': 'service="api-gateway",build="%s"' % OLD, 'from': T0, 'to': RELEASED},
              'b': {'match': 'service="api-gateway",build="%s"' % NEW, 'from': RELEASED, 'to': RELEASED + 25 * MINUTE}}},
    {'id': 'e1-memory', 'time': T0 + 10 * MINUTE, 'kind': 'memory', 'labels': {'service': HOSTILE}, 'pid': 4242, 'summary': HOSTILE,
     'files': [{'name': 'heap.pb.gz', 'bytes': 34567}, {'name': '../../' + HOSTILE, 'bytes': 1}]},
]


def get_events(q):
    a, b = number(q, 'from'), number(q, 'to')
    return {'events': [e for e in EVENTS if a <= e['time'] < b]}


def get_targets(q):
    out = [{'key': '%d@17' % (1000 + i), 'pid': 1000 + i, 'start': T0 - (i + 1) * 7 * MINUTE, 'state': 'active', 'labels': {'service': s},
            'exe': '/usr/bin/' + s, 'go': 'go1.27.1', 'kinds': ['cpu', 'heap', 'goroutine'], 'cpu_ns': int(cpu * 3600e9),
            'own_cpu_ns': int(cpu * 1e7)} for i, (s, cpu) in enumerate(SERVICES.items()) if s in services_of(q.get('match'))]
    out.append({'key': '900@11', 'pid': 900, 'start': T0 + 5 * MINUTE, 'end': T0 + 20 * MINUTE, 'state': 'gone', 'labels': {'service': 'worker'},
                'exit': 'killed by signal 9', 'pod': 'worker-7c9', 'kinds': [], 'why_not': [{'kind': 'heap', 'reason': HOSTILE}], 'cpu_ns': 3 * 10**9})
    return {'targets': [t for t in out if t['state'] == 'active'] if q.get('state') == 'active' else out}


def get_figures(q):
    a, b = number(q, 'from'), number(q, 'to')
    times = range(a, b, max(15000, (b - a) // 120))
    figure = lambda name, unit, f: {'name': name, 'unit': unit, 'labels': {'service': 'etcd'}, 'points': [[t, f(t)] for t in times]}
    return {'step': 15000, 'figures': [figure('goroutines', 'count', lambda t: 180 + 20 * math.sin(t / 4e5)),
                                       figure('threads', 'count', lambda t: 17),
                                       figure('heap_live', 'bytes', lambda t: (60 + t / MINUTE % 40) * 1e6),
                                       figure('gc_cpu', 'seconds', lambda t: 0.01)]}


def get_profile(q):
    if q.get('format') != 'flame':
        return {'made': q}
    kind = q.get('kind', 'cpu')
    if kind not in STACKS:
        raise Refused(422, 'no %s profiles in this time' % kind, 'The program does not record them: prowl rates.')
    a, b = number(q, 'from'), number(q, 'to')
    stacks, windows = stacks_of(kind, q.get('match'), a, b)
    if not stacks:
        raise Refused(422, 'no samples in this time')
    out = tree_of(kind, stacks)
    out['duration'] = windows * 60 * 10**9 if kind == 'cpu' else 0
    return out, [('X-Prowl-Windows', '%d/%d/0' % (windows, len(minutes(a, b)) - windows))]


def get_diff(q):
    kind = q.get('kind', 'cpu')
    a = stacks_of(kind, q.get('a.match'), number(q, 'a.from'), number(q, 'a.to'))
    b = stacks_of(kind, q.get('b.match'), number(q, 'b.from'), number(q, 'b.to'))
    if q.get('b.agg') == 'last':  # of levels
        a, b = (stacks_of(kind, q.get(x + '.match'), number(q, x + '.to') - MINUTE, number(q, x + '.to')) for x in 'ab')
    if not a[0] or not b[0]:
        raise Refused(422, 'no samples in one of the times')
    if q.get('format') == 'json':
        if 'host=' in q.get('b.match', ''):  # as if the daemon had no statistics
            raise Refused(400, 'format is one of flame html svg')
        rows = [('regressed', 'database/sql.(*DB).QueryContext', 0.11, 0.19, 1.72), ('same', 'main.render', 0.05, 0.05, 1.01),
                ('new', HOSTILE, 0, 0.02, None)]
        return {'verdict': 'regressed', 'why': None, 'type': 'cpu', 'unit': 'nanoseconds', 'mode': "shares of each profile's total",
                'base': {'name': 'a', 'totals': [1] * a[1]}, 'head': {'name': 'b', 'totals': [1] * b[1]}, 'warnings': [],
                'functions': [{'name': name, 'verdict': v, 'base': x, 'head': y, 'base_cum': x, 'head_cum': y, 'ratio': r, 'low': r and r * 0.8,
                               'high': r and r * 1.2, 'q': 0.004, 'verdict_of': 'flat'} for v, name, x, y, r in rows]}
    out = tree_of(kind, b[0], a[0])
    if kind == 'cpu':
        out['duration'], out['base']['duration'] = b[1] * 60 * 10**9, a[1] * 60 * 10**9
    return out


API = {'status': get_status, 'series': get_series, 'timeline': get_timeline, 'events': get_events, 'targets': get_targets,
       'figures': get_figures, 'profile': get_profile, 'diff': get_diff}


# --- the server ----------------------------------------------------------------------------------------------------

def policy():
    with open(os.path.join(PAGE, 'page.h')) as f:
        text = f.read()
    return ''.join(re.findall(r'"([^"]*)"', text[text.index('#define PAGE_POLICY'):text.index('struct page_asset')]))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def answer(self, status, mime, body, headers=()):
        self.send_response(status)
        for name, value in [('Content-Type', mime), ('Content-Length', str(len(body))), ('Content-Security-Policy', policy()),
                            ('X-Content-Type-Options', 'nosniff'), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def json(self, status, what, headers=()):
        self.answer(status, 'application/json', json.dumps(what).encode(), headers)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        q = dict(urllib.parse.parse_qsl(url.query))
        self.server.asked.append((url.path, q))
        for path, mime, body in self.server.assets:
            if path == url.path:
                self.answer(200, mime, body)
                return
        name = url.path.removeprefix('/api/v1/')
        if name not in API:
            self.json(404, {'error': {'code': 'not_found', 'message': 'no such path'}})
            return
        try:
            made = API[name](q)
        except Refused as e:
            self.json(e.status, e.body)
            return
        if name == 'events' and self.server.captured:
            made['events'].insert(0, self.server.captured)
        self.json(200, *(made if isinstance(made, tuple) else (made,)))

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.posted.append((self.path, dict(self.headers), asked))
        self.server.captured = {'id': 'capture-1', 'time': T0, 'kind': 'capture', 'summary': asked['reason'], 'labels': {}}
        self.json(202, {'id': 'capture-1'})


@contextlib.contextmanager
def serving():
    """The server, at server.url; what was asked for is in server.asked and server.posted."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.assets, server.asked, server.posted, server.captured = page_bundle.assets(), [], [], None
    server.url = 'http://127.0.0.1:%d/' % server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

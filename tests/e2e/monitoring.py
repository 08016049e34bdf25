# SPDX-License-Identifier: Apache-2.0
"""examples/monitoring as far as it can be used: promtool on rules and figures, Prometheus scraping the daemon, and what the
scrapers of Parca and Alloy would ask for, with the token."""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import daemon as daemons
import harness
import pprof
from harness import ROOT, check, debian_program, test, tmp
from push import Engine, free_port, labels

EXAMPLES = os.path.join(ROOT, 'examples', 'monitoring')


def example(name):
    with open(os.path.join(EXAMPLES, name)) as f:
        return f.read()


def promtool(*args, text=None):
    p = subprocess.run([debian_program('promtool'), *args], input=text, text=True, capture_output=True, timeout=60)
    check(p.returncode == 0, 'promtool %s: %s%s', ' '.join(args), p.stdout, p.stderr)


@test('e2e', 'examples: alert rules of Prometheus')
def rules():
    promtool('check', 'rules', os.path.join(EXAMPLES, 'alerts.yml'))
    promtool('test', 'rules', os.path.join(EXAMPLES, 'alerts_test.yml'))
    promtool('check', 'config', '--syntax-only', os.path.join(EXAMPLES, 'prometheus.yml'))


class Served:
    """A daemon at a TCP address as well, with a sink that nobody serves."""

    def __init__(self, name, target, more=''):
        self.port = free_port()
        config = daemons.rule_for(target, '    service: shop\n') + more
        self.daemon = daemons.Daemon(name, config, '--listen', 'http://127.0.0.1:%d' % self.port)
        self.token_file = os.path.join(self.daemon.store, 'token')

    def __enter__(self):
        self.daemon.wait_for(lambda: os.path.exists(self.token_file), 'the token')
        self.daemon.wait_for_windows(1)
        with open(self.token_file) as f:
            self.token = f.read().strip()
        return self

    def __exit__(self, *args):
        self.daemon.__exit__(*args)

    def get(self, path):
        ask = urllib.request.Request('http://127.0.0.1:%d%s' % (self.port, path), headers={'Authorization': 'Bearer ' + self.token})
        with urllib.request.urlopen(ask, timeout=30) as r:
            return r.read()


def target(name='labels', *args):
    """A program that nobody else runs."""
    copy = tmp('shop-%d' % free_port())
    shutil.copy(harness.build(harness.any_goroot(['1.24', '1.27', '1.22']), name, 'static'), copy)
    return harness.Target(copy, *args)


NOBODY = "push:\n  - {name: nobody, type: pyroscope, url: 'http://127.0.0.1:1'}\n"


@test('daemon', 'examples: Prometheus scrapes the daemon, whose figures the alerts are about')
def prometheus():
    harness.need_perf()
    with target() as t, Served('prometheus', t, NOBODY) as served:
        metrics = served.get('/metrics').decode()
        promtool('check', 'metrics', text=metrics)
        known = set(re.findall(r'^([a-z_]+)(?:\{| )', metrics, re.M)) | {'up'}
        asked = set(re.findall(r'\b(prowl_\w+|process_\w+|up)\b(?=[{\[ ])', ' '.join(re.findall(r'expr: (.*)', example('alerts.yml')))))
        check(len(asked) >= 9 and asked <= known, 'alerts about figures that are not there: %s', asked - known)
        folder = tmp('scraping')
        shutil.copytree(EXAMPLES, folder)
        config = example('prometheus.yml').replace('127.0.0.1:7424', '127.0.0.1:%d' % served.port)
        config = config.replace('/etc/prometheus/prowl.token', served.token_file).replace('scrape_interval: 15s', 'scrape_interval: 1s')
        with open(os.path.join(folder, 'prometheus.yml'), 'w') as f:
            f.write(config)
        port = free_port()
        p = subprocess.Popen([debian_program('prometheus'), '--config.file', 'prometheus.yml', '--storage.tsdb.path', 'data',
                              '--web.listen-address', '127.0.0.1:%d' % port, '--log.level', 'error'], cwd=folder,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def value(query):
            try:
                with urllib.request.urlopen('http://127.0.0.1:%d/api/v1/query?query=%s' % (port, urllib.parse.quote(query))) as r:
                    return [float(m['value'][1]) for m in json.load(r)['data']['result']]
            except OSError:
                return []

        try:
            harness.wait_for(lambda: value('up{job="prowl"}') == [1.0], 'a scrape')
            check(value('prowl_targets{state="active"}') == [1.0], 'targets: %s', value('prowl_targets'))
        finally:
            p.terminate()
            p.wait()


@test('daemon', 'examples: what Parca and Alloy scrape is there')
def scrapers():
    harness.need_perf()
    with target('heapzoo', '-busy') as t, Served('scrapers', t) as served:
        # Parca: its prefix and each path that is enabled
        parca = example('parca.yaml')
        prefix = re.search(r'path_prefix: (\S+)', parca).group(1)
        paths = re.findall(r'\{enabled: true,.* path: (\S+?)\}', parca)
        check(prefix == '/targets/etcd' and len(paths) == 3, '%s %s', prefix, paths)
        for path in paths:
            delta = '?seconds=1' if path.endswith('/profile') else ''
            p = pprof.Profile(served.get(prefix.replace('etcd', 'shop') + path + delta))
            check(p.samples, '%s: an empty profile', path)
        # Alloy: the targets that it discovers, and their prefixes
        alloy = example('config.alloy')
        where = urllib.parse.urlsplit(re.search(r'url = "([^"]*)"', alloy).group(1)).path
        found, = json.loads(served.get(where))
        check(found['targets'] == ['127.0.0.1:%d' % served.port] and found['labels']['service_name'] == 'shop', '%s', found)
        for kind in re.findall(r'profile\.(\w+) \{\s*enabled = true', alloy):
            name = {'process_cpu': 'profile?seconds=1', 'memory': 'allocs', 'goroutine': 'goroutine'}[kind]
            check(pprof.Profile(served.get('%s/debug/pprof/%s' % (found['labels']['__profile_path_prefix__'], name))).samples,
                  '%s: an empty profile', kind)


@test('daemon', 'what the daemon pushes is what its store has', group='push')
def pushed_and_stored():
    harness.need_perf()
    with Engine() as engine, target() as t:
        push = 'push:\n' + ''.join("  - {name: %s, type: %s, url: '%s', kinds: [cpu]}\n" % (k, k, engine.url)
                                   for k in ('pyroscope', 'parca', 'otlp'))
        with daemons.Daemon('pushed', daemons.rule_for(t, '    service: shop\n') + push) as d:
            def seen(kind):
                return [r for r in engine.seen if r['type'] == kind]

            kinds = ('push.v1.PushRequest', 'parca.profilestore.v1alpha1.WriteRawRequest', 'otlp.ExportRequest')
            d.wait_for(lambda: all(len(seen(k)) >= 2 for k in kinds), 'two windows at each engine')
            series, = seen(kinds[0])[0]['message']['series']
            check(labels(series['labels'])['service_name'] == 'shop', '%s', series['labels'])
            p = pprof.Profile(base64.b64decode(series['samples'][0]['rawProfile']))
            other = pprof.Profile(base64.b64decode(seen(kinds[1])[0]['message']['series'][0]['samples'][0]['rawProfile']))
            check(p.total() == other.total() > 0, 'Pyroscope got %d, Parca %d', p.total(), other.total())
            check(not {'series', 'window'} & daemons.label_keys({'': p}), 'labels of the store: %s', daemons.label_keys({'': p}))
            check(p.duration_nanos > 0 and p.time_nanos > 0, 'times: %d, %d', p.time_nanos, p.duration_nanos)
            check(d.end() == 0, 'the end:\n%s', d.said())

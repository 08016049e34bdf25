# SPDX-License-Identifier: Apache-2.0
"""prowl daemon: targets by rules, windows in a store across kill -9, a reload, an end in order."""

import contextlib
import glob
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading

import harness
import pprof
from harness import check, note, test

SCALE = 60  # a window is a second, an hour a minute


class Daemon:
    """A daemon with a store and a socket of its own; ends with the with block."""

    def __init__(self, name, config, *args):
        harness.need_prowl()
        self.folder = harness.tmp('daemon-%s' % name)
        os.makedirs(self.folder, exist_ok=True)
        self.store, self.socket, self.log = (os.path.join(self.folder, n) for n in ('store', 'socket', 'log'))
        self.args = args
        self.configure(config)
        self.start()

    def configure(self, config):
        with open(os.path.join(self.folder, 'daemon.yaml'), 'w') as f:
            f.write(config)

    def start(self):
        command = [harness.PROWL, 'daemon', 'run', '--config', os.path.join(self.folder, 'daemon.yaml'), '--store', self.store,
                   '--listen', 'unix:' + self.socket, '--time-scale', str(SCALE), '--log-level', 'debug', *self.args]
        with open(self.log, 'a') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self):
        with open(self.log) as f:
            return f.read()

    def wait_for(self, true, what):
        def holds():
            check(self.process.poll() is None, 'the daemon ended:\n%s', self.said())
            return true()
        try:
            harness.wait_for(holds, what)
        except harness.Failed as e:
            raise harness.Failed('%s; it said:\n%s' % (e, self.said()[-4000:]))

    def windows(self):
        """How many windows with a target in them have been written, by all runs."""
        return len(re.findall(r' window \d+: series=[1-9]', self.said()))

    def wait_for_windows(self, more):
        before = self.windows()
        self.wait_for(lambda: self.windows() >= before + more, '%d windows more' % more)

    def end(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(timeout=240)

    def get(self, path):
        """The body of a GET at the socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(('GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' % path).encode())
            answer = b''.join(iter(lambda: s.recv(65536), b''))
        head, body = answer.split(b'\r\n\r\n', 1)
        check(b' 200 ' in head.split(b'\r\n')[0], '%s: %s', path, answer[:400])
        return body

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()


def stored(daemon):
    """path -> profile of every CPU profile that the store has at this moment."""
    found = {}
    for path in glob.glob(os.path.join(daemon.store, '**', '*.cpu.pb.gz'), recursive=True):
        with contextlib.suppress(FileNotFoundError):  # it went into an hour file meanwhile
            found[path] = pprof.load(path)
    return found


def rule_for(target, more=''):
    return 'targets:\n  - match: {exe: "%s"}\n%s' % (os.path.realpath(target.path), more)


def functions_of(profiles):
    return {f.name for p in profiles.values() for frames, _, _ in p.stacks() for f in frames}


def label_keys(profiles):
    return {k for p in profiles.values() for _, _, labels in p.stacks() for k in labels}


@test('daemon', 'windows of a target are kept through kill -9, and a reload gives it another name')
def survives():
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target, \
            Daemon('survives', rule_for(target, '    service: shop\n    labels: {team: edge}\n')) as daemon:
        daemon.wait_for_windows(2)
        before = daemon.windows()
        daemon.process.kill()
        daemon.process.wait()
        kept = stored(daemon)
        check('main.work' in functions_of(kept), 'no window has main.work')
        daemon.start()
        daemon.wait_for_windows(2)
        note('%d windows before kill -9, %d after', before, daemon.windows() - before)

        daemon.configure(rule_for(target, '    service: store-{comm}\n') + 'labels: {drop: [host], rename: {tenant: customer}}\n')
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda: 'configuration read again' in daemon.said(), 'the reload')
        daemon.wait_for(lambda: json.loads(daemon.get('/api/v1/targets'))['targets'][0]['labels']['service'].startswith('store-'),
                        'the new name')
        daemon.wait_for_windows(2)
        daemon.configure('profile: {rat: 7}\n')
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda: "did you mean 'rate'?" in daemon.said(), 'the error of a wrong configuration')

        status = daemon.end()
        check(status == 0, 'exit %d:\n%s', status, daemon.said())
        keys = label_keys(stored(daemon))
        check({'tenant', 'customer'} <= keys, 'labels: %s', keys)


@test('daemon', 'without a rule that takes it, a process is in (other) only')
def others():
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target, \
            Daemon('others', 'targets:\n  - match: {exe: "%s"}\n    profile: false\n' % os.path.realpath(target.path)) as daemon:
        comm = os.path.basename(target.path)[:15]
        daemon.wait_for(lambda: comm in functions_of(stored(daemon)), 'a sample of ' + comm)
        check(json.loads(daemon.get('/api/v1/targets'))['targets'] == [], 'it is a target')
        check('main.work' not in functions_of(stored(daemon)), 'its stacks are stored')


@test('daemon', 'a trigger takes profiles of a busy process, once')
def triggers():
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target:
        config = rule_for(target) + 'triggers:\n  - {name: busy, when: {cpu: "> 0.05"}, capture: [goroutine, heap], cooldown: 1h}\n'
        with Daemon('triggers', config) as daemon:
            daemon.wait_for(lambda: glob.glob(os.path.join(daemon.store, 'events', '*', '*busy*', 'event.json')), 'the event')
            daemon.wait_for_windows(2)
            events = glob.glob(os.path.join(daemon.store, 'events', '*', '*busy*'))
            check(len(events) == 1, '%d events', len(events))
            with open(os.path.join(events[0], 'event.json')) as f:
                event = f.read()
            check('cpu is' in event and str(target.pid) in event, event)
            found = pprof.load(os.path.join(events[0], 'goroutine.pb.gz'))
            check('main.main' in functions_of({'': found}), 'no main.main among the goroutines')
            check(b'prowl_trigger_fired_total 1' in daemon.get('/metrics'), 'the figure')
            check(daemon.end() == 0, 'the end:\n%s', daemon.said())


@test('daemon', 'the end waits for no capture of a trigger')
def ends_during_a_capture():
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target:
        config = rule_for(target) + ('triggers:\n  - {name: busy, when: {cpu: "> 0.05"}, capture: [cpu=300s, wall=300s, heap], '
                                     'cooldown: 1s, max_per_day: 1000}\n')
        with Daemon('ends', config) as daemon:
            daemon.wait_for(lambda: 'listens at' in daemon.said(), 'the socket')
            daemon.wait_for(lambda: re.search(rb'prowl_trigger_fired_total [1-9]', daemon.get('/metrics')), 'the trigger')
            daemon.wait_for_windows(1)
            status = daemon.end()  # which gives up before a capture is over
            check(status == 0, 'status %d', status)


class Sink(http.server.ThreadingHTTPServer):
    """Takes whatever is pushed; bodies by path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers['Content-Length']))
            self.server.got.append((self.path, body))
            self.send_response(200)
            self.send_header('Content-Type', 'application/proto')
            self.send_header('Content-Length', '0')
            self.end_headers()

        def log_message(self, *unused):
            pass

    def __init__(self):
        super().__init__(('127.0.0.1', 0), self.Handler)
        self.got = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


@test('daemon', 'what is stored is pushed to the sinks that want it')
def pushes():
    harness.need_perf()
    version = harness.any_goroot(['1.24', '1.27', '1.22'])
    with Sink() as wants, Sink() as wants_not, harness.Target(harness.own_copy(harness.build(version, 'labels', 'static'))) as target:
        push = 'push:\n'
        for name, sink, match in (('a', wants, 'service="shop"'), ('b', wants_not, 'service="none"')):
            push += "  - {name: %s, type: pyroscope, url: 'http://127.0.0.1:%d', match: '%s', kinds: [cpu]}\n" % (
                name, sink.server_address[1], match)
        with Daemon('pushes', rule_for(target, '    service: shop\n') + push) as daemon:
            daemon.wait_for(lambda: len(wants.got) >= 2, 'two profiles at the sink')
            path, body = wants.got[0]
            check(path == '/push.v1.PusherService/Push' and b'service_name' in body and b'shop' in body, '%s: %r', path, body[:200])
            daemon.wait_for(lambda: re.search(rb'prowl_push_profiles_total\{sink="a"\} [1-9]', daemon.get('/metrics')), 'the figure')
            check(not wants_not.got, 'a sink got what it does not want')
            check(daemon.end() == 0, 'the end:\n%s', daemon.said())

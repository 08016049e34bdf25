# SPDX-License-Identifier: Apache-2.0
"""speedscope, in a headless Chromium, shows our profile. Everything is served from and stays on the loopback."""

import collections
import filecmp
import functools
import html
import http.server
import json
import os
import re
import shutil
import subprocess
import threading

import clients
from harness import CACHE, ROOT, Prowl, Skip, Target, build, check, note, profile, test, tmp


def installed():
    """The directory of speedscope as npm installed it, at the version that the lock file pins."""
    here = os.path.join(ROOT, 'tests', 'browser')
    there = os.path.join(CACHE, 'browser')
    release = os.path.join(there, 'node_modules', 'speedscope', 'dist', 'release')
    lock = 'package-lock.json'
    if os.path.exists(release) and filecmp.cmp(os.path.join(here, lock), os.path.join(there, lock), False):
        return release
    if not shutil.which('npm'):
        raise Skip('no npm')
    os.makedirs(there, exist_ok=True)
    for name in ('package.json', lock):
        shutil.copy(os.path.join(here, name), there)
    p = subprocess.run(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], cwd=there, text=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode != 0 or not os.path.exists(release):
        shutil.rmtree(there, ignore_errors=True)
        # a wrong lock file is a defect, a registry that doesn't answer is not
        check('EINTEGRITY' not in p.stdout and 'EUSAGE' not in p.stdout, 'npm ci: %s', p.stdout[-1000:])
        raise Skip('npm could not install speedscope')
    return release


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def show(directory, url):
    """The page as the browser renders it."""
    chromium = shutil.which('chromium')
    if not chromium:
        raise Skip('no chromium')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        p = subprocess.run(
            [chromium, '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
             '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage',
             '--enable-unsafe-swiftshader', '--window-size=1600,3000', '--user-data-dir=' + tmp('chromium'),
             '--virtual-time-budget=20000', '--dump-dom', 'http://127.0.0.1:%d/%s' % (server.server_port, url)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=180,
            env=dict(os.environ, HOME=tmp()))
    finally:
        server.shutdown()
        server.server_close()
    check(p.returncode == 0, 'chromium exited with %d: %s', p.returncode, p.stderr[-1000:])
    return p.stdout


@test('clients', 'speedscope in a browser')
def speedscope():
    release = installed()
    prof, _ = clients.known()
    page = tmp('speedscope')
    shutil.copytree(release, page)
    shutil.copy(prof.path, os.path.join(page, 'ours.pb.gz'))
    # the sandwich view is the one whose names are text, not pixels
    text = show(page, 'index.html#profileURL=/ours.pb.gz&view=sandwich')
    shown = set(re.findall(r'\bmain\.\w+', text))
    note('speedscope names %d of our functions', len(shown))
    missing = {'main.leafSpin', 'main.phaseSort', 'main.worker', 'main.recurse'} - shown
    check(not missing, 'speedscope does not show %s; it shows %s', missing, shown)


def rows_of(page):
    """(total, own) of each function in the sandwich view, as text, and how many functions there are."""
    cell = r'<td class="[^"]*">([^<]*)<div'
    rows = re.findall(r'<tr[^>]*>%s.*?</td>%s.*?</td><td[^>]*>(?:<span[^>]*></span>)?([^<]*)</td></tr>' % (cell, cell),
                      page, re.S)
    height = re.search(r'<div style="height: (\d+)px;"><div style="transform', page)
    check(height, 'no table of functions in the page')
    return {html.unescape(name): (total, own) for total, own, name in rows}, int(height.group(1)) // 20


def duration(ns):
    """A time as speedscope writes it."""
    for unit, size in (('s', 1e9), ('ms', 1e6), ('\u00b5s', 1e3)):
        if ns >= size:
            return '%.2f%s' % (ns / size, unit)
    return '%.2fns' % ns


def weights_of(prof):
    """Time of each function, with what it calls and without, each once a stack."""
    at, total, own = prof.index('cpu'), collections.Counter(), collections.Counter()
    for frames, values, _ in prof.stacks():
        for name in {f.name for f in frames}:
            total[name] += values[at]
        own[frames[0].name] += values[at]
    return total, own


def pages(release, files):
    page = tmp('speedscope-%s' % '-'.join(files))
    shutil.copytree(release, page)
    for name, path in files.items():
        shutil.copy(path, os.path.join(page, name))
    return page


def texts(page):
    """All texts of the page; the names of all pictures are among them."""
    return {html.unescape(t).strip() for t in re.findall(r'>([^<>]+)</', page)}


@test('clients', 'speedscope in a browser, its own format')
def own_format():
    release = installed()
    prof, _ = clients.known()
    ours = tmp('ours.speedscope.json')
    Prowl('report', '-f', 'speedscope', '-o', ours, prof.path).must(0)
    page = pages(release, {'ours.speedscope.json': ours, 'ours.pb.gz': prof.path})
    text = show(page, 'index.html#profileURL=/ours.speedscope.json&view=sandwich')
    rows, count = rows_of(text)
    total, own = weights_of(prof)
    frames = len(json.load(open(ours))['shared']['frames'])
    check(count == frames == len(total), 'speedscope has %d functions, our file %d, the profile %d', count, frames,
          len(total))
    check(len(rows) >= min(count, 100), 'only %d of %d rows are shown', len(rows), count)
    wrong = [(name, row, duration(total[name]), duration(own[name])) for name, row in rows.items()
             if row[0].split(' ')[0] != duration(total[name]) or own[name] and
             row[1].split(' ')[0] != duration(own[name])]
    check(not wrong, 'speedscope shows other weights: %r', wrong[:5])
    check('main.inlHelper' in rows, 'the inlined function is not shown: %r', sorted(rows)[:50])
    check('(2/2)' in text and duration(prof.total('cpu')) in text, 'the default type is not the one shown, or its sum '
          'is not %s', duration(prof.total('cpu')))
    note('%d functions with the same weights; main.inlHelper has %s', len(rows), rows['main.inlHelper'][0])
    # what is gained: as a pprof file, speedscope has no inlined functions
    check('main.inlHelper' not in rows_of(show(page, 'index.html#profileURL=/ours.pb.gz&view=sandwich'))[0],
          'speedscope has learned of inlined functions: say so in the manual page')


@test('clients', 'speedscope in a browser, threads and times')
def threads():
    release = installed()
    with Target(build(clients.VERSION, 'known_shares', 'static'), '-threads', 3) as t:
        prof = profile(t.pid, 1, '--timeline')
    path = tmp('threads.speedscope.json')
    Prowl('report', '-f', 'speedscope', '-o', path, prof.path).must(0)
    scope = json.load(open(path))
    text = show(pages(release, {'threads.speedscope.json': path}),
                'index.html#profileURL=/threads.speedscope.json&view=sandwich')
    missing = {p['name'] for p in scope['profiles']} - texts(text)
    check(not missing, 'speedscope does not list %r', missing)
    shown = scope['profiles'][scope['activeProfileIndex']]
    note('%d pictures; the first one shown is %s', len(scope['profiles']), shown['name'])
    check('(%d/%d)' % (scope['activeProfileIndex'] + 1, len(scope['profiles'])) in text, 'another one is shown')
    rows, _ = rows_of(text)
    worker = sum(w for s, w in zip(shown['samples'], shown['weights'])
                 if any(scope['shared']['frames'][i]['name'] == 'main.worker' for i in s))
    check(rows['main.worker'][0].split(' ')[0] == duration(worker), 'main.worker has %r, not %s', rows['main.worker'],
          duration(worker))

# SPDX-License-Identifier: Apache-2.0
"""speedscope, in a headless Chromium, shows our profile. Everything is served from and stays on the loopback."""

import filecmp
import functools
import http.server
import os
import re
import shutil
import subprocess
import threading

import clients
from harness import CACHE, ROOT, Skip, check, note, test, tmp


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

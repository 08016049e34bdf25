# SPDX-License-Identifier: Apache-2.0
"""examples/quickstart does what it says, twice, and leaves nothing running."""

import os
import re
import shutil
import subprocess

import pprof
from harness import BUILD, ROOT, Skip, check, names, need_perf, need_prowl, test, weigh


@test('e2e', 'the quickstart')
def quickstart():
    need_perf()
    need_prowl()
    if not shutil.which('go'):
        raise Skip('no go command; examples/quickstart would install it')
    if os.path.realpath(BUILD) != os.path.realpath(os.path.join(ROOT, 'build')):
        raise Skip('another build directory is under test')
    p = subprocess.run([os.path.join(ROOT, 'examples', 'quickstart')], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=300)
    check(p.returncode == 0, 'it exited with %d:\n%s', p.returncode, p.stdout[-3000:])
    pid = int(re.search(r'^pid (\d+), listening', p.stdout, re.M).group(1))
    check(not os.path.exists('/proc/%d' % pid), 'the service still runs')
    check('installing' not in p.stdout, 'it installed something though all was there')
    prof = pprof.load(os.path.join(ROOT, 'build', 'quickstart.pb.gz'))
    everything, count = weigh(prof, lambda *_: True)
    served, _ = weigh(prof, lambda frames, _: 'net/http.(*conn).serve' in names(frames))
    check(count > 50 and served > 0.2 * everything, '%d samples, %d of %d ns in the server', count, served, everything)
    report = p.stdout.split('== where the time went')[1].split('==')[0]
    check(len(report.splitlines()) > 8, 'the report is missing:\n%s', report)

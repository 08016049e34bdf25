# SPDX-License-Identifier: Apache-2.0
"""Debian's servers under load, each stack held against their machine code and Go's own tables (callcheck)."""

import base64
import contextlib
import os
import time

import callcheck
import debian
import pprof
from harness import VERSIONS, any_goroot, build, check, debian_program, need_perf, note, profile, test, tmp

# of the weight of all pairs of frames, and of all frames
MOST = 0.0005


@contextlib.contextmanager
def serving_caddy(program):
    """A caddy that packs pages, fills in templates, lists folders, and asks itself for some of that."""
    port, admin, files = debian.free_port(), debian.free_port(), tmp('pages')
    os.makedirs(files, exist_ok=True)
    with open(os.path.join(files, 'page.html'), 'w') as f:
        f.writelines('<p>%d %s\n' % (i, base64.b64encode(os.urandom(30)).decode()) for i in range(2000))
    with open(tmp('Caddyfile'), 'w') as f:
        f.write('{\n\tadmin 127.0.0.1:%d\n\tauto_https off\n}\nhttp://127.0.0.1:%d {\n\troot * %s\n\tencode gzip zstd\n'
                '\thandle_path /again/* {\n\t\treverse_proxy 127.0.0.1:%d\n\t}\n\ttemplates\n\tfile_server browse\n}\n' %
                (admin, port, files, port))

    def work(i, n):
        debian.get(port, ['/page.html', '/again/page.html', '/', '/again/'][(n + i) % 4])

    command = ['env', 'XDG_DATA_HOME=' + tmp('data'), 'XDG_CONFIG_HOME=' + tmp('config'), program, 'run', '--adapter',
               'caddyfile', '--config', tmp('Caddyfile')]
    with debian.running(command, port, '/page.html') as p:
        yield p, port, work


def sees_faults(prof, gotables):
    """The checker finds stacks that lack every second frame, and names that are of other places."""
    samples = prof.samples
    prof.samples = [(ids[::2], values, labels) for ids, values, labels in samples]
    c = callcheck.Checker(prof, gotables).run()
    check(c.pairs_part() > 0.3, 'with half of the frames only %.2f %% of the pairs cannot be', 100 * c.pairs_part())
    prof.samples = samples
    for location in prof.locations.values():
        location['address'] += 0 if location['frames'][-1].kernel else 4096
    c = callcheck.Checker(prof, gotables).run()
    check(c.frames_part() > 0.5, 'of places that are elsewhere only %.2f %% are wrong', 100 * c.frames_part())


def judge(serving, name, seconds):
    program = debian_program(name)
    need_perf()
    gotables = build(any_goroot(['1.27', '1.26', '1.25', '1.24']), 'gotables', 'static')
    with serving(program) as (p, port, work):
        with debian.load(work):
            time.sleep(1)
            prof = profile(p.pid, seconds, rate=4999)
        c = callcheck.Checker(prof, gotables).run()
    note('%d samples', prof.total('samples'))
    for line in c.summary():
        note('%s', line)
    check(c.checked > 0 and c.frames > 0 and c.unchecked < 0.2 * c.checked, 'hardly anything could be checked')
    check(c.pairs_part() <= MOST, '%.4f %% of the pairs cannot be', 100 * c.pairs_part())
    check(c.frames_part() <= MOST, '%.4f %% of the frames are not what Go says', 100 * c.frames_part())
    sees_faults(prof, gotables)


test('e2e', 'etcd, against its machine code')(lambda: judge(debian.serving_etcd, 'etcd', 3))
for of, serving in (('etcd', debian.serving_etcd), ('prometheus', debian.serving_prometheus), ('caddy', serving_caddy)):
    for name in (of, of + '-sid'):
        test('matrix', '%s, against its machine code' % name)(lambda serving=serving, name=name: judge(serving, name, 15))

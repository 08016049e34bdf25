# SPDX-License-Identifier: Apache-2.0
"""The store of the daemon: what prowl and Go's own tools read of it."""

import glob
import json
import os
import re
import subprocess
import tarfile

import made
from clients import pprof_tool
from harness import BUILD, Prowl, check, test, tmp

FILL = os.path.join(BUILD, 'tests', 'unit', 'profiler', 'store_fill')
RANGE = ['--from', '2026-11-30T08:00Z', '--to', '2026-11-30T09:00Z']


def fill(name, minutes):
    """A store with that many windows of a service; window i has i + 1 samples of each of two functions."""
    store, files = tmp(name), []
    for i in range(minutes):
        files.append(tmp('%s-%d.pb.gz' % (name, i)))
        with open(files[-1], 'wb') as f:
            f.write(made.profile([(['main.leaf', 'main.main'], [i + 1, (i + 1) * 10000000]),
                                  (['main.other', 'main.main'], [i + 1, (i + 1) * 10000000])]))
    subprocess.run([FILL, store, 'app', '2026-11-30T08:00Z', *files], check=True, capture_output=True, timeout=60)
    return store


def samples(text):
    return int(re.search(r'Total samples = (\d+)', text).group(1))


@test('daemon', 'the store: go tool pprof reads an hour file, and a window of it')
def go_tool():
    hour, = glob.glob(fill('go-tool', 30) + '/data/2026-11-30/T08/app.*.cpu.pb.gz')
    text = pprof_tool('-top', '-sample_index=samples', hour)
    check('main.leaf' in text, 'main.leaf is missing:\n%s', text)
    check(samples(text) == 2 * 30 * 31 // 2, 'all of it: %s', text)
    text = pprof_tool('-top', '-sample_index=samples', '-tagfocus', 'window=2026-11-30T08:0[0-4]', hour)
    check('30 of 930 total' in text or ' 30, ' in text, 'five windows have 2 * 15 samples:\n%s', text)
    text = pprof_tool('-tags', hour)
    check('2026-11-30T08:29Z' in text, 'no tag of the last window:\n%s', text)


@test('daemon', 'the store: query, report, export and import agree')
def query():
    store = fill('query', 10)
    text = Prowl('daemon', 'query', '--store', store, 'app', *RANGE, '-t', 'samples').must().out
    check(samples(text) == 110, 'ten windows: %s', text)
    text = Prowl('daemon', 'query', '--store', store, 'app', '--from', '2026-11-30T08:02Z', '--to', '2026-11-30T08:04Z',
                 '-t', 'samples').must().out
    check(samples(text) == 2 * (3 + 4), 'two windows: %s', text)
    place = 'store:%s?service=app&from=2026-11-30T08:00Z&to=2026-11-30T08:01Z' % store
    check(samples(Prowl('report', place, '-t', 'samples').must().out) == 2, 'the first window by report')
    text = Prowl('report', place.replace('T08:01Z', 'T09:00Z') + '&tag=window', '--tagroot', 'window', '-f', 'folded', '-t',
                 'samples').must().out
    check('2026-11-30T08:09Z;main.main;main.leaf 10' in text, 'windows as frames: %s', text)
    lines = json.loads(Prowl('daemon', 'query', '--store', store, 'app', *RANGE, '--timeline', '--step', '1m', '-t', 'samples',
                             '--json').must().out)['lines']
    check([p[1] for p in lines[0]['points']] == [2 * (i + 1) for i in range(10)], 'the timeline: %s', lines)
    Prowl('daemon', 'query', '--store', store, 'app', '--from', '2026-11-29', '--to', '2026-11-30').must(5)
    Prowl('daemon', 'query', '--store', store, 'nobody', *RANGE).must(5)
    archive, other = tmp('piece.tar'), tmp('other')
    Prowl('daemon', 'export', '--store', store, *RANGE, '-o', archive).must()
    with tarfile.open(archive) as t:
        check(len(t.getnames()) == 1, 'one file: %s', t.getnames())
    Prowl('daemon', 'import', '--store', other, archive).must()
    text = Prowl('daemon', 'query', '--store', other, 'app', *RANGE, '-t', 'samples').must().out
    check(samples(text) == 110, 'after a move: %s', text)
    series = json.loads(Prowl('daemon', 'query', '--store', other, '--json').must().out)['series']
    check(series[0]['labels'] == {'service': 'app'} and series[0]['windows'] == 10, 'the list: %s', series)


@test('daemon', 'the store: fsck finds a damaged file, and moves it away')
def fsck():
    store = fill('fsck', 5)
    Prowl('daemon', 'fsck', '--store', store).must()
    hour, = glob.glob(store + '/data/2026-11-30/T08/*.pb.gz')
    with open(hour, 'r+b') as f:
        f.seek(-20, os.SEEK_END)
        f.write(b'\0' * 8)
    p = Prowl('daemon', 'fsck', '--store', store).must(1)
    check('damaged' in p.err, 'what is damaged: %s', p.err)
    p = Prowl('daemon', 'query', '--store', store, 'app', *RANGE).must(1)
    check('none of 5 windows could be read' in p.err, 'the only file is damaged: %s', p.err)
    Prowl('daemon', 'fsck', '--store', store, '--repair').must()
    check(json.loads(Prowl('daemon', 'fsck', '--store', store, '--json').must().out)['files'] == 0, 'it is still there')
    check(len(glob.glob(store + '/bad/*.pb.gz')) == 1, 'not in bad/')

# SPDX-License-Identifier: Apache-2.0
"""prowl diff on runs of a real program: the same program passes, a slower function is caught and named first."""

import collections
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ET

import pprof
from clients import pprof_tool
from harness import (PROWL, ROOT, TARGETS, Prowl, Skip, build, check, go_environment, goroot, need_perf, need_prowl, note,
                     test, tmp, wait_for)
from made import profile

VERSION = '1.23'
RUNS = 5
RATE = 1999
WORK = 500

_serial = [0]


def path(suffix='.pb.gz'):
    _serial[0] += 1
    return tmp('diff-%d%s' % (_serial[0], suffix))


def run_cpu(*args):
    """One run of the program, profiled as a whole."""
    out = path()
    p = subprocess.run([PROWL, 'profile', '-q', '-F', str(RATE), '-o', out, '--', build(VERSION, 'fixed_work', 'static'),
                        '-work', str(WORK), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    check(p.returncode == 0, 'profile: %s', p.stderr)
    return out


def run_allocs(*args):
    out = path()
    subprocess.run([build(VERSION, 'fixed_work', 'static'), '-work', '1', '-allocs', out, *args], check=True, timeout=120)
    return out


def in_turn(run, variants, n=RUNS):
    """Runs of each variant, taken in turn, after one that is not counted."""
    run(*variants[0])
    files = [[] for _ in variants]
    for _ in range(n):
        for k, args in enumerate(variants):
            files[k].append(run(*args))
    return files


def diff(base, head, *args, status=None):
    p = Prowl('diff', '--base', *base, '--head', *head, '-f', 'json', *args)
    check(p.status in (0, 3, 7) if status is None else p.status == status, 'exit %d: %s', p.status, p.err)
    return p.status, json.loads(p.out)


def bad(result):
    return [f['name'] for f in result['functions'] if f['verdict'] in ('regressed', 'new')]


def not_regressed(base, same, run, chance):
    """What comparing a program with itself gave. On a machine that is busy with other things the data may not decide, but
    there is no regression; by chance there is one with this probability: not so often in a row that it were 1e-6."""
    code, result = diff(base, same)
    tries = 1
    while code == 3 and chance ** tries > 1e-6:
        note('the same program regressed: %r', bad(result))
        code, result = diff(*in_turn(run, [(), ()]))
        tries += 1
    check(code != 3, 'the same program regressed, %d times in a row: %r', tries, bad(result))
    return code


def compared(run, variants, n=RUNS):
    base, same, slower = in_turn(run, [(), (), variants], n)
    return base, same, slower


@test('e2e', 'diff: a slower function is caught, the same program passes')
def slower():
    need_prowl()
    need_perf()
    base, same, slow = compared(run_cpu, ('-slow', '1.6'))
    first = not_regressed(base, same, run_cpu, 0.01)
    code, result = diff(base, slow)
    found = next(f for f in result['functions'] if f['name'] == 'main.parse')
    note('same: exit %s; slower by 60 %%: %s, %+.1f %% (%.1f to %.1f), q %.2g, from %+.1f %%', first, result['verdict'],
         100 * (found['ratio'] - 1), 100 * (found['low'] - 1), 100 * (found['high'] - 1), found['q'],
         100 * ((found['detectable_ratio'] or 0) - 1))
    check(code in (3, 7), 'not caught: exit %d', code)
    if code == 3:
        check(bad(result)[0] == 'main.parse', 'named first: %r', bad(result))
        check(bad(result) in (['main.parse'], []), 'others are blamed: %r', bad(result))
    check(found['low'] < 1.9 and found['high'] > 1.3, 'found %.2f to %.2f instead of 1.6', found['low'], found['high'])
    code, _ = diff(base, slow, '--fail-on', 'never', status=0)
    outputs(base, slow)


def run_scattered(*args):
    out = path()
    p = subprocess.run([PROWL, 'profile', '-q', '-F', str(RATE), '-o', out, '--', build(VERSION, 'scattered', 'static'),
                        '-work', '100', *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    check(p.returncode == 0, 'profile: %s', p.stderr)
    return out


@test('e2e', 'diff: what scatters over the runtime is found in the function that it is for')
def scattered():
    need_prowl()
    need_perf()
    base, same, dear = compared(run_scattered, ('-dearer', '1.55'))
    first = not_regressed(base, same, run_scattered, 0.02)
    code, result = diff(base, dear)
    found = next(f for f in result['functions'] if f['name'] == 'main.handle')
    cum, verdicts = found['cum'], {f['name']: f['verdict'] for f in result['functions']}
    note('same: exit %s; 55 %% dearer: %s, cum %+.1f %% (%.1f to %.1f), q %.2g; flat %+.1f %%; judged %d by flat, %d by cum; '
         'regressed: %r', first, result['verdict'], 100 * (cum['ratio'] - 1), 100 * (cum['low'] - 1), 100 * (cum['high'] - 1),
         cum['q'], 100 * ((found['ratio'] or 0) - 1), result['judged_by_flat'], result['judged_by_cum'], bad(result))
    # on a busy machine the runs vary, and the interval says so
    check(cum['low'] < 1.85 and cum['high'] > 1.3, 'cum is %.2f to %.2f times as much instead of 1.55', cum['low'], cum['high'])
    check(found['own'] and not next(f for f in result['functions'] if f['name'] == 'runtime.mallocgc')['own'], 'whose they are')
    check(code in (3, 7), 'not caught: exit %d', code)
    if code == 7:
        return
    check(bad(result)[0] == 'main.handle' and found['verdict_of'] == 'cum', 'named first: %r', bad(result))
    check(not [n for n in bad(result) if n.startswith('main.') and n != 'main.handle'], 'others are blamed: %r', bad(result))
    check(all(verdicts[n] in ('same', 'explained') for n in ('main.serve', 'main.main')), 'its callers: %r', verdicts)
    sides = ['--base', *base, '--head', *dear]
    text = Prowl('diff', *sides).out
    rows = [line for line in text.splitlines() if ' regressed' in line and not line.endswith(' total')]
    check(rows and rows[0].endswith(' regressed (cum) main.handle'), 'the first row: %r', rows[:1])
    check(re.search(r"^judged: \d+ of \d+ functions by flat, \d+ of the program's own by cum,", text, re.M), 'text:\n%s', text)
    cases = ET.fromstring(Prowl('diff', *sides, '-f', 'junit').out).find('testsuite').findall('testcase')
    failed = {c.get('name'): c.find('failure').get('message') for c in cases if c.find('failure') is not None}
    check(failed.get('main.handle', '').startswith('regressed (cum): '), 'JUnit: %r', failed)
    lines = [line for line in Prowl('diff', *sides, '-f', 'github').out.splitlines() if '::main.handle: ' in line]
    check(len(lines) == 1 and 'regressed (cum)' in lines[0] and 'scattered/main.go' in lines[0], 'annotations: %r', lines)
    markdown = Prowl('diff', *sides, '-f', 'markdown').out.splitlines()
    check(any(line.startswith('| `main.handle` |') and line.endswith('| regressed (cum) |') for line in markdown), 'Markdown')
    changed = path()
    Prowl('diff', *sides, '-o', changed).must(3)
    said = Prowl('report', '--comments', changed).must(0).out
    check(re.search(r'^main\.handle: regressed \(cum\), .* to .*, \+\d', said, re.M), 'comments:\n%s', said)


def outputs(base, head):
    sides = ['--base', *base, '--head', *head]
    text = Prowl('diff', *sides).out
    check(re.search(r'^ .*regressed +main\.parse$', text, re.M) or 'inconclusive' in text, 'text:\n%s', text)
    suite = ET.fromstring(Prowl('diff', *sides, '-f', 'junit').out).find('testsuite')
    cases = suite.findall('testcase')
    failed = [c.get('name') for c in cases if c.find('failure') is not None]
    check(int(suite.get('tests')) == len(cases) and int(suite.get('failures')) == len(failed), 'JUnit counts')
    markdown = Prowl('diff', *sides, '-f', 'markdown').out
    check(markdown.startswith('### prowl: ') and len(markdown.encode()) <= 60000, 'markdown:\n%s', markdown[:500])
    summary = path('.md')
    environment = dict(os.environ, GITHUB_ACTIONS='true', GITHUB_STEP_SUMMARY=summary)
    p = subprocess.run([PROWL, 'diff', *sides], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    lines = [line for line in p.stdout.splitlines() if line.startswith('::')]
    check(lines and (p.returncode != 3 or lines[0].startswith('::error file=')), 'annotations: %r', lines)
    with open(summary, encoding='utf-8') as f:
        check(f.read() == markdown, 'the summary of the step is another')
    if p.returncode == 3:
        check('main.parse' in failed and 'main.parse' in lines[0], 'JUnit %r, annotation %r', failed, lines[0])


@test('e2e', 'diff: more allocations are caught')
def allocations():
    need_prowl()
    base, same, more = compared(run_allocs, ('-alloc', '1.5'))
    for kind in ('alloc_space', 'alloc_objects'):
        code, result = diff(base, same, '-t', kind)
        check(code == 0, '%s: the same program: %d, %r', kind, code, bad(result))
        code, result = diff(base, more, '-t', kind)
        found = next(f for f in result['functions'] if f['name'] == 'main.allocParse')
        note('%s: %+.1f %%, q %.2g; %.0f and %.0f samples', kind, 100 * (found['ratio'] - 1), found['q'],
             found['base_events'], found['head_events'])
        check(code == 3 and bad(result)[0] == 'main.allocParse', '%s: %d, %r', kind, code, bad(result))
        check('main.allocRender' not in bad(result), 'an innocent one is blamed')


@test('e2e', 'diff: tolerances, accepted changes')
def rules():
    need_prowl()
    base, _, more = compared(run_allocs, ('-alloc', '1.5'))
    kind = ('-t', 'alloc_space')
    for text, status, verdict in (
            ('tolerance: 90%\n', 0, 'same'),
            ('functions:\n  - name: main.allocP*\n    tolerance: 0.9\n', 0, 'same'),
            ('functions:\n  - name: main.allocR*\n    tolerance: 90%\n', 3, 'regressed'),
            ('accept:\n  - name: main.allocParse\n    reason: parses more\n', 0, 'accepted')):
        file = path('.yaml')
        with open(file, 'w') as f:
            f.write(text)
        # the total grows by some 14 %: it is another question
        _, result = diff(base, more, *kind, '--rules', file, '--fail-on', 'function', status=status)
        found = next(f for f in result['functions'] if f['name'] == 'main.allocParse')
        check(found['verdict'] == verdict, '%r: %s', text, found['verdict'])
    for text in ('tolerance: [\n', 'functions:\n  - name: x\n', 'tolerance: many\n', 'surprise: 1\n'):
        with open(file, 'w') as f:
            f.write(text)
        Prowl('diff', base[0], more[0], '--rules', file).must(2)


@test('e2e', 'baseline: sets by revision, kept and found')
def baseline():
    need_prowl()
    folder = path('')
    source = open(os.path.join(TARGETS, 'fixed_work', 'main.go')).read()
    files = {}

    def revision(name):
        # what the version control says of a build is a comment of its profiles
        here = path('')
        os.makedirs(here)
        with open(os.path.join(here, 'go.mod'), 'w') as f:
            f.write('module example.org/work\n\ngo 1.19\n')
        with open(os.path.join(here, 'main.go'), 'w') as f:
            f.write(source + '// %s\n' % name)
        for args in (['init', '-q'], ['add', '.'], ['commit', '-qm', name]):
            subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@localhost', *args], cwd=here, check=True)
        # a folder in a folder of a version control is not the program's own
        environment = dict(go_environment(VERSION), GIT_CEILING_DIRECTORIES=os.path.dirname(here))
        subprocess.run([goroot(VERSION) + '/bin/go', 'build', '-buildvcs=true', '-o', 'work', '.'], cwd=here, check=True,
                       env=environment)
        files[name] = []
        for _ in range(2):
            out = path()
            Prowl('profile', '-q', '-F', '499', '-o', out, '--', os.path.join(here, 'work'), '-work', '100').must()
            files[name].append(out)

    need_perf()
    if not shutil.which('git'):
        raise Skip('no git')
    for name in ('one', 'two', 'three'):
        revision(name)
        Prowl('baseline', 'save', folder, *files[name], '--keep', '2').must()
    sets = json.loads(Prowl('baseline', 'list', '--json', folder).must().out)['sets']
    check(len(sets) == 2 and all(s['profiles'] == 2 for s in sets), 'kept: %r', sets)
    check(all(s['package'] == 'example.org/work' and s['kind'] == 'cpu' and s['machine'] for s in sets), 'sets: %r', sets)
    # of the newest other revision, and of the one that is asked for
    used = Prowl('baseline', 'use', folder, '--like', files['three'][0]).must().out.split()
    check(len(used) == 2 and all(sets[0]['dir'] in u for u in used), 'used %r, of %r', used, sets)
    used = Prowl('baseline', 'use', folder, '--like', files['one'][0]).must().out.split()
    check(all(sets[1]['dir'] in u for u in used), 'used %r, of %r', used, sets)
    used = Prowl('baseline', 'use', folder, '--like', files['three'][0], '--revision', sets[1]['revision'][:8]).must().out.split()
    check(all(sets[1]['dir'] in u for u in used), 'used %r', used)
    Prowl('baseline', 'use', folder, '--like', run_allocs()).must(5)
    Prowl('diff', '--base', *used, '--head', *files['two'], '--fail-on', 'never').must()
    # what an index says leads nowhere else
    with open(os.path.join(folder, 'index.tsv'), 'a') as f:
        for d in ('../..', '/etc', 'a/../../b', '.'):
            f.write(d + '\tcpu\tx\ty\tz\tm\t9\n')
        f.write('broken\n\t\t\t\t\t\t\n')
    again = json.loads(Prowl('baseline', 'list', '--json', folder).must().out)['sets']
    check(again == sets, 'after damage: %r', again)
    os.remove(os.path.join(folder, 'index.tsv'))
    again = json.loads(Prowl('baseline', 'list', '--json', folder).must().out)['sets']
    check(again == sets, 'without the index: %r', again)


@test('e2e', 'bench: runs in turn, and compares')
def bench():
    need_prowl()
    program, kept = build(VERSION, 'fixed_work', 'static'), path('')
    base, head = program + ' -work 1 -allocs {}', program + ' -work 1 -alloc 1.6 -allocs {}'
    p = Prowl('bench', '-q', '--base', base, '--head', head, '--runs', 4, '-t', 'alloc_space', '-f', 'json', '--save', kept)
    result = json.loads(p.must(3).out)
    check(bad(result)[0] == 'main.allocParse', 'named first: %r', bad(result))
    check(result['base']['name'] == base and len(result['head']['totals']) == 4, 'the sides: %r', result['base'])
    check(sorted(os.listdir(kept)) == ['%s-%02d.pb.gz' % (side, n) for side in ('base', 'head') for n in range(1, 5)],
          'kept: %r', os.listdir(kept))
    Prowl('bench', '-q', '--base', base, '--head', base, '--runs', 4, '-t', 'alloc_space').must(0)
    Prowl('bench', '-q', '--base', 'exit 3 # {}', '--head', head).must(1)
    Prowl('bench', '-q', '--base', 'true {}', '--head', head).must(1)
    Prowl('bench', '--base', base).must(2)
    Prowl('bench', '--base', base, '--head', head, '--runs', '0').must(2)
    need_perf()
    p = Prowl('bench', '-q', '--base', program + ' -work 200', '--head', program + ' -work 200 -slow 9', '--runs', 3, '-f',
              'json')
    result = json.loads(p.out)
    found = next(f for f in result['functions'] if f['name'] == 'main.parse')
    check(p.status in (3, 7) and 4 < found['ratio'] < 14, 'exit %d, %r', p.status, found)


def made_runs(stacks, n=3, **how):
    """Files of n runs that are all but the same."""
    out = []
    for i in range(n):
        out.append(path())
        with open(out[-1], 'wb') as f:
            f.write(profile([(names, (count + i, (count + i) * 10 ** 7)) for names, count in stacks], **how))
    return out


@test('e2e', 'diff: generic and hostile names, lines, moved functions')
def names():
    need_prowl()
    generic, hostile = 'a/b.Map[...].Get', 'a/b.|`<x>&"\n::error::%0A\ufffe\uffff'
    files = {generic: 'old/map.go', hostile: '/w/s/a,b:c.go'}
    base = made_runs([((generic, 'main.main'), 1000), ((hostile, 'main.main'), 1000), (('main.f', 'main.main'), 3000)],
                     files=files)
    files[generic] = 'new/map.go'
    head = made_runs([((generic, 'main.main'), 2000), ((hostile, 'main.main'), 2000), (('main.f', 'main.main'), 3000)],
                     files=files)
    sides = ['--base', *base, '--head', *head]
    rules = path('.yaml')
    for pattern, fit in ((generic, True), ('a/b.Map[...].*', True), ('a/?.Map*Get', True), ('*', True), ('a/b.Map.Get', False),
                         ('a/b.Map*Ge', False)):
        with open(rules, 'w') as f:
            f.write('accept:\n  - name: "%s"\n    reason: known\n' % pattern)
        result = json.loads(Prowl('diff', *sides, '--rules', rules, '-f', 'json').out)
        found = next(f for f in result['functions'] if f['name'] == generic)
        check(found['verdict'] == ('accepted' if fit else 'regressed'), '%s: %s', pattern, found['verdict'])
    with open(rules, 'w') as f:
        f.write('tolerance: 0%\n')
    Prowl('diff', *sides, '--rules', rules).must(2)
    lines = Prowl('diff', *sides, '-f', 'github').must(3).out.splitlines()
    check(len(lines) == 3 and all(line.startswith('::error ') for line in lines), 'annotations: %r', lines)
    check(any('file=new/map.go,line=5,' in line for line in lines), 'not where head has it: %r', lines)
    check(any('file=/w/s/a%2Cb%3Ac.go,line=5,' in line for line in lines), 'not escaped: %r', lines)
    cases = ET.fromstring(Prowl('diff', *sides, '-f', 'junit').out).find('testsuite').findall('testcase')
    check([c.get('name') for c in cases if '<x>' in c.get('name')], 'JUnit: %r', [c.get('name') for c in cases])
    rows = [line for line in Prowl('diff', *sides, '-f', 'markdown').out.splitlines() if line.startswith('|')]
    check(all(line.count('|') == 8 for line in rows), 'cells: %r', rows)
    pattern = path('')
    os.makedirs(pattern)
    for side, files in (('b', base), ('h', head)):
        for i, file in enumerate(files):
            shutil.copy(file, '%s/%s%d.pb.gz' % (pattern, side, i))
    for words in (['--base', pattern + '/b*', '--head=' + pattern + '/h?.pb.gz'], [pattern + '/b*.gz', pattern + '/h*.gz']):
        result = json.loads(Prowl('diff', *words, '-f', 'json').must(3).out)
        check(len(result['base']['totals']) == len(result['head']['totals']) == 3, 'files of a pattern: %r', result['base'])
    Prowl('diff', '--base', pattern + '/x*', '--head', *head).must(1)
    shares = Prowl('diff', *sides, '--mode', 'share').out
    check(re.search(r'^ +50\.\ds +70\.\ds +- +- +- not judged +total$', shares, re.M), 'the total in:\n%s', shares)
    check('warning' not in shares and 'more than once' in Prowl('diff', '--base', base[0], *base, '--head', *head).out,
          'a run that is there twice is not told')
    for option in ('--q', '--min-share'):
        Prowl('diff', *sides, option, '100%').must(2)
    by_line = Prowl('diff', *sides, '--by', 'line', '--fail-on', 'never').must(0).out
    check(re.search(r'regressed +\S.* a,b:c\.go:7', by_line), 'no line in:\n%s', by_line)


@test('e2e', 'bench: interrupted or failed, it leaves no process and no file; a command may change its folder')
def bench_ends():
    need_prowl()
    here = path('')
    os.makedirs(here)
    environment = dict(os.environ, TMPDIR=here)
    started = os.path.join(here, 'started')
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        command = "echo half > {}; sh -c 'echo $$ > %s.new; mv %s.new %s; exec sleep 60' & wait" % ((started,) * 3)
        p = subprocess.Popen([PROWL, 'bench', '-q', '--warmup', '0', '--base', command, '--head', 'true {}'], env=environment,
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # these may run below nohup
        wait_for(lambda: os.path.exists(started), 'the command')
        with open(started) as f:
            pid = int(f.read())
        os.unlink(started)
        p.send_signal(sig)  # to it alone, as those who watch over builds do
        said = p.communicate(timeout=30)[1]
        check(p.returncode == 1 and 'interrupted' in said, '%s: exit %d, %s', sig, p.returncode, said)
        wait_for(lambda: not os.path.exists('/proc/%d' % pid), 'the end of the command after %s' % sig)
        check(not os.listdir(here), '%s: left behind: %r', sig, os.listdir(here))
    for options, status in ((('--base', 'echo half > {}; exit 3'), 1),
                            (('--base', 'touch %s; true {}' % started, '-f', 'none'), 2),
                            (('--base', 'touch %s; true {}' % started, '--save', '/dev/null'), 1)):
        p = subprocess.run([PROWL, 'bench', '-q', '--warmup', '0', *options, '--head', 'true {}'], env=environment,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(p.returncode == status and not os.listdir(here), '%r: exit %d, left %r', options, p.returncode, os.listdir(here))
    os.makedirs(os.path.join(here, 'kept'))
    with open(os.path.join(here, 'kept', 'base-01.pb.gz'), 'wb') as f:
        f.write(profile([(('main.f',), (1, 1))]))
    made = os.path.join(here, 'made')
    with open(made, 'wb') as f:
        f.write(profile([(('main.f',), (500, 5 * 10 ** 9))]))
    for base, status in (('true {}', 1), ('cd / && cat %s > {}' % made, 0)):
        p = subprocess.run([PROWL, 'bench', '-q', '--warmup', '0', '--runs', '2', '--save', 'kept', '--base', base, '--head',
                            'cat %s > {}' % made], cwd=here, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(p.returncode == status, '%s: exit %d\n%s', base, p.returncode, p.stderr)
    check(len(os.listdir(os.path.join(here, 'kept'))) == 4, 'kept: %r', os.listdir(os.path.join(here, 'kept')))


@test('clients', 'diff: the same differences as go tool pprof -diff_base')
def agrees():
    need_prowl()
    base, head = run_allocs(), run_allocs('-alloc', '3')
    _, result = diff([base], [head], '-t', 'alloc_space', status=7)
    text = pprof_tool('-top', '-sample_index=alloc_space', '-unit=B', '-nodefraction=0', '-diff_base', base, head)
    ours = {f['name']: (f['head'] - f['base'], f['head_cum'] - f['base_cum']) for f in result['functions']}
    seen, rounding = 0, result['total']['head'] * 1e-7  # of the numbers in JSON
    for line in text.splitlines():
        m = re.match(r'\s*(-?\d+)B?\s+\S+\s+\S+\s+(-?\d+)B?\s+\S+\s+(\S+)', line)
        if not m:
            continue
        seen += 1
        check(m.group(3) in ours, '%s is not in ours', m.group(3))
        flat, cum = ours[m.group(3)]
        check(abs(flat - int(m.group(1))) <= rounding and abs(cum - int(m.group(2))) <= rounding, '%s: %r, not %s and %s', m.group(3),
              ours[m.group(3)], m.group(1), m.group(2))
    check(seen >= 3, 'only %d functions in:\n%s', seen, text)
    # as a profile, and as a page
    both, page, table = path(), path('.html'), path('.md')
    p = Prowl('diff', base, head, '-t', 'alloc_space', '-o', both, '-o', page, '-o', table).must(7)
    check(p.out == '' and 'inconclusive' in p.err, 'standard output: %r', p.out)
    of_file = pprof_tool('-top', '-sample_index=alloc_space', '-unit=B', '-nodefraction=0', both)
    rows = [re.sub(r' +\(inline\)$', '', line.strip()) for line in text.split('flat%', 1)[1].splitlines()[1:]]
    theirs = [re.sub(r' +\(inline\)$', '', line.strip()) for line in of_file.split('flat%', 1)[1].splitlines()[1:]]
    check(rows and sorted(rows) == sorted(theirs), 'as a profile:\n%s\nnot\n%s', of_file, text)
    with open(page) as f:
        check('<script' in f.read(), 'no page')
    with open(table) as f:
        check(f.read().startswith('### prowl'), 'no table')
    # normalised to the same total, as our shares are
    _, result = diff([base], [head], '-t', 'alloc_space', '--mode', 'share', status=7)
    text = pprof_tool('-top', '-sample_index=alloc_space', '-unit=B', '-nodefraction=0', '-normalize', '-diff_base', base,
                      head)
    total = result['base']['totals'][0]
    ours = {f['name']: (f['head'] - f['base']) * total for f in result['functions']}
    for line in text.splitlines():
        m = re.match(r'\s*(-?\d+)B?\s+\S+\s+\S+\s+(-?\d+)B?\s+\S+\s+(\S+)', line)
        if m:
            check(abs(ours[m.group(3)] - int(m.group(1))) <= max(4, total * 1e-6), '%s, normalised: %.0f, not %s',
                  m.group(3), ours[m.group(3)], m.group(1))


@test('e2e', 'diff: what cannot be compared is refused')
def refused():
    need_prowl()
    cpu, allocs = run_allocs(), run_allocs()
    damaged, empty = path(), path()
    with open(allocs, 'rb') as f:
        data = f.read()
    with open(damaged, 'wb') as f:
        f.write(data[:len(data) // 2])
    open(empty, 'w').close()
    Prowl('diff', cpu, damaged).must(1)
    Prowl('diff', cpu, empty).must(1)
    Prowl('diff', cpu, path()).must(1)
    Prowl('diff', cpu).must(2)
    Prowl('diff', '--base', cpu).must(2)
    Prowl('diff', cpu, allocs, '-t', 'cpu').must(2)
    Prowl('diff', cpu, allocs, '--by', 'colour').must(2)
    Prowl('diff', cpu, allocs, '--tolerance', '-5%').must(2)
    Prowl('diff', cpu, allocs, '--mode', 'per-op').must(2)
    Prowl('diff', cpu, allocs, '--mode', 'per-op', '--ops', '1').must(2)
    p = Prowl('diff', cpu, allocs, '--mode', 'per-op', '--ops', '1,2', '-f', 'json').must(7)
    check(json.loads(p.out)['why'].startswith('one run'), 'why: %s', p.out[:300])


SOURCE = '''package parser

var sink uint64

//go:noinline
func Scan(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

//go:noinline
func Fold(n int) {
	x := sink | 1
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}
'''
BENCH = '''package parser

import "testing"

func BenchmarkParse(b *testing.B) {
	for i := 0; i < b.N; i++ {
		Scan(4000000)
		Fold(%d)
	}
}
'''


@test('e2e', 'examples/ci/gate: a regression is caught, an unchanged build passes')
def gate():
    need_prowl()
    if not shutil.which('git'):
        raise Skip('no git')
    here = path('')
    os.makedirs(os.path.join(here, 'parser'))

    def git(*args):
        subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@localhost', *args], cwd=here, check=True,
                       capture_output=True)

    def write(name, text):
        with open(os.path.join(here, name), 'w') as f:
            f.write(text)

    def run(*args):
        environment = go_environment(VERSION)
        environment['PATH'] = ':'.join([os.path.dirname(PROWL), goroot(VERSION) + '/bin', os.environ['PATH']])
        environment['BENCHTIME'] = '50x'
        return subprocess.run([os.path.join(ROOT, 'examples', 'ci', 'gate'), 'HEAD', './parser', 'BenchmarkParse', '-f', 'json',
                               *args], cwd=here, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300)

    write('go.mod', 'module example.org/app\n\ngo 1.19\n')
    write('parser/parser.go', SOURCE)
    write('parser/parser_test.go', BENCH % 2000000)
    git('init', '-q')
    git('add', '.')
    git('commit', '-qm', 'base')
    for _ in range(3):  # by chance it may be blamed, at most one time in a hundred: not three times in a row
        p = run()
        if p.returncode != 3:
            break
        result = json.loads(p.stdout)
        note('unchanged: %r; totals %r, %r', [f for f in result['functions'] if f['name'] in bad(result)],
             result['base']['totals'], result['head']['totals'])
    check(p.returncode in (0, 7), 'unchanged: exit %d\n%s%s', p.returncode, p.stdout[-2000:], p.stderr)
    unchanged = p.returncode
    write('parser/parser_test.go', BENCH % 4000000)
    p = run()
    result = json.loads(p.stdout)
    note('unchanged: exit %d; Fold twice as long: exit %d, %r', unchanged, p.returncode, bad(result))
    check(p.returncode in (3, 7), 'twice as slow: exit %d\n%s%s', p.returncode, p.stdout[-2000:], p.stderr)
    check(p.returncode == 7 or bad(result)[0] == 'example.org/app/parser.Fold', 'named first: %r', bad(result))
    rules = path('.yaml')
    with open(rules, 'w') as f:
        f.write('accept:\n  - name: example.org/app/parser.Fold\n    reason: folds more\n')
    p = run('--rules', rules, '--fail-on', 'function', '--runs', '2', '--save', 'profiles')
    check(p.returncode in (0, 7), 'accepted: exit %d\n%s', p.returncode, p.stdout[-2000:])
    saved = os.path.join(here, 'profiles')
    check(os.path.isdir(saved) and len(os.listdir(saved)) == 4, 'saved: %s', p.stderr)
    left = subprocess.run(['git', 'worktree', 'list'], cwd=here, capture_output=True, text=True, check=True).stdout
    check(len(left.splitlines()) == 1, 'left behind: %s', left)


def flat(file):
    """Samples by the innermost function of one run, and in all."""
    counts = collections.Counter()
    for frames, values, _ in pprof.load(file).stacks():
        counts[frames[0].name if frames else ''] += values[0]
    return counts


def mann_whitney(x, y):
    """The exact one-sided probability that y is not larger than x."""
    def larger(a, b):
        return sum((v > u) + 0.5 * (v == u) for u in a for v in b)

    both, seen = x + y, larger(x, y)
    splits = list(itertools.combinations(range(len(both)), len(y)))
    return sum(larger([both[i] for i in range(len(both)) if i not in s], [both[i] for i in s]) >= seen
               for s in splits) / len(splits)


def by_other_rules(base, head):
    """What a plain threshold, and Mann-Whitney with Benjamini-Hochberg, call regressions, of the same functions."""
    base, head = [flat(f) for f in base], [flat(f) for f in head]
    total = sum(sum(c.values()) for c in base) / len(base)
    mean = {n: [sum(c[n] for c in side) / len(side) for side in (base, head)] for c in base + head for n in c}
    judged = [n for n, (b, h) in mean.items() if n.startswith('main.') and max(b, h) >= 0.005 * total]
    plain = {n for n in judged if mean[n][1] > 1.1 * mean[n][0]}
    p = sorted((mann_whitney([c[n] for c in base], [c[n] for c in head]), n) for n in judged)
    tested, limit = set(), 0
    for i, (value, _) in enumerate(p, 1):
        if value <= 0.05 * i / len(p):
            limit = i
    tested.update(n for _, n in p[:limit])
    return plain, tested


@test('soak', 'diff: 30 comparisons of a program with itself, 20 with a function that is 30 % slower')
def often():
    need_prowl()
    need_perf()
    rules = ('prowl diff', 'more than 10 %', 'Mann-Whitney, BH')
    alarms, found, blamed = ({r: 0 for r in rules} for _ in range(3))
    undecided = first = 0
    for k in range(30):
        base, same, slow = compared(run_cpu, ('-slow', '1.3')) if k < 20 else (*in_turn(run_cpu, [(), ()]), None)
        code, result = diff(base, same)
        undecided += code == 7
        for rule, names in zip(rules, (bad(result) + ['total'] if code == 3 else [], *by_other_rules(base, same))):
            alarms[rule] += bool(names)
        if slow is None:
            continue
        code, result = diff(base, slow)
        first += code == 3 and bad(result)[:1] == ['main.parse']
        for rule, names in zip(rules, (bad(result) if code == 3 else [], *by_other_rules(base, slow))):
            found[rule] += 'main.parse' in names
            blamed[rule] += any(n != 'main.parse' for n in names)
    note('%-18s %14s %14s %14s', 'rule', 'false alarms', 'found', 'others blamed')
    for rule in rules:
        note('%-18s %8d of 30 %8d of 20 %8d of 20', rule, alarms[rule], found[rule], blamed[rule])
    note('%d of 30 undecided; the culprit named first %d of 20', undecided, first)
    ours = rules[0]
    check(alarms[ours] == 0, '%d alarms of 30', alarms[ours])
    check(found[ours] >= 16, 'found %d of 20', found[ours])
    check(first == found[ours] and blamed[ours] == 0, 'named first %d, others blamed %d', first, blamed[ours])


# In the compiler's common subexpression elimination, some 2 % of its time: maps and strings, so that the cost scatters.
DEARER = """
	more := make(map[int]string)
	for i := 0; i < f.NumValues(); i++ {
		more[i%256] = fmt.Sprint(i, len(more))
	}
"""


def compilers(folder, version):
    """Go's compiler as it is, and with a dearer pass; the arguments that make it compile go/types."""
    root, environment = goroot(version), dict(go_environment(version), GOFLAGS='')
    source, line = os.path.join(root, 'src/cmd/compile/internal/ssa/cse.go'), 'func cse(f *Func) {\n'

    def go(*args):
        p = subprocess.run([root + '/bin/go', *args], env=environment, capture_output=True, text=True, timeout=1800)
        check(p.returncode == 0, 'go %s: %s', ' '.join(args), p.stderr)
        return p.stdout

    with open(source, encoding='utf-8') as f:
        text = f.read()
    check(line in text, 'no cse in %s', source)
    changed, overlay = os.path.join(folder, 'cse.go'), os.path.join(folder, 'overlay.json')
    with open(changed, 'w', encoding='utf-8') as f:
        f.write(text.replace(line, line + DEARER, 1))
    with open(overlay, 'w', encoding='utf-8') as f:
        json.dump({'Replace': {source: changed}}, f)
    base, head, config = (os.path.join(folder, n) for n in ('base', 'head', 'importcfg'))
    go('build', '-o', base, 'cmd/compile')
    go('build', '-overlay', overlay, '-o', head, 'cmd/compile')
    with open(config, 'w', encoding='utf-8') as f:
        f.write(go('list', '-export', '-deps', '-f', '{{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}', 'go/types'))
    files = go('list', '-f', '{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}', 'go/types').split()
    return base, head, ['-o', os.devnull, '-p', 'go/types', '-c=1', '-importcfg', config, *files]


@test('soak', 'diff: the Go compiler, hundreds of functions: 60 comparisons with itself, 60 with a pass that is dearer')
def compiler():
    need_prowl()
    need_perf()
    version, folder = '1.27', path('')
    if not os.access(goroot(version) + '/bin/go', os.X_OK):
        raise Skip('no Go %s' % version)
    os.makedirs(folder)
    base, head, arguments = compilers(folder, version)

    def run(program):
        out = path()
        p = subprocess.run([PROWL, 'profile', '-q', '-F', '999', '-o', out, '--', program, *arguments],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        check(p.returncode == 0, 'profile: %s', p.stderr)
        return out

    first, second, dear = in_turn(run, [(base,), (base,), (head,)])
    # Ten runs of the same program can be two sides in 252 ways, each a comparison of five runs with five.
    same = first + second
    culprit, rounds = 'cmd/compile/internal/ssa.cse', 60
    alarms = undecided = found = led = others = 0
    for some in random.Random(1).sample(list(itertools.combinations(same, RUNS)), rounds):
        code, result = diff(some, [f for f in same if f not in some])
        alarms += code == 3
        undecided += code == 7
        check(result['judged_by_cum'] >= 100, 'only %d functions are judged by cum', result['judged_by_cum'])
        _, result = diff(some, dear)
        names = bad(result)
        found += culprit in names
        led += names[:1] == [culprit]
        others += len(names) > 1
    note('%d functions judged by flat, %d by cum; itself: %d alarms, %d undecided; dearer: found %d, first %d, others blamed '
         '%d, of %d', result['judged_by_flat'], result['judged_by_cum'], alarms, undecided, found, led, others, rounds)
    check(alarms <= rounds // 50, '%d alarms of %d', alarms, rounds)
    check(found >= rounds * 4 // 5 and led == found, 'found %d, named first %d of %d', found, led, rounds)
    check(others <= rounds // 10, 'others were blamed %d times of %d', others, rounds)

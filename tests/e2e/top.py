# SPDX-License-Identifier: Apache-2.0
"""prowl top: its figures for scripts, and its table driven on a pseudo terminal."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import pprof
from harness import (PROWL, Prowl, Skip, Target, any_goroot, build, burns, check, goroot, need_perf, need_prowl, need_root,
                     note, test, tmp, within)
from terminal import Terminal

VERSION = '1.24'
ROW = re.compile(r'^[> ][- ] *(\S+m?s) +([\d.]+)% +(\S+m?s) +([\d.]+)%  (\S+)')


def shares_target():
    need_perf()
    return Target(build(VERSION, 'known_shares', 'static'))


def has_screen():
    need_prowl()
    p = Prowl('--version').must()
    if 'without: the screen of prowl top' in p.out:
        raise Skip('prowl was built without ncurses')


def top(pid, *args, **kwargs):
    has_screen()
    return Terminal([PROWL, 'top', '--pid', pid, *args], **kwargs)


def rows(lines):
    """(flat%, cum%, name) of each row of the table."""
    return [(float(m.group(2)), float(m.group(4)), m.group(5)) for m in map(ROW.match, lines) if m]


def table(t, n=5):
    """The rows, once there are so many."""
    return rows(t.until(lambda lines: len(rows(lines)) >= n, 'a table of %d rows' % n))


def in_order(t, order, key, reverse, counts=lambda row: True):
    """Waits for five rows and more in that order: what is half drawn is in none, and by chance so many hardly are."""
    def sorted_by_it(lines):
        keys = [key(r) for r in rows(lines) if counts(r)]
        return order in lines[0] and len(keys) >= 5 and keys == sorted(keys, reverse=reverse)
    t.until(sorted_by_it, 'a table %s' % order)


# --- for scripts ------------------------------------------------------------------------------------------------------

@test('e2e', 'top: shares of known phases')
def shares():
    with shares_target() as t:
        seconds, o = 5, {'samples': 0}
        while o['samples'] < 300 and seconds <= 320:  # until it has had the CPU
            before = t.truth()
            o = json.loads(Prowl('top', '--pid', t.pid, '--once', '--json', '--seconds', seconds, '--rate', 997, '--lines',
                                 100000, timeout=600).must().out)
            after = t.truth()
            seconds *= 2
    truth = {k: after['phases'][k] - before['phases'][k] for k in after['phases']}
    cum = {f['name']: f['cum_ns'] for f in o['functions']}
    in_phases = sum(cum.get(phase, 0) for phase in truth)
    bad = [phase for phase in truth
           if not within(cum.get(phase, 0) / in_phases, truth[phase] / sum(truth.values()), o['samples'], phase)]
    check(not bad, 'outside of the sampling error: %s', ', '.join(bad))
    check(o['total_ns'] - in_phases < 0.03 * o['total_ns'] + 0.01 * o['span_ns'], '%d of %d ns are in phases', in_phases, o['total_ns'])
    check(sum(f['flat_ns'] for f in o['functions']) <= o['total_ns'] * 1.0001, 'flat values are more than the total')
    used = o['cpu_percent'] / 100 * o['span_ns']
    check(abs(used - o['total_ns']) < 0.03 * used, 'the table has %d ns, the process used %d', o['total_ns'], used)
    check(o['targets'][0]['pid'] == t.pid and o['targets'][0]['go_version'].startswith('go' + VERSION), '%r',
          o['targets'])
    check(o['runtime']['goroutines'] == 2 and o['runtime']['gomaxprocs'] == os.cpu_count(), '%r', o['runtime'])


@test('e2e', 'top: windows add up to what the kernel charged')
def windows():
    with shares_target() as t:
        clock = (~t.pid << 3) | 2
        begin = time.clock_gettime_ns(clock)
        p = Prowl('top', '--pid', t.pid, '--json', '--seconds', 4, '--interval', '200ms', '--rate', 99).must()
        charged = time.clock_gettime_ns(clock) - begin
    objects = [json.loads(line) for line in p.out.splitlines()]
    check(len(objects) >= 15, '%d objects in 4 s of 200 ms', len(objects))
    check(all(o['schema_version'] == 1 and o['rate_hz'] == 99 for o in objects), 'objects differ')
    total = sum(o['total_ns'] for o in objects)
    note('%d windows: %.3f s, charged from before to after %.3f s', len(objects), total / 1e9, charged / 1e9)
    # of what was charged, attaching and ending take a part
    check(0.85 * charged < total <= charged * 1.02, 'all windows have %.3f s, the kernel charged %.3f', total / 1e9,
          charged / 1e9)


@test('e2e', 'top: one table as text, and exit codes')
def once():
    with shares_target() as t:
        p = Prowl('top', '--pid', t.pid, '--once', '--interval', 2, '--lines', 3, '--cum').must()
        lines = p.out.splitlines()
        check(lines[0].startswith('prowl top: ') and 'pid %d' % t.pid in lines[0], '%r', lines[0])
        check('of one core' in lines[1] and lines[2].startswith('goroutines 2: '), '%r', lines[1:3])
        check(lines[4].split() == ['flat', 'flat%', 'cum', 'cum%', 'function', 'file:line'], '%r', lines[4])
        check(len(lines) == 8 and lines[5].split()[4:] [0].startswith(('main.', 'runtime.')), '%r', lines[5:])
        check(p.err == '', 'it said %r', p.err)
    idle = subprocess.Popen(['sleep', '60'])
    try:
        p = Prowl('top', '--pid', idle.pid, '--once', '--interval', '300ms').must(5)
        check('nothing captured' in p.err and p.out == '', '%r', p)
    finally:
        idle.kill()
        idle.wait()
    with Target(build(VERSION, 'exit_soon', 'static'), '-after', '1500ms') as t:
        start = time.monotonic()
        p = Prowl('top', '--pid', t.pid, '--json', '--interval', 30).must(0)
        check(time.monotonic() - start < 20, 'it waited for a target that was gone')
        check(json.loads(p.out)['samples'] > 0, 'no samples')


@test('e2e', 'top: a stream is stopped by a signal, and by its reader')
def stream():
    with shares_target() as t:
        for sig in (signal.SIGINT, signal.SIGTERM):
            p = Prowl('top', '--pid', t.pid, '--json', '--interval', '500ms', wait=False)
            p.until('out', r'\n.*\n')
            p.process.send_signal(sig)
            p.wait().must(0)
            check(len(p.out.splitlines()) >= 2, '%r', p.out)
        command = '%s top --pid %d --json --interval 200ms --lines 100000; echo status $? >&2' % (PROWL, t.pid)
        p = subprocess.run(['sh', '-c', '{ %s; } | head -n 1 >/dev/null' % command], stderr=subprocess.PIPE, text=True,
                           timeout=60)
        check('status 1' in p.stderr, 'without a reader: %r', p.stderr)


# --- on a terminal ------------------------------------------------------------------------------------------------------

@test('e2e', 'top: the table, sorted, filtered, opened')
def keys():
    with shares_target() as target, top(target.pid) as t:
        lines = t.shows('main.leafSpin')
        check(lines[0].startswith('prowl top: known_shares') and 'pid %d' % target.pid in lines[0], '%r', lines[0])
        check('by flat' in lines[0] and lines[1].startswith('CPU ') and lines[2].startswith('goroutines'), '%r', lines)
        check('prowl ' in lines[3] and lines[4].split()[:4] == ['flat', 'flat%', 'cum', 'cum%'], '%r', lines[3:5])
        check(lines[23].startswith('q quit'), '%r', lines[23])
        in_order(t, 'by flat', lambda r: r[0], True)
        t.send('C')
        in_order(t, 'by cum', lambda r: r[1], True)
        t.send('s')
        # those that are shown without their package's folders stand where they are with them
        in_order(t, 'by name', lambda r: r[2], False, lambda r: '.' not in r[2] or r[2].startswith('main.'))

        t.send('/LEAFspin')
        t.until(lambda l: [r[2] for r in rows(l)] == ['main.leafSpin'] and l[23] == 'filter: LEAFspin_', 'a filter')
        t.send('x')
        t.until(lambda l: not rows(l) and 'no function or file has "LEAFspinx"' in '\n'.join(l), 'no row')
        t.send('\x7f\r')
        t.until(lambda l: l[23].startswith('filter "LEAFspin": 1 of '), 'the filter that was typed')
        t.send('\r')
        lines = t.shows('called by main.callerA1')
        check(any('called by main.callerA2' in l for l in lines), 'one caller is missing: %r', lines)
        t.send('\x1b')
        t.until(lambda l: len(rows(l)) > 5 and l[23].startswith('q quit'), 'all rows again')
        lines = t.shows('called by main.callerA1')

        # the cursor: it is on leafSpin; a step further is a caller; Enter goes there
        t.until(lambda l: any(x.startswith('>-') and 'main.leafSpin' in x for x in l), 'the cursor on leafSpin')
        t.send('j')
        t.until(lambda l: any(x.startswith('> ') and 'called by main.callerA' in x for x in l), 'the cursor on a caller')
        t.send('\r')
        t.until(lambda l: any(re.match(r'> .*% +main\.callerA', x) for x in l), 'the cursor on a row of a caller')
        t.send('\x1b[A\x1b[B\x1b[6~\x1b[5~G')
        t.send('g')
        t.until(lambda l: l[5].startswith('>'), 'the cursor on the first row')

        t.send('?')
        t.shows('callers and callees of the row')
        t.send('?')
        table(t)
        t.send('a')
        t.until(lambda l: 'since the start' in l[0], 'the table since the start')
        check(not t.screen.strange, 'sequences that no terminal of this kind has: %r', t.screen.strange)
        t.send('q')
        t.ends(0)
        check('prowl itself:' in '\n'.join(t.screen.text()), 'no last words')


@test('e2e', 'top: freeze')
def freeze():
    with shares_target() as target, top(target.pid, '--interval', '300ms') as t:
        table(t)
        t.send('f')
        first = t.until(lambda l: l[23].startswith('FROZEN'), 'that it is frozen')
        used = time.clock_gettime_ns((~target.pid << 3) | 2)
        for _ in range(6):
            t.read(0.4)
            check(t.screen.text() == first, 'frozen, and yet it changed:\n%s', '\n'.join(t.screen.text()))
        used = time.clock_gettime_ns((~target.pid << 3) | 2) - used
        check(used > 100e6, 'the target did nothing meanwhile')
        t.send('a')
        t.until(lambda l: 'since the start' in l[0], 'the other table of the same moment')
        t.send(' ')
        before = t.until(lambda l: l[23].startswith('q quit'), 'that it goes on')
        t.until(lambda l: rows(l) and l[5:23] != before[5:23], 'another table')
        t.send('q')
        t.ends(0)
        # what was sampled while it stood still is counted
        said = re.search(r'prowl: (\d+) samples, ([\d.]+) s of CPU in ([\d.]+) s; lost 0', '\n'.join(t.screen.text()))
        check(said, 'no last words: %r', t.screen.text())
        samples, cpu = int(said[1]), float(said[2])
        check(cpu > used / 1e9 and abs(samples / 99 - cpu) < 0.2 * cpu + 0.1, '%d samples of %.2f s', samples, cpu)


@test('e2e', 'top: sizes of the terminal')
def sizes():
    with shares_target() as target, top(target.pid, '--interval', '300ms') as t:
        table(t)
        for height, width in ((10, 40), (60, 200), (24, 80), (5, 20), (3, 12), (2, 5), (1, 1), (24, 80)):
            t.resize(height, width)
            if height >= 10:
                lines = t.until(lambda l: 'main.' in '\n'.join(l) and l[-1].startswith('q quit'), 'a table of %dx%d' %
                                (width, height))
                check(max(map(len, lines)) <= width, 'too wide: %r', lines)
            t.read(0.5)
            check(t.process.poll() is None, 'it ended at %dx%d', width, height)
            if height == 60:
                check(any('known_shares/main.go:' in line for line in t.screen.text()), 'no folder of a file')
        table(t)
        t.send('q')
        t.ends(0)


@test('e2e', 'top: w writes what was seen')
def write():
    folder = tmp('top-write')
    os.mkdir(folder)
    with shares_target() as target, top(target.pid, '--interval', '300ms', cwd=folder) as t:
        t.send('w')  # before the first table
        t.shows('no sample to write yet')
        table(t)
        time.sleep(2)
        t.send('w')
        line = [x for x in t.shows('wrote prowl.') if x.startswith('wrote ')][0]
        name = line.split()[1]
        t.send('q')
        t.ends(0)
        check('wrote ' + name in '\n'.join(t.screen.text()), 'the file is not named at the end')
    check(os.listdir(folder) == [name], '%r, not %s', os.listdir(folder), name)
    check(re.fullmatch(r'prowl\.known_shares-st\.%d\.cpu\.\d{8}T\d{6}Z\.pb\.gz' % target.pid, name), name)
    path = os.path.join(folder, name)
    prof = pprof.load(path)
    check(prof.sample_types[:2] == [('samples', 'count'), ('cpu', 'nanoseconds')], '%r', prof.sample_types)
    check(1.5e9 < prof.duration_nanos < 30e9 and prof.total('samples') > 20, 'duration %d', prof.duration_nanos)
    notes = [c for c in prof.comments if c.startswith('samples: ')]
    check(len(notes) == 1 and len(prof.comments) < 20, 'comments %r', prof.comments)
    check('main.leafSpin' in Prowl('report', path).must().out, 'report does not know it')
    go = os.path.join(goroot(any_goroot(['1.24', '1.23', '1.22'])), 'bin', 'go')
    p = subprocess.run([go, 'tool', 'pprof', '-top', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       env=dict(os.environ, GOTOOLCHAIN='local', HOME=tmp()))
    check(p.returncode == 0 and 'main.leafSpin' in p.stdout, 'go tool pprof: %s', p.stderr)


@test('e2e', 'top: the target exits')
def exits():
    with shares_target() as target, top(target.pid, '--interval', '300ms') as t:
        table(t)
        target.process.kill()
        target.process.wait()
        lines = t.shows('the process has exited')
        check(rows(lines), 'the last table is gone')
        t.send('C')
        t.until(lambda l: 'by cum' in l[0], 'that keys still work')
        t.send('q')
        t.ends(0)


def leave(how, status):
    with shares_target() as target, top(target.pid, '--interval', '300ms') as t:
        table(t, 3)
        check(t.screen.modes.get(1049) is True and t.screen.modes.get(25) is False, 'no screen: %r', t.screen.modes)
        if isinstance(how, str):
            t.send(how)
        else:
            t.process.send_signal(how)
        t.ends(status)
        check(target.process.poll() is None, 'the target is gone, too')


for _name, _how, _status in (('q', 'q', 0), ('Ctrl-C', '\x03', 0), ('SIGTERM', signal.SIGTERM, 0),
                             ('SIGHUP', signal.SIGHUP, 0), ('a crash', signal.SIGSEGV, -signal.SIGSEGV),
                             ('SIGABRT', signal.SIGABRT, -signal.SIGABRT), ('SIGBUS', signal.SIGBUS, -signal.SIGBUS)):
    test('e2e', 'top: the terminal after %s' % _name, _how, _status)(leave)


@test('e2e', 'top: stopped and continued')
def stopped():
    with shares_target() as target, top(target.pid, '--interval', '300ms', job=True) as t:
        table(t)
        pid = t.job()
        t.send('\x1a')
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            t.read(0.1)
            with open('/proc/%d/stat' % pid) as f:
                if f.read().rpartition(')')[2].split()[0] == 'T':
                    break
        else:
            check(False, 'it did not stop')
        t.is_restored()
        t.screen.resize(24, 80)  # somebody else wrote there
        time.sleep(1.5)
        os.kill(pid, signal.SIGCONT)
        t.until(lambda l: 'prowl did not run for' in l[23] and l[0].startswith('prowl top'), 'the table, and why a gap')
        table(t)
        t.send('q')
        t.ends(0)


@test('e2e', 'top: colour is where it is wanted')
def colour():
    with shares_target() as target:
        for args, env, some in (((), {}, True), ((), {'NO_COLOR': '1'}, False), (('--color', 'never'), {}, False),
                                (('--color', 'always'), {'NO_COLOR': '1'}, True)):
            with top(target.pid, '--interval', '300ms', *args, env=env) as t:
                table(t)
                t.send('q')
                t.ends(0)
                check(bool(t.screen.colors - {39, 49}) == some, '%r %r: colours %r', args, env, t.screen.colors)


@test('e2e', 'top: terminals that it cannot use')
def no_terminal():
    with shares_target() as target:
        has_screen()
        p = Prowl('top', '--pid', target.pid).must(2)
        check('--once' in p.err and p.out == '', '%r', p.err)
        for term in ('no-such-terminal', 'dumb'):
            with top(target.pid, env={'TERM': term}) as t:
                t.process.wait(20)
                t.read(0.2)
                check(t.process.returncode == 1, 'it ended with %d', t.process.returncode)
                check(term in '\n'.join(t.screen.text()), '%r', t.screen.text())
        for term in ('vt100', 'linux', 'screen'):
            with top(target.pid, '--interval', '300ms', env={'TERM': term}) as t:
                t.shows('main.')
                t.send('q')
                t.process.wait(20)
                check(t.process.returncode == 0, 'on a %s it ended with %d', term, t.process.returncode)


# --- what may be in its way -------------------------------------------------------------------------------------------------

HOSTILE = 'spin\033[2J\033]0;title\007\377\n\233x'


def hostile_program():
    """A program that spins in a function with that name, and with such a name of its own."""
    if not shutil.which('gcc') or not shutil.which('objcopy'):
        raise Skip('no gcc or objcopy')
    source, object_file, program = tmp('hostile.c'), tmp('hostile.o'), tmp('hostile')
    with open(source, 'w') as f:
        f.write('#include <sys/prctl.h>\nvolatile long n;\nvoid spin(void) { for (;;) n++; }\n'
                'int main(void) { prctl(PR_SET_NAME, "e\\033[2J\\377\\n"); spin(); }\n')
    subprocess.run(['gcc', '-O1', '-c', '-o', object_file, source], check=True)
    subprocess.run(['objcopy', b'--redefine-sym=spin=' + HOSTILE.encode('latin-1'), object_file], check=True)
    subprocess.run(['gcc', '-o', program, object_file], check=True)
    return program


@test('e2e', 'top: hostile names do not reach the terminal')
def hostile():
    need_perf()
    process = subprocess.Popen([hostile_program()])
    try:
        burns(process.pid, 0.1)
        out = Prowl('top', '--pid', process.pid, '--once', '--interval', '500ms').must(0).out
        check('spin?[2J?]0;title?' in out and 'e?[2J' in out, '%r', out)
        check(not re.search('[\0-\x09\x0b-\x1f\x7f-\x9f]', out), '%r', out)
        o = json.loads(Prowl('top', '--pid', process.pid, '--once', '--json', '--interval', '500ms').must(0).out)
        check(any(f['name'].startswith('spin?[2J') for f in o['functions']), '%r', o['functions'])
        with top(process.pid, '--interval', '300ms') as t:
            lines = t.shows('spin?[2J')
            check(lines[0].startswith('prowl top: e?[2J') and 'title' not in lines[0], '%r', lines)
            check(not t.screen.strange, '%r', t.screen.strange)
            t.send('q')
            t.ends(0)
    finally:
        process.kill()
        process.wait()


@test('e2e', 'top: the target is killed at any moment')
def killed():
    need_perf()
    for n in range(8):
        with Target(build(VERSION, 'known_shares', 'static')) as t:
            p = Prowl('top', '--pid', t.pid, '--json', '--interval', '100ms', wait=False)
            time.sleep(0.05 * n)
            t.process.kill()
            t.process.wait()
            p.wait()
            check(p.status in (0, 5) or (p.status in (1, 4) and n < 2), 'exit %d\n%s', p.status, p.err)


@test('e2e', 'top: a user without privilege')
def nobody():
    need_perf()
    need_root()
    with Target(build(VERSION, 'known_shares', 'static'), nobody=True) as t:
        p = Prowl('top', '--pid', t.pid, '--once', '--interval', 2, nobody=True)
        if p.status == 4:
            raise Skip('this kernel lets nobody sample: %s' % p.err.splitlines()[0])
        p.must(0)
        check('main.leafSpin' in p.out and 'goroutines' in p.out, '%r', p.out)
        note('%s', p.err.strip()[:100])


# --- what it costs --------------------------------------------------------------------------------------------------------

def cpu_of(run):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@test('cost', 'top: its own cost beside that of profile')
def cost():
    need_perf()
    has_screen()
    seconds = 10
    with Target(build(VERSION, 'known_shares', 'static')) as target:
        def screen():
            with top(target.pid, '--seconds', seconds, rows=50, cols=160) as t:
                t.ends(0, 60)
                note('%s', [line for line in t.screen.text() if 'prowl itself' in line][-1])
        for what, run in (('profile', lambda: Prowl('profile', '--pid', target.pid, '-d', seconds, '-o',
                                                    tmp('top-cost.pb.gz')).must()),
                          ('top', screen),
                          ('top --json', lambda: Prowl('top', '--pid', target.pid, '-d', seconds, '--json').must())):
            used = cpu_of(run)
            note('%-12s %.3f s of CPU in %d s: %.2f %% of one core', what, used, seconds, 100 * used / seconds)
            check(used < 0.05 * seconds, '%s used %.3f s of CPU in %d s', what, used, seconds)


@test('cost', 'top: 200,000 goroutines')
def many():
    need_perf()
    with Target(build(VERSION, 'figures', 'static'), '-goroutines', 100_000) as target:
        def run():
            p = Prowl('top', '--pid', target.pid, '--json', '--interval', 1, '--seconds', 12)
            seen.extend(json.loads(line) for line in p.out.splitlines())
        seen = []
        used = cpu_of(run)
    check(seen, 'nothing was printed')
    read = [o['runtime'] for o in seen if 'runtime' in o]
    check(read and read[-1]['goroutines'] > 200_000, 'goroutines %r', read[-1:])
    note('%d goroutines; %.3f s of CPU in 12 s, figures up to %.0f s old', read[-1]['goroutines'], used,
         max(r['age_ns'] for r in read) / 1e9)
    check(used < 0.05 * 12 + 0.5, 'it used %.3f s of CPU', used)

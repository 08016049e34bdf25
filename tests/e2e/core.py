# SPDX-License-Identifier: Apache-2.0
"""Core files, written by the kernel and by gcore: what prowl finds in them is what the process was."""

import json
import os
import shutil
import signal
import struct
import subprocess
import time

import pprof
from harness import BUILD, Prowl, Skip, Target, VERSIONS, build, check, note, out_file, test, tmp, wait_for
from recorded import ours, records

TRUNCATED = 0.6
DUMP = os.path.join(BUILD, 'tests', 'unit', 'profiler', 'runtime_dump')
# what does not change in a process that is left alone
CONSTANT = {'runtime.MemProfileRate', 'runtime.blockprofilerate', 'runtime.mutexprofilerate', 'runtime.allp',
            'runtime.gomaxprocs'}


def directory():
    path = tmp('core-%d' % time.monotonic_ns())
    os.mkdir(path)
    return path


def need_kernel_cores():
    """The kernel writes them into the working directory, and is not told to hand them to a program."""
    with open('/proc/sys/kernel/core_pattern') as f:
        pattern = f.read().strip()
    if pattern.startswith('|') or '/' in pattern or not pattern:
        raise Skip('the kernel puts core files elsewhere (core_pattern is %r)' % pattern)


class Crashing(Target):
    """A target that may leave a core file in a directory of its own."""

    def __init__(self, path, *args):
        self.directory = directory()
        super().__init__('/bin/sh', '-c', 'cd "$0" && ulimit -c unlimited && GOTRACEBACK=crash exec "$@"', self.directory,
                         path, *args)
        self.path = path

    def crash(self):
        """The path of the core file of the process, which is gone then."""
        need_kernel_cores()
        os.kill(self.pid, signal.SIGABRT)
        self.process.wait(60)
        found = [f for f in os.listdir(self.directory) if f.startswith('core')]
        if not found:
            raise Skip('the kernel wrote no core file (a limit of this machine?)')
        return os.path.join(self.directory, found[0])


def gcore(pid):
    if not shutil.which('gcore'):
        raise Skip('no gcore: gdb is not installed')
    base = os.path.join(directory(), 'core')
    p = subprocess.run(['gcore', '-o', base, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    path = '%s.%d' % (base, pid)
    if not os.path.exists(path):
        raise Skip('gcore wrote no core file: %s' % p.stdout.decode('utf-8', 'replace').strip()[-200:])
    return path


def info(*args):
    return json.loads(Prowl('info', '--json', *args).must(0).out)


def same(core, alive, whole=True):
    """What a core says is what the live process said."""
    for key in ('path', 'pid', 'name', 'go_version', 'layout', 'functions', 'text_start', 'text_end', 'moduledata', 'bias',
                'build_id'):
        check(core.get(key) == alive.get(key), '%s: %r in the core, %r in the process', key, core.get(key), alive.get(key))
    for a, b in zip(core['mappings'], alive['mappings']):
        # the vDSO stands at the end of a core
        check(a == b or (not whole and a['path'] == '[vdso]'), 'mapping %r in the core, %r in the process', a, b)
    check(len(core['mappings']) == len(alive['mappings']), '%d mappings, not %d', len(core['mappings']),
          len(alive['mappings']))
    facts = core['core']
    note('%d threads, %.1f MB', facts['threads'], facts['memory_bytes'] / 1e6)
    check(facts['program_compared'], 'the program was not compared with the core')
    check(facts['files_missing'] == facts['files_changed'] == 0, 'files: %r', facts)
    check(facts['threads'] >= 2, 'only %d threads', facts['threads'])
    check((facts['missing_bytes'] == 0) == whole, '%d bytes are missing', facts['missing_bytes'])


def runtime(subject):
    """Where the variables of the runtime are, how they were found, and what they hold."""
    if not os.access(DUMP, os.X_OK):
        raise Skip('the unit tests are not built')
    p = subprocess.run([DUMP, str(subject)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, 'runtime_dump %s: %s', subject, p.stderr)
    return {line.split()[0]: line.split()[1:] for line in p.stdout.splitlines()}


def same_runtime(core, alive):
    for name, found in alive.items():
        known = core.get(name)
        check(known[:2] == found[:2], '%s: %r in the core, %r in the process', name, known, found)
        if name in CONSTANT:
            check(known == found and len(found) == 3, '%s: %r in the core, %r in the process', name, known, found)
    missing = [name for name, found in core.items() if found[0] == 'missing']
    note('%d variables, missing: %s', len(core) - 1, ' '.join(missing) or 'none')
    check('runtime.allgs' not in missing and 'runtime.mbuckets' not in missing, 'missing: %r', missing)


def kernel(version, variant):
    with Crashing(build(version, 'known_shares', variant)) as t:
        alive, variables = info('--pid', t.pid), runtime(t.pid)
        path = t.crash()
    core = info('--core', path)
    same(core, alive)
    same_runtime(runtime(path), variables)
    check(core['core']['signal'] == signal.SIGABRT, 'signal %d', core['core']['signal'])
    os.unlink(path)


def settle(pid):
    """What the runtime starts with a program has run, and waits: only main runs."""
    def settled():
        facts = info('--pid', pid)['runtime']
        waiting = facts['goroutines_runnable'] + facts['run_queue'] + facts['run_queues_of_procs']
        return facts['goroutines_running'] == 1 and waiting == 0
    wait_for(settled, 'a program of which only main runs')


def dumped(version, variant):
    with Target(build(version, 'exit_soon', variant), '-after', '1h') as t:
        settle(t.pid)
        alive, variables = info('--pid', t.pid), runtime(t.pid)
        path = gcore(t.pid)
    core = info('--core', path)
    same(core, alive)
    same_runtime(runtime(path), variables)
    # of a process that spins: one goroutine, no collection, not a byte more; only the runtime's own threads wake at times
    moving = {'threads', 'threads_idle', 'threads_spinning', 'procs_idle', 'run_queue', 'run_queues_of_procs',
              'goroutines_running', 'goroutines_runnable', 'goroutines_waiting'}
    dead, living = ({k: v for k, v in (f['runtime'] or {}).items() if k not in moving} for f in (core, alive))
    check(dead and dead == living, 'figures: %r in the core, %r in the process', dead, living)
    os.unlink(path)


for _version, _variant in (('1.19', 'stripped'), ('1.23', 'cgo'), ('1.26', 'piestripped'), ('1.27', 'static')):
    test('core' if _version in ('1.19', '1.27') else 'matrix', "the kernel's, Go %s %s" % (_version, _variant), _version, _variant)(kernel)
for _version in VERSIONS:
    for _variant in ('static', 'stripped', 'pie', 'piestripped', 'external', 'cgo', 'cgostripped'):
        test('matrix', "the kernel's core, Go %s %s" % (_version, _variant), _version, _variant)(kernel)
for _version, _variant in (('1.19', 'cgo'), ('1.24', 'piestripped'), ('1.27', 'static')):
    test('matrix', "gcore's core, Go %s %s" % (_version, _variant), _version, _variant)(dumped)
test('core', "gcore's, Go 1.24 cgo", '1.24', 'cgo')(dumped)


def profiles(version, variant):
    """The profiles of a quiet process are those of its core file, record by record."""
    with Target(build(version, 'heapzoo', variant)) as t:
        alive = {k: ours(t.pid, k) for k in ('heap', 'block', 'mutex', 'threadcreate')}
        path = gcore(t.pid)
    for kind, profile in alive.items():
        out = out_file()
        Prowl(kind, '--core', path, '-o', out).must(0)
        core = pprof.load(out)
        note('%s: %d records', kind, len(records(core)))
        mine, theirs = records(core), records(profile)
        check(mine and set(mine) == set(theirs), '%s: other stacks in the core', kind)
        for key, values in mine.items():
            if kind in ('block', 'mutex'):  # ticks become ns by clocks that are read at another time
                check(values[0] == theirs[key][0] and abs(values[1] - theirs[key][1]) <= 0.01 * theirs[key][1] + 1,
                      '%s: %r in the core, %r in the process', kind, values, theirs[key])
            else:
                check(values == theirs[key], '%s: %r in the core, %r in the process', kind, values, theirs[key])
        check(core.period == profile.period and core.sample_types == profile.sample_types, '%s: another form', kind)
    os.unlink(path)


test('core', 'heap, block, mutex, threadcreate, Go 1.27 static', '1.27', 'static')(profiles)
for _version in VERSIONS:
    test('matrix', "profiles of a core, Go %s cgo" % _version, _version, 'cgo')(profiles)


@test('core', 'the program has moved, was replaced, is another one')
def moved():
    program = os.path.join(directory(), 'program')
    shutil.copy(build('1.24', 'known_shares', 'stripped'), program)
    with Crashing(program) as t:
        alive = info('--pid', t.pid)
        path = t.crash()
    elsewhere = program + '.old'
    os.rename(program, elsewhere)
    p = Prowl('info', '--core', path).must(1)
    check('--exe' in p.err and program in p.err, 'the message does not help: %s', p.err)
    core = info('--core', path, '--exe', elsewhere)
    check(core['path'] == program, 'the program is called %r', core['path'])
    same(core, alive)
    # replaced by another build
    shutil.copy(build('1.24', 'exit_soon', 'stripped'), program)
    p = Prowl('info', '--core', path).must(1)
    check('not the program' in p.err and '--exe' in p.err, 'another program was taken: %s', p.err)
    p = Prowl('info', '--core', path, '--exe', build('1.23', 'known_shares', 'stripped')).must(2)
    check('not the program' in p.err, 'another program was taken: %s', p.err)


def first_writable(path):
    """Where in a core file its first writable segment begins."""
    with open(path, 'rb') as f:
        head = f.read(64)
        count, = struct.unpack_from('<H', head, 56)
        for _ in range(count):
            kind, flags, offset = struct.unpack_from('<IIQ', f.read(56))
            if kind == 1 and flags & 2:
                return offset
    raise Skip('a core without writable memory')


@test('core', 'cut short, no core, not Go')
def damaged():
    with Crashing(build('1.24', 'known_shares', 'static')) as t:
        alive = info('--pid', t.pid)
        path = t.crash()
    size = os.path.getsize(path)
    os.truncate(path, int(size * TRUNCATED))
    same(info('--core', path), alive, whole=False)
    check('cut short' in Prowl('info', '--core', path).must(0).out, 'that it is cut short is not said')
    # before the data of the program: nothing that could be trusted is left
    os.truncate(path, first_writable(path))
    p = Prowl('info', '--core', path).must(1)
    check('cut short' in p.err, 'the reason is not named: %s', p.err)
    p = Prowl('threadcreate', '--core', path, '-o', out_file()).must(1)
    check('cut short' in p.err, 'the reason is not named: %s', p.err)
    for length in (20_000, 3000, 500, 64, 10, 0):
        os.truncate(path, length)
        p = Prowl('info', '--core', path)
        check(p.status == 1, 'exit %d for a core of %d bytes\n%s', p.status, length, p.err)
        check(path in p.err, 'the file is not named: %s', p.err)
    Prowl('info', '--core', t.path).must(1)
    Prowl('info', '--core', '/dev/null').must(1)
    Prowl('info', '--core', '/nonexistent').must(1)
    Prowl('info', '--exe', t.path).must(2)
    with subprocess.Popen(['/bin/sh', '-c', 'cd "$0" && ulimit -c unlimited && exec sleep 60', t.directory]) as p:
        def executed():
            with open('/proc/%d/comm' % p.pid) as f:
                return f.read() == 'sleep\n'
        wait_for(executed, 'the shell to execute sleep')
        p.send_signal(signal.SIGABRT)
        p.wait()
    found = [f for f in os.listdir(t.directory) if f.startswith('core') and os.path.getsize(os.path.join(t.directory, f))]
    check(found, 'no core of sleep')
    p = Prowl('info', '--core', os.path.join(t.directory, found[0])).must(6)
    check('not a Go program' in p.err, 'the reason is not named: %s', p.err)

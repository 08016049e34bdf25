# SPDX-License-Identifier: Apache-2.0
"""--allow-write: rates are set, take effect, and are put back whatever happens. Without it nothing is ever written.

What a process has in its memory is read here, at addresses that the linker's symbols tell, and not asked of prowl.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time

import debian
import pprof
from harness import BUILD, PROWL, Prowl, Skip, Target, VERSIONS, build, burns, check, debian_program, need_perf, need_prowl, note, out_file, \
    test, tmp, wait_for

RATES = {'heap': 'runtime.MemProfileRate', 'block': 'runtime.blockprofilerate', 'mutex': 'runtime.mutexprofilerate'}
LISTS = {'heap': 'runtime.mbuckets', 'block': 'runtime.bbuckets', 'mutex': 'runtime.xbuckets'}
HOLD = os.path.join(BUILD, 'tests', 'unit', 'profiler', 'rates_hold')
ROUNDS = 20000


class Memory:
    """Variables of the Go runtime in a process; of a stripped one, where they are in its twin that isn't."""

    symbols = {}

    def __init__(self, path, pid, twin=None):
        twin = twin or path
        if twin not in self.symbols:
            if not shutil.which('nm'):
                raise Skip('no nm: binutils is not installed')
            listed = subprocess.run(['nm', twin], stdout=subprocess.PIPE, text=True, check=True).stdout
            self.symbols[twin] = {m[2]: int(m[1], 16) for m in re.finditer(r'^(\w+) \w (runtime\.\w+)$', listed, re.M)}
        self.names = self.symbols[twin]
        with open('/proc/%d/maps' % pid) as f:
            first = next(l for l in f if l.rstrip().endswith(os.path.realpath(path)))
        with open(path, 'rb') as f:
            head = f.read(4096)
        at, = struct.unpack_from('<Q', head, 32)
        while struct.unpack_from('<I', head, at)[0] != 1:  # the first PT_LOAD
            at += 56
        self.bias = int(first.partition('-')[0], 16) - struct.unpack_from('<Q', head, at + 16)[0] // 4096 * 4096
        self.file = open('/proc/%d/mem' % pid, 'rb', 0)

    def word(self, address):
        return struct.unpack('<Q', os.pread(self.file.fileno(), 8, address))[0]

    def exists(self):
        """Whether it still is the memory of what the process executes."""
        return os.pread(self.file.fileno(), 8, self.names['runtime.MemProfileRate'] + self.bias) != b''

    def variable(self, name):
        return self.word(self.names[name] + self.bias)

    def rates(self):
        return {k: self.variable(name) for k, name in RATES.items()}

    def buckets(self, kind):
        """How many stacks a profile has."""
        at, n = self.variable(LISTS[kind]), 0
        while at and n < 100_000:
            at, n = self.word(at + 8), n + 1
        return n


def hold(pid, heap=0, block=0, mutex=0, seconds=60.0):
    if not os.access(HOLD, os.X_OK):
        raise Skip('the unit tests are not built')
    return subprocess.Popen([HOLD, str(pid), str(heap), str(block), str(mutex), str(seconds)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def is_set(p):
    line = p.stdout.readline()
    check(line.startswith('set '), 'the rates were not set: %r %s', line, '' if line else p.stderr.read())
    return line


def becomes(memory, wanted, seconds=20):
    """Whether the rates are those within that time."""
    end = time.monotonic() + seconds
    while memory.rates() != wanted:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def finish(p):
    out, err = p.communicate(timeout=60)
    check(p.returncode == 0, 'exit %d\n%s%s', p.returncode, out, err)
    return out


def ask(target):
    return target.ask('work %d' % ROUNDS)['checksum']


def stripped(path):
    """A copy without symbols. The linker's own -s moves variables, so that its output has no twin."""
    if not shutil.which('strip'):
        raise Skip('no strip: binutils is not installed')
    copy = out_file()
    subprocess.run(['strip', '-s', '-o', copy, path], check=True)
    return copy


def effect(version, variant):
    whole = build(version, 'unprofiled', variant.partition(' ')[0])
    with Target(stripped(whole) if variant.endswith('stripped') else whole) as t:
        memory = Memory(t.path, t.pid, whole)
        before = memory.rates()
        check(before == {'heap': 0, 'block': 0, 'mutex': 0}, 'the program is not what the test needs: %r', before)
        undisturbed = ask(t)
        stacks = {k: memory.buckets(k) for k in LISTS}
        p = hold(t.pid, 4096, 10_000, 1)
        is_set(p)
        rates = memory.rates()
        check(rates['heap'] == 4096 and rates['mutex'] == 1, 'the rates are %r', rates)
        check(1000 <= rates['block'] <= 1_000_000, '10 us are %d ticks', rates['block'])
        check(ask(t) == undisturbed, 'the program computes something else')
        grown = {k: memory.buckets(k) - stacks[k] for k in LISTS}
        p.send_signal(signal.SIGINT)
        finish(p)
        check(memory.rates() == before, 'left behind: %r', memory.rates())
        check(ask(t) == undisturbed, 'the program computes something else')
        note('new stacks: %r', grown)
        check(grown['heap'] >= 1 and grown['block'] >= 1, 'the rates had no effect: %r', grown)


for _version, _variant in (('1.19', 'static stripped'), ('1.23', 'pie'), ('1.26', 'cgo'), ('1.27', 'pie stripped')):
    test('rates' if _version in ('1.19', '1.27') else 'matrix', 'set, work, and are put back, Go %s %s' % (_version, _variant), _version, _variant)(effect)
for _version in VERSIONS:
    for _variant in ('static', 'pie', 'external', 'cgo'):
        for _kind in ('', ' stripped'):
            test('matrix', 'rates set and put back, Go %s %s%s' % (_version, _variant, _kind), _version, _variant + _kind)(
                effect)


def killed(version, times):
    rnd = random.Random()
    seen = done = 0
    with Target(build(version, 'unprofiled', 'static')) as t:
        memory = Memory(t.path, t.pid)
        before = memory.rates()
        undisturbed = ask(t)
        # until some were set when they died: else nothing was tested
        while done < times or (seen < 3 and done < 20 * times):
            done += 1
            p = hold(t.pid, 65536, 1_000_000, 100, 0.03)
            time.sleep(rnd.uniform(0, 0.08))
            p.send_signal(signal.SIGSTOP)
            seen += memory.rates() != before
            p.kill()
            p.communicate()
            check(becomes(memory, before), 'left behind: %r, not %r', memory.rates(), before)
        check(ask(t) == undisturbed, 'the program computes something else')
    note('%d times put back, %d times set when killed', done, seen)
    check(seen >= 3, 'the rates were set only %d times when prowl was killed', seen)


test('rates', 'put back after kill -9', '1.24', 15)(killed)
test('matrix', 'rates put back after kill -9, 100 times', '1.27', 100)(killed)


@test('rates', 'the guardian is small and deaf, and prowl can do without')
def guardian():
    with Target(build('1.24', 'unprofiled', 'static')) as t:
        memory = Memory(t.path, t.pid)
        before = memory.rates()
        p = hold(t.pid, heap=65536)
        pid = int(re.search(r'guardian (\d+)', is_set(p))[1])
        fds = os.listdir('/proc/%d/fd' % pid)
        with open('/proc/%d/smaps_rollup' % pid) as f:
            private = sum(int(m[1]) for m in re.finditer(r'^Private_\w+: +(\d+) kB$', f.read(), re.M))
        note('the guardian has %d descriptors and %d kB of its own', len(fds), private)
        check(len(fds) == 2, 'the guardian holds %r', fds)
        check(private < 4096, 'the guardian takes %d kB', private)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, sig)
        time.sleep(0.05)
        check(memory.rates()['heap'] == 65536, 'a signal ended the guardian')
        os.kill(pid, signal.SIGKILL)
        p.send_signal(signal.SIGINT)
        finish(p)
        check(memory.rates() == before, 'left behind: %r', memory.rates())


@test('rates', 'the target executes another program, or ends')
def execs():
    with Target(build('1.24', 'exec_self', 'static'), '-after', '1s') as t:
        memory = Memory(t.path, t.pid)
        before = memory.rates()
        p = hold(t.pid, heap=65536, mutex=10)
        is_set(p)
        check(memory.rates() != before, 'nothing was set')
        end = time.monotonic() + 30
        while memory.exists() and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)  # the new program's start
        memory = Memory(t.path, t.pid)
        fresh = memory.rates()
        p.send_signal(signal.SIGINT)
        out = finish(p)
        check(memory.rates() == fresh, 'the new program was written to: %r, not %r', memory.rates(), fresh)
        check('heap-rate 4 ' in out, 'not told that it is gone: %r', out)
    with Target(build('1.24', 'unprofiled', 'static')) as t:
        p = hold(t.pid, heap=65536)
        is_set(p)
        t.process.kill()
        t.process.wait()
        p.send_signal(signal.SIGINT)
        check('heap-rate 4 ' in finish(p), 'not told that it is gone')


@test('rates', "Debian's stripped prometheus says itself what is set")
def says_itself():
    port = debian.free_port()
    with open(tmp('empty.yml'), 'w') as f:
        f.write('global: {}\n')
    command = [debian_program('prometheus'), '--config.file', tmp('empty.yml'), '--storage.tsdb.path', tmp('rates-data'),
               '--web.listen-address', '127.0.0.1:%d' % port, '--log.level', 'error']

    def said():
        heap = debian.get(port, '/debug/pprof/heap?debug=1').decode()
        mutex = debian.get(port, '/debug/pprof/mutex?debug=1').decode()
        return int(re.search(r'@ heap/(\d+)', heap)[1]) // 2, int(re.search(r'sampling period=(\d+)', mutex)[1])

    with debian.running(command, port, '/-/ready') as target:
        before = said()
        p = hold(target.pid, 65536, 10_000, 7)
        is_set(p)
        during = said()
        # connections wait for each other, and goroutines for channels
        for _ in range(20):
            debian.get(port, '/metrics')
        block = pprof.Profile(debian.get(port, '/debug/pprof/block'))
        p.kill()
        p.communicate()
        end = time.monotonic() + 20
        while said() != before and time.monotonic() < end:
            time.sleep(0.01)
        check(said() == before, 'it says %r, before it said %r', said(), before)
        note('heap and mutex rate: %r, then %r; %d stacks wait', before, during, len(list(block.stacks())))
        check(during == (65536, 7), 'it says %r', during)
        check(list(block.stacks()), 'its block profile is empty')


@test('rates', 'prowl heap, block, mutex --allow-write: Ctrl-C, kill -9, the end, a file that cannot be written')
def commands():
    with Target(build('1.26', 'unprofiled', 'static')) as t:
        memory = Memory(t.path, t.pid)
        before = memory.rates()
        undisturbed = ask(t)
        for kind, wish, ending in (('heap', 'heap-rate=4096', None), ('allocs', 'heap-rate', signal.SIGINT),
                                   ('block', 'block-rate=10us', signal.SIGKILL), ('block', 'block-rate', signal.SIGTERM),
                                   ('mutex', 'mutex-rate=1', None)):
            Prowl(kind, '--pid', t.pid, '-o', out_file()).must(5 if memory.buckets(kind.replace('allocs', 'heap')) < 2 or
                                                               kind in ('heap', 'allocs') else 0)
            path = out_file()
            p = Prowl(kind, '--pid', t.pid, '--seconds', 100 if ending else 2, '--allow-write', wish, '-o', path, wait=False)
            end = time.monotonic() + 30
            while memory.rates() == before and time.monotonic() < end:
                time.sleep(0.002)
            check(memory.rates() != before, '%s: nothing was set', wish)
            if ending == signal.SIGKILL:
                p.process.kill()
                p.process.communicate()
                check(becomes(memory, before), '%s: left behind: %r', wish, memory.rates())
                continue
            if ending:
                burns(t.pid, 0.5)
                p.process.send_signal(ending)
            p.wait().must(0)
            check(memory.rates() == before, '%s: left behind: %r', wish, memory.rates())
            prof = pprof.load(path)
            check(any('prowl set it to' in c for c in prof.comments), 'the profile does not say it: %r', prof.comments)
            check(list(prof.stacks()), 'prowl %s: an empty profile', kind)
        p = Prowl('heap', '--pid', t.pid, '--seconds', 1, '--allow-write', 'heap-rate', '-o', '/dev/full').must(1)
        check(memory.rates() == before, 'left behind after an error: %r', memory.rates())
        check(ask(t) == undisturbed, 'the program computes something else')
        for args in (['heap', '--allow-write', 'heap-rate'], ['heap', '--seconds', 1, '--allow-write', 'mutex-rate'],
                     ['heap', '--seconds', 1, '--allow-write', 'heap-rate=0'],
                     ['heap', '--seconds', 1, '--allow-write', 'heap-rate=x'],
                     ['heap', '--seconds', 1, '--allow-write', 'speed'],
                     ['block', '--seconds', 1, '--allow-write', 'block-rate=1h'],
                     ['threadcreate', '--seconds', 1, '--allow-write', 'heap-rate']):
            p = Prowl(*args, '--pid', t.pid, '-o', out_file()).must(2)
            check('--allow-write' in p.err, 'the message is %r', p.err)


@test('rates', 'prowl heap --allow-write warns where the program samples its heap itself')
def warns():
    with Target(build('1.26', 'heapzoo', 'static'), '-busy') as t:
        path = out_file()
        p = Prowl('heap', '--pid', t.pid, '--seconds', 1, '--allow-write', 'heap-rate=8192', '-o', path).must(0)
        check('samples its heap itself' in p.err, 'no warning: %s', p.err)
        check(any(c.startswith('warning: what was allocated before') for c in pprof.load(path).comments), 'not in the profile')
    with Target(build('1.26', 'unprofiled', 'static')) as t:
        p = Prowl('heap', '--pid', t.pid, '--seconds', 1, '--allow-write', 'heap-rate=8192', '-o', out_file()).must(0)
        check('samples its heap itself' not in p.err, 'a warning: %s', p.err)


@test('rates', 'a guardian that is killed is started anew')
def guardian_anew():
    with Target(build('1.26', 'unprofiled', 'static')) as t:
        memory = Memory(t.path, t.pid)
        before = memory.rates()
        p = Prowl('mutex', '--pid', t.pid, '--seconds', 100, '--allow-write', 'mutex-rate=1', '-o', out_file(), wait=False)
        check(any_guardian(p.process.pid, None), 'there is no guardian')
        wait_for(lambda: memory.rates() != before, 'the rate to be set')
        seen = set()
        for _ in range(2):
            pid = any_guardian(p.process.pid, seen)
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
        last = any_guardian(p.process.pid, seen)
        check(last and memory.rates() != before, 'not started anew')
        p.process.kill()
        p.process.communicate()
        check(becomes(memory, before), 'left behind: %r', memory.rates())


def any_guardian(parent, seen, seconds=30):
    """A child of that process called so, and not one of those that were seen; 0: there is none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with open('/proc/%d/task/%d/children' % (parent, parent)) as f:
            for pid in map(int, f.read().split()):
                with contextlib.suppress(OSError), open('/proc/%d/comm' % pid) as c:  # it may end meanwhile
                    if c.read().strip() == 'prowl-guardian' and pid not in (seen or ()):
                        return pid
        time.sleep(0.01)
    return 0


@test('rates', 'prowl rates shows what was left behind, and puts it back')
def left_behind():
    with Target(build('1.26', 'unprofiled', 'static')) as t, Target(build('1.19', 'heapzoo', 'static'), '-busy') as zoo:
        memory, own = Memory(t.path, t.pid), Memory(zoo.path, zoo.pid)
        before = memory.rates()
        p = hold(t.pid, 4096, 10_000, 7)
        guardian = int(re.search(r'guardian (\d+)', is_set(p))[1])
        os.kill(guardian, signal.SIGKILL)
        p.kill()
        p.communicate()
        left = memory.rates()
        check(left != before, 'nothing was left behind')
        shown = json.loads(Prowl('rates', '--pid', t.pid, '--json').must(0).out)
        check(shown['heap-rate']['value'] == 4096 and shown['heap-rate']['start'] == 0 and shown['mutex-rate']['value'] == 7,
              'it shows %r', shown)
        check(abs(shown['block-rate']['value'] - 10_000) < 500, 'it shows %r', shown)
        check(memory.rates() == left, 'to look changed them')
        out = Prowl('rates', '--pid', t.pid, '--restore').must(0).out
        check(memory.rates() == before, 'they are %r, it said %s', memory.rates(), out)
        Prowl('rates', '--pid', t.pid, '--set', 'heap-rate=8192,mutex-rate').must(0)
        check(memory.rates() == {'heap': 8192, 'block': 0, 'mutex': 100}, 'they are %r', memory.rates())
        Prowl('rates', '--pid', t.pid, '--set', 'heap-rate=0,mutex-rate=0').must(0)
        check(memory.rates() == before, 'they are %r', memory.rates())
        check(own.rates()['heap'] != 524288, 'the program is not what the test needs')
        Prowl('rates', '--pid', zoo.pid, '--restore').must(0)
        check(own.rates() == {'heap': 524288, 'block': 0, 'mutex': 0}, 'they are %r', own.rates())
        for args in (['--set', 'speed'], ['--set', 'heap-rate=x'], ['--restore', '--set', 'heap-rate=0'], ['operand']):
            Prowl('rates', '--pid', t.pid, *args).must(2)
        Prowl('rates').must(2)
        Prowl('rates', '--pid', os.getpid(), '--restore').must(6)
        if os.geteuid() == 0:
            Prowl('rates', '--pid', t.pid, '--restore', nobody=True).must(4)


# --- without --allow-write -----------------------------------------------------------------------------------------

# what could harm a process; of kill only signals other than 0 count
TRACED = 'open,openat,openat2,creat,process_vm_writev,ptrace,kill,tkill,tgkill,pidfd_send_signal,process_madvise,migrate_pages,bpf'


def trace(pid, *args):
    log = out_file()
    p = subprocess.run(['strace', '-f', '-qq', '-o', log, '-e', 'trace=' + TRACED, PROWL] + [str(a) for a in args],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    with open(log) as f:
        lines = f.read().splitlines()
    if not lines:
        raise Skip('strace does not work here: %s' % p.stderr.strip()[-200:])
    check(p.returncode in (0, 5), 'prowl %s exited with %d\n%s', ' '.join(map(str, args)), p.returncode, p.stderr)
    reads = 0
    for line in lines:
        call = line.split(None, 1)[-1]
        where = re.search(r'"(/proc/[^"]*)"', call)
        if 'open' in call and where:
            reads += ('/%d/' % pid) in where[1]
            own = where[1].startswith('/proc/self/')
            check(own or not re.search(r'O_WRONLY|O_RDWR', call), 'prowl %s: %s', args[0], line)
        check(not re.match(r'(process_vm_writev|ptrace|process_madvise|migrate_pages|creat)\(', call), 'prowl %s: %s',
              args[0], line)
        # of the program that is loaded, unit/profiler/test_bpf_program.c shows that it writes nowhere
        check(not re.match(r'bpf\((?!BPF_MAP_CREATE|BPF_MAP_UPDATE_ELEM|BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_PERF_EVENT)',
                           call), 'prowl %s: %s', args[0], line)
        if re.match(r'(kill|tkill|tgkill|pidfd_send_signal)\(', call):
            check(re.search(r', 0\b', call), 'prowl %s: %s', args[0], line)
    return reads


@test('rates', 'without --allow-write no command can write to a process')
def only_reads():
    need_prowl()
    if not shutil.which('strace'):
        raise Skip('no strace')
    with Target(build('1.24', 'unprofiled', 'static')) as t:
        commands = [['ps'], ['info', '--pid', t.pid], ['doctor', '--pid', t.pid]]
        for kind in ('heap', 'allocs', 'block', 'mutex', 'threadcreate'):
            commands.append([kind, '--pid', t.pid, '-o', out_file()])
            commands.append([kind, '--pid', t.pid, '--seconds', 1, '-o', out_file()])
        commands.append(['goroutine', '--pid', t.pid, '--text', '-o', out_file()])
        commands.append(['goroutine', '--pid', t.pid, '--leaks', '--seconds', 1])
        commands.append(['wall', '--pid', t.pid, '--seconds', 1, '-o', out_file()])
        for args in commands:
            reads = trace(t.pid, *args)
            check(reads > 0, 'the trace shows nothing of prowl %s', args[0])
        need_perf()
        check(trace(t.pid, 'profile', '--pid', t.pid, '--seconds', 1, '-o', out_file()) > 0, 'the trace shows nothing')
        check(trace(t.pid, 'top', '--pid', t.pid, '--once', '--interval', 1) > 0, 'the trace shows nothing')
        note('%d commands', len(commands) + 2)

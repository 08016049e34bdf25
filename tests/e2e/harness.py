# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: registering tests, building and talking to targets, running prowl, skipping."""

import atexit
import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import platform
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import pprof

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGETS = os.path.join(ROOT, 'tests', 'targets')
BUILD = os.environ.get('PROWL_BUILD', os.path.join(ROOT, 'build'))
PROWL = os.environ.get('PROWL', os.path.join(BUILD, 'cli', 'prowl'))
CACHE = os.environ.get('PROWL_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'prowl-tests')
VERSIONS = ['1.19', '1.21', '1.22', '1.23', '1.24', '1.25', '1.26', '1.27']
NOBODY = 65534

Test = collections.namedtuple('Test', 'name run suite alone group')
tests = []
made = {}


class Skip(Exception):
    """Why a test cannot run here."""


class Failed(Exception):
    """What a test saw that must not be."""


def test(suite, name, *args, alone=False, group=None):
    """Registers a function as a test; called several times with other args it is as many tests. One that needs the
    machine to itself says that it is to run alone; tests that share what takes long to make name a group, which one process
    runs."""
    def register(function):
        tests.append(Test('%s: %s' % (suite, name), lambda: function(*args), suite, alone, group))
        return function
    return register


def check(condition, message, *args):
    if not condition:
        raise Failed(message % args if args else message)


def note(message, *args):
    """A figure that the test found; shown with its result."""
    notes.append(message % args if args else message)


notes = []


def wait_for(true, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        check(time.monotonic() < deadline, 'waited in vain for %s', what)
        time.sleep(0.02)


def attempt(t):
    """Runs a test: whether all is well, TAP's directive, and the lines below the result."""
    del notes[:]
    start = time.monotonic()
    good, directive, detail = True, '', ''
    try:
        t.run()
    except Skip as e:
        directive = ' # SKIP %s' % e
    except Exception as e:  # a test that breaks has failed, whatever it was
        good = False
        detail = str(e) if isinstance(e, Failed) else traceback.format_exc()
    return good, directive, ['%.1f s' % (time.monotonic() - start)] + notes + detail.splitlines()


# What to call when no other test runs in this process.
at_end = []


class Worker:
    """A process that runs tests whose numbers it reads, and writes their results, a JSON line each."""

    def __init__(self, selected, others):
        self.socket, there = socket.socketpair()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self.socket.close()
            for other in others:  # which would not see that they end
                other.results.close()
                other.socket.close()
            self.serve(selected, there)
        there.close()
        self.results = self.socket.makefile()
        self.number = None

    @staticmethod
    def serve(selected, there):
        global _tmp
        _tmp = None  # of its own
        status = 1
        try:
            for line in there.makefile():
                there.sendall(json.dumps(attempt(selected[int(line)])).encode() + b'\n')
            status = 0
        finally:
            for end in at_end:
                end()
            if _tmp:
                shutil.rmtree(_tmp, True)
            os._exit(status)

    def begin(self, numbers):
        self.numbers = collections.deque(numbers)
        self.next()

    def next(self):
        """Gives it the next test; whether there was one."""
        if not self.numbers:
            return False
        self.number = self.numbers.popleft()
        with contextlib.suppress(OSError):  # take() sees that it has ended
            self.socket.sendall(b'%d\n' % self.number)
        return True

    def take(self):
        line = self.results.readline()
        if line:
            return json.loads(line)
        return False, '', ['the process that ran it ended']

    def end(self):
        self.results.close()
        self.socket.close()
        os.waitpid(self.pid, 0)


def attempts(selected, jobs):
    """Runs tests, so many at a time, and yields (number, result) as they end; last those that run alone."""
    groups = collections.OrderedDict()
    for n, t in enumerate(selected):
        if jobs > 1 and not t.alone:
            groups.setdefault(t.group or n, []).append(n)
    waiting = collections.deque(groups.values())
    workers = []
    for _ in range(min(jobs, len(waiting))):
        workers.append(Worker(selected, workers))
    idle, busy = list(workers), selectors.DefaultSelector()
    while waiting or busy.get_map():
        while waiting and idle:
            worker = idle.pop()
            worker.begin(waiting.popleft())
            busy.register(worker.socket, selectors.EVENT_READ, worker)
        for key, _ in busy.select():
            worker = key.data
            yield worker.number, worker.take()
            if not worker.next():
                busy.unregister(worker.socket)
                idle.append(worker)
    for worker in workers:
        worker.end()
    for number, t in enumerate(selected):
        if jobs <= 1 or t.alone:
            yield number, attempt(t)


def run(selected, jobs=1):
    """Runs tests, prints TAP, returns whether all is well."""
    print('1..%d' % len(selected), flush=True)
    failed = 0
    for number, (good, directive, lines) in attempts(selected, jobs):
        failed += not good
        print('%s %d - %s%s' % ('ok' if good else 'not ok', number + 1, selected[number].name, directive))
        for line in lines:
            print('#   ' + line)
        sys.stdout.flush()
    for end in at_end:
        end()
    return failed == 0


# --- a place for files -------------------------------------------------------------------------------------------

_tmp = None


def tmp(name=''):
    """A path in a directory of this run, which everybody may read and which goes away with it."""
    global _tmp
    if _tmp is None:
        _tmp = tempfile.mkdtemp(prefix='prowl-e2e-')
        os.chmod(_tmp, 0o755)
        atexit.register(shutil.rmtree, _tmp, True)
    return os.path.join(_tmp, name)


_serial = 0


def out_file():
    global _serial
    _serial += 1
    return tmp('profile-%d.pb.gz' % _serial)


# --- Go, and the targets -------------------------------------------------------------------------------------------

def reason_unavailable(path):
    try:
        with open(path + '.unavailable') as f:
            return f.read().strip()
    except OSError:
        return 'tests/setup go has not run'


def goroot(version):
    root = os.path.join(CACHE, 'go', version)
    if not os.access(os.path.join(root, 'bin', 'go'), os.X_OK):
        raise Skip('no Go %s: %s' % (version, reason_unavailable(root)))
    return root


def any_goroot(versions):
    """The first of the versions that is there."""
    for v in versions:
        with contextlib.suppress(Skip):
            goroot(v)
            return v
    raise Skip('no Go of %s: %s' % (', '.join(versions), reason_unavailable(os.path.join(CACHE, 'go', versions[0]))))


def go_environment(version):
    """The environment in which the version's go command runs, apart from the machine's own Go."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('GO')}
    env.update(GOROOT=goroot(version), GOTOOLCHAIN='local', GOPROXY='off', GOFLAGS='-mod=mod', GOENV='off',
               GOCACHE=os.path.join(CACHE, 'targets', version, 'gocache'), GOWORK='off', GOTELEMETRY='off',
               GOPATH=os.path.join(CACHE, 'targets', version, 'gopath'), HOME=tmp())
    return env


def build(version, name, variant, *args):
    """The path of a target built with a Go version."""
    key = (version, name, variant, args)
    if key not in made:
        out = tmp('pgo-%d' % len(made)) if args else os.path.join(CACHE, 'targets', version, 'bin')
        env = dict(os.environ, GOCACHE=os.path.join(CACHE, 'targets', version, 'gocache'))
        os.makedirs(os.path.join(CACHE, 'targets'), exist_ok=True)
        with open(os.path.join(CACHE, 'targets', 'lock-%s-%s-%s' % (version, name, variant)), 'w') as lock:
            if not args:
                fcntl.flock(lock, fcntl.LOCK_EX)  # another test may build the same
            p = subprocess.run([os.path.join(TARGETS, 'build.sh'), goroot(version), out, name, variant] + list(args),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        check(p.returncode == 0, 'building %s %s with Go %s:\n%s', name, variant, version, p.stderr[-3000:])
        made[key] = (p.stdout.strip(), p.stderr)
    return made[key][0]


def build_output(version, name, variant, *args):
    """What the compiler said while building."""
    build(version, name, variant, *args)
    return made[version, name, variant, args][1]


def as_nobody(command):
    return ['setpriv', '--reuid=%d' % NOBODY, '--regid=%d' % NOBODY, '--clear-groups', '--inh-caps=-all',
            '--bounding-set=-all'] + command


class Target:
    """A program of tests/targets, running; ends with the with block."""

    def __init__(self, path, *args, nobody=False):
        if nobody:  # the cache may stand where others cannot look
            path = staged(path)
        command = [path] + [str(a) for a in args]
        self.path = path
        self.process = subprocess.Popen(as_nobody(command) if nobody else command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=open(tmp('target.log'), 'a'),
                                        text=True, bufsize=1)
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        check(line.startswith('{"ready":true'), '%s did not start: %r', path, line)
        self.hello = json.loads(line)

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        answer = json.loads(self.process.stdout.readline())
        check('error' not in answer, 'target: %s', answer.get('error'))
        return answer

    def truth(self):
        return self.ask('truth')

    def own_profile(self, seconds, command='profile'):
        """Go's own CPU profile of the target."""
        path = out_file()
        self.ask('%s %s %g' % (command, path, seconds))
        result = pprof.load(path)
        result.path = path
        return result

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


def own_copy(path):
    """A copy that no other test runs, for what finds processes by their program."""
    folder = tmp('own-%d' % time.monotonic_ns())
    os.mkdir(folder)
    return shutil.copy(path, folder)


def staged(path):
    """A copy that any user may run."""
    copy = tmp(os.path.basename(path))
    if not os.path.exists(copy):
        shutil.copy(path, copy)
        os.chmod(copy, 0o755)
    return copy


def debian_program(name):
    path = os.path.join(CACHE, 'debian', name)
    if not os.access(path, os.X_OK):
        raise Skip('no %s: %s' % (name, reason_unavailable(path)))
    return path


# --- what this machine permits, asked of the kernel and not of prowl ------------------------------------------------

def _perf_event_open(pid, cpu, exclude_kernel):
    number = {'x86_64': 298, 'aarch64': 241}.get(platform.machine())
    if number is None:
        return errno.ENOSYS
    attr = (ctypes.c_uint64 * 16)()
    attr[0] = 1 | 128 << 32                          # PERF_TYPE_SOFTWARE, size
    attr[1] = 0                                      # PERF_COUNT_SW_CPU_CLOCK
    attr[2] = 10_000_000
    attr[5] = 1 | (1 << 5 | 1 << 6 if exclude_kernel else 0)  # disabled, exclude_kernel, exclude_hv
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(number, attr, pid, cpu, -1, 8)
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


def need_perf():
    """Skips where the kernel lets nobody of our kind sample: then prowl cannot either."""
    error = _perf_event_open(0, -1, True)
    if error:
        try:
            with open('/proc/sys/kernel/perf_event_paranoid') as f:
                paranoid = f.read().strip()
        except OSError:
            paranoid = 'not there'
        raise Skip('perf_event_open: %s (perf_event_paranoid %s)' % (os.strerror(error), paranoid))


def need_root():
    if os.geteuid() != 0:
        raise Skip('needs root')


def need_prowl():
    check(os.access(PROWL, os.X_OK), 'prowl is not built: no %s', PROWL)


# --- prowl ---------------------------------------------------------------------------------------------------------

class Prowl:
    """One run of prowl."""

    def __init__(self, *args, nobody=False, timeout=120, stdin=subprocess.DEVNULL, wait=True, env=None, before=()):
        need_prowl()
        command = [*before, staged(PROWL) if nobody else PROWL] + [str(a) for a in args]
        self.command = ' '.join(command)
        self.timeout = timeout
        self.process = subprocess.Popen(as_nobody(command) if nobody else command, stdin=stdin, env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.status = None
        self.seen = {'out': b'', 'err': b''}  # read before it ended
        if wait:
            self.wait()

    def until(self, stream, pattern):
        """Waits until it has printed a line that matches on 'out' or 'err'; returns the match. Its first line on 'err' says
        that it has attached. Not while it prints much on the other one."""
        pipe = {'out': self.process.stdout, 'err': self.process.stderr}[stream]
        with selectors.DefaultSelector() as s:
            s.register(pipe, selectors.EVENT_READ)
            end = time.monotonic() + self.timeout
            while True:
                m = re.search(pattern, self.seen[stream].decode('utf-8', 'replace'), re.M)
                if m:
                    return m
                ready = s.select(max(0, end - time.monotonic()))
                more = os.read(pipe.fileno(), 65536) if ready else b''
                if not more:
                    self.wait()
                    raise Failed('%s never said %r; exit %s\n%s' % (self.command, pattern, self.status, self.err))
                self.seen[stream] += more

    def attached(self):
        self.until('err', r'\n')
        return self

    def wait(self):
        try:
            out, err = self.process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise Failed('%s hung for %d s; it said:\n%s' % (self.command, self.timeout, err.decode()))
        self.out, self.err = ((self.seen[k] + v).decode('utf-8', 'replace') for k, v in (('out', out), ('err', err)))
        self.status = self.process.returncode
        check(self.status >= 0, '%s was killed by signal %d\n%s', self.command, -self.status, self.err)
        for word in ('AddressSanitizer', 'runtime error:', 'ThreadSanitizer', 'LeakSanitizer'):
            check(word not in self.err, '%s\n%s', self.command, self.err)
        return self

    def must(self, status=0):
        check(self.status == status, '%s exited with %d, not %d\n%s', self.command, self.status, status, self.err)
        return self


def profile(pid, seconds, *args, rate=99, nobody=False, least=0):
    """Our CPU profile of a process; fails where prowl does. It goes on until the process has used CPU time for so many samples
    at least: who gets the CPU on a busy machine is no matter of ours."""
    need_perf()
    path = tmp('nobody/profile-%d.pb.gz' % time.monotonic_ns()) if nobody else out_file()
    if nobody:
        os.makedirs(tmp('nobody'), exist_ok=True)
        os.chown(tmp('nobody'), NOBODY, NOBODY)
    p = Prowl('profile', '--pid', pid, '--seconds', 1000 if least else seconds, '--rate', rate, '-o', path, *args,
              nobody=nobody, wait=not least, timeout=1200)
    if least:
        end, enough = p.attached() and time.monotonic() + seconds, cpu_clock(pid) + 1.2e9 * least / rate
        wait_for(lambda: time.monotonic() >= end and cpu_clock(pid) >= enough, 'CPU time of %d for %d samples' % (pid, least),
                 1000)
        p.process.send_signal(signal.SIGINT)
        p.wait()
    p.must(0)
    check(os.path.getsize(path) > 0, '%s wrote an empty file', p.command)
    result = pprof.load(path)
    result.path, result.said = path, p.err
    check([('samples', 'count'), ('cpu', 'nanoseconds')] == result.sample_types[:2], 'sample types are %r',
          result.sample_types)
    return result


# --- what is copied at the time of a sample --------------------------------------------------------------------------------

def no_bpf(prof):
    """Why nothing was copied by BPF at the time of a sample; '' where it was."""
    said = [c for c in prof.comments if c.startswith('other stacks: ')]
    check(len(said) == 1, 'no comment on other stacks in %r', prof.comments)
    copied = 'copied at the sample by BPF' in said[0]
    check(copied == (', other stacks by BPF;' in prof.said), 'the first line says another thing than the comment: %s\n%s',
          prof.said, said[0])
    return '' if copied else said[0]


def need_bpf(prof):
    if no_bpf(prof):
        raise Skip(no_bpf(prof))


class Busy:
    """Eight processes that want all of the CPU; they end with the with block."""

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(8)]
        return self

    def __exit__(self, *unused):
        for p in self.processes:
            p.kill()
        for p in self.processes:
            p.wait()


# --- the kernel's account of a process --------------------------------------------------------------------------------

class CpuAccount:
    """Reads the CPU clock of a process again and again, so that its time over any window is known afterwards."""

    def __init__(self, pid):
        self.pid = pid
        self.points = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.stop.wait(0.005):
            try:
                a = time.time_ns()
                cpu = cpu_clock(self.pid)
                b = time.time_ns()
            except OSError:
                return
            if b - a < 1_000_000:
                self.points.append(((a + b) // 2, cpu))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        self.thread.join()

    def at(self, when):
        points = self.points
        check(points and points[0][0] <= when <= points[-1][0], 'the window is outside of what was watched')
        for (t0, c0), (t1, c1) in zip(points, points[1:]):
            if t0 <= when <= t1:
                return c0 + (c1 - c0) * (when - t0) / max(t1 - t0, 1)
        return points[-1][1]

    def between(self, start, end):
        return self.at(end) - self.at(start)


def cpu_clock(pid):
    return time.clock_gettime_ns((~pid << 3) | 2)


def burns(pid, seconds):
    """Waits until a process has used so much more CPU time."""
    until = cpu_clock(pid) + seconds * 1e9
    wait_for(lambda: cpu_clock(pid) >= until, 'process %d to use %g s of CPU' % (pid, seconds))


# --- statements about profiles ------------------------------------------------------------------------------------------

def weigh(prof, condition, sample_type='cpu'):
    """(weight, count of samples) of the stacks that fulfil the condition."""
    at, counts = prof.index(sample_type), prof.index('samples')
    weight = count = 0
    for frames, values, labels in prof.stacks():
        if condition(frames, labels):
            weight += values[at]
            count += values[counts]
    return weight, count


def names(frames):
    return [f.name for f in pprof.user(frames)]


def in_order(stack, wanted):
    """Whether the wanted names are in the stack in this order, leaf first, others between them allowed."""
    it = iter(stack)
    return all(any(name == w for name in it) for w in wanted)


# So many standard deviations: what is normally distributed is further away, on either side, once in 1,040,000 times.
SIGMAS = 4.9


def within(share, truth, count, what):
    """The share of a phase among count samples is what sampling makes of the truth. Samples at the same distance vary less
    than the binomial distribution, whose deviation is taken here."""
    sigma = (max(truth, 1e-4) * (1 - truth) / max(count, 1)) ** 0.5
    note('%-22s truth %5.2f %%  profile %5.2f %%  (%+.1f sigma)', what, 100 * truth, 100 * share,
         (share - truth) / sigma)
    # half a percent of the whole for the edges of the window
    return abs(share - truth) <= SIGMAS * sigma + 0.005



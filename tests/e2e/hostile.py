# SPDX-License-Identifier: Apache-2.0
"""What somebody who owns the target, or shares the machine, can do to prowl: refused or bounded, each with its figure."""

import contextlib
import gzip
import json
import lzma
import os
import shutil
import signal
import stat
import subprocess
import time

import pprof
from harness import (BUILD, NOBODY, PROWL, Prowl, Skip, Target, as_nobody, build, check, need_perf, need_prowl, need_root, note,
                     out_file, staged, test, tmp, wait_for)

VERSION = '1.22'


def folder(name, mode=0o755, owner=None):
    path = tmp('hostile-%s-%d' % (name, time.monotonic_ns()))
    os.mkdir(path)
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return path


def tool(*names):
    for name in names:
        if not shutil.which(name):
            raise Skip('no %s' % name)


def measured(command, cwd=None, timeout=60, **more):
    """(exit status, CPU seconds, MB at most, what it said) of a command. A child of this interpreter would
    have its memory at first, and count it: bench/launch is a small parent."""
    launch = os.path.join(BUILD, 'tests', 'bench', 'launch')
    if not os.path.exists(launch):
        raise Skip('built without the benchmark (-Dbench=true): no tests/bench/launch')
    cost = tmp('measured.json')
    with open(tmp('measured.err'), 'w+') as err:
        p = subprocess.Popen([launch, '-o', cost, '--'] + command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=err,
                             start_new_session=True, **more)
        try:
            status = p.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            check(False, '%s hung for %d s', ' '.join(map(str, command)), timeout)
        err.seek(0)
        with open(cost) as f:
            used = json.load(f)
        return status, used['user_s'] + used['sys_s'], used['peak_kb'] / 1000, err.read()


# --- names that others have planted ---------------------------------------------------------------------------------

def plant(where, pid, kind, command):
    """At the default names of the next seconds, as another user."""
    for s in range(9):
        when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(time.time() + s))
        subprocess.run(as_nobody(command + [os.path.join(where, 'prowl.%s.%d.%s.%s.pb.gz' % ('waits', pid, kind, when))]),
                       check=True)


@test('hostile', 'links, FIFOs and files planted at the default name')
def planted():
    need_root()
    need_prowl()
    tool('setpriv')
    closed = folder('closed', 0o700)
    victim = os.path.join(closed, 'victim')
    with open(victim, 'w') as f:
        f.write('precious')
    with Target(build(VERSION, 'waits', 'static')) as t:
        for command in (['ln', '-s', victim], ['mkfifo'], ['cp', '/etc/passwd']):
            where = folder('open', 0o1777)
            plant(where, t.pid, 'goroutine', command)
            before = set(os.listdir(where))
            check(len(before) == 9, 'nothing was planted: the name is another one')
            status, _, _, said = measured([PROWL, 'goroutine', '--pid', str(t.pid)], cwd=where)
            check(status == 0, 'exit %d: %s', status, said)
            new = set(os.listdir(where)) - before
            check(len(new) == 1 and new.pop() in said, 'new are %r, it said: %s', new, said)
            for name in os.listdir(where):
                st = os.lstat(os.path.join(where, name))
                if stat.S_ISREG(st.st_mode) and st.st_uid == 0:
                    check(stat.S_IMODE(st.st_mode) == 0o600, '%s, written by root, has mode %o', name, st.st_mode)
                check(not name.startswith('.prowl'), 'left behind: %s', name)
    with open(victim) as f:
        check(f.read() == 'precious', 'the link was followed')


@test('hostile', 'links that the user names lead where open() leads')
def named():
    need_prowl()
    where = folder('named')
    target, link, dangling = (os.path.join(where, n) for n in ('target.pb.gz', 'link.pb.gz', 'dangling.pb.gz'))
    made = os.path.join(where, 'made.pb.gz')
    source = out_file()
    with Target(build(VERSION, 'waits', 'static')) as t:
        Prowl('goroutine', '--pid', t.pid, '-o', source).must(0)
    with open(target, 'w') as f:
        f.write('old')
    os.symlink(target, link)
    os.symlink(made, dangling)
    for path, real in ((link, target), (dangling, made)):
        Prowl('report', '-f', 'pprof', '-o', path, source).must(0)
        check(os.path.islink(path), 'the link is no longer one')
        check(pprof.load(real).total('goroutine') > 0, 'nothing came to where it leads')
    with open(target, 'w') as f:
        f.write('old')
    check(Prowl('report', '--peek', 'no such function', '-f', 'peek', '-o', link, source).status != 0, 'no failure')
    with open(target) as f:
        check(f.read() == 'old', 'a failure took the old file')
    os.chmod(target, 0o640)
    Prowl('report', '-f', 'pprof', '-o', target, source).must(0)
    check(stat.S_IMODE(os.stat(target).st_mode) == 0o640, 'a file that is replaced has another mode')
    check(sorted(os.listdir(where)) == ['dangling.pb.gz', 'link.pb.gz', 'made.pb.gz', 'target.pb.gz'], 'left behind: %r',
          os.listdir(where))
    if os.geteuid() == 0 and shutil.which('setpriv') and \
            open('/proc/sys/fs/protected_symlinks').read().strip() == '1':
        sticky, precious = folder('sticky', 0o1777), os.path.join(where, 'precious')
        with open(precious, 'w') as f:
            f.write('precious')
        path = os.path.join(sticky, 'cpu.pb.gz')
        subprocess.run(as_nobody(['ln', '-s', precious, path]), check=True)
        check(Prowl('report', '-f', 'pprof', '-o', path, source).status == 1, 'the system forbids to follow it')
        check(open(precious).read() == 'precious', 'a link of another user was followed')


# --- files of a target that cost too much ------------------------------------------------------------------------------

def spinning(where):
    """A stripped C program that spins, without a build id."""
    tool('gcc', 'objcopy', 'strip')
    with open(os.path.join(where, 'spin.c'), 'w') as f:
        f.write('volatile int x; int main(void) { for (;;) x++; }\n')
    path = os.path.join(where, 'spin')
    subprocess.run(['gcc', '-static', '-Wl,--build-id=none', '-o', path, path + '.c'], check=True)
    subprocess.run(['strip', path], check=True)
    return path


@contextlib.contextmanager
def running(path):
    p = subprocess.Popen([path])
    try:
        yield p
    finally:
        p.kill()
        p.wait()


def profiled(path, what, warned):
    out = out_file()
    with running(path) as p:
        status, cpu, mb, said = measured([PROWL, 'profile', '--pid', str(p.pid), '-d', '1', '-o', out])
    check(status == 0, 'exit %d: %s', status, said)
    note('%s: %.2f s of CPU, %.0f MB', what, cpu, mb)
    check(cpu < 2 and mb < 256, '%s took %.2f s of CPU and %.0f MB', what, cpu, mb)
    check(pprof.load(out).total('samples') > 0, 'no samples')
    check(('left out' in said) == warned, 'it said: %s', said)


@test('hostile', 'a debug file of 8 TB, and symbols that unpack to a gigabyte')
def costly():
    need_perf()
    where = folder('costly')
    spin = spinning(where)
    debug = os.path.join(where, 'spin.dbg')
    with open(debug, 'w'):
        pass
    subprocess.run(['objcopy', '--add-gnu-debuglink=' + debug, spin, spin + '1'], check=True)
    shutil.copy('/bin/true', debug)
    try:
        os.truncate(debug, 8 << 40)
    except OSError:
        os.truncate(debug, 1 << 40)
    profiled(spin + '1', 'a sparse debug file', True)
    packer = lzma.LZMACompressor(preset=0)
    with open(os.path.join(where, 'bomb'), 'wb') as f:
        for _ in range(192):
            f.write(packer.compress(bytes(1 << 20)))
        f.write(packer.flush())
    subprocess.run(['objcopy', '--add-section', '.gnu_debugdata=' + f.name, spin, spin + '2'], check=True)
    profiled(spin + '2', 'symbols of 192 MB', True)


@test('hostile', 'profiles of kilobytes that unpack to gigabytes')
def bombs():
    need_prowl()
    for name, unit, times in (('zeros', b'\0', 256 << 20), ('empty strings', b'\x32\0', 30 << 20),
                              ('samples', b'\x12\3\x12\1\1', 12 << 20)):
        path = out_file()
        with gzip.open(path, 'wb', 1) as f:
            f.write(b'\x0a\4\x08\1\x10\1\x32\0\x32\1a')
            for _ in range(32):
                f.write(unit * (times // 32))
        status, cpu, mb, said = measured([PROWL, 'report', path])
        note('%s, %d kB: exit %d, %.2f s of CPU, %.0f MB', name, os.path.getsize(path) // 1000, status, cpu, mb)
        check(status == 1 and cpu < 2 and mb < 256, '%s: exit %d, %.2f s, %.0f MB: %s', name, status, cpu, mb, said)


# --- privilege that prowl's file has --------------------------------------------------------------------------------------

CAPS = 'cap_perfmon,cap_sys_ptrace,cap_syslog,cap_checkpoint_restore,cap_bpf'


@contextlib.contextmanager
def with_caps(caps):
    """A copy of prowl that has capabilities, and that everybody may execute."""
    need_root()
    need_prowl()
    tool('setcap', 'setpriv')
    where = folder('caps')
    path = os.path.join(where, 'prowl')
    shutil.copy(PROWL, path)
    os.chmod(path, 0o755)
    if subprocess.run(['setcap', caps + '=ep', path], stderr=subprocess.DEVNULL).returncode:
        raise Skip('this file system keeps no capabilities')
    if measured(['setpriv', '--reuid=%d' % NOBODY, '--clear-groups', path, '--version'])[0]:
        raise Skip('a program with these capabilities may not be executed here')
    command = ['setpriv', '--reuid=%d' % NOBODY, '--regid=%d' % NOBODY, '--clear-groups', path]
    yield command, lambda *args, **more: measured(command + [str(a) for a in args], **more)


@test('hostile', 'with setcap, the files of others stay theirs')
def elevated():
    """Even with capabilities that would open every file: old advice, or too much of it."""
    need_perf()
    mine, secret = folder('mine', 0o777), folder('secret', 0o700)
    source = out_file()
    with with_caps(CAPS + ',cap_dac_override,cap_dac_read_search,cap_setuid,cap_fowner') as (_, prowl), \
            Target(build(VERSION, 'waits', 'static')) as t:
        status, _, _, said = prowl('goroutine', '--pid', t.pid, '-o', os.path.join(mine, 'g.pb.gz'))
        check(status == 0, 'exit %d: %s', status, said)
        shutil.copy(os.path.join(mine, 'g.pb.gz'), os.path.join(secret, 'g.pb.gz'))
        os.chmod(os.path.join(secret, 'g.pb.gz'), 0o600)
        with open(os.path.join(secret, 'victim'), 'w') as f:
            f.write('precious')
        os.symlink(os.path.join(secret, 'victim'), os.path.join(mine, 'link.pb.gz'))
        inside, cwd = os.path.join(secret, 'g.pb.gz'), os.path.join(secret, 'new.pb.gz')
        tries = [
            ('goroutine', '--pid', t.pid, '-o', cwd), ('goroutine', '--pid', t.pid, '--text', '-o', cwd),
            ('goroutine', '--pid', t.pid, '-o', os.path.join(mine, 'link.pb.gz')),
            ('profile', '--pid', t.pid, '-d', '1', '-o', cwd), ('heap', '--pid', t.pid, '-o', cwd),
            ('report', inside), ('report', '-f', 'pprof', '-o', cwd, os.path.join(mine, 'g.pb.gz')),
            ('info', inside), ('info', '--core', inside), ('heap', '--core', inside),
            ('heap', '--core', os.path.join(mine, 'g.pb.gz'), '--exe', inside),
            ('diff', '--base', inside, '--head', inside), ('diff', '--rules', inside, '--base', os.path.join(mine, 'g.pb.gz'),
                                                           '--head', os.path.join(mine, 'g.pb.gz')),
            ('baseline', 'save', secret, os.path.join(mine, 'g.pb.gz')), ('open', '--no-browser', inside)]
        for args in tries:
            status, _, _, said = prowl(*args)
            check(status not in (0, 5), 'prowl %s: exit %d\n%s', ' '.join(map(str, args)), status, said)
        note('%d ways to the files of others refused', len(tries))
        env = dict(os.environ, HOME=secret, XDG_CACHE_HOME=secret, GITHUB_STEP_SUMMARY=os.path.join(secret, 'summary'),
                   GITHUB_ACTIONS='true', TMPDIR=secret)
        prowl('diff', '--base', os.path.join(mine, 'g.pb.gz'), '--head', os.path.join(mine, 'g.pb.gz'), env=env)
        prowl('profile', '--pid', t.pid, '-d', '1', '-o', os.path.join(mine, 'c.pb.gz'), env=env)
        check(sorted(os.listdir(secret)) == ['g.pb.gz', 'victim'], 'in the folder of another user: %r', os.listdir(secret))
        check(open(os.path.join(secret, 'victim')).read() == 'precious', 'a file of another user was written')
        status, _, _, said = prowl('heap', '--pid', t.pid, '-d', '1', '--allow-write=heap-rate', '-o',
                                   os.path.join(mine, 'h.pb.gz'))
        check(status == 4 and 'setcap' in said, 'writing to a process of another user: exit %d\n%s', status, said)


@test('hostile', 'with setcap, prowl keeps no more than it needs')
def kept():
    need_perf()
    with with_caps(CAPS + ',cap_dac_override') as (command, prowl), Target(build(VERSION, 'busy_threads', 'static'), '-n', 1) as t:
        where = folder('kept', 0o777)
        path = os.path.join(where, 'c.pb.gz')
        p = subprocess.Popen(command + ['profile', '--pid', str(t.pid), '-d', '60', '-o', path], stderr=subprocess.PIPE,
                             text=True)
        try:
            line = p.stderr.readline()
            check('profiling' in line, 'it said: %s', line)
            with open('/proc/%d/status' % p.pid) as f:
                status = dict(l.rstrip('\n').split(':\t', 1) for l in f if ':\t' in l)
            caps = int(status['CapPrm'], 16)
            note('while it samples: CapPrm %x', caps)
            # CAP_SYS_PTRACE, CAP_SYSLOG, CAP_PERFMON and CAP_BPF (events may be opened anew), CAP_CHECKPOINT_RESTORE
            check(caps and not caps & ~(1 << 19 | 1 << 34 | 1 << 38 | 1 << 39 | 1 << 40), 'it still has %x', caps)
            check(os.stat('/proc/%d/mem' % p.pid).st_uid == 0, 'its user may look into it')
            clock = (~t.pid << 3) | 2  # the target's CPU time: enough for many samples
            start = time.clock_gettime(clock)
            wait_for(lambda: time.clock_gettime(clock) > start + 0.5, 'the target to run')
            p.send_signal(signal.SIGINT)
            check(p.wait(30) == 0, 'exit %d: %s', p.returncode, p.stderr.read())
        finally:
            p.kill()
            p.wait()
        check(pprof.load(path).total('samples') > 0, 'no samples')
        launched = os.path.join(where, 'l.pb.gz')
        status, _, _, said = prowl('profile', '-o', launched, '--', 'sh', '-c',
                                   'grep CapEff /proc/self/status >&2; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done')
        check(status == 0 and 'CapEff:\t0000000000000000' in said, 'a command has: %s', said)


@test('hostile', 'one setcap line, and root is not told to become root')
def advice():
    need_root()
    tool('setpriv')
    wanted = 'sudo setcap %s=ep' % CAPS
    prowl = staged(PROWL)
    with Target(build(VERSION, 'waits', 'static')) as t:
        for args in (('doctor', '--pid', t.pid), ('profile', '--pid', t.pid, '-d', 1, '-o', '/dev/null'),
                     ('heap', '--pid', t.pid, '-o', '/dev/null'), ('goroutine', '--pid', t.pid, '-o', '/dev/null'),
                     ('wall', '--pid', t.pid, '-o', '/dev/null'), ('info', '--pid', t.pid),
                     ('heap', '--pid', t.pid, '-d', 1, '--allow-write=heap-rate', '-o', '/dev/null')):
            p = subprocess.run(['setpriv', '--reuid=%d' % NOBODY, '--regid=%d' % NOBODY, '--clear-groups', prowl] +
                               [str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            check(p.returncode == 4, '%s: exit %d\n%s', args, p.returncode, p.stdout)
            lines = {l[l.index('sudo setcap'):].partition(' "')[0] for l in p.stdout.splitlines() if 'sudo setcap' in l}
            check(lines == {wanted}, '%s advises %r\n%s', args, lines, p.stdout)
            check('dac_' not in p.stdout.lower(), 'it advises to open all files:\n%s', p.stdout)
        p = subprocess.run(['setpriv', '--reuid=0', '--inh-caps=-all', '--bounding-set=-sys_ptrace', PROWL, 'heap', '--pid',
                            str(t.pid)], stderr=subprocess.PIPE, text=True)
        note('root without CAP_SYS_PTRACE: exit %d', p.returncode)
        check('as root' not in p.stderr, 'root is told to become root: %s', p.stderr)


# --- a full disk ------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def small_disk():
    need_root()
    where = folder('disk')
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'prowl-test', where], stderr=subprocess.DEVNULL).returncode:
        raise Skip('nothing may be mounted here')
    try:
        yield where
    finally:
        subprocess.run(['umount', where], check=True)


def fill_up(where):
    with open(os.path.join(where, 'filler'), 'wb', 0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(512))


@test('hostile', 'a full disk loses nothing that was there')
def full_disk():
    with small_disk() as where, Target(build(VERSION, 'waits', 'static')) as t:
        source = out_file()
        Prowl('goroutine', '--pid', t.pid, '-o', source).must(0)
        baseline, verdict, text, report = (os.path.join(where, n) for n in ('baseline', 'diff.json', 'g.txt', 'r.pb.gz'))
        Prowl('baseline', 'save', baseline, source).must(0)
        Prowl('diff', '--base', source, '--head', source, '-o', verdict)
        Prowl('goroutine', '--pid', t.pid, '--text', '-o', text).must(0)
        Prowl('report', '-f', 'pprof', '-o', report, source).must(0)
        fill_up(where)
        before = {os.path.join(d, n): open(os.path.join(d, n), 'rb').read() for d, _, names in os.walk(where) for n in names}
        check(all(before[p] for p in (verdict, text, report)), 'nothing was written')
        for args in (('baseline', 'save', baseline, source), ('baseline', 'save', '--keep', 1, baseline, source),
                     ('diff', '--base', source, '--head', source, '-o', verdict),
                     ('goroutine', '--pid', t.pid, '--text', '-o', text), ('report', '-f', 'pprof', '-o', report, source)):
            p = Prowl(*args).must(1)
            check('No space left' in p.err, 'it said: %s', p.err)
        after = {os.path.join(d, n): open(os.path.join(d, n), 'rb').read() for d, _, names in os.walk(where) for n in names}
        check(after == before, 'changed: %r', [p for p in set(after) | set(before) if after.get(p) != before.get(p)])
        os.unlink(os.path.join(where, 'filler'))
        Prowl('baseline', 'save', baseline, source).must(0)
        check('2' in Prowl('baseline', 'list', baseline).must(0).out, 'the baseline does not go on')

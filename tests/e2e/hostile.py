# SPDX-License-Identifier: Apache-2.0
"""What somebody who owns the target, or shares the machine, can do to prowl: refused or bounded, each with its figure."""

import contextlib
import gzip
import lzma
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import pprof
from harness import (NOBODY, PROWL, Prowl, Skip, Target, as_nobody, build, check, need_perf, need_prowl, need_root, note,
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
    """(exit status, CPU seconds, MB at most, what it said) of a command."""
    with open(tmp('measured.err'), 'w+') as err:
        p = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=err, **more)
        deadline = time.monotonic() + timeout
        while True:
            pid, status, used = os.wait4(p.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                p.kill()
                os.wait4(p.pid, 0)
                check(False, '%s hung for %d s', ' '.join(map(str, command)), timeout)
            time.sleep(0.02)
        p.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        return p.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, err.read()


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

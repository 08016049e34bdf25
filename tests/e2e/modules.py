# SPDX-License-Identifier: Apache-2.0
"""What a process is: plugins, several Go runtimes, text in anonymous memory, a main thread that has ended, and all commands
agree. Bounds: in one second at 199 Hz a loop that never stops is missed by all samples only where it gets no CPU; the profile is
taken again until it has at least MANY samples, whose only possible leaf is known."""

import json
import os
import shutil
import subprocess

from harness import (Failed, Prowl, Skip, TARGETS, check, go_environment, goroot, names, need_perf, need_root, note,
                     out_file, profile, test, tmp, wait_for, weigh)
import pprof

HERE = os.path.join(TARGETS, 'modules')
MANY = 20
BOTH = ('1.19', '1.27')
built = {}


def run(command, **more):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    check(p.returncode == 0, '%s: %s', ' '.join(command), p.stdout[-3000:])


def go(version, folder, *args, name=None):
    """A program or library of targets/modules; the file as it is in the cache of one run."""
    key = (version, folder, args)
    if key not in built:
        built[key] = tmp('modules-%s-%s' % (version, name or folder))
        run([os.path.join(goroot(version), 'bin', 'go'), 'build', '-buildvcs=false', '-o', built[key], *args, '.'],
            cwd=os.path.join(HERE, folder), env=dict(go_environment(version), CGO_ENABLED='1', GO111MODULE='off', GOFLAGS=''))
    return built[key]


def c(name, *args):
    if name not in built:
        built[name] = tmp('modules-' + name)
        run([os.environ.get('CC', 'cc'), '-O1', '-g', '-o', built[name], os.path.join(HERE, name + '.c'), *args])
    return built[name]


def host():
    return c('host', '-ldl', '-lpthread')


def library(version, tag='first'):
    return go(version, 'library', '-buildmode=c-shared', '-tags', tag, name=tag + '.so')


class Running:
    """A program that prints "ready"; its end is ours."""

    def __init__(self, *command, env=None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(tmp('target.log'), 'a'), text=True,
                                        env=dict(os.environ, **(env or {})))
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        check(line == 'ready\n', '%s did not start: %r', command, line)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def cpu(pid, *functions):
    """The profile has these functions in one stack, leaf first, for nearly all of its samples in user code."""
    need_perf()
    for _ in range(10):
        p = profile(pid, 1, '--user', rate=199)
        everything, samples = weigh(p, lambda frames, _: True)
        if samples >= MANY:
            break
    check(samples >= MANY, '%d samples of a loop in ten seconds', samples)
    good, _ = weigh(p, lambda frames, _: has(names(frames), functions))
    unknown, _ = weigh(p, lambda frames, _: '[unknown]' in names(frames))
    check(good > 0, 'none of %d samples has %s:\n%s', samples, functions,
          '\n'.join(sorted({';'.join(names(f)) for f, _, _ in p.stacks()})[:10]))
    note('%d samples: %.1f %% %s, %.1f %% with unknown frames', samples, 100 * good / everything, functions[0],
         100 * unknown / everything)
    # what is left is the runtime's: allocation and collection
    check(unknown <= 0.02 * everything, '%.1f %% of the time has unknown frames', 100 * unknown / everything)
    return p


def has(stack, wanted):
    it = iter(stack)
    return all(any(name.endswith(w) for name in it) for w in wanted)


def goroutines(pid):
    p = Prowl('goroutine', '--pid', pid, '--text').must()
    return p.out


def waiting(pid, function):
    """How many goroutines are in it; those that only lent a thread to C have no frame at all."""
    parts = [part.split('\n') for part in goroutines(pid).split('\n\n') if part.startswith('goroutine ')]
    return sum(len(lines) > 1 and function in lines[1] for lines in parts)


def listed(pid):
    rows = json.loads(Prowl('ps', '--json').must().out)['processes']
    row = [r for r in rows if r['pid'] == pid]
    check(len(row) == 1, 'process %d is in ps %d times', pid, len(row))
    return row[0]


def info(pid):
    return json.loads(Prowl('info', '--json', '--pid', pid).must().out)


def heap(pid, *functions):
    """In the heap profile, once a collection has ended."""
    path = out_file()
    found = []

    def there():
        p = Prowl('heap', '--pid', pid, '-o', path)
        if p.status:
            check(p.status == 5, '%s', p.err)
            return False
        prof = pprof.load(path)
        found[:] = [(names(frames), labels) for frames, _, labels in prof.stacks()]
        return all(any(has(stack, [f]) for stack, _ in found) for f in functions)
    wait_for(there, 'a heap profile with %s' % (functions,))
    return found


def agree(pid, version):
    """All commands say that it is this Go."""
    row, what = listed(pid), info(pid)
    check(row['go'] and row['go_version'].startswith('go' + version), 'ps says %s', row)
    check(what['go_version'].startswith('go' + version), 'info says %s', what['go_version'])
    doctor = Prowl('doctor', '--pid', pid).must().out
    check('go' + version in doctor, 'doctor does not know its Go:\n%s', doctor)
    check('CPU profiles work for process' in doctor, 'doctor:\n%s', doctor)


# --- plugins and libraries --------------------------------------------------------------------------------------------

def plugin(version):
    program = go(version, 'plughost')
    with Running(program, go(version, 'plug', '-buildmode=plugin', name='plug.so')) as t:
        agree(t.pid, version)
        cpu(t.pid, 'plugLeaf', '.Work', 'main.main', 'runtime.main')
        check(waiting(t.pid, '.Wait(') == 3, 'goroutines that wait in the plugin:\n%s', goroutines(t.pid))
        heap(t.pid, '.Work')
        modules = info(t.pid)['go_modules']
        check(len(modules) == 2 and all(m['runtime'] == program for m in modules), 'modules: %s', modules)


for v in BOTH:
    test('e2e' if v == '1.27' else 'matrix', 'plugin: one stack through program and plugin, Go %s' % v, v)(plugin)


def two_runtimes(old, new):
    first, second = library(new), library(old, 'second')
    with Running(host(), first, second) as t:
        cpu(t.pid, 'main.spin', 'main.workFirst')
        cpu(t.pid, 'main.spin', 'main.workSecond')
        check(waiting(t.pid, 'main.waitFirst(') == 3 and waiting(t.pid, 'main.waitSecond(') == 3,
              'goroutines of both:\n%s', goroutines(t.pid))
        for line in ('# runtime 1 of 2', '# runtime 2 of 2', first, second):
            check(line in goroutines(t.pid), 'the runtimes are not named: %s', line)
        found = heap(t.pid, 'main.keepFirst', 'main.keepSecond')
        for name, lib in ('main.keepFirst', first), ('main.keepSecond', second):
            check(all(labels.get('runtime') in (lib, [lib]) for n, labels in found if has(n, [name])),
                  'allocations of %s have the labels %s', name, [x for n, x in found if name in n])
        path = out_file()
        Prowl('goroutine', '--pid', t.pid, '-o', path).must()
        counts = {}
        for frames, values, labels in pprof.load(path).stacks():
            for f in names(frames):
                if f.startswith('main.wait') and f != 'main.waits':
                    key = f, labels['runtime'] if isinstance(labels['runtime'], str) else labels['runtime'][0]
                    counts[key] = counts.get(key, 0) + values[0]
        check(counts == {('main.waitFirst', first): 3, ('main.waitSecond', second): 3}, 'the profile has %s', counts)
        versions = sorted(m['go_version'] for m in info(t.pid)['go_modules'])
        check([v.split('.')[1] for v in versions] == [old.split('.')[1], new.split('.')[1]], 'info: %s', versions)


test('e2e', 'two Go runtimes in one process, Go 1.19 and 1.27', '1.19', '1.27')(two_runtimes)


# --- processes and numbers ----------------------------------------------------------------------------------------------

def main_thread_ended(version):
    with Running(host(), 'exit', library(version)) as t:
        wait_for(lambda: os.path.exists('/proc/%d/task/%d' % (t.pid, t.pid)) and
                 open('/proc/%d/stat' % t.pid).read().rpartition(')')[2].split()[0] == 'Z', 'the main thread to end')
        check(open('/proc/%d/maps' % t.pid).read() == '', 'its mappings are there: this kernel differs')
        agree(t.pid, version)
        cpu(t.pid, 'main.spin', 'main.workFirst')
        check(waiting(t.pid, 'main.waitFirst(') == 3, 'goroutines:\n%s', goroutines(t.pid))
        heap(t.pid, 'main.keepFirst')
        wall = out_file()
        Prowl('wall', '--pid', t.pid, '--seconds', 1, '-o', wall).must()
        check(any('main.waitFirst' in names(f) for f, _, _ in pprof.load(wall).stacks()), 'wall: no goroutine that waits')


for v in BOTH:
    test('e2e' if v == '1.27' else 'matrix', 'main thread ended, Go %s' % v, v)(main_thread_ended)


def commands(pid):
    yield 'profile', '--pid', pid, '--seconds', 1, '-o', out_file()
    yield 'heap', '--pid', pid, '-o', out_file()
    yield 'goroutine', '--pid', pid, '--text'
    yield 'wall', '--pid', pid, '--seconds', 1, '-o', out_file()
    yield 'info', '--pid', pid
    yield 'doctor', '--pid', pid


def thread_number(version):
    with Running(host(), library(version)) as t:
        thread = max(int(tid) for tid in os.listdir('/proc/%d/task' % t.pid) if int(tid) != t.pid)
        for command in commands(thread):
            p = Prowl(*command).must(2)
            check('%d is a thread of process %d (' % (thread, t.pid) in p.err and '--pid %d' % t.pid in p.err,
                  '%s says:\n%s', command[0], p.err)


test('e2e', 'the number of a thread is refused with that of its process', '1.27')(thread_number)


def zombie():
    child = subprocess.Popen(['true'])
    wait_for(lambda: open('/proc/%d/stat' % child.pid).read().rpartition(')')[2].split()[0] == 'Z', 'a zombie')
    try:
        for command in commands(child.pid):
            p = Prowl(*command)
            check('is a zombie' in p.out + p.err, '%s of a zombie says:\n%s', command[0], p.out + p.err)
            check('CPU profiles work' not in p.out and p.status == (4 if command[0] == 'doctor' else 5),
                  '%s of a zombie exits with %d:\n%s', command[0], p.status, p.out + p.err)
        rows = json.loads(Prowl('ps', '--all', '--json').must().out)['processes']
        row = [r for r in rows if r['pid'] == child.pid]
        check(row and 'zombie' in row[0]['obstacle'] and not row[0]['can_profile'], 'ps --all: %s', row)
    finally:
        child.wait()


test('e2e', 'a zombie is said to be one by every command')(zombie)


# --- where the text is ------------------------------------------------------------------------------------------------------

def same_everywhere(t, version, leaf='main.leaf', caller='main.middle'):
    agree(t.pid, version)
    cpu(t.pid, leaf, caller, 'main.main')
    check(waiting(t.pid, 'main.wait(') == 3, 'goroutines:\n%s', goroutines(t.pid))
    heap(t.pid, 'main.main')


def remapped(version, how, *args):
    with Running(go(version, 'remap', *args, name='remap-%d' % len(args)), env={'REMAP': how}) as t:
        lines = [line for line in open('/proc/%d/maps' % t.pid) if ' r-xp ' in line or ' r-xs ' in line]
        check(any('/' not in line or 'memfd:' in line for line in lines if '[v' not in line), 'nothing was moved:\n%s', lines)
        same_everywhere(t, version)


for v, how, args in (('1.19', 'whole', ()), ('1.27', 'whole', ('-buildmode=pie', '-ldflags=-s -w')), ('1.27', 'part', ()),
                     ('1.27', 'memfd', ())):
    test('e2e', 'text moved to other memory, %s, %sGo %s' % (how, 'PIE, ' if args else '', v), v, how, *args)(remapped)


def changed(version):
    """Memory that is not what the file has is not named by the file."""
    with Running(go(version, 'remap', name='remap-0'), env={'REMAP': 'changed'}) as t:
        need_perf()
        p = profile(t.pid, 1, '--user', rate=199)
        bad, _ = weigh(p, lambda frames, _: any(n.startswith('main.') for n in names(frames)))
        check(bad == 0, 'frames have names of a text that is not theirs')
        row = listed(t.pid)
        check(not row['can_profile'] and 'changed in memory' in row['obstacle'], 'ps says %s', row)
        for command in ('goroutine', '--text'), ('info',), ('heap', '-o', out_file()):
            p = Prowl(*command, '--pid', t.pid).must(6)
            check('changed in memory' in p.err, '%s says:\n%s', command[0], p.err)


test('e2e', 'text that was changed in memory is not named by the file', '1.27')(changed)


def unpacked(version, *how):
    static = tmp('modules-static-' + version)
    if not os.path.exists(static):
        env = dict(go_environment(version), CGO_ENABLED='0', GO111MODULE='off', GOFLAGS='')
        run([os.path.join(goroot(version), 'bin', 'go'), 'build', '-buildvcs=false', '-ldflags=-s -w', '-o', static, '.'],
            cwd=os.path.join(HERE, 'still'), env=env)
    with Running(c('unpack', '-pie', '-fPIE'), *how, static) as t:
        check(static not in open('/proc/%d/maps' % t.pid).read(), 'its file is mapped')
        same_everywhere(t, version)


test('e2e', 'a program that was never a file mapping, Go 1.19', '1.19')(unpacked)
test('e2e', 'a program that was never a file mapping, without ELF header, Go 1.27', '1.27', 'no-header')(unpacked)


# --- where the file is --------------------------------------------------------------------------------------------------------

def still(version):
    """A copy of the plain program, which a test may do anything to."""
    static = tmp('modules-plain-' + version)
    if not os.path.exists(static):
        env = dict(go_environment(version), CGO_ENABLED='0', GO111MODULE='off', GOFLAGS='')
        run([os.path.join(goroot(version), 'bin', 'go'), 'build', '-buildvcs=false', '-o', static, '.'],
            cwd=os.path.join(HERE, 'still'), env=env)
    copy = out_file() + '.program'
    shutil.copy(static, copy)
    return copy


def deleted(version):
    program = still(version)
    with Running(program) as t:
        os.unlink(program)
        same_everywhere(t, version)
        check(listed(t.pid)['deleted'], 'ps does not say that it was deleted')


def replaced(old, new):
    """Upgraded while it runs: what it executes is the old file."""
    program = still(old)
    with Running(program) as t:
        shutil.copy(still(new), program + '.new')
        os.rename(program + '.new', program)
        same_everywhere(t, old)


def memfd(version):
    """Executed from a file in memory, as loaders of containers do."""
    program = still(version)
    code = ('import os, sys\nfd = os.memfd_create("program", 0)\nos.write(fd, b"")\n'
            'f = open(sys.argv[1], "rb")\nwhile True:\n    b = f.read(1 << 20)\n    if not b: break\n    os.write(fd, b)\n'
            'os.execve(fd, [sys.argv[1]], os.environ)\n')
    with Running('python3', '-c', code, program) as t:
        check('memfd:' in os.readlink('/proc/%d/exe' % t.pid), 'it runs from %s', os.readlink('/proc/%d/exe' % t.pid))
        same_everywhere(t, version)


def segments(version):
    """Its text in two executable mappings, at a boundary of large pages, linked by the system's linker."""
    path = go(version, 'still', '-ldflags=-linkmode=external -extldflags=-Wl,-z,max-page-size=2097152,-z,noseparate-code',
              name='segments')
    with Running(path) as t:
        same_everywhere(t, version)


test('e2e', 'deleted executable', '1.27')(deleted)
test('e2e', 'executable replaced by another build while it runs', '1.19', '1.27')(replaced)
test('e2e', 'executable in a memfd', '1.27')(memfd)
test('e2e', 'text at a boundary of large pages', '1.27')(segments)


def overlay(version):
    """A root of its own on an overlay, as containers have: names and devices are not ours."""
    need_root()
    top = tmp('overlay')
    for d in ('lower', 'upper', 'work', 'root'):
        os.makedirs(os.path.join(top, d), exist_ok=True)
    shutil.copy(still(version), os.path.join(top, 'lower', 'program'))
    script = ('mount -t tmpfs none "$0/work" && mkdir "$0/work/u" "$0/work/w" && '
              'mount -t overlay overlay -o lowerdir="$0/lower",upperdir="$0/work/u",workdir="$0/work/w" "$0/root" && '
              'exec chroot "$0/root" /program')
    try:
        t = Running('unshare', '-m', '--propagation', 'private', 'sh', '-c', script, top)
    except Failed as e:
        raise Skip('no overlay can be mounted here') from e
    with t:
        check(os.readlink('/proc/%d/exe' % t.pid).endswith('/program'), 'it runs from elsewhere')
        same_everywhere(t, version)


test('e2e', 'a container on an overlay file system', '1.27')(overlay)

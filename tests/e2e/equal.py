# SPDX-License-Identifier: Apache-2.0
"""prowl report beside go tool pprof, line by line: real profiles of every kind × reports × options."""

import concurrent.futures
import gzip
import os
import re
import subprocess
import urllib.request

import pprof
from harness import *
from made import profile as made

# The last toolchains that ship pprof as a program; later ones compile it at its first use.
TOOLS = ['1.24', '1.23', '1.22']
NEW = ['1.27', '1.26', '1.25', '1.24', '1.23']

# (pprof's options, prowl's). `{main}` is an expression that the profile's own code matches.
OPTIONS = [
    ([], []),
    (['-cum'], ['--cum']),
    (['-nodecount=7'], ['-n', '7']),
    (['-nodecount=5', '-cum'], ['-n', '5', '--cum']),
    (['-nodefraction=0.05', '-edgefraction=0.02'], ['--nodefraction', '0.05', '--edgefraction', '0.02']),
    (['-nodefraction=0.02', '-nodecount=4'], ['--nodefraction', '0.02', '-n', '4']),
    (['-focus={main}'], ['--focus', '{main}']),
    (['-focus={main}', '-nodefraction=0.03', '-edgefraction=0.03'],
     ['--focus', '{main}', '--nodefraction', '0.03', '--edgefraction', '0.03']),
    (['-ignore=sort|mallocgc|chan'], ['--ignore', 'sort|mallocgc|chan']),
    (['-hide=^runtime\\.'], ['--hide', '^runtime\\.']),
    (['-hide=_amd64\\.s$|main\\.'], ['--hide', '_amd64\\.s$|main\\.']),
    (['-show={main}'], ['--show', '{main}']),
    (['-show=\\[|libc|kernel|proc\\.go'], ['--show', '\\[|libc|kernel|proc\\.go']),
    (['-show_from={main}'], ['--show-from', '{main}']),
    (['-show_from=Helper|sort|park'], ['--show-from', 'Helper|sort|park']),
    (['-focus={main}', '-ignore=sort', '-hide=sys', '-relative_percentages'],
     ['--focus', '{main}', '--ignore', 'sort', '--hide', 'sys', '--relative-percentages']),
    (['-focus=(?i)MAIN\\.[[:alpha:]]+$'], ['--focus', '(?i)MAIN\\.[[:alpha:]]+$']),
    (['-focus=nothing has this name'], ['--focus', 'nothing has this name']),
    (['-lines'], ['--granularity', 'line']),
    (['-lines', '-focus={main}', '-nodecount=9'], ['--granularity', 'line', '--focus', '{main}', '-n', '9']),
    (['-filefunctions'], ['--granularity', 'filefunction']),
    (['-files'], ['--granularity', 'file']),
    (['-addresses'], ['--granularity', 'address']),
    (['-noinlines'], ['--noinlines']),
    (['-noinlines', '-lines'], ['--noinlines', '--granularity', 'line']),
    (['-unit=us'], ['--unit', 'us']),
    (['-unit=MB'], ['--unit', 'MB']),
    (['-unit=auto'], ['--unit', 'auto']),
    (['-sample_index={first}'], ['--type', '{first}']),
    (['-tagfocus={key}={value}'], ['--tagfocus', '{key}={value}']),
    (['-tagfocus={key}:[a-z0-9]'], ['--tag', '{key}:[a-z0-9]']),
    (['-tagfocus={key},{value}'], ['--tag', '{key},{value}']),
    (['-tagignore={value}'], ['--tagignore', '{value}']),
    (['-tagfocus=1kb:'], ['--tagfocus', '1kb:']),
    (['-tagfocus=bytes=16b:1mb'], ['--tagfocus', 'bytes=16b:1mb']),
    (['-tagignore=:64b'], ['--tagignore', ':64b']),
    (['-tagfocus=-3:100'], ['--tagfocus', '-3:100']),
    (['-tagfocus={number}'], ['--tagfocus', '{number}']),
    (['-tagshow={key}'], ['--tagshow', '{key}']),
    (['-taghide={key}'], ['--taghide', '{key}']),
    (['-tagroot={key}'], ['--tagroot', '{key}']),
    (['-tagroot={key},bytes', '-focus={main}'], ['--tagroot', '{key},bytes', '--focus', '{main}']),
    (['-tagleaf=bytes,{key}'], ['--tagleaf', 'bytes,{key}']),
    (['-tagleaf={key}', '-tagroot=bytes', '-lines'],
     ['--tagleaf', '{key}', '--tagroot', 'bytes', '--granularity', 'line']),
]

REPORTS = {
    'top': (['-top'], ['-f', 'text']),
    'tree': (['-tree'], ['-f', 'tree']),
    'peek': (['-peek={main}|goexit|malloc|lock'], ['--peek', '{main}|goexit|malloc|lock']),
    'traces': (['-traces'], ['-f', 'traces']),
}

_shared = {}


def served(target, path):
    out = out_file()
    with urllib.request.urlopen('http://%s/debug/pprof/%s' % (target.hello['http'], path), timeout=60) as f, \
            open(out, 'wb') as to:
        to.write(f.read())
    return out


def recorded(target, kind, *args):
    out = out_file()
    Prowl(kind, '--pid', target.pid, '-o', out, *args).must(0)
    return out


def cpu(version, name, variant, *args):
    """Go's own CPU profile and ours."""
    with Target(build(version, name, variant)) as t:
        own = t.own_profile(1.5).path if name != 'c_deep' else None
        return [own, profile(t.pid, 1.5, *args, rate=199).path]


def make_profiles():
    """Profiles by name, of every kind, ours and Go's own."""
    new = any_goroot(NEW)
    result = {}
    for version, name, variant, args in (('1.19', 'known_shares', 'static', []), (new, 'known_shares', 'pie', []),
                                         (new, 'known_shares', 'stripped', ['--user']),
                                         (new, 'labels', 'static', ['--labels', '--threads']),
                                         (new, 'cgo_deep', 'cgo', [])):
        own, ours = cpu(version, name, variant, *args)
        what = '%s %s go%s' % (name, variant, version)
        result['cpu, own, ' + what], result['cpu, ours, ' + what] = own, ours
    result['cpu, with frames to drop'] = with_drops(
        result['cpu, own, known_shares pie go' + new], 'sort\\..*|main\\.(inl|ph|rec).*|runtime\\.[a-m].*|syscall\\..*',
        'main\\.phaseSort.*|sort\\.Slice')
    with Target(build(new, 'heapzoo', 'static')) as t:
        for kind in ('heap', 'allocs', 'block', 'mutex', 'threadcreate', 'goroutine'):
            result[kind + ', own'] = served(t, kind)
            if kind != 'goroutine':
                result[kind + ', ours'] = recorded(t, kind)
    with Target(build(new, 'gozoo', 'static')) as t:
        result['goroutine, ours, with labels'] = recorded(t, 'goroutine')
    return result


def profiles():
    if not _shared:
        need_perf()
        _shared.update(make_profiles())
    return _shared


def pprof_program():
    root = goroot(any_goroot(TOOLS))
    path = os.path.join(root, 'pkg', 'tool', 'linux_amd64', 'pprof')
    if not os.access(path, os.X_OK):
        raise Skip('no pprof program in %s' % root)
    return path


def encoded(number, value):
    """A field of a protobuf message."""
    def varint(n):
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        out.append(n)
        return bytes(out)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + bytes(value)


def rewritten(path, suffix, change, more=()):
    """A copy of a profile, each field as change(number, value) says, with more fields at its end."""
    with gzip.open(path) as f:
        data = f.read()
    with gzip.open(path + suffix, 'wb') as f:
        f.write(b''.join(encoded(n, change(n, v)) for n, v in pprof.fields(data)))
        f.write(b''.join(encoded(n, v) for n, v in more))
    return path + suffix


def without_starts(path):
    """The profile without the functions' start lines, by which pprof -files would tell rows of one file apart."""
    return rewritten(path, '.without_starts', lambda number, value: value if number != 5 else b''.join(
        encoded(n, v) for n, v in pprof.fields(value) if n != 5))


def with_drops(path, drop, keep):
    """The profile that wants some of its frames to be dropped."""
    n = len(pprof.load(path).strings)
    return rewritten(path, '.with_drops', lambda number, value: value,
                     [(6, drop.encode()), (6, keep.encode()), (7, n), (8, n + 1)])


def words_for(path):
    """What stands for {main} and so on: a label of the profile, if it has any, and its first sample type."""
    prof = pprof.load(path)
    text, number = ('key', 'value'), '5'
    for _, _, labels in prof.stacks():
        for k, v in labels.items():
            if isinstance(v, str):
                text = k, v
            else:
                number = '%s=%d%s' % (k, v, 'b' if k == 'bytes' else k)
    return {'main': 'main\\.', 'key': re.escape(text[0]), 'value': re.escape(text[1]), 'number': number,
            'first': prof.sample_types[0][0]}


def filled(options, words):
    return [re.sub(r'\{(main|key|value|number|first)\}', lambda m: words[m.group(1)], o) for o in options]


def lines_of(text):
    # pprof leaves spaces behind two of its lines
    return [line.rstrip() for line in text.splitlines()]


def run_pprof(program, args, *paths):
    # its defaults for what is dropped differ from report to report; ours drop nothing
    defaults = [o for o in ('-nodecount=0', '-nodefraction=0', '-edgefraction=0')
                if not any(a.startswith(o.split('=')[0] + '=') for a in args)]
    p = subprocess.run([program, '-symbolize=none'] + defaults + args + list(paths), stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120,
                       env={'HOME': tmp(), 'PATH': os.environ['PATH'], 'PPROF_TMPDIR': tmp(),
                            'TZ': os.environ.get('TZ', '')})
    return p.returncode, lines_of(p.stdout.decode('utf-8', 'replace')), p.stderr.decode('utf-8', 'replace')


def difference(name, report, option, words, program, path, bare):
    """(what differs, as text, or None; how many lines were compared)."""
    theirs, ours = filled(REPORTS[report][0] + option[0], words), filled(REPORTS[report][1] + option[1], words)
    if '-files' in theirs:
        path = bare
    code, want, said = run_pprof(program, theirs, path)
    p = Prowl('report', *ours, path)
    got = lines_of(p.out)
    if code:
        none = 'no matches found' in said
        same = none and p.status == 1 and not p.out
        return None if same else '%s: pprof %s exits with %d: %s' % (name, theirs, code, said), 0
    if p.status:
        return '%s: %s exits with %d: %s' % (name, p.command, p.status, p.err), 0
    if got == want:
        return None, len(want)
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    return '%s: %s, line %d of %d and %d:\n  pprof %s\n  %s\n  %s' % (
        name, p.command, at + 1, len(got), len(want), ' '.join(theirs), '\n  '.join(want[at:at + 2]),
        '\n  '.join(got[at:at + 2])), 0


def compare(report, everything=False):
    """One report of each profile with each set of options; unless everything is wanted, with every fourth of them, so that
    the four reports together have each profile with all sets."""
    program, jobs = pprof_program(), []
    n = len(REPORTS)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for i, (name, path) in enumerate(profiles().items()):
            words, bare = words_for(path), without_starts(path)
            for option in OPTIONS if everything else OPTIONS[(i + list(REPORTS).index(report)) % n::n]:
                jobs.append(pool.submit(difference, name, report, option, words, program, path, bare))
        found = [j.result() for j in jobs]
    bad = [text for text, _ in found if text]
    note('%d profiles, %d sets of options: %d reports equal, of %d lines; %d differ', len(profiles()), len(OPTIONS),
         len(found) - len(bad), sum(n for _, n in found), len(bad))
    check(not bad, '%d of %d reports differ:\n%s', len(bad), len(found), '\n'.join(bad[:8]))
    check(len(profiles()) >= 10, 'only %d profiles', len(profiles()))


for _report in REPORTS:
    test('clients', 'prowl report is go tool pprof -%s' % _report, _report, group='equal')(compare)
    test('matrix', 'prowl report is go tool pprof -%s, with all options' % _report, _report, True,
         group='equal')(compare)


@test('clients', 'prowl report of several files is go tool pprof\'s', group='equal')
def merged():
    program = pprof_program()
    paths = [p for name, p in profiles().items() if name.startswith('cpu, o')]
    check(len(paths) >= 6, 'only %d profiles', len(paths))

    def comparable(lines):
        # what stands before the type is in the files' order with pprof, sorted with prowl, for which the order makes no
        # difference; which of several binaries is named is a choice of each
        at = next(i for i, line in enumerate(lines) if line.startswith('Type: '))
        return sorted(line for line in lines[:at] if not re.match('File: |Build ID: ', line)) + lines[at:]

    for theirs, ours in (REPORTS['top'], REPORTS['tree'], REPORTS['peek'], (['-top', '-lines'], ['--granularity', 'line']),
                         (['-top', '-tagfocus=tenant=red'], ['--tag', 'tenant=red'])):
        words = {'main': 'main\\.'}
        code, want, said = run_pprof(program, filled(theirs, words), *paths)
        check(code == 0, 'pprof: %s', said)
        want = comparable(want)
        for order in (paths, paths[::-1]):
            p = Prowl('report', *filled(ours, words), *order).must()
            got = comparable(lines_of(p.out))
            differ = [pair for pair in zip(got, want) if pair[0] != pair[1]]
            check(not differ and len(got) == len(want), '%s: %d and %d lines, %r', p.command, len(got), len(want),
                  differ[:3])
        note('%s: %d lines', ' '.join(theirs), len(want))


@test('clients', 'prowl report of files that share some sample types is go tool pprof\'s')
def merged_types():
    program = pprof_program()
    samples, cpu, micro = ('samples', 'count'), ('cpu', 'nanoseconds'), ('cpu', 'microseconds')
    alloc, space = ('alloc_objects', 'count'), ('alloc_space', 'kilobytes')
    sets = {
        'one is missing': [((samples, cpu), (1, 10 ** 7)), ((cpu,), (5 * 10 ** 7,))],
        'another order': [((samples, cpu), (1, 10 ** 7)), ((cpu, samples), (5 * 10 ** 7, 5))],
        'another unit': [((samples, micro), (1, 10 ** 4)), ((samples, cpu), (5, 5 * 10 ** 7))],
        'all of it': [((samples, cpu), (1, 10 ** 7)), ((('wall', 'ms'), micro, samples), (9, 5 * 10 ** 4, 5)),
                      ((cpu,), (10 ** 9,))],
        'sizes': [((alloc, space), (3, 4)), ((alloc, ('alloc_space', 'bytes'), ('inuse_space', 'bytes')), (4, 12345, 7))],
        'nothing in common': [((samples,), (1,)), ((alloc,), (1,))],
        'units of different kinds': [((cpu,), (1,)), ((('cpu', 'bytes'),), (1,))],
    }
    compared = 0
    for what, parts in sets.items():
        paths = []
        for types, values in parts:
            paths.append(out_file())
            with open(paths[-1], 'wb') as f:
                f.write(made(([(('main.a', 'main.main'), values), (('main.b', 'main.main'), values)]), types=types))
        for kind in {name for types, _ in parts for name, _ in types}:
            code, want, said = run_pprof(program, ['-top', '-sample_index=' + kind], *paths)
            p = Prowl('report', '-t', kind, *paths)
            check(bool(code) == bool(p.status), '%s, %s: pprof exits with %d (%s), prowl with %d (%s)', what, kind, code, said,
                  p.status, p.err)
            check(code or lines_of(p.out) == want, '%s, %s:\n%s\nnot\n%s', what, kind, p.out, '\n'.join(want))
            compared += not code
    check(compared >= 7, 'only %d compared', compared)

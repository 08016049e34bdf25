# SPDX-License-Identifier: Apache-2.0
"""speedscope files and JSON hold what the pprof file holds; times are those of the samples."""

import collections
import json
import os
import subprocess
import urllib.request

import browser
import pprof
from harness import PROWL, Prowl, Skip, Target, build, check, need_perf, note, out_file, profile, test, tmp

TURN = 200_000_000  # of the target 'turns', ns


def strict(data):
    """JSON as its definition has it: UTF-8, no NaN, no name twice in an object."""
    def unique(pairs):
        result = dict(pairs)
        check(len(result) == len(pairs), 'a name twice: %r', [k for k, _ in pairs])
        return result

    def no_constant(name):
        check(False, 'not JSON: %s', name)

    return json.loads(data.decode('utf-8', 'strict'), object_pairs_hook=unique, parse_constant=no_constant)


def report(path, form, *args):
    out = tmp('report.' + form)
    Prowl('report', '-f', form, '-o', out, *args, path).must(0)
    with open(out, 'rb') as f:
        return strict(f.read())


def text_of(frame):
    """What code is called that has no symbols."""
    if frame.name:
        return frame.name
    return '[%s]' % os.path.basename(frame.mapping) if frame.mapping else '<unknown>'


def stacks_of(prof, key=lambda labels: None):
    """Values by (key of the labels, stack root first, inlined functions included)."""
    result = collections.defaultdict(lambda: [0] * len(prof.sample_types))
    for frames, values, labels in prof.stacks():
        sums = result[key(labels), tuple(text_of(f) for f in reversed(frames))]
        for i, v in enumerate(values):
            sums[i] += v
    return result


def pictures_of(scope):
    """Weights by (name of the picture, stack), without gaps; and the sum of each picture, with them."""
    names = [f['name'] for f in scope['shared']['frames']]
    result, sums = collections.Counter(), {}
    for p in scope['profiles']:
        check(len(p['samples']) == len(p['weights']), '%s: %d samples, %d weights', p['name'], len(p['samples']),
              len(p['weights']))
        check(all(w > 0 for w in p['weights']), '%s: a weight that speedscope refuses or drops', p['name'])
        check(p['startValue'] + sum(p['weights']) == p['endValue'], '%s: ends at %d, not %d', p['name'],
              p['endValue'], sum(p['weights']))
        check(p['name'] not in sums, 'two pictures called %s', p['name'])
        sums[p['name']] = sum(p['weights'])
        for stack, weight in zip(p['samples'], p['weights']):
            result[p['name'], tuple(names[i] for i in stack)] += weight
    return result, sums


def check_scope(prof, scope):
    """Each stack of each type has the same weight in both."""
    names = {f['name'] for f in scope['shared']['frames']}
    used = {i for p in scope['profiles'] for s in p['samples'] for i in s}
    check(used == set(range(len(scope['shared']['frames']))), 'frames that no sample has')
    got, sums = pictures_of(scope)
    timed = any('end_timestamp_ns' in labels for _, _, labels in prof.stacks())
    for i, (kind, unit) in enumerate(prof.sample_types):
        want = {stack: v[i] for (_, stack), v in stacks_of(prof).items() if v[i]}
        have = collections.Counter()
        for (name, stack), w in got.items():
            if name.split(', ')[0] == kind and (stack or not timed):
                have[stack] += -w if name.startswith(kind + ', negative') else w
        check(have == collections.Counter(want), '%s: %r', kind,
              [(s, want.get(s), have.get(s)) for s in set(want) | set(have) if want.get(s) != have.get(s)][:3])
        check(sum(have.values()) == prof.total(kind), '%s: the weights are %d, the values %d', kind,
              sum(have.values()), prof.total(kind))
        units = {p['unit'] for p in scope['profiles'] if p['name'].split(', ')[0] == kind}
        check(units <= {unit if unit in ('nanoseconds', 'bytes') else 'none'}, '%s: units %r', kind, units)
    return len(names), sums


def check_json(prof, doc):
    """Every sample, with its values, labels, frames and lines."""
    check(doc['schema_version'] == 1, 'version %r', doc['schema_version'])
    check([(t['type'], t['unit']) for t in doc['sample_types']] == prof.sample_types, 'types: %r',
          doc['sample_types'])
    check((doc['time_nanos'], doc['duration_nanos'], doc['period']) ==
          (prof.time_nanos, prof.duration_nanos, prof.period), 'time, duration or period differ')
    check(doc['comments'] == prof.comments, 'comments differ')
    kinds = [k for k, _ in prof.sample_types]
    want, have = collections.Counter(), collections.Counter()
    for frames, values, labels in prof.stacks():
        lines = tuple((f.name, f.file, f.line) for f in frames if f.name)
        want[tuple(values), tuple(sorted(labels.items())), tuple(text_of(f) for f in frames), lines] += 1
    for s in doc['samples']:
        lines = tuple((line['name'], line['file'], line['line'])
                      for i in s['locations'] for line in doc['locations'][i]['lines'] if line['name'])
        have[tuple(s['values'][k] for k in kinds), tuple(sorted(s['labels'].items())), tuple(s['stack']), lines] += 1
        check(set(s['label_units']) <= set(s['labels']), 'units of no label: %r', s)
    check(want == have, 'samples: only in the file %r, only in the JSON %r', list((want - have).items())[:2],
          list((have - want).items())[:2])
    for place in doc['locations']:
        for line in place['lines']:
            check(doc['functions'][line['function']]['name'] == line['name'], 'function %r', line)
        check(place['mapping'] is None or place['mapping'] < len(doc['mappings']), 'mapping %r', place)


def schema():
    try:
        import jsonschema
    except ImportError:
        raise Skip('no python3-jsonschema')
    with open(os.path.join(browser.installed(), 'file-format-schema.json')) as f:
        return jsonschema.Draft7Validator(json.load(f))


def check_all(validator, path, what):
    prof = pprof.load(path)
    scope = report(path, 'speedscope')
    errors = [e.message[:200] for e in validator.iter_errors(scope)]
    check(not errors, '%s: speedscope\'s schema says %s', what, errors[:3])
    frames, sums = check_scope(prof, scope)
    check_json(prof, report(path, 'json'))
    note('%-26s %4d samples, %3d frames, %d pictures', what, len(prof.samples), frames, len(sums))


def saved(prof_bytes):
    path = out_file()
    with open(path, 'wb') as f:
        f.write(prof_bytes)
    return path


@test('clients', 'speedscope files and JSON of CPU profiles')
def cpu():
    validator = schema()
    with Target(build('1.19', 'known_shares', 'static'), '-threads', 2) as t:
        for args in ([], ['--threads'], ['--timeline'], ['--user']):
            check_all(validator, profile(t.pid, 1, *args).path, 'cpu ' + ' '.join(args))
        check_all(validator, t.own_profile(1).path, 'cpu of Go')
        merged = out_file()
        with Target(build('1.19', 'known_shares', 'stripped')) as other:
            Prowl('profile', '-p', t.pid, '-p', other.pid, '-d', 1, '--timeline', '-o', merged).must(0)
        check_all(validator, merged, 'cpu of two processes')
    if os.geteuid() == 0:
        with Target(build('1.19', 'known_shares', 'static'), nobody=True) as t:
            prof = profile(t.pid, 1, '--timeline', nobody=True)
        check_all(validator, prof.path, 'cpu as nobody')  # with the kernel's time, which has none


@test('clients', 'speedscope files and JSON of recorded profiles')
def recorded():
    validator = schema()
    with Target(build('1.23', 'heapzoo', 'static')) as t:
        for kind in ('heap', 'allocs', 'block', 'mutex', 'threadcreate', 'goroutine'):
            path = out_file()
            Prowl(kind, '--pid', t.pid, '-o', path).must(0)
            check_all(validator, path, kind)
            theirs = out_file()
            fetch_own(t, kind, theirs)
            check_all(validator, theirs, kind + ' of Go')
        path = out_file()
        if Prowl('wall', '--pid', t.pid, '-d', 1, '-o', path).status == 0:
            check_all(validator, path, 'wall')


def fetch_own(target, kind, path):
    with urllib.request.urlopen('http://%s/debug/pprof/%s' % (target.hello['http'], kind), timeout=60) as f:
        with open(path, 'wb') as out:
            out.write(f.read())


@test('clients', 'speedscope files and JSON straight from a process')
def straight():
    need_perf()
    with Target(build('1.19', 'known_shares', 'static')) as t:
        for kind, args in (('profile', ['-d', 1]), ('goroutine', [])):
            for form, end in (('speedscope', '.speedscope.json'), ('json', '.json')):
                by_name, by_option = tmp(kind + end), tmp(kind + '.other')
                Prowl(kind, '-p', t.pid, *args, '-o', by_name).must(0)
                Prowl(kind, '-p', t.pid, *args, '-f', form, '-o', by_option).must(0)
                for path in (by_name, by_option):
                    with open(path, 'rb') as f:
                        doc = strict(f.read())
                    check(('$schema' if form == 'speedscope' else 'schema_version') in doc, '%s is no %s', path, form)


def busy(prof, function):
    return [(labels['end_timestamp_ns'], values) for frames, values, labels in prof.stacks()
            if any(f.name == function for f in frames) and 'end_timestamp_ns' in labels]


@test('clients', 'times of --timeline are those of the samples')
def times():
    with Target(build('1.23', 'turns', 'static')) as t:
        prof = profile(t.pid, 3, '--timeline', rate=499, least=400)
    check(any('timeline: %d samples with their time, 0 without' % prof.total('samples') in c for c in prof.comments),
          'comments: %r', prof.comments)
    for _, values, labels in prof.stacks():
        check('end_timestamp_ns' in labels and 'thread_id' in labels and values[0] == 1, 'no time: %r %r', values,
              labels)
        check(prof.time_nanos <= labels['end_timestamp_ns'] <= prof.time_nanos + prof.duration_nanos,
              'a sample outside of the window')
    for function, parity in (('main.turnA', 0), ('main.turnB', 1), ('main.odd', 1)):
        seen = busy(prof, function)
        right = sum(1 for when, _ in seen if when // TURN % 2 == parity)
        note('%s: %d of %d samples are of its turns', function, right, len(seen))
        # who gets the CPU when a turn is over ends it then: a sample a turn, of which each has every second
        turns = prof.duration_nanos / TURN / 2 + 1
        check(len(seen) > 50 and right >= 0.98 * len(seen) - turns, '%s: %d of %d', function, right, len(seen))
    scope = report(prof.path, 'speedscope', '-t', 'cpu')
    check_scope_times(prof, scope)


def check_scope_times(prof, scope):
    """The place of a bar on the axis is the time of the sample; what comes first comes first."""
    names = [f['name'] for f in scope['shared']['frames']]
    for functions in (('main.turnA', 'main.turnB'), ('main.odd',)):
        picture = [p for p in scope['profiles']
                   if any(names[i] == functions[0] for s in p['samples'] for i in s)]
        check(len(picture) == 1, '%s is in %d pictures', functions, len(picture))
        at, right, all_, order = prof.time_nanos, 0, 0, []
        check(abs(picture[0]['endValue'] - prof.duration_nanos) < TURN / 4, 'the picture lasts %d of %d ns',
              picture[0]['endValue'], prof.duration_nanos)
        for stack, weight in zip(picture[0]['samples'], picture[0]['weights']):
            at += weight
            shown = [names[i] for i in stack if names[i] in functions]
            if shown:
                all_ += weight
                right += weight * ((at - weight / 2) // TURN % 2 == (shown[0] != 'main.turnA'))
                if not order or order[-1][0] != shown[0] or at - order[-1][1] > TURN / 2:
                    order.append((shown[0], at))
                order[-1] = (shown[0], at)
        note('%s: %.1f %% of the picture is where its turns are, in %d pieces', functions[0], 100 * right / all_,
             len(order))
        check(right > 0.93 * all_, '%s: only %.1f %% are in their turn', functions[0], 100 * right / all_)
        # 3 s are 15 turns: each is a piece, whole unless others had the CPU meanwhile
        check(len(order) >= (12 if len(functions) > 1 else 5), 'pieces: %r', [f for f, _ in order])


# --- texts that would break a careless writer ----------------------------------------------------------------------

HOSTILE = [b'</script><img src=x onerror=alert(1)>', b'"\\"\\\\', b'a\nb\r\t\0c', bytes(range(1, 32)) + b'\x7f',
           b'\xff\xfe\xc3(\xed\xa0\x80\xf4\x90\x80\x80', '\u202e\u2028\x9b31m\U0001f980'.encode(), b'x' * 100_000,
           b'"' * 100_000, b'', b' ']


def varint(v):
    out = bytearray()
    v &= (1 << 64) - 1
    while v >= 0x80:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    return bytes(out) + bytes([v])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def hostile(text):
    """A profile in which every name is the text."""
    strings = [b'', text, b'count']
    one = field(1, 1) + field(2, 1)
    return b''.join([
        field(1, field(1, 1) + field(2, 1)), field(1, field(1, 2) + field(2, 2)),
        field(2, field(1, 1) + field(2, varint(1) + varint((1 << 63) - 1)) + field(3, one) +
              field(3, field(1, 2) + field(3, -5) + field(4, 1))),
        field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x2000) + field(5, 1) + field(6, 1)),
        field(4, field(1, 1) + field(2, 1) + field(3, 0x1800) + field(4, field(1, 1) + field(2, 3))),
        field(5, field(1, 1) + field(2, 1) + field(3, 1) + field(4, 1) + field(5, 2)),
        *[field(6, s) for s in strings], field(13, 1), field(14, 2)])


@test('clients', 'speedscope files and JSON of hostile names')
def names():
    for text in HOSTILE:
        if b'\0' in text:
            continue  # no profile: the reader refuses it
        path = saved(hostile(text))
        shown = text.decode('utf-8', 'replace')
        scope, doc = report(path, 'speedscope'), report(path, 'json')
        name = scope['shared']['frames'][0]['name']
        check(name == (shown or '<unknown>') or '\ufffd' in name, '%r became %r', shown[:80], name[:80])
        check(doc['samples'][0]['values']['count'] == (1 << 63) - 1, 'value %r', doc['samples'][0]['values'])
        check(doc['samples'][0]['stack'] == [name], 'stack %r', doc['samples'][0]['stack'][:1])


@test('e2e', 'a profile of several processes is named as all of them')
def several():
    need_perf()
    folder = tmp('several')
    os.makedirs(folder)
    with Target(build('1.23', 'known_shares', 'static')) as a, Target(build('1.23', 'busy_threads', 'static')) as b:
        p = subprocess.run([PROWL, 'profile', '-q', '-d', '1', '-F', '199', '-p', str(a.pid), '-p', str(b.pid)], cwd=folder,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        one = subprocess.run([PROWL, 'profile', '-q', '-d', '1', '-p', str(a.pid)], cwd=folder, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=60)
        names = [open('/proc/%d/comm' % t.pid).read().strip() for t in (a, b)]
        pids = (a.pid, b.pid)
    check(p.returncode == 0 and one.returncode == 0, 'exit %d: %s', p.returncode, p.stderr)
    files = sorted(os.listdir(folder))
    both = [f for f in files if f.startswith('prowl.%s-%s.2-processes.cpu.' % tuple(names))]
    check(len(both) == 1 and len(files) == 2, 'the files: %r', files)
    check(any(f.startswith('prowl.%s.%d.cpu.' % (names[0], pids[0])) for f in files), 'the files: %r', files)
    path = os.path.join(folder, both[0])
    first = Prowl('report', path).must(0).out.splitlines()[0]
    want = {'%s (pid %d)' % pair for pair in zip(names, pids)}
    check(first.startswith('Processes: ') and set(first[11:].split(', ')) == want, 'the text begins: %s', first)
    page = Prowl('report', '-f', 'html', path).must(0).out
    check(all(name in page.split('<title>')[1].split('</title>')[0] for name in names), 'the title of the page')

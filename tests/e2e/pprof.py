# SPDX-License-Identifier: Apache-2.0
"""A small reader of pprof files, written apart from prowl's own, so that the tests judge with other eyes.

Refuses what the format forbids: fields of the wrong wire type, truncated messages, references to ids and strings
that do not exist. Profile.stacks() yields (frames, values, labels), leaf first, inlined frames expanded.
"""

import collections
import gzip

Frame = collections.namedtuple('Frame', 'name file line start_line address mapping kernel inlined')


class Malformed(Exception):
    pass


def varint(data, pos):
    result = shift = 0
    while True:
        if pos >= len(data) or shift > 63:
            raise Malformed('varint at %d' % pos)
        byte = data[pos]
        pos += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, pos
        shift += 7


def fields(data):
    """(number, value) of each field; value is an int, or bytes of a length-delimited field."""
    pos = 0
    while pos < len(data):
        key, pos = varint(data, pos)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise Malformed('field number 0')
        if wire == 0:
            value, pos = varint(data, pos)
        elif wire == 2:
            size, pos = varint(data, pos)
            value = data[pos:pos + size]
            if len(value) != size:
                raise Malformed('field %d is cut short' % number)
            pos += size
        else:
            raise Malformed('wire type %d of field %d' % (wire, number))
        yield number, value


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def integers(value):
    """A repeated integer field, packed or not."""
    if isinstance(value, int):
        return [value]
    result, pos = [], 0
    while pos < len(value):
        number, pos = varint(value, pos)
        result.append(number)
    return result


def message(data, single, repeated=()):
    """A message as a dict: names of single and of repeated fields by number; fields not named are ignored."""
    single, repeated = dict(single), dict(repeated)
    result = {name: 0 for name in single.values()}
    result.update({name: [] for name in repeated.values()})
    for number, value in fields(data):
        if number in single:
            result[single[number]] = value
        elif number in repeated:
            result[repeated[number]].append(value)
    return result


class Profile:
    def __init__(self, data):
        if data[:2] == b'\x1f\x8b':
            data = gzip.decompress(data)
        if not data:
            raise Malformed('empty')
        top = message(data, {7: 'drop', 8: 'keep', 9: 'time_nanos', 10: 'duration_nanos', 11: 'period_type',
                             12: 'period', 14: 'default_type'},
                      {1: 'sample_type', 2: 'sample', 3: 'mapping', 4: 'location', 5: 'function', 6: 'string',
                       13: 'comment'})
        self.strings = [s.decode('utf-8', 'replace') for s in top['string']]
        if not self.strings or self.strings[0] != '':
            raise Malformed('the first string is not empty')
        self.time_nanos = signed(top['time_nanos'])
        self.duration_nanos = signed(top['duration_nanos'])
        self.period = signed(top['period'])
        self.sample_types = [self._value_type(v) for v in top['sample_type']]
        self.period_type = self._value_type(top['period_type']) if top['period_type'] else None
        self.comments = [self._string(i) for v in top['comment'] for i in integers(v)]
        self.mappings = {}
        for m in top['mapping']:
            m = message(m, {1: 'id', 2: 'start', 3: 'limit', 4: 'offset', 5: 'file', 6: 'build_id'})
            m['file'], m['build_id'] = self._string(m['file']), self._string(m['build_id'])
            self._add(self.mappings, m)
        self.functions = {}
        for f in top['function']:
            f = message(f, {1: 'id', 2: 'name', 3: 'system_name', 4: 'file', 5: 'start_line'})
            for key in ('name', 'system_name', 'file'):
                f[key] = self._string(f[key])
            f['start_line'] = signed(f['start_line'])
            self._add(self.functions, f)
        self.locations = {}
        for data in top['location']:
            loc = message(data, {1: 'id', 2: 'mapping', 3: 'address', 5: 'folded'}, {4: 'line'})
            loc['frames'] = self._frames(loc)
            self._add(self.locations, loc)
        self.samples = [self._sample(s) for s in top['sample']]

    def _string(self, index):
        if not isinstance(index, int) or index >= len(self.strings):
            raise Malformed('string %r of %d' % (index, len(self.strings)))
        return self.strings[index]

    @staticmethod
    def _add(table, item):
        if item['id'] == 0 or item['id'] in table:
            raise Malformed('id %d is 0 or taken' % item['id'])
        table[item['id']] = item

    def _value_type(self, data):
        v = message(data, {1: 'type', 2: 'unit'})
        return self._string(v['type']), self._string(v['unit'])

    def _frames(self, loc):
        mapping = None
        if loc['mapping']:
            if loc['mapping'] not in self.mappings:
                raise Malformed('mapping %d' % loc['mapping'])
            mapping = self.mappings[loc['mapping']]['file']
        kernel = loc['address'] >> 63 == 1 or (mapping or '').startswith('[kernel')
        frames = []
        for i, data in enumerate(loc['line']):
            line = message(data, {1: 'function', 2: 'line'})
            if line['function'] not in self.functions:
                raise Malformed('function %d' % line['function'])
            f = self.functions[line['function']]
            frames.append(Frame(f['name'], f['file'], signed(line['line']), f['start_line'], loc['address'], mapping,
                                kernel, i + 1 < len(loc['line'])))
        return frames or [Frame('', '', 0, 0, loc['address'], mapping, kernel, False)]

    def _sample(self, data):
        s = message(data, {}, {1: 'location', 2: 'value', 3: 'label'})
        ids = [i for v in s['location'] for i in integers(v)]
        values = [signed(i) for v in s['value'] for i in integers(v)]
        if len(values) != len(self.sample_types):
            raise Malformed('%d values for %d sample types' % (len(values), len(self.sample_types)))
        labels = {}
        for label in s['label']:
            label = message(label, {1: 'key', 2: 'str', 3: 'num', 4: 'unit'})
            labels[self._string(label['key'])] = self._string(label['str']) or signed(label['num'])
        for i in ids:
            if i not in self.locations:
                raise Malformed('location %d' % i)
        return ids, values, labels

    def index(self, name):
        """The index of the sample type called name."""
        return [t for t, _ in self.sample_types].index(name)

    def stacks(self):
        for ids, values, labels in self.samples:
            yield [f for i in ids for f in self.locations[i]['frames']], values, labels

    def total(self, name='cpu'):
        at = self.index(name)
        return sum(values[at] for _, values, _ in self.samples)


def load(path):
    with open(path, 'rb') as f:
        return Profile(f.read())


def user(frames):
    """Without the kernel's frames."""
    return [f for f in frames if not f.kernel]


def pseudo(frame):
    """[unknown], [truncated], [lost] and their like."""
    return frame.name.startswith('[')

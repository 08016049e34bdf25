# SPDX-License-Identifier: Apache-2.0
"""Profiles that a test makes up: written apart from ours."""

import gzip
import random


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def profile(stacks, types=(('samples', 'count'), ('cpu', 'nanoseconds')), file='/bin/made', files=None, comments=(),
            seconds=10):
    """The bytes of a profile of (names leaf first, values) pairs; names are text or bytes. files: name to source file."""
    strings, functions, body = {b'': 0}, {}, bytearray()

    def string(s):
        return strings.setdefault(s if isinstance(s, bytes) else s.encode(), len(strings))

    for kind, unit in types:
        body += field(1, field(1, string(kind)) + field(2, string(unit)))
    ids = {}  # of each name, as it is written
    for names, values in stacks:
        for n in names:
            if n not in ids:
                functions[n] = len(functions) + 1
                ids[n] = varint(functions[n])
        body += field(2, field(1, b''.join([ids[n] for n in names])) + field(2, b''.join(varint(v) for v in values)))
    body += field(3, field(1, 1) + field(2, 0x400000) + field(3, 0x800000) + field(5, string(file)) +
                  field(6, string('0123abcd')) + field(7, 1))
    for name, number in functions.items():
        source = (files or {}).get(name, 'src/made.go')
        body += field(4, field(1, number) + field(2, 1) + field(3, 0x400000 + number) + field(4, field(1, number) + field(2, 7)))
        body += field(5, field(1, number) + field(2, string(name)) + field(3, string(name)) + field(4, string(source)) +
                      field(5, 5))
    said = b''.join(field(13, string(c)) for c in comments)
    for s in sorted(strings, key=strings.get):
        body += field(6, s)
    return gzip.compress(bytes(body + said + field(9, 1700000000 * 10 ** 9) + field(10, seconds * 10 ** 9)), 1)


def large(samples=100_000, functions=20_000, depth=30):
    """As many different stacks and functions; what is called most is called in many ways, as in real programs."""
    rand = random.Random(1)
    packages = ['example.com/large/pkg%d.' % i for i in range(200)] + ['runtime.', 'net/http.', 'encoding/json.']
    names = ['%s(*Type%d).method%d' % (packages[i % len(packages)], i % 97, i) for i in range(functions)]
    steps = [1 + min(int(rand.expovariate(1.1)), 40) for _ in range(4096)]
    seen, out, k = set(), [], 0
    while len(out) < samples:
        at, stack = rand.randrange(8), []
        for level in range(depth - rand.randrange(10)):
            k = (k * 1103515245 + 12345) & 0x7fffffff
            at = (at * 7 + steps[k >> 12 & 4095]) % functions
            stack.append(names[(at + 31 * level) % functions])
        # so that each function is somewhere
        stack.append(names[len(out) % functions])
        key = hash(tuple(stack))
        if key not in seen:
            seen.add(key)
            out.append((stack[::-1], (1, rand.randrange(1, 20_000_000))))
    return out

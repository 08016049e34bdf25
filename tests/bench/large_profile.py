#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a large CPU profile: large_profile.py FILE [SAMPLES [FUNCTIONS]]; the same bytes each time."""

import gzip
import random
import sys


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field, numbers):
    return message(field, b''.join(map(varint, numbers)))


def profile(samples, functions):
    """Stacks of 5 to 40 frames that share their outer ends, each function with four places."""
    rng = random.Random(4)
    strings = ['', 'samples', 'count', 'cpu', 'nanoseconds', '/usr/bin/large', 'c0ffee']
    parts = [message(1, number(1, 1) + number(2, 2)), message(1, number(1, 3) + number(2, 4)),
             message(3, number(1, 1) + number(2, 0x400000) + number(3, 0x40000000) + number(5, 5) + number(6, 6)
                     + number(7, 1))]
    for i in range(functions):
        strings += ['example.com/large/pkg%d.(*Type%d).method%d' % (i % 400, i % 7, i), '/src/pkg%d/file%d.go' % (i % 400, i % 9)]
        parts.append(message(5, number(1, i + 1) + number(2, len(strings) - 2) + number(3, len(strings) - 2)
                             + number(4, len(strings) - 1) + number(5, 10)))
    for i in range(4 * functions):
        lines = message(4, number(1, i // 4 + 1) + number(2, 11 + i % 4))
        if i % 10 == 0:  # an inlined function
            lines = message(4, number(1, rng.randrange(functions) + 1) + number(2, 5)) + lines
        parts.append(message(4, number(1, i + 1) + number(2, 1) + number(3, 0x400000 + 16 * i) + lines))
    stack = []
    for _ in range(samples):
        # a walk in the tree of calls: some frames off, some frames on
        del stack[max(1, len(stack) - rng.randrange(8)):]
        while len(stack) < 5 or (len(stack) < 40 and rng.random() < 0.75):
            stack.append(int(4 * functions * rng.random() ** 2) + 1)
        count = rng.randrange(1, 4)
        parts.append(message(2, packed(1, reversed(stack)) + packed(2, [count, count * 10000000])))
    parts += [message(6, s.encode()) for s in strings]
    parts.append(message(11, number(1, 3) + number(2, 4)) + number(12, 10000000) + number(10, 30000000000))
    return b''.join(parts)


if __name__ == '__main__':
    numbers = [int(a) for a in sys.argv[2:]] + [100000, 20000][len(sys.argv) - 2:]
    with gzip.GzipFile(sys.argv[1], 'wb', 1, mtime=0) as to:
        to.write(profile(*numbers))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz_eh_frame: make_eh_frame_corpus.py FOLDER. See fuzz_eh_frame.c for the form of an input."""

import os
import struct
import sys

BASE, CODE = 0x10000, 0x1000


def uleb(v):
    out = b''
    while True:
        out += bytes([v & 0x7f | (0x80 if v > 0x7f else 0)])
        v >>= 7
        if not v:
            return out


def entry(body, wide=False):
    body += b'\0' * (-len(body) % 8)
    return (struct.pack('<IQ', 0xffffffff, len(body)) if wide else struct.pack('<I', len(body))) + body


def cie(augmentation=b'zR', data=b'\x00', version=1, identity=b'\0' * 4, ra=16, wide=False):
    body = identity + bytes([version]) + augmentation + b'\0' + (b'\x08\x00' if version == 4 else b'') + b'\x01\x78' + bytes([ra])
    if augmentation[:1] == b'z':
        body += uleb(len(data)) + data
    return entry(body + b'\x0c\x07\x08\x90\x01', wide)


def fde(distance, start, size, rules, sized=True, form='<QQ', wide=False):
    return entry(struct.pack('<I', distance) + struct.pack(form, start, size) + (b'\0' if sized else b'') + rules, wide)


def eh_frame(rules, augmentation=b'zR', data=b'\x00', **more):
    c = cie(augmentation, data, **more)
    out = c
    for i in range(4):
        out += fde(len(out) + 4 + (8 if more.get('wide') else 0), CODE + 0x40 * i, 0x40, rules, augmentation[:1] == b'z',
                   wide=more.get('wide', False))
    return out


def file(kinds, *sections, stack=b'', asked=None):
    third = max(len(s) for s in sections)
    sections = list(sections) + [b''] * (3 - len(sections))
    pcs = asked or [CODE + 5 * i for i in range(16)]
    # the first third is the longest: it gets the rest of the division
    return (bytes([kinds]) + struct.pack('<16H', *pcs) + stack.ljust(64, b'\0') +
            b''.join(s.ljust(third, b'\0') for s in sections))


def header(n, eh_size):
    at = BASE + eh_size
    out = b'\x01\x1b\x03\x3b' + struct.pack('<iI', BASE - (at + 4), n)
    for i in range(n):
        out += struct.pack('<ii', CODE + 0x40 * i - at, BASE + 24 + 40 * i - at)
    return out


def main(folder):
    os.makedirs(folder, exist_ok=True)
    plain = b'\x41\x0e\x10\x86\x02\x43\x0d\x06\x02\x10\x83\x03\x0a\x41\x0c\x07\x08\x41\x0b'
    stack = struct.pack('<8Q', CODE + 0x45, BASE + 0x20, BASE + 0x30, CODE + 0x85, BASE + 0x38, CODE + 0xc5, 0, CODE)
    inputs = {
        'plain': file(6, eh_frame(plain), stack=stack),
        'expression': file(6, eh_frame(b'\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22'), stack=stack),
        'saved-by-expression': file(6, eh_frame(b'\x10\x06\x02\x77\x08\x16\x0c\x03\x77\x00\x06'), stack=stack),
        'signal': file(6, eh_frame(plain, b'zRS'), stack=stack),
        'personality': file(6, eh_frame(plain, b'zPLR', b'\x9b\0\0\0\0\x1b\x00'), stack=stack),
        'set-loc': file(6, eh_frame(b'\x01' + struct.pack('<Q', CODE + 8) + b'\x0e\x20'), stack=stack),
        'wide': file(6, eh_frame(plain, wide=True), stack=stack),
        'advances': file(6, eh_frame(b'\x02\x10\x0e\x10\x03\x10\x00\x0e\x18\x04\x10\x00\x00\x00\x0e\x20'), stack=stack),
        'registers': file(6, eh_frame(b'\x09\x03\x06\x08\x0c\x07\x0d\x05\x0e\x03\x11\x0f\x7f\x14\x06\x02\x15\x03\x7f\x2f\x0c\x01'),
                          stack=stack),
        'arm64': file(14, eh_frame(b'\x41\x0e\x10\x9d\x02\x9e\x01\x2d', ra=30), stack=stack),
        'no-tables': file(7, b'\0' * 32, stack=stack),
    }
    eh = eh_frame(plain)
    inputs['header'] = file(5, eh, header(4, len(eh)), stack=stack)
    for version in 1, 3, 4:
        d = cie(b'', b'', version, b'\xff' * 4)
        for i in range(4):
            d += fde(0, CODE + 0x40 * i, 0x40, plain, sized=False)
        inputs['debug-%d' % version] = file(3, b'', b'', d, stack=stack)
    for name, data in inputs.items():
        with open(os.path.join(folder, name), 'wb') as f:
            f.write(data)


if __name__ == '__main__':
    main(sys.argv[1])

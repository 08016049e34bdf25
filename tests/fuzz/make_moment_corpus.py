#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_moment into corpus/moment, next to this script."""
import pathlib
import struct

M, CURG, G0, GSIGNAL, GO_STACK, C_STACK, LABELS = range(7)


def piece(kind, addr, data, size=None):
    return struct.pack('<QII', addr, len(data) if size is None else size, kind) + data + b'\0' * (-len(data) % 8)


def record(pieces=b'', user=1, size=None, sp=0xc000100200):
    return struct.pack('<IIQQQ', 32 + len(pieces) if size is None else size, user, 4001 << 32 | 4002, 0x401000,
                       sp) + pieces


stack = struct.pack('<QQ', 0xc000100000, 0xc000102000)
thread = piece(M, 0xc000010000, b'\1' * 320) + piece(CURG, 0xc000020000, stack + b'\2' * 352) + \
    piece(G0, 0xc000030000, stack + b'\3' * 112)
SEEDS = {
    'empty': record(),
    'thread': record(thread + piece(GO_STACK, 0xc000101000, b'\4' * 64)),
    'labels': record(thread + piece(GSIGNAL, 0xc000040000, stack) + piece(LABELS, 0xc000200000, b'tenant')),
    'hole': record(thread + piece(C_STACK, 0x7f0000001000, b'')),
    'kernel': record(thread, user=0, sp=0),
    'no_m': record(piece(G0, 0xc000030000, stack)),
    'at_the_end': record(piece(LABELS, 2**64 - 8, b'12345678')),
    'beyond_the_end': record(piece(LABELS, 2**64 - 4, b'12345678')),
    'piece_too_long': record(piece(M, 0x1000, b'x' * 16, size=17)),
    'piece_huge': record(piece(M, 0x1000, b'x' * 16, size=2**32 - 1)),
    'record_too_long': record(thread, size=4096),
    'record_too_short': record(thread, size=31),
    'half_a_piece': record(thread[:340]),
    'many': record(b''.join(piece(LABELS, 0x1000 + i, b'x') for i in range(100))),
}

folder = pathlib.Path(__file__).resolve().parent / 'corpus' / 'moment'
folder.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (folder / name).write_bytes(data)

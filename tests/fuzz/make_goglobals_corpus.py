#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes corpus/goglobals: programs from which the runtime's variables can be found. See fuzz_goglobals.c."""

import os
import struct

CODE, SEGMENT, HEAP, NFUNCS = 128, 256, 0x10000000, 12
VARS = NFUNCS * CODE  # offsets from the start of the text
BSS, NOPTRBSS = VARS + 2 * SEGMENT, VARS + 3 * SEGMENT
HEADS, ALLGS, ALLGPTR, ALLGLEN = BSS + 64, BSS, BSS + 32, NOPTRBSS


class Program:
    def __init__(self):
        self.text = bytearray(VARS + 4 * SEGMENT)
        self.at = [0] * NFUNCS
        self.heap = bytearray(4096)

    def put(self, f, b):
        at = f * CODE + self.at[f]
        self.text[at:at + len(b)] = b
        self.at[f] += len(b)

    def ins(self, f, opcode, target, imm=b''):
        end = f * CODE + self.at[f] + len(opcode) + 4 + len(imm)
        self.put(f, opcode + struct.pack('<i', target - end) + imm)

    def bytes(self, layout, machine=0):
        return bytes([layout, machine]) + bytes(self.text) + bytes(self.heap)


def amd64():
    p = Program()
    for off in (0, 8, 16):
        p.ins(0, b'\x48\x8b\x05', ALLGS + off)
        p.ins(7, b'\x48\x8b\x05', BSS + 96 + off)
    p.ins(0, b'\x48\x8d\x15', ALLGPTR)
    p.ins(0, b'\x48\x8d\x15', ALLGLEN)
    p.put(0, b'\x48\x87\x02')
    for off in (0, 16, 8):
        p.ins(1, b'\x48\x8d\x05', HEADS + off)
    p.ins(2, b'\x48\x8b\x05', VARS)
    for off in (16, 24):
        p.ins(3, b'\x48\x83\x3d', NOPTRBSS + off, b'\0')
    p.ins(4, b'\x8b\x05', NOPTRBSS + 32)
    p.ins(5, b'\x48\x8b\x05', BSS + 48)
    p.ins(6, b'\xc7\x05', BSS + 120 + 56, struct.pack('<i', 10000))
    p.ins(8, b'\x48\x8b\x05', BSS + 96)
    p.ins(8, b'\x48\x8b\x05', BSS + 104)
    p.ins(9, b'\x48\x8b\x05', NOPTRBSS + 72)
    p.ins(9, b'\x48\x8d\x05', NOPTRBSS + 48)
    p.ins(11, b'\x48\x8b\x05', HEADS)
    return p


def old():
    p = Program()
    for off in (0, 16, 8):
        p.ins(1, b'\x48\x8b\x0d', HEADS + off)
        p.ins(1, b'\x48\x89\x05', HEADS + off)
    return p


def values():
    p = amd64()
    struct.pack_into('<QQQ', p.text, ALLGS, HEAP + 2048, 1, 4)
    struct.pack_into('<Q', p.text, ALLGPTR, HEAP + 2048)
    struct.pack_into('<Q', p.text, HEADS, HEAP)
    struct.pack_into('<QQQQQQQ', p.heap, 0, 0, 0, 1, 0, 0, 1, 0x401000)
    struct.pack_into('<Q', p.heap, 2048, HEAP + 1024)
    struct.pack_into('<Q', p.heap, 1024 + 72, HEAP + 1024)
    struct.pack_into('<QQ', p.heap, 1024 + 152, 1, 1)
    return p


def arm64():
    p = Program()
    words = [0x9000001B, 0x9100037B, 0xF9400361, 0xC89FFC43, 0xA9400380, 0x5284E202, 0xB9000362, 0x94000000]
    for f in range(NFUNCS):
        for w in words[f % 3:] + words[:f % 3]:
            p.put(f, struct.pack('<I', w))
    return p


def main():
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus', 'goglobals')
    os.makedirs(out, exist_ok=True)
    seeds = {'amd64': amd64().bytes(10), 'old': old().bytes(4), 'values': values().bytes(10), 'values-old': values().bytes(5),
             'arm64': arm64().bytes(10, 1), 'empty': b'\0\0'}
    for name, data in seeds.items():
        with open(os.path.join(out, name), 'wb') as f:
            f.write(data.rstrip(b'\0') or b'\0\0')


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz_core: make_core_corpus.py DIRECTORY. Small cores, sound and damaged."""

import os
import struct
import sys

PRSTATUS, PRPSINFO, AUXV, FILE = 1, 3, 6, 0x46494C45


def note(kind, desc, name=b'CORE\0', align=4):
    pad = lambda b: b + bytes(-len(b) % align)
    return struct.pack('<III', len(name), len(desc), kind) + pad(name) + pad(desc)


def thread(tid):
    return note(PRSTATUS, struct.pack('<32xI76x27Q8x', tid, *range(27)))


def process(pid=1, name=b'sample'):
    return note(PRPSINFO, struct.pack('<24xI12x16s80x', pid, name))


def auxv(*pairs):
    return note(AUXV, b''.join(struct.pack('<QQ', *p) for p in pairs + ((0, 0),)))


def files(*entries, page=4096, count=None):
    head = struct.pack('<QQ', len(entries) if count is None else count, page)
    table = b''.join(struct.pack('<QQQ', *e[:3]) for e in entries)
    return note(FILE, head + table + b''.join(e[3] + b'\0' for e in entries))


def core(notes, segments, kind=4, machine=62, align=4, phnum=None):
    n = 1 + len(segments)
    at = 64 + 56 * n
    heads = struct.pack('<IIQQQQQQ', 4, 0, at, 0, 0, len(notes), 0, align)
    at += len(notes)
    memory = b''
    for address, size, flags, held in segments:
        heads += struct.pack('<IIQQQQQQ', 1, flags, at + len(memory), address, 0, len(held), size, 4096)
        memory += held
    head = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', kind, machine, 1, 0, 64, 0, 0, 64, 56,
                                                         n if phnum is None else phnum, 64, 0, 0)
    return head + heads + notes + memory


NOTES = (thread(1) + process() + auxv((33, 0x7000), (9, 0x1000)) + files((0x1000, 0x2000, 0, b'/bin/a (deleted)'),
                                                                      (0x2000, 0x3000, 1, b'/bin/b')) + thread(2))
MEMORY = [(0x1000, 0x1000, 5, b'text' * 20), (0x2000, 0x80, 6, b'data' * 32), (0x2080, 0x40, 6, b'more' * 16),
          (0x4000, 0x1000, 0, b'')]
SOUND = core(NOTES, MEMORY)

corpus = {
    'sound': SOUND,
    'arm64': core(NOTES, MEMORY, machine=183),
    'no_notes': core(b'', MEMORY),
    'no_memory': core(NOTES, []),
    'notes_of_8': core(note(PRSTATUS, bytes(336), align=8), MEMORY, align=8),
    'gcore': core(files((0x1000, 0x2000, 4096, b'/bin/a'), page=1), MEMORY),
    'cut_in_memory': SOUND[:-30],
    'cut_in_notes': SOUND[:64 + 56 * 5 + 300],
    'cut_in_headers': SOUND[:64 + 56 * 2],
    'overlap': core(NOTES, [(0x1000, 0x2000, 5, b''), (0x2000, 0x10, 5, b'')]),
    'wraps': core(NOTES, [((1 << 64) - 0x1000, 0x2000, 5, b'x')]),
    'top': core(NOTES, [((1 << 64) - 0x1000, 0xfff, 5, b'x' * 0xfff)]),
    'held_more_than_mapped': core(NOTES, [(0x1000, 8, 5, b'x' * 64)]),
    'many_files': core(files((0x1000, 0x2000, 0, b'/bin/a'), count=1 << 60), MEMORY),
    'no_page': core(files((0x1000, 0x2000, 0, b'/bin/a'), page=0), MEMORY),
    'huge_page': core(files((0x1000, 0x2000, 1 << 40, b'/bin/a'), page=1 << 40), MEMORY),
    'backward_file': core(files((0x2000, 0x1000, 0, b'/bin/a')), MEMORY),
    'short_thread': core(note(PRSTATUS, bytes(200)) + thread(2), MEMORY),
    'long_note': core(struct.pack('<III', 5, 0xffffffff, 1) + b'CORE\0\0\0\0', MEMORY),
    'long_name': core(struct.pack('<III', 0xfffffffc, 0, 1) + b'CORE\0\0\0\0', MEMORY),
    'other_owner': core(note(PRSTATUS, bytes(336), name=b'LINUX\0'), MEMORY),
    'phnum_65535': core(NOTES, MEMORY, phnum=0xffff),
    'not_a_core': core(NOTES, MEMORY, kind=2),
    'other_machine': core(NOTES, MEMORY, machine=3),
    'empty': b'',
}

if __name__ == '__main__':
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, content in corpus.items():
        with open(os.path.join(sys.argv[1], name), 'wb') as f:
            f.write(content)

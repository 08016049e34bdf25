#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_perf_record into corpus/perf_record, next to this script.

Each seed is a position in the ring and the records that begin there.
"""
import pathlib
import struct

KERNEL, USER, GUEST = -128, -512, -2048
TRAILER = struct.pack("<IIQIIQ", 4001, 4002, 123456789, 3, 0, 77)


def record(kind, body, misc=0, size=None):
    return struct.pack("<IHH", kind, misc, 8 + len(body) if size is None else size) + body


def side(kind, body, misc=0):
    return record(kind, body + TRAILER, misc)


def sample(chain=(), regs=None, stack=b"", dyn=None, misc=2, nchain=None):
    body = struct.pack("<QQIIQIIQ", 77, 0x401000, 4001, 4002, 1000000, 3, 0,
                       len(chain) if nchain is None else nchain)
    body += b"".join(struct.pack("<q", c) for c in chain)
    body += struct.pack("<Q", 0) if regs is None else struct.pack("<9Q", 2, *regs)
    body += struct.pack("<Q", len(stack))
    if stack:
        body += stack + struct.pack("<Q", len(stack) if dyn is None else dyn)
    return record(9, body, misc)


def string(text):
    text += b"\0"
    return text + bytes(-len(text) % 8)


def ring(*records, at=0):
    return struct.pack("<Q", at & (1 << 64) - 1) + b"".join(records)


REGS = (1, 0x7FF8, 0x7FF0, 0x401000, 12, 13, 14, 15)
MMAP = side(10, struct.pack("<IIQQQIIQQII", 51, 51, 0x400000, 0x1000, 0, 8, 1, 999, 0, 5, 2) +
            string(b"/bin/target"))
COMM = side(3, struct.pack("<II", 51, 51) + string(b"target"), 1 << 13)
FORK = side(7, struct.pack("<IIIIQ", 61, 51, 61, 51, 1))
EXIT = side(4, struct.pack("<IIIIQ", 61, 51, 61, 51, 2))
LOST = side(2, struct.pack("<QQ", 77, 5))
THROTTLE = side(5, struct.pack("<QQQ", 1, 77, 78))
SAMPLE = sample((KERNEL, -2128000000, USER, 0x401000, 0x402000), REGS, bytes(range(64)), 40, 1)

SEEDS = {
    "empty": ring(),
    "sample": ring(SAMPLE),
    "sample_bare": ring(sample()),
    "sample_guest": ring(sample((USER, 1, GUEST, 2))),
    "sample_twice_user": ring(sample((USER, 1, KERNEL, 2, USER, 3))),
    "sample_many_claimed": ring(sample((1, 2), nchain=1 << 61)),
    "sample_dyn": ring(sample(stack=bytes(16), dyn=17)),
    "mmap": ring(MMAP),
    "comm": ring(COMM),
    "fork_exit": ring(FORK, EXIT),
    "lost_throttle": ring(LOST, THROTTLE),
    "all": ring(FORK, COMM, MMAP, SAMPLE, THROTTLE, LOST, SAMPLE, EXIT),
    "all_wrapped": ring(FORK, COMM, MMAP, SAMPLE, LOST, at=4096 - 200),
    "past_32_bits": ring(SAMPLE, MMAP, at=(1 << 32) - 64),
    "past_64_bits": ring(SAMPLE, MMAP, at=-64),
    "size_0": ring(MMAP, record(9, b"", size=0)),
    "size_odd": ring(MMAP, record(9, bytes(64), size=71)),
    "size_large": ring(MMAP, record(9, bytes(64), size=65528)),
    "short": ring(MMAP)[:-4],
}

if __name__ == "__main__":
    folder = pathlib.Path(__file__).parent / "corpus" / "perf_record"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)

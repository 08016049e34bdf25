#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_pprof into corpus/pprof, next to this script.

Each seed is a small profile: valid ones that use every field, and one for every reason to refuse.
"""
import gzip
import pathlib


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def num(field, v):
    return varint(field << 3) + varint(v)


def msg(field, *parts):
    body = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def packed(field, *values):
    return msg(field, *(varint(v) for v in values))


STRINGS = ["", "samples", "count", "cpu", "nanoseconds", "main.main", "main.go", "main.work",
           "/bin/target", "c0ffee", "key", "value", "bytes", "a comment"]


def strings(words=STRINGS):
    return b"".join(msg(6, w.encode()) for w in words)


TYPES = msg(1, num(1, 1), num(2, 2)) + msg(1, num(1, 3), num(2, 4))
MAPPING = msg(3, num(1, 1), num(2, 0x400000), num(3, 0x500000), num(4, 0x1000), num(5, 8),
              num(6, 9), num(7, 1), num(8, 1), num(9, 1), num(10, 1))
FUNCTIONS = (msg(5, num(1, 1), num(2, 5), num(3, 5), num(4, 6), num(5, 10)) +
             msg(5, num(1, 2), num(2, 7), num(3, 7), num(4, 6), num(5, 20)))
LOCATIONS = (msg(4, num(1, 1), num(2, 1), num(3, 0x401000), msg(4, num(1, 1), num(2, 12))) +
             msg(4, num(1, 2), num(2, 1), num(3, 0x402000),
                 msg(4, num(1, 2), num(2, 22), num(3, 3)), msg(4, num(1, 1), num(2, 13)),
                 num(5, 1)) +
             msg(4, num(1, 3), num(2, 0), num(3, 0xFFFF)))
LABELS = msg(3, num(1, 10), num(2, 11)) + msg(3, num(1, 12), num(3, -48), num(4, 12))
SAMPLES = (msg(2, packed(1, 2, 1), packed(2, 3, 30000000), LABELS) +
           msg(2, num(1, 3), num(1, 1), num(2, 1), num(2, 10000000)) +
           msg(2, packed(1, 2, 2, 1), packed(2, 0, -5)))
# threads with times, of which some make no sense
THREAD_STRINGS = STRINGS + ["thread_id", "thread_name", "end_timestamp_ns", "pid", "comm"]
THREADS = b"".join(
    msg(2, packed(1, 2, 1), packed(2, n, n * 10000000), msg(3, num(1, 14), num(3, tid), num(4, 10)),
        msg(3, num(1, 16), num(3, when), num(4, 4)), msg(3, num(1, 15), num(2, 11)),
        msg(3, num(1, 17), num(3, 7), num(4, 10)), msg(3, num(1, 18), num(2, 5)))
    for tid, n, when in ((1, 1, 1700000000010000000), (1, 2, 1700000001000000000), (2, 1, 1 << 63),
                         (2, 1, (1 << 63) - 1), (3, -1, 1700000000500000000), (3, 1, -1))) + \
    msg(2, num(1, 3), packed(2, 1, (1 << 63) - 1), msg(3, num(1, 16), num(2, 11)))

REST = (num(7, 5), num(8, 7), num(9, 1700000000000000000), num(10, 30000000000),
        msg(11, num(1, 3), num(2, 4)), num(12, 10000000), packed(13, 13, 11), num(14, 3),
        num(15, 11))


def profile(types=TYPES, samples=SAMPLES, mapping=MAPPING, locations=LOCATIONS,
            functions=FUNCTIONS, table=None, rest=b"".join(REST)):
    return (types + samples + mapping + locations + functions +
            (strings() if table is None else table) + rest)


SEEDS = {
    "valid": profile(),
    "valid_gzip": gzip.compress(profile(), 1, mtime=0),
    "valid_strings_first": strings() + profile(table=b""),
    "valid_sparse_ids": profile(locations=LOCATIONS.replace(b"\x08\x03", b"\x08\x70"),
                                samples=msg(2, packed(1, 0x70), packed(2, 1, 2))),
    "valid_threads": profile(samples=THREADS, table=strings(THREAD_STRINGS)),
    "valid_no_samples": profile(samples=b""),
    "valid_only_strings": msg(6),
    "valid_unknown_field": profile() + msg(99, b"later"),
    "dangling_mapping": profile(mapping=b""),
    "no_sample_type": profile(types=b""),
    "value_count": profile(samples=msg(2, packed(1, 1), packed(2, 1))),
    "no_location": profile(samples=msg(2, packed(1, 9), packed(2, 1, 2))),
    "no_function": profile(functions=b""),
    "location_id_0": profile(locations=LOCATIONS + msg(4, num(3, 1))),
    "location_twice": profile(locations=LOCATIONS + LOCATIONS),
    "function_twice": profile(functions=FUNCTIONS + FUNCTIONS),
    "mapping_twice": profile(mapping=MAPPING + MAPPING),
    "string_index": profile(samples=SAMPLES + msg(2, packed(2, 1, 2), msg(3, num(1, 99)))),
    "first_string": profile(table=strings(STRINGS[1:])),
    "joined": profile() + profile(),
    "joined_gzip": 2 * gzip.compress(profile(), 1, mtime=0),
    "trailing": gzip.compress(profile(), 1, mtime=0) + b"tail",
    "truncated": profile()[:-20],
    "truncated_gzip": gzip.compress(profile(), 1, mtime=0)[:-20],
    "bomb": gzip.compress(bytes(1 << 20), 9, mtime=0),
    "text": b"heap profile: 1: 2 [3: 4] @ heap/1\n",
}

if __name__ == "__main__":
    folder = pathlib.Path(__file__).parent / "corpus" / "pprof"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (folder / name).write_bytes(data)

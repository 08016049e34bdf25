#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The binary interface of libpprofenc beside the one that was committed.

  abi.py LIBRARY HEADERS DUMP            fails where they differ
  abi.py --update LIBRARY HEADERS DUMP   writes the dump: a change that is meant

The dump has the exported symbols with their versions, the functions' prototypes, and size and offsets of all public
structs and the values of all enumerators, from the compiler's debug information.
"""
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

HEADERS = ('pprof.h', 'pprof_report.h', 'pprof_compare.h')


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(library):
    lines = run('readelf', '-W', '--dyn-syms', library).splitlines()
    named = [line.split() for line in lines if ' pprof' in line.lower()]
    return sorted(f'{w[3].lower()} {w[7]}' for w in named if w[6] != 'UND' and w[3] in ('FUNC', 'OBJECT'))


def dies(dump):
    """(depth, offset, tag, attributes) of each entry."""
    depth = offset = tag = None
    attributes = {}
    for line in dump.splitlines():
        begin = re.match(r' *<([0-9a-f]+)><([0-9a-f]+)>: Abbrev Number: \d+(?: \((\w+)\))?', line)
        attribute = re.match(r' +<[0-9a-f]+> +(DW_AT_\w+) *: (.*)', line)
        if begin:
            if tag:
                yield depth, offset, tag, attributes
            depth, offset, tag = int(begin[1], 16), begin[2], begin[3]
            attributes = {}
        elif attribute:
            # "(indirect string, offset: 0x12): name", "(data1) 8"
            attributes[attribute[1]] = re.sub(r'^\([^)]*\):? *', '', attribute[2]).strip()
    if tag:
        yield depth, offset, tag, attributes


def number(attributes, name):
    return int(attributes.get(name, '0').split()[0], 0)


def spell(by_offset, reference):
    """A type as text: "const char *"."""
    if reference is None:
        return 'void'
    tag, a = by_offset[reference]
    inner = a['DW_AT_type'].strip('<>')[2:] if 'DW_AT_type' in a else None
    if tag == 'DW_TAG_pointer_type':
        return spell(by_offset, inner) + ' *'
    if tag == 'DW_TAG_const_type':
        return spell(by_offset, inner) + ' const'
    if tag == 'DW_TAG_array_type':
        return spell(by_offset, inner) + '[]'
    if tag == 'DW_TAG_subroutine_type':
        return spell(by_offset, inner) + ' function'
    kind = {'DW_TAG_structure_type': 'struct ', 'DW_TAG_enumeration_type': 'enum '}.get(tag, '')
    return kind + a.get('DW_AT_name', '?')


def types(headers, directory):
    unit = os.path.join(directory, 'all.c')
    with open(unit, 'w') as f:
        f.write(''.join(f'#include "{h}"\n' for h in HEADERS))
    prototypes = os.path.join(directory, 'prototypes')
    run('gcc', '-std=c11', '-g', '-gdwarf-4', '-fno-eliminate-unused-debug-types', '-I', headers, '-aux-info', prototypes,
        '-c', unit, '-o', unit + '.o')
    with open(prototypes) as f:
        # pprof.h's own, and not the inline ones
        yield from sorted(m[1] for m in re.finditer(r'/\* [^*]*pprof[^*]*:NC \*/ extern (.*)', f.read()))
    name = None
    entries = list(dies(run('readelf', '--debug-dump=info', unit + '.o')))
    by_offset = {offset: (tag, a) for _, offset, tag, a in entries}
    kinds = {'DW_TAG_structure_type': 'struct', 'DW_TAG_enumeration_type': 'enum'}
    lines = {}
    for depth, _, tag, a in entries:
        if depth == 1:
            name = None
            if tag in kinds and 'DW_AT_byte_size' in a and (
                    a.get('DW_AT_name', '').startswith('pprof') or (kinds[tag] == 'enum' and 'DW_AT_name' not in a)):
                name = f"{kinds[tag]} {a.get('DW_AT_name', '')}".strip()
                lines.setdefault(name, [] if name == 'enum' else [f"{name}: {number(a, 'DW_AT_byte_size')} bytes"])
        elif name and tag == 'DW_TAG_member' and depth == 2:
            of = spell(by_offset, a['DW_AT_type'].strip('<>')[2:])
            lines[name].append(f"  {number(a, 'DW_AT_data_member_location')} {a['DW_AT_name']}: {of}")
        elif name and tag == 'DW_TAG_enumerator' and a['DW_AT_name'].startswith('PPROF_'):
            lines[name].append(f"  {a['DW_AT_name']} = {number(a, 'DW_AT_const_value')}")
    for name in sorted(lines):
        yield from lines[name] if name != 'enum' else ['enum', *sorted(lines[name])]


def main():
    update = sys.argv[1] == '--update'
    library, headers, dump = sys.argv[1 + update:]
    for program in ('gcc', 'readelf'):
        if not shutil.which(program):
            print('no', program)
            return 77
    if sys.maxsize < 1 << 32:
        print('the dump is of 64 bits')
        return 77
    with tempfile.TemporaryDirectory() as directory:
        now = [*symbols(library), *types(headers, directory)]
    if update:
        with open(dump, 'w') as f:
            f.write('\n'.join(now) + '\n')
        return 0
    with open(dump) as f:
        was = f.read().splitlines()
    changes = list(difflib.unified_diff(was, now, 'committed', 'built', lineterm='', n=1))
    print('\n'.join(changes) if changes else f'{len(now)} lines agree')
    if changes:
        print('The interface of libpprofenc changed. See COMPATIBILITY in its manual page; where the change is meant:\n'
              f'  tests/unit/pprofenc/abi.py --update {library} {headers} {dump}')
    return len(changes) > 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_filter into corpus/filter, next to this script, from a profile of corpus/pprof."""
import pathlib

CORPUS = pathlib.Path(__file__).parent / 'corpus'
TEXTS = ['focus', 'ignore', 'hide', 'show', 'show_from', 'tag_focus', 'tag_ignore', 'tag_show', 'tag_hide',
         'tag_root', 'tag_leaf', 'unit']
FUNCTION, FILE_FUNCTION, FILE, LINE, ADDRESS, PACKAGE = range(6)
FOLD, HIDE = 8, 16
NO_INLINES, APART = 32, 64


def seed(name, choices=0, profile='valid', **texts):
    data = bytes([choices]) + b''.join(texts.pop(t, '').encode() + b'\0' for t in TEXTS)
    assert not texts, texts
    (CORPUS / 'filter').mkdir(exist_ok=True)
    (CORPUS / 'filter' / name).write_bytes(data + (CORPUS / 'pprof' / profile).read_bytes())


seed('nothing')
seed('names', focus='main', ignore='xyz', hide='work', show='main|go$', show_from='main')
seed('show_all_away', show='no such')
seed('tags', tag_focus='key=val', tag_ignore='1kb:2mb', tag_show='.', tag_hide='^x')
seed('tag_ranges', tag_focus='-5:7b', tag_ignore='bytes=:64kb')
seed('tag_frames', LINE, tag_root='key,bytes', tag_leaf='bytes', unit='auto')
seed('lines', LINE | FOLD)
seed('files', FILE | HIDE)
seed('addresses', ADDRESS | NO_INLINES)
seed('packages', PACKAGE | FOLD)
seed('file_functions', FILE_FUNCTION | APART, hide='main\\.main')
seed('bad_expression', focus='a(b')
seed('bad_tag', tag_focus='k=a,[b')
seed('slow_expression', focus='^(([a-z.])+)+$', hide='(x+x+)+y')
seed('large_number', tag_focus='99999999999999999999kb')
seed('sparse', PACKAGE, 'valid_sparse_ids', focus='.')
seed('no_samples', LINE, 'valid_no_samples', tag_root='key')

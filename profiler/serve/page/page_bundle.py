#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of the daemon's page and writes them as C arrays, with the list of them.

page_bundle.py PART... -o OUTPUT.c: styles and scripts are joined in the order given, each kind in one file.
"""

import hashlib
import re
import sys

LARGEST = 250000


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def array(name, data):
    lines = [','.join(map(str, data[i:i + 32])) for i in range(0, len(data), 32)]
    return 'static const unsigned char %s[] = {\n%s\n};\n' % (name, ',\n'.join(lines))


def joined(paths, suffix):
    return ''.join(read(p) for p in paths if p.endswith(suffix))


def check(html):
    """The policy forbids what this finds, and the page would be broken."""
    if re.search(r'<style|<script>|\sstyle=|\son\w+=', html):
        sys.exit('page_bundle.py: the page has a script or a style in it')


def main(args):
    paths, output = args[:-2], args[-1]
    html = joined(paths, '.html')
    check(html)
    script = "(() => {\n'use strict';\n%s})();\n" % joined(paths, '.js')
    files = [('/', 'text/html; charset=utf-8', html), ('/ui/page.css', 'text/css; charset=utf-8', joined(paths, '.css')),
             ('/ui/page.js', 'text/javascript; charset=utf-8', script)]
    files = [(path, mime, text.encode()) for path, mime, text in files]
    if sum(len(data) for _, _, data in files) > LARGEST:
        sys.exit('page_bundle.py: the page has more than %d bytes' % LARGEST)
    with open(output, 'w', encoding='ascii') as f:
        f.write('/* Made of profiler/serve/page and pprofenc/html by page_bundle.py. */\n#include "page.h"\n\n')
        for i, (_, _, data) in enumerate(files):
            f.write(array('asset_%d' % i, data) + '\n')
        f.write('const struct page_asset page_assets[] = {\n')
        for i, (path, mime, data) in enumerate(files):
            f.write('\t{"%s", "%s", "\\"%s\\"", asset_%d, sizeof asset_%d},\n' % (
                path, mime, hashlib.sha256(data).hexdigest()[:32], i, i))
        f.write('};\nconst size_t page_nassets = sizeof page_assets / sizeof *page_assets;\n')


main(sys.argv[1:])

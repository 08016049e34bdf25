#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of the daemon's page and writes them as C arrays, with the list of them.

page_bundle.py OUTPUT.c DEPENDENCIES
"""

import hashlib
import os
import re
import sys

LARGEST = 250000
HERE = os.path.dirname(os.path.abspath(__file__))
REPORT = os.path.join(HERE, '../../../pprofenc/html')  # whose views these are
# in this order
SCRIPTS = [(REPORT, 'format data levels colours flame table about state views'),
           (HERE, 'clock query address stack plot sparks lists services loading daemon')]
STYLES = [os.path.join(REPORT, 'report.css'), os.path.join(HERE, 'daemon.css')]
PAGE = os.path.join(HERE, 'daemon.html')


def scripts():
    return [os.path.normpath(os.path.join(folder, name + '.js')) for folder, names in SCRIPTS for name in names.split()]


def joined(paths):
    out = []
    for path in paths:
        with open(path, encoding='utf-8') as f:
            out.append(f.read())
    return ''.join(out)


def assets():
    """[(path, type, bytes), ...], the page itself first."""
    html = joined([PAGE])
    if re.search(r'<style|<script>|\sstyle=|\son\w+=', html):
        sys.exit('page_bundle.py: the page has a script or a style in it, which its policy forbids')
    script = "(() => {\n'use strict';\n%s})();\n" % joined(scripts())
    files = [('/', 'text/html', html), ('/ui/page.css', 'text/css', joined(STYLES)), ('/ui/page.js', 'text/javascript', script)]
    return [(path, mime + '; charset=utf-8', text.encode()) for path, mime, text in files]


def array(name, data):
    lines = [','.join(map(str, data[i:i + 32])) for i in range(0, len(data), 32)]
    return 'static const unsigned char %s[] = {\n%s\n};\n' % (name, ',\n'.join(lines))


def main(output, dependencies):
    files = assets()
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
    with open(dependencies, 'w', encoding='utf-8') as f:
        f.write('%s: %s\n' % (output, ' '.join([PAGE, *STYLES, *scripts()])))


if __name__ == '__main__':
    main(*sys.argv[1:])

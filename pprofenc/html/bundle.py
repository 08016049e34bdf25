#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of the page, and writes it and the parts of the picture as C arrays for the library.

bundle.py svg.css svg.js page.html report.css SCRIPT... -o OUTPUT.c
"""

import base64
import hashlib
import re
import sys


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def hashed(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def page(template, style, scripts):
    """The page before its title, between that and its data, and behind them. Its policy allows only these scripts and styles."""
    script = "\n(() => {\n'use strict';\n%s})();\n" % ''.join(scripts)
    for text in (style, script):
        if re.search(r'</(style|script)|<!--', text, re.I):
            sys.exit('bundle.py: a part of the page would end the element it stands in')
    policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; script-src %s; style-src %s" % (
        hashed(script), hashed(style))
    out = template.replace('@POLICY@', policy).replace('@STYLE@', style).replace('@SCRIPT@', script)
    return re.split('@TITLE@|@DATA@', out)


def array(name, text):
    data = text.encode()
    lines = [','.join(map(str, data[i:i + 32])) for i in range(0, len(data), 32)]
    return 'const unsigned char %s[] = {\n%s\n};\nconst size_t %s_size = sizeof %s;\n' % (
        name, ',\n'.join(lines), name, name)


def main(args):
    svg_style, svg_script, template, style, *scripts = [read(a) for a in args[:-2]]
    head, body, tail = page(template, style, scripts)
    if ']]>' in svg_style + svg_script:
        sys.exit('bundle.py: a part of the picture would end the section it stands in')
    with open(args[-1], 'w', encoding='ascii') as f:
        f.write('/* Made of pprofenc/html by bundle.py. */\n#include "html.h"\n\n')
        f.write(array('pp_html_head', head) + '\n' + array('pp_html_body', body) + '\n' +
                array('pp_html_tail', tail) + '\n')
        f.write(array('pp_svg_style', svg_style) + '\n' + array('pp_svg_script', svg_script))


main(sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""A program on a pseudo terminal, and what it has drawn: as much of an xterm as ncurses asks of one."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from harness import Failed, Skip, check

SEQUENCE = re.compile(r'\x1b(?:\[([?>!]?)([0-9;]*)([@-~])|\]([^\x07\x1b]*)(?:\x07|\x1b\\)|([()])(.)|([=>78MDEc]))', re.S)


class Screen:
    """Cells of characters; modes that were switched on and off."""

    def __init__(self, rows, cols):
        self.modes, self.colors, self.strange = {}, set(), []
        self.rest = ''
        self.decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self.last = ' '
        self.resize(rows, cols)

    def resize(self, rows, cols):
        self.rows, self.cols = rows, cols
        self.cells = [[' '] * cols for _ in range(rows)]
        self.row = self.col = 0
        self.top, self.bottom = 0, rows - 1

    def text(self):
        return [''.join(line).rstrip() for line in self.cells]

    def feed(self, data):
        self.rest += self.decoder.decode(data)
        while self.rest:
            if self.rest[0] != '\x1b':
                self.character(self.rest[0])
                self.rest = self.rest[1:]
                continue
            m = SEQUENCE.match(self.rest)
            if not m:
                if len(self.rest) > 64:
                    self.strange.append(self.rest[:16])
                    self.rest = self.rest[1:]
                    continue
                return  # more is to come
            self.rest = self.rest[m.end():]
            if m.group(3):
                self.control(m.group(1), [int(n) if n else 0 for n in m.group(2).split(';')], m.group(3))
            elif m.group(7) == 'M':
                self.row = max(self.row - 1, 0)

    def character(self, c):
        if c == '\n':
            if self.row == self.bottom:
                self.scroll(1)
            else:
                self.row = min(self.row + 1, self.rows - 1)
        elif c == '\r':
            self.col = 0
        elif c == '\b':
            self.col = max(self.col - 1, 0)
        elif c == '\t':
            self.col = min(self.col // 8 * 8 + 8, self.cols - 1)
        elif c >= ' ' and c != '\x7f':
            self.put(c)
        elif c not in '\x07\x0e\x0f':
            self.strange.append(c)

    def put(self, c):
        if self.col >= self.cols:
            self.col = 0
            self.character('\n')
        self.cells[self.row][self.col] = self.last = c
        self.col += 1

    def scroll(self, n):
        for _ in range(n):
            del self.cells[self.top]
            self.cells.insert(self.bottom, [' '] * self.cols)

    def scroll_back(self, n):
        for _ in range(n):
            del self.cells[self.bottom]
            self.cells.insert(self.top, [' '] * self.cols)

    def control(self, kind, numbers, final):
        n = max(numbers[0], 1)
        if kind:
            if final in 'hl':
                self.modes.update({mode: final == 'h' for mode in numbers})
        elif final in 'Hf':
            self.row = min(n, self.rows) - 1
            self.col = min(max(numbers[1] if len(numbers) > 1 else 1, 1), self.cols) - 1
        elif final in 'ABCD':
            self.row = min(max(self.row + {'A': -n, 'B': n}.get(final, 0), 0), self.rows - 1)
            self.col = min(max(min(self.col, self.cols - 1) + {'C': n, 'D': -n}.get(final, 0), 0), self.cols - 1)
        elif final in 'G`':
            self.col = min(n, self.cols) - 1
        elif final == 'd':
            self.row = min(n, self.rows) - 1
        elif final == 'r':
            self.top = n - 1
            self.bottom = (numbers[1] if len(numbers) > 1 and numbers[1] else self.rows) - 1
            self.row = self.col = 0
        elif final == 'b':
            for _ in range(n):
                self.put(self.last)
        elif final == 'm':
            self.colors.update(c for c in numbers if 30 <= c <= 38 or 40 <= c <= 48 or 90 <= c <= 107)
        else:
            self.erase(numbers, n, final)

    def erase(self, numbers, n, final):
        line, at = self.cells[self.row], min(self.col, self.cols - 1)
        if final == 'K':
            start, end = {0: (at, self.cols), 1: (0, at + 1), 2: (0, self.cols)}[numbers[0]]
            line[start:end] = [' '] * (end - start)
        elif final == 'J':
            if numbers[0] == 2:
                self.cells = [[' '] * self.cols for _ in range(self.rows)]
            else:
                check(numbers[0] == 0, 'erasing %r', numbers)
                line[at:] = [' '] * (self.cols - at)
                for row in range(self.row + 1, self.rows):
                    self.cells[row] = [' '] * self.cols
        elif final == 'X':
            line[at:at + n] = [' '] * len(line[at:at + n])
        elif final == 'P':
            del line[at:at + n]
            line.extend([' '] * (self.cols - len(line)))
        elif final == '@':
            line[at:at] = [' '] * n
            del line[self.cols:]
        elif final in 'LM':
            top, self.top = self.top, self.row
            (self.scroll_back if final == 'L' else self.scroll)(n)
            self.top = top
        elif final in 'ST':
            (self.scroll if final == 'S' else self.scroll_back)(n)
        elif final not in 'lhtcn':
            self.strange.append('\x1b[%r%s' % (numbers, final))


# What a shell does for a job in the foreground: without a parent in its session a program can't be stopped by Ctrl-Z.
SHELL = '''
import os, signal, sys
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
'''


class Terminal:
    """A program with a terminal of its own; ends with the with block."""

    def __init__(self, command, rows=24, cols=80, env=(), cwd=None, job=False):
        if job:
            command = [sys.executable, '-c', SHELL, *command]
        try:
            self.master, self.slave = pty.openpty()
        except OSError as e:
            raise Skip('no terminal can be made here (is /dev/pts mounted?): %s' % e) from e
        self.screen = Screen(rows, cols)
        self.output = b''
        self.set_size(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        environment = {k: v for k, v in os.environ.items() if k not in ('NO_COLOR', 'CLICOLOR_FORCE', 'FORCE_COLOR')}
        environment.update({'TERM': 'xterm-256color', 'LC_ALL': 'C.UTF-8'}, **dict(env))
        self.process = subprocess.Popen(
            [str(a) for a in command], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment,
            cwd=cwd, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.pid = self.process.pid

    def job(self):
        """The process that was started as a job."""
        with open('/proc/%d/task/%d/children' % (self.pid, self.pid)) as f:
            return int(f.read().split()[0])

    def set_size(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))

    def resize(self, rows, cols):
        """The program is told by SIGWINCH."""
        self.read(0.05)
        self.screen.resize(rows, cols)
        self.set_size(rows, cols)

    def read(self, seconds):
        """Takes what comes within a time."""
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master], [], [], max(end - time.monotonic(), 0))
            if not ready:
                return
            data = os.read(self.master, 65536)
            self.output += data
            self.screen.feed(data)

    def settle(self):
        """Takes what comes until nothing does for a moment: a screen that is being drawn is no screen yet."""
        end = time.monotonic() + 2
        count = -1
        while count != len(self.output) and time.monotonic() < end:
            count = len(self.output)
            self.read(0.05)

    def send(self, keys):
        os.write(self.master, keys.encode())

    def until(self, condition, what, seconds=30):
        """Reads until the screen fulfils the condition; returns its lines."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            self.settle()
            lines = self.screen.text()
            if condition(lines):
                return lines
            if self.process.poll() is not None:
                break
        raise Failed('%s is not to be seen:\n%s' % (what, '\n'.join(self.screen.text())))

    def shows(self, text, seconds=30):
        return self.until(lambda lines: any(text in line for line in lines), repr(text), seconds)

    def ends(self, status, seconds=20):
        """The program has ended like that, and the terminal is as it was."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        check(self.process.returncode == status, 'it ended with %r, not %r:\n%s', self.process.returncode, status,
              '\n'.join(self.screen.text()))
        self.read(0.1)
        self.is_restored()

    def is_restored(self):
        after = termios.tcgetattr(self.slave)
        check(after == self.before, 'the terminal is left as %r, it was %r', after, self.before)
        modes = self.screen.modes
        check(modes.get(1049) is False, 'the alternate screen is left on: %r', modes)
        check(modes.get(25, True) is True, 'the cursor is left hidden: %r', modes)
        check(not modes.get(1), 'the keypad is left in its application mode: %r', modes)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        with contextlib.suppress(OSError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

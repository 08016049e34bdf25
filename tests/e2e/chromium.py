# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that is driven over a pipe: pages, scripts in them, keys, the mouse, pictures, what they said."""

import base64
import collections
import json
import os
import select
import shutil
import subprocess
import time

from harness import Failed, Skip, at_end, check, tmp

KEYS = {'Escape': 27, 'Enter': 13, 'ArrowLeft': 37, 'ArrowUp': 38, 'ArrowRight': 39, 'ArrowDown': 40, 'Tab': 9,
        'Backspace': 8, 'Home': 36, 'End': 35}


class Process:
    """A Chromium, which serves one Browser after the other: to start it takes longer than most tests."""

    running = None

    def __init__(self):
        program = shutil.which('chromium')
        if not program:
            raise Skip('no chromium')
        theirs_in, self.write = os.pipe()
        self.read, theirs_out = os.pipe()
        self.process = subprocess.Popen(
            ['sh', '-c', 'exec "$@" 3<&%d 4>&%d' % (theirs_in, theirs_out), 'sh',
             program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
             '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-dev-shm-usage',
             '--disable-default-apps', '--disable-extensions', '--hide-scrollbars', '--remote-debugging-pipe',
             '--user-data-dir=' + tmp('chromium-%d' % time.monotonic_ns()), 'about:blank'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out), env=dict(os.environ, HOME=tmp()))
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer = b''
        self.number = 0

    @classmethod
    def get(cls):
        if not cls.running or cls.running.process.poll() is not None:
            cls.running = cls()
        return cls.running

    @classmethod
    def end(cls):
        self, cls.running = cls.running, None
        if not self:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for fd in (self.read, self.write):
            os.close(fd)

    def message(self, deadline):
        while b'\0' not in self.buffer:
            left = deadline - time.monotonic()
            ready = select.select([self.read], [], [], max(left, 0))[0]
            if not ready:
                raise Failed('the browser does not answer')
            data = os.read(self.read, 1 << 20)
            if not data:
                raise Failed('the browser has ended')
            self.buffer += data
        one, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(one)

    def send(self, method, params, session):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if session:
            message['sessionId'] = session
        data = json.dumps(message).encode() + b'\0'
        while data:
            data = data[os.write(self.write, data):]
        return self.number


at_end.append(Process.end)


class Browser:
    """A window with cookies and storage of its own; ends with the with block. Every request that a page makes is in
    `requests`, every complaint in `complaints`."""

    def __init__(self, width=1200, height=800):
        self.process = Process.get()
        self.session = None
        self.events = collections.deque()
        self.requests = []
        self.complaints = []
        self.dialogs = []
        try:
            self.context = self.call('Target.createBrowserContext')['browserContextId']
            target = self.call('Target.createTarget', url='about:blank', width=width, height=height,
                               browserContextId=self.context)['targetId']
            self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
            for domain in ('Page', 'Runtime', 'Network', 'Log'):
                self.call(domain + '.enable')
        except BaseException:
            Process.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.session = None
        try:
            self.call('Target.disposeBrowserContext', browserContextId=self.context)
        except Failed:
            Process.end()

    def _event(self, message):
        name, params = message['method'], message.get('params', {})
        if name == 'Network.requestWillBeSent':
            self.requests.append(params['request']['url'])
        elif name == 'Runtime.exceptionThrown':
            details = params['exceptionDetails']
            self.complaints.append(details.get('exception', {}).get('description') or details['text'])
        elif name == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'warning', 'assert'):
            self.complaints.append(' '.join(str(a.get('value', a.get('description'))) for a in params['args']))
        elif name == 'Log.entryAdded' and params['entry']['level'] in ('error', 'warning'):
            self.complaints.append(params['entry']['text'])
        elif name == 'Page.javascriptDialogOpening':
            self.dialogs.append(params['message'])
            self.process.send('Page.handleJavaScriptDialog', {'accept': True}, self.session)
        self.events.append(name)

    def call(self, method, timeout=120, **params):
        number = self.process.send(method, params, self.session)
        deadline = time.monotonic() + timeout
        while True:
            message = self.process.message(deadline)
            if message.get('id') == number:
                if 'error' in message:
                    raise Failed('%s: %s' % (method, message['error']['message']))
                return message['result']
            if 'method' in message and self.session and message.get('sessionId') == self.session:
                self._event(message)

    def run(self, script, timeout=120):
        """The value of an expression in the page; promises are awaited."""
        r = self.call('Runtime.evaluate', timeout, expression=script, awaitPromise=True, returnByValue=True,
                      userGesture=True)
        if 'exceptionDetails' in r:
            d = r['exceptionDetails']
            raise Failed('%s: %s' % (script[:200], d.get('exception', {}).get('description') or d['text']))
        return r['result'].get('value')

    def wait(self, script, why, timeout=120):
        """Until an expression is true; its value."""
        deadline = time.monotonic() + timeout
        while True:
            value = self.run(script)
            if value:
                return value
            check(time.monotonic() < deadline, 'in %d s not: %s', timeout, why)
            time.sleep(0.05)

    def open(self, url, timeout=120):
        self.events.clear()
        if self.call('Page.navigate', timeout, url='about:blank').get('errorText'):
            raise Failed('about:blank')
        self.events.clear()
        r = self.call('Page.navigate', timeout, url=url)
        check('errorText' not in r, '%s: %s', url, r.get('errorText'))
        self.wait('document.readyState === "complete" && location.href !== "about:blank"', url + ' loads', timeout)

    def reload(self):
        self.run('window.before = 1')
        self.call('Page.reload')
        self.wait('window.before === undefined && document.readyState === "complete"', 'the page loads again')

    def key(self, key, text=None):
        """A key as the keyboard gives it; a character is also typed."""
        if text is None and len(key) == 1:
            text = key
        common = {'key': key, 'windowsVirtualKeyCode': KEYS.get(key, ord(key.upper()) if len(key) == 1 and key.isalnum() else 0)}
        if key == 'Enter':
            text = '\r'
        self.call('Input.dispatchKeyEvent', type='keyDown', **common, **({'text': text} if text else {}))
        self.call('Input.dispatchKeyEvent', type='keyUp', **common)

    def type(self, words):
        for c in words:
            self.key(c)

    def click(self, x, y, count=1):
        for kind in ('mouseMoved', 'mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, clickCount=count,
                      **({} if kind == 'mouseMoved' else {'button': 'left'}))

    def dark(self, dark):
        self.call('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.wait('matchMedia("(prefers-color-scheme: dark)").matches === %s' % ('true' if dark else 'false'), 'the colours')

    def picture(self, path):
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))

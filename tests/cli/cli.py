# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it: python3 cli.py TEST, with the program in $PROWL. Exits 77 to skip."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROWL = os.environ['PROWL']
MAN = os.environ.get('PROWL_MAN', '')
COMMANDS = ['profile', 'top', 'report', 'open', 'diff', 'bench', 'baseline', 'ps', 'info', 'rates', 'doctor', 'daemon', 'completion']
NO_PID = '2147483632'  # beyond every pid_max


class Skip(Exception):
    pass


def prowl(*args, status=0, prefix=(), path=PROWL):
    p = subprocess.run([*prefix, path, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if status is not None and p.returncode != status:
        raise AssertionError('prowl %s: exit %d, not %d\n%s%s' % (' '.join(args), p.returncode, status, p.stdout,
                                                                 p.stderr))
    return p


def refused(*args, saying='', status=2):
    p = prowl(*args, status=status)
    assert p.stdout == '', 'prowl %s wrote to stdout: %s' % (' '.join(args), p.stdout)
    assert saying in p.stderr, 'prowl %s: %r is not in %r' % (' '.join(args), saying, p.stderr)


def test_debug():
    p = prowl('--version', prefix=('env', 'PROWL_DEBUG=walk,frob'))
    assert 'walk, globals, perf' in p.stderr, p.stderr
    for known in ('walk', 'walk,globals,perf', 'all', ''):
        p = prowl('--version', prefix=('env', 'PROWL_DEBUG=' + known))
        assert p.stderr == '', p.stderr


def test_usage():
    refused()
    refused('frobnicate', saying="'frobnicate'")
    refused('help', 'frobnicate', saying="'frobnicate'")
    for command in COMMANDS:
        refused(command, '--no-such-option', saying='--no-such-option')
        refused(command, '-Z', saying='unknown option')
    refused('profile', '-qZ', saying='unknown option -Z')
    refused('profile', '-Zq', saying='unknown option -Z')
    refused('profile', '--quiet=3', saying='--quiet takes no argument')
    refused('profile', '--name', 'a', '--name', 'b', saying='only once')
    refused('profile', '--secnds', '5', saying='did you mean --seconds?')
    refused('report', '--formt', 'text', saying='did you mean --format?')
    refused('ps', '--jsn', saying='did you mean --json?')
    refused('doctor', '--pdi', '1', saying='did you mean --pid?')
    refused('profile', saying='--pid')
    refused('profile', '--pid', saying='needs an argument')
    refused('profile', '--pid', '1', 'ls', saying='not both')
    refused('report', saying='FILE')
    refused('open', saying='FILE')
    refused('open', '--prot', '1', saying='did you mean --port?')
    refused('info', saying='--pid PID')
    refused('info', 'a', 'b', saying='--pid PID')
    refused('info', '--pid', '1', 'file', saying='--pid PID')
    refused('info', '--pid', '1', '--core', 'file', saying='--core FILE')
    refused('info', '--exe', 'file', 'file', saying='--core FILE')
    refused('ps', 'operand', saying="'operand'")
    refused('ps', '-q', '--json', saying='either')
    refused('doctor', 'operand', saying="'operand'")
    refused('completion', saying='which shell')
    refused('completion', 'tcsh', saying='which shell')


def test_help():
    for args in (['--help'], ['-h'], ['help']):
        text = prowl(*args).stdout
        assert all(c in text for c in COMMANDS), text
    for command in COMMANDS:
        for args in ([command, '--help'], [command, '-h'], ['help', command]):
            p = prowl(*args)
            assert p.stdout.startswith('prowl %s: ' % command), p.stdout
            assert p.stderr == '', p.stderr
    for args in (['--version'], ['-V'], ['version']):
        assert re.fullmatch(r'prowl \d+\.\d+\.\d+\n(without: .*\n)*', prowl(*args).stdout)


def verbs():
    """Those that prowl daemon --help lists."""
    return re.findall(r'^  (\w+) ', prowl('daemon', '--help').stdout.split('Verbs:')[1], re.M)


def test_daemon():
    """Each verb is a command of its own, and the page has its options."""
    refused('daemon', saying='what to do?')
    refused('daemon', 'frobnicate', saying="'prowl daemon frobnicate'")
    refused('help', 'daemon', 'frobnicate', saying="'daemon frobnicate'")
    refused('check', saying="'check'")
    with open(os.path.join(MAN, 'prowl-daemon.scd')) as f:
        page = f.read()
    common = re.search(r'^# OPTIONS OF ALL VERBS\n(.*?)^# ', page, re.M | re.S).group(1)
    common = [line for line in common.split('\n') if line.startswith('*-')]
    assert len(common) == 4 and 'check' in verbs(), (common, verbs())
    for verb in verbs():
        refused('daemon', verb, '--no-such-option', saying='prowl daemon %s --help' % verb)
        for args in (['daemon', verb, '--help'], ['daemon', verb, '-h'], ['help', 'daemon', verb]):
            assert prowl(*args).stdout.startswith('prowl daemon %s: ' % verb), args
        section = re.search(r'^# PROWL DAEMON %s\n(.*?)^# ' % verb.upper(), page, re.M | re.S).group(1)
        found = [line for line in section.split('\n') if line.startswith('*-')]
        wanted = [o for o in options_of('daemon', verb) if o not in common]
        assert found == wanted, 'prowl-daemon.scd: %s has %s, --help has %s' % (verb, found, wanted)


def test_systemd():
    """The units say what systemd understands."""
    program = shutil.which('systemd-analyze')
    if not program:
        raise Skip('there is no systemd-analyze')
    with tempfile.TemporaryDirectory() as folder:
        for kind in ('system', 'user'):
            with open(os.path.join(MAN, '..', 'systemd', 'prowl-%s.service.in' % kind)) as f:
                text = f.read().replace('@bindir@/prowl', PROWL)
            path = os.path.join(folder, 'prowl.service')
            with open(path, 'w') as f:
                f.write(text)
            p = subprocess.run([program, 'verify', '--man=no', '--' + kind, path], capture_output=True, text=True, timeout=60,
                               env=dict(os.environ, XDG_RUNTIME_DIR=folder))
            wrong = [line for line in p.stderr.split('\n') if 'prowl' in line]
            assert not wrong, (kind, p.stderr)


def choices(command, option):
    """The words that --help lists for an option that takes one of a few."""
    text = re.sub(r'\n {20,}', ' ', prowl(command, '--help').stdout)
    found = re.search(r'--%s [A-Z]+ +(.*?)(?: \(.*)?$' % option, text, re.M)
    return re.split(', | or ', found.group(1)) if found else []


def test_formats():
    """--help lists every format that a command takes, and the manual those of report."""
    formats = ['pprof', 'text', 'tree', 'peek', 'traces', 'folded', 'speedscope', 'json', 'html', 'svg', 'pgo', 'flame']
    taking = ['profile', 'heap', 'allocs', 'block', 'mutex', 'threadcreate', 'goroutine', 'wall']
    for command in [*taking, 'report']:
        assert choices(command, 'format') == formats, (command, choices(command, 'format'))
    with tempfile.TemporaryDirectory() as folder:
        path, out = (os.path.join(folder, n) for n in ('x.pb.gz', 'out'))
        with open(path, 'wb') as f:
            f.write(profile_bytes())
        for name in formats:
            for command in taking:
                refused(command, '--pid', NO_PID, '-f', name, '-o', out, saying='--peek' if name == 'peek' else 'no ',
                        status=2 if name == 'peek' else 5)
            prowl('report', '-f', name, *(['--peek', 'func'] if name == 'peek' else []), '-o', out, path,
                  status=1 if name == 'pgo' else 0)
    for command in ('diff', 'bench'):
        assert choices(command, 'format') == ['text', 'markdown', 'json', 'junit', 'github', 'pprof', 'html', 'svg', 'flame']
    for command, option, words in (('diff', 'by', 4), ('diff', 'mode', 3), ('diff', 'fail-on', 4), ('report', 'runtime', 3),
                                   ('report', 'granularity', 6), ('report', 'color', 3)):
        assert len(choices(command, option)) >= words, (command, option, choices(command, option))
    for command in ('report', 'diff', 'bench'):
        with open(os.path.join(MAN, 'prowl-%s.scd' % command)) as f:
            paragraph = re.search(r'\*--format\* _FORMAT_\n(.*?)\n\n', f.read(), re.S).group(1)
        missing = [name for name in choices(command, 'format') if '_%s_' % name not in paragraph]
        assert not missing, 'prowl-%s.scd does not have %s' % (command, missing)


def test_arguments():
    for word in ('0', '-1', 'x', '1x', '', '99999999999999999999'):
        refused('profile', '--pid', word, saying='is not a process id')
    for word in ('', 'x', '5x', '-5', '0', 's', '5 s', 'nan', '1e99h'):
        refused('profile', '--pid', NO_PID, '--seconds', word, saying='--seconds wants a time')
    for word in ('5', '5s', '250ms', '2m', '1m30s', '1h', '0.5', '1.5s'):
        refused('profile', '--pid', NO_PID, '--seconds', word, saying='no process', status=5)
    for word in ('0', 'x', '-1', '20001', '1.5', ''):
        refused('profile', '--pid', NO_PID, '--rate', word, saying='--rate wants a whole number')
    refused('profile', '--pid', NO_PID, '--rate', '20000', saying='no process', status=5)
    refused('profile', '--pid', NO_PID, '--color', 'blue', saying='--color wants')
    refused('profile', '--pid', NO_PID, '--format', 'gif', saying="unknown format 'gif'")
    refused('profile', '--pid', NO_PID, '-o', '/nowhere/at/all.pb.gz', saying='/nowhere/at')
    refused('top', saying='--pid PID')
    refused('top', '--pid', '1', 'word', saying="'word'")
    refused('top', '--name', 'a', '--name', 'b', saying='only once')
    refused('top', '--pid', NO_PID, '--interval', '99ms', saying='--interval wants at least')
    refused('top', '--pid', NO_PID, '--interval', 'x', saying='--interval wants a time')
    refused('top', '--pid', NO_PID, '--rate', '0', saying='--rate wants')
    refused('top', '--pid', NO_PID, '--lines', '0', saying='--lines wants')
    refused('top', '--pid', NO_PID, '--color', 'blue', saying='--color wants')
    refused('top', '--pid', NO_PID, '--once', saying='no process', status=5)
    refused('top', '--pid', NO_PID, '--json', '--seconds', '1', saying='no process', status=5)
    p = prowl('top', '--pid', NO_PID, status=None)  # 6: built without a screen
    assert p.returncode in (2, 6) and '--once' in p.stderr and p.stdout == '', p
    refused('top', '--name', 'no-such-name-anywhere', '--once', saying='no process is named', status=5)
    for word in ('0', 'x', '65536', '-1', ''):
        refused('open', '--port', word, 'x.pb.gz', saying='--port wants a whole number')
    refused('open', '/nowhere/x.pb.gz', saying='/nowhere/x.pb.gz', status=1)
    refused('baseline', saying='save DIR')
    refused('baseline', 'keep', 'x', saying='save DIR')
    refused('baseline', 'save', saying='which folder')
    refused('baseline', 'save', 'x', saying='which profiles')
    refused('baseline', 'use', 'x', saying='--like FILE')
    refused('baseline', 'list', 'x', 'y', saying='one folder')
    refused('baseline', 'list', '/nowhere/at/all', saying='/nowhere', status=1)
    refused('report', '--lines', 'many', 'x.pb.gz', saying='--lines wants')
    refused('report', '--granularity', 'word', 'x.pb.gz', saying='or package, not \'word\'')
    refused('report', '--runtime', 'maybe', 'x.pb.gz', saying='--runtime wants show, fold or hide')
    for word in ('-0.1', '1.1', 'x', '', 'nan', '0.5x'):
        refused('report', '--nodefraction', word, 'x.pb.gz', saying='--nodefraction wants a number from 0 to 1')
    refused('report', '--peek', 'a(', 'x.pb.gz', saying='--peek: bad regular expression at character 3')


def test_terminal():
    script = shutil.which('script')
    if not script:
        raise Skip('there is no script(1)')
    if subprocess.run([script, '-qec', 'true', '/dev/null'], stdin=subprocess.DEVNULL, capture_output=True).returncode != 0:
        raise Skip('script(1) gets no terminal here (is /dev/pts mounted?)')
    command = '%s profile --pid %s --seconds 1 -o -' % (PROWL, NO_PID)
    p = subprocess.run([script, '-qec', command, '/dev/null'], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=60)
    assert p.returncode == 2, (p.returncode, p.stdout)
    assert 'not written to a terminal' in p.stdout, p.stdout
    refused('profile', '--pid', NO_PID, '--seconds', '1', '-o', '-', saying='no process', status=5)


def completion(shell, check):
    program = shutil.which(shell)
    text = prowl('completion', shell).stdout
    for command in COMMANDS:
        assert command in text, command
    if not program:
        raise Skip('there is no %s' % shell)
    with tempfile.NamedTemporaryFile('w', suffix='.' + shell) as f:
        f.write(text)
        f.flush()
        subprocess.run([program, check, f.name], check=True, timeout=60)
    return text


def test_completion_bash():
    text = completion('bash', '-n')
    # As readline would ask: the words of the line, and which of them is being completed.
    ask = text + '\nCOMP_WORDS=(prowl profile --sec)\nCOMP_CWORD=2\n_prowl\necho "${COMPREPLY[@]}"\n' \
                 'COMP_WORDS=(prowl do)\nCOMP_CWORD=1\n_prowl\necho "${COMPREPLY[@]}"\n'
    p = subprocess.run(['bash'], input=ask, capture_output=True, text=True, timeout=60)
    assert p.stdout.split() == ['--seconds', 'doctor'], (p.stdout, p.stderr)
    ask = text + '\nCOMP_WORDS=(prowl heap -f sp)\nCOMP_CWORD=3\n_prowl\necho "${COMPREPLY[@]}"\n' \
                 'COMP_WORDS=(prowl diff --format ju)\nCOMP_CWORD=3\n_prowl\necho "${COMPREPLY[@]}"\n'
    p = subprocess.run(['bash'], input=ask, capture_output=True, text=True, timeout=60)
    assert p.stdout.split() == ['speedscope', 'junit'], (p.stdout, p.stderr)
    ask = text + '\nCOMP_WORDS=(prowl daemon che)\nCOMP_CWORD=2\n_prowl\necho "${COMPREPLY[@]}"\n' \
                 'COMP_WORDS=(prowl daemon check --qu)\nCOMP_CWORD=3\n_prowl\necho "${COMPREPLY[@]}"\n' \
                 'COMP_WORDS=(prowl daemon check --color a)\nCOMP_CWORD=4\n_prowl\necho "${COMPREPLY[@]}"\n'
    p = subprocess.run(['bash'], input=ask, capture_output=True, text=True, timeout=60)
    assert p.stdout.split() == ['check', '--quiet', 'auto', 'always'], (p.stdout, p.stderr)
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, 'a file'), 'w').close()
        ask = text + '\nCOMP_WORDS=(prowl report a)\nCOMP_CWORD=2\n_prowl\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
        p = subprocess.run(['bash'], input=ask, cwd=folder, capture_output=True, text=True, timeout=60)
        assert p.stdout == 'a file\n', (p.stdout, p.stderr)


def test_completion_zsh():
    completion('zsh', '-n')


def test_completion_fish():
    completion('fish', '--no-execute')


def options_of(*command):
    """Those of --help as they stand in the manual: "  -p, --pid PID    text" as "*-p*, *--pid* _PID_"."""
    found = []
    for m in re.finditer(r'^  (?:(-\w), |    )(--[\w-]+)(?: ([A-Z]\S*))?(?:  |$)', prowl(*command, '--help').stdout, re.M):
        letter, name, arg = m.groups()
        found.append(('*%s*, ' % letter if letter else '') + '*%s*' % name + (' _%s_' % arg if arg else ''))
    return found


def test_man():
    for command in ('profile', 'heap', 'top', 'report', 'open', 'diff', 'bench', 'baseline', 'ps', 'info', 'rates', 'doctor'):
        with open(os.path.join(MAN, 'prowl-%s.scd' % command)) as f:
            page = f.read()
        wanted = options_of(command)
        assert len(wanted) > 1, command
        section = re.search(r'^# OPTIONS\n(.*?)^# ', page, re.M | re.S).group(1)
        found = [line for line in section.split('\n') if line.startswith('*-')]
        assert found == wanted, 'prowl-%s.scd has %s, --help has %s' % (command, found, wanted)
    with open(os.path.join(MAN, 'prowl.scd')) as f:
        page = f.read()
    listed = re.findall(r'^  (\w+) ', prowl('--help').stdout.split('Commands:')[1], re.M)
    assert listed and all('\n*%s*' % c in page for c in listed), listed


def test_ps():
    p = json.loads(prowl('ps', '--json', '--all').stdout)
    assert p['schema_version'] == 1
    mine = [x for x in p['processes'] if x['pid'] == os.getpid()]
    assert len(mine) == 1 and not mine[0]['go'] and mine[0]['uid'] == os.getuid(), mine
    assert mine[0]['exe'] == os.path.realpath('/proc/self/exe')
    assert all(x['go'] for x in json.loads(prowl('ps', '--json').stdout)['processes'])
    lines = prowl('ps', '--all').stdout.split('\n')
    assert lines[0].split() == ['PID', 'USER', 'GO', 'FLAGS', 'RSS', 'NAME', 'READABLE', 'MODULE'], lines[0]
    assert any(line.split()[:1] == [str(os.getpid())] for line in lines)
    assert re.fullmatch(r'(\d+\n)*', prowl('ps', '-q').stdout)


def test_info():
    refused('info', '--pid', NO_PID, saying='there is no process', status=5)
    refused('info', '--pid', str(os.getpid()), saying='is not a Go program', status=6)
    refused('info', '/bin/sh', saying='is not a Go program', status=6)
    refused('info', __file__, saying='is not a program', status=6)
    refused('info', '/', saying='is not a program', status=6)
    refused('info', '/nowhere/at/all', saying='No such file', status=1)
    go = shutil.which('go')
    if not go:
        raise Skip('the refusals pass; there is no Go program to look at')
    go = os.path.realpath(go)
    version = subprocess.run([go, 'env', 'GOVERSION'], capture_output=True, text=True).stdout.strip()
    info = json.loads(prowl('info', '--json', go).stdout)
    assert info['schema_version'] == 1 and info['path'] == go
    assert info['go_version'] == version, (info['go_version'], version)
    assert info['build']['package'] == 'cmd/go', info['build']
    assert info['functions'] > 1000
    assert int(info['text_start'], 16) < int(info['text_end'], 16)
    text = prowl('info', go).stdout
    assert version in text and 'cmd/go' in text, text


def doctor(*args, **kwargs):
    p = prowl('doctor', *args, '--json', status=None, **kwargs)
    assert p.returncode in (0, 4), p
    d = json.loads(p.stdout)
    assert d['schema_version'] == 1
    assert (d['works'] == 'nothing') == (p.returncode == 4), d
    for check in d['checks']:
        assert check['state'] == 'ok' or check['fix'], '%s names no remedy' % check
    return {c['id']: c for c in d['checks']}, d


def test_doctor():
    checks, d = doctor()
    for name in ('kernel', 'architecture', 'perf_user', 'perf_kernel', 'perf_cpu', 'perf_event_paranoid', 'cap_perfmon',
                 'seccomp', 'kallsyms', 'mlock', 'nofile'):
        assert name in checks, name
    assert 'target_maps' not in checks
    checks, d = doctor('--pid', str(os.getpid()))
    assert d['pid'] == os.getpid() and checks['target_maps']['state'] == 'ok'
    assert 'target_go' in checks and checks['target_go']['state'] == 'warn'
    refused('doctor', '--pid', NO_PID, saying='there is no process', status=5)
    p = prowl('doctor', status=None)
    assert re.search(r'^(ok  |warn|FAIL)  kernel: ', p.stdout, re.M), p.stdout
    assert 'work' in p.stdout.strip().split('\n')[-1], p.stdout


def test_doctor_nobody():
    setpriv = shutil.which('setpriv')
    if os.getuid() != 0 or not setpriv:
        raise Skip('needs root and setpriv(1)')
    prefix = [setpriv, '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all']
    with tempfile.TemporaryDirectory() as folder:  # the build may stand where nobody can't look
        os.chmod(folder, 0o755)
        path = shutil.copy(PROWL, folder)
        os.chmod(path, 0o755)
        checks, d = doctor(prefix=prefix, path=path)
        assert checks['cap_perfmon']['state'] == 'warn' and checks['cap_sys_ptrace']['state'] == 'warn'
        checks, d = doctor('--pid', str(os.getpid()), prefix=prefix, path=path)
        assert d['works'] == 'nothing', d
        assert checks['target_maps']['state'] == 'fail' and checks['target_memory']['state'] == 'warn'
        assert 'process %d' % os.getpid() in d['verdict']
        p = prowl('info', '--pid', str(os.getpid()), status=4, prefix=prefix, path=path)
        assert 'not allowed' in p.stderr and p.stdout == '', p
        p = prowl('ps', '--json', '--all', prefix=prefix, path=path)
        mine = [x for x in json.loads(p.stdout)['processes'] if x['pid'] == os.getpid()]
        assert mine and not mine[0]['can_profile'] and mine[0]['obstacle'], mine


def doctor_says(*args):
    p = prowl('doctor', *args, status=None)
    assert p.returncode in (0, 4), p
    return p


def test_output():
    """What can't be written to is told before the window, not after it."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, 'sub'))
        for name, saying in (('sub', 'names a folder'), ('sub/', 'names a folder'), ('n' * 256, 'too long'),
                             ('none/x.pb.gz', "can't write to the folder")):
            refused('profile', '--pid', NO_PID, '-o', os.path.join(folder, name), saying=saying)
        for name in ('n' * 255, 'x.pb.gz'):
            refused('profile', '--pid', NO_PID, '-o', os.path.join(folder, name), saying='no process', status=5)
        refused('profile', '--pid', NO_PID, '-o', '', saying='empty')
        refused('profile', '--pid', NO_PID, '-o', '/dev/null', saying='no process', status=5)
        longest = os.path.join(folder, 'n' * 255)
        with open(os.path.join(folder, 'in'), 'wb') as f:
            f.write(profile_bytes())
        prowl('report', '-f', 'pprof', '-o', longest, f.name)
        prowl('report', longest)
        assert sorted(os.listdir(folder)) == ['in', 'n' * 255, 'sub'], os.listdir(folder)
        # a link is followed, not replaced
        link = os.path.join(folder, 'sub', 'link')
        os.symlink('../n', link)
        with open(os.path.join(folder, 'n'), 'w'):
            pass
        prowl('report', '-f', 'pprof', '-o', link, f.name)
        assert os.readlink(link) == '../n' and os.listdir(os.path.dirname(link)) == ['link']
        prowl('report', link)
        stdout = '/dev/stdout'
        if os.access('/dev', os.W_OK):  # the machine's own is not put at stake
            stdout = os.path.join(folder, 'sub', 'stdout')
            os.symlink('/proc/self/fd/1', stdout)
        with open(os.path.join(folder, 'n'), 'w') as to:
            subprocess.run([PROWL, 'report', '-f', 'pprof', '-o', stdout, f.name], stdout=to, check=True)
        assert os.path.islink(stdout)
        prowl('report', to.name)
        # a mistake in the options leaves the old file as it was
        with open(longest, 'w') as old:
            old.write('old')
        refused('report', '-f', 'text', '-t', 'nothing', '-o', longest, f.name, saying="called 'nothing'")
        with open(longest) as old:
            assert old.read() == 'old'
        assert 'No space left' in prowl('report', '-f', 'pprof', '-o', '/dev/full', f.name, status=1).stderr
        prowl('report', '-f', 'text', '-o', '/dev/full', f.name, status=1)
        for args in (['--help'], ['--version'], ['report', f.name]):
            for to in ('>/dev/full', '>&-'):
                prowl(*args, prefix=['sh', '-c', 'exec "$@" ' + to, '-'], status=1)
        if os.getuid() == 0 and shutil.which('setpriv'):
            os.chmod(folder, 0o755)
            path = shutil.copy(PROWL, folder)
            nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', 'cd "$0" && exec "$@"']
            p = prowl('profile', '--pid', NO_PID, prefix=[*nobody, folder], path=path, status=2)
            assert "can't write to the folder ." in p.stderr, p.stderr
            p = prowl('profile', '--pid', NO_PID, '-o', '/dev/null', prefix=[*nobody, folder], path=path, status=5)


CONTROL = '\x1b]0;x\x07\x9b31m\x85'


def field(number, value):
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def profile_bytes(text=''):
    """A profile in which every string, but the first, has that text in it."""
    strings = [s and s + text for s in ('', 'cpu', 'unit', 'function', 'comment', '/some/file')]
    return b''.join((
        field(1, field(1, 1) + field(2, 2)), field(2, field(1, b'\1') + field(2, b'\5')),
        field(3, field(1, 1) + field(3, 4096) + field(5, 5) + field(6, 4)),
        field(4, field(1, 1) + field(2, 1) + field(4, field(1, 1))), field(5, field(1, 1) + field(2, 3) + field(4, 5)),
        *(field(6, s.encode()) for s in strings), field(10, 10 ** 9), field(13, 4), field(15, 4)))


def printable(p):
    for c in p.stdout + p.stderr:
        assert c == '\n' or (c >= ' ' and not '\x7f' <= c < '\xa0'), '%r in %r %r' % (c, p.stdout, p.stderr)
    return p


def test_hostile_profile():
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ('hostile', 'other', 'empty')]
        for path, data in zip(paths, (profile_bytes(CONTROL), profile_bytes(), field(6, b''))):
            with open(path, 'wb') as f:
                f.write(data)
        for args in (['-f', 'text'], ['-f', 'tree'], ['-f', 'folded'], ['-f', 'speedscope'], ['-f', 'json'], ['--comments'],
                     ['--peek', 'function'], ['-f', 'traces'], ['--granularity', 'line'],
                     ['-f', 'tree', '--granularity', 'file'], ['--focus', CONTROL],
                     ['--focus', 'function', '--unit', CONTROL], ['--tagroot', CONTROL]):
            assert printable(prowl('report', *args, paths[0])).stdout
        printable(prowl('report', '--granularity', CONTROL, paths[0], status=2))
        printable(prowl('report', '--focus', '(' + CONTROL, paths[0], status=2))
        printable(prowl('report', '--peek', 'nothing' + CONTROL, paths[0], status=1))
        for kind in ('svg', 'html'):
            text = prowl('report', '-f', kind, paths[0]).stdout
            assert not re.search('[^\t\n -~\xa0-\U0010ffff]', text) and text.rstrip().endswith('>'), text[:200]
        printable(prowl('report', '-t', 'nothing', paths[0], status=2))
        printable(prowl('report', paths[0], paths[1], status=1))
        refused('report', paths[2], saying='has no values')
        refused('report', '-f', 'text', '--diff-base', paths[0], paths[0], saying='goes with -f html')
        refused('report', '-f', 'svg', '--diff-base', paths[1], paths[0], saying='to compare with', status=1)
        refused('open', paths[2], saying='no values')
        refused('open', '-t', 'nothing', paths[0], saying="called 'nothing'")
        printable(prowl('open', '--diff-base', paths[2], paths[0], status=1))


def test_view():
    """What options of report leave; what is wrong is said before a file is touched."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = (os.path.join(folder, n) for n in ('x.pb.gz', 'out.pb.gz'))
        with open(path, 'wb') as f:
            f.write(profile_bytes())
        for option, word in (('focus', 'a('), ('show-from', '[z'), ('tagfocus', 'k=a,b('), ('hide', '*')):
            refused('report', '--' + option, word, '-o', out, path, saying='--%s: bad regular expression at' % option)
        refused('report', '--tag', 'bytes=99999999999999999999', path, saying='number is too large')
        refused('report', '-f', 'peek', path, saying='--peek REGEX')
        refused('report', '-f', 'tree', '--peek', 'x', path, saying='--peek is for -f peek')
        refused('report', '-f', 'gif', path, saying='pprof, text, tree, peek, traces')
        refused('report', '--peek', 'no such', path, saying="no function matches", status=1)
        refused('report', '--peek', 'no such', '-o', out, path, saying="no function matches", status=1)
        assert not os.path.exists(out)
        p = prowl('report', '--focus', 'no such', '--hide', 'function', path)
        assert 'matched nothing in this profile: focus' in p.stderr and 'hide' not in p.stderr, p.stderr
        assert 'focus=no such' in p.stdout, p.stdout
        assert 'function' in prowl('report', '--peek', 'unc', path).stdout
        assert '   function\n' in prowl('report', '-f', 'traces', path).stdout
        prowl('report', '--granularity', 'files', '-f', 'pprof', '-o', out, path)
        prowl('report', '--granularity', 'addresses', path)
        for kind in ('text', 'html', 'svg'):
            refused('report', '-f', kind, '-o', '/dev/full', path, saying='No space left on device', status=1)
        assert ' /some/file\n' in prowl('report', out).stdout


def test_hostile_name():
    """A process that calls itself what a terminal would obey, and what no reader of UTF-8 can read."""
    name = CONTROL.encode() + b'\xff'
    code = 'import sys\nopen("/proc/self/comm", "wb").write(%r)\nprint(flush=True)\nwhile True: pass' % name
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as target, \
            tempfile.TemporaryDirectory() as folder:
        try:
            target.stdout.readline()
            pid = str(target.pid)
            assert '?]0;x?' in printable(prowl('ps', '--all')).stdout
            ps = prowl('ps', '--all', '--json')
            assert [x['name'] for x in json.loads(printable(ps).stdout)['processes'] if x['pid'] == target.pid] == \
                [name.decode('utf-8', 'replace')], ps.stdout
            printable(prowl('info', '--pid', pid, status=6))
            if printable(doctor_says('--pid', pid)).returncode:
                raise Skip('profiles do not work here; the rest passes')
            path = os.path.join(folder, 'out.pb.gz')
            p = printable(prowl('profile', '--pid', pid, '--rate', '999', '--seconds', '1', '-o', path))
            assert '?]0;x?' in p.stderr, p.stderr
            assert '?]0;x?' in printable(prowl('report', '--comments', path)).stdout
        finally:
            target.kill()


def test_command():
    """A launched command finds its streams, signals and status as without prowl."""
    if doctor_says().returncode:
        raise Skip('profiles do not work here')
    with tempfile.TemporaryDirectory() as folder:
        def run(script, status, text=''):
            command = [PROWL, 'profile', '-q', '-o', os.path.join(folder, 'out.pb.gz'), '--', 'sh', '-c',
                       script + '; n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; ' + 'exit %d' % status]
            p = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
            assert p.returncode == status, (script, p)
            return p
        assert run('cat; echo err >&2', 9, 'in\n').stdout == 'in\n'
        assert run('yes | head -n 1', 0).stderr == ''
        ignored = subprocess.run(['grep', '^SigIgn', '/proc/self/status'], capture_output=True, text=True).stdout
        assert run('grep ^SigIgn /proc/self/status', 0).stdout == ignored
        # a stream that was closed doesn't become a file of prowl's, into which its words would go
        streams = os.path.join(folder, 'streams')
        busy = 'n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done'
        subprocess.run(['sh', '-c', '"$0" "$@" <&- >&- 2>&-', PROWL, 'profile', '-o', os.path.join(folder, 'closed.pb.gz'), '--',
                        'sh', '-c', 'for i in 0 1 2; do readlink /proc/$PPID/fd/$i; done >"$0"; ' + busy, streams],
                       check=True, timeout=60)
        with open(streams) as f:
            assert f.read() == 3 * '/dev/null\n', f
    refused('profile', '--', '/nowhere/at/all', saying='No such file', status=127)
    refused('profile', '--', '/', saying='Permission denied', status=126)


if __name__ == '__main__':
    try:
        globals()['test_' + sys.argv[1]]()
    except Skip as e:
        print('skipped: %s' % e)
        sys.exit(77)

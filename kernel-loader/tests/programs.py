#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""programs.py LAUNCHER: ordinary programs behave behind the gate as natively.

Compared are output, errors and exit code.
Run as root it repeats everything as an ordinary user, who needs PR_SET_NO_NEW_PRIVS."""
import os
import shutil
import subprocess
import sys
import tempfile

LAUNCHER = os.path.abspath(sys.argv[1])
PYTHON = os.path.realpath(sys.executable)
if os.path.exists('/usr/bin/python3'):
    PYTHON = '/usr/bin/python3'  # one that an ordinary user may run, too

PYTHON_WORK = r'''
import concurrent.futures, multiprocessing, os, signal, subprocess, tempfile, threading
def work(n):
    total = 0
    for i in range(50):
        total += len(bytearray(1 << 18)) + n
    return total
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(work, range(8))))
print(subprocess.run(['echo', 'hi'], capture_output=True).stdout)
print(subprocess.check_output('echo x | cat; exit 0', shell=True, close_fds=True))
first = os.open('/dev/null', os.O_RDONLY)
reader, writer = os.pipe()
print(first, reader, writer)
child = os.fork()
if child == 0:
    os.closerange(3, 4000)
    os._exit(os.open('/etc/passwd', os.O_RDONLY))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with multiprocessing.get_context('fork').Pool(2) as pool:
    print(pool.map(abs, [-1, -2, -3]))
signal.signal(signal.SIGALRM, lambda *ignored: print('alarm'))
signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.pause()
with tempfile.TemporaryFile() as file:
    file.write(b'x' * 100000)
print(os.readlink('/proc/self/exe') == os.path.realpath(os.readlink('/proc/self/exe')))
'''

BASH_WORK = r'''
echo a | cat | (cat; echo sub) | wc -l
for i in 1 2 3; do (echo $i); done
x=$(echo q); echo $x
exec 5>$TMP/f; echo hi >&5; exec 5>&-; cat $TMP/f
cat <(echo psub) <<< unused
trap 'echo trapped' USR1; kill -USR1 $$
(exit 3) & wait $!; echo $?
exec 8>&1 1>/dev/null; echo no; exec 1>&8 8>&-; echo yes
mkfifo $TMP/fifo; (echo through > $TMP/fifo) & cat < $TMP/fifo
{ echo err >&2; } 2>&1 | cat
ulimit -s; ulimit -n
echo >&9
exec /proc/self/exe -c 'echo again; exit 5'
'''

PERL_WORK = r'''
print join(",", map { $_ * 2 } 1..5), "\n"; print `echo bt`;
open(F, "<", "/dev/null"); print fileno(F), "\n";
$SIG{USR1} = sub { print "usr\n" }; kill USR1 => $$; exit 9;
'''

C_PROGRAM = r'''#include <stdio.h>
int main(int c, char **v) { printf("%d %s\n", c, v[1]); return 3; }
'''


def programs(folder):
    big = os.path.join(folder, 'big')
    with open(big, 'w') as out:
        value = 1
        for _ in range(200000):
            value = value * 1103515245 + 12345 & 0x7fffffff
            out.write(f'{value}\n')
    source = os.path.join(folder, 'p.c')
    with open(source, 'w') as out:
        out.write(C_PROGRAM)
    script = os.path.join(folder, 'script')
    with open(script, 'w') as out:
        out.write('#!/bin/sh -u\necho "$0 $1"; exit 4\n')
    os.chmod(script, 0o755)
    binary = os.path.join(folder, 'p')
    yield 'true', ['true']
    yield 'false', ['false']
    yield 'cat', ['cat', source]
    yield 'missing file', ['cat', folder + '/none']
    yield 'sort', ['sort', '-n', '-S', '2M', '-T', folder, big]
    yield 'sort with threads', ['sort', '--parallel=4', big]
    yield 'ls', ['ls', '-ld', '/', folder]
    yield 'sed', ['sed', '-n', '5,9p', big]
    yield 'script', [script, 'word']
    yield 'bash', ['bash', '-c', BASH_WORK]
    yield 'perl', ['perl', '-e', PERL_WORK]
    yield 'python', [PYTHON, '-c', PYTHON_WORK]
    yield 'compile', ['gcc', '-O1', '-o', binary, source]
    yield 'compiled program', [binary, 'x']
    yield 'compile for a fixed address', ['gcc', '-no-pie', '-o', binary, source]
    yield 'program at a fixed address', [binary, 'y']
    yield 'killed', ['bash', '-c', 'kill -TERM $$']
    yield 'tar', ['tar', '-C', folder, '-cf', '-', '--mtime=@0', '--sort=name', 'p.c', 'script']
    yield 'gdb', ['gdb', '--version']
    yield 'arguments', ['printf', '%s|'] + ['x' * 100] * 500
    yield 'environment', ['env', '-i', 'A=b', 'env']


def run(words, folder, user):
    environment = dict(os.environ, TMP=folder, LC_ALL='C')
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=100,
                          env=environment, cwd='/', **user)
    for name in ('f', 'fifo'):
        if os.path.exists(os.path.join(folder, name)):
            os.unlink(os.path.join(folder, name))
    return done.returncode, done.stdout, done.stderr


def check_all(user, who):
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        if user:
            os.chown(folder, user['user'], user['group'])
        for name, words in programs(folder):
            if not shutil.which(words[0]):
                print(f'skip {name} ({who}): no {words[0]} here')
                continue
            native = run(words, folder, user)
            ours = run([LAUNCHER] + words, folder, user)
            same = native == ours
            print('ok' if same else 'FAILED', name, f'({who})')
            if not same:
                failures += 1
                for what, left, right in zip(('exit code', 'stdout', 'stderr'), native, ours):
                    if left != right:
                        print(f'  {what}: natively {left!r:.500}, launched {right!r:.500}')
    return failures


failed = check_all({}, 'as the caller')
if os.geteuid() == 0:
    ordinary = {'user': 65534, 'group': 65534, 'extra_groups': []}
    try:
        subprocess.run([LAUNCHER, 'true'], cwd='/', **ordinary)
    except PermissionError:
        print('skip as an ordinary user: the build folder cannot be read by one')
    else:
        failed += check_all(ordinary, 'as an ordinary user')
sys.exit(1 if failed else 0)

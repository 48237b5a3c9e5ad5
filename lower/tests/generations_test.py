#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program with threads, without MPI: launched, checkpointed, killed and continued three times; gdb opens every image.

usage: generations_test.py LOWER_PROGRAM PROGRAM
LOWER_PROGRAM has the small agent of mini_agent.cc.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

GENERATIONS = 3


class Job:
    def __init__(self, lower: str, folder: str, words: list[str]):
        self.folder = folder
        self.process = subprocess.Popen([lower, *words], stdout=subprocess.PIPE, text=True)

    def wait_for_steps(self, more: int) -> str:
        line = ''
        for _ in range(more):
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f'the program ended: {self.process.wait()}')
        return line

    def checkpoint(self) -> str:
        with open(f'{self.folder}/ask', 'w', encoding='ascii') as ask:
            ask.write('x')
        with open(f'{self.folder}/answer', encoding='ascii') as answer:
            return answer.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.stdout.read()
        self.process.wait()


def check(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(what)


def numbers(line: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r'(\w+) (\d+)', line)}


def look_with_gdb(program: str, image: str, threads: int) -> None:
    if shutil.which('gdb') is None:
        print('gdb is not installed: backtraces not looked at')
        return
    output = subprocess.run(['gdb', '-nx', '-batch', '-ex', 'thread apply all bt', program, image],
                            capture_output=True, text=True, timeout=60).stdout
    for name in ('compute', 'wait_for_condition', 'wait_long', 'sleep_often', 'pause_for_ever', 'main'):
        check(re.search(rf'\b{name} \(', output) is not None, f'gdb does not show {name}:\n{output}')
    check(len(re.findall(r'^Thread \d+', output, re.M)) == threads, f'gdb does not show {threads} threads:\n{output}')


def main() -> int:
    lower, program = (os.path.abspath(path) for path in sys.argv[1:3])
    elements = sys.argv[3] if len(sys.argv) > 3 else '1000000'
    folder = tempfile.mkdtemp(prefix='mana-generations-')
    for name in ('ask', 'answer'):
        os.mkfifo(f'{folder}/{name}')
    with open(f'{folder}/input', 'w', encoding='ascii'):
        pass
    job = Job(lower, folder, ['--launch', '--ckpt-dir', folder, '--stack-limit', '8388608', '--', program, f'{folder}/input',
                              elements, f'{folder}/log'])
    try:
        for generation in range(1, GENERATIONS + 1):
            job.wait_for_steps(5)
            answer = job.checkpoint()
            print(answer)
            check(answer.startswith(f'generation {generation} threads 6'), f'checkpoint: {answer}')
            before = numbers(job.wait_for_steps(3))   # it goes on
            job.kill()
            image = f'{folder}/{generation:04d}/rank-000000.core'
            look_with_gdb(program, image, 6)
            begin = time.monotonic()
            job = Job(lower, folder, ['--restart', '--ckpt-dir', folder, '--generation-dir', f'{folder}/{generation:04d}'])
            after = numbers(job.wait_for_steps(1))
            print(f'restart to first step: {1000 * (time.monotonic() - begin):.0f} ms')
            check(after['step'] <= before['step'], f'not from the image: {before} {after}')
            check(after['errors'] == 0, f'errors: {after}')
            later = numbers(job.wait_for_steps(5))
            for what in ('computed', 'slept', 'timed_out'):
                check(later[what] > after[what], f'{what} stands still: {after} {later}')
        with open(f'{folder}/input', 'w', encoding='ascii') as pipe:
            pipe.write('q')
        last, _ = job.process.communicate(timeout=60)
        last = last.splitlines()[-1]
        code = job.process.returncode
        check(code == 42, f'exit code {code}: {last}')
        print(last)
    finally:
        if job.process.poll() is None:
            job.kill()
        shutil.rmtree(folder)
    return 0


sys.exit(main())

# SPDX-License-Identifier: BSD-3-Clause
"""Processes that the tests start: an mpirun and its ranks, and short commands.  Only processes that descend from this
runner are ever signalled; the runner adopts orphans (child subreaper), so none of them escapes it."""
import ctypes
import glob
import os
import pathlib
import signal
import subprocess
import time

POLL = 0.01  # seconds between two looks at a stated condition
LAUNCHER_PROGRAMS = ("hydra_pmi_proxy", "mpiexec.hydra", "mpirun", "orterun", "orted", "mpiexec")


class Failure(Exception):
    """The claim of a test does not hold.  The message says what was seen."""


class Skip(Exception):
    """The test cannot be run here; the message says why."""


def adopt_orphans():
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return -1


def descendants(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(_parent(entry), []).append(int(entry))
    found, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def program_of(pid):
    """Of a process whose main thread has ended another thread tells it."""
    for place in (f"/proc/{pid}/exe", *glob.glob(f"/proc/{pid}/task/*/exe")):
        try:
            return os.path.basename(os.readlink(place))
        except OSError:
            continue
    return ""


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def reap_orphans():
    """Ends what is left of processes that this runner started, and collects adopted ones."""
    for pid in descendants(os.getpid()):
        send(pid, signal.SIGKILL)
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break


def wait_for(condition, what, seconds, alive=None):
    """Waits for condition() to be true.  A bound that passes is a failure of the test, not a way to synchronise."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if alive is not None and not alive():
            raise Failure(f"the job ended while the test waited for {what}")
        if time.monotonic() > deadline:
            raise Failure(f"no {what} within {seconds:.0f} s")
        time.sleep(POLL)


def symbols_of(pid):
    """gdb's commands for the symbols of both halves: of itself it finds those of one program in a process."""
    places = []  # a library may be there twice
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        span, _, offset, _, _, *path = line.split(maxsplit=5)
        if path and path[0].startswith("/") and int(offset, 16) == 0:
            places.append((path[0], int(span.split("-")[0], 16)))
    commands = []
    for path, base in places:
        try:
            with open(path, "rb") as file:
                head = file.read(18)
        except OSError:
            continue
        if head[:4] == b"\x7fELF":
            at_fixed_address = head[16] == 2  # ET_EXEC
            commands += ["-ex", f"add-symbol-file {path} -o {0 if at_fixed_address else base:#x}"]
    return commands


class Job:
    """One mpirun (or a program alone), its output in a log."""

    def __init__(self, command, environment, log, folder=None, stdin=subprocess.DEVNULL, separate=False, stderr=subprocess.STDOUT):
        self.command, self.log_path = command, log
        with open(log, "a") as note:
            note.write(f"$ {' '.join(map(str, command))}\n")
        self.output = open(log, "ab")
        self.process = subprocess.Popen([str(word) for word in command], env=environment, cwd=folder, stdin=stdin,
                                        stdout=subprocess.PIPE if separate else self.output,
                                        stderr=subprocess.PIPE if separate else stderr, start_new_session=True)

    def running(self):
        return self.process.poll() is None

    def ranks(self):
        """Process ids of the ranks: what the launcher started that is not itself part of the launcher."""
        family = [self.process.pid] if program_of(self.process.pid).startswith("lower-") else []
        family += descendants(self.process.pid)
        return [pid for pid in family if program_of(pid) and program_of(pid) not in LAUNCHER_PROGRAMS]

    def lower_ranks(self):
        """Without the children that write images."""
        lower = [pid for pid in self.ranks() if program_of(pid).startswith("lower-")]
        return [pid for pid in lower if parent_of(pid) not in lower]

    def kill_ranks(self):
        """SIGKILL to every rank; then the launcher ends by itself."""
        for pid in self.ranks():
            send(pid, signal.SIGKILL)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.end()

    def wait(self, seconds, what="end of the job"):
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"no {what} within {seconds:.0f} s") from None

    def communicate(self, seconds, text=None):
        try:
            return self.process.communicate(input=text, timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failure(f"{' '.join(map(str, self.command))} did not end within {seconds:.0f} s") from None

    def end(self):
        """Ends the job whatever its state is."""
        family = descendants(self.process.pid)
        for pid in family + [self.process.pid]:
            send(pid, signal.SIGKILL)
        self.process.wait()
        self.output.close()

    def stacks(self):
        """Where the ranks stand, for the log of a test that hangs."""
        text = []
        for pid in self.ranks():
            try:
                done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-p", str(pid), *symbols_of(pid), "-ex", "thread apply all backtrace 25"],
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60,
                                      stdin=subprocess.DEVNULL, errors="replace")
                text.append(f"-- process {pid} ({program_of(pid)})\n{done.stdout}")
            except (OSError, subprocess.TimeoutExpired):
                text.append(f"-- process {pid}: gdb gave no answer\n")
        return "\n".join(text)


def run_command(command, environment, log=None, seconds=60, folder=None, text=None):
    """A short command: (exit code, stdout, stderr)."""
    job = None
    try:
        job = subprocess.Popen([str(word) for word in command], env=environment, cwd=folder, text=True, errors="replace",
                               stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
        out, err = job.communicate(input=text, timeout=seconds)
    except subprocess.TimeoutExpired:
        for pid in descendants(job.pid) + [job.pid]:
            send(pid, signal.SIGKILL)
        out, err = job.communicate()
        note(log, f"$ {' '.join(map(str, command))}\n{out}{err}")
        raise Failure(f"{' '.join(map(str, command))} did not end within {seconds:.0f} s; it said: {tail(out + err)}") from None
    note(log, f"$ {' '.join(map(str, command))}\n{out}{err}[exit code {job.returncode}]\n")
    return job.returncode, out, err


def note(log, text):
    if log is not None:
        with open(log, "a", errors="replace") as file:
            file.write(text if text.endswith("\n") else text + "\n")


def tail(text, lines=4):
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return " | ".join(kept) if kept else "(nothing)"

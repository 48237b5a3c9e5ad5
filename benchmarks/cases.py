# SPDX-License-Identifier: BSD-3-Clause
"""The cases.  Each function takes measurements in rounds, native and ours in turn, and fills Case objects."""
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import time

import launch
from samples import NO_GOAL, Case, Goal

CALL_GOALS = {
    "MPI_Comm_rank": Goal(1, 2), "MPI_Comm_size": Goal(1, 2), "MPI_Type_size": Goal(1, 2), "MPI_Wtime": Goal(1, 2),
    "ping-pong 8 B": Goal(1.2), "ping-pong 1 KiB": Goal(1.1), "ping-pong 64 KiB": Goal(1.02),
    "ping-pong 1 MiB": Goal(1.01), "self Irecv+Isend+Waitall": Goal(2), "Allreduce 8 B": Goal(1.15),
    "Barrier": Goal(1.15), "Iprobe miss": Goal(1, 35),
}


GATE_GOALS = {"clock_gettime": Goal(1, 5), "gettimeofday": Goal(1, 5), "8 threads, 200,000 malloc and free each": Goal(1.02)}


class Effort:
    """How much to do: a full run, or one iteration of everything so that nothing rots."""

    def __init__(self, quick: bool, launches: int, native_only: bool):
        self.quick = quick
        self.sides = ("native",) if native_only else ("native", "ours")
        self.launches = 1 if quick else launches
        self.storage_rounds = 1 if quick else max(3, launches // 5)
        self.repetition_ms = "0.5" if quick else "10"
        self.mebibytes = 8 if quick else 512
        self.melt_steps = 10 if quick else 500
        self.melt_runs = 1 if quick else max(3, launches // 4)

    def in_turn(self, rounds: int):
        """Sides of each round, the first of a round being the last of the one before: slow drifts hit both alike."""
        for index in range(rounds):
            yield from (self.sides if index % 2 == 0 else reversed(self.sides))


def calls(setup: launch.Setup, effort: Effort) -> list[Case]:
    cases = {name: Case(name, "ns", goal, setup.mpi) for name, goal in CALL_GOALS.items()}
    for side in effort.in_turn(effort.launches):
        done = launch.run(setup, setup.side(side, [setup.program("micro"), effort.repetition_ms]))
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                record = json.loads(line)
                cases[record["case"]].add(side, record["median"], record["least"])
    return list(cases.values())


def alone(setup: launch.Setup, side: str, command: list[str]) -> list[str]:
    """One process, no mpirun."""
    if side == "native":
        return command
    return [setup.tool("mana_launch"), "--ckpt-dir", str(setup.work / "unused-checkpoints"), *command]


def gate(setup: launch.Setup, effort: Effort) -> list[Case]:
    """System calls, caught and not, and what is made of them; no MPI, so once for all of them."""
    if setup.mpi != setup.first_mpi:
        return []
    cases: dict[str, Case] = {}
    for side in effort.in_turn(max(1, effort.launches // 4)):
        done = launch.run(setup, alone(setup, side, [str(setup.build / "benchmarks" / "system_calls"), effort.repetition_ms]))
        for line in done.stdout.splitlines():
            record = json.loads(line)
            name = record["case"]
            cases.setdefault(name, Case(name, "ns", GATE_GOALS.get(name, NO_GOAL), "-")).add(side, record["median"], record["least"])
    return list(cases.values())


def programs(setup: launch.Setup, effort: Effort) -> list[Case]:
    """Ordinary programs from start to end, wall clock."""
    if setup.mpi != setup.first_mpi:
        return []
    files = setup.work / "files"
    for folder in range(2 if effort.quick else 200):
        (files / str(folder)).mkdir(parents=True)
        for number in range(100):
            (files / str(folder) / str(number)).write_bytes(b"x" * (37 * number % 4000))
    source = setup.work / "source.cc"
    source.write_text("#include <algorithm>\n#include <map>\n#include <string>\n#include <vector>\n"
                      "int main() { std::map<std::string, std::vector<int>> m; m[\"a\"].push_back(1); return m.size() - 1; }\n")
    commands = {
        "tar of 20,000 small files": (Goal(1.3), ["tar", "cf", str(setup.work / "files.tar"), "-C", str(files), "."]),
        "compile of a C++ file": (NO_GOAL, ["g++", "-O1", "-c", "-o", str(setup.work / "source.o"), str(source)]),
        "python3 with 40 modules": (NO_GOAL, ["/usr/bin/python3", "-c", "import asyncio, decimal, email.mime.text, http.client, json, "
                                              "logging.handlers, multiprocessing, sqlite3, ssl, subprocess, unittest, xml.dom.minidom"]),
    }
    if subprocess.run(["/usr/bin/python3", "-c", "import numpy"], capture_output=True, check=False).returncode == 0:
        commands["python3 importing NumPy"] = (NO_GOAL, ["/usr/bin/python3", "-c", "import numpy"])
    cases = []
    for name, (goal, command) in commands.items():
        case = Case(name, "s", goal, "-")
        for side in effort.in_turn(max(1, effort.launches // 4)):
            start = time.monotonic()
            launch.run(setup, alone(setup, side, command))
            case.add(side, time.monotonic() - start)
        cases.append(case)
    shutil.rmtree(files)
    return cases


def melt(setup: launch.Setup, effort: Effort) -> list[Case]:
    """LAMMPS, a program nobody compiled for this: CPU time of the whole run."""
    program = shutil.which("lmp")
    if program is None or setup.mpi != "openmpi":  # Debian's LAMMPS is built with Open MPI
        return []
    case = Case("LAMMPS melt, CPU time", "s", Goal(1.01), setup.mpi)
    script = pathlib.Path(__file__).with_name("melt.lammps")
    command = [program, "-in", str(script), "-log", "none", "-var", "steps", str(effort.melt_steps)]
    for side in effort.in_turn(effort.melt_runs):
        case.add(side, launch.cpu_seconds(setup, setup.side(side, command)))
    return [case]


class Checkpoints:
    """A fresh checkpoint directory and the file that tells steps.c to end."""

    numbers = itertools.count()

    def __init__(self, setup: launch.Setup):
        self.setup = setup
        self.directory = setup.work / f"checkpoints-{next(self.numbers)}"
        self.directory.mkdir()
        self.end_file = self.directory.with_suffix(".end")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.end_file.unlink(missing_ok=True)

    def start(self, mebibytes: int) -> launch.Running:
        command = [self.setup.program("steps"), str(mebibytes), str(self.end_file)]
        return self.run(self.setup.side("ours", command, self.directory))

    def run(self, command: list[str]) -> launch.Running:
        running = launch.Running(self.setup, command)
        try:
            running.next_step()
            while not (self.directory / "control.json").exists():  # the agents find each other while the program runs
                running.next_step()
        except BaseException:
            running.kill()
            raise
        return running

    def take(self, running: launch.Running) -> tuple[float, pathlib.Path]:
        """(seconds until committed, folder of the generation)."""
        start = time.monotonic()
        try:
            done = launch.run(self.setup, [self.setup.tool("mana"), "checkpoint", "--ckpt-dir", str(self.directory)])
        except launch.Failed:
            running.check_running()  # when the program itself has ended, that is the news
            raise
        took = time.monotonic() - start
        number = int(done.stdout.split()[-1])
        for folder in self.directory.iterdir():
            if folder.name.isdigit() and int(folder.name) == number:
                return took, folder
        raise launch.Failed(f"mana checkpoint printed {number}, which is not in {self.directory}")


def image_size(setup: launch.Setup, unused: Effort) -> list[Case]:
    """Disk blocks of one rank's image of a program that has done nothing but MPI_Init and steps."""
    case = Case("image of a 2-rank hello, a rank", "MB", Goal(limit=6), setup.mpi)
    with Checkpoints(setup) as checkpoints:
        running = checkpoints.start(0)
        try:
            _, folder = checkpoints.take(running)
            images = sorted(folder.glob("rank-*.core"))
            for image in images:
                case.add("ours", image.stat().st_blocks * 512 / 1e6)
            checkpoints.end_file.touch()
            running.steps_until_end()
        finally:
            running.kill()
    return [case]


def use_memory(mebibytes: int) -> None:
    """Before files of so many MiB are written.  What the host of a virtual machine has taken back costs much at its next use, whoever
    uses it; and the kernel does not always take the memory that was used last."""
    used = b"\1" * (3 * mebibytes << 20)
    del used


def random_file(setup: launch.Setup, mebibytes: int) -> pathlib.Path:
    source = setup.work / "random"
    source.write_bytes(os.urandom(1 << 20) * mebibytes)
    return source


def parallel_dd(setup: launch.Setup, source: pathlib.Path, count: int) -> float:
    """The same bytes, written and made durable by `count` dd at once."""
    targets = [setup.work / f"dd-{rank}" for rank in range(count)]
    os.sync()
    use_memory(count * source.stat().st_size >> 20)
    start = time.monotonic()
    writers = [subprocess.Popen(["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"])
               for target in targets]
    if any([writer.wait() != 0 for writer in writers]):
        raise launch.Failed(f"dd could not write to {setup.work}")
    took = time.monotonic() - start
    for target in targets:
        target.unlink()
    return took


def storage(setup: launch.Setup, effort: Effort) -> list[Case]:
    """A checkpoint of random data against dd, how long the program stood still, and the restart."""
    size = effort.mebibytes
    checkpoint = Case(f"checkpoint of 2 x {size} MiB (dd)", "s", Goal(1.1), setup.mpi)
    still = Case("stand-still for it", "ms", Goal(limit=100), setup.mpi)
    restart = Case("restart to the first step (start)", "ms", Goal(1, 200), setup.mpi)
    source = random_file(setup, size)
    for _ in range(effort.storage_rounds):
        checkpoint.add("native", parallel_dd(setup, source, 2))
        with Checkpoints(setup) as checkpoints:
            running = checkpoints.start(size)
            try:
                os.sync()
                use_memory(2 * size)
                begun = time.time_ns()
                took, _ = checkpoints.take(running)
                checkpoint.add("ours", took)
                ended = time.time_ns()
                checkpoints.end_file.touch()
                still.add("ours", longest_gap(running, begun, ended))
            finally:
                running.kill()
            restart.add("native", first_step(setup, setup.ranks([setup.program("steps"), "0", str(checkpoints.end_file)])))
            restart.add("ours", first_step(
                setup, setup.ranks([setup.tool("mana_restart"), "--ckpt-dir", str(checkpoints.directory)])))
    source.unlink()
    return [checkpoint, still, restart]


def longest_gap(running: launch.Running, begun: int, ended: int) -> float:
    """Milliseconds between two steps, the longest that began in [begun, ended] ns.  The end file is there."""
    return max((gap for _, at, gap in running.steps_until_end() if begun <= at - gap <= ended), default=0) / 1e6


@dataclasses.dataclass
class Taken:
    """One checkpoint and restart of a process."""

    committed: float  # seconds from starting `mana checkpoint` to its end
    complete: float   # ... until the image was complete, in the page cache; the rest is for the storage
    still: float      # ms of stand-still
    restart: float    # ms from starting mana_restart to the end of the first step


def process(setup: launch.Setup, effort: Effort) -> list[Case]:
    """One process without MPI: 1 GiB of random data, and what threads and descriptors add to a small one."""
    if setup.mpi != setup.first_mpi:
        return []
    size = 8 if effort.quick else 1024
    complete = Case(f"{size} MiB process: image complete", "s", Goal(limit=0.5), "-")
    durable = Case(f"{size} MiB process: checkpoint (dd)", "s", Goal(1.1), "-")
    still = Case(f"{size} MiB process: stand-still", "ms", Goal(limit=60), "-")
    restart = Case(f"{size} MiB process: restart", "ms", Goal(limit=150), "-")
    busy_complete = Case(f"{size} MiB, computing: image complete", "s", NO_GOAL, "-")
    busy_still = Case(f"{size} MiB, computing: stand-still", "ms", Goal(limit=60), "-")
    source = random_file(setup, size)
    for _ in range(effort.storage_rounds):
        durable.add("native", parallel_dd(setup, source, 1))
        taken = checkpoint_of_one(setup, size, 0, 0, "waiting")
        complete.add("ours", taken.complete)
        durable.add("ours", taken.committed)
        still.add("ours", taken.still)
        restart.add("ours", taken.restart)
        taken = checkpoint_of_one(setup, size, 0, 0, "computing")
        busy_complete.add("ours", taken.complete)
        busy_still.add("ours", taken.still)
    source.unlink()
    # "native" is ours without them.
    added = [Case(f"8 threads, 100 descriptors: {what}", "ms", Goal(1, 10), "-") for what in ("checkpoint", "stand-still", "restart")]
    for side in effort.in_turn(2 * effort.storage_rounds):
        threads, descriptors = (0, 0) if side == "native" else (8, 100)
        taken = checkpoint_of_one(setup, 0, threads, descriptors, "computing")
        for case, value in zip(added, (1000 * taken.committed, taken.still, taken.restart)):
            case.add(side, value)
    return [complete, durable, still, restart, busy_complete, busy_still, *added]


def checkpoint_of_one(setup: launch.Setup, mebibytes: int, threads: int, descriptors: int, manner: str) -> Taken:
    with Checkpoints(setup) as checkpoints:
        ours = ["--ckpt-dir", str(checkpoints.directory)]
        running = checkpoints.run([setup.tool("mana_launch"), *ours, str(setup.build / "benchmarks" / "process"), str(mebibytes),
                                   str(checkpoints.end_file), str(threads), str(descriptors), manner])
        try:
            os.sync()
            use_memory(mebibytes)
            begun = time.time_ns()
            took, folder = checkpoints.take(running)
            ended = time.time_ns()
            checkpoints.end_file.touch()
            still = longest_gap(running, begun, ended)
        finally:
            running.kill()
        sync = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["costs"]["phase_seconds"]["sync"]
        return Taken(took, took - sync, still, first_step(setup, [setup.tool("mana_restart"), *ours]))


def first_step(setup: launch.Setup, command: list[str]) -> float:
    """Milliseconds from starting mpirun to the end of the first step.  The program ends after it: its end file is there."""
    running = launch.Running(setup, command)
    try:
        _, at, _ = running.next_step()
        running.steps_until_end()
    finally:
        running.kill()
    return (at - running.started_ns) / 1e6


COMPARED = {"calls": calls, "gate": gate, "programs": programs, "melt": melt}
ALL = COMPARED | {"image": image_size, "storage": storage, "process": process}

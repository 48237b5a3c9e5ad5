# SPDX-License-Identifier: BSD-3-Clause
"""Starting programs, natively and under mana_launch, and knowing the machine."""
import os
import pathlib
import platform
import subprocess
import time


class Failed(Exception):
    """A launch did not do what it should; the text says which and shows what it printed last."""


class Setup:
    """Where everything is: the build folder, one MPI, a folder to work in."""

    def __init__(self, build: pathlib.Path, mpi: str, mpirun: str, work: pathlib.Path, first_mpi: str = ""):
        self.first_mpi = first_mpi or mpi  # of this run: what needs no MPI is measured with it
        self.build, self.mpi, self.mpirun, self.work = build, mpi, mpirun, work
        self.environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                                OMP_NUM_THREADS="1")

    def program(self, name: str) -> str:
        return str(self.build / "benchmarks" / f"{name}-{self.mpi}")

    def tool(self, name: str) -> str:
        return str(self.build / "cli" / name)

    def ranks(self, command: list[str], ranks: int = 2) -> list[str]:
        """Ranks are bound as this mpirun does by default, on both sides alike."""
        start = [self.mpirun, "-n", str(ranks)]
        if self.mpi == "openmpi" and len(os.sched_getaffinity(0)) < ranks:
            start.append("--oversubscribe")
        return start + command

    def side(self, side: str, command: list[str], directory: pathlib.Path | None = None) -> list[str]:
        if side == "native":
            return self.ranks(command)
        where = directory or self.work / "unused-checkpoints"
        where.mkdir(parents=True, exist_ok=True)
        return self.ranks([self.tool("mana_launch"), "--ckpt-dir", str(where)] + command)


def run(setup: Setup, command: list[str], timeout: float = 600) -> subprocess.CompletedProcess:
    """Runs to the end; what it printed is in the result."""
    try:
        done = subprocess.run(command, env=setup.environment, cwd=setup.work, capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(command)}: no end after {late.timeout:g} s") from late
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done


def cpu_seconds(setup: Setup, command: list[str]) -> float:
    """User and system time of a whole run, all ranks and the launcher."""
    before = os.times()
    run(setup, command)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


class Running:
    """A program of steps.c at work: its lines as they come."""

    def __init__(self, setup: Setup, command: list[str]):
        self.setup, self.command = setup, command
        self.started_ns = time.time_ns()
        self.process = subprocess.Popen(command, env=setup.environment, cwd=setup.work, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)

    def next_step(self) -> tuple[int, int, int]:
        """(number, time in ns, gap in ns) of the next line."""
        for line in self.process.stdout:
            words = line.split()
            if words[:1] == ["step"]:
                return int(words[1]), int(words[2]), int(words[3])
        raise Failed(self.how_it_ended())

    def steps_until_end(self) -> list[tuple[int, int, int]]:
        steps = []
        while True:
            try:
                steps.append(self.next_step())
            except Failed:
                break
        if self.process.wait(timeout=120) != 0:
            raise Failed(self.how_it_ended())
        return steps

    def how_it_ended(self) -> str:
        code = self.process.wait(timeout=120)
        return f"{' '.join(self.command)}: ended with {code}: {self.process.stderr.read().strip()[-400:]}"

    def check_running(self) -> None:
        if self.process.poll() is not None:
            raise Failed(self.how_it_ended())

    def kill(self) -> None:
        """Ends whatever is left.  By SIGTERM: a launcher that is killed outright leaves its ranks behind."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def machine() -> str:
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    virtual = " (virtual machine)" if "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8") else ""
    return (f"{model}{virtual}, {len(os.sched_getaffinity(0))} cores, {memory:.1f} GiB, "
            f"{platform.system()} {platform.release()}")

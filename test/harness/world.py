# SPDX-License-Identifier: BSD-3-Clause
"""What the tests know of the build and of this machine: launch lines per MPI and interconnect, the commands under test."""
import json
import os
import pathlib
import shutil
import tempfile
import time

from .processes import Failure, Job, Skip, note, run_command, tail, wait_for

MPIS = ("mpich", "openmpi")
TRANSPORTS = ("shm", "tcp")


def other_mpi(mpi):
    return MPIS[1 - MPIS.index(mpi)]


def other_transport(transport):
    return TRANSPORTS[1 - TRANSPORTS.index(transport)]


class World:
    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.cli = self.build / "cli"
        self.programs = self.build / "test"
        self.logs = self.build / "test-logs"
        self.scratch = self.build / "test-scratch"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._names_hosts = None

    def environment(self, mpi=None, transport="shm", **more):
        drop = ("OMPI_", "PMI", "MPIR_", "UCX_", "MANA_", "HYDRA", "PMIX", "SLURM_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        env["OMP_NUM_THREADS"] = "1"
        if os.getuid() == 0:
            env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        if mpi == "mpich":
            env["UCX_TLS"] = "posix,self" if transport == "shm" else "tcp,self"
            if transport == "tcp":
                env["MPIR_CVAR_NOLOCAL"] = "1"
        env.update({key: str(value) for key, value in more.items()})
        return env

    def mpirun(self, mpi, ranks, transport="shm"):
        program = shutil.which(f"mpirun.{mpi}")
        if program is None:
            raise Skip(f"mpirun.{mpi} is not installed")
        if mpi == "mpich":
            return [program, "-n", str(ranks)]
        # Without the time-out mpirun waits for a second after a rank that was killed.
        return [program, "--oversubscribe", "--mca", "odls_base_sigkill_timeout", "0", "--mca", "mpi_yield_when_idle", "1",
                "--mca", "pml", "ob1", "--mca", "btl", "self,vader" if transport == "shm" else "self,tcp", "-n", str(ranks)]

    def program(self, name, abi=None):
        path = self.programs / (f"{name}_{abi}" if abi else name)
        if not path.exists():
            raise Skip(f"{path.name} is not built")
        return path

    def names_hosts(self):
        """Whether a restart can be given a host of another name: root can."""
        if self._names_hosts is None:
            self._names_hosts = run_command([self.program("elsewhere"), "--hostname", "elsewhere", "true"], self.environment())[0] == 0
        return self._names_hosts

    def elsewhere(self, host=None):
        """What a restart is started by, to find other descriptors open already and, where that can be, another host's name."""
        return [self.program("elsewhere"), *(("--hostname", host) if host is not None and self.names_hosts() else ())]

    def folder(self, name):
        return pathlib.Path(tempfile.mkdtemp(prefix=name.replace("/", "-") + "-", dir=self.scratch))


class OtherHosts:
    """What a command is started by, so that it is on a host booted long before this one, or long after it, in turns."""

    def __init__(self):
        self.turn = 0
        self.why_not = None
        if os.getuid() != 0:
            self.why_not = "another clock needs root (a time namespace)"
        elif shutil.which("unshare") is None or run_command([*self._at(1), "true"], os.environ)[0] != 0:
            self.why_not = "unshare --time does not work here"

    @staticmethod
    def _at(seconds):
        # --fork: before Linux 6.3 who executes in a new time namespace may have no threads.
        return ["unshare", "--fork", "--kill-child", "--time", "--monotonic", str(seconds), "--boottime", str(seconds)]

    def next(self):
        if self.why_not is not None:
            return []
        self.turn += 1
        uptime = int(time.clock_gettime(time.CLOCK_MONOTONIC))
        return self._at(10_000_000 * (self.turn % 8) if self.turn % 2 == 1 else -(uptime * 9 // 10))


class Checkpointed:
    """One job under mana_launch: launch, checkpoint, kill, restart; on any MPI and interconnect."""

    wrapper = ()  # what the launcher is started by

    def __init__(self, world, name, program, ranks, log, folder=None, **environment):
        self.world, self.name, self.program, self.ranks, self.log = world, name, list(program), ranks, log
        self.folder = folder if folder is not None else world.folder(name)
        self.directory = self.folder / "ckpt"
        self.more = environment
        self.job = None
        self.mpi = self.transport = None

    def _start(self, mpi, transport, command, prefix=(), **options):
        self.mpi, self.transport = mpi, transport
        self.job = Job([*self.wrapper, *self.world.mpirun(mpi, self.ranks, transport), *prefix, *command],
                       self.world.environment(mpi, transport, **self.more), self.log, folder=self.folder, **options)
        return self.job

    def native(self, mpi, transport="shm", **options):
        return self._start(mpi, transport, self.program, **options)

    def launch(self, mpi, transport="shm", options=(), **more):
        return self._start(mpi, transport, [self.world.cli / "mana_launch", "--ckpt-dir", self.directory, *options, *self.program],
                           **more)

    def restart(self, mpi=None, transport=None, options=(), **more):
        return self._start(mpi or self.mpi, transport or self.transport,
                           [self.world.cli / "mana_restart", "--ckpt-dir", self.directory, *options], **more)

    def mana(self, *arguments, seconds=60, log=True):
        return run_command([self.world.cli / "mana", arguments[0], "--ckpt-dir", self.directory, *arguments[1:]],
                           self.world.environment(), self.log if log else None, seconds, self.folder)

    def status(self):
        """The job's status as a dictionary, or None where no job answers."""
        code, out, _ = self.mana("status", "--json", seconds=20, log=False)
        if code != 0:
            return None
        try:
            return json.loads(out)
        except ValueError:
            return None

    def wait_until_answering(self, seconds=60):
        """Waits until the job can be asked for a checkpoint."""
        wait_for(lambda: (self.status() or {}).get("state") == "running", "answer of the job to `mana status`", seconds,
                 self.job.running)

    def checkpoint(self, *options, seconds=60):
        """Takes a checkpoint; returns the number of its generation."""
        code, out, err = self.mana("checkpoint", *options, seconds=seconds)
        if code != 0:
            raise Failure(f"mana checkpoint ended with exit code {code}: {tail(err)}")
        if not out.strip().isdigit():
            raise Failure(f"mana checkpoint printed {out!r} on stdout, not the number of a generation")
        return int(out)

    def kill(self):
        self.job.kill_ranks()

    def generations(self):
        if not self.directory.exists():
            return []
        return sorted(int(path.name) for path in self.directory.iterdir()
                      if path.name.isdigit() and (path / "manifest.json").exists())

    def generation_folder(self, number):
        return next(path for path in self.directory.iterdir() if path.name.isdigit() and int(path.name) == number)

    def explain_hang(self):
        note(self.log, "---- the job hangs; its status and stacks:")
        try:
            self.mana("status", seconds=10)
        except Failure as failure:
            note(self.log, str(failure))
        note(self.log, self.job.stacks())

    def finish(self, seconds=60, expected=0):
        try:
            code = self.job.wait(seconds)
        except Failure:
            self.explain_hang()
            raise
        if expected is not None and code != expected:
            raise Failure(f"the job ended with exit code {code}, not {expected}; its output ends: "
                          f"{tail(pathlib.Path(self.log).read_text(errors='replace'))}")
        return code

    def close(self, keep=False):
        if self.job is not None:
            self.job.end()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

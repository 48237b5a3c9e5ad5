# SPDX-License-Identifier: BSD-3-Clause
"""What a checkpoint does where something is short that only it needs: memory for a copy, signals, the size of a file."""
import os
import pathlib
import resource

from .life import start
from .processes import Failure, Job, Skip
from .steps import Meeting
from .world import MPIS

MEMORY = 160 << 20  # of the program that rewrites it all the while
ROOM = 32 << 20     # more, for the rest of the process: too little for a copy


class MemoryLimit:
    """A control group with a limit of memory, of either version."""

    def __init__(self, limit):
        name = f"mana-test-{os.getpid()}"
        for base, setting in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
            self.folder = pathlib.Path(base) / name
            try:
                self.folder.mkdir()
                (self.folder / setting).write_text(str(limit))
                return
            except OSError:
                self.remove()
        raise Skip("this user may not make a control group with a limit of memory")

    def remove(self):
        try:
            self.folder.rmdir()
        except OSError:
            pass


def memory_for_no_copy(world, log, _):
    """What the program writes to would be there twice while an image is written.  Where that is too much, the job stands still for it."""
    group = MemoryLimit(MEMORY + ROOM)
    job = Meeting(world, "busy", [world.program("alone"), "busy", str(MEMORY)], 1, log)
    environment = world.environment(None, **job.more)
    inside = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', group.folder]
    try:
        job.job = Job([*inside, world.cli / "mana_launch", "--ckpt-dir", job.directory, *job.program], environment, log, folder=job.folder)
        job.wait_for_step()
        job.checkpoint()
        if "the application stands still until the image is written" not in log.read_text(errors="replace"):
            raise Failure("the rank does not say that there is no memory for a copy")
        job.resume_alone(environment)
        job.go_to_the_end(expected=11)
    finally:
        job.close()
        group.remove()


def limit(job, which, soft, hard):
    for process in job.job.ranks():
        resource.prlimit(process, which, (soft, hard))


def no_signal_can_be_queued(world, log, mpi):
    """The soft limit is for what the application queues; beyond the hard one a checkpoint is refused by name."""
    job = start(world, log, mpi, "hold", "1")
    try:
        job.wait_for_step()
        before = resource.getrlimit(resource.RLIMIT_SIGPENDING)[1]
        limit(job, resource.RLIMIT_SIGPENDING, 0, before)
        job.checkpoint()
        limit(job, resource.RLIMIT_SIGPENDING, 0, 0)
        job.expect_refusal("beyond the limit of waiting signals", "ulimit -i")
        job.go_to_the_end()
    finally:
        job.close()


def size_of_a_file_is_limited(world, log, mpi):
    """As with signals: an image may be larger than what the application lets itself write."""
    job = start(world, log, mpi, "hold", "4")
    try:
        job.wait_for_step()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        limit(job, resource.RLIMIT_FSIZE, 1 << 20, before)
        job.checkpoint()
        limit(job, resource.RLIMIT_FSIZE, 1 << 20, 1 << 20)
        job.expect_refusal("File too large", "ulimit -f")
        job.go_to_the_end()
    finally:
        job.close()


TESTS = (memory_for_no_copy, no_signal_can_be_queued, size_of_a_file_is_limited)


def run(world, report):
    for index, test in enumerate(TESTS):
        mpi = MPIS[index % 2]
        report.run(f"scarcity/{mpi}/{test.__name__}", test, mpi)

# SPDX-License-Identifier: BSD-3-Clause
"""A library in the lower half that watches libc's memory calls, as MPI libraries do for their registration caches, is told
of the application's."""
import os

from .steps import Meeting
from .world import MPIS


def is_told(world, log, mpi):
    job = Meeting(world, f"memory-watch-{mpi}", [world.program("memory_changes", mpi)], 2, log)
    job.more |= {"LD_PRELOAD": os.fspath(world.build / "test" / "libmemory_watcher.so"), "MANA_WATCH_MEMORY": "1",
                 "UCX_MEM_MMAP_HOOK_MODE": "none", "UCX_MEM_EVENTS": "no",
                 "MEMORY_WATCHER_LOG": os.fspath(job.folder / "watched")}
    job.launch_and_move(mpi)


def run(world, report):
    for mpi in MPIS:
        report.run(f"memory-watch/{mpi}", is_told, mpi)

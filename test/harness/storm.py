# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints at random moments of a program that is never still; every tenth (in a short storm every fifth) is followed by
SIGKILL of all ranks and a restart on another interconnect or MPI.  MANA_STORM sets how many (30; 200 for the full storm), MANA_STORM_SEED repeats one."""
import os
import pathlib
import random
import re
import time

from .processes import Failure, note
from .world import Checkpointed, MPIS, other_mpi, other_transport

RANKS = 4


def storm(world, log, abi, checkpoints, seed):
    chance = random.Random(seed)
    folder = world.folder(f"storm-{abi}")
    job = Checkpointed(world, f"storm-{abi}", [world.program("storm", abi)], RANKS, log, folder=folder, MANA_TEST_DIR=folder)
    note(log, f"---- seed {seed}")
    mpi, transport = abi, "shm"
    kill_every = 10 if checkpoints >= 50 else 5
    try:
        job.launch(mpi, transport)
        job.wait_until_answering()
        for taken in range(1, checkpoints + 1):
            time.sleep(chance.uniform(0, 0.25))  # the moment is random on purpose; nothing waits for it
            note(log, f"---- checkpoint {taken}")
            job.checkpoint(seconds=90)
            if taken % kill_every == 0:
                if taken // kill_every % 2:
                    transport = other_transport(transport)
                else:
                    mpi = other_mpi(mpi)
                time.sleep(chance.uniform(0, 0.25))
                job.kill()
                job.restart(mpi, transport)
                job.wait_until_answering()
        (folder / "stop").touch()
        job.finish(90)
        done = re.findall(r"storm: (\d+) rounds, (\d+) failures", pathlib.Path(log).read_text(errors="replace"))
        if not done or done[-1][1] != "0":
            raise Failure(f"the program says {done}")
    except Failure as failure:
        if job.job is not None and job.job.running():
            job.explain_hang()
        raise Failure(f"{failure} (seed {seed})") from None
    finally:
        job.close()


def run(world, report):
    checkpoints = int(os.environ.get("MANA_STORM", "30"))
    seed = int(os.environ.get("MANA_STORM_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    for index, abi in enumerate(MPIS):
        share = checkpoints - checkpoints // 2 if index == 0 else checkpoints // 2
        name = f"storm/{abi}/{share}_checkpoints"
        if report.wants(name):
            print(f"         {name}: seed {seed}", flush=True)
        report.run(name, storm, abi, share, seed)

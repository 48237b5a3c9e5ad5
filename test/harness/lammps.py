# SPDX-License-Identifier: BSD-3-Clause
"""Debian's LAMMPS, unmodified: checkpointed, killed, moved; its final state equals that of an uninterrupted run."""
import filecmp
import pathlib
import re
import shutil

from .processes import Failure, Skip, wait_for
from .world import Checkpointed

MELT = """units lj
atom_style atomic
lattice fcc 0.8442
region box block 0 10 0 10 0 10
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 87287 loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
neighbor 0.3 bin
neigh_modify every 20 delay 0 check no
fix 1 all nve
thermo 10
thermo_modify flush yes
run 1500
write_data final.data
"""


def melt(world, log):
    program = shutil.which("lmp")
    if program is None:
        raise Skip("LAMMPS is not installed")
    folders = [world.folder("lammps-reference"), world.folder("lammps")]
    for folder in folders:
        (folder / "in.melt").write_text(MELT)
    command = [program, "-in", "in.melt"]
    reference = Checkpointed(world, "reference", command, 2, log, folder=folders[0])
    job = Checkpointed(world, "lammps", command, 2, log, folder=folders[1])

    def reached(step):
        lines = (folders[1] / "log.lammps").read_text(errors="replace") if (folders[1] / "log.lammps").exists() else ""
        steps = [int(found) for found in re.findall(r"^ +(\d+) +[-\d.]+ +[-\d.]+", lines, re.MULTILINE)]
        return bool(steps) and steps[-1] >= step
    try:
        reference.native("openmpi")
        reference.finish(120)
        job.launch("openmpi")
        wait_for(lambda: reached(150), "step 150", 120, job.job.running)
        job.checkpoint()
        job.kill()
        job.restart("openmpi", "tcp")
        job.wait_until_answering()
        job.checkpoint()
        job.kill()
        job.restart("mpich", "shm")
        job.finish(120)
        if not filecmp.cmp(folders[0] / "final.data", folders[1] / "final.data", shallow=False):
            raise Failure("final.data differs from that of the uninterrupted run")
    finally:
        job.close()
        reference.close()


def run(world, report):
    report.run("lammps/melt_equals_the_uninterrupted_run", melt)

# SPDX-License-Identifier: BSD-3-Clause
"""The image is an ELF core file that ordinary tools open."""
import shutil

from .processes import Failure, Skip, run_command, tail
from .steps import Meeting
from .world import MPIS


def opens(world, log, mpi):
    job = Meeting(world, "image", [world.program("behave", mpi), "zeros", "200"], 2, log)
    try:
        job.launch(mpi)
        job.wait_for_step()
        number = job.checkpoint()
        for rank in range(2):
            image = job.generation_folder(number) / f"rank-{rank:06}.core"
            gdb_shows_frames(world, log, job, image)
            code, out, err = run_command(["readelf", "-hW", image], world.environment(), None)
            if code != 0 or "CORE" not in out:
                raise Failure(f"readelf: {tail(out + err)}")
            if shutil.which("eu-stack"):
                code, out, err = run_command(["eu-stack", "--core", image, "-e", job.program[0]], world.environment(), log)
                if "main" not in out:
                    raise Failure(f"eu-stack: {tail(out + err)}")
            if image.stat().st_mode & 0o777 != 0o600:
                raise Failure(f"{image} has mode {image.stat().st_mode & 0o777:o}")
            stored = image.stat().st_blocks * 512
            if stored > 100 << 20:
                raise Failure(f"200 MiB of zeroes are not holes: {stored} bytes are stored")
        job.go()
        job.finish()
    finally:
        job.close()


def gdb_shows_frames(world, log, job, image):
    gdb = shutil.which("gdb")
    if gdb is None:
        raise Skip("gdb is not installed")
    code, out, err = run_command([gdb, "-q", "-nx", "-batch", "-ex", "thread apply all backtrace", job.program[0], image],
                                 world.environment(), log)
    for frame in ("rendezvous_wait", "meet", "main ("):
        if frame not in out:
            raise Failure(f"gdb does not show {frame}: {tail(out + err, 8)}")


def run(world, report):
    for mpi in MPIS:
        report.run(f"image/{mpi}/opens_in_gdb_and_readelf", opens, mpi)

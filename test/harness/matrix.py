# SPDX-License-Identifier: BSD-3-Clause
"""{ABI of the binary} x {MPI at launch} x {MPI at restart} x {interconnect}, with a program that uses everything."""
import pathlib

from .processes import Failure
from .steps import Meeting
from .world import MPIS, TRANSPORTS


def cell(world, log, abi, launched, restarted, transport, program="everything"):
    job = Meeting(world, f"matrix-{abi}-{launched}-{restarted}-{transport}", [world.program(program, abi)], 2, log)
    try:
        job.launch(launched, transport)
        job.wait_for_step()
        job.checkpoint()
        job.resume(restarted, transport)
        job.go()
        job.wait_for_step()
        job.checkpoint()
        job.go()
        job.finish()
        if "everything: 2 ranks, 0 failures" not in pathlib.Path(log).read_text(errors="replace"):
            raise Failure("the program's last line is missing")
    finally:
        job.close()


def run(world, report):
    for abi in MPIS:
        for launched in MPIS:
            for restarted in MPIS:
                for transport in TRANSPORTS:
                    report.run(f"matrix/{abi}-binary/{launched}-to-{restarted}/{transport}", cell, abi, launched, restarted, transport)
        # Not position independent: handles come in by copy relocations, code and data lie at their link address.
        report.run(f"matrix/{abi}-binary-not-pie/{MPIS[0]}-to-{MPIS[1]}/shm", cell, abi, *MPIS, "shm", "everything_nopie")

# SPDX-License-Identifier: BSD-3-Clause
"""What no restart brings back is refused by name, while the job runs on; gone, a checkpoint of the same job succeeds."""
from .processes import Skip
from .steps import Meeting
from .world import MPIS, other_mpi

# What the refusal names, and whether the program can undo it.
KINDS = {
    "pidfd": ("pidfd", True),
    "userfaultfd": ("userfaultfd", True),
    "io_uring": ("io_uring", True),
    "perf": ("performance counter", True),
    "bpf": ("bpf", True),
    "kvm": ("/dev/kvm", True),
    "tun": ("/dev/net/tun", True),
    "message-queue": ("POSIX message queue", True),
    "segment": ("System V shared memory segment", True),
    "ptrace": ("traces process", True),
    "unshare": ("unshare", False),
    "setns": ("setns", False),
    "chroot": ("chroot", False),
    "seccomp": ("seccomp filter", False),
}


def refused(world, log, mpi, kind):
    named, can_be_undone = KINDS[kind]
    # Children are not what is asked about here.
    command = ("checkpoint", "--ignore-children")
    job = Meeting(world, f"refused-{kind}", [world.program("refused", mpi), kind], 2, log)
    try:
        job.launch(mpi)
        job.wait_for_step()
        said = (job.folder / "arrived.1.0").read_text(encoding="utf-8")
        if said.startswith("unavailable"):
            raise Skip(f"this kernel does not let it: {said}")
        job.expect_refusal(named, command=command)
        job.go()
        if can_be_undone:
            job.wait_for_step()
            job.checkpoint()
            job.resume(other_mpi(mpi))
            job.go()
        job.finish()
    finally:
        job.close()


def run(world, report):
    for index, kind in enumerate(KINDS):
        mpi = MPIS[index % 2]
        report.run(f"refusals/{mpi}/{kind}", refused, mpi, kind)

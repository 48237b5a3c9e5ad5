# SPDX-License-Identifier: BSD-3-Clause
"""What no restart brings back is refused by name, while the job runs on; gone, a checkpoint of the same job succeeds."""
import dataclasses

from .processes import Skip
from .steps import Meeting
from .world import MPIS, other_mpi


@dataclasses.dataclass(frozen=True)
class Kind:
    named: str  # what the refusal says
    program: str = "refused"
    can_be_undone: bool = True
    options: tuple = ("--ignore-children",)  # children are what is asked about in one kind only
    mpi: str | None = None  # the one that can do it
    transport: tuple = ()


KINDS = {
    "pidfd": Kind("pidfd: nothing makes it again"),
    "userfaultfd": Kind("userfaultfd"),
    "io_uring": Kind("io_uring"),
    "ring": Kind("a ring of io_uring"),
    "perf": Kind("performance counter"),
    "bpf": Kind("bpf"),
    "kvm": Kind("/dev/kvm"),
    "tun": Kind("/dev/net/tun"),
    "device": Kind("has mapped the device /dev/"),
    "counter": Kind("has mapped anon_inode:[perf_event]"),
    "lease": Kind("lease"),
    "passed": Kind("descriptors are on their way in it"),
    "watched": Kind("it watches an open file whose number"),
    "waiting": Kind("a connection of the application's own waits in it to be accepted"),
    "program": Kind("socket: a BPF program is attached to it"),
    "chosen": Kind("let a program choose among sockets that share a port"),
    "sources": Kind("socket: it has joined a multicast group for some of its sources"),
    "removed-device": Kind("its name leads to no device, or to another one, now"),
    "unread": Kind("inotify: it has events that were not read yet"),
    "fanotify": Kind("fanotify"),
    "secret": Kind("secret memory"),
    "huge-file": Kind("file in huge pages"),
    "netlink": Kind("of an address family that cannot be made again (16)"),
    "timer": Kind("on the processor time of a thread"),
    "message-queue": Kind("POSIX message queue"),
    "segment": Kind("System V shared memory segment"),
    "unattached": Kind("is not attached: no restart brings it back"),
    "in-part": Kind("is not attached whole"),
    "semaphores": Kind("System V semaphore set"),
    "queue": Kind("System V message queue"),
    "too-many": Kind("more System V objects at once than can be followed", can_be_undone=False),
    "ptrace": Kind("traces process"),
    "unshare": Kind("unshare", can_be_undone=False),
    "setns": Kind("setns", can_be_undone=False),
    "chroot": Kind("chroot", can_be_undone=False),
    "seccomp": Kind("seccomp filter", can_be_undone=False),
    "landlock": Kind("landlock", can_be_undone=False),
    "capabilities": Kind("capabilities", can_be_undone=False),
    "dispatch": Kind("PR_SET_SYSCALL_USER_DISPATCH", can_be_undone=False),
    "ports": Kind("iopl", can_be_undone=False),
    "folder": Kind("F_NOTIFY", can_be_undone=False),
    "segments": Kind("modify_ldt"),
    "own-files": Kind("clone without CLONE_FILES"),
    "own-folder": Kind("clone without CLONE_FILES or CLONE_FS"),
    "unreadable": Kind("sealed memory (mseal) that cannot be read", can_be_undone=False),
    "early-capabilities": Kind("capabilities", can_be_undone=False),
    "aio": Kind("io_setup"),
    "thread-keys": Kind("a key ring of a thread or of its process"),
    "process-keys": Kind("a key ring of a thread or of its process", can_be_undone=False),
    "session-keys": Kind("a session's key ring", can_be_undone=False),
    "joined-session": Kind("a session's key ring", can_be_undone=False),
    "protection-key": Kind("memory with a protection key"),
    "child": Kind("sleep 100000) is still running; a checkpoint waits 10 s", "behave", options=()),
    "window": Kind("MPI_Win_create", "behave"),
    "file": Kind("MPI_File_open", "behave"),
    "spawned": Kind("MPI_Comm_spawn", mpi="openmpi", transport=("tcp",)),  # Debian's MPICH 4.0 cannot, natively either
}


def refused(world, log, mpi, name):
    kind = KINDS[name]
    job = Meeting(world, f"refused-{name}", [world.program(kind.program, mpi), name], 2, log)
    try:
        job.launch(mpi, *kind.transport)
        job.wait_for_step()
        said = (job.folder / "arrived.1.0").read_text(encoding="utf-8")
        if said.startswith("unavailable"):
            raise Skip(f"this kernel, or this user's rights, do not let it: {said}")
        job.expect_refusal(kind.named, command=("checkpoint", *kind.options))
        job.go()
        if kind.can_be_undone:
            job.wait_for_step()
            job.outlive_the_last_step(other_mpi(mpi))
        else:
            job.finish()
    finally:
        job.close()


def run(world, report):
    for index, name in enumerate(KINDS):
        mpi = KINDS[name].mpi or MPIS[index % 2]
        report.run(f"refusals/{mpi}/{name}", refused, mpi, name)

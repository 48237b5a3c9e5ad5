# SPDX-License-Identifier: BSD-3-Clause
"""What a restart gives the job anew, or must do without: streams, the environment's room, huge pages."""
import mmap
import os
import pathlib
import re
import socket
import subprocess

from .life import start
from .processes import Failure, Job, Skip, run_command
from .steps import Meeting, expect_message
from .world import MPIS, other_mpi


def huge_pages_that_the_new_host_lacks(world, log, mpi):
    """What was in reserved huge pages comes back in ordinary ones, and a line says so.  Needs some that are free."""
    job = start(world, log, mpi, "huge")
    taken = None
    try:
        job.wait_for_step()
        if "unavailable" in (job.folder / "arrived.1.0").read_text() + (job.folder / "arrived.1.1").read_text():
            raise Skip("too few huge pages are reserved here (vm.nr_hugepages)")
        job.checkpoint()
        job.kill()
        taken = all_free_huge_pages()
        job.restart(other_mpi(mpi))
        job.wait_until_answering()
        job.go()
        job.finish()
        if log.read_text(errors="replace").count("it lies in ordinary pages now") != job.ranks:
            raise Failure("the restart does not say that the memory lies in ordinary pages now")
    finally:
        if taken is not None:
            taken.close()
        job.close()


def all_free_huge_pages():
    facts = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    free, promised, size = (int(facts[name].split()[0]) for name in ("HugePages_Free", "HugePages_Rsvd", "Hugepagesize"))
    map_hugetlb = 0x40000
    return mmap.mmap(-1, (free - promised) * size * 1024, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | map_hugetlb)


def environment_without_room(world, log, mpi):
    """--env beyond what an image has room for: refused by name, and the image is as good as before."""
    job = start(world, log, mpi, "hold", "1")
    try:
        job.wait_for_step()
        job.checkpoint()
        job.kill()
        large = [word for i in range(3) for word in ("--env", f"LARGE_{i}={'x' * 100_000}")]
        code, out, err = run_command(world.mpirun(mpi, 2) + [world.cli / "mana_restart", "--ckpt-dir", job.directory, *large],
                                     world.environment(mpi), log)
        expect_message("mana_restart with 300 kB of --env", code, out, err, "change the environment", "LARGE_2", "No space left", "256 KiB")
        job.forget_later_steps()
        job.restart(other_mpi(mpi), options=("--env", "SMALL=1"))
        job.wait_until_answering()
        job.go_to_the_end()
    finally:
        job.close()


def streams_are_the_new_jobs(world, log, _, program="alone"):
    """0, 1 and 2 of a restarted program are those of mana_restart: it reads, prints and complains there.  And --env without MPI."""
    job = Meeting(world, "streams", [world.program(program), "streams"], 1, log)
    environment = world.environment(None, **job.more)
    try:
        job.job = Job([world.cli / "mana_launch", "--ckpt-dir", job.directory, *job.program], environment, log, folder=job.folder,
                      stdin=subprocess.PIPE, separate=True)
        job.job.process.stdin.write(b"first\n")
        job.job.process.stdin.flush()
        job.wait_for_step()
        job.checkpoint()
        job.kill()
        out, err = job.job.communicate(20)
        if (out, err) != (b"out first\n", b"err first\n"):
            raise Failure(f"before: stdout {out!r}, stderr {err!r}")
        job.forget_later_steps()
        job.job = Job([world.cli / "mana_restart", "--ckpt-dir", job.directory, "--env", "MANA_TEST_SAYS=hello"], environment, log,
                      folder=job.folder, stdin=subprocess.PIPE, separate=True)
        job.wait_until_answering()
        job.go()
        out, err = job.job.communicate(60, b"second\n")
        code = job.job.process.returncode
        if (code, out) != (11, b"out second\nout nothing\nsays hello\nalone: counted\n") or err != b"err second\nerr nothing\n":
            raise Failure(f"after: exit code {code}, stdout {out!r}, stderr {err!r}")
    finally:
        job.close()


def streams_at_a_fixed_address(world, log, mpi):
    streams_are_the_new_jobs(world, log, mpi, "alone_nopie")


def connection_to_the_outside_is_reset(world, log, _):
    """The peer lives on; the application reads ECONNRESET, and the restart says so once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        job = Meeting(world, "connected", [world.program("alone"), "connected"], 1, log)
        job.more["MANA_TEST_PORT"] = str(server.getsockname()[1])
        environment = world.environment(None, **job.more)
        try:
            job.job = Job([world.cli / "mana_launch", "--ckpt-dir", job.directory, *job.program], environment, log, folder=job.folder)
            with server.accept()[0]:
                job.wait_for_step()
                job.checkpoint()
                job.resume_alone(environment)
                job.go()
                job.wait_for_step()
                job.go()
                job.finish(expected=11)
        finally:
            job.close()
    if log.read_text(errors="replace").count("is a connection that was reset") != 1:
        raise Failure("the restart does not say once that the connection was reset")


def what_nobody_can_do_again_is_told(world, log, _):
    """Each in one line of the restart; the job goes on."""
    job = Meeting(world, "told", [world.program("alone"), "told"], 1, log)
    environment = world.environment(None, **job.more)
    try:
        job.job = Job([world.cli / "mana_launch", "--ckpt-dir", job.directory, *job.program], environment, log, folder=job.folder)
        job.wait_for_step()
        job.checkpoint()
        before = log.read_text(errors="replace")
        job.resume_alone(environment)
        job.go_to_the_end(expected=11)
    finally:
        job.close()
    asked = re.findall("asked: (.*)", before)
    if not asked:
        raise Skip("this kernel has nothing that a restart could only tell")
    told = log.read_text(errors="replace")[len(before):]
    if any(told.count(f"({what})") + told.count(f"the {what} ") != 1 for what in asked):
        raise Failure(f"the restart does not say once what it cannot do again: {asked}")


def multicast_group_of_another_host(world, log, _):
    """A group on an interface that the new host lacks cannot be joined again, which one line says; the job goes on."""
    other_host = ["unshare", *(() if os.getuid() == 0 else ("--map-root-user",)), "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    job = Meeting(world, "member", [world.program("alone"), "member"], 1, log)
    environment = world.environment(None, **job.more)
    try:
        if run_command([*other_host, "true"], environment, log)[0] != 0:
            raise Skip("this user may not make a network namespace, which plays the other host")
        job.job = Job([world.cli / "mana_launch", "--ckpt-dir", job.directory, *job.program], environment, log, folder=job.folder)
        try:
            job.wait_for_step()
        except Failure as failure:
            if "unavailable" in log.read_text(errors="replace"):
                raise Skip("there is no interface with multicast but the loopback one") from failure
            raise
        job.checkpoint()
        job.kill()
        job.forget_later_steps()
        # Its control tree cannot be asked from here.
        job.job = Job([*other_host, world.cli / "mana_restart", "--ckpt-dir", job.directory], environment, log, folder=job.folder)
        job.go_to_the_end(expected=11)
    finally:
        job.close()
    if log.read_text(errors="replace").count("a socket, cannot join its multicast group on ") != 1:
        raise Failure("the restart does not say once that a multicast group cannot be joined again")


# The first with MPICH: Open MPI's launcher puts all arguments into one variable, which may not be as long as this needs.
TESTS = (environment_without_room, huge_pages_that_the_new_host_lacks, streams_are_the_new_jobs, streams_at_a_fixed_address,
         connection_to_the_outside_is_reset, what_nobody_can_do_again_is_told, multicast_group_of_another_host)


def run(world, report):
    for index, test in enumerate(TESTS):
        mpi = MPIS[index % 2]
        report.run(f"restarts/{mpi}/{test.__name__}", test, mpi)

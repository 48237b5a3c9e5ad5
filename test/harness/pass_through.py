# SPDX-License-Identifier: BSD-3-Clause
"""A job under mana_launch ends, prints and reads as it does without."""
import os
import pathlib
import shutil
import subprocess

from .processes import Failure, Job, Skip, run_command, tail
from .steps import Meeting
from .world import MPIS


def both(world, log, mpi, arguments, text=None):
    """(exit code, stdout, stderr) natively and under mana_launch."""
    folder = world.folder("pass-through")
    results = []
    for prefix in ([], [world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt"]):
        command = world.mpirun(mpi, 2) + prefix + arguments
        results.append(run_command(command, world.environment(mpi), log, text=text, folder=folder))
    shutil.rmtree(folder, ignore_errors=True)
    return results


def same(world, log, mpi, what, text=None, stdout=True):
    native, ours = both(world, log, mpi, [world.program("behave", mpi), *what], text)
    if native[0] != ours[0]:
        raise Failure(f"exit code {ours[0]}, natively {native[0]}: {tail(ours[2])}")
    if stdout and native[1] != ours[1]:
        raise Failure(f"stdout {ours[1]!r}, natively {native[1]!r}")
    return native, ours


def exit_code(world, log, mpi):
    same(world, log, mpi, ["exit", "3"])
    same(world, log, mpi, ["exit", "0"])


def crash(world, log, mpi):
    same(world, log, mpi, ["crash"], stdout=False)  # what the launcher itself says of a crash differs by program name


def signals(world, log, mpi):
    same(world, log, mpi, ["signal", "15"], stdout=False)


def abort(world, log, mpi):
    same(world, log, mpi, ["abort", "5"], stdout=False)


def streams(world, log, mpi):
    _, ours = same(world, log, mpi, ["arguments", "--ckpt-dir", "two words", "", "--mpi=x", "*"])
    if "on stderr" not in ours[2]:
        raise Failure(f"stderr was {ours[2]!r}")
    if "<two words>\n<>\n" not in ours[1]:
        raise Failure(f"the arguments came as {ours[1]!r}")


def standard_input(world, log, mpi):
    text = "".join(f"line {i} of the input\n" for i in range(200))
    native, ours = same(world, log, mpi, ["cat"], text)
    if ours[1] != text:
        raise Failure(f"{len(ours[1])} of {len(text)} bytes came back (natively {len(native[1])})")


def environment(world, log, mpi):
    native, ours = both(world, log, mpi, ["/usr/bin/env"])
    changing = ("PMI_FD", "HYDI_CONTROL_FD", "PMI_ID", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_hnp_uri", "OMPI_MCA_orte_local_daemon_uri",
                "OMPI_FILE_LOCATION", "PMIX_", "OMPI_MCA_orte_ess", "OMPI_MCA_orte_jobfam_session_dir", "OMPI_MCA_orte_precondition_transports",
                "OMPI_MCA_initial_wdir", "PWD", "OMPI_COMMAND", "OMPI_ARGV", "_=", "OMPI_MCA_orte_top_session_dir", "OMPI_MCA_shmem_RUNTIME_QUERY_hint")

    def stable(out):
        return {line for line in out.splitlines() if not line.startswith(changing)}
    extra = stable(ours[1]) - stable(native[1])
    missing = stable(native[1]) - stable(ours[1])
    if extra or missing:
        raise Failure(f"added {sorted(extra)[:5]}, missing {sorted(missing)[:5]}")


def without_mpi(world, log):
    folder = world.folder("without-mpi")
    code, out, err = run_command([world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt", "sh", "-c", "echo hello; exit 7"],
                                 world.environment(), log, folder=folder)
    shutil.rmtree(folder, ignore_errors=True)
    if (code, out, err) != (7, "hello\n", ""):
        raise Failure(f"exit code {code}, stdout {out!r}, stderr {err!r}")


def what_proc_shows(world, log):
    """Words, name, environment and auxiliary vector: to the program itself and to others."""
    folder = world.folder("shown")
    shown = world.program("shown")
    for name, text in (("interpreted", f"#!{shown} -x  and a blank\n"), ("executes", f"#!/bin/sh\ntr '\\0' '|' </proc/$$/cmdline\nexec {shown} by 'a script'\n")):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    environment_ = world.environment(None, PATH=f"{shown.parent}:/usr/bin:/bin")
    try:
        for command in ([shown, "two words", "", "--launch"], ["shown"], ["./interpreted", "more"], ["./executes", "not passed on"],
                        ["bash", "-c", f"exec -a other {shown} 1 2"]):
            native = run_command(command, environment_, log, folder=folder)
            ours = run_command([world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt", *command], environment_, log, folder=folder)
            if native[0] != 0 or "environ 1 auxv 1 stack 1" not in native[1] or ours != native:
                raise Failure(f"{command}: {ours}, natively {native}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def without_mpi_and_launcher_restarted(world, log):
    restarted_alone(world, log, [])


def without_its_main_thread_restarted(world, log):
    restarted_alone(world, log, ["thread"])


def on_a_terminal_and_restarted(world, log):
    ends = [*os.openpty(), *os.openpty()]  # one for each life: a terminal hangs up when its session's leader ends
    try:
        restarted_alone(world, log, ["terminal"], ["setsid", "--wait", "--ctty"], ends[1::2])
    finally:
        for end in ends:
            os.close(end)


def on_its_own_terminal_and_restarted_on_another(world, log):
    """A terminal that it has made controls its session, also where the new launcher's did."""
    ends = os.openpty()
    try:
        restarted_alone(world, log, ["own-terminal"], ["setsid", "--wait", "--ctty"], (subprocess.DEVNULL, ends[1]), first=())
    finally:
        for end in ends:
            os.close(end)


def in_a_group_of_its_own_and_restarted(world, log):
    """A signal to its group reaches the shell that starts it neither before nor after."""
    restarted_alone(world, log, ["own-group"], ["sh", "-c", '"$@"; exit $?', "sh"])


def without_memory_to_write_and_execute_restarted(world, log):
    restarted_alone(world, log, ["restricted"])


def with_a_segment_restarted_on_another_host(world, log):
    other_host = ["unshare", "--ipc"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--ipc"]
    if subprocess.run([*other_host, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("this user may not make a namespace, which plays the other host")
    restarted_alone(world, log, ["segment"], other_host)


def restarted_alone(world, log, arguments, prefix=(), inputs=(subprocess.DEVNULL, subprocess.DEVNULL), first=None):
    job = Meeting(world, "alone", [world.program("alone"), *arguments], 1, log)
    try:
        start = [*(prefix if first is None else first), world.cli / "mana_launch", "--ckpt-dir", job.directory, *job.program]
        again = [*prefix, world.cli / "mana_restart", "--ckpt-dir", job.directory]
        environment_ = world.environment(None, **job.more)
        job.job = Job(start, environment_, log, folder=job.folder, stdin=inputs[0])
        job.wait_for_step()
        job.checkpoint()
        job.kill()
        job.forget_later_steps()
        job.job = Job(again, environment_, log, folder=job.folder, stdin=inputs[1])
        job.wait_until_answering()
        job.go()
        job.wait_for_step()
        job.checkpoint()
        job.go()
        job.finish(expected=11)
        if "alone: counted" not in pathlib.Path(log).read_text():
            raise Failure("its output is missing")
    finally:
        job.close()


def python_with_mpi4py(world, log):
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"
    if subprocess.run([python, "-c", "import mpi4py"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("mpi4py is not installed for " + python)
    program = "from mpi4py import MPI; world = MPI.COMM_WORLD; all = sorted(world.allgather(world.rank)); world.rank or print(all)"
    native, ours = both(world, log, "openmpi", [python, "-c", program])
    if native[:2] != ours[:2]:
        raise Failure(f"{ours[:2]}, natively {native[:2]}: {tail(ours[2])}")


def run(world, report):
    for mpi in MPIS:
        for test in (exit_code, crash, signals, abort, streams, standard_input, environment):
            report.run(f"pass-through/{mpi}/{test.__name__}", test, mpi)
    for test in (without_mpi, what_proc_shows, without_mpi_and_launcher_restarted, without_its_main_thread_restarted, on_a_terminal_and_restarted,
                 on_its_own_terminal_and_restarted_on_another, in_a_group_of_its_own_and_restarted, without_memory_to_write_and_execute_restarted,
                 with_a_segment_restarted_on_another_host, python_with_mpi4py):
        report.run(f"pass-through/{test.__name__}", test)

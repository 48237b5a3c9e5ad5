# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints at the edges of a job's life, commands that meet, cancel, refusals, a rank that dies."""
import json
import os
import shutil
import signal
import threading
import time

from .bad_input import edit_image
from .processes import Failure, Job, run_command, send, wait_for
from .steps import Meeting, expect_message, wait_for_phase
from .world import MPIS, other_mpi


def start(world, log, mpi, *what, ranks=2):
    job = Meeting(world, what[0], [world.program("behave", mpi), *what], ranks, log)
    job.launch(mpi)
    return job


class Asking(threading.Thread):
    """`mana checkpoint` that the test does not wait for yet."""

    def __init__(self, job, *options):
        super().__init__()
        self.job, self.options, self.result, self.failure = job, options, None, None
        self.start()

    def run(self):
        try:
            self.result = self.job.mana("checkpoint", *self.options)
        except Failure as failure:
            self.failure = failure

    def answer(self):
        self.join()
        if self.failure:
            raise self.failure
        return self.result


def asked_before_init(world, log, mpi):
    job = start(world, log, mpi, "before-init")
    try:
        job.wait_for_step()
        code, out, err = job.mana("checkpoint")
        if code != 0:
            expect_message("mana checkpoint", code, out, err, str(job.directory), "MPI_Init")
        job.go()
        job.finish()
    finally:
        job.close()


def asked_in_init(world, log, mpi):
    job = start(world, log, mpi, "in-init")
    try:
        job.wait_for_step()
        asking = Asking(job)
        # It may be refused (the job has no control tree yet) or wait for MPI_Init; it may not keep the job from starting.
        wait_for(lambda: not asking.is_alive() or (job.status() or {}).get("state"), "answer or status", 60, job.job.running)
        job.go()
        asking.answer()
        job.finish()
    finally:
        job.close()


def asked_in_finalize(world, log, mpi):
    job = start(world, log, mpi, "in-finalize")
    try:
        job.wait_for_step()
        asking = Asking(job)
        wait_for(lambda: not asking.is_alive() or (job.status() or {}).get("checkpoint"), "checkpoint under way", 60)
        job.underway()
        code, out, err = asking.answer()
        if code == 0 and job.job.running():
            job.kill()
            job.forget_later_steps()
            job.restart(other_mpi(mpi))  # it may have nothing left to do but to finalize: no waiting for its answer
        elif code != 0:
            expect_message("mana checkpoint", code, out, err, "MPI_Finalize")
        job.finish()
        if code == 0:
            job.restart(other_mpi(mpi))
            job.finish()
    finally:
        job.close()


def asked_after_finalize(world, log, mpi):
    job = start(world, log, mpi, "after-finalize")
    try:
        job.wait_for_step()
        job.expect_refusal(("MPI_Finalize", "no running job", "no job"))
        job.go()
        job.finish()
    finally:
        job.close()


def two_commands_at_once(world, log, mpi):
    job = start(world, log, mpi, "hold", "1")
    try:
        job.wait_for_step()
        askings = [Asking(job) for _ in range(3)]
        answers = [asking.answer() for asking in askings]
        for code, out, err in answers:
            if code != 0 and "under way" not in err:
                raise Failure(f"exit code {code}: {err}")
        numbers = [int(out) for code, out, _ in answers if code == 0]
        if not numbers or job.generations()[-1] != max(numbers):
            raise Failure(f"the commands said {numbers}, on disk are {job.generations()}")
        job.resume()
        job.go_to_the_end()
    finally:
        job.close()


def cancelled(world, log, mpi):
    job = start(world, log, mpi, "late-barrier", ranks=3)
    try:
        job.wait_for_step()
        asking = Asking(job)
        wait_for_phase(job)
        waiting = wait_for(lambda: ((job.status() or {}).get("checkpoint") or {}).get("waiting_for"), "name of the rank waited for", 60)
        if "rank 0" not in waiting:
            raise Failure(f"rank 0 computes, but the status says: waiting for {waiting}")
        code, out, err = job.mana("checkpoint", "--cancel")
        if code != 0:
            raise Failure(f"mana checkpoint --cancel ended with exit code {code}: {out}{err}")
        expect_message("the cancelled mana checkpoint", *asking.answer(), ("cancel", "given up"))
        if job.generations():
            raise Failure(f"a cancelled checkpoint left generations {job.generations()}")
        job.go()
        job.wait_for_step()
        job.outlive_the_last_step(other_mpi(mpi))
    finally:
        job.close()


def stop_ends_the_job(world, log, mpi):
    job = start(world, log, mpi, "hold", "1")
    try:
        job.wait_for_step()
        job.checkpoint("--stop")
        code = job.finish(expected=None)
        if code == 0:
            raise Failure("after checkpoint --stop the job ended with exit code 0, as if it had finished")
        job.restart(other_mpi(mpi))
        job.go_to_the_end()
    finally:
        job.close()


def older_generation_can_be_chosen(world, log, mpi):
    job = start(world, log, mpi, "hold", "1")
    try:
        job.wait_for_step()
        first = job.checkpoint()
        job.go()
        job.wait_for_step()
        second = job.checkpoint()
        if second <= first or job.generations() != [first, second]:
            raise Failure(f"generations {first}, {second}; on disk {job.generations()}")
        job.kill()
        for path in list(job.folder.glob("arrived.*")) + list(job.folder.glob("go.*")):
            path.unlink()
        job.restart(options=("--generation", first))
        job.wait_until_answering()
        job.step = 1
        job.go()
        job.wait_for_step()
        third = job.checkpoint()
        if third <= second:
            raise Failure(f"generation {third} after {second}: a number was used again")
        job.go()
        job.finish()
    finally:
        job.close()


def commands_list_inspect_verify(world, log, mpi):
    job = start(world, log, mpi, "hold", "1")
    try:
        job.wait_for_step()
        generation = job.checkpoint()
        for command in ("list", "inspect", "verify", "status"):
            code, out, err = job.mana(command)
            if code != 0 or not out:
                raise Failure(f"mana {command}: exit code {code}, stdout {out!r}, stderr {err!r}")
        manifest = json.loads((job.generation_folder(generation) / "manifest.json").read_text())
        if manifest["ranks"] != 2 or len(manifest["images"]) != 2:
            raise Failure(f"manifest: {manifest}")
        mode = os.stat(job.directory / "control.json").st_mode & 0o777
        if mode != 0o600:
            raise Failure(f"the job's secret has mode {mode:o}")
        job.go_to_the_end()
        if (job.directory / "control.json").exists():
            raise Failure("the finished job left control.json behind")
    finally:
        job.close()


def running_child_can_be_left_out(world, log, mpi):
    job = start(world, log, mpi, "child")
    try:
        job.wait_for_step()
        code, out, err = job.mana("checkpoint", "--ignore-children")
        if code != 0:
            raise Failure(f"exit code {code}: {err}")
        job.go_to_the_end()
    finally:
        job.close()


def checkpointed_behind(world, log, mpi, name, *wrapper):
    """`wrapper` is launched and starts the MPI program; the job can be checkpointed all the same."""
    job = Meeting(world, name, [*wrapper, world.program("behave", mpi), "hold", "1"], 2, log)
    try:
        job.launch(mpi)
        job.wait_for_step()
        job.checkpoint()
        job.resume(other_mpi(mpi))
        job.go()
        job.wait_for_step()
        job.checkpoint()
        job.go()
        job.finish()
    finally:
        job.close()


def program_behind_wrappers(world, log, mpi):
    checkpointed_behind(world, log, mpi, "wrappers", "env", "A=b", "taskset", "-c", "0-1", "bash", "-c", 'exec -a other "$0" "$@"')


def few_open_files(world, log, mpi):
    """The halves share what little there is."""
    few = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    job = Meeting(world, "few-files", ["sh", "-c", 'test "$(ulimit -Hn)" = 64 && exec "$@"', "sh", world.program("behave", mpi), "hold", "1"],
                  2, log)
    try:
        job.launch(mpi, prefix=few)
        for restarted in (other_mpi(mpi), mpi):
            job.wait_for_step()
            job.checkpoint()
            job.kill()
            job.forget_later_steps()
            job.restart(restarted, prefix=few)
            job.wait_until_answering()
            job.go()
        job.finish()
    finally:
        job.close()


def program_in_a_script(world, log, mpi):
    checkpointed_behind(world, log, mpi, "script", "sh", "-c", 'ls / > listing && "$0" "$@"')


def thread_that_no_signal_reaches(world, log, mpi):
    folder = world.folder("vfork")
    job = Meeting(world, "vfork", [world.program("behave", mpi), "vfork", folder], 2, log)
    try:
        job.launch(mpi)
        job.wait_for_step()
        job.wait_until_answering()
        job.expect_refusal("thread", "blocked in the kernel (system call 58)", "ask again", command=("checkpoint", "--ignore-children"))
        for rank in (0, 1):
            (folder / f"child-may-go.{rank}").touch()
        job.checkpoint()
        job.resume()
        job.go()
        job.finish()
    finally:
        job.close()
        shutil.rmtree(folder, ignore_errors=True)


def files_that_changed(world, log, mpi):
    """--files, --path and --env: an output is cut back, kept, or refused; an input that changed is named."""
    folder = world.folder("files")
    data, moved = folder / "data", folder / "moved"
    data.mkdir()
    (data / "input").write_text("as it was")
    job = Meeting(world, "files", [world.program("behave", mpi), "files", data], 2, log)
    try:
        job.launch(mpi)
        job.wait_for_step()
        job.checkpoint()
        job.go()
        job.wait_for_step()
        job.kill()
        code, out, err = run_command(world.mpirun(mpi, 2) + [world.cli / "mana_restart", "--ckpt-dir", job.directory, "--files=strict"],
                                     world.environment(mpi), log)
        expect_message("mana_restart --files=strict", code, out, err, str(data / "own.0"), "has grown", "2 bytes", "4", "truncate")
        expect_text(data / "own.0", "0\n1\n")

        job.step = 1
        job.forget_later_steps()
        (job.folder / "go.1").unlink()
        job.restart(other_mpi(mpi), options=("--files=keep",))
        job.wait_until_answering()
        job.go()
        job.wait_for_step()
        expect_text(data / "own.0", "0\n1\n1\n")
        job.kill()

        data.rename(moved)
        code, out, err = run_command(world.mpirun(mpi, 2) + [world.cli / "mana_restart", "--ckpt-dir", job.directory],
                                     world.environment(mpi), log)
        expect_message("mana_restart without --path", code, out, err, str(data), "No such file")
        (moved / "input").write_text("something else")
        code, out, err = run_command(world.mpirun(mpi, 2) + [world.cli / "mana_restart", "--ckpt-dir", job.directory, "--files=strict",
                                                             "--path", f"{data}={moved}"], world.environment(mpi), log)
        expect_message("mana_restart --files=strict", code, out, err, f"{moved}/input has changed", "put it back")
        job.step = 1
        job.forget_later_steps()
        (job.folder / "go.1").unlink()
        job.restart(options=("--path", f"{data}={moved}", "--env", "MANA_TEST_SAYS=hello"))
        job.wait_until_answering()
        job.go_to_the_end()
        for rank in (0, 1):
            expect_text(moved / f"own.{rank}", "0\n1\n2\nhello\n")
        lines = (moved / "shared").read_text().split()
        if sorted(lines) != ["0", "0", "1", "1", "2", "2"]:
            raise Failure(f"the shared file holds {lines}")
        said = log.read_text(errors="replace")
        for what in (f"{moved}/input has changed", f"{moved}/own.1 has grown"):
            if what not in said:
                raise Failure(f"the restart did not say {what!r}")
    finally:
        job.close()
        shutil.rmtree(folder, ignore_errors=True)


def clock_goes_on_from_the_image(world, log, mpi):
    """Whoever restarts the job, and whether the image's clock is ahead of this host's or behind: no dead time, nothing back."""
    folder = world.folder("clock")
    try:
        for shift in (1_000_000, -int(time.monotonic() / 2)):
            job = Meeting(world, "clock", [world.program("behave", mpi), "clock", folder], 2, log)
            try:
                job.launch(mpi)
                job.wait_for_step()
                before = int(time.monotonic())
                generation = job.generation_folder(job.checkpoint())
                job.kill()
                for rank in (0, 1):
                    edit_image(world, generation, rank, "clock", shift)
                job.forget_later_steps()
                job.restart()
                job.wait_until_answering()
                job.go()
                job.finish()
                for rank in (0, 1):
                    clock = int((folder / f"clock.{rank}").read_text())
                    if not before + shift <= clock <= time.monotonic() + shift:
                        raise Failure(f"rank {rank}: the clock is at {clock} s; the image's was at {before + shift} s")
            finally:
                job.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def name_of_the_host_on_request(world, log, mpi):
    """--hostname: the application goes on under the name that it had, or another; without it it is told the truth."""
    folder = world.folder("host")
    job = Meeting(world, "host", [world.program("behave", mpi), "host", folder], 2, log)
    here = os.uname().nodename
    named = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$0" "$@"'] if os.getuid() == 0 else []
    try:
        job.launch(mpi)
        job.wait_for_step()
        job.checkpoint()
        job.kill()
        for options, told in (((), "elsewhere" if named else here), (("--hostname", "original"), here),
                              (("--hostname", "another.host-7"), "another.host-7")):
            job.forget_later_steps()
            (job.folder / "go.1").unlink(missing_ok=True)
            job.restart(options=options, prefix=named)
            job.wait_until_answering()
            job.checkpoint()
            job.go()
            job.finish()
            for rank in (0, 1):
                expect_text(folder / f"host.{rank}", f"{here} {here}\n{told} {told}\n")
    finally:
        job.close()
        shutil.rmtree(folder, ignore_errors=True)


def process_that_ends_leaves_its_robust_locks(world, log, mpi):
    folder = world.folder("locks")
    job = Meeting(world, "locks", [world.program("behave", mpi), "locks", folder], 2, log)
    try:
        job.launch_and_move(mpi)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stopped_rank_is_named(world, log, mpi, first):
    """SIGSTOP: the command says which rank does not answer, in which phase; the checkpoint waits, and is made when it goes on."""
    job = start(world, log, mpi, "hold", "1", ranks=3)
    try:
        job.wait_for_step()
        job.wait_until_answering()
        leader = job.status()["pid"]
        pid = leader if first else next(pid for pid in job.job.lower_ranks() if pid != leader)
        send(pid, signal.SIGSTOP)
        errors = job.folder / "errors"
        with open(errors, "w") as output:
            asking = Job([world.cli / "mana", "checkpoint", "--ckpt-dir", job.directory], world.environment(), log, stderr=output)
        who = f"(process {pid} on {os.uname().nodename})"
        said = wait_for(lambda: [line for line in errors.read_text().splitlines() if who in line], "line about the process that was stopped",
                        60, job.job.running)[0]
        if "answer" not in said or "SIGSTOP" not in said:
            raise Failure(f"mana checkpoint does not say what is wrong: {said}")
        if first:  # nobody leads: the command has given up
            send(pid, signal.SIGCONT)
            if "rank 0 " not in said or asking.wait(60) == 0:
                raise Failure(f"the command reports a checkpoint of a job that did not answer: {said}")
            job.checkpoint()
        else:
            if "intent: rank " not in said or " for 10 s" not in said:
                raise Failure(f"mana checkpoint does not say in which phase, for how long: {said}")
            status = job.status()["checkpoint"]
            if [one["pid"] for one in status["silent"]] != [pid] or who not in status["waiting_for"]:
                raise Failure(f"mana status --json says {status}")
            send(pid, signal.SIGCONT)
            if asking.wait(60) != 0 or len(job.generations()) != 1:
                raise Failure(f"the checkpoint was not made after SIGCONT: {errors.read_text()}")
        job.resume(other_mpi(mpi))
        job.go_to_the_end()
    finally:
        job.close()


def stopped_rank_is_named_and_waited_for(world, log, mpi):
    stopped_rank_is_named(world, log, mpi, first=False)


def stopped_first_rank_is_named(world, log, mpi):
    stopped_rank_is_named(world, log, mpi, first=True)


def expect_text(path, text):
    if path.read_text() != text:
        raise Failure(f"{path} holds {path.read_text()!r} instead of {text!r}")


def deadlock_is_diagnosed(world, log, mpi):
    job = start(world, log, mpi, "deadlock")
    try:
        job.wait_for_step()
        job.expect_refusal("rank 1", "MPI_Recv", ("rank 0", "for 0", "0"))
        if not job.job.running():
            raise Failure("the job ended")
        job.kill()
    finally:
        job.close()


def rank_killed_during_a_checkpoint(world, log, mpi):
    job = start(world, log, mpi, "hold", "300")
    try:
        job.wait_for_step()
        first = job.checkpoint()
        asking = Asking(job)
        wait_for_phase(job)
        victim = job.job.lower_ranks()[-1]
        send(victim, signal.SIGKILL)
        code, out, err = asking.answer()
        if code == 0 and job.generations() == [first]:
            raise Failure("the command reports a generation that is not there")
        code = job.finish(expected=None)
        if code == 0:
            raise Failure("a rank was killed, and the job ended with exit code 0")
        if first not in job.generations():
            raise Failure(f"generation {first} is gone; there are {job.generations()}")
        job.restart(other_mpi(mpi), options=("--generation", first))
        job.wait_until_answering()
        job.go_to_the_end()
    finally:
        job.close()


TESTS = (asked_before_init, asked_in_init, asked_in_finalize, asked_after_finalize, two_commands_at_once, cancelled,
         stop_ends_the_job, older_generation_can_be_chosen, commands_list_inspect_verify, running_child_can_be_left_out, few_open_files, few_open_files, program_behind_wrappers, program_in_a_script, thread_that_no_signal_reaches,
         files_that_changed, clock_goes_on_from_the_image, name_of_the_host_on_request,
         process_that_ends_leaves_its_robust_locks, stopped_rank_is_named_and_waited_for,
         stopped_first_rank_is_named, deadlock_is_diagnosed, rank_killed_during_a_checkpoint)


def run(world, report):
    for index, test in enumerate(TESTS):
        mpi = MPIS[index % 2]  # each on one MPI; what differs between them is in the scenarios
        report.run(f"life/{mpi}/{test.__name__}", test, mpi)

# SPDX-License-Identifier: BSD-3-Clause
"""The runner's side of rendezvous.h, for tests that decide by themselves what happens at a step."""
from .processes import Failure, Job, tail, wait_for
from .world import Checkpointed, other_mpi


class Meeting(Checkpointed):
    """A job whose program announces steps."""

    def __init__(self, world, name, program, ranks, log):
        folder = world.folder(name)
        super().__init__(world, name, program, ranks, log, folder=folder, MANA_TEST_DIR=folder, MANA_TEST_MODE="live")
        self.step = 0

    def wait_for_step(self, seconds=60):
        """All ranks have announced the next step."""
        self.step += 1
        paths = [self.folder / f"arrived.{self.step}.{rank}" for rank in range(self.ranks)]
        wait_for(lambda: all(path.exists() for path in paths), f"arrival of all ranks at step {self.step}", seconds, self.job.running)

    def go(self):
        (self.folder / f"underway.{self.step}").touch()
        (self.folder / f"go.{self.step}").touch()

    def go_to_the_end(self, expected=0):
        """There is one more step after this one."""
        self.go()
        self.wait_for_step()
        self.go()
        self.finish(expected=expected)

    def outlive_the_last_step(self, mpi):
        """Checkpoint, kill, restart with `mpi`, and on to the end: there is no step after this one."""
        self.checkpoint()
        self.resume(mpi)
        self.go()
        self.finish()

    def launch_and_move(self, mpi):
        """For a program with one step: launched on `mpi`, restarted on another one there, to the end."""
        try:
            self.launch(mpi)
            self.wait_for_step()
            self.outlive_the_last_step(other_mpi(mpi))
        finally:
            self.close()

    def underway(self):
        (self.folder / f"underway.{self.step}").touch()

    def forget_later_steps(self):
        for path in self.folder.glob("arrived.*"):
            if int(path.name.split(".")[1]) > self.step:
                path.unlink()

    def resume(self, mpi=None, transport=None):
        self.kill()
        self.forget_later_steps()
        self.restart(mpi, transport)
        self.wait_until_answering()

    def resume_alone(self, environment):
        """As resume, of a program without MPI."""
        self.kill()
        self.forget_later_steps()
        self.job = Job([self.world.cli / "mana_restart", "--ckpt-dir", self.directory], environment, self.log, folder=self.folder)
        self.wait_until_answering()

    def expect_refusal(self, *parts, command=("checkpoint",), seconds=60):
        """The command fails with a message that has all the parts; nothing else happens."""
        code, out, err = self.mana(*command, seconds=seconds)
        expect_message("mana " + " ".join(command), code, out, err, *parts)


def expect_message(what, code, out, err, *parts):
    if code == 0:
        raise Failure(f"{what} ended with exit code 0; it should have said: {', '.join(map(str, parts))}")
    text = out + err
    for part in parts:
        options = part if isinstance(part, tuple) else (part,)
        if not any(option.lower() in text.lower() for option in options):
            raise Failure(f"{what} (exit code {code}) does not say {' or '.join(map(repr, options))}: {tail(text, 6)}")


def wait_for_phase(job, *phases, seconds=60):
    """Waits until a checkpoint is under way (in one of the phases, if any are named)."""
    def there():
        status = job.status()
        checkpoint = (status or {}).get("checkpoint")
        return checkpoint is not None and (not phases or checkpoint["phase"] in phases) and status
    return wait_for(there, "checkpoint under way", seconds, job.job.running)

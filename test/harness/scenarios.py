# SPDX-License-Identifier: BSD-3-Clause
"""Runs the scenarios of one binary in one mode.  All scenarios with the same number of ranks and thread level run one
after the other in one job, which is checkpointed (killed, restarted, moved) where each of them asks for it.  A scenario
that crashes or hangs the job is named; the rest goes on in a new job."""
import threading
import time

from .processes import Failure, Skip, note, reap_orphans, run_command, tail, wait_for
from .world import Checkpointed, MPIS, OtherHosts, other_mpi, other_transport

MODES = ("plain", "launch", "continue", "restart", "migrate")
STEP_SECONDS = 60    # a bound for each step: beyond it the scenario hangs
MOST_JOBS_LOST = 4   # then the remaining scenarios of the batch are not tried


def listed(world, abi):
    """[(name, ranks, level, file)] as the binary itself tells."""
    code, out, err = run_command([world.program("scenarios", abi), "--list"], world.environment())
    if code != 0:
        raise Failure(f"--list ended with exit code {code}: {tail(err)}")
    return [(name, int(ranks), level, file) for name, ranks, level, file in (line.split() for line in out.splitlines())]


class Batch:
    """One job that runs `names` one after the other.  `surrounding`: what it runs in (surroundings.py)."""

    def __init__(self, world, mode, abi, ranks, names, log, surrounding=None):
        self.world, self.mode, self.abi, self.names, self.log = world, mode, abi, names, log
        self.label = f"{mode}/{abi}" if surrounding is None else f"surroundings/{surrounding.name}/{abi}"
        self.meeting = world.folder(self.label)
        live = mode in ("continue", "restart", "migrate")
        self.job = Checkpointed(world, f"{mode}-{abi}", [world.program("scenarios", abi), *names], ranks, log,
                                folder=self.meeting, MANA_TEST_DIR=self.meeting, MANA_TEST_MODE="live" if live else "plain",
                                **({} if surrounding is None else surrounding.environment))
        if surrounding is not None:
            surrounding.surround(self.job)
        self.live, self.ranks, self.restarts = live, ranks, 0
        self.names_host = surrounding is None
        self.hosts, self.wrapper = OtherHosts(), self.job.wrapper
        self.problems = {}  # scenario: what the runner saw

    def path(self, what, step, rank=None):
        return self.meeting / (f"{what}.{step}" if rank is None else f"{what}.{step}.{rank}")

    def arrived(self, step):
        paths = [self.path("arrived", step, rank) for rank in range(self.ranks)]
        return all(path.exists() for path in paths) and paths[0].read_text()

    lost = None  # how the job hung, if it did

    def run(self):
        job = self.job
        start = job.native if self.mode == "plain" else job.launch
        try:
            start(self.abi)
            if self.live:
                self.attend()
            if self.lost is None:
                self.watch()
        finally:
            job.job.end()

    def watch(self):
        """Waits for the end of the job; it hangs when no rank begins or ends a scenario for too long."""
        seen, since = None, time.monotonic()
        while self.job.job.running():
            now = [path.stat().st_size for path in sorted(self.meeting.glob("results.*"))]
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > STEP_SECONDS:
                self.lost = f"nothing happened for {STEP_SECONDS} s"
                self.job.explain_hang()
                return
            time.sleep(0.02)

    def attend(self):
        step = 1
        while True:
            deadline = time.monotonic() + STEP_SECONDS
            while not self.arrived(step):
                if not self.job.job.running():
                    return
                if time.monotonic() > deadline:
                    self.lost = f"step {step} was not reached within {STEP_SECONDS} s"
                    self.job.explain_hang()
                    return
                time.sleep(0.003)
            scenario = self.arrived(step)
            note(self.log, f"---- step {step}: {scenario}")
            try:
                self.take(step)
            except Failure as failure:
                self.problems.setdefault(scenario, str(failure))
                note(self.log, f"---- {failure}")
                if not self.job.job.running():
                    return
            self.path("go", step).touch()
            step += 1

    def take(self, step):
        self.checkpoint(step)
        if self.mode == "continue":
            return
        self.resume(step, self.job.mpi, other_transport(self.job.transport) if self.mode == "migrate" else self.job.transport)
        if self.mode == "migrate":
            self.checkpoint(step)
            self.resume(step, other_mpi(self.job.mpi), self.job.transport)

    def checkpoint(self, step):
        """Asks for a checkpoint, and tells the ranks as soon as the job says that it is under way."""
        outcome = {}

        def ask():
            try:
                outcome["generation"] = self.job.checkpoint(seconds=STEP_SECONDS)
            except Failure as failure:
                outcome["failure"] = failure
        asking = threading.Thread(target=ask)
        asking.start()
        while asking.is_alive() and not self.path("underway", step).exists():
            status = self.job.status()
            if status is not None and status.get("checkpoint") is not None:
                self.path("underway", step).touch()
        asking.join()
        self.path("underway", step).touch()
        if "failure" in outcome:
            if "did not end" in str(outcome["failure"]):
                self.job.explain_hang()
                self.job.job.end()
            raise outcome["failure"]

    def resume(self, step, mpi, transport):
        self.job.kill()
        for path in self.meeting.glob("arrived.*"):  # of steps that the resumed job will reach again
            if int(path.name.split(".")[1]) > step:
                path.unlink()
        note(self.log, f"---- restart on {mpi} over {transport}")
        self.job.wrapper = [*self.hosts.next(), *self.wrapper]
        self.restarts += 1
        where = {}
        if self.mode == "migrate":  # every other time the application goes on under the name that its host had
            where = {"prefix": self.world.elsewhere(f"host-{self.restarts}" if self.names_host else None),
                     "options": ("--hostname", "original") if self.restarts // 2 % 2 else ()}
        self.job.restart(mpi, transport, **where)
        self.job.wait_until_answering(STEP_SECONDS)

    def results(self):
        """{scenario: "pass" | "fail" | "begun"} of all ranks together; a scenario that nobody began is absent."""
        ranks = []
        for rank in range(self.ranks):
            path = self.meeting / f"results.{rank}"
            seen = {}
            for line in path.read_text().splitlines() if path.exists() else []:
                verdict, name = line.split()
                if seen.get(name) != "fail":  # a restart may run a scenario's end once more; a failure stays one
                    seen[name] = verdict
            ranks.append(seen)
        together = {}
        for name in self.names:
            verdicts = [seen.get(name) for seen in ranks]
            if "fail" in verdicts:
                together[name] = "fail"
            elif all(verdict == "pass" for verdict in verdicts):
                together[name] = "pass"
            elif any(verdicts):
                together[name] = "begun"
        return together


def failed_lines(log, name):
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.startswith(f"FAILED {name} ")]
    return " | ".join(lines[:2]) if lines else "failed"


def judge(report, batch, log, seconds):
    """Reports every scenario that the job came to.  Returns how many that are, and whether all was well."""
    code = batch.job.job.process.returncode
    results = batch.results()
    ended = batch.lost or f"the job ended here with exit code {code}: {tail(log.read_text(errors='replace'), 3)}"
    clean = True
    for done, name in enumerate(batch.names):
        full = f"{batch.label}/{name}"
        verdict = results.get(name)
        if verdict == "pass" and name not in batch.problems:
            report.passes(full, seconds / len(results))
            continue
        if verdict is None and done > 0 and not clean:
            return done, False  # the one before ended the job: this one was not tried
        clean = False
        if name in batch.problems:
            report.fails(full, batch.problems[name], log)
        elif verdict == "fail":
            report.fails(full, failed_lines(log, name), log)
        else:
            report.fails(full, ended, log)
            return done + 1, False
    if clean and (code != 0 or batch.lost):
        report.fails(f"{batch.label}/end-of-{batch.ranks}-ranks", "all scenarios passed, but " + ended, log)
        clean = False
    return len(batch.names), clean


def run_batch(world, report, mode, abi, ranks, level, names, surrounding=None):
    log = report.log(f"{mode if surrounding is None else surrounding.name}-{abi}-{ranks}-{level}")
    all_clean = True
    for _ in range(MOST_JOBS_LOST):
        batch = Batch(world, mode, abi, ranks, names, log, surrounding)
        before = time.monotonic()
        try:
            batch.run()
        finally:
            reap_orphans()
        done, clean = judge(report, batch, log, time.monotonic() - before)
        if surrounding is not None:
            surrounding.afterwards(report, batch)
        batch.job.close()
        all_clean = all_clean and clean
        names = names[done:]
        if not names:
            break
    for name in names:
        report.fails(f"{batch.label}/{name}", f"not tried: {MOST_JOBS_LOST} scenarios before it ended the job", log)
    if all_clean:
        log.unlink(missing_ok=True)


def run_mode(world, report, mode, abi):
    try:
        scenarios = listed(world, abi)
        world.mpirun(abi, 1)
    except (Failure, Skip) as reason:
        (report.skips if isinstance(reason, Skip) else report.fails)(f"{mode}/{abi}", str(reason))
        return
    if mode in ("restart", "migrate") and OtherHosts().why_not is not None:
        report.skips(f"{mode}/{abi}/on-hosts-with-other-clocks", OtherHosts().why_not)
    wanted = [entry for entry in scenarios if report.wants(f"{mode}/{abi}/{entry[0]}")]
    if mode == "migrate" and wanted and abi == MPIS[0] and not world.names_hosts():
        print("         migrate: only root can give a host another name; the restarts find the same one", flush=True)
    for ranks, level in sorted({(entry[1], entry[2]) for entry in wanted}):
        names = [entry[0] for entry in wanted if (entry[1], entry[2]) == (ranks, level)]
        run_batch(world, report, mode, abi, ranks, level, names)

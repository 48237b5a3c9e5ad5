#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job: LAMMPS melt on Open MPI over shared memory, checkpoint, SIGKILL, restart over TCP, checkpoint,
SIGKILL, restart on MPICH; the final data file must equal that of an uninterrupted native run, byte for byte.

Usage: demo.py BUILD-FOLDER   (test/demo builds and calls this)"""
import filecmp
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

RANKS = 2
STEPS = 500
INPUT = f"""units lj
atom_style atomic
lattice fcc 0.8442
region box block 0 16 0 16 0 16
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
run {STEPS}
write_data final.data
"""
OPENMPI = ["mpirun.openmpi", "-n", str(RANKS), "--mca", "pml", "ob1", "--mca", "btl"]
SHARED_MEMORY = OPENMPI + ["self,vader"]
TCP = OPENMPI + ["self,tcp"]
MPICH = ["mpirun.mpich", "-n", str(RANKS)]


class Job:
    """One mpirun: shows its thermodynamic output as it comes and knows the last step seen."""

    def __init__(self, title, command, folder, environment):
        print(f"\n== {title}\n   $ {' '.join(shorten(word) for word in command)}", flush=True)
        self.started = time.monotonic()
        self.first_step_after = None
        self.step = -1
        self.reached = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(command, cwd=folder, env=environment, text=True, errors="replace",
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            row = re.match(r"\s+(\d+)\s+[-\d.]+\s+[-\d.]+", line)
            with self.reached:
                if row:
                    self.step = int(row.group(1))
                    if self.first_step_after is None:
                        self.first_step_after = time.monotonic() - self.started
                    self.reached.notify_all()
            if not row or self.step % 50 == 0:
                text = line.rstrip()
                if row or "mana" in text or "Loop time" in text or "ERROR" in text:
                    print(f"   | {text}", flush=True)
        with self.reached:
            self.ended = True
            self.reached.notify_all()

    def wait_for_step(self, step):
        with self.reached:
            self.reached.wait_for(lambda: self.step >= step or self.ended)
            if self.step < step:
                sys.exit(f"the job ended at step {self.step}, before step {step} (exit code {self.process.wait()})")

    def kill_ranks(self):
        victims = [pid for pid in descendants(self.process.pid) if "lower-" in name_of(pid)]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        print(f"   SIGKILL to all ranks (processes {', '.join(map(str, victims))}) at step {self.step}", flush=True)
        self.finish()
        if len(victims) != RANKS:
            sys.exit(f"expected {RANKS} ranks to kill, found {len(victims)}")

    def finish(self):
        code = self.process.wait()
        self.reader.join()
        self.seconds = time.monotonic() - self.started
        return code


def shorten(word):
    return os.path.relpath(word) if word.startswith("/") else word


def name_of(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def descendants(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry))
            except OSError:
                pass
    found, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def take_checkpoint(mana, directory, environment, step):
    print(f"   $ mana checkpoint      (at step {step})", flush=True)
    before = time.monotonic()
    done = subprocess.run([mana, "checkpoint", "--ckpt-dir", directory], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seconds = time.monotonic() - before
    for line in done.stderr.splitlines():
        print(f"   | {line}", flush=True)
    if done.returncode != 0:
        sys.exit(f"mana checkpoint failed with exit code {done.returncode}")
    generation = int(done.stdout)
    folder = next(path for path in pathlib.Path(directory).iterdir() if path.name.isdigit() and int(path.name) == generation)
    manifest = json.loads((folder / "manifest.json").read_text())
    size = sum(path.stat().st_blocks * 512 for path in folder.glob("rank-*.core"))
    print(f"   generation {generation} committed after {seconds:.2f} s: {size / 1e6:.1f} MB in {len(manifest['ranks']) if isinstance(manifest['ranks'], list) else manifest['ranks']} images", flush=True)
    return generation, seconds, size


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    cli = build / "cli"
    work = pathlib.Path(tempfile.mkdtemp(prefix="demo-", dir=build))
    environment = dict(os.environ, OMP_NUM_THREADS="1", MPIR_CVAR_NOLOCAL="0")
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    rows = []
    for name in ("reference", "job"):
        (work / name).mkdir()
        (work / name / "in.melt").write_text(INPUT)
    lammps = ["lmp", "-in", "in.melt"]
    directory = str(work / "ckpt")

    reference = Job("Reference: an uninterrupted run, without us", SHARED_MEMORY + lammps, work / "reference", environment)
    if reference.finish() != 0:
        sys.exit("the native reference run failed")
    rows.append(("reference run, native, Open MPI over shared memory", f"{reference.seconds:.2f} s", ""))

    job = Job("Launch on Open MPI over shared memory",
              SHARED_MEMORY + [str(cli / "mana_launch"), "--ckpt-dir", directory] + lammps, work / "job", environment)
    job.wait_for_step(150)
    generation, seconds, size = take_checkpoint(str(cli / "mana"), directory, environment, job.step)
    rows.append((f"checkpoint, generation {generation}, durable and committed", f"{seconds:.2f} s", f"{size / 1e6:.1f} MB"))
    job.kill_ranks()

    restart = [str(cli / "mana_restart"), "--ckpt-dir", directory]
    job = Job("Restart on Open MPI over TCP", TCP + restart, work / "job", environment)
    job.wait_for_step(300)
    rows.append(("restart on Open MPI over TCP, to the first step", f"{job.first_step_after:.2f} s", ""))
    generation, seconds, size = take_checkpoint(str(cli / "mana"), directory, environment, job.step)
    rows.append((f"checkpoint, generation {generation}, durable and committed", f"{seconds:.2f} s", f"{size / 1e6:.1f} MB"))
    job.kill_ranks()

    job = Job("Restart on MPICH", MPICH + restart, work / "job", environment)
    code = job.finish()
    if code != 0:
        sys.exit(f"the job on MPICH ended with exit code {code}")
    rows.append(("restart on MPICH, to the first step", f"{job.first_step_after:.2f} s", ""))
    rows.append(("the rest of the job on MPICH", f"{job.seconds:.2f} s", ""))

    same = filecmp.cmp(work / "reference" / "final.data", work / "job" / "final.data", shallow=False)
    rows.append(("final.data equals the reference", "byte-identical" if same else "DIFFERENT",
                 f"{(work / 'reference' / 'final.data').stat().st_size / 1e6:.1f} MB"))
    width = max(len(row[0]) for row in rows)
    print()
    for row in rows:
        print(f"   {row[0]:<{width}}  {row[1]:>14}  {row[2]:>10}")
    if not same:
        sys.exit(f"the files differ: {work}")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

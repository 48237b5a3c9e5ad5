# SPDX-License-Identifier: BSD-3-Clause
"""Every bad input gets one line that says rank, what, where, why and what to do; a non-zero exit code; no hang."""
import json
import os
import re
import shutil
import subprocess

from .processes import Failure, Skip, note, run_command, tail
from .steps import Meeting, expect_message
from .world import MPIS, other_mpi


def launch_refused(world, log, mpi, program, *parts, options=None, ranks=1, cli=None, prefix=()):
    folder = world.folder("bad-input")
    try:
        options = ["--ckpt-dir", folder / "ckpt"] if options is None else options
        command = world.mpirun(mpi, ranks) + [*prefix, (cli or world.cli) / "mana_launch", *options, *program]
        code, out, err = run_command(command, world.environment(mpi), log, folder=folder)
        expect_message("mana_launch", code, "", out + err, "mana: rank 0", *parts)
        ours = [line for line in (out + err).splitlines() if line.startswith("mana: rank 0")]
        if len(ours) != 1:
            raise Failure(f"{len(ours)} lines instead of one: {ours}")
        if "mana:" in out and mpi == "openmpi":  # Hydra merges nothing either, but be sure where streams stay apart
            raise Failure("the message came on the application's stdout")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def not_an_elf_file(world, log, mpi):
    path = world.folder("bad") / "notes.txt"
    path.write_text("these are notes\n")
    path.chmod(0o755)
    launch_refused(world, log, mpi, [path], str(path), "not an ELF file", "dynamically linked")


def no_such_program(world, log, mpi):
    launch_refused(world, log, mpi, ["/nowhere/program"], "/nowhere/program", "No such file")


def static_program(world, log, mpi):
    folder = world.folder("static")
    (folder / "p.c").write_text("int main(void) { return 0; }\n")
    if subprocess.run(["gcc", "-static", "-o", folder / "p", folder / "p.c"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("gcc -static does not work here")
    launch_refused(world, log, mpi, [folder / "p"], str(folder / "p"), "static", "link it dynamically")


def program_of_32_bits(world, log, mpi):
    path = world.folder("bits") / "p32"
    path.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x03\x00\x01\x00\x00\x00" + bytes(4096))
    path.chmod(0o755)
    launch_refused(world, log, mpi, [path], str(path), "32-bit", "64-bit")


def abi_that_no_front_end_serves(world, log, mpi):
    folder = world.folder("abi")
    (folder / "l.c").write_text("int MPI_Init(int* c, char*** v) { return c == 0 && v == 0; }\n")
    (folder / "p.c").write_text("int MPI_Init(int*, char***); int main(void) { return MPI_Init(0, 0); }\n")
    library = folder / "libmpi.so.20"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libmpi.so.20", "-o", library, folder / "l.c"], check=True)
    subprocess.run(["gcc", "-o", folder / "p", folder / "p.c", library], check=True)
    launch_refused(world, log, mpi, [folder / "p"], str(folder / "p"), "libmpi.so.20", "front end")


def mpi_that_is_not_built(world, log, mpi):
    folder = world.folder("not-built")
    (folder / "cli").mkdir()
    shutil.copy(world.cli / "mana_launch", folder / "cli" / "mana_launch")
    for part in ("lower", "mpi_wrappers/front_ends"):
        (folder / part).mkdir(parents=True)
    for path in (f"lower/lower-{other_mpi(mpi)}", f"mpi_wrappers/front_ends/libmana_{mpi}.so"):
        if (world.build / path).exists():
            (folder / path).symlink_to(world.build / path)
    launch_refused(world, log, mpi, [world.program("behave", mpi), "nothing"], mpi, "lower half", "built",
                   options=["--mpi", mpi, "--ckpt-dir", folder / "ckpt"], cli=folder / "cli")


def mpi_asked_for_is_not_the_launchers(world, log, mpi):
    other = other_mpi(mpi)
    launch_refused(world, log, mpi, [world.program("behave", mpi), "nothing"], "join the job", f"mpirun of {other}", "auto",
                   options=["--mpi", other, "--ckpt-dir", world.folder("ckpt")], ranks=2)


SYS_SECCOMP, SYS_MEMBARRIER, SYS_FSYNC = "317", "324", "74"


def doctor_misses(world, log, prefix, what):
    code, out, err = run_command([*prefix, world.cli / "mana", "doctor"], world.environment(), log)
    expect_message("mana doctor", code, "", err, "lacks something that checkpoints need")
    if not [line for line in out.splitlines() if re.match(rf"{what} +no ", line)]:
        raise Failure(f"mana doctor does not miss {what}: {out}")


def kernel_without_seccomp(world, log, mpi):
    """A container that allows no seccomp(2): nothing can be launched, and the reason is one line."""
    prefix = [world.program("without_call"), SYS_SECCOMP]
    launch_refused(world, log, mpi, [world.program("behave", mpi), "nothing"], "no seccomp filters", "Function not implemented", "container",
                   prefix=prefix)
    doctor_misses(world, log, prefix, "seccomp filters")


def launch_waits_for_no_disk(world, log, mpi):
    """Where fsync fails a job can be launched: it makes none, which would wait until a disk has what everybody else has written."""
    folder = world.folder("no-fsync")
    try:
        code, out, err = run_command([world.program("without_call"), SYS_FSYNC, world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt", "true"],
                                     world.environment(), log)
        if (code, out, err) != (0, "", ""):
            raise Failure(f"exit code {code}: {out}{err}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kernel_without_membarrier(world, log, mpi):
    """The job runs, says that it cannot be checkpointed, and a checkpoint is refused with the reason."""
    prefix = [world.program("without_call"), SYS_MEMBARRIER]
    job = Meeting(world, "no-membarrier", [world.program("behave", mpi), "hold", "1"], 2, log)
    try:
        job.launch(mpi, prefix=prefix)
        job.wait_for_step()
        job.expect_refusal(("membarrier", "cannot be checkpointed", "no job", "connected"))
        job.go()
        job.wait_for_step()
        job.go()
        job.finish()
        said = [line for line in log.read_text(errors="replace").splitlines() if "this kernel has no membarrier" in line]
        if len(said) != job.ranks or not all("this job cannot be checkpointed" in line for line in said):
            raise Failure(f"the ranks said {said}")
    finally:
        job.close()
    doctor_misses(world, log, prefix, "membarrier")


def checkpoint_folder_missing(world, log, mpi):
    launch_refused(world, log, mpi, ["/bin/true"], "/nowhere/at/all", ("does not exist", "No such file"), ("create", "give another"),
                   options=["--ckpt-dir", "/nowhere/at/all"])


def checkpoint_folder_not_writable(world, log, mpi):
    folder = world.folder("read-only")
    if os.getuid() == 0:
        target = "/sys/kernel/ckpt"  # not even root can make a folder there
    else:
        folder.chmod(0o500)
        target = folder / "ckpt"
    launch_refused(world, log, mpi, [world.program("behave", mpi), "nothing"], str(target), "writ", options=["--ckpt-dir", target])


def checkpoint_folder_is_a_file(world, log, mpi):
    path = world.folder("file") / "ckpt"
    path.write_text("")
    launch_refused(world, log, mpi, [world.program("behave", mpi), "nothing"], str(path), ("not a directory", "not a folder", "no folder"),
                   options=["--ckpt-dir", path], ranks=2)  # only rank 0 looks; the launcher must end the other


def checkpoint_folder_of_a_running_job(world, log, mpi):
    job = Meeting(world, "busy", [world.program("behave", mpi), "hold", "1"], 2, log)
    try:
        job.launch(mpi)
        job.wait_for_step()
        command = world.mpirun(mpi, 2) + [world.cli / "mana_launch", "--ckpt-dir", job.directory, world.program("behave", mpi), "exit", "0"]
        code, out, err = run_command(command, world.environment(mpi), log)
        expect_message("mana_launch", code, out, err, "mana: rank 0", str(job.directory), "running", ("another --ckpt-dir", "end", "other"))
        command = world.mpirun(mpi, 2) + [world.cli / "mana_restart", "--ckpt-dir", job.directory]
        job.checkpoint()
        code, out, err = run_command(command, world.environment(mpi), log)
        expect_message("mana_restart", code, out, err, "mana: rank 0", str(job.directory), "running")
        job.checkpoint()  # the running job took no harm
        job.go_to_the_end()
    finally:
        job.close()


def checkpoint_folder_full(world, log, mpi):
    if os.getuid() != 0:
        raise Skip("only root can mount a small file system")
    small = world.folder("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", small], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no tmpfs can be mounted here")
    job = Meeting(world, "full", [world.program("behave", mpi), "hold", "1"], 2, log)
    job.directory = small / "ckpt"
    filler = small / "filler"
    try:
        job.launch(mpi)
        job.wait_for_step()
        first = job.checkpoint()
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except OSError:
                pass
        job.expect_refusal("rank", ("No space left", "full"), str(job.directory))
        if job.generations() != [first]:
            raise Failure(f"generations {job.generations()}, should be {[first]}")
        if [path for path in job.directory.iterdir() if path.name.startswith(".0")]:
            raise Failure("the failed generation was left behind")
        filler.unlink()
        second = job.checkpoint()  # the job went on, and can be checkpointed again
        job.resume()
        job.go_to_the_end()
        note(log, f"generations {first}, {second}")
    finally:
        job.close()
        subprocess.run(["umount", "-l", small], check=False)


def no_running_job(world, log):
    folder = world.folder("nobody")
    for directory in (folder, folder / "missing"):
        code, out, err = run_command([world.cli / "mana", "checkpoint", "--ckpt-dir", directory], world.environment(), log)
        expect_message("mana checkpoint", code, out, err, str(directory), ("no running job", "no job", "no such"))
    if out:
        raise Failure(f"stdout was {out!r}")


class Taken:
    """A committed generation of a dead job of two ranks; every test damages its own copy."""

    def __init__(self, world, log, mpi):
        self.job = Meeting(world, "taken", [world.program("behave", mpi), "hold", "2"], 2, log)
        try:
            self.job.launch(mpi)
            self.job.wait_for_step()
            self.number = self.job.checkpoint()
        finally:
            self.job.job.kill_ranks()

    def refused(self, world, log, mpi, damage, *parts, ranks=2, options=(), words=("mana: rank",)):
        folder = world.folder("damaged")
        directory = folder / "ckpt"
        try:
            shutil.copytree(self.job.directory, directory)
            generation = next(path for path in directory.iterdir() if path.name.isdigit())
            damage(generation)
            command = world.mpirun(mpi, ranks) + [world.cli / "mana_restart", "--ckpt-dir", directory, *options]
            code, out, err = run_command(command, world.environment(mpi), log, seconds=90)
            expect_message("mana_restart", code, out, err, *words, *parts)
            expect_message("mana verify", *run_command([world.cli / "mana", "verify", "--ckpt-dir", directory], world.environment(), log),
                           *parts[:1]) if parts and parts[0] == "rank-000001.core" else None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def untouched(self, generation):
        pass


def image_of(generation):
    return generation / "rank-000001.core"


def flip(generation):
    """One bit in the middle of the stored data, where there is data."""
    path = image_of(generation)
    with open(path, "r+b") as file:
        at = os.lseek(file.fileno(), path.stat().st_size * 2 // 3, os.SEEK_DATA) + 100
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 16]))


def flip_header(generation):
    with open(image_of(generation), "r+b") as file:
        file.seek(1500)
        byte = file.read(1)
        file.seek(1500)
        file.write(bytes([byte[0] ^ 1]))


def truncate(generation):
    path = image_of(generation)
    os.truncate(path, path.stat().st_size - 5000)


def edit_manifest(generation, change):
    path = generation / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def newer(generation):
    edit_manifest(generation, lambda manifest: manifest.update(format_version=99))


def edit_image(world, generation, rank, *what):
    path = generation / f"rank-{rank:06d}.core"
    code, out, err = run_command([world.program("edit_image"), path, *what], world.environment())
    if code != 0:
        raise Failure(f"edit_image: {err}")

    def change(manifest):
        image = manifest["images"][rank]
        width = len(image["checksum"].split(":")[-1])
        image["checksum"] = re.sub(r"[0-9a-f]+$", out.strip()[-width:], image["checksum"])
    edit_manifest(generation, change)


def other_cpu(world, generation):
    edit_image(world, generation, 1, "cpu")


def restarts(world, report):
    names = ("another_number_of_ranks", "image_missing", "image_truncated", "image_bit_flipped", "image_header_bit_flipped", "newer_manifest",
             "manifest_damaged", "owned_by_another_user", "writable_by_others", "cpu_with_features_that_this_one_lacks",
             "newer_image", "older_image", "generation_that_is_not_there", "name_that_no_host_has", "mpi_asked_for_is_not_the_launchers")
    wanted = [name for name in names if report.wants(f"bad-input/restart/{name}")]
    if not wanted:
        return
    mpi = "mpich"
    log = report.log("bad-input-restart-prepare")
    try:
        taken = Taken(world, log, mpi)
    except (Failure, Skip) as failure:
        for name in wanted:
            report.fails(f"bad-input/restart/{name}", f"no generation to damage: {failure}", log)
        return
    image = "rank-000001.core"

    def chown(generation):
        if os.getuid() != 0:
            raise Skip("only root can give a file away")
        os.chown(image_of(generation), 65534, 65534)
    cases = {
        "another_number_of_ranks": (taken.untouched, ("2 ranks", "3", "-n 2"), {"ranks": 3}),
        "image_missing": (lambda g: image_of(g).unlink(), (image, "rank 1", "No such file"), {}),
        "image_truncated": (truncate, (image, "rank 1", ("bytes", "truncated"), ("damaged", "truncated")), {}),
        "image_bit_flipped": (flip, (image, "rank 1", "checksum", ("another generation", "older generation", "--generation")), {}),
        "image_header_bit_flipped": (flip_header, (image, "rank 1", "checksum"), {}),
        "newer_manifest": (newer, ("manifest.json", "99", "newer"), {}),
        "manifest_damaged": (lambda g: (g / "manifest.json").write_text("{"), ("manifest.json", "damaged"), {}),
        "owned_by_another_user": (chown, (image, "rank 1", "user", "chown"), {}),
        "writable_by_others": (lambda g: image_of(g).chmod(0o666), (image, "rank 1", "written by others", "chmod"), {}),
        "cpu_with_features_that_this_one_lacks": (lambda g: other_cpu(world, g), ("rank 1", "xop", "avx512er"), {}),
        "newer_image": (lambda g: edit_image(world, g, 1, "version", "99"), (image, "rank 1", "99", "newer"), {}),
        "older_image": (lambda g: edit_image(world, g, 1, "version", "1"), (image, "rank 1", "version 1", "older"), {}),
        "generation_that_is_not_there": (taken.untouched, ("77", "newest"), {"options": ("--generation", "77")}),
        "name_that_no_host_has": (taken.untouched, ("--hostname", "'no host!'", "letters"), {"options": ("--hostname", "no host!"), "words": ()}),
        "mpi_asked_for_is_not_the_launchers": (taken.untouched, ("openmpi",), {"options": ("--mpi", "openmpi"), "words": ()}),
    }
    for name in wanted:
        damage, parts, options = cases[name]
        report.run(f"bad-input/restart/{name}",
                   lambda world, log, d=damage, p=parts, o=options: taken.refused(world, log, mpi, d, *p, **o))
    taken.job.close()


def restart_without_generations(world, log):
    folder = world.folder("empty")
    for directory, part in ((folder, "no committed generation"), (folder / "missing", "no such")):
        code, out, err = run_command(world.mpirun("mpich", 1) + [world.cli / "mana_restart", "--ckpt-dir", directory],
                                     world.environment("mpich"), log)
        expect_message("mana_restart", code, out, err, "mana: rank 0", str(directory), part)


def run(world, report):
    for index, test in enumerate((not_an_elf_file, no_such_program, static_program, program_of_32_bits, abi_that_no_front_end_serves,
                                  mpi_that_is_not_built, mpi_asked_for_is_not_the_launchers, kernel_without_seccomp, launch_waits_for_no_disk,
                                  kernel_without_membarrier, checkpoint_folder_missing, checkpoint_folder_not_writable,
                                  checkpoint_folder_is_a_file, checkpoint_folder_of_a_running_job, checkpoint_folder_full)):
        report.run(f"bad-input/launch/{test.__name__}", test, MPIS[index % 2])
    report.run("bad-input/no_running_job", no_running_job)
    report.run("bad-input/restart/without_generations", restart_without_generations)
    restarts(world, report)

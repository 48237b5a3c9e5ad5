# SPDX-License-Identifier: BSD-3-Clause
"""Programs of every kind as upper half: built here (test/programs/kinds), run natively, then launched, checkpointed while they run, killed,
restarted, checkpointed, killed and restarted once more; what they write is what they write natively."""
import pathlib
import shutil

from .processes import Failure, Skip, note, run_command, tail, wait_for
from .programs import Alone, needs
from .steps import expect_message
from .world import Checkpointed, MPIS, OtherHosts, other_mpi, other_transport

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "programs" / "kinds"
RANKS = 2


def build(world, log, command, seconds=300, **environment):
    """Compiles; a compiler that is not there, or cannot, is a reason to skip."""
    needs(command[0])
    code, out, err = run_command(command, world.environment(**environment), log, seconds)
    if code != 0:
        raise Skip(f"{command[0]} cannot build it here: {tail(out + err, 2)}")


def compiled(compiler, source, *options, more=()):
    """A kind: source built by compiler.  With `mpi` by that MPI's wrapper of it."""
    def make(world, log, folder, mpi):
        program = folder / "program"
        wrapper = {"gcc": "mpicc", "g++": "mpicxx", "gfortran": "mpifort"}
        command = [compiler] if mpi is None else [f"{wrapper[compiler]}.{mpi}", "-DWITH_MPI", "-DOMPI_SKIP_MPICXX", "-DMPICH_SKIP_MPICXX"]
        build(world, log, [*command, "-g", "-O1", "-pthread", *options, "-o", program, SOURCES / source, *(SOURCES / name for name in more)])
        return [program]
    return make


def fortran(world, log, folder, mpi):
    compiler = "gcc" if mpi is None else f"mpicc.{mpi}"
    build(world, log, [compiler, *(() if mpi is None else ("-DWITH_MPI",)), "-c", "-o", folder / "mpi.o", SOURCES / "fortran_mpi.c"])
    linker = "gfortran" if mpi is None else f"mpifort.{mpi}"
    build(world, log, [linker, "-O1", "-J", folder, "-o", folder / "program", SOURCES / "fortran.f90", folder / "mpi.o"])
    return [folder / "program"]


def fortran_binding(world, log, folder, mpi):
    build(world, log, [f"mpifort.{mpi}", "-O1", "-std=legacy", "-w", "-J", folder, "-o", folder / "program", SOURCES / "fortran_binding.f90"])
    return [folder / "program"]


def built_for(python, world, log):
    """A program of one MPI under the other's launcher is, natively, many jobs of one rank."""
    code, out, _ = run_command([python, "-c", "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.get_vendor()[0])"],
                               world.environment(), log)
    return {"Open MPI": "openmpi", "MPICH": "mpich"}.get(out.strip()) if code == 0 else None


def numpy(world, log, folder, mpi):
    for python in ("python3", "/usr/bin/python3"):
        modules = "import sys, numpy" + ("" if mpi is None else ", mpi4py.MPI")
        code, out, _ = run_command([python, "-c", modules + "; print(sys.executable)"], world.environment(), log)
        if code == 0 and mpi is not None and built_for(python, world, log) != mpi:
            raise Skip(f"the mpi4py here is not built for {mpi}")
        if code == 0:  # not by a wrapper's name: what that executes is the program
            return [out.strip(), SOURCES / "arrays.py", *(() if mpi is None else ("mpi",))]
    raise Skip("no Python has NumPy here (Debian: python3-numpy)" if mpi is None else "no Python has NumPy and mpi4py here")


def java(world, log, folder, mpi):
    needs("java")
    build(world, log, ["javac", "-d", folder, SOURCES / "Kind.java"])
    return ["java", "-Xmx256m", "-cp", folder, "Kind"]


def script(interpreter, source, *options):
    """A kind: source run by interpreter."""
    def make(world, log, folder, mpi):
        needs(interpreter)
        return [interpreter, *options, SOURCES / source]
    return make


def go(world, log, folder, mpi):
    build(world, log, ["go", "build", "-buildmode=pie", "-ldflags=-linkmode=external", "-o", folder / "program", SOURCES / "kind.go"],
          GOCACHE=world.build / "go-cache", GOPATH=folder, GOFLAGS="-mod=mod", GOPROXY="off")
    return [folder / "program"]


def gccgo(world, log, folder, mpi):
    compiler = next((name for name in ("gccgo", "gccgo-12", "gccgo-14") if shutil.which(name)), "gccgo")
    build(world, log, [compiler, "-O1", "-o", folder / "program", SOURCES / "kind.go"])
    return [folder / "program"]


def rust(world, log, folder, mpi):
    build(world, log, ["rustc", "-O", "-C", "prefer-dynamic=no", "-o", folder / "program", SOURCES / "kind.rs"])
    return [folder / "program"]


ASAN = ("-fsanitize=address", "-fno-omit-frame-pointer")
KINDS = {
    "c": compiled("gcc", "worker.c"),
    "cxx_exceptions": compiled("g++", "exceptions.cc", "-std=c++17"),
    "openmp": compiled("gcc", "openmp.c", "-fopenmp"),
    "fortran": fortran,
    "numpy": numpy,
    "address_sanitizer": compiled("gcc", "worker.c", *ASAN),
    "address_sanitizer_cxx": compiled("g++", "exceptions.cc", "-std=c++17", *ASAN),
    "leak_sanitizer": compiled("gcc", "worker.c", "-fsanitize=leak"),
    "undefined_behavior_sanitizer": compiled("gcc", "worker.c", "-fsanitize=undefined"),
    "address_sanitizer_of_clang": compiled("clang", "worker.c", *ASAN),
    "musl": compiled("musl-gcc", "worker.c"),
    "fixed_address": compiled("gcc", "worker.c", "-fno-pie", "-no-pie"),
    "java": java,
    "go": go,
    "gccgo": gccgo,
    "rust": rust,
    "node": script("node", "kind.js"),
    "sbcl": script("sbcl", "kind.lisp", "--noinform", "--disable-debugger", "--no-sysinit", "--no-userinit", "--load"),
    "luajit": script("luajit", "kind.lua"),
    "ruby": script("ruby", "kind.rb"),
}
BINDINGS = {"fortran_binding": fortran_binding}  # with each MPI
WITH_MPI = ("cxx_exceptions", "fortran", "numpy", "address_sanitizer", "undefined_behavior_sanitizer", "openmp")


def results(folder, ranks):
    return [(folder / f"out.{rank}").read_bytes() if (folder / f"out.{rank}").exists() else b"" for rank in range(ranks)]


def job_of(world, name, command, mpi, ranks, log):
    # Natively the MPI libraries' leaks would be reported as well.
    return Alone(world, name, command, ranks, log) if mpi is None else Checkpointed(world, name, command, ranks, log, ASAN_OPTIONS="detect_leaks=0")


def native(world, log, command, mpi, ranks):
    job = job_of(world, "native", command, mpi, ranks, log)
    try:
        (job.folder / "finish").touch()
        job.native(mpi)
        job.finish(120)
        return results(job.folder, ranks)
    finally:
        job.close()


def checkpoint_and_kill(job, ranks):
    """While it computes: it has written more than it had when it was started."""
    before = [len(text) for text in results(job.folder, ranks)]
    wait_for(lambda: all(len(text) > old for text, old in zip(results(job.folder, ranks), before)), "line of each rank", 60, job.job.running)
    generation = job.checkpoint()
    job.kill()
    lines = [text.count(b"\n") for text in results(job.folder, ranks)]
    images = sum(path.stat().st_blocks * 512 for path in job.generation_folder(generation).glob("*.core"))
    note(job.log, f"---- killed after {lines} lines; the images take {images >> 20} MiB on disk")
    return images


def outlives(world, log, kind, mpi=None):
    folder, ranks = world.folder(f"kind-{kind}"), 1 if mpi is None else RANKS
    job = None
    try:
        command = (KINDS | BINDINGS)[kind](world, log, folder, mpi)
        expected = native(world, log, command, mpi, ranks)
        job, hosts = job_of(world, kind, command, mpi, ranks, log), OtherHosts()
        job.launch(mpi)
        images = checkpoint_and_kill(job, ranks)
        if images > ranks << 30:
            raise Failure(f"the images take {images >> 20} MiB")
        job.wrapper = hosts.next()
        job.restart(mpi and other_mpi(mpi))
        job.wait_until_answering()
        checkpoint_and_kill(job, ranks)
        job.wrapper = hosts.next()
        job.restart(None, mpi and other_transport("shm"))
        (job.folder / "finish").touch()
        job.finish(120)
        written = results(job.folder, ranks)
        for rank in range(ranks):
            compare_lines(rank, written[rank].decode(), expected[rank].decode())
    finally:
        if job is not None:
            job.close()
        shutil.rmtree(folder, ignore_errors=True)


def compare_lines(rank, written, expected):
    for number, (ours, theirs) in enumerate(zip(written.splitlines(), expected.splitlines()), 1):
        if ours != theirs:
            raise Failure(f"rank {rank}, line {number}: {ours!r}, natively {theirs!r}")
    if written != expected:
        raise Failure(f"rank {rank}: {len(written)} bytes of output, natively {len(expected)}: it ends {tail(written, 1)!r}")


def says_what_it_says_natively(world, log, options, code, *parts):
    """A sanitizer's own verdict at the end: exit code and message."""
    folder = world.folder("verdict")
    try:
        (folder / "finish").touch()
        build(world, log, ["gcc", "-g", "-pthread", *options, "-o", folder / "program", SOURCES / "worker.c"])
        for launcher in ([], [world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt"]):
            ended, out, err = run_command([*launcher, folder / "program"], world.environment(), log, 120, folder)
            if ended != code:
                raise Failure(f"{'launched' if launcher else 'natively'}: exit code {ended}, not {code}: {tail(out + err)}")
            for part in parts:
                if part not in err:
                    raise Failure(f"{'launched' if launcher else 'natively'}: it does not say {part!r}: {tail(out + err)}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def leaks_are_found(world, log):
    says_what_it_says_natively(world, log, (*ASAN, "-DLEAK"), 1, "LeakSanitizer: detected memory leaks", "1000 byte(s)")


def undefined_behavior_is_told(world, log):
    says_what_it_says_natively(world, log, ("-fsanitize=undefined", "-DOVERFLOW"), 0, "runtime error: signed integer overflow")


def refused(world, log, command, *parts):
    folder = world.folder("refused")
    try:
        build(world, log, [*command[:-1], "-o", folder / "program", command[-1]])
        code, out, err = run_command([world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt", folder / "program"], world.environment(), log)
        expect_message("mana_launch", code, out, err, "mana: rank 0: launch: ", *parts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def thread_sanitizer_is_refused(world, log):
    refused(world, log, ["gcc", "-pthread", "-fsanitize=thread", SOURCES / "worker.c"], "ThreadSanitizer", "-fsanitize=thread")


def run(world, report):
    for kind in KINDS:
        report.run(f"kinds/{kind}", outlives, kind)
    for index, kind in enumerate(WITH_MPI):
        mpi = MPIS[index % 2]
        report.run(f"kinds/{mpi}/{kind}", outlives, kind, mpi)
    for kind in BINDINGS:
        for mpi in MPIS:
            report.run(f"kinds/{mpi}/{kind}", outlives, kind, mpi)
    for test in (leaks_are_found, undefined_behavior_is_told, thread_sanitizer_is_refused):
        report.run(f"kinds/{test.__name__}", test)

# SPDX-License-Identifier: BSD-3-Clause
"""Ordinary programs under mana_launch, without MPI: they print and exit as natively; long ones survive kills in between."""
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

from .processes import Failure, Job, Skip, note, run_command, tail
from .world import Checkpointed

SHELL = r"""
set -e
trap 'echo trapped' USR1
for i in 1 2 3; do echo $((i * i)); done | sort -rn
x=$(printf '%s\n' b a c | sort | tr '\n' ' '); echo "<$x>"
cat <<EOF | sed s/here/there/
text from here
EOF
kill -USR1 $$
(exit 3) || echo "status $?"
sleep 0.01 & wait $!; echo "waited $?"
exec 5>five; echo five >&5; exec 5>&-; cat five
diff <(echo a) <(echo b) || echo differ
ulimit -s; umask 027; umask
"""

PERL = r"""
my %count; for my $i (1..20000) { $count{($i * 7919) % 1009}++ } print join(",", map { "$_=$count{$_}" } (sort { $a <=> $b } keys %count)[0..9]), "\n";
open(my $out, "-|", "echo", "from a child") or die; print <$out>; close $out;
my $pid = fork(); if (!$pid) { exit 7 } waitpid($pid, 0); print $? >> 8, "\n";
local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select(undef, undef, undef, 3);
"""

SQL = """
create table t(a integer primary key, b text);
with recursive c(x) as (values(1) union all select x + 1 from c where x < 20000) insert into t select x, 'row ' || x from c;
create index i on t(b);
select count(*), sum(a), max(b) from t;
begin; delete from t where a % 2; rollback; select count(*) from t;
pragma integrity_check;
"""

PYTHON_TESTS = ("test_os", "test_signal", "test_threading", "test_subprocess", "test_mmap", "test_socket", "test_select", "test_time", "test_fcntl",
                "test_epoll", "test_sqlite3")
PYTHON_OPTIONS = ("--ignore", "*VSOCK*")  # they wait for the machine's host


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")


def under(world, folder):
    return [world.cli / "mana_launch", "--ckpt-dir", folder / "ckpt"]


def compare(world, log, command, text=None, produced=(), seconds=60):
    """The same exit code, stdout and files as natively; stderr too, where a program complains."""
    results = []
    for prefix in (lambda folder: [], lambda folder: under(world, folder)):
        folder = world.folder("program")
        try:
            code, out, err = run_command(prefix(folder) + list(command), world.environment(LC_ALL="C", TZ="UTC"), log, seconds, folder, text)
            files = {name: (folder / name).read_bytes() for name in produced}
            results.append((code, out.replace(str(folder), "."), err.replace(str(folder), "."), files))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    native, ours = results
    for i, what in enumerate(("exit code", "stdout", "stderr", "files")):
        if native[i] != ours[i]:
            raise Failure(f"{what} of {command[0]}: {tail(str(ours[i]))!r}, natively {tail(str(native[i]))!r}")


def coreutils(world, log):
    source = "/usr/share/common-licenses"
    for command in (["ls", "-l", source], ["cat", f"{source}/GPL-3"], ["sort", f"{source}/GPL-3"], ["sha256sum", f"{source}/GPL-3"],
                    ["wc", f"{source}/GPL-3"], ["tail", "-n", "3", f"{source}/GPL-3"], ["seq", "-s", ",", "5000"], ["date", "-u", "-d", "@1"],
                    ["ls", "/no/such/folder"], ["cat", "/no/such/file"], ["du", "-sb", source], ["stat", "-c", "%s %A %n", f"{source}/GPL-3"],
                    ["find", source, "-name", "GPL*"], ["env", "-i", "A=b", "sh", "-c", "echo $A; exit 9"], ["timeout", "0.1", "sleep", "10"],
                    ["nproc"], ["pwd"], ["id"], ["uname", "-a"], ["printf", "%s\\n", "a b"], ["expr", "6", "*", "7"], ["false"]):
        compare(world, log, command)
    compare(world, log, ["tee", "copy"], "text\n", produced=["copy"])
    compare(world, log, ["dd", "if=/usr/share/common-licenses/GPL-3", "of=copy", "bs=100", "status=none"], produced=["copy"])
    compare(world, log, ["split", "-l", "300", "/usr/share/common-licenses/GPL-3", "part."], produced=["part.aa", "part.ab"])


def shells(world, log):
    needs("bash")
    compare(world, log, ["bash", "-c", SHELL], produced=["five"])
    compare(world, log, ["sh", "-c", "cat; exec sh -c 'exit 5'"], "through a pipe\n")


def executed_static_program(world, log):
    """What cannot be launched is executed as it is."""
    folder = world.folder("static")
    (folder / "p.c").write_text('#include <stdio.h>\nint main(int n, char** v) { printf("%d %s\\n", n, v[0]); return 4; }\n')
    if subprocess.run(["gcc", "-static", "-o", folder / "p", folder / "p.c"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip("gcc -static does not work here")
    compare(world, log, ["sh", "-c", f"exec {folder}/p one"])
    shutil.rmtree(folder, ignore_errors=True)


def perl(world, log):
    needs("perl")
    compare(world, log, ["perl", "-e", PERL])


def awk_sed_grep(world, log):
    text = "".join(f"{i} {i * i % 97}\n" for i in range(3000))
    compare(world, log, ["awk", "{ s[$2] += $1 } END { for (k = 0; k < 97; k++) print k, s[k] }"], text)
    compare(world, log, ["sed", "-n", "s/1/one/gp"], text)
    compare(world, log, ["grep", "-c", "7$"], text)


def compressors(world, log):
    text = "".join(f"{i} {i * i % 9973}\n" for i in range(60000))
    for pack, unpack in (("gzip -9nc", "gzip -dc"), ("bzip2 -c", "bzip2 -dc"), ("xz -T2 -c", "xz -dc")):
        needs(pack.split()[0])
        compare(world, log, ["sh", "-c", f"{pack} | tee packed | {unpack} | sha256sum"], text, produced=["packed"])
        compare(world, log, ["bash", "-c", f"exec {pack} > packed"], text, produced=["packed"])


def archive(world, log):
    needs("tar")
    compare(world, log, ["sh", "-c", "exec tar -cf all.tar --sort=name --mtime=@0 -C /usr/share/common-licenses ."], produced=["all.tar"])


def compiler(world, log):
    needs("gcc")
    program = '#include <stdio.h>\nint main(void) { printf("%zu\\n", sizeof(void*)); return 4; }\n'
    compare(world, log, ["sh", "-c", "cat > p.c && gcc -O2 -o p p.c && ./p"], program)


def database(world, log):
    needs("sqlite3")
    compare(world, log, ["sqlite3", "db"], SQL, produced=["db"])
    compare(world, log, ["sqlite3", "-cmd", "pragma journal_mode=wal;", "db"], SQL)


def python_with_tests():
    # Not by a wrapper's name: what a launched program runs with exec is not launched.
    for python in ("python3", "/usr/bin/python3"):
        found = subprocess.run([python, "-c", "import sys; print(sys.executable); import test.test_mmap"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.strip()
    raise Skip("Python's own tests are not installed (libpythonX.Y-testsuite of /usr/bin/python3)")


def verdicts(world, log, python, module, launched, only=()):
    """{test: pass, skip or fail} of one of Python's own modules of tests."""
    folder = world.folder("python")
    try:
        command = (under(world, folder) if launched else []) + [python, "-m", "test", "-q", *PYTHON_OPTIONS, "--junit-xml", folder / "results.xml"]
        for name in only:
            command += ["-m", name]
        code, out, err = run_command(command + [module], world.environment(), None, 300, folder)
        note(log, f"---- {module}{' launched' if launched else ''}: exit code {code}\n{tail(out + err, 30)}")
        if not (folder / "results.xml").exists():
            raise Failure(f"{module}: exit code {code} and no results: {tail(out + err)}")
        found = {}
        for case in xml.etree.ElementTree.parse(folder / "results.xml").iter("testcase"):
            kinds = {child.tag for child in case}
            found[case.get("name")] = "fail" if kinds & {"failure", "error"} else "skip" if "skipped" in kinds else "pass"
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_tests(world, log, module):
    """Every test that passes natively passes launched.  Both run at the same time, and some of these tests measure time: what fails is tried
    again by itself."""
    python = python_with_tests()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        native, ours = pool.map(lambda launched: verdicts(world, log, python, module, launched), (False, True))
    passed = sorted(name for name, verdict in native.items() if verdict == "pass")
    if not passed:
        raise Skip(f"natively none of {len(native)} tests passes")
    worse = [name for name in passed if ours.get(name) != "pass"]
    if worse:
        again = verdicts(world, log, python, module, True, worse)
        worse = [f"{name} ({again.get(name, 'not run')})" for name in worse if again.get(name) != "pass"]
    if worse:
        raise Failure(f"{len(worse)} of {len(passed)} tests pass natively and not here: {', '.join(worse[:8])}")


LONG_PYTHON = r"""
import hashlib, os, threading
state = hashlib.sha256(b"start")
out = open("out", "w")
def work(name, rounds):
    own = hashlib.sha256(name)
    for i in range(rounds):
        own.update(b"x" * 1000)
    results.append(own.hexdigest())
for step in range(40):
    results = []
    threads = [threading.Thread(target=work, args=(b"%d" % i, 30000)) for i in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    state.update("".join(sorted(results)).encode())
    print(step, state.hexdigest(), os.getpid() == pid if step else True, file=out, flush=True)
    pid = os.getpid()
"""

LONG_PERL = r"""
open(my $out, ">", "out") or die; $| = 1; my $state = 1;
for my $step (1..500) { for (1..150000) { $state = ($state * 1103515245 + 12345) % 2147483648 } syswrite($out, "$step $state\n") }
"""


# Transactions that the checkpoints find at every stage, with locks held and, with a write-ahead log, shared memory mapped.
LONG_SQL = b"create table t(a integer primary key, b text); create index i on t(b); create temp table kept(a);\n" + b"".join(
    b"begin; with recursive c(x) as (values(1) union all select x + 1 from c where x < 400) insert into t(b) select %d * x %% 8191 || ' row' from c;"
    b" update t set b = b || 'x' where a %% 97 = %d; delete from t where a %% 89 = %d; insert into kept select count(*) from t; %s;\n"
    % (step, step % 97, step % 89, b"rollback" if step % 10 == 9 else b"commit") for step in range(1, 400)
) + b".output out\nselect count(*), sum(a), sum(length(b)), max(b) from t; select count(*), sum(a) from kept; pragma integrity_check;\n"

# What a file had in it is not part of a checkpoint: jobs that change files in place are stopped by the checkpoint instead of killed after it.
STOPPED = ("sqlite3", "sqlite3_wal")


def long_ones(world):
    text = b"".join(b"%d %d\n" % (i, i * i * 7919 % 999983) for i in range(300_000))
    return {"python": ([sys.executable, "-c", LONG_PYTHON], b"", "out"), "perl": (["perl", "-e", LONG_PERL], b"", "out"),
            "xz": (["xz", "-9", "-k", "input"], text, "input.xz"),
            "sqlite3": (["sqlite3", "-init", "input", "db", ".quit"], LONG_SQL, "out"),
            "sqlite3_wal": (["sqlite3", "-cmd", "pragma journal_mode=wal;", "-init", "input", "db", ".quit"], LONG_SQL, "out")}


class Alone(Checkpointed):
    """A job without mpirun."""

    def _start(self, mpi, transport, command, prefix=(), **options):
        self.job = Job([*self.wrapper, *command], self.world.environment(**self.more), self.log, folder=self.folder, **options)
        return self.job


def storm(world, log, name):
    """Checkpoints at random moments, and a kill (or stop) and restart after each second one; the result is the native one."""
    command, text, product = long_ones(world)[name]
    needs(command[0])
    seed = int(os.environ.get("MANA_SEED", random.randrange(1_000_000)))
    note(log, f"seed {seed}")
    moments = random.Random(seed)
    native = world.folder("native")
    (native / "input").write_bytes(text)
    begun = time.monotonic()
    code, _, err = run_command(command, world.environment(), log, 300, native)
    apart = min(0.5, (time.monotonic() - begun) / 8)  # several of them find a fast machine still at work
    if code != 0:
        raise Failure(f"natively: exit code {code}: {tail(err)}")
    job = Alone(world, f"long-{name}", command, 1, log)
    try:
        (job.folder / "input").write_bytes(text)
        job.launch(None)
        job.wait_until_answering()
        taken = 0
        while job.job.running():
            time.sleep(moments.uniform(0, apart))  # the moments are what is tried, nothing waits for anything
            ends = name in STOPPED and taken % 2 == 1
            code, _, err = job.mana("checkpoint", *(("--stop",) if ends else ()))
            if code != 0:
                if job.job.running() and "no job is running" not in err and "ended" not in err:
                    raise Failure(f"checkpoint {taken + 1}: {tail(err)}")
                continue
            taken += 1
            if ends:
                job.finish(expected=75)
            elif name not in STOPPED and taken % 2 == 0 and job.job.running():
                job.kill()
            else:
                continue
            job.restart(None)  # it may end before it would answer; a command that comes too early is told so
        job.finish()
        if (job.folder / product).read_bytes() != (native / product).read_bytes():
            raise Failure(f"{product} differs from the native one (seed {seed})")
        if taken == 0:
            raise Failure("it ended before the first checkpoint")
        note(log, f"{taken} checkpoints")
    finally:
        job.close()
        shutil.rmtree(native, ignore_errors=True)


def run(world, report):
    for test in (coreutils, shells, executed_static_program, perl, awk_sed_grep, compressors, archive, compiler, database):
        report.run(f"programs/{test.__name__}", test)
    for module in PYTHON_TESTS:
        report.run(f"programs/python/{module}", python_tests, module)
    for name in ("python", "perl", "xz", "sqlite3", "sqlite3_wal"):
        report.run(f"programs/storm/{name}", storm, name)

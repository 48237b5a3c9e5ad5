# SPDX-License-Identifier: BSD-3-Clause
"""A few scenarios of every sort again, in the mode migrate, where limits, memory or the user are others than usual."""
import os
import pathlib

from . import scenarios
from .processes import Failure, Skip, run_command, tail
from .world import MPIS

NOBODY = 65534
NAMES = ("irecv_outlives_the_lower_half", "drained_strided_message_larger_than_eager", "every_predefined_type_and_operator_reduces",
         "memory_of_every_kind_outlives_the_process", "terabytes_reserved_and_hardly_touched", "break_moves_on_from_where_it_was",
         "mappings_move_and_grow_after", "memory_in_huge_pages_stays", "reserved_huge_pages_stay", "main_stack_grows_as_far_as_its_limit",
         "memory_stays_where_sanitizers_want_it", "open_files_keep_number_offset_and_mode",
         "pipe_keeps_its_bytes_and_capacity", "epoll_keeps_its_set", "own_terminal_controls_the_session", "signal_handlers_masks_and_stacks_outlive_the_process",
         "posix_timers_keep_id_value_and_time_left", "thread_keeps_name_mask_stack_and_place", "directory_mask_limits_and_name_of_the_process_stay",
         "proc_shows_the_application_after", "files_of_proc_tell_the_ids_that_the_application_knows", "open_files_of_proc_stay_live",
         "folders_of_proc_list_the_ids_that_the_application_knows", "credentials_of_messages_name_who_the_application_knows", "segment_is_found_by_its_key_after",
         "children_can_be_run_after", "timed_waits_keep_their_deadlines", "absolute_timers_keep_their_deadlines",
         "language_runtime_works_after", "three_threads_exchange_messages")


class Surrounding:
    def __init__(self, name, wrapper=(), **environment):
        self.name, self.wrapper, self.environment = name, wrapper, environment

    def surround(self, job):
        """`job` has not been started yet."""
        job.wrapper = self.wrapper
        code, out, err = run_command([*self.wrapper, "true"], job.world.environment(), job.log)
        if code != 0:
            raise Skip(f"{' '.join(self.wrapper)}: {tail(out + err)}")

    def afterwards(self, report, batch):
        """What else can be said of a batch that has ended."""

    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


POOL = pathlib.Path("/proc/sys/vm/nr_hugepages")
RESERVED = 12  # more than the scenario takes: what is written while an image is written may need a second page


class HugePages(Surrounding):
    """Transparent ones, and as root a few more reserved ones than there were."""

    before = None

    def __enter__(self):
        if os.getuid() == 0 and POOL.exists():
            self.before = POOL.read_text().strip()
            POOL.write_text(str(int(self.before) + RESERVED))

    def __exit__(self, *_):
        if self.before is not None:
            POOL.write_text(self.before)

    def reserved(self, report, batch):
        name = f"{batch.label}/reserved_huge_pages_were_used_again"
        before, after = ([int(path.read_text()) for path in batch.meeting.glob(f"reserved.{when}.*")] for when in ("before", "after"))
        if before and after == before:
            report.passes(name)
        elif before:
            report.fails(name, f"pages of {before} kB came back as pages of {after} kB", batch.log)
        else:
            report.skips(name, f"none could be reserved ({POOL})")

    def afterwards(self, report, batch):
        if "reserved_huge_pages_stay" in batch.names:
            self.reserved(report, batch)
        name = f"{batch.label}/memory_was_in_huge_pages"
        counts, after = ([int(path.read_text()) for path in batch.meeting.glob(f"{when}.*")] for when in ("huge", "huge-after"))
        if "memory_in_huge_pages_stays" not in batch.names:
            return
        if counts and all(counts) and not (after and all(after)):
            report.fails(name, f"huge pages of {counts} kB came back as {after} kB", batch.log)
        elif counts and all(counts):
            report.passes(name)
        else:
            report.skips(name, f"the kernel gave {counts} kB (/sys/kernel/mm/transparent_hugepage/enabled)")


class OrdinaryUser(Surrounding):
    def surround(self, job):
        if os.getuid() != 0:
            raise Skip("all tests are run by an ordinary user")
        os.chown(job.folder, NOBODY, NOBODY)
        super().surround(job)
        code, _, _ = run_command([*self.wrapper, job.world.cli / "mana", "--help"], job.world.environment(), job.log)
        if code != 0:
            raise Skip("the build folder cannot be read by an ordinary user")


# Fewer descriptors than 64 are too few for the launchers themselves.
SURROUNDINGS = (Surrounding("unlimited_stack", ("prlimit", "--stack=unlimited")),
                Surrounding("few_descriptors", ("prlimit", "--nofile=64:64")),
                Surrounding("images_in_place", (), MANA_WRITE_IN_PLACE="1"),
                HugePages("huge_pages", (), GLIBC_TUNABLES="glibc.malloc.hugetlb=1"),
                OrdinaryUser("ordinary_user", ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", "HOME=/", "TMPDIR=/tmp")))


def run_in(world, report, surrounding, abi):
    label = f"surroundings/{surrounding.name}/{abi}"
    wanted = [entry for entry in scenarios.listed(world, abi) if entry[0] in NAMES and report.wants(f"{label}/{entry[0]}")]
    missing = set(NAMES) - {entry[0] for entry in scenarios.listed(world, abi)}
    if missing:
        raise Failure(f"no scenario is called {', '.join(sorted(missing))}")
    for ranks, level in sorted({(entry[1], entry[2]) for entry in wanted}):
        names = [entry[0] for entry in wanted if (entry[1], entry[2]) == (ranks, level)]
        with surrounding:
            scenarios.run_batch(world, report, "migrate", abi, ranks, level, names, surrounding)


def run(world, report):
    for index, surrounding in enumerate(SURROUNDINGS):
        abi = MPIS[index % 2]
        try:
            run_in(world, report, surrounding, abi)
        except Skip as reason:
            report.skips(f"surroundings/{surrounding.name}/{abi}", str(reason))
        except Failure as failure:
            report.fails(f"surroundings/{surrounding.name}/{abi}", str(failure))

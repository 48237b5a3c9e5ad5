# SPDX-License-Identifier: BSD-3-Clause
"""One line per test as it ends, and the count at the end.  Logs are kept for what failed."""
import re
import sys
import time
import traceback

from .processes import Failure, Skip, reap_orphans


class Report:
    def __init__(self, world, pattern):
        self.world = world
        self.pattern = re.compile(pattern) if pattern else None
        self.passed, self.failed, self.skipped = 0, [], 0

    def wants(self, name):
        return self.pattern is None or self.pattern.search(name) is not None

    def log(self, name):
        path = self.world.logs / (re.sub(r"[^\w.-]+", "-", name) + ".log")
        path.unlink(missing_ok=True)
        return path

    def passes(self, name, seconds=None):
        self.passed += 1
        self._line("ok", name, "" if seconds is None else f"{seconds:.1f} s")

    def fails(self, name, why, log=None):
        self.failed.append(name)
        self._line("FAILED", name, f"{why}" + (f"  [{log}]" if log else ""))

    def skips(self, name, why):
        self.skipped += 1
        self._line("skipped", name, why)

    def _line(self, verdict, name, text):
        print(f"{verdict:<8} {name}{'  ' if text else ''}{text}", flush=True)

    def run(self, name, function, *arguments):
        """function(world, log, *arguments): returns, raises Skip, or raises Failure."""
        if not self.wants(name):
            return
        log = self.log(name)
        before = time.monotonic()
        try:
            function(self.world, log, *arguments)
        except Skip as reason:
            self.skips(name, str(reason))
        except Failure as failure:
            self.fails(name, str(failure), log)
            return
        except Exception:  # the test itself is wrong; the others still run
            self.fails(name, "the test itself failed: " + traceback.format_exc(limit=3).strip().replace("\n", " | "), log)
            return
        else:
            self.passes(name, time.monotonic() - before)
        finally:
            reap_orphans()
        log.unlink(missing_ok=True)

    def end(self):
        if self.failed:
            print("\nFailed:")
            for name in self.failed:
                print(f"  {name}")
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"\n{self.passed} passed, {len(self.failed)} failed{skipped}", flush=True)
        sys.stdout.flush()
        return 1 if self.failed or self.passed == 0 else 0

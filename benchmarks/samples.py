# SPDX-License-Identifier: BSD-3-Clause
"""Samples of one case, native and ours, and what they say.

A launch falls into one of two speeds on many machines (where the kernel places two ranks and their shared memory).
So a figure is the median of the *fast mode*: the launches within 30 % of the fastest one.  Both sides have theirs; a side
that never reached the machine's fast mode would show as a bad ratio, and the number of fast launches is printed.
"""
import dataclasses
import json
import statistics
import sys

FAST_MODE = 1.3


@dataclasses.dataclass(frozen=True)
class Goal:
    """The most that ours may be: factor * native + plus, or a fixed limit."""

    factor: float = 0.0
    plus: float = 0.0
    limit: float | None = None

    def allowed(self, native: float | None) -> float | None:
        if self.limit is not None:
            return self.limit
        return None if native is None else self.factor * native + self.plus

    def text(self, unit: str) -> str:
        if self == NO_GOAL:
            return "-"
        if self.limit is not None:
            return f"{number(self.limit)} {unit}"
        factor = "native" if self.factor == 1 else f"{self.factor:g} x"
        return factor + (f" + {self.plus:g} {unit}" if self.plus else "")


NO_GOAL = Goal(limit=float("inf"))  # worth knowing


class Case:
    def __init__(self, name: str, unit: str, goal: Goal, mpi: str):
        self.name, self.unit, self.goal, self.mpi = name, unit, goal, mpi
        self.values: dict[str, list[float]] = {"native": [], "ours": []}
        self.leasts: dict[str, list[float]] = {"native": [], "ours": []}

    def add(self, side: str, value: float, least: float | None = None) -> None:
        """One launch's value, and the least of its repetitions where it has several."""
        self.values[side].append(value)
        self.leasts[side].append(value if least is None else least)

    def fast(self, side: str) -> list[float]:
        values = self.values[side]
        return [v for v in values if v <= FAST_MODE * min(values)] if values else []

    def figure(self, side: str) -> float | None:
        fast = self.fast(side)
        return statistics.median(fast) if fast else None

    def least(self, side: str) -> float | None:
        return min(self.leasts[side], default=None)

    def verdict(self) -> str:
        ours, allowed = self.figure("ours"), self.goal.allowed(self.figure("native"))
        if ours is None or allowed is None:
            return "not measured"
        if self.goal == NO_GOAL:
            return "-"
        return "reached" if ours <= allowed else f"missed by {number(ours - allowed)} {self.unit}"

    def ratio(self) -> float | None:
        native, ours = self.figure("native"), self.figure("ours")
        return ours / native if native and ours is not None else None

    def row(self) -> list[str]:
        ratio = self.ratio()
        cells = [self.mpi, self.name, self.unit]
        for side in ("native", "ours"):
            cells += [number(self.figure(side)), number(self.least(side)),
                      f"{len(self.fast(side))}/{len(self.values[side])}"]
        return cells + [f"{ratio:.2f}" if ratio else "-", self.goal.text(self.unit), self.verdict()]

    def json_line(self) -> str:
        record = {"case": self.name, "mpi": self.mpi, "unit": self.unit, "goal": self.goal.text(self.unit),
                  "verdict": self.verdict(), "ratio": self.ratio()}
        for side in ("native", "ours"):
            fast = self.fast(side)
            record[side] = {"figure": self.figure(side), "least": self.least(side), "launches": len(self.values[side]),
                            "fast_launches": len(fast), "spread": max(fast) - min(fast) if fast else None,
                            "values": self.values[side]}
        return json.dumps(record)


def number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


HEADER = ["MPI", "case", "unit", "native", "least", "fast", "ours", "least", "fast", "ratio", "goal", "verdict"]


def print_table(cases: list[Case], out=sys.stdout) -> None:
    rows = [HEADER] + [case.row() for case in cases]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip(), file=out)

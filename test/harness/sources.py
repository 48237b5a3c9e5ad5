# SPDX-License-Identifier: BSD-3-Clause
"""What can be seen in the sources: which layer includes which, and what every file must have."""
import pathlib
import re

from .processes import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = {  # folder: what it may include (itself always)
    "kernel-loader": set(),
    "control": set(),
    "trampolines": {"kernel-loader"},
    "upper": {"trampolines", "mpi_wrappers"},  # of mpi_wrappers only the generated headers
    "mpi_wrappers": {"upper", "trampolines"},
    "lower": {"kernel-loader", "trampolines", "control"},
    "cli": {"control", "kernel-loader"},
}
CONTRACTS = {"upper/interface.h", "upper/abi.h", "upper/core_ops.h"}  # between the halves: anybody's
GENERATED = {"mpi_wrappers/upper_api.h", "mpi_wrappers/generated_calls.h"}
LOWER_SIDE = ("mpi_wrappers/adapters/", "mpi_wrappers/forwarders/")  # compiled into the lower programs


def sources(folder):
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix in (".h", ".cc", ".c", ".S", ".py") and "tests" not in path.relative_to(ROOT).parts:
            yield path


def layers(world, log):
    wrong = []
    for folder, allowed in LAYERS.items():
        for path in sources(folder):
            name = str(path.relative_to(ROOT))
            may = allowed | {"lower"} if name.startswith(LOWER_SIDE) else allowed
            for included in re.findall(r'^\s*#include "([^"]+)"', path.read_text(), re.MULTILINE):
                layer = included.split("/")[0]
                if "/" not in included or layer not in LAYERS:
                    continue  # not spelled from the source root: of a library, or generated
                if layer == folder or included in CONTRACTS:
                    continue
                if layer not in may or (folder == "upper" and layer == "mpi_wrappers" and included not in GENERATED):
                    wrong.append(f"{name} includes {included}")
    if wrong:
        raise Failure("; ".join(wrong[:8]))


def licence_lines(world, log):
    folders = [*LAYERS, "test", "benchmarks"]
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".cc", ".c", ".S", ".py")
             or path.name == "meson.build"]
    missing = [str(path.relative_to(ROOT)) for path in paths if "SPDX-License-Identifier: BSD-3-Clause" not in path.read_text()[:300]]
    if missing:
        raise Failure("no SPDX line: " + ", ".join(missing[:8]))


def run(world, report):
    report.run("sources/no_layer_includes_one_above_it", layers)
    report.run("sources/every_file_names_its_licence", licence_lines)

# SPDX-License-Identifier: BSD-3-Clause
"""Command line: generate.py WHAT DESCRIPTION_FOLDER OUTPUT [ARGUMENTS...]"""
import importlib
import pathlib
import sys

import description

if __name__ == '__main__':
    what, folder, output, *arguments = sys.argv[1:]
    text = importlib.import_module(what).generate(description.read_functions(folder), *arguments)
    pathlib.Path(output).write_text(text)

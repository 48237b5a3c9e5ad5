# SPDX-License-Identifier: BSD-3-Clause
def run(world, report):
    pass

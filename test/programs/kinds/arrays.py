# SPDX-License-Identifier: BSD-3-Clause
"""Python with NumPy: linear algebra (OpenBLAS and its threads), random numbers, a file mapped as an array, exceptions.  With mpi4py where argv
says so.  As worker.c otherwise."""
import os
import sys
import threading
import time

import numpy

ROUNDS = 100
rank, reduce = 0, lambda value: value
if sys.argv[1:] == ["mpi"]:
    from mpi4py import MPI
    rank, reduce = MPI.COMM_WORLD.rank, lambda value: MPI.COMM_WORLD.allreduce(value, op=MPI.SUM)

random = numpy.random.default_rng(rank)
matrix = random.standard_normal((300, 300)) + 20 * numpy.eye(300)
mapped = numpy.memmap(f"mapped.{rank}", dtype="f8", mode="w+", shape=(ROUNDS,))
process = os.getpid()


def rounds(out):
    vector = numpy.ones(300)
    for step in range(ROUNDS):
        vector = numpy.linalg.solve(matrix, vector + random.standard_normal(300))
        spectrum = numpy.abs(numpy.fft.rfft(random.integers(0, 1000, 4096))).sum()
        product = matrix @ matrix
        total = reduce(float(numpy.round(vector.sum() + spectrum + numpy.trace(product), 6)))
        mapped[step] = total
        try:
            vector[1000]
        except IndexError as error:
            print(step, repr(total), str(error)[:20], os.getpid() == process, file=out, flush=True)


with open(f"out.{rank}", "w") as out:
    # A second thread, and the main one waits for it in a lock.
    thread = threading.Thread(target=rounds, args=(out,))
    thread.start()
    thread.join()
    while not os.path.exists("finish"):
        time.sleep(0.002)
    print(repr(float(mapped.sum())), file=out)

"""Chapter 01: the memory that an upload takes while it is being stored, by its size, in KiB.

What is counted is the peak of what Python allocates for the request. The body of the request isn't
in it, because a server reads that from a socket. Neither are files, or the system's cache of them.
"""

import multiprocessing
import tracemalloc
from concurrent.futures import ProcessPoolExecutor

import scripts
from storing import ROWS, SIZES, Uploads


def peak(row: str, size: int) -> float:
    """Return the KiB that one upload takes at its peak."""
    uploads = Uploads(row)
    uploads.send(uploads.environ(1), 1)  # imports what is imported by the first request
    environ = uploads.environ(size)
    tracemalloc.start()
    uploads.send(environ, size)
    return tracemalloc.get_traced_memory()[1] / 1024


def measure() -> scripts.Table:
    rows = [row for row in ROWS if "without fsync" not in row]  # takes no other memory
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as new_process:
        return {
            row: {
                name: new_process.submit(peak, row, size).result() for name, size in SIZES.items()
            }
            for row in rows
        }


if __name__ == "__main__":
    scripts.main(lambda _: measure())

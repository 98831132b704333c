"""Chapter 01: the memory that an upload takes while it is being stored, by its size.

Each upload is sent in a new process that has handled a small one before. What is counted is the
peak of what Python allocates for the request, in KiB. The body of the request isn't
in it, because a server reads that from a socket. Neither are files, or the system's cache of them.
"""

import multiprocessing
import tracemalloc
from concurrent.futures import ProcessPoolExecutor

import calls
from storing import ROWS, SIZES, Uploads


def peak(row: str, column: str) -> float:
    """Return the KiB that one upload takes at its peak."""
    small = Uploads(ROWS[row], SIZES["1 KiB"])
    small.check()  # imports what is imported by the first request

    uploads = Uploads(ROWS[row], SIZES[column])
    environ = uploads.new_request()
    tracemalloc.start()
    uploads.send(environ)
    return round(tracemalloc.get_traced_memory()[1] / 1024, 1)


def measure() -> dict[str, dict[str, float]]:
    spawn = multiprocessing.get_context("spawn")
    rows: dict[str, dict[str, float]] = {}
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as new_process:
        for row in ROWS:
            if row != "chapter 01, without fsync":  # takes no other memory
                rows[row] = {}
                for column in SIZES:
                    rows[row][column] = new_process.submit(peak, row, column).result()
    return rows


if __name__ == "__main__":
    calls.write_rows(measure)

"""How many contacts do the Celery workers fetch per second, and what does a fetch cost?

Browsers log in while the worker is suspended, and the clock runs from when it may go on until no
fetch is under way. "Workers" are the processes of its pool, the --concurrency in the Procfile.

The stand-in for the phone sleeps for 0.3 s before each page of up to 50 contacts, so its 282
contacts take 2.1 s. The rates with it are those of the sleep: a worker waits for one phone at a
time, so twice the workers fetch twice as much. What a fetch costs your machine is the CPU time
(with the sleep it includes what the worker needs while it waits). The other rows show what remains
when the phone answers at once. There the workers compete for the cores with each other and with
Valkey.
"""

import time
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from live import SETTINGS, Browser, Desk, Ledger, check, cpu_seconds
from scripts import FULL, Table, main, say

COUNT = 40 if FULL else 12
AT_ONCE_COUNT = 10 * COUNT  # logins, if the phone answers at once


def find_worker() -> Any:
    """Return Celery's main process; run.py, which has started it, is our only child."""
    [run] = psutil.Process().children()
    [worker] = [process for process in run.children() if "celery" in process.cmdline()]
    return worker


def measure_desk(desk: Any, count: int) -> dict[str, float]:
    ledger, worker = Ledger(), find_worker()
    first = Browser(ledger, desk.port, "ada").log_in()
    first.wait_for_contacts()  # a first fetch, so that nothing is imported or connected later
    kinds = [first.insist("GET", f"/j/{kind}").json() for kind in ("users", "groups", "mps")]
    contacts = sum(kind["total"] for kind in kinds)

    worker.suspend()
    try:
        browsers = [Browser(ledger, desk.port, "ada").log_in() for _ in range(count)]
    finally:
        worker.resume()

    start, cpu = time.perf_counter(), cpu_seconds(worker)
    with Redis.from_url(desk.redis_url()) as redis:
        while redis.keys("fetching:*"):  # one for each fetch, see tasks.py
            time.sleep(0.005)
    seconds, cpu = time.perf_counter() - start, cpu_seconds(worker) - cpu
    for browser in browsers:
        browser.wait_for_contacts()  # the ledger notes if it has to ask for a fetch again
    check(ledger)
    return {
        "fetches per second": count / seconds,
        "contacts per second": count * contacts / seconds,
        "all done after, s": seconds,
        "CPU per fetch, ms": 1000 * cpu / count,
    }


def measure(folder: Path) -> Table:
    table = {}
    phones = [("bots.QuickBot", ", a phone that answers at once", AT_ONCE_COUNT)]
    if FULL:
        phones.insert(0, ("wx.DemoBot", "", COUNT))
    for bot, phone, count in phones:
        for workers in 1, 2, 4:
            row = f"{workers} worker{'s' * (workers > 1)}{phone}"
            say(row)
            desk = Desk(folder / f"{bot}-{workers}", FLASK_BOT_CLASS=bot, **SETTINGS)
            procfile = desk.folder / "deploy/Procfile"
            lines = procfile.read_text(encoding="utf-8")
            lines = lines.replace("--concurrency 2", f"--concurrency {workers}")
            procfile.write_text(lines, encoding="utf-8")
            with desk:
                table[row] = measure_desk(desk, count)
    return table


if __name__ == "__main__":
    main(measure)

"""How long does a login by QR code take, once the phone has confirmed it?

The clock starts when the phone's confirmation is sent. It stops (a) when the page has its cookie,
where the page sends its key as soon as the confirmation is answered, and (b) when the event
`logged_in` has arrived on another page of the same account. The real page asks only once a second
whether its code is confirmed, so its user waits half a second longer on average. What we measure is
what the servers take, and our client with them.

A login is three requests here, for a code, the confirmation and the key, each on a connection of
its own. The worker fetches contacts meanwhile, as it always does after a login. Our client, the web
processes, Valkey and the worker share the cores.
"""

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from live import SETTINGS, Browser, Desk, Ledger, Stream, check, percentiles
from scripts import FULL, Table, main, say

COUNT = 200 if FULL else 40
WARM_UP = 10  # logins
AT_ONCE = 4


class OtherPage(Stream):  # type: ignore[misc]
    """A page that notes when it hears of a login."""

    def __init__(self, browser: Any) -> None:
        super().__init__(browser)
        self.logins: queue.Queue[float] = queue.Queue()

    def hear(self, type: str, data: Any) -> None:
        super().hear(type, data)
        if type == "login":
            self.logins.put(time.perf_counter())


def log_in(ledger: Any, port: int, other: OtherPage) -> tuple[float, float]:
    """Log in; return the seconds until the page is logged in, and until the other page knows."""
    page = Browser(ledger, port, "ada")
    code = page.new_code()

    start = time.perf_counter()
    page.confirm(code["uuid"])
    page.take_up(code["key"])
    end = time.perf_counter()
    return end - start, other.logins.get(timeout=30) - start


def measure_desk(desk: Any) -> dict[str, float]:
    ledger = Ledger()
    other = OtherPage(Browser(ledger, desk.port, "ada").log_in())
    other.start()
    if not other.opened.wait(30):
        check(ledger)

    for _ in range(WARM_UP):
        log_in(ledger, desk.port, other)
    times = [log_in(ledger, desk.port, other) for _ in range(COUNT)]

    start = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: Browser(ledger, desk.port, "ada").log_in(), range(COUNT)))
    rate = COUNT / (time.perf_counter() - start)

    other.close()
    other.join()
    check(ledger)
    page, event = (percentiles(list(column)) for column in zip(*times, strict=True))
    return {
        "the page is logged in, p50, ms": page[0],
        "the page is logged in, p99, ms": page[1],
        "the other page knows, p50, ms": event[0],
        "the other page knows, p99, ms": event[1],
        f"{AT_ONCE} at once, logins per second": rate,
    }


def measure(folder: Path) -> Table:
    table = {}
    for row, processes in {"1 web process": "1", "4 web processes": "4"}.items():
        say(row)
        with Desk(folder / processes, WEB_CONCURRENCY=processes, **SETTINGS) as desk:
            table[row] = measure_desk(desk)
    return table


if __name__ == "__main__":
    main(measure)

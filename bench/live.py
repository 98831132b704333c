"""What the scripts that measure real servers share: their frame, percentiles, helpers of checks/.

With FULL=1 in the environment they measure longer.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "checks"), str(ROOT / "checks/drills")]
import ledger as drills  # type: ignore[import-not-found]  # noqa: E402
from desk import UNSET  # type: ignore[import-not-found]  # noqa: E402
from desk import Desk as Desk  # noqa: E402
from desks import until as until  # type: ignore[import-not-found]  # noqa: E402
from ledger import Browser as Browser  # noqa: E402
from ledger import Ledger as Ledger  # noqa: E402
from ledger import Stream as Stream  # noqa: E402
from servers import free_port as free_port  # type: ignore[import-not-found]  # noqa: E402
from servers import nginx as nginx  # noqa: E402
from servers import process as process  # noqa: E402

FULL = os.environ.get("FULL") == "1"
Table = dict[str, dict[str, float]]  # by row, then by column

# In seconds. What is repeated is not measured, and would only keep us from leaving.
drills.PATIENCE = 2

# The desk as its reader runs it, but for one thing: all our browsers have the same address.
SETTINGS = {"FLASK_CODES_PER_MINUTE": "100000", "VERBOSE": ""}


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return the 50th and the 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return round(1000 * cuts[49], 2), round(1000 * cuts[98], 2)


def cpu_seconds(process: Any) -> float:
    """Return the CPU time of a process of psutil, and of those that it has started."""
    times = [each.cpu_times() for each in (process, *process.children())]
    return float(sum(time.user + time.system for time in times))


def check(ledger: Any) -> None:
    """End if a request was refused, repeated or answered wrongly: then the times are worth nothing.

    The sums name such requests; what went well is not in them.
    """
    if ledger.wrong or ledger.sums:
        sys.exit(f"Not measured, because of {ledger.summary()} {ledger.wrong[:3]}")


def stop(*_: object) -> NoReturn:
    """Leave, so that every server is stopped; further signals must not interrupt that."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    sys.exit("stopped")


def main(measure: Callable[[Path], Table]) -> None:
    """Write to the file that ``-o`` names what *measure* returns; it gets a temporary folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", dest="output", type=Path, required=True)
    output = parser.parse_args().output

    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, stop)
    for name in list(os.environ):
        if name.startswith("FLASK_") or name in UNSET:
            del os.environ[name]  # settings of the shell are not to be measured
    with tempfile.TemporaryDirectory() as folder:
        table = measure(Path(folder))
    output.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")

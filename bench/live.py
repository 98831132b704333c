"""What the scripts that measure real servers share: percentiles, and helpers of checks/."""

import statistics
import sys
from typing import Any

from scripts import ROOT

sys.path[:0] = [str(ROOT / "checks"), str(ROOT / "checks/drills")]
import ledger as drills  # type: ignore[import-not-found]  # noqa: E402
from desk import Desk as Desk  # type: ignore[import-not-found]  # noqa: E402
from desks import LIMITS  # type: ignore[import-not-found]  # noqa: E402
from desks import until as until  # noqa: E402
from ledger import Browser as Browser  # noqa: E402
from ledger import Ledger as Ledger  # noqa: E402
from ledger import Stream as Stream  # noqa: E402
from servers import free_port as free_port  # type: ignore[import-not-found]  # noqa: E402
from servers import nginx as nginx  # noqa: E402
from servers import process as process  # noqa: E402

# In seconds. What is repeated is not measured, and would only keep us from leaving.
drills.PATIENCE = 2

# The desk as its reader runs it, but for its limits: all our browsers have the same address.
SETTINGS = LIMITS | {"VERBOSE": ""}


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return the 50th and the 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return 1000 * cuts[49], 1000 * cuts[98]


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

"""What the scripts that measure real servers share: helpers of checks/, mostly."""

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
from servers import free_port as free_port  # type: ignore[import-not-found]  # noqa: E402
from servers import nginx as nginx  # noqa: E402
from servers import process as process  # noqa: E402

# In seconds. What is repeated is not measured, and would only keep us from leaving.
drills.PATIENCE = 2

# The desk as its reader runs it, but for its limits: all our browsers have the same address.
SETTINGS = LIMITS | {"VERBOSE": ""}


def cpu_seconds(process: Any) -> float:
    """Return the CPU time of a process of psutil, and of those that it has started."""
    times = [each.cpu_times() for each in (process, *process.children())]
    return float(sum(time.user + time.system for time in times))

"""What every script of this folder shares: it measures, and prints JSON that run.py reads."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).parent
ROOT = HERE.parent
FULL = os.environ.get("FULL") == "1"  # the long form
Table = dict[str, dict[str, float]]  # by row, then by column


def use_chapter(folder: str) -> None:
    """Make the modules of a chapter importable, before ours of the same name."""
    sys.path.insert(0, str(ROOT / folder))


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


def stop(*_: object) -> NoReturn:
    """Leave, so that every server is stopped; further signals must not interrupt that."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    sys.exit("stopped")


def main(measure: Callable[[Path], Table]) -> None:
    """Print what *measure* returns; it gets a temporary folder."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, stop)
    for name in list(os.environ):
        if name.startswith("FLASK_") or name in ("REDIS_URL", "HOST", "WEB_CONCURRENCY"):
            del os.environ[name]  # settings of the shell are not to be measured
    # On a disk, where uploads belong; the system's temporary folder may be in memory.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.environ["TMPDIR"] = folder  # tempfile.mkdtemp() looks there, in new processes, too
        print(json.dumps(measure(Path(folder))))

"""Measure: ``run.py`` runs every script of this folder, ``run.py cors_hook bots`` these two.

Prints their tables. The long form, FULL=1, also writes results.json and the page.
"""

import importlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version

import figures
from scripts import FULL

PACKAGES = """Flask Werkzeug gunicorn gevent redis flask-cors Flask-SSE whitenoise""".split()


def where() -> str:
    """Return when and on what machine this runs."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {system}, {packages}"


def main(names: list[str]) -> int:
    """Run the scripts called *names*, or all, and show their tables."""
    if unknown := set(names) - set(figures.BASES):
        known = ", ".join(figures.BASES)
        print(f"There is no {min(unknown)}; there are {known}", file=sys.stderr)
        return 2
    names = names or list(figures.BASES)
    if "file_servers" in names and not (shutil.which("wrk") and shutil.which("nginx")):
        print("file_servers is left out: sudo apt install wrk nginx", file=sys.stderr)
        names.remove("file_servers")

    results = figures.load()
    start = time.monotonic()
    print(f"On {where()}", flush=True)
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        measured = importlib.import_module(name).measure()
        rows = {
            row: {column: float(f"{value:.4g}") for column, value in cells.items()}
            for row, cells in measured.items()
        }
        results[name] = {"run": where(), "rows": rows}
        print(f"\n## {name}\n\n{figures.table(results, name)}", flush=True)
        if FULL:
            text = json.dumps(results, indent=2, ensure_ascii=False)
            figures.RESULTS.write_text(f"{text}\n", encoding="utf-8")
            figures.PAGE.write_text(figures.page(results), encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit("stopped"))  # first, every server is stopped
    for setting in list(os.environ):
        if setting.startswith("FLASK_") or setting in ("REDIS_URL", "HOST", "WEB_CONCURRENCY"):
            del os.environ[setting]  # what the shell sets is not to be measured
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder  # for us and for whatever we start
        try:
            sys.exit(main(sys.argv[1:]))
        except KeyboardInterrupt:
            sys.exit(130)

"""Measure: ``run.py`` runs every script of this folder, ``run.py cors_hook logins`` these two.

Prints their tables. The long form, FULL=1, also writes results.json, the page and the charts.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyperf

import figures

FULL = os.environ.get("FULL") == "1"
PACKAGES = """Flask Werkzeug gunicorn gevent Celery redis flask-cors APIFlask Flask-RESTful
    flask-smorest Flask-SSE whitenoise""".split()


def where() -> str:
    """Return when and on what machine this runs."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {system}, {packages}"


def run(script: str, folder: Path) -> figures.Rows:
    """Run a script and return what it has measured. CalledProcessError: it couldn't."""
    output = folder / f"{script}.json"
    command = [sys.executable, str(figures.HERE / f"{script}.py"), "-o", str(output)]
    subprocess.run(command, check=True)
    measured = json.loads(output.read_text(encoding="utf-8"))
    if "benchmarks" not in measured:
        rows: figures.Rows = measured
        return rows

    rows = {}
    for benchmark in pyperf.BenchmarkSuite.load(str(output)).get_benchmarks():
        row, column = benchmark.get_name().split(" | ")
        # The fastest, because other processes only ever make a call slower; but what waits for a
        # disk doesn't take equally long each time.
        values = benchmark.get_values()
        seconds = benchmark.median() if script == "storing" else min(values)
        rows.setdefault(row, {})[column] = 1e6 * seconds  # µs
    return rows


def rounded(rows: figures.Rows) -> figures.Rows:
    return {
        row: {column: float(f"{value:.4g}") for column, value in cells.items()}
        for row, cells in rows.items()
    }


def main(scripts: list[str]) -> int:
    """Run *scripts*, or all, and show their tables; the long form writes them down as well."""
    unknown = set(scripts) - figures.PARTS.keys()
    if unknown:
        print(f"There is no {min(unknown)}; there are {', '.join(figures.PARTS)}", file=sys.stderr)
        return 2

    scripts = scripts or list(figures.PARTS)
    if "servers_load" in scripts and not shutil.which("wrk"):
        print("servers_load is left out; it needs wrk: sudo apt install wrk", file=sys.stderr)
        scripts = [script for script in scripts if script != "servers_load"]

    results = figures.load() if figures.RESULTS.exists() else {}
    start = time.monotonic()
    print(f"On {where()}", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for script in scripts:
                print(f"{script} ...", file=sys.stderr, flush=True)
                rows = rounded(run(script, Path(folder)))
                results[script] = {"run": where(), "rows": rows}
                print(f"\n## {script}\n\n{figures.table(results, script)}", flush=True)
                if FULL:
                    text = json.dumps(results, indent=2, ensure_ascii=False)
                    figures.RESULTS.write_text(f"{text}\n", encoding="utf-8")
    except KeyboardInterrupt:
        return 130
    except subprocess.CalledProcessError as error:
        print(f"{script} ended with {error.returncode}; what it says is above", file=sys.stderr)
        return 1
    if FULL:
        figures.write(results)
    print(f"{time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

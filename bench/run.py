"""Measure: ``run.py`` runs every script of this folder, ``run.py cors_hook bots`` these two.

Prints their tables. The long form, FULL=1, also writes results.json and the page.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version

import figures
from scripts import FULL, HERE

PACKAGES = """Flask Werkzeug gunicorn gevent Celery redis flask-cors APIFlask Flask-RESTful
    flask-smorest Flask-SSE whitenoise""".split()


def where() -> str:
    """Return when and on what machine this runs."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {system}, {packages}"


def run(script: str) -> figures.Rows:
    """Run a script and return what it has measured. CalledProcessError: it couldn't."""
    command = [sys.executable, str(HERE / f"{script}.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows: figures.Rows = json.loads(done.stdout)
    return {
        row: {column: float(f"{value:.4g}") for column, value in cells.items()}
        for row, cells in rows.items()
    }


def main(scripts: list[str]) -> int:
    """Run *scripts*, or all, and show their tables; the long form writes them down as well."""
    known = list(figures.BASES)
    if unknown := set(scripts) - set(known):
        print(f"There is no {min(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    scripts = scripts or known
    if "servers_load" in scripts and not shutil.which("wrk"):
        print("servers_load is left out; it needs wrk: sudo apt install wrk", file=sys.stderr)
        scripts = [script for script in scripts if script != "servers_load"]

    results = figures.load()
    start = time.monotonic()
    print(f"On {where()}", flush=True)
    for script in scripts:
        print(f"{script} ...", file=sys.stderr, flush=True)
        try:
            results[script] = {"run": where(), "rows": run(script)}
        except KeyboardInterrupt:
            return 130
        except subprocess.CalledProcessError as error:
            print(f"{script} ended with {error.returncode}; what it says is above", file=sys.stderr)
            return 1
        print(f"\n## {script}\n\n{figures.table(results, script)}", flush=True)
        if FULL:
            text = json.dumps(results, indent=2, ensure_ascii=False)
            figures.RESULTS.write_text(f"{text}\n", encoding="utf-8")
            figures.PAGE.write_text(figures.page(results), encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

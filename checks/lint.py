"""Check style and types: ``lint.py 01_static_files checks``, each folder's types by itself.

A folder whose name starts with a digit is no package, and each chapter has an ``app.py``; mypy
would take them for one module.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folders: list[str]) -> int:
    python = [sys.executable, "-m"]
    ruff = [["ruff", "check", "."], ["ruff", "format", "--check", "."]]
    failed = [subprocess.run([*python, *command], cwd=ROOT).returncode for command in ruff]
    for folder in folders:
        options = ["--config-file", str(ROOT / "pyproject.toml")]
        options += ["--cache-dir", str(ROOT / ".mypy_cache" / folder)]
        done = subprocess.run([*python, "mypy", *options, "."], cwd=ROOT / folder)
        failed.append(done.returncode)
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

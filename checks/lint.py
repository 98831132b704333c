"""Check style, workflows and types: ``lint.py 01_static_files checks``, each folder's by itself.

A folder whose name starts with a digit is no package, and each chapter has an ``app.py``; mypy
would take them for one module.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WHOLE = ["ruff check .", "ruff format --check .", "zizmor --offline --quiet .github"]


def main(folders: list[str]) -> int:
    commands = [(ROOT, command) for command in WHOLE]
    for folder in folders:
        root = os.path.relpath(ROOT, ROOT / folder)
        mypy = f"mypy . --config-file {root}/pyproject.toml --cache-dir {root}/.mypy_cache/{folder}"
        # deploy/ and views/ of chapter 06 have no __init__.py, and tests/ is no package at all.
        bases = " --explicit-package-bases" if (ROOT / folder / "deploy").exists() else ""
        commands.append((ROOT / folder, mypy + bases))
    env = os.environ | {"MYPYPATH": "tests"}
    status = 0
    for where, command in commands:
        program, *options = command.split()
        path = Path(sys.executable).with_name(program)
        status |= subprocess.run([path, *options], cwd=where, env=env).returncode
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

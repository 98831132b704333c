"""Check style, workflows and types: ``lint.py 01_static_files checks``, each folder's by itself.

A folder whose name starts with a digit is no package, and each chapter has an ``app.py``; mypy
would take them for one module.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folders: list[str]) -> int:
    ruff, mypy = [sys.executable, "-m", "ruff"], [sys.executable, "-m", "mypy"]
    zizmor = str(Path(sys.executable).with_name("zizmor"))  # a program that isn't a module
    whole = [
        [*ruff, "check", "."],
        [*ruff, "format", "--check", "."],
        [zizmor, "--offline", "--quiet", ".github"],
    ]
    failed = [subprocess.run(command, cwd=ROOT).returncode for command in whole]
    # deploy/ and views/ of chapter 06 have no __init__.py, and tests/ is no package at all.
    bases = os.environ | {"MYPYPATH": "tests"}
    for folder in folders:
        options = ["--config-file", str(ROOT / "pyproject.toml")]
        options += ["--cache-dir", str(ROOT / ".mypy_cache" / folder)]
        if (ROOT / folder / "deploy").exists():
            options.append("--explicit-package-bases")
        checked = subprocess.run([*mypy, *options, "."], cwd=ROOT / folder, env=bases)
        failed.append(checked.returncode)
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Remove what make created: .venv, caches, and whatever the chapters have stored."""

import fcntl
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CREATED = {".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"}
CREATED |= {"__pycache__", "instance", "node_modules"}


def main() -> None:
    for data in [*ROOT.glob("*/instance/valkey"), *ROOT.glob("*/steps/*/instance/valkey")]:
        try:  # chapter 06 holds a lock on its data as long as it runs
            fcntl.flock(os.open(data, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{data} is in use; stop the chapter first, with Ctrl-C in its terminal")
    for path, folders, _ in os.walk(ROOT):
        for name in CREATED & set(folders):
            created = Path(path, name)
            created.unlink() if created.is_symlink() else shutil.rmtree(created)
        folders[:] = [name for name in folders if name not in CREATED and name != ".git"]


if __name__ == "__main__":
    main()

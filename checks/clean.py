"""Remove what make created: .venv, caches, and whatever the chapters have stored."""

import fcntl
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CREATED = {".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"}
CREATED |= {"__pycache__", "instance", "node_modules"}


def is_in_use(folder: Path) -> bool:
    """Tell whether chapter 06 runs, which holds a lock on its data as long as it does."""
    try:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def main() -> None:
    for data in [*ROOT.glob("*/instance/valkey"), *ROOT.glob("*/steps/*/instance/valkey")]:
        if is_in_use(data):
            sys.exit(f"{data} is in use; stop the chapter first, with Ctrl-C in its terminal")
    for path, folders, _ in os.walk(ROOT):
        for name in CREATED & set(folders):
            created = Path(path, name)
            created.unlink() if created.is_symlink() else shutil.rmtree(created)
        folders[:] = [name for name in folders if name not in CREATED and name != ".git"]


if __name__ == "__main__":
    main()

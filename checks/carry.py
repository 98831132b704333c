"""Copy every shared file from its original to the folders that have it as well (book.py)."""

import subprocess
import sys
from pathlib import Path

from book import APPS, ROOT, originals


def is_edited(path: Path) -> bool:
    return subprocess.run(["git", "diff", "--quiet", "HEAD", "--", path], cwd=ROOT).returncode == 1


def main() -> None:
    for app in APPS:
        for name, original in originals(app).items():
            copy = app / name
            if not copy.exists() or copy.read_bytes() != original.read_bytes():
                if is_edited(copy) and not is_edited(original):
                    names = copy.relative_to(ROOT), original.relative_to(ROOT)
                    sys.exit("{} is a copy, and edited: make that change in {}".format(*names))
                copy.write_bytes(original.read_bytes())
                print(f"{original.relative_to(ROOT)} -> {copy.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

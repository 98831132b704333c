"""What every script of this folder shares. Each has `measure`, which run.py calls."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
FULL = os.environ.get("FULL") == "1"  # the long form
Table = dict[str, dict[str, float]]  # by row, then by column

sys.path.append(str(ROOT / "checks"))  # its servers.py starts and stops servers


def use_chapter(folder: str) -> None:
    """Make the modules of a chapter importable, before others of the same name."""
    sys.path.insert(0, str(ROOT / folder))

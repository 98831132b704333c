"""Copy each file that a chapter's README calls carried over from the chapter before."""

import shutil
from itertools import pairwise

from book import CHAPTERS
from pages import declared

for before, chapter in pairwise(CHAPTERS):
    for name, (kind, _) in declared(chapter).items():
        source, target = before / name, chapter / name
        if kind == "carried over" and source.read_bytes() != target.read_bytes():
            shutil.copyfile(source, target)
            print(f"{before.name}/{name} -> {chapter.name}/{name}")

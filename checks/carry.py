"""Copy each file that a chapter carries over forward from the chapter before."""

from itertools import pairwise

from book import CHAPTERS, files
from pages import carried_over

for before, chapter in pairwise(CHAPTERS):
    there = files(chapter)
    for name, content in files(before).items():
        if carried_over(chapter, name) and there.get(name) != content:
            (chapter / name).parent.mkdir(parents=True, exist_ok=True)
            (chapter / name).write_bytes(content)
            print(f"{before.name}/{name} -> {chapter.name}/{name}")

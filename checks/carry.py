"""Copy each file that a chapter's README calls carried over from the chapter before."""

from itertools import pairwise

from book import CHAPTERS, files
from pages import declared

for before, chapter in pairwise(CHAPTERS):
    rows = [row for row, (kind, _) in declared(chapter).items() if kind == "carried over"]
    there = files(chapter)
    for name, content in files(before).items():
        carried = name in rows or f"{name.split('/')[0]}/" in rows  # a row may stand for a folder
        if carried and there.get(name) != content:
            (chapter / name).parent.mkdir(parents=True, exist_ok=True)
            (chapter / name).write_bytes(content)
            print(f"{before.name}/{name} -> {chapter.name}/{name}")

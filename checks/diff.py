"""Show what a chapter adds to the one before it: ``diff.py 03``, or ``diff.py 03 1`` for all."""

import re
import subprocess
import sys

from book import CHAPTERS, ROOT, changes

QUIET = ("README.md", "conftest.py", "screenshot.png", "frontend/package-lock.json")


def main(number: str, everything: str = "") -> None:
    [index] = [i for i, path in enumerate(CHAPTERS) if path.name.startswith(f"{number}_")]
    chapter, before = CHAPTERS[index], CHAPTERS[index - 1] if index else None
    changed = changes(chapter)
    if everything:
        changed["changed" if before else "new"].append("README.md")
    for kind, names in changed.items():
        print(f"{kind + ':':14}{', '.join(names) or '-'}")
    print(flush=True)

    def shown(name: str) -> bool:
        quiet = name.startswith(("tests/", "static/", "templates/")) or name in QUIET
        return bool(everything) or not quiet

    # In the order of the README's table, which begins with the technique.
    rows = re.findall(r"^\| `(.+?)` \|", (chapter / "README.md").read_text("utf-8"), re.MULTILINE)
    code = [name for name in [*changed["new"], *changed["changed"]] if shown(name)]
    colour = "--color=always" if sys.stdout.isatty() else "--color=never"
    for name in sorted(code, key=lambda name: rows.index(name) if name in rows else len(rows)):
        old = f"{before.name}/{name}" if before and name in changed["changed"] else "/dev/null"
        command = ["git", "--no-pager", "diff", "--no-index", "--no-ext-diff", colour]
        command += ["--src-prefix=a/", "--dst-prefix=b/", "--"]
        subprocess.run([*command, old, f"{chapter.name}/{name}"], cwd=ROOT)


main(*sys.argv[1:])

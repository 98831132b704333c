"""Show what a chapter adds to the one before it: ``diff.py 03``, or ``diff.py 03 1`` for all."""

import subprocess
import sys

from book import CHAPTERS, ROOT, changes


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
        quiet = name.startswith("tests/") or name.endswith((".html", ".css", ".md", "-lock.json"))
        return bool(everything) or not quiet

    colour = "--color=always" if sys.stdout.isatty() else "--color=never"
    for name in filter(shown, [*changed["changed"], *changed["new"]]):
        old = f"{before.name}/{name}" if before and name in changed["changed"] else "/dev/null"
        command = ["git", "--no-pager", "diff", "--no-index", "--no-ext-diff", colour]
        command += ["--src-prefix=a/", "--dst-prefix=b/", "--"]
        subprocess.run([*command, old, f"{chapter.name}/{name}"], cwd=ROOT)


main(*sys.argv[1:])

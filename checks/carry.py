"""Copy each file that a chapter or a step carries over forward from the one that owns it.

A chapter and a step carry over from the one before; what a step shares with the combined app or
with chapter 05 comes from there.
"""

from pathlib import Path

from book import APPS, ROOT, SHARED, STEPS, before, files
from pages import carried_over


def owned_elsewhere(app: Path) -> dict[str, Path]:
    """Return the files that *app* should have as another app has them, and where they are."""
    found = {}
    old = before(app)
    for name in files(old) if old else {}:
        if old and carried_over(app, name):
            found[name] = old / name
    if app in STEPS:
        for name in files(app):
            if name in SHARED and SHARED[name] != app:
                found[name] = SHARED[name] / name
    return found


def main() -> None:
    for app in APPS:
        if not (app / "README.md").exists():  # what it carries over is for its page to say
            continue
        there = files(app)
        for name, owner in owned_elsewhere(app).items():
            content = owner.read_bytes()
            if there.get(name) != content:
                (app / name).parent.mkdir(parents=True, exist_ok=True)
                (app / name).write_bytes(content)
                print(f"{owner.relative_to(ROOT)} -> {(app / name).relative_to(ROOT)}")


if __name__ == "__main__":
    main()

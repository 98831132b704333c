"""The book: its chapters, which of them the reader can run, and the ports that they get."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pages

# In a checkout, but not of the book.
PRIVATE = {".git", ".venv", "instance", "node_modules", "__pycache__", "local_settings.py"}


@dataclass(frozen=True)
class Ports:
    """The ports of a chapter: those that the book writes, and those that are in use.

    They're the same unless somebody has chosen others, so that two readers can run side by side.
    """

    number: int
    reader: int
    ours: int
    article: int

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        written = (8100, 8100 + self.number, 8200 + self.number)
        return list(zip(written, (self.reader, self.ours, self.article), strict=True))

    def live(self, text: str) -> str:
        """Return *text* of the book with the ports that are in use."""
        return self._moved(text, dict(self.pairs))

    def book(self, text: str) -> str:
        """Return *text* from a server with the ports that the book writes."""
        return self._moved(text, {live: written for written, live in self.pairs})

    def _moved(self, text: str, ports: dict[int, int]) -> str:
        def port(match: re.Match[str]) -> str:
            return f":{ports.get(int(match[1]), match[1])}"

        return re.sub(r"(?<=[\w\]]):(\d{4,5})\b", port, text)


@dataclass(frozen=True)
class Chapter:
    """A folder ``NN_name``. The reader runs it if it has both versions and needs only Flask."""

    folder: Path
    ports: Ports

    @property
    def number(self) -> str:
        return self.folder.name[:2]

    @property
    def readme(self) -> Path:
        return self.folder / "README.md"

    @property
    def runs(self) -> bool:
        needed = all((self.folder / name).is_file() for name in ("app.py", "article.py"))
        return needed and not (self.folder / "deploy/Procfile").exists()

    @property
    def steps(self) -> list[Path]:
        """The pages of the chapter's steps."""
        return sorted(self.folder.glob("steps/[0-9]*/README.md"))

    @property
    def more(self) -> list[Path]:
        """The chapter's other pages."""
        return sorted(path for path in self.folder.glob("*.md") if "README" not in path.name)


class Book:
    """The pages below *root*. The reader is at *port*, chapter NN at port + NN and port + 100 + NN.

    *moved* gives a chapter (by its number) another port; its article's version stays 100 above.
    """

    def __init__(self, root: Path, port: int = 8100, moved: dict[str, int] | None = None) -> None:
        self.root = root.resolve()
        self.port = port
        self.chapters = []
        for folder in sorted(self.root.glob("[0-9][0-9]_*")):
            if (folder / "README.md").is_file():
                number = int(folder.name[:2])
                ours = (moved or {}).get(folder.name[:2], port + number)
                self.chapters.append(Chapter(folder, Ports(number, port, ours, ours + 100)))

    @property
    def title(self) -> str:
        return pages.title(self.root / "README.md")

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def path(self, name: str) -> Path | None:
        """Return the file or folder that a URL's path names; None: it's no part of the book.

        Every path from outside goes through here.
        """
        if "\0" in name or "\\" in name:
            return None
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root) or not path.exists():
            return None
        parts = path.relative_to(self.root).parts
        hidden = [part for part in parts if part.startswith(".") and part.endswith("_cache")]
        return None if hidden or PRIVATE.intersection(parts) else path

    def name(self, path: Path) -> str:
        """Return the URL's path for a file: the one from the root of the book."""
        return path.relative_to(self.root).as_posix()

    def chapter_of(self, path: Path) -> Chapter | None:
        return next((one for one in self.chapters if path.is_relative_to(one.folder)), None)

    def builds_on_the_one_before(self, chapter: Chapter) -> bool:
        """Tell whether a chapter has a module of the one before, byte for byte."""
        index = self.chapters.index(chapter)
        own = {"app.py", "article.py", "conftest.py"}
        return index > 0 and any(
            path.read_bytes() == (chapter.folder / path.name).read_bytes()
            for path in self.chapters[index - 1].folder.glob("*.py")
            if path.name not in own and (chapter.folder / path.name).is_file()
        )

    def neighbours(self, page: Path) -> tuple[Path | None, Path | None]:
        """Return the pages before and after *page* in order: the chapters and their steps."""
        order = [self.root / "README.md"]
        for chapter in self.chapters:
            order += [chapter.readme, *chapter.steps]
        if page not in order:
            return None, None
        index = order.index(page)
        after = order[index + 1] if index + 1 < len(order) else None
        return (order[index - 1] if index else None), after

"""Rerun the console blocks of an app's pages; as a script, rewrite those that no longer agree.

``transcripts.py`` does it for every page, ``transcripts.py 03`` for those of one chapter.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from book import APPS, NOT_OURS, chapter_number
from pages import Block, blocks, pages
from servers import free_port, process

# What varies by nature from run to run, or from one machine to the next; nothing else may.
VARYING: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"(?i)(?<=^Date: ).+": "<date>",
    r"(?i)(?<=^Last-Modified: ).+": "<date>",
    r"(?i)(?<=^Expires: ).+": "<date>",
    r"(?i)(?<=^Server: ).+": "<server>",
    r'(?i)(?<=^Etag: ").+(?=")': "<etag>",
    r"(?<=^id: )\d+-\d+": "<id>",
    r"(?<=^X-Request-ID: )[0-9a-f]{32}": "<id>",
    r'(?<="request_id": ")[0-9a-f]{32}': "<id>",
    r"(?<=^Allow: ).+": lambda methods: ", ".join(sorted(methods[0].split(", "))),
}
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n", re.MULTILINE)  # a backslash continues it
LEFT_OUT = "..."


def consoles(app: Path) -> list[Block]:
    """Return the console blocks of the pages of a chapter or a step."""
    everything = [block for page in pages(app) for block in blocks(page)]
    return [block for block in everything if block.language == "console"]


def version_of(block: Block) -> str:
    """Return ``82`` for a block that asks the article's version, and ``81`` for any other."""
    return "82" if re.search(r":82\d\d\b", block.text) else "81"


@contextmanager
def served(
    folder: Path, versions: set[str], app: Path | None = None
) -> Iterator[Callable[[Block], str]]:
    """Serve a copy of *folder*, which is *app* or what an exercise made of it.

    Yields a function that reruns a block there.

    Both versions listen on a free port that takes the place of their own (81NN, 82NN). It has four
    digits as well, or each Content-Length would be another.
    """
    number = chapter_number(app or folder)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as servers:
        copy = Path(temporary, folder.name)
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*NOT_OURS))
        Path(temporary, ".curlrc").write_text("silent\n")  # no progress meter
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
        env |= {"CURL_HOME": temporary, "PATH": path}

        moved = {}
        for version in versions:
            port = free_port(random.sample(range(2000, 8000), 50))
            moved[f"{version}{number}"] = str(port)
            module = "article" if version == "82" else "app"
            serve = [sys.executable, "-m", "flask", "--app", module, "run", "--port", str(port)]
            if (copy / "deploy/Procfile").exists():
                serve = [sys.executable, "deploy/run.py"]
            silent = subprocess.DEVNULL
            server = process(
                serve, copy, port, env=env | {"PORT": str(port)}, stdout=silent, stderr=silent
            )
            servers.enter_context(server)

        def rerun(block: Block) -> str:
            text = ""
            for command in COMMAND.findall(block.text):
                line = command
                for own, port in moved.items():
                    line = line.replace(f":{own}", f":{port}")
                done = subprocess.run(
                    ["bash", "-c", line], cwd=copy, env=env, capture_output=True, timeout=60
                )
                said = (done.stdout + done.stderr).decode().replace("\r", "")
                for own, port in moved.items():
                    said = said.replace(f":{port}", f":{own}")
                for pattern, stable in VARYING.items():
                    said = re.sub(pattern, stable, said, flags=re.MULTILINE)
                text += f"$ {command}\n{said}"
                text += "" if text.endswith("\n") else "\n"
            return text

        yield rerun


def agrees(says: str, true: str) -> bool:
    """Tell whether a page says what is true; a line ``...`` stands for any lines, or for none."""
    pattern = ""
    for line in says.splitlines():
        pattern += "(?:.*\n)*?" if line == LEFT_OUT else re.escape(line) + "\n"
    return re.fullmatch(pattern, true) is not None


def rerun_all(app: Path, times: int = 1) -> Iterator[tuple[Block, str]]:
    """Rerun the blocks in their order, each that often; yield each with what it printed."""
    found = consoles(app)
    if not found:
        return
    with served(app, {version_of(block) for block in found}) as rerun:
        for block in found:
            for _ in range(times):
                yield block, rerun(block)


def rewrite(app: Path) -> None:
    """Put the true output into the blocks that don't agree with it, with every line of it."""
    wrong = {}
    for block, true in rerun_all(app):
        if not agrees(block.text, true):
            wrong[block.page, block.line] = (block, true)
    # From the end, so that the blocks above keep their line numbers.
    for block, true in reversed(list(wrong.values())):
        print(f"{block}: rewritten, whole; take out the lines that don't matter")
        lines = block.page.read_text(encoding="utf-8").splitlines(keepends=True)
        lines[block.line : block.line + block.text.count("\n")] = [true]
        block.page.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for app in APPS:
        if chapter_number(app) in (sys.argv[1:] or chapter_number(app)):
            rewrite(app)

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
from book_pages import pages_of
from comparing import agrees, stable
from pages import Block, blocks, exchanges
from servers import free_port, process


def consoles(app: Path) -> list[Block]:
    """Return the console blocks of the pages of a chapter or a step."""
    everything = [block for page in pages_of(app) for block in blocks(page)]
    return [block for block in everything if block.language == "console"]


def version_of(block: Block) -> str:
    """Return ``82`` for a block that asks the article's version, and ``81`` for any other."""
    return "82" if re.search(r":82\d\d\b", block.text) else "81"


def commands_of(folder: Path, ports: dict[str, int]) -> dict[tuple[int, ...], list[str]]:
    """Return what serves the versions of a chapter or a step, by the ports that it listens on."""
    if (folder / "deploy/Procfile").exists():
        return {tuple(ports.values()): [sys.executable, "deploy/run.py"]}
    modules = {"81": "app", "82": "article"}
    flask = [sys.executable, "-m", "flask", "--app"]
    return {
        (port,): [*flask, modules[version], "run", "--port", str(port)]
        for version, port in ports.items()
    }


@contextmanager
def served(
    folder: Path, versions: set[str], app: Path | None = None
) -> Iterator[Callable[[Block], str]]:
    """Serve a copy of *folder*, which is *app* or what an exercise made of it.

    Yields a function that reruns a block there, with a placeholder for what varies.

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

        if (copy / "deploy/Procfile").exists() and (copy / "article.py").exists():
            versions = {"81", "82"}
        ports = {version: free_port(random.sample(range(2000, 8000), 50)) for version in versions}
        moved = {f":{version}{number}": f":{port}" for version, port in ports.items()}
        env |= {"PORT": str(ports.get("81", "")), "ARTICLE_PORT": str(ports.get("82", ""))}
        for its_ports, command in commands_of(copy, ports).items():
            silent = subprocess.DEVNULL
            server = process(command, copy, *its_ports, env=env, stdout=silent, stderr=silent)
            servers.enter_context(server)

        def rerun(block: Block) -> str:
            text = ""
            for one in exchanges(block.text):
                line = one.command
                for own, live in moved.items():
                    line = line.replace(own, live)
                done = subprocess.run(
                    ["bash", "-c", line], cwd=copy, env=env, capture_output=True, timeout=60
                )
                said = (done.stdout + done.stderr).decode().replace("\r", "")
                for own, live in moved.items():
                    said = said.replace(live, own)
                text += f"$ {one.command}\n{stable(said)}"
                text += "" if text.endswith("\n") else "\n"
            return text

        yield rerun


def rewrite(app: Path) -> None:
    """Put the true output into the blocks that don't agree with it, with every line of it."""
    found = consoles(app)
    if not found:
        return
    with served(app, {version_of(block) for block in found}) as rerun:
        printed = [(block, rerun(block)) for block in found]
    # From the end, so that the blocks above keep their line numbers.
    for block, true in reversed(printed):
        if not agrees(block.text, true):
            print(f"{block}: rewritten, whole; take out the lines that don't matter")
            lines = block.page.read_text(encoding="utf-8").splitlines(keepends=True)
            lines[block.line : block.line + block.text.count("\n")] = [true]
            block.page.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for app in APPS:
        if chapter_number(app) in (sys.argv[1:] or chapter_number(app)):
            rewrite(app)

"""Rerun the console blocks of an app's pages; as a script, rewrite those that no longer agree.

``transcripts.py`` does it for every page, ``transcripts.py 03`` for those of one chapter.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from book import APPS, NOT_OURS, ONE_TECHNIQUE, chapter_number
from book_pages import pages_of
from comparing import agrees, stable
from contents import Ports
from pages import Block, blocks, exchanges
from servers import free_port, process


@contextmanager
def served(folder: Path, app: Path) -> Iterator[Callable[[Block], str]]:
    """Serve a copy of *folder*, which is *app* or what an exercise made of it.

    Yields a function that reruns a block there, with a placeholder for what varies.
    """
    # Of four digits, as the book's are, or each Content-Length would be another.
    ours = free_port(random.sample(range(2000, 5000), 50))
    article = free_port(random.sample(range(5000, 8000), 50))
    ports = Ports(int(chapter_number(app)), 8100, ours, article)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as servers:
        copy = Path(temporary, folder.name)
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*NOT_OURS))
        Path(temporary, ".curlrc").write_text("silent\n")  # no progress meter
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
        env |= {"CURL_HOME": temporary, "PORT": str(ours), "ARTICLE_PORT": str(article)}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

        listening = {"app": ours, "article": article}
        if not (copy / "article.py").exists():
            del listening["article"]
        commands = [
            (["-m", "flask", "--app", module, "run", "--port", str(port)], [port])
            for module, port in listening.items()
        ]
        if (copy / "deploy/Procfile").exists():
            commands = [(["deploy/run.py"], [*listening.values()])]
        silent = subprocess.DEVNULL
        for arguments, on in commands:
            command = [sys.executable, *arguments]
            server = process(command, copy, *on, env=env, stdout=silent, stderr=silent)
            servers.enter_context(server)

        def rerun(block: Block) -> str:
            text = ""
            for one in exchanges(block.text):
                command = ["bash", "-c", ports.live(one.command)]
                done = subprocess.run(command, cwd=copy, env=env, capture_output=True, timeout=60)
                said = ports.book((done.stdout + done.stderr).decode().replace("\r", ""))
                text += f"$ {one.command}\n{stable(said)}"
                text += "" if text.endswith("\n") else "\n"
            return text

        yield rerun


def untrue(app: Path) -> dict[Block, str]:
    """Rerun the console blocks of an app's pages; return those that aren't so, with what is.

    A reader may begin anywhere, and run one again: those of a chapter are run in both orders.
    """
    everything = [block for page in pages_of(app) for block in blocks(page)]
    found = [block for block in everything if block.language == "console"]
    wrong: dict[Block, str] = {}
    if found:
        with served(app, app) as rerun:
            for block in [*reversed(found), *found] if app in ONE_TECHNIQUE else found:
                true = rerun(block)
                if not agrees(block.text, true):
                    wrong[block] = true
    return wrong


def main(numbers: list[str]) -> None:
    for app in APPS:
        if numbers and chapter_number(app) not in numbers:
            continue
        # From the end, so that the blocks above keep their line numbers.
        for block, true in sorted(untrue(app).items(), key=lambda item: -item[0].line):
            print(f"{block}: rewritten, whole; take out the lines that don't matter")
            lines = block.page.read_text(encoding="utf-8").splitlines(keepends=True)
            lines[block.line : block.line + block.text.count("\n")] = [true]
            block.page.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Rerun the console blocks of an app's pages; as a script, rewrite those that no longer agree.

``transcripts.py`` does it for every page, ``transcripts.py 03`` for those of one chapter.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from book import APPS, NOT_OURS, ONE_TECHNIQUE, chapter_number
from book_pages import pages_of
from comparing import agrees, stable
from pages import Block, blocks, exchanges
from reading import ports_of
from servers import process


def untrue(app: Path) -> dict[Block, str]:
    """Rerun the console blocks of an app's pages; return those that aren't so, with what is.

    A reader may begin anywhere, and run one again: those of a chapter are run in both orders.
    """
    everything = [block for page in pages_of(app) for block in blocks(page)]
    found = [block for block in everything if block.language == "console"]
    if app in ONE_TECHNIQUE:
        found = [*reversed(found), *found]
    wrong: dict[Block, str] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as servers:
        copy = Path(temporary, app.name)
        shutil.copytree(app, copy, ignore=shutil.ignore_patterns(*NOT_OURS))
        Path(temporary, ".curlrc").write_text("silent\n")  # no progress meter
        ports = ports_of(app)
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
        env |= {"PORT": str(ports.ours), "ARTICLE_PORT": str(ports.article)}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env["CURL_HOME"] = temporary

        listening = {"app": ports.ours, "article": ports.article}
        if not (app / "article.py").exists():
            del listening["article"]
        commands = [
            (["-m", "flask", "--app", module, "run", "--port", str(port)], [port])
            for module, port in listening.items()
        ]
        if (app / "deploy/Procfile").exists():
            commands = [(["deploy/run.py"], [*listening.values()])]
        silent = subprocess.DEVNULL
        for arguments, on in commands if found else []:
            command = [sys.executable, *arguments]
            server = process(command, copy, *on, env=env, stdout=silent, stderr=silent)
            servers.enter_context(server)

        for block in found:
            true = ""
            for one in exchanges(block.text):
                bash = ["bash", "-c", ports.live(one.command)]
                done = subprocess.run(bash, cwd=copy, env=env, capture_output=True, timeout=60)
                said = ports.book((done.stdout + done.stderr).decode().replace("\r", ""))
                true += f"$ {one.command}\n{stable(said)}"
                true += "" if true.endswith("\n") else "\n"
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

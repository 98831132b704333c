"""Rerun the console blocks of an app's pages; as a script, rewrite their output in place."""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
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


def rerun(app: Path) -> Iterator[tuple[Block, str]]:
    """Yield each console block of a chapter or a step and the text that it should have.

    The app is copied, so that nothing the transcript stores stays behind, and served from the copy
    on a free port that takes the place of the app's own (81NN).
    """
    everything = [block for page in pages(app) for block in blocks(page)]
    consoles = [block for block in everything if block.language == "console"]
    if not consoles:
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, app.name)
        shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
        Path(temporary, ".curlrc").write_text("silent\n")  # no progress meter
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"CURL_HOME": temporary, "PATH": path}
        own = f":81{chapter_number(app)}"
        # Four digits, as in the app's own port, or each Content-Length would be another.
        port = free_port(random.sample(range(2000, 8000), 50))
        serve = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
        if (folder / "Procfile").exists():
            serve = [sys.executable, "run.py"]
            env["PORT"] = str(port)
        silent = subprocess.DEVNULL
        with process(serve, folder, port, env=env, stdout=silent, stderr=silent):
            for block in consoles:
                text = ""
                for command in re.findall(r"^\$ ((?:.*\\\n)*.*)\n", block.text, re.MULTILINE):
                    # An origin stays as it is, because it's the one that the chapter allows.
                    moved = re.sub(rf"(?<!Origin: http://127\.0\.0\.1){own}", f":{port}", command)
                    shell = ["bash", "-c", moved]
                    done = subprocess.run(
                        shell, cwd=folder, env=env, capture_output=True, timeout=60
                    )
                    said = (done.stdout + done.stderr).decode().replace("\r", "")
                    said = said.replace(f":{port}", own)
                    for pattern, stable in VARYING.items():
                        said = re.sub(pattern, stable, said, flags=re.MULTILINE)
                    text += f"$ {command}\n{said}"
                    text += "" if text.endswith("\n") else "\n"
                yield block, text


def rewrite(app: Path) -> None:
    """Put the true output into the console blocks of the app's pages."""
    # From the end, so that the blocks above keep their line numbers.
    for block, true in reversed(list(rerun(app))):
        if block.text != true:
            print(f"{block}: rewritten")
            lines = block.page.read_text(encoding="utf-8").splitlines(keepends=True)
            lines[block.line : block.line + block.text.count("\n")] = [true]
            block.page.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for app in APPS:
        rewrite(app)

"""Rerun the console blocks of a chapter's README; as a script, rewrite their output in place."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from book import CHAPTERS, NOT_OURS
from pages import Block, blocks
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


def rerun(chapter: Path) -> Iterator[tuple[Block, str]]:
    """Yield each console block of the chapter and the text that it should have.

    The chapter is copied, so that nothing the transcript stores stays behind, and served from
    the copy on a free port that takes the place of the chapter's own (81NN).
    """
    consoles = [block for block in blocks(chapter / "README.md") if block.language == "console"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, chapter.name)
        shutil.copytree(chapter, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
        Path(temporary, ".curlrc").write_text("silent\n")  # no progress meter
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"CURL_HOME": temporary, "PATH": path}
        own, port = f":81{chapter.name[:2]}", free_port()
        serve = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
        if (folder / "Procfile").exists():
            serve = [sys.executable, "run.py"]
            env["PORT"] = str(port)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with process(serve, folder, port, env=env, **quiet):
            for block in consoles:
                text = ""
                for command in re.findall(r"^\$ ((?:.*\\\n)*.*)\n", block.text, re.MULTILINE):
                    shell = ["bash", "-c", command.replace(own, f":{port}")]
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


def rewrite(chapter: Path) -> None:
    """Put the true output into the console blocks of the chapter's README."""
    page = chapter / "README.md"
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    for block, true in reversed(list(rerun(chapter))):
        if block.text != true:
            print(f"{block}: rewritten")
            lines[block.line : block.line + block.text.count("\n")] = [true]
    page.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for chapter in CHAPTERS:
        rewrite(chapter)

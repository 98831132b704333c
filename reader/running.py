"""The versions of a chapter as child processes, and requests to them."""

import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contents import Chapter
from curl import Request

# The child ends when its standard input does, which the system closes even if the reader is killed.
CHILD = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
from flask.cli import main
main()
"""
START = 30  # seconds until a version has to listen
ANSWER = 30  # seconds until it has to answer
# Werkzeug writes this line when a response's headers go out, so after whatever the app has logged.
ACCESS = re.compile(r'^\S+ - - \[[^\]]+\] "(\S+) (\S+) HTTP/[\d.]+" (\d{3}) ')
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class NotRunning(Exception):
    """A version doesn't start or doesn't answer. The message is for the reader's eyes."""


@dataclass(frozen=True)
class Answer:
    """What came back: status line and headers, the body, and what the version wrote to its log."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    log: str

    @property
    def head(self) -> str:
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        return "".join(f"{line}\n" for line in [*lines, *(f"{k}: {v}" for k, v in self.headers)])

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


def trace(text: str, folder: Path) -> str:
    """Return what of a failed start concerns the chapter: its frames, and the error itself."""
    lines = text.rstrip().splitlines()
    begin = max((i for i, line in enumerate(lines) if line.startswith("Traceback")), default=None)
    if begin is None:
        return "\n".join(lines[-5:])
    kept, own = [], False
    for line in lines[begin + 1 :]:
        if frame := re.match(r'  File "(.+?)", line \d+', line):
            own = Path(frame[1]).is_relative_to(folder)
        elif not line.startswith(" "):
            own = True
        if own:
            kept.append(line.replace(f"{folder}{os.sep}", ""))
    return "\n".join(kept)


class Version:
    """One version of a chapter: *module* (``app`` or ``article``) served on a port of its own."""

    def __init__(self, chapter: Chapter, module: str, host: str, debug: bool) -> None:
        self.folder = chapter.folder
        self.module = module
        self.host = host
        self.port = chapter.ports.ours if module == "app" else chapter.ports.article
        self.debug = debug
        self.lock = threading.RLock()
        self.child: subprocess.Popen[bytes] | None = None
        self.log: IO[bytes] | None = None
        self.seen: dict[Path, int] = {}

    def files(self) -> dict[Path, int]:
        """Return the times of the files that the version may be made from, in nanoseconds."""
        kinds = (".py", ".json", ".toml")
        paths = [path for path in self.folder.iterdir() if path.suffix in kinds]
        return {path: path.stat().st_mtime_ns for path in paths}

    def start(self) -> None:
        """Start the version if it isn't running, or anew if a file has changed since.

        NotRunning: its port is taken, or it ends at once, with the chapter's part of the traceback.
        """
        with self.lock:
            files = self.files()
            if self.child and self.child.poll() is None and files == self.seen:
                return
            self.stop()
            self.seen = files
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            try:
                socket.create_server((self.host, self.port), family=family).close()
            except (OSError, UnicodeError) as error:
                raise NotRunning(
                    f"Port {self.port} can't be used ({error}). Is something else running "
                    f"there, such as flask run in another terminal? Stop it, then run this again."
                ) from None
            self.launch()

    def launch(self) -> None:
        # In append mode, because parent and child share their place in the file.
        self.log = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        debug = ["--debug"] if self.debug else ["--no-debug"]
        command = [sys.executable, "-u", "-c", CHILD, "--app", self.module, *debug, "run"]
        command += ["--no-reload", "--host", self.host, "--port", str(self.port)]
        # Without bytecode: two edits within a second would leave the first one's in use.
        env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        self.child = subprocess.Popen(  # noqa: S603
            command,
            cwd=self.folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
        )
        end = time.monotonic() + START
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise NotRunning(trace(self.logged(0), self.folder) or "It ended without a word.")
            # It listens before its log has all that it says at the start, and answers afterwards.
            # To an empty line, which isn't logged, it answers by closing the connection.
            address = (self.address, self.port)
            with suppress(OSError), socket.create_connection(address, timeout=1) as probe:
                probe.sendall(b"\r\n")
                probe.recv(1)
                return
            time.sleep(0.05)
        self.stop()
        raise NotRunning(f"It didn't listen on port {self.port} within {START} seconds.")

    @property
    def address(self) -> str:
        """The address to reach the version at; a server may listen on all of them."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    def stop(self) -> None:
        with self.lock:
            if self.child:
                self.child.kill()
                self.child.communicate()
                self.child = None
            if self.log:
                self.log.close()
                self.log = None

    def logged(self, start: int) -> str:
        """Return what the version has written since the byte *start* of its log."""
        with self.lock:
            if not self.log:
                return ""
            self.log.seek(start)
            return COLOUR.sub("", self.log.read().decode("utf-8", errors="replace"))

    def mark(self) -> int:
        """Return the end of the log, in bytes."""
        with self.lock:
            return self.log.seek(0, os.SEEK_END) if self.log else 0

    def arrived(self, start: int) -> list[str]:
        """Return method, path and status of each request since the byte *start* of the log."""
        matches = map(ACCESS.match, self.logged(start).splitlines())
        return [f"{match[1]} {match[2]} {match[3]}" for match in matches if match]

    def send(self, request: Request) -> Answer:
        """Send *request* and return the answer, with its log.

        NotRunning: the version doesn't start, or breaks the connection, or doesn't answer in time.
        """
        with self.lock:
            self.start()
            before = self.mark()
            connection = http.client.HTTPConnection(self.address, self.port, timeout=ANSWER)
            with closing(connection):
                try:
                    response, body = exchange(connection, request)
                except (OSError, http.client.HTTPException) as error:
                    raise self.no_answer(error, before) from None
            lines = self.logged(before).splitlines()
            own = "\n".join(line for line in lines if not ACCESS.match(line))
            headers = [(name, readable(value)) for name, value in response.getheaders()]
            return Answer(response.status, response.reason, headers, body, own.strip())

    def no_answer(self, error: Exception, before: int) -> NotRunning:
        """Return what to say of a failed request, with the log since the byte *before*."""
        if self.child:
            # A process that has just died isn't known to be dead at once.
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(timeout=0.5)
        log = trace(self.logged(before), self.folder)
        return NotRunning(f"No answer ({error or type(error).__name__}).\n{log}")


def readable(value: str) -> str:
    """Return a header's value, which http.client reads as Latin-1, as UTF-8 if it's that."""
    return value.encode("latin-1").decode("utf-8", errors="replace")


def exchange(
    connection: http.client.HTTPConnection, request: Request
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    names = {name.lower() for name, _ in request.headers}
    for name, value in request.headers:
        connection.putheader(name, value.encode())
    sends = request.body or "content-type" in names
    if sends and not names & {"content-length", "transfer-encoding"}:
        connection.putheader("Content-Length", str(len(request.body)))
    # A version may refuse a body before the end of it; then its answer says why.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(request.body or None)
    response = connection.getresponse()
    try:
        return response, response.read()
    except http.client.IncompleteRead as error:
        return response, error.partial


class Runner:
    """The running versions of all chapters. *host* and *debug* are passed on to ``flask run``."""

    def __init__(
        self, chapters: list[Chapter], host: str = "127.0.0.1", debug: bool = False
    ) -> None:
        self.versions = {
            (chapter.number, name): Version(chapter, module, host, debug)
            for chapter in chapters
            if chapter.runs
            for name, module in (("article", "article"), ("ours", "app"))
        }

    def version(self, number: str, name: str) -> Version:
        return self.versions[number, name]

    def start(self, number: str) -> None:
        """Start both versions of a chapter, without waiting; the first run tells what fails."""
        for name in ("article", "ours"):
            threading.Thread(target=self._try, args=(self.version(number, name),)).start()

    def _try(self, version: Version) -> None:
        with suppress(NotRunning):
            version.start()

    def stop(self) -> None:
        for version in self.versions.values():
            version.stop()

"""Chapter 06 as its reader runs it: ``deploy/run.py`` in a copy of the chapter's folder."""

import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from book import NOT_OURS, ROOT
from servers import free_port, process

CHAPTER = ROOT / "06_login_context"
UNSET = ("REDIS_URL", "HOST", "WEB_CONCURRENCY")  # what the shell sets is not for the checks
sys.path.append(str(CHAPTER))
from deploy import redis_server  # type: ignore[import-not-found]  # noqa: E402


class Desk:
    """A start of the chapter that can be stopped and started again; its data stay in *folder*.

    *environment*: settings, as a reader gives them.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copytree(CHAPTER, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
        self.env = {k: v for k, v in os.environ.items() if k not in UNSET}
        self.env |= {"PORT": str(self.port), "PYTHONPATH": str(folder / "tests")}
        self.env |= {"VERBOSE": "1"} | environment  # the checks read what the processes log
        self.running = ExitStack()

    def start(self) -> None:
        log = self.running.enter_context((self.folder / "log").open("ab"))
        command = [sys.executable, "deploy/run.py"]
        run = process(command, self.folder, self.port, env=self.env, stdout=log, stderr=log)
        self.running.enter_context(run)

    def stop(self) -> None:
        self.running.close()

    def redis_url(self) -> str:
        """Return the address of the server that the chapter has started."""
        return str(redis_server.url(str(self.folder / "instance")))

    def log(self) -> str:
        """Return what all processes have said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        try:
            self.start()
        except ChildProcessError as error:
            self.__exit__()
            raise ChildProcessError(f"{error}\n{self.log()}") from None
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        socket = redis_server.socket_path(str(self.folder / "instance"))
        shutil.rmtree(socket.parent, ignore_errors=True)

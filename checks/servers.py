"""Start a real server, wait until it's up, and stop it."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

NGINX = """
    {user}
    pid "{folder}/pid";
    error_log "{folder}/error.log";
    events {{}}
    http {{
        types {{ text/plain txt; image/png png; }}
        access_log off;
        client_body_temp_path "{folder}/body";
        proxy_temp_path "{folder}/proxy";
        fastcgi_temp_path "{folder}/fastcgi";
        uwsgi_temp_path "{folder}/uwsgi";
        scgi_temp_path "{folder}/scgi";
        {server}
    }}
"""


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def answers(port: int) -> bool:
    """Tell whether an HTTP server answers.

    This is for Vite, which first listens for a moment to see whether its port is free. If we
    connect then, it waits until we give up.
    """
    connection = HTTPConnection("localhost", port, timeout=1)
    with suppress(OSError, HTTPException), closing(connection):
        connection.request("HEAD", "/")
        return bool(connection.getresponse())
    return False


def until(true: Callable[[], Any], what: str = "it never became true", seconds: float = 60) -> Any:
    """Wait for something to become true; return it. The bound only ends what would hang."""
    end = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return result


@contextmanager
def process(
    command: list[str],
    folder: Path,
    *ports: int,
    up: Callable[[int], bool] = listens,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block; wait first until it's *up* on all of its ports."""
    with subprocess.Popen(command, cwd=folder, **options) as server:
        try:
            for _ in range(600):
                if server.poll() is not None:
                    raise ChildProcessError(f"{command} ended with {server.returncode}")
                if all(up(port) for port in ports):
                    break
                time.sleep(0.05)
            else:
                raise ChildProcessError(f"{command} does not start on {ports}")
            yield server
        finally:
            server.terminate()
            server.wait(timeout=30)


@contextmanager
def nginx(folder: Path, port: int, server: str) -> Iterator[None]:
    """Run nginx with *server* as its server block until the end of the block.

    FileNotFoundError: it isn't installed.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(user=user, folder=folder, server=server), encoding="utf-8")
    command = ["nginx", "-p", str(folder), "-c", str(config), "-g", "daemon off;"]
    with process(command, folder, port, stderr=subprocess.DEVNULL):
        yield


def free_port(candidates: Iterable[int] = (0,)) -> int:
    """Return the first of *candidates* that is free; 0 lets the system choose."""
    for candidate in candidates:
        with suppress(OSError), socket.create_server(("127.0.0.1", candidate)) as probe:
            port: int = probe.getsockname()[1]
            return port
    raise OSError("all of these ports are in use")

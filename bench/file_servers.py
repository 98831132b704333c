"""Chapter 01: how many files per second do nginx and `flask run` serve?

wrk keeps eight connections busy; it and the server share the machine. `flask run` is made for
development: it closes the connection after each response. Its log goes to /dev/null here instead
of a terminal.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import DEVNULL
from urllib.request import urlopen

from scripts import FULL, ROOT, Table
from servers import free_port, nginx, process  # type: ignore[import-not-found]

SECONDS = 10 if FULL else 2
PICTURE = f"{'0' * 64}.png"  # as uploads.save makes names; nothing else is served
FILE = b"\x89PNG" + bytes(1020)
FLASK = "-m flask --app app --no-debug run --no-debugger --no-reload --port"


def load(port: int) -> dict[str, float]:
    url = f"http://127.0.0.1:{port}/uploads/{PICTURE}"
    for _ in range(50):  # the first ones are slower
        with urlopen(url, timeout=30) as response:
            assert response.read() == FILE
    command = ["wrk", "-t1", "-c8", f"-d{SECONDS}s", url]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "errors" not in said and "Non-2xx" not in said, said
    [rate] = re.findall(r"^Requests/sec: +([\d.]+)$", said, re.MULTILINE)
    return {"requests per second": float(rate)}


def measure() -> Table:
    folder = Path(tempfile.mkdtemp())
    (folder / "uploads").mkdir()
    (folder / "uploads" / PICTURE).write_bytes(FILE)
    env = os.environ | {"FLASK_UPLOAD_FOLDER": str(folder / "uploads")}
    table, port = {}, free_port()
    flask = [sys.executable, *FLASK.split(), str(port)]
    with process(flask, ROOT / "01_static_files", port, env=env, stdout=DEVNULL, stderr=DEVNULL):
        table["chapter 01, flask run"] = load(port)
    location = f'location /uploads/ {{ alias "{folder}/uploads/"; }}'
    with nginx(folder, port, f"server {{ listen 127.0.0.1:{port}; {location} }}"):
        table["nginx"] = load(port)
    return table

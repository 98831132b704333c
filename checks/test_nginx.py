"""The nginx configuration in chapter 01's README, in a real nginx before the real app."""

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path

from book import CHAPTERS
from conftest import Serve, missing
from pages import blocks
from servers import free_port, process

FRAME = """
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
        server {{ listen 127.0.0.1:{port}; {block} }}
    }}
"""


def ask(url: str, method: str = "GET") -> tuple[int, HTTPResponse | urllib.error.HTTPError]:
    try:
        answer: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, method=method))
    except urllib.error.HTTPError as error:
        return error.code, error
    return answer.status, answer


def test_nginx_serves_the_folder_as_the_chapter_does(serve: Serve, tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or missing("nginx")
    flask, port = serve("01"), free_port()
    [block] = [b.text for b in blocks(CHAPTERS[0] / "README.md") if b.language == "nginx"]
    block = block.replace("/srv/desk/01_static_files/instance/uploads/", f'"{tmp_path}/uploads/"')
    block = block.replace("127.0.0.1:8101", f"127.0.0.1:{flask}")
    user = "user root;" if os.geteuid() == 0 else ""
    config = tmp_path / "nginx.conf"
    config.write_text(
        FRAME.format(user=user, folder=tmp_path, port=port, block=block), encoding="utf-8"
    )
    folder = tmp_path / "uploads"
    for name in ("a.txt", "b.bin", ".half"):
        (folder / name).write_text("stored by Flask", encoding="utf-8")
    command = [nginx, "-p", str(tmp_path), "-c", str(config), "-g", "daemon off;"]
    with process(command, tmp_path, port, stderr=subprocess.DEVNULL):
        for name, kind in {"a.txt": "text/plain", "b.bin": "application/octet-stream"}.items():
            status, answer = ask(f"http://127.0.0.1:{port}/uploads/{name}")
            assert (status, answer.read()) == (200, b"stored by Flask")
            assert answer.headers["Content-Type"] == kind
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Content-Security-Policy"] == "script-src 'none'"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ask(f"http://127.0.0.1:{port}/uploads/a.txt", "DELETE")[0] == 403
        assert ask(f"http://127.0.0.1:{port}/uploads/.half")[0] == 404
        assert ask(f"http://127.0.0.1:{port}/uploads/missing.txt")[0] == 404
        assert b"01 Static files" in ask(f"http://127.0.0.1:{port}/")[1].read()

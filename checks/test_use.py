"""What "Use it in your app" says works: in an empty folder, with the files that it names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book import CHAPTERS, ROOT
from pages import blocks, section

PROBES = {
    "01": """
        from io import BytesIO
        url = client.post("/uploads", data={"file": (BytesIO(b"copied"), "a.html")}).location
        assert url.endswith(".bin") and client.get(url).data == b"copied", url
    """,
    "02": """
        def allowed(origin):
            answer = client.get("/hello", headers={"Origin": origin})
            return answer.headers.get("Access-Control-Allow-Origin")
        assert allowed("https://desk.example") == "https://desk.example"
        assert allowed("https://evil.example") is None
    """,
    "03": """
        assert client.get("/api/orders/7").json == {"r": 0, "number": 7}
        assert client.get("/api/orders/101").json == {"r": 1003, "msg": "not_found"}
        assert client.get("/api/nope").json == {"r": 1003, "msg": "not_found"}
    """,
    "04": """
        said = {"error_code": 0, "msg": "success", "request": "POST /orders/7", "number": 7}
        assert client.post("/orders/7").json == said
        answer = client.post("/orders/101")
        assert (answer.status_code, answer.json["error_code"]) == (409, 2001)
        assert answer.headers["Retry-After"] == "86400"
    """,
    "05": """
        assert client.get("/api/orders/5").json == {"number": 5, "share": 20}
        assert client.get("/api/orders/0").json["error_code"] == 999
        assert client.get("/api/nope").json["error_code"] == 1003
        assert client.get("/nope").mimetype == "text/html"
    """,
    "06": """
        lin = app.test_client()
        assert client.get("/me").status_code == 401
        assert client.post("/login/7f3a").text == "Ada Lovelace"
        assert lin.post("/login/c41d").text == "林徽因"
        assert client.get("/me").text == "Ada Lovelace"
    """,
}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_the_technique_works_in_another_app(chapter: Path, tmp_path: Path) -> None:
    page, title = chapter / "README.md", "Use it in your app"
    text = "\n".join(line for _, line in section(page, title))
    named = re.findall(r"\]\((\w+\.py)\)", text)
    [block] = [b for b in blocks(page) if b.section == title and b.language == "python"]
    assert named, f"{page.relative_to(ROOT)}: {title!r} names no file to copy"
    for name in named:
        shutil.copy(chapter / name, tmp_path)
    (tmp_path / "app.py").write_text(block.text, encoding="utf-8")
    probe = PROBES[chapter.name[:2]].replace("\n        ", "\n")
    script = f"from app import app\nclient = app.test_client()\n{probe}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{block}: copied with {named}, it fails:\n{done.stderr}"

"""The nginx configurations on the pages of 01 and 06, in a real nginx before the real apps."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, expect
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from book import CHAPTERS, NOT_OURS
from book_pages import pages_of
from conftest import Serve, missing
from desk import Desk
from pages import blocks
from servers import free_port, nginx, process

pytestmark = pytest.mark.drill

EVENTS = """async () => {
    const opened = [];
    for (let n = 0; n < 7; n++) {
        const source = new EventSource("/stream");
        opened.push(new Promise((resolve) => (source.onopen = resolve)));
    }
    await Promise.all(opened);
    const answer = await fetch("/j/me");
    await answer.text();
    let entry;
    while (!(entry = performance.getEntriesByName(answer.url)[0])) {  // it comes a little later
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return [answer.status, entry.nextHopProtocol];
}"""


def ask(url: str, method: str = "GET") -> tuple[int, HTTPResponse | urllib.error.HTTPError]:
    try:
        answer: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, method=method))
    except urllib.error.HTTPError as error:
        return error.code, error
    return answer.status, answer


@pytest.fixture(autouse=True)
def need_nginx() -> None:
    if not shutil.which("nginx"):
        missing("nginx")


def block(chapter: Path) -> str:
    everything = [block for page in pages_of(chapter) for block in blocks(page)]
    [text] = [block.text for block in everything if block.language == "nginx"]
    return text


def upload(port: int, name: str, content: bytes) -> str:
    """Upload a file; return its URL on the same port."""
    boundary, body = encode_multipart({"file": FileStorage(BytesIO(content), name)})
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    url = f"http://127.0.0.1:{port}/uploads"
    answer = urllib.request.urlopen(urllib.request.Request(url, body, headers))
    assert answer.status == 201
    return f"http://127.0.0.1:{port}{json.load(answer)['url']}"


def test_nginx_serves_the_folder_as_the_chapter_does(serve: Serve, tmp_path: Path) -> None:
    # Behind nginx, Flask only builds the URLs, by the line that the page has for it.
    page = (CHAPTERS[0] / "README.md").read_text(encoding="utf-8")
    [wiring] = re.findall(r"`(uploads\.init_app\(app, [^`]+build_only=True\))`", page)
    chapter = tmp_path / "01"
    shutil.copytree(CHAPTERS[0], chapter, ignore=shutil.ignore_patterns(*NOT_OURS))
    source = (chapter / "app.py").read_text(encoding="utf-8")
    assert source.count("uploads.init_app(app)") == 1
    wired = source.replace("uploads.init_app(app)", wiring)
    (chapter / "app.py").write_text(wired, encoding="utf-8")

    alone, behind, port = serve("01"), free_port(), free_port()
    text = block(CHAPTERS[0])
    for here, there in {
        "/srv/desk/01_static_files/instance": f'"{chapter}/instance"',
        "127.0.0.1:8101": f"127.0.0.1:{behind}",
    }.items():
        assert here in text
        text = text.replace(here, there)
    command = [sys.executable, "-m", "flask", "run", "--port", str(behind)]
    with (
        process(command, chapter, behind),
        nginx(tmp_path, port, f"server {{ listen 127.0.0.1:{port}; {text} }}"),
    ):
        for name in ("报告.txt", "a.png", "page.html"):
            content = "报告".encode() * 500_000  # over a megabyte, nginx's own limit
            answers = [ask(upload(its_port, name, content)) for its_port in (port, alone)]
            assert [status for status, _ in answers] == [200, 200]
            ours, flasks = (answer for _, answer in answers)
            assert ours.headers["Server"].startswith("nginx")
            assert ours.read() == flasks.read() == content
            for header in (
                "Content-Type",
                "Cache-Control",
                "Content-Security-Policy",
                "X-Content-Type-Options",
            ):
                assert ours.headers[header] == flasks.headers[header]

        url = upload(port, "a.txt", b"hello")
        part = urllib.request.Request(url, headers={"Range": "bytes=1-2"})
        assert urllib.request.urlopen(part).read() == b"el"
        assert ask(url, "DELETE")[0] == 405
        assert ask(f"http://127.0.0.1:{port}/uploads/{'0' * 64}.txt")[0] == 404
        for name in ("salary.txt", f".upload-{'0' * 36}.part", f"{'0' * 64}.html"):
            (chapter / "instance/uploads" / name).write_text("private", encoding="utf-8")
            assert ask(f"http://127.0.0.1:{port}/uploads/{name}")[0] == 404
        assert b"Ada Lovelace" in ask(f"http://127.0.0.1:{port}/contacts")[1].read()


def test_nginx_with_tls_and_http_2_in_front_of_the_combined_app(
    browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    url = f"https://localhost:{port}"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)
    with Desk(tmp_path / "06", FLASK_PROXIES="1", FLASK_PUBLIC_URL=url) as desk:
        text = block(CHAPTERS[5])
        for here, there in {
            "listen 443": f"listen 127.0.0.1:{port}",
            "server_name desk.example.org;": "",
            "/etc/ssl/desk/fullchain.pem": f'"{tmp_path}/cert.pem"',
            "/etc/ssl/desk/privkey.pem": f'"{tmp_path}/key.pem"',
            "/srv/desk/06_login_context/instance": f'"{desk.folder}/instance"',
            "127.0.0.1:8106": f"127.0.0.1:{desk.port}",
        }.items():
            assert here in text
            text = text.replace(here, there)
        with (
            nginx(tmp_path, port, text),
            browser.new_context(ignore_https_errors=True, base_url=url) as context,
        ):
            page = context.new_page()
            page.goto("/")
            expect(page.locator("#login")).to_have_attribute("data-state", "pending")
            link = str(page.locator("#scan").get_attribute("href"))
            assert link.startswith(f"{url}/scan/")
            phone = context.new_page()
            phone.goto(link)
            expect(phone.locator("dl")).to_contain_text("127.0.0.1")  # X-Forwarded-For
            phone.locator("[value=ada]").check()
            phone.locator("[value=confirm]").click()  # Origin is https
            expect(page.get_by_role("heading", name="Hello, Ada Lovelace")).to_be_visible()
            expect(page.locator("#list li").first).to_be_visible(timeout=15_000)
            [cookie] = context.cookies()
            assert cookie["name"] == "__Host-desk" and cookie["secure"] and cookie["httpOnly"]
            assert page.evaluate(EVENTS) == [200, "h2"]
            content = "报告".encode()
            attached = FilePayload(name="a.txt", mimeType="text/plain", buffer=content)
            sent = context.request.post("/uploads", multipart={"file": attached})
            file = context.request.get(sent.json()["url"])
            assert (file.body(), file.headers["server"][:5]) == (content, "nginx")
            assert file.headers["content-type"] == "text/plain; charset=utf-8"
            assert file.headers["x-content-type-options"] == "nosniff"
            flasks = urllib.request.urlopen(f"{desk.url}{sent.json()['url']}").headers
            for name in ("Cache-Control", "Content-Security-Policy"):
                assert file.headers[name.lower()] == flasks[name]

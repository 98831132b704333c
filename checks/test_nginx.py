"""The nginx configurations on the pages of 01 and 06, in a real nginx before the real apps."""

import shutil
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from book import CHAPTERS
from conftest import Serve, missing
from desk import Desk
from pages import blocks, pages
from servers import free_port, nginx

pytestmark = pytest.mark.drill

EVENTS = """async () => {
    const opened = [];
    for (let n = 0; n < 7; n++) {
        const source = new EventSource("/stream");
        opened.push(new Promise((resolve) => (source.onopen = resolve)));
    }
    await Promise.all(opened);
    const answer = await fetch("/j/me");
    const [entry] = performance.getEntriesByName(answer.url);
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
    everything = [block for page in pages(chapter) for block in blocks(page)]
    [text] = [block.text for block in everything if block.language == "nginx"]
    return text


def test_nginx_serves_the_folder_as_the_chapter_does(serve: Serve, tmp_path: Path) -> None:
    flask, port = serve("01"), free_port()
    text = block(CHAPTERS[0])
    text = text.replace("/srv/desk/01_static_files/instance/uploads/", f'"{tmp_path}/uploads/"')
    text = text.replace("127.0.0.1:8101", f"127.0.0.1:{flask}")
    folder = tmp_path / "uploads"
    for name in ("a.txt", "b.bin", ".half"):
        (folder / name).write_text("stored by Flask", encoding="utf-8")
    with nginx(tmp_path, port, f"server {{ listen 127.0.0.1:{port}; {text} }}"):
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
            "/srv/desk/06_login_context/instance/uploads/": f'"{desk.folder}/instance/uploads/"',
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
            attached = FilePayload(name="a.txt", mimeType="text/plain", buffer=b"from disk")
            sent = context.request.post("/uploads", multipart={"file": attached})
            file = context.request.get(sent.json()["url"])
            assert (file.text(), file.headers["server"][:5]) == ("from disk", "nginx")
            assert file.headers["x-content-type-options"] == "nosniff"

"""The configurations of nginx and Apache on the pages, in real servers before the real apps."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Browser, FilePayload, Page, expect

from book import CHAPTERS, COMBINED, NOT_OURS
from book_pages import pages_of
from conftest import Serve, missing
from desk import Desk
from pages import blocks
from servers import free_port, nginx, process
from test_desk import another_tab, click, greeted, link

pytestmark = pytest.mark.drill

APACHE = """
    {user}
    ServerName localhost
    PidFile "{folder}/pid"
    ErrorLog "{folder}/error.log"
    DefaultRuntimeDir "{folder}"
    Mutex posixsem
    Listen 127.0.0.1:{port}
    {modules}
    {server}
"""
MODULES = Path("/usr/lib/apache2/modules")  # of Debian and Ubuntu
LOADED = ("mpm_event", "authz_core", "http2", "ssl", "headers", "proxy", "proxy_http")
STREAMS = """async () => {
    const opened = Array.from({ length: 7 }, () => new Promise((resolve) => {
        new EventSource("/stream").onopen = resolve;
    }));
    await Promise.all(opened);
    const [visit] = performance.getEntriesByType("navigation");
    return [(await fetch("/j/me")).status, visit.nextHopProtocol];
}"""


@pytest.fixture(autouse=True)
def need_nginx() -> None:
    if not shutil.which("nginx"):
        missing("nginx")


def block(chapter: Path, language: str, changes: dict[str, str]) -> str:
    """Return the block of *language* on the pages of a chapter, with what fits this machine."""
    everything = [block for page in pages_of(chapter) for block in blocks(page)]
    [text] = [block.text for block in everything if block.language == language]
    for theirs, ours in changes.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


def upload(page: Page, url: str, name: str, content: bytes) -> APIResponse:
    """Upload a file to *url*, and return the response to a request for it."""
    file = FilePayload(name=name, mimeType="application/octet-stream", buffer=content)
    sent = page.request.post(f"{url}/uploads", multipart={"file": file})
    assert sent.status == 201
    return page.request.get(f"{url}{sent.json()['url']}")


def assert_same_headers(nginxs: APIResponse, flasks: APIResponse) -> None:
    assert nginxs.headers["server"].startswith("nginx")
    names = "Content-Type", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options"
    for name in names:
        assert nginxs.headers[name.lower()] == flasks.headers[name.lower()]


def test_nginx_serves_the_folder_as_the_chapter_does(
    serve: Serve, page: Page, tmp_path: Path
) -> None:
    # Behind nginx, Flask only builds the URLs, by the line that the page has for it.
    text = (CHAPTERS[0] / "README.md").read_text(encoding="utf-8")
    [wiring] = re.findall(r"`(uploads\.init_app\(app, [^`]+build_only=True\))`", text)
    chapter = tmp_path / "01"
    shutil.copytree(CHAPTERS[0], chapter, ignore=shutil.ignore_patterns(*NOT_OURS))
    source = (chapter / "app.py").read_text(encoding="utf-8")
    assert source.count("uploads.init_app(app)") == 1
    wired = source.replace("uploads.init_app(app)", wiring)
    (chapter / "app.py").write_text(wired, encoding="utf-8")

    behind, port = free_port(), free_port()
    changes = {
        "/srv/desk/01_static_files/instance": f'"{chapter}/instance"',
        "127.0.0.1:8101": f"127.0.0.1:{behind}",
    }
    locations = block(CHAPTERS[0], "nginx", changes)
    command = [sys.executable, "-m", "flask", "run", "--port", str(behind)]
    alone, url = f"http://127.0.0.1:{serve('01')}", f"http://127.0.0.1:{port}"
    with (
        process(command, chapter, behind),
        nginx(tmp_path, port, f"server {{ listen 127.0.0.1:{port}; {locations} }}"),
    ):
        for name in ("报告.txt", "a.png", "page.html"):
            content = "报告".encode() * 500_000  # over a megabyte, nginx's own limit
            nginxs, flasks = upload(page, url, name, content), upload(page, alone, name, content)
            assert nginxs.body() == flasks.body() == content
            assert_same_headers(nginxs, flasks)

        file = upload(page, url, "a.txt", b"hello").url
        assert page.request.get(file, headers={"Range": "bytes=1-2"}).body() == b"el"
        assert page.request.delete(file).status == 405
        assert page.request.get(f"{url}/uploads/{'0' * 64}.txt").status == 404
        for name in ("salary.txt", f".upload-{'0' * 36}.part", f"{'0' * 64}.html"):
            (chapter / "instance/uploads" / name).write_text("private", encoding="utf-8")
            assert page.request.get(f"{url}/uploads/{name}").status == 404
        assert "Ada Lovelace" in page.request.get(f"{url}/contacts").text()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The combined app, started for a proxy at its PUBLIC_URL, for which there's a certificate."""
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)
    url = f"https://localhost:{free_port()}"
    with Desk(tmp_path / "06", FLASK_PROXIES="1", FLASK_PUBLIC_URL=url) as desk:
        yield desk


def check(browser: Browser, url: str) -> Page:
    """Use the combined app behind a proxy that mustn't pass on what a client says; return its page.

    The writes are those of an old browser: they have an Origin, and no Sec-Fetch-Site.
    """
    names = {"For": "192.0.2.1", "Proto": "http", "Host": "evil.example", "Prefix": "/evil"}
    forged = {f"X-Forwarded-{name}": value for name, value in names.items()}
    page = browser.new_context(
        base_url=url, ignore_https_errors=True, extra_http_headers=forged
    ).new_page()
    for origin, status in (url, 201), ("https://evil.example", 403):
        answer = page.request.post("/j/login/qr", headers={"Origin": origin})
        assert answer.status == status

    page.goto("/")
    assert link(page).startswith(f"{url}/scan/")
    phone = another_tab(page, link(page))
    expect(phone.locator("dl")).to_contain_text("127.0.0.1")  # X-Forwarded-For
    phone.locator("[value=ada]").check()
    click(phone, "Log in")
    greeted(page, "ada")
    [cookie] = page.context.cookies()
    assert cookie["name"] == "__Host-desk" and cookie["secure"] and cookie["httpOnly"]
    assert page.evaluate(STREAMS) == [200, "h2"]
    return page


def test_nginx_with_tls_and_http_2_in_front_of_the_combined_app(
    browser: Browser, desk: Desk, tmp_path: Path
) -> None:
    url = desk.env["FLASK_PUBLIC_URL"]
    port = url.rpartition(":")[2]
    changes = {
        "listen 443": f"listen 127.0.0.1:{port}",
        "server_name desk.example.org;": "",
        "/etc/ssl/desk/fullchain.pem": f'"{tmp_path}/cert.pem"',
        "/etc/ssl/desk/privkey.pem": f'"{tmp_path}/key.pem"',
        "/srv/desk/06_login_context/instance": f'"{desk.folder}/instance"',
        "127.0.0.1:8106": f"127.0.0.1:{desk.port}",
    }
    with nginx(tmp_path, int(port), block(COMBINED, "nginx", changes)):
        page = check(browser, url)
        file = upload(page, url, "a.txt", "报告".encode())
        assert file.body() == "报告".encode()
        assert file.headers["content-type"] == "text/plain; charset=utf-8"
        assert_same_headers(file, page.request.get(file.url.replace(url, desk.url)))
        page.context.close()

    # The host that nginx asks for by default, and nothing that says which one was meant.
    changes |= {
        "proxy_set_header Host $http_host;": "proxy_set_header Host $proxy_host;",
        "X-Forwarded-Host $http_host": 'X-Forwarded-Host ""',
    }
    with nginx(tmp_path, int(port), block(COMBINED, "nginx", changes)):
        check(browser, url).context.close()


def test_apache_with_tls_and_http_2_in_front_of_the_combined_app(
    browser: Browser, desk: Desk, tmp_path: Path
) -> None:
    if not shutil.which("apache2") or not MODULES.exists():
        pytest.skip("there is no apache2")
    url = desk.env["FLASK_PUBLIC_URL"]
    port = url.rpartition(":")[2]
    changes = {
        "*:443": f"127.0.0.1:{port}",
        "desk.example.org": "localhost",
        "/etc/ssl/desk/fullchain.pem": f'"{tmp_path}/cert.pem"',
        "/etc/ssl/desk/privkey.pem": f'"{tmp_path}/key.pem"',
        "127.0.0.1:8106": f"127.0.0.1:{desk.port}",
    }
    server = block(COMBINED, "apache", changes)
    user = "User www-data\n    Group www-data" if os.geteuid() == 0 else ""
    modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED)
    text = APACHE.format(user=user, folder=tmp_path, modules=modules, port=port, server=server)
    (tmp_path / "apache.conf").write_text(text, "utf-8")
    command = ["apache2", "-d", str(tmp_path), "-f", str(tmp_path / "apache.conf"), "-DFOREGROUND"]
    with process(command, tmp_path, int(port)):
        check(browser, url).context.close()

"""The configurations of nginx and Apache on the pages, in real servers before the real apps."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect
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


APACHE = """
    {user}
    ServerName localhost
    PidFile "{folder}/pid"
    ErrorLog "{folder}/error.log"
    DefaultRuntimeDir "{folder}"
    Mutex posixsem
    LoadModule mpm_event_module {modules}/mod_mpm_event.so
    LoadModule authz_core_module {modules}/mod_authz_core.so
    LoadModule http2_module {modules}/mod_http2.so
    LoadModule ssl_module {modules}/mod_ssl.so
    LoadModule headers_module {modules}/mod_headers.so
    LoadModule proxy_module {modules}/mod_proxy.so
    LoadModule proxy_http_module {modules}/mod_proxy_http.so
    Listen 127.0.0.1:{port}
    {server}
"""
MODULES = Path("/usr/lib/apache2/modules")  # of Debian and Ubuntu


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


def block(chapter: Path, language: str = "nginx") -> str:
    everything = [block for page in pages_of(chapter) for block in blocks(page)]
    [text] = [block.text for block in everything if block.language == language]
    return text


def replaced(text: str, changes: dict[str, str]) -> str:
    """Return *text* with the keys of *changes* replaced; each of them has to be there."""
    for here, there in changes.items():
        assert here in text
        text = text.replace(here, there)
    return text


def certificate(folder: Path) -> None:
    """Make key.pem and cert.pem for localhost."""
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)


@contextmanager
def apache(folder: Path, port: int, server: str) -> Iterator[None]:
    """Run Apache with *server* as its virtual host until the end of the block."""
    user = "User www-data\n    Group www-data" if os.geteuid() == 0 else ""
    text = APACHE.format(user=user, folder=folder, modules=MODULES, port=port, server=server)
    (folder / "apache.conf").write_text(text, "utf-8")
    command = ["apache2", "-d", str(folder), "-f", str(folder / "apache.conf"), "-DFOREGROUND"]
    with process(command, folder, port):
        yield


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
    changes = {
        "/srv/desk/01_static_files/instance": f'"{chapter}/instance"',
        "127.0.0.1:8101": f"127.0.0.1:{behind}",
    }
    text = replaced(block(CHAPTERS[0]), changes)
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


def visit(browser: Browser, url: str) -> Page:
    """Log in through a proxy; return the page of the desk."""
    page = browser.new_context(ignore_https_errors=True, base_url=url).new_page()
    page.goto("/")
    expect(page.locator("#login")).to_have_attribute("data-state", "pending")
    link = str(page.locator("#scan").get_attribute("href"))
    assert link.startswith(f"{url}/scan/")
    phone = page.context.new_page()
    phone.goto(link)
    expect(phone.locator("dl")).to_contain_text("127.0.0.1")  # X-Forwarded-For
    phone.locator("[value=ada]").check()
    phone.locator("[value=confirm]").click()
    expect(page.get_by_role("heading", name="Hello, Ada Lovelace")).to_be_visible()
    expect(page.locator("#list li").first).to_be_visible(timeout=15_000)
    [cookie] = page.context.cookies()
    assert cookie["name"] == "__Host-desk" and cookie["secure"] and cookie["httpOnly"]
    assert page.evaluate(EVENTS) == [200, "h2"]
    return page


def write(url: str, **headers: str) -> int:
    """Ask for a code, as an old browser does over https: with an Origin and no Sec-Fetch-Site."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{url}/j/login/qr", b"", names)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        return int(urllib.request.urlopen(request, context=trusting).status)
    except urllib.error.HTTPError as error:
        return error.code


def check_writes(url: str) -> None:
    """Only pages of *url* may write, whatever a client says was forwarded."""
    assert write(url, Origin=url) == write(url) == 201
    assert write(url, Origin="https://evil.example") == 403
    forged = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Prefix": "/evil"}
    assert write(url, Origin="https://evil.example", **forged) == 403
    assert write(url, Origin=url, **forged) == 201


def test_nginx_with_tls_and_http_2_in_front_of_the_combined_app(
    browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    url = f"https://localhost:{port}"
    certificate(tmp_path)
    with Desk(tmp_path / "06", FLASK_PROXIES="1", FLASK_PUBLIC_URL=url) as desk:
        changes = {
            "listen 443": f"listen 127.0.0.1:{port}",
            "server_name desk.example.org;": "",
            "/etc/ssl/desk/fullchain.pem": f'"{tmp_path}/cert.pem"',
            "/etc/ssl/desk/privkey.pem": f'"{tmp_path}/key.pem"',
            "/srv/desk/06_login_context/instance": f'"{desk.folder}/instance"',
            "127.0.0.1:8106": f"127.0.0.1:{desk.port}",
        }
        with nginx(tmp_path, port, replaced(block(CHAPTERS[5]), changes)):
            check_writes(url)
            page = visit(browser, url)
            content = "报告".encode()
            attached = FilePayload(name="a.txt", mimeType="text/plain", buffer=content)
            sent = page.request.post("/uploads", multipart={"file": attached})
            file = page.request.get(sent.json()["url"])
            assert (file.body(), file.headers["server"][:5]) == (content, "nginx")
            assert file.headers["content-type"] == "text/plain; charset=utf-8"
            assert file.headers["x-content-type-options"] == "nosniff"
            flasks = urllib.request.urlopen(f"{desk.url}{sent.json()['url']}").headers
            for name in ("Cache-Control", "Content-Security-Policy"):
                assert file.headers[name.lower()] == flasks[name]
            page.context.close()

        # The host that nginx asks for by default, and nothing that says which one was meant.
        changes |= {
            "proxy_set_header Host $http_host;": "proxy_set_header Host $proxy_host;",
            "X-Forwarded-Host $http_host": 'X-Forwarded-Host ""',
        }
        with nginx(tmp_path, port, replaced(block(CHAPTERS[5]), changes)):
            check_writes(url)


def test_apache_with_tls_and_http_2_in_front_of_the_combined_app(
    browser: Browser, tmp_path: Path
) -> None:
    if not shutil.which("apache2") or not MODULES.exists():
        pytest.skip("there is no apache2")
    port = free_port()
    url = f"https://localhost:{port}"
    certificate(tmp_path)
    with Desk(tmp_path / "06", FLASK_PROXIES="1", FLASK_PUBLIC_URL=url) as desk:
        changes = {
            "*:443": f"127.0.0.1:{port}",
            "desk.example.org": "localhost",
            "/etc/ssl/desk/fullchain.pem": f'"{tmp_path}/cert.pem"',
            "/etc/ssl/desk/privkey.pem": f'"{tmp_path}/key.pem"',
            "127.0.0.1:8106": f"127.0.0.1:{desk.port}",
        }
        with apache(tmp_path, port, replaced(block(CHAPTERS[5], "apache"), changes)):
            check_writes(url)
            page = visit(browser, url)
            page.context.close()

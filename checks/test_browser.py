"""What only a real browser can show."""

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from wsgiref.types import WSGIApplication

import pytest
from playwright.sync_api import Error, Page, expect
from werkzeug.exceptions import NotFound
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from book import ROOT
from conftest import Serve
from experiments import ARTICLE, OURS, answer, click, find
from servers import free_port, process

pytestmark = pytest.mark.drill

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
BLOCKED = "blocked by CORS policy"  # as opposed to a server that isn't there
SCRIPT = "document.title = 'owned'"
PAGES = {
    "a.html": f"<!doctype html><title>harmless</title><script>{SCRIPT}</script>",
    "a.svg": f"""<svg xmlns="http://www.w3.org/2000/svg">
        <title>harmless</title><script>{SCRIPT}</script></svg>""",
    "a.xml": f"""<html xmlns="http://www.w3.org/1999/xhtml">
        <head><title>harmless</title></head><body><script>{SCRIPT}</script></body></html>""",
}


def fetch(page: Page, url: str, **init: object) -> dict[str, object]:
    """Have the page fetch *url*; return status and body, or what the browser says of the error."""
    script = """async ([url, init]) => {
        try {
            const answer = await fetch(url, init);
            return {status: answer.status, body: await answer.text()};
        } catch (error) {
            return {error: String(error)};
        }
    }"""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("requestfailed", lambda request: said.append(str(request.failure)))
    result: dict[str, object] = page.evaluate(script, [url, init])
    if "error" in result:
        result["error"] = " ".join([str(result["error"]), *said])
        print(url, result)  # shown if the test fails
    return result


def upload(page: Page, name: str, content: bytes) -> str:
    """Choose a file on chapter 01's page; return the URL of what this chapter stored."""
    page.set_input_files("input[type=file]", {"name": name, "mimeType": "", "buffer": content})
    link = answer(page.locator(".experiment").last, OURS).get_by_role("link")
    return str(link.get_attribute("href"))


@contextmanager
def served(app: WSGIApplication) -> Iterator[int]:
    """Serve *app* from a thread until the end of the block; yields its port."""
    server = make_server("127.0.0.1", 0, app)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# Chapter 01


def test_buttons_of_chapter_01(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('01')}/")
    created = "201 Created"
    click(page, "Fetch hello.txt", article=["404 Not Found"], ours=["404 Not Found"])
    click(page, "Upload page.html", article=[created, "page.html"], ours=[created, ".bin"])
    for title in ("Upload 报告.pdf", "Upload 总结.pdf"):
        click(page, title, article=[created, '"/uploads/pdf"'], ours=[created, ".pdf"])
    click(page, "Fetch 报告.pdf", article=["February"], ours=["January"])
    click(page, "Upload 照片", article=["500 Internal Server Error"], ours=[created, ".bin"])
    for _ in range(2):
        click(page, "Upload hello.txt", article=[created, "hello.txt"], ours=[created, "be03.txt"])
    click(
        page,
        "Fetch hello.txt",
        article=["200 OK", "cache-control: max-age=43200, public", "hello"],
        ours=["200 OK", "immutable", "nosniff", "hello"],
        summary="Same status and body in both versions; headers differ.",
    )
    click(page, "Delete hello.txt", article=["200 OK", "hello"], ours=["404 Not Found"])
    click(
        page,
        "Upload nothing",
        article=["400 Bad Request", "could not understand"],
        ours=["400 Bad Request", "multipart field"],
    )


def test_the_uploaded_page_of_the_article_runs_and_ours_is_a_download(
    serve: Serve, page: Page
) -> None:
    page.goto(f"http://127.0.0.1:{serve('01')}/")
    click(page, "Upload page.html", article=["Open /uploads/page.html"], ours=["….bin"])
    experiment = find(page, "Upload page.html")
    with page.context.expect_page() as opened:
        answer(experiment, ARTICLE).get_by_role("link").click()
    expect(opened.value).to_have_title("owned")
    expect(opened.value.locator("body")).to_have_text(
        f"This script ran as part of {page.url.rstrip('/')}"
    )
    url = str(answer(experiment, OURS).get_by_role("link").get_attribute("href"))
    with page.expect_download(), pytest.raises(Error, match="Download is starting"):
        page.goto(url)


def test_an_uploaded_image_shows(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('01')}/")
    page.goto(upload(page, "photo.PNG", PIXEL))
    assert page.evaluate("document.images[0].naturalWidth") == 1


@pytest.mark.parametrize("name", PAGES)
def test_an_uploaded_page_is_a_download(serve: Serve, page: Page, name: str) -> None:
    page.goto(f"http://127.0.0.1:{serve('01')}/")
    url = upload(page, name, PAGES[name].encode())
    with page.expect_download(), pytest.raises(Error, match="Download is starting"):
        page.goto(url)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_was_in_the_folder_before_runs_nothing(
    serve: Serve, page: Page, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(PAGES[name], encoding="utf-8")
    plain = SharedDataMiddleware(NotFound(), {"/uploads": str(tmp_path)})  # as in the article
    with served(plain) as port:
        page.goto(f"http://127.0.0.1:{port}/uploads/{name}")
        assert page.title() == "owned"
    page.goto(f"http://127.0.0.1:{serve('01', UPLOAD_FOLDER=str(tmp_path))}/uploads/{name}")
    assert page.title() == "harmless"


@pytest.mark.parametrize("name", ["script.png", "script.txt", "script.js"])
def test_an_uploaded_script_does_not_run_in_a_page_of_this_site(
    serve: Serve, page: Page, name: str
) -> None:
    page.goto(f"http://127.0.0.1:{serve('01')}/")
    url = upload(page, name, SCRIPT.encode())
    outcome = page.evaluate(
        """url => new Promise(resolve => {
            const script = document.createElement("script");
            script.onload = () => resolve("loaded");
            script.onerror = () => resolve("refused");
            script.src = url;
            document.head.append(script);
        })""",
        url,
    )
    assert (outcome, page.title()) == ("refused", "01 Static files")


# Chapter 02


def blocked(port: int) -> str:
    origin = f"http://127.0.0.1:{port}"
    return f"Blocked by the browser: no Access-Control-Allow-Origin for {origin}"


def test_buttons_of_chapter_02_for_a_stranger(serve: Serve, page: Page) -> None:
    port = serve("02")
    refused = blocked(port)
    no_patch = f"the preflight got no permission for PATCH from http://127.0.0.1:{port}"
    page.goto(f"http://127.0.0.1:{port}/")
    expect(page.locator("main")).to_contain_text("which isn't in CORS_ORIGINS")
    expect(page.locator("main")).to_contain_text("FLASK_CORS_ORIGINS=")
    click(page, "Read", article=["200 OK", '"method": "GET"'], ours=[refused, "F12"])
    click(page, "Read with cookies", article=[f"{refused} with cookies"], ours=[refused])
    click(page, "Change with PATCH", article=[no_patch], ours=[no_patch, "never sent"])
    click(page, "Read the file", article=["404 Not Found"], ours=[refused])
    click(page, "Upload", article=["201 Created", "be03.txt"], ours=[refused])
    click(page, "Read the file", article=[refused], ours=["200 OK", "hello"])
    click(
        page,
        "Read from here",
        article=["200 OK", "access-control-allow-origin: *"],
        ours=["200 OK", "vary: Origin"],
        summary="Same status and body in both versions; headers differ.",
    )


def test_buttons_of_chapter_02_for_a_page_that_is_allowed(page: Page, tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    settings = {"FLASK_CORS_ORIGINS": json.dumps([origin]), "FLASK_UPLOAD_FOLDER": f"{tmp_path}/up"}
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
    with process(command, ROOT / "02_cors", port, env=os.environ | settings):
        page.goto(origin)
        expect(page.locator("main")).to_contain_text("which is in CORS_ORIGINS")
        click(page, "Read", article=["200 OK"], ours=["200 OK"])
        click(page, "Read with cookies", article=[blocked(port)], ours=["200 OK"])
        click(page, "Change with PATCH", article=["no permission for PATCH"], ours=["200 OK"])
        click(page, "Upload", article=["201 Created"], ours=["201 Created", "Open /uploads/"])
        click(page, "Read the file", article=[blocked(port)], ours=["200 OK"])
        page.get_by_role("link", name=f"Open it as http://localhost:{port}").click()
        expect(page.locator("main")).to_contain_text("which isn't in CORS_ORIGINS")
        refused = f"no Access-Control-Allow-Origin for http://localhost:{port}"
        click(page, "Read", article=["200 OK"], ours=[refused])


def test_a_server_that_is_down_does_not_look_blocked(page: Page) -> None:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
    with process(command, ROOT / "02_cors", port):
        page.goto(f"http://127.0.0.1:{port}/")
        click(page, "Read", article=["200 OK"], ours=[blocked(port)])
    for title, name in (("Read", "localhost"), ("Read from here", "127.0.0.1")):
        down = f"No answer: the server at http://{name}:{port} isn't running"
        click(page, title, article=[down], ours=[down])


def test_an_allowed_origin_reads_writes_and_sees_errors(serve: Serve, page: Page) -> None:
    here = serve("02")
    there = f"http://localhost:{serve('02', CORS_ORIGINS=json.dumps([f'http://127.0.0.1:{here}']))}"
    page.goto(f"http://127.0.0.1:{here}/")
    assert fetch(page, f"{there}/j/echo/")["status"] == 200
    json_put = {
        "method": "PUT",
        "body": '{"a": 1}',
        "headers": {"Content-Type": "application/json"},
    }
    assert r'"body":"{\"a\": 1}"' in str(fetch(page, f"{there}/j/echo/", **json_put)["body"])
    assert fetch(page, f"{there}/j/nowhere")["status"] == 404
    assert BLOCKED in str(fetch(page, f"{there}/j/nowhere", **json_put))


def test_a_cookie_comes_back_only_with_credentials_allowed(serve: Serve, page: Page) -> None:
    here = f"http://localhost:{serve('02')}"
    settings = {"CORS_ORIGINS": json.dumps([here]), "CORS_CREDENTIALS": "false"}
    without = f"http://localhost:{serve('02', **settings)}"
    page.goto(here)
    assert BLOCKED in str(fetch(page, f"{without}/j/echo/", credentials="include"))
    assert '"cookies":[]' in str(fetch(page, f"{without}/j/echo/", credentials="omit"))


@pytest.mark.parametrize(
    "headers",
    [
        [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Origin", "*")],
        [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true")],
    ],
    ids=["two values", "star with credentials"],
)
def test_the_browser_refuses_headers_that_contradict(
    serve: Serve, page: Page, headers: list[tuple[str, str]]
) -> None:
    page.goto(f"http://localhost:{serve('02')}/")
    with served(Response("read", headers=headers)) as port:
        assert BLOCKED in str(fetch(page, f"http://localhost:{port}/", credentials="include"))
    with served(Response("read", headers=headers[:1])) as port:
        assert fetch(page, f"http://localhost:{port}/")["body"] == "read"


def test_trap_no_cookie_travels_between_two_sites(serve: Serve, page: Page) -> None:
    port = serve("02")
    one_site, two_sites = f"http://localhost:{port}", f"http://127.0.0.1:{port}"
    settings = {"CORS_ORIGINS": json.dumps([one_site, two_sites]), "CORS_CREDENTIALS": "true"}
    there = f"http://localhost:{serve('02', **settings)}"
    page.context.add_cookies([{"name": "session", "value": "secret", "url": there}])
    page.goto(two_sites)
    assert '"cookies":[]' in str(fetch(page, f"{there}/j/echo/", credentials="include"))
    page.goto(one_site)
    assert '"cookies":["session"]' in str(fetch(page, f"{there}/j/echo/", credentials="include"))


def test_trap_change_origin_leads_past_the_proxy(serve: Serve, vite: Serve, page: Page) -> None:
    flask = serve("02", CORS_ORIGINS="[]")
    proxy = vite(flask)
    page.goto(f"http://localhost:{proxy}/")
    seen = {
        "changed-host": f"127.0.0.1:{flask}",
        "changed-url": f"http://127.0.0.1:{flask}/j/echo/",
        "changed-redirect": "left this origin: Failed to fetch",
        "changed-origin": f"http://localhost:{proxy}",
        "kept-host": f"localhost:{proxy}",
        "kept-url": f"http://localhost:{proxy}/j/echo/",
        "kept-redirect": f"followed to http://localhost:{proxy}/j/echo/",
        "kept-origin": f"http://localhost:{proxy}",
        "upload": "hello through the proxy",
    }
    for cell, text in seen.items():
        expect(page.locator(f"#{cell}")).to_have_text(text)


def test_trap_vite_hides_a_missing_cors_header(serve: Serve, vite: Serve, page: Page) -> None:
    flask = serve("02", CORS_ORIGINS="[]")
    page.goto(f"http://localhost:{flask}/")
    with_vites_own = f"http://localhost:{vite(flask, '--cors')}/j/echo/"
    assert fetch(page, with_vites_own)["status"] == 200
    with_ours = f"http://localhost:{vite(flask)}/j/echo/"
    assert BLOCKED in str(fetch(page, with_ours))


# A server that dies in the middle of an answer, as a development server does at every reload.
STREAM = """
import sys
from threading import Event
from flask import Flask

app = Flask("stream")

@app.get("/j/events")
def events():
    def forever():
        yield "data: hello\\n\\n"
        Event().wait()
    return forever(), {"Content-Type": "text/event-stream"}

app.run(port=int(sys.argv[1]))
"""


def test_trap_an_event_stream_outlives_its_server(vite: Serve, page: Page) -> None:
    flask = free_port()
    with process([sys.executable, "-c", STREAM, str(flask)], ROOT, flask) as server:
        page.goto(f"http://localhost:{vite(flask)}/")
        page.evaluate(
            """() => new Promise(resolve => {
                window.source = new EventSource("/j/events");
                source.onerror = () => (window.lost = true);
                source.onmessage = resolve;
            })"""
        )
        server.kill()
    page.wait_for_function("window.lost")  # noticed, and not before the server died
    page.wait_for_function("source.readyState === EventSource.CLOSED")  # a 502: no further try


# Chapter 03


def test_buttons_of_chapter_03(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('03')}/")
    same = "Same status and body in both versions"
    bug = "500 Internal Server Error"
    click(page, "Read Ada", article=["200 OK", "Ada"], ours=["200 OK", '"r": 0', "Ada"])
    not_found = ["404 Not Found", '"r": 1003']
    click(page, "Read a missing user", article=not_found, ours=not_found, summary=same)
    click(page, "Unknown URL", article=["404 Not Found", "<!doctype html>"], ours=not_found)
    click(
        page,
        "Wrong method",
        article=["405 Method Not Allowed", "<!doctype html>"],
        ours=["405 Method Not Allowed", '"r": 405', "allow: "],
    )
    click(page, "A bug", article=[bug, '"message": '], ours=[bug, '"r": 1000'])
    click(page, "The phone doesn't answer", article=["400 Bad Request"], ours=[bug, '"r": 1000'])
    refused = ["400 Bad Request", '"r": 1002', "on the phone"]
    click(page, "Delete Ada", article=refused, ours=refused, summary=same)
    forbidden = ["403 Forbidden", '"r": 1001']
    click(page, "Read the settings", article=forbidden, ours=forbidden, summary=same)
    html = ["404 Not Found", "<!doctype html>"]
    click(page, "Outside the API", article=html, ours=html, summary=same)


# Chapters 04 and 05


def test_buttons_of_chapter_04(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('04')}/")
    bug = "500 Internal Server Error"
    click(
        page,
        "Register a fax",
        article=[bug, "<!doctype html>"],
        ours=["400 Bad Request", '"error_code": 1006'],
    )
    click(
        page,
        "Ask for another SMS",
        article=["429 Too Many Requests", '"error_code": 1004'],
        ours=["429 Too Many Requests", "retry-after: 30"],
    )
    click(
        page,
        "Register badly",
        article=["400 Bad Request", '"secret": ['],
        ours=['"error_code": 1000', '"account": [', '"secret": [', '"nickname": ['],
    )
    done = ["200 OK", '"error_code": 0']
    click(page, "Register Ada", article=done, ours=["201 Created", '"error_code": 0'])
    click(page, "Register Ada", article=done, ours=["400 Bad Request", '"error_code": 1004'])
    click(
        page,
        "Half a body",
        article=['"error_code": 1000', "invalid parameter"],
        ours=['"error_code": 1000', "Send a JSON object"],
    )
    click(page, "Read Ada", article=done, ours=[*done, '"name": "Ada"'])
    nobody = ["404 Not Found", '"request": "GET /j/users/999"']
    click(page, "Read a missing user", article=nobody, ours=nobody)
    click(
        page,
        "Unknown URL",
        article=["404 Not Found", "<!doctype html>"],
        ours=["404 Not Found", '"error_code": 1003'],
    )
    click(page, "A bug", article=[bug, "<!doctype html>"], ours=[bug, '"error_code": 999'])


def test_buttons_of_chapter_05(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('05')}/")
    bug = ["500 Internal Server Error", '"error_code": 999']
    missing, code = "404 Not Found", '"error_code": 1003'
    http_error = [missing, '"error_code": 1007']
    click(page, "A bug", article=bug, ours=[*bug, "x-request-id: ", '"request_id": '])
    wrong = ["405 Method Not Allowed", '"error_code": 1007']
    click(page, "Wrong method", article=wrong, ours=[*wrong, "allow: "])
    click(page, "Unknown URL", article=http_error, ours=[missing, code])
    click(page, "A missing page, as a browser", article=http_error, ours=["<!doctype html>"])
    click(
        page,
        "A missing page, prefer JSON",
        article=http_error,
        ours=[missing, code, '"request": "GET /nope"', "vary: Accept"],
    )
    nobody = [missing, '"msg": "not_found"']
    click(page, "Read a missing user", article=nobody, ours=nobody, summary="Same status and body")
    click(page, "The phone doesn't answer", article=bug, ours=[*bug, '"request_id": '])
    click(page, "A missing file, prefer JSON", article=http_error, ours=[missing, code])
    click(
        page,
        "A redirect",
        article=["200 OK", "Redirected to /j/echo/?version=article"],
        ours=["200 OK", "Redirected to /j/echo/"],
        summary="Same status and body",
    )

"""What only a real browser can show."""

import base64
import json
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
from servers import free_port, process

pytestmark = pytest.mark.drill

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SCRIPT = "document.title = 'owned'"
PAGES = {
    "a.html": f"<!doctype html><title>harmless</title><script>{SCRIPT}</script>",
    "a.svg": f"""<svg xmlns="http://www.w3.org/2000/svg">
        <title>harmless</title><script>{SCRIPT}</script></svg>""",
    "a.xml": f"""<html xmlns="http://www.w3.org/1999/xhtml">
        <head><title>harmless</title></head><body><script>{SCRIPT}</script></body></html>""",
}
BLOCKED = "No answer that this page may read"


def click(page: Page, button: str, *shows: str) -> None:
    """Click an experiment of the page and see these texts in its answer."""
    page.get_by_role("button", name=button, exact=True).click()
    for text in shows:
        expect(page.locator("#answer")).to_contain_text(text)


def fetch(page: Page, url: str, **init: object) -> dict[str, object]:
    """Have the page fetch *url*; return status and body, or the error that it got instead."""
    script = """async ([url, init]) => {
        try {
            const answer = await fetch(url, init);
            return {status: answer.status, body: await answer.text()};
        } catch (error) {
            return {error: String(error)};
        }
    }"""
    result: dict[str, object] = page.evaluate(script, [url, init])
    return result


def upload(page: Page, name: str, content: bytes) -> str:
    """Choose a file on chapter 01's page; return the URL of what was stored."""
    page.set_input_files("input[type=file]", {"name": name, "mimeType": "", "buffer": content})
    return page.url.rstrip("/") + str(page.locator("#answer a").get_attribute("href"))


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
    click(page, "Fetch it", "404 NOT FOUND")
    click(page, "Upload hello.txt", "201 CREATED", "be03.txt")
    click(page, "Upload hello.txt", "201 CREATED", "be03.txt")
    click(page, "Fetch it", "200 OK", "immutable", "nosniff", "hello")
    click(page, "Delete it", "404 NOT FOUND")
    click(page, "Upload page.html", "201 CREATED", ".bin")
    click(page, "Upload nothing", "400 BAD REQUEST", "multipart field")


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


def test_buttons_of_chapter_02(serve: Serve, page: Page) -> None:
    port = serve("02")
    page.goto(f"http://127.0.0.1:{port}/")
    click(page, "Read from here", "200 OK")
    click(page, "Read from there", BLOCKED)
    click(page, "Write there, as JSON", BLOCKED)
    click(page, "Read that file from there", BLOCKED)
    click(page, "Upload there", BLOCKED)
    click(page, "Read that file from there", "200 OK", "hello")


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
    assert "TypeError" in str(fetch(page, f"{there}/j/nowhere", **json_put)["error"])


def test_a_cookie_comes_back_only_with_credentials_allowed(serve: Serve, page: Page) -> None:
    here = f"http://localhost:{serve('02')}"
    without = f"http://localhost:{serve('02', CORS_ORIGINS=json.dumps([here]))}"
    page.goto(here)
    assert "TypeError" in str(fetch(page, f"{without}/j/echo/", credentials="include"))
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
        answer = fetch(page, f"http://localhost:{port}/", credentials="include")
        assert "TypeError" in str(answer.get("error"))
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
    assert "TypeError" in str(fetch(page, f"http://localhost:{vite(flask)}/j/echo/"))


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
    click(page, "Read Ada", "200 OK", '"r": 0', "Ada")
    click(page, "Read nobody", "404 NOT FOUND", '"r": 1003')
    click(page, "Read an unknown URL", "404 NOT FOUND", '"r": 1003')
    click(page, "Delete Ada", "400 BAD REQUEST", '"r": 1002', "on the phone")
    click(page, "Patch the list", "405 METHOD NOT ALLOWED", '"r": 405', "allow: ")
    click(page, "Read the settings", "403 FORBIDDEN", '"r": 1001')
    click(page, "Block Ada", "200 OK", '"r": 0')
    click(page, "Block Ada", "400 BAD REQUEST", '"r": 1004')
    click(page, "Meet a bug", "500 INTERNAL SERVER ERROR", '"r": 1000')
    click(page, "Leave the API", "404 NOT FOUND", "<!doctype html>")


# Chapters 04 and 05


def test_buttons_of_chapter_04(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('04')}/")
    click(page, "Register Ada", "201 CREATED", '"error_code": 0')
    click(page, "Register Ada", "400 BAD REQUEST", '"error_code": 1004')
    click(page, "Register nobody", '"error_code": 1000', '"account": [', '"secret": [')
    click(page, "Register a fax", "400 BAD REQUEST", '"error_code": 1006')
    click(page, "Send half a body", "400 BAD REQUEST", '"error_code": 1000')
    click(page, "Read Ada", "200 OK", '"error_code": 0', "Ada")
    click(page, "Read nobody", "404 NOT FOUND", '"request": "GET /j/users/999"')
    click(page, "Patch the list", "405 METHOD NOT ALLOWED", "allow: ", '"error_code": 405')
    click(page, "Meet a bug", "500 INTERNAL SERVER ERROR", '"error_code": 999')


def test_buttons_of_chapter_05(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('05')}/")
    click(page, "Meet a bug", "500 INTERNAL SERVER ERROR", "x-request-id: ", '"request_id": ')
    click(page, "Patch the list", "405 METHOD NOT ALLOWED", "allow: ", '"error_code": 1007')
    click(page, "Read an unknown URL", "404 NOT FOUND", '"error_code": 1003')
    click(page, "Read nobody", "404 NOT FOUND", '"msg": "not_found"')
    click(page, "Leave the API", "404 NOT FOUND", "<!doctype html>")
    click(page, "Leave the API, prefer JSON", "404 NOT FOUND", '"request": "GET /nope"')
    click(page, "Fetch a missing file, prefer JSON", "404 NOT FOUND", '"error_code": 1003')
    click(page, "Be redirected", "200 OK", "/j/echo/")
    page.get_by_role("link", name="Open it").click()
    expect(page.get_by_role("heading")).to_have_text("Not Found")

"""Chapter 02 in a real browser, and behind Vite's development proxy."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from wsgiref.types import WSGIApplication

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from book import ROOT
from conftest import Serve
from servers import free_port, process

pytestmark = pytest.mark.drill

BLOCKED = "blocked by CORS policy"  # as opposed to a server that isn't there
FILE = "/files/versions.txt"


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


@contextmanager
def served(app: WSGIApplication) -> Iterator[int]:
    """Serve *app* from a thread until the end of the block; yields its port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def front_end() -> Iterator[int]:
    """The port of an empty page: a friend on 127.0.0.1, a stranger on localhost."""
    with served(
        Response("<!doctype html><title>A front end</title>", mimetype="text/html")
    ) as port:
        yield port


@pytest.fixture
def article(front_end: int) -> Iterator[str]:
    """The address of the article's version."""
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "article", "run", "--port", str(port)]
    with process(command, ROOT / "02_cors", port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def ours(serve: Serve, front_end: int) -> str:
    """The address of our version, with the front end on its list."""
    return (
        f"http://127.0.0.1:{serve('02', CORS_ORIGINS=json.dumps(f'http://127.0.0.1:{front_end}'))}"
    )


WAYS: dict[str, dict[str, object]] = {
    "plainly": {},
    "with credentials": {"credentials": "include"},
    "with a login": {"headers": {"Authorization": "Basic YWRhOmxvdmVsYWNl"}},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_page_on_the_list_reads_everything_and_a_stranger_nothing(
    ours: str, front_end: int, page: Page, way: str
) -> None:
    answers = {FILE: 200, "/j/echo/": 200, "/j/echo/?page=two": 500, "/j/public": 200, "/j/no": 404}
    page.goto(f"http://127.0.0.1:{front_end}/")
    for path, status in answers.items():
        assert fetch(page, ours + path, **WAYS[way])["status"] == status
    page.goto(f"http://localhost:{front_end}/")
    for path in answers:
        assert BLOCKED in str(fetch(page, ours + path, **WAYS[way]))


def test_what_the_article_hides_from_its_own_front_end(
    article: str, ours: str, front_end: int, page: Page
) -> None:
    page.goto(f"http://127.0.0.1:{front_end}/")
    assert fetch(page, f"{article}/j/echo/")["status"] == 200
    requests: list[tuple[str, dict[str, object], int]] = [
        (FILE, {}, 200),
        ("/j/echo/?page=two", {}, 500),
        ("/j/public", {}, 200),
        ("/j/echo/", {"credentials": "include"}, 200),
        ("/j/echo/", {"method": "PATCH"}, 200),
        ("/j/echo", {"method": "PUT"}, 200),  # after a redirect
        ("/j/no", {"method": "PUT"}, 404),
        ("/j/members", {"method": "PUT"}, 401),
        ("/j/members", WAYS["with a login"], 200),
    ]
    for path, init, status in requests:
        assert BLOCKED in str(fetch(page, article + path, **init))
        assert fetch(page, ours + path, **init)["status"] == status


def test_a_page_sees_no_header_that_is_not_exposed(ours: str, front_end: int, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{front_end}/")
    names = page.evaluate("async (url) => [...(await fetch(url)).headers.keys()]", ours + FILE)
    assert "content-type" in names
    assert "etag" not in names


def test_a_cookie_comes_back_only_with_credentials_allowed(
    serve: Serve, front_end: int, page: Page
) -> None:
    here = f"http://127.0.0.1:{front_end}"
    settings = {"CORS_ORIGINS": json.dumps([here]), "CORS_CREDENTIALS": "false"}
    without = f"http://127.0.0.1:{serve('02', **settings)}/j/echo/"
    settings["CORS_CREDENTIALS"] = "true"
    with_them = f"http://127.0.0.1:{serve('02', **settings)}/j/echo/"
    page.context.add_cookies([{"name": "session", "value": "secret", "url": here}])
    page.goto(here)
    assert BLOCKED in str(fetch(page, without, credentials="include"))
    assert '"cookies":[]' in str(fetch(page, without, credentials="omit"))
    assert '"cookies":["session"]' in str(fetch(page, with_them, credentials="include"))


@pytest.mark.parametrize(
    "headers",
    [
        [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Origin", "*")],
        [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true")],
    ],
    ids=["two values", "star with credentials"],
)
def test_the_browser_refuses_headers_that_contradict(
    front_end: int, page: Page, headers: list[tuple[str, str]]
) -> None:
    page.goto(f"http://localhost:{front_end}/")
    with served(Response("read", headers=headers)) as port:
        assert BLOCKED in str(fetch(page, f"http://localhost:{port}/", credentials="include"))
    with served(Response("read", headers=headers[:1])) as port:
        assert fetch(page, f"http://localhost:{port}/")["body"] == "read"


def test_trap_no_cookie_travels_between_two_sites(serve: Serve, front_end: int, page: Page) -> None:
    one_site, two_sites = f"http://localhost:{front_end}", f"http://127.0.0.1:{front_end}"
    there = f"http://localhost:{serve('02', CORS_ORIGINS=json.dumps([one_site, two_sites]))}"
    page.context.add_cookies([{"name": "session", "value": "secret", "url": there}])
    page.goto(two_sites)
    assert '"cookies":[]' in str(fetch(page, f"{there}/j/echo/", credentials="include"))
    page.goto(one_site)
    assert '"cookies":["session"]' in str(fetch(page, f"{there}/j/echo/", credentials="include"))


# Vite's development proxy


def test_trap_change_origin_leads_past_the_proxy(serve: Serve, vite: Serve, page: Page) -> None:
    flask = serve("02")
    proxy = vite(flask)
    page.goto(f"http://localhost:{proxy}/")
    seen = {
        "kept": [
            f'"origin":"http://localhost:{proxy}"',
            f'"url":"http://localhost:{proxy}/j/echo/"',
        ],
        "changed": [
            f'"origin":"http://localhost:{proxy}"',
            f'"url":"http://127.0.0.1:{flask}/j/echo/"',
        ],
    }
    for version, texts in seen.items():
        for text in texts:
            expect(page.locator(f"#{version}")).to_contain_text(text)
    stays = f"A redirect: followed to http://localhost:{proxy}/j/echo/"
    expect(page.locator("#kept")).to_contain_text(stays)
    expect(page.locator("#changed")).to_contain_text(
        "A redirect: left this origin: Failed to fetch"
    )


def test_trap_vite_hides_a_missing_cors_header(
    serve: Serve, vite: Serve, front_end: int, page: Page
) -> None:
    flask = serve("02", CORS_ORIGINS="[]")
    page.goto(f"http://localhost:{front_end}/")
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

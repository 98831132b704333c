"""Chapter 01 in a real browser and behind real servers: what headers do, not just what they are."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Error, Page, expect

from book import ROOT
from servers import free_port, process

pytestmark = pytest.mark.drill

CHAPTER = ROOT / "01_static_files"
PAGE = """
    <title>stored</title><h1>Free coffee</h1>
    <form method="post" action="/uploads"><button>Yes, please</button></form>
    <script>
        fetch("/contacts").then(r => r.text()).then(t => document.write("I have read " + t));
    </script>
"""
# A second of a moving square, as a video in the only format that save() keeps.
RECORD = """async () => {
    const canvas = document.body.appendChild(document.createElement("canvas"));
    const pen = canvas.getContext("2d");
    const draw = setInterval(() => pen.fillRect(Math.random() * 200, 10, 9, 9), 20);
    const recorder = new MediaRecorder(canvas.captureStream(), {mimeType: "video/mp4"});
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    recorder.stop();
    await stopped;
    clearInterval(draw);
    return Array.from(new Uint8Array(await new Blob(parts).arrayBuffer()));
}"""
PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 144]>>endobj
trailer<</Root 1 0 R>>"""

Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a server in a folder and returns its URL."""
    with ExitStack() as servers:

        def start(*command: str, folder: Path = CHAPTER) -> str:
            port = free_port()
            env = os.environ | {"FLASK_UPLOAD_FOLDER": str(tmp_path / f"uploads-{port}")}
            words = [sys.executable, "-m", *command]
            words = [word.replace("PORT", str(port)) for word in words]
            servers.enter_context(process(words, folder, port, env=env))
            return f"http://127.0.0.1:{port}"

        yield start


OURS = ("flask", "--app", "app", "run", "--port", "PORT")
ARTICLE = ("flask", "--app", "article", "run", "--port", "PORT")


def upload(page: Page, url: str, name: str, content: bytes) -> str:
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    answer = page.request.post(f"{url}/uploads", multipart={"file": file})  # type: ignore[dict-item]
    assert answer.status == 201
    return f"{url}{answer.json()['url']}"


def with_type(extension: str, folder: Path) -> Path:
    """A copy of the chapter whose reader has added a type to NAME, and nothing else."""
    copy = folder / extension
    shutil.copytree(CHAPTER, copy, ignore=shutil.ignore_patterns("instance"))
    module = copy / "uploads.py"
    source = module.read_text(encoding="utf-8")
    assert source.count("(?:bin|") == 1
    module.write_text(source.replace("(?:bin|", f"(?:bin|{extension}|"), encoding="utf-8")
    return copy


def test_the_articles_page_reads_what_its_visitor_may_read(page: Page, start: Start) -> None:
    page.goto(upload(page, start(*ARTICLE), "page.html", PAGE.encode()))
    expect(page.locator("body")).to_contain_text("I have read")
    expect(page.locator("body")).to_contain_text("Ada Lovelace")


def test_our_page_is_a_download(page: Page, start: Start) -> None:
    link = upload(page, start(*OURS), "page.html", PAGE.encode())
    with page.expect_download() as download, pytest.raises(Error, match="Download is starting"):
        page.goto(link)
    assert download.value.url == link


SVG = f"""
    <svg xmlns="http://www.w3.org/2000/svg"><foreignObject width="500" height="500">
    <div xmlns="http://www.w3.org/1999/xhtml">{PAGE}</div></foreignObject></svg>
"""


@pytest.mark.parametrize(("extension", "content"), [("html", PAGE), ("svg", SVG)])
def test_a_page_that_got_in_runs_no_script_and_sends_no_form(
    page: Page, start: Start, tmp_path: Path, extension: str, content: str
) -> None:
    url = start(*OURS, folder=with_type(extension, tmp_path))
    link = upload(page, url, f"page.{extension}", content.encode())
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    with page.expect_console_message(lambda message: "inline script" in message.text):
        page.goto(link)
    expect(page.get_by_text("Free coffee")).to_be_visible()
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.evaluate("document.querySelector('button').click()")
    assert requests == [f"GET {link}"]


def test_a_video_that_is_opened_by_itself_plays_and_jumps(page: Page, start: Start) -> None:
    url = start(*OURS)
    page.goto(f"{url}/contacts")
    video = bytes(page.evaluate(RECORD))
    statuses: list[int] = []
    page.on("response", lambda response: statuses.append(response.status))
    page.goto(upload(page, url, "square.mp4", video))
    page.evaluate("document.querySelector('video').muted = true")
    page.evaluate("void document.querySelector('video').play()")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0")
    page.evaluate("document.querySelector('video').currentTime = 0.5")
    page.wait_for_function("() => document.querySelector('video').currentTime >= 0.5")
    assert 206 in statuses


@pytest.mark.parametrize("name", ["square.png", "报告.txt"])
def test_a_picture_and_a_text_are_shown(page: Page, start: Start, name: str) -> None:
    url = start(*OURS)
    page.goto(f"{url}/contacts")
    content = page.screenshot() if name.endswith(".png") else "报告".encode()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(upload(page, url, name, content))
    if name.endswith(".png"):
        assert page.evaluate("document.querySelector('img').naturalWidth") > 0
    else:
        expect(page.locator("body")).to_have_text("报告")
    # The browser styles the page that it puts around a picture, and says if it may not.
    assert not [text for text in complaints if "Content Security Policy" in text]


def test_a_pdf_is_shown(page: Page, start: Start) -> None:
    url = start(*OURS)
    page.set_viewport_size({"width": 500, "height": 300})
    page.goto(upload(page, url, "a.pdf", PDF))
    for _ in range(100):
        picture = Image.open(BytesIO(page.screenshot()))
        if picture.getpixel((250, 150))[:3] == (255, 255, 255):  # type: ignore[index]
            break  # the empty page, in the middle of the viewer's dark frame
        page.wait_for_timeout(100)
    else:
        pytest.fail("the viewer stays dark")


def test_a_download_has_the_name_that_the_link_gives_it(page: Page, start: Start) -> None:
    url = start(*OURS)
    link = upload(page, url, "报告.pdf", b"%PDF-1.4")
    page.goto(f"{url}/contacts")
    click = """(link) => {
        const a = document.body.appendChild(document.createElement("a"));
        a.href = link;
        a.download = "报告.pdf";
        a.click();
    }"""
    with page.expect_download() as download:
        page.evaluate(click, link)
    assert download.value.suggested_filename == "报告.pdf"


SERVERS = {
    "flask": OURS,
    "gunicorn": ("gunicorn", "--bind", "127.0.0.1:PORT", "--no-control-socket", "app:create_app()"),
    "waitress": ("waitress", "--listen", "127.0.0.1:PORT", "--call", "app:create_app"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_sends_a_file_whole_and_in_part_with_one_date(
    page: Page, start: Start, server: str
) -> None:
    content = os.urandom(3_000_000)
    url = urlsplit(upload(page, start(*SERVERS[server]), "a.zip", content))
    answers = {
        None: (200, content),
        "bytes=1000000-": (206, content[1_000_000:]),
        "bytes=3000000-": (416, None),  # a page that says so
    }
    for wanted, (status, body) in answers.items():
        with closing(HTTPConnection(url.netloc, timeout=10)) as client:
            client.request("GET", url.path, headers={"Range": wanted} if wanted else {})
            answer = client.getresponse()
            assert len(answer.headers.get_all("Date", [])) == 1
            assert answer.status == status
            assert body in (answer.read(), None)

"""The pages of the steps of chapter 06: what can be clicked, narrow screens, and two checkers."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from book import NOT_OURS, STEPS, title
from conftest import Serve, missing
from servers import free_port, process

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module", params=STEPS, ids=title)
def step(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def urls(step: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of ours and, if there is one, of the article's version, in a copy of a step."""
    folder = tmp_path_factory.mktemp("step") / step.name
    shutil.copytree(step, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
    ports = {"app": free_port()}
    if (step / "article.py").exists():
        ports["article"] = free_port()
    env = os.environ | {"PORT": str(ports["app"]), "STRANGER_PORT": str(free_port())}
    env["ARTICLE_PORT"] = str(ports.get("article", ""))
    with ExitStack() as servers:  # as make run-06 has them
        if (step / "deploy/Procfile").exists():
            command = [sys.executable, "deploy/run.py"]
            servers.enter_context(process(command, folder, *ports.values(), env=env))
        else:
            for version, port in ports.items():
                command = [sys.executable, "-m", "flask", "--app", version, "run"]
                command += ["--without-threads", "--port", str(port)]
                servers.enter_context(process(command, folder, port, env=env))
        yield [f"http://127.0.0.1:{port}/" for port in ports.values()]


def visit_step(page: Page, urls: list[str]) -> Iterator[str]:
    """Open the page of each version, logged out, logged in if it has that button, and what it links
    to; yield what is shown."""
    for url in urls:
        page.goto(url)
        page.wait_for_load_state("networkidle")
        yield f"{url}, logged out"
        links = [str(link.evaluate("link => link.href")) for link in page.locator("main a").all()]
        log_in = page.get_by_text("I am Ada")
        if log_in.count():
            log_in.first.click()
            page.wait_for_load_state("networkidle")
            yield f"{url}, logged in"
        for link in links:
            if link.startswith(url) and "#" not in link and page.url != link:
                page.goto(link)
                yield link
        page.context.clear_cookies()


@pytest.mark.parametrize("step", [STEPS[5]], indirect=True, ids=title)
def test_a_kitten_logs_out_of_the_articles_version_alone(urls: list[str], page: Page) -> None:
    ours, articles = urls
    for url, name in {articles: "nobody", ours: "Ada Lovelace"}.items():
        page.goto(url)
        page.get_by_text("I am Ada").click()
        expect(page.locator("#name")).to_have_text("Ada Lovelace")
        with page.expect_request(lambda request: request.method == "POST") as sent:
            page.get_by_text("Look at a kitten").click()
        page.wait_for_load_state("networkidle")
        # It's sent with the cookie, in spite of SameSite=Lax, and says where it comes from.
        headers = sent.value.all_headers()
        assert "cookie" in headers and headers["sec-fetch-site"] == "same-site"
        assert headers["origin"] == "/".join(page.url.split("/")[:3]) != url.rstrip("/")
        page.get_by_text("Go back").click()
        expect(page.locator("#name")).to_have_text(name)


@pytest.mark.parametrize("step", [STEPS[6]], indirect=True, ids=title)
def test_a_message_is_shown_once_whether_the_list_or_the_event_brings_it(
    urls: list[str], page: Page
) -> None:
    ours, _ = urls
    shown = page.locator("[data-account=lin] .shown")
    page.goto(ours)
    page.get_by_text("I am Ada").click()
    page.get_by_text("I am 林徽因").click()

    def send(text: str, id: str = "", sender: str = "ada", to: str = "lin") -> None:
        form: Any = {"id": id or str(uuid.uuid4()), "to": to, "text": text}
        assert page.request.post(f"{ours}messages?as={sender}", form=form).status == 201

    def before_the_stream(route: Route) -> None:
        send("before-the-stream")
        while "before" not in page.request.get(f"{ours}messages?as=lin").text():
            page.wait_for_timeout(100)
        route.continue_()

    def faster_than_the_list(route: Route) -> None:
        list_of_before = route.fetch()
        send("faster-than-the-list")
        expect(shown).to_contain_text("faster-than-the-list")
        route.fulfill(response=list_of_before)

    page.route("**/stream?as=lin", before_the_stream, times=1)
    page.reload()
    expect(shown.get_by_text("before-the-stream")).to_have_count(1)
    page.route("**/messages?as=lin", faster_than_the_list, times=1)
    with page.expect_response("**/messages?as=lin"):
        page.reload()
    for text in ("before-the-stream", "faster-than-the-list"):
        expect(shown.get_by_text(text)).to_have_count(1)

    same = f"chosen-by-both-{uuid.uuid4()}"
    send("from-ada", same)
    send("from-lin", same, sender="lin", to="ada")
    for text in ("from-ada", "from-lin"):
        expect(shown.get_by_text(text)).to_have_count(1)


# The checkers


def assert_axe_finds_nothing(page: Page, node_modules: Path) -> None:
    page.evaluate((node_modules / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        result = page.evaluate("axe.run()")
        assert len(result["passes"]) > 10
        found = [(rule["id"], rule["nodes"][0]["html"]) for rule in result["violations"]]
        assert found == [], scheme


def test_each_page_of_a_step_is_sound_and_the_readme_names_what_can_be_clicked(
    urls: list[str], page: Page, node_modules: Path, step: Path
) -> None:
    """Its links lead somewhere, it fits on a phone, and axe finds nothing."""
    page.set_viewport_size({"width": 360, "height": 740})
    there: set[str] = set()
    for state in visit_step(page, urls):
        there |= {text.strip() for text in page.locator("button, a").all_inner_texts()}
        for link in page.locator("a").all():
            target = str(link.evaluate("link => link.href"))
            assert page.request.get(target).ok, f"{state}: {target}"
        assert page.evaluate("document.documentElement.scrollWidth") == 360, state
        assert_axe_finds_nothing(page, node_modules)

    words = " ".join((step / "README.md").read_text(encoding="utf-8").split())
    clicks = re.findall(r"""[Cc]lick ((?:"[^"]+"[\w, ]{,20})+)""", words)
    named = {name for click in clicks for name in re.findall('"([^"]+)"', click)}
    assert named, "it says nothing of what to click"
    assert named <= there


def test_axe_finds_nothing_on_the_page_of_the_proxy(
    serve: Serve, vite: Serve, page: Page, node_modules: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"http://localhost:{vite(serve('02'))}/")
    expect(page.get_by_text("A redirect: followed").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert_axe_finds_nothing(page, node_modules)


def test_the_html_checker_of_the_w3c_finds_nothing_in_a_step(
    urls: list[str], page: Page, node_modules: Path, tmp_path: Path, step: Path
) -> None:
    java = shutil.which("java") or missing("java")
    for number, _ in enumerate(visit_step(page, urls)):
        as_sent = page.request.get(page.url).text()
        (tmp_path / f"{number}.html").write_text(as_sent, encoding="utf-8")
        (tmp_path / f"{number}-shown.html").write_text(page.content(), encoding="utf-8")
    jar = node_modules / "vnu-jar/build/dist/vnu.jar"
    checked = [*step.glob("static/*.css"), *tmp_path.iterdir()]
    command = [java, "-jar", str(jar), "--also-check-css", *map(str, checked)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""

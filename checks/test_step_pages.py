"""The pages of the steps of chapter 06: what can be clicked, narrow screens, and two checkers."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from book import NOT_OURS, STEPS, title
from conftest import Serve, missing
from servers import free_port, process

pytestmark = pytest.mark.drill


def serve_step(step: Path, folder: Path, servers: ExitStack) -> list[str]:
    """Serve a copy of a step in *folder*, as make run-06 does, until *servers* is closed.

    Return the address of ours and, if there is one, that of the article's version.
    """
    shutil.copytree(step, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
    versions = ["app", *(["article"] if (step / "article.py").exists() else [])]
    ports = {version: free_port() for version in versions}
    env = os.environ | {"PORT": str(ports["app"]), "STRANGER_PORT": str(free_port())}
    env["ARTICLE_PORT"] = str(ports.get("article", ""))
    flask = [sys.executable, "-m", "flask", "--app"]
    commands: dict[tuple[int, ...], list[str]] = {
        (port,): [*flask, version, "run", "--without-threads", "--port", str(port)]
        for version, port in ports.items()
    }
    if (folder / "deploy/Procfile").exists():
        commands = {tuple(ports.values()): [sys.executable, "deploy/run.py"]}
    for its_ports, command in commands.items():
        servers.enter_context(process(command, folder, *its_ports, env=env))
    return [f"http://127.0.0.1:{port}/" for port in ports.values()]


@pytest.fixture(scope="module", params=STEPS, ids=title)
def step(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def urls(step: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of a step, which is served once for all tests of its pages."""
    with ExitStack() as servers:
        yield serve_step(step, tmp_path_factory.mktemp("step") / step.name, servers)


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


def test_the_readme_of_a_step_names_what_can_be_clicked(
    urls: list[str], page: Page, step: Path
) -> None:
    there: set[str] = set()
    for _ in visit_step(page, urls):
        there |= {text.strip() for text in page.locator("button, a").all_inner_texts()}
    words = " ".join((step / "README.md").read_text(encoding="utf-8").split())
    clicks = re.findall(r"""[Cc]lick ((?:"[^"]+"[\w, ]{,20})+)""", words)
    named = {name for click in clicks for name in re.findall('"([^"]+)"', click)}
    assert named, "it says nothing of what to click"
    assert named <= there


def test_every_link_on_the_page_of_a_step_leads_somewhere(
    urls: list[str], page: Page, step: Path
) -> None:
    for state in visit_step(page, urls):
        for link in page.locator("a").all():
            target = str(link.evaluate("link => link.href"))
            assert page.request.get(target).ok, f"{state}: {target}"


def test_a_narrow_page_of_a_step_needs_no_sideways_scrolling(
    urls: list[str], page: Page, step: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for state in visit_step(page, urls):
        assert page.evaluate("document.documentElement.scrollWidth") == 360, state


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


# The checkers


def assert_axe_finds_nothing(page: Page, node_modules: Path) -> None:
    page.evaluate((node_modules / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        result = page.evaluate("axe.run()")
        assert len(result["passes"]) > 10
        found = [(rule["id"], rule["nodes"][0]["html"]) for rule in result["violations"]]
        assert found == [], scheme


def test_axe_finds_nothing_on_the_page_of_a_step(
    urls: list[str], page: Page, node_modules: Path
) -> None:
    for _ in visit_step(page, urls):
        assert_axe_finds_nothing(page, node_modules)


def test_axe_finds_nothing_on_the_page_of_the_proxy(
    serve: Serve, vite: Serve, page: Page, node_modules: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"http://localhost:{vite(serve('02'))}/")
    expect(page.get_by_text("A redirect: followed").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert_axe_finds_nothing(page, node_modules)


def html_checker(node_modules: Path, *checked: Path) -> str:
    """Return what the W3C's checker says about HTML and CSS files; nothing if all is well."""
    java = shutil.which("java") or missing("java")
    jar = node_modules / "vnu-jar/build/dist/vnu.jar"
    command: list[str | Path] = [java, "-jar", jar, "--also-check-css", *checked]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return found.stderr or ("" if found.returncode == 0 else f"status {found.returncode}")


def save(page: Page, folder: Path, name: str) -> list[Path]:
    """Save the page as it was sent, and as its scripts have changed it."""
    sent, shown = folder / f"{name}.html", folder / f"{name}-shown.html"
    sent.write_text(page.request.get(page.url).text(), encoding="utf-8")
    shown.write_text(page.content(), encoding="utf-8")
    return [sent, shown]


def test_the_html_checker_of_the_w3c_finds_nothing_in_a_step(
    urls: list[str], page: Page, node_modules: Path, tmp_path: Path, step: Path
) -> None:
    checked = sorted(step.glob("static/*.css"))
    for number, _ in enumerate(visit_step(page, urls)):
        checked += save(page, tmp_path, str(number))
    assert html_checker(node_modules, *checked) == ""

"""The pages of chapters 01 to 05 and of the steps of 06: keyboard, narrow screens, curl lines, and
two public checkers."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from book import NOT_OURS, ROOT, STEPS, title
from conftest import Serve, missing
from experiments import ARTICLE, OURS, answer, experiments, find, run
from servers import free_port, process

pytestmark = pytest.mark.drill
each_chapter = pytest.mark.parametrize("chapter", ["01", "02", "03", "04", "05"])
each_step = pytest.mark.parametrize("step", STEPS, ids=title)

ServeStep = Callable[[Path], str]


@pytest.fixture
def serve_step(tmp_path: Path) -> Iterator[ServeStep]:
    """A function that serves a copy of a step, as make run-06 does, and returns its address."""
    with ExitStack() as servers:

        def serve_step(step: Path) -> str:
            folder = tmp_path / step.name
            shutil.copytree(step, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
            port = free_port()
            command = [sys.executable, "-m", "flask", "run", "--without-threads"]
            command += ["--port", str(port)]
            if (folder / "Procfile").exists():
                command = [sys.executable, "run.py"]
            env = os.environ | {"PORT": str(port)}
            servers.enter_context(process(command, folder, port, env=env))
            return f"http://127.0.0.1:{port}/"

        yield serve_step


def run_all(page: Page) -> None:
    """Click every button, unfold all headers and show all curl lines."""
    for experiment in experiments(page):
        run(experiment)
        for summary in experiment.locator("summary").all()[:1]:
            summary.click()
        for button in experiment.locator(".actions button").all():
            button.click()


def curl(line: str, folder: Path) -> tuple[int, str]:
    """Run a curl line in a shell; return the status and the body of the answer."""
    shell = ["sh", "-c", line]
    output = subprocess.check_output(shell, cwd=folder, text=True, timeout=30)
    head, _, body = output.partition("\n\n")  # text=True has turned \r\n into \n
    return int(head.split()[1]), body


def shown_curl(page: Page, title: str, version: str) -> str:
    part = answer(find(page, title), version)
    return part.locator(".actions pre").text_content() or ""


# What a person does with the page


@each_chapter
def test_the_readme_names_buttons_that_exist(serve: Serve, page: Page, chapter: str) -> None:
    page.goto(f"http://127.0.0.1:{serve(chapter)}/")
    buttons = page.locator("button[data-request]").all_inner_texts()
    [folder] = ROOT.glob(f"{chapter}_*")
    for text in folder.glob("*.md"):
        words = " ".join(text.read_text(encoding="utf-8").split())
        named = re.findall(r'[Cc]lick "([^"]+)"', words)
        named += re.findall(r'[Cc]lick "[^"]+",? (?:and )?then "([^"]+)"', words)
        assert set(named) <= set(buttons), text.name


@each_chapter
def test_a_narrow_page_keeps_button_and_answer_in_sight(
    serve: Serve, browser: Browser, chapter: str
) -> None:
    with browser.new_context(
        viewport={"width": 360, "height": 740}, reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{serve(chapter)}/")
        for experiment in experiments(page):
            run(experiment)
            expect(experiment.locator("button[data-request]")).to_be_in_viewport(ratio=1)
            expect(experiment.locator(".status").first).to_be_in_viewport(ratio=1)
            article, ours = (experiment.locator(".answer").nth(i).bounding_box() for i in (0, 1))
            assert article and ours and ours["y"] >= article["y"] + article["height"]
        run_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_wide_page_has_both_answers_side_by_side(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('03')}/")
    page.emulate_media(reduced_motion="reduce")  # otherwise it may still be scrolling
    experiment = find(page, "Unknown URL")
    run(experiment)
    for part in ("h3", ".status", ".headers", ".body", ".actions"):
        article, ours = (experiment.locator(part).nth(i).bounding_box() for i in (0, 1))
        assert article and ours and article["y"] == ours["y"], part
        assert ours["x"] > article["x"] + article["width"], part


def test_the_keyboard_is_enough(serve: Serve, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{serve('03')}/")
    experiment = find(page, "Unknown URL")
    experiment.get_by_role("button", name="Unknown URL").focus()
    page.keyboard.press("Enter")
    expect(experiment.get_by_role("group", name="Responses to Unknown URL")).to_be_focused()
    expect(experiment.get_by_role("status")).to_have_text(
        "As in the article: 404 Not Found. This chapter: 404 Not Found. "
        "Same status, but the body differs."
    )

    expect(experiment.locator("mark").first).to_be_hidden()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for version in (ARTICLE, OURS):  # unfolding one unfolds the other
        expect(answer(experiment, version).locator("mark").first).to_be_visible()
    expect(answer(experiment, OURS).locator("mark")).to_have_text(
        ["≠ content-length: 32", "≠ content-type: application/json", "≠ vary: Origin"]
    )

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(answer(experiment, ARTICLE).locator(".actions pre")).to_be_visible()
    page.keyboard.press("Tab")
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    expect(opened.value).to_have_url(re.compile(r"/j/nope\?version=article$"))


@each_chapter
def test_the_footer_leads_to_the_neighbours_and_to_the_source(
    serve: Serve, page: Page, chapter: str
) -> None:
    page.goto(f"http://127.0.0.1:{serve(chapter)}/")
    links = page.get_by_role("navigation", name="Chapters").get_by_role("link")
    neighbours = [link.get_attribute("href") for link in links.all()]
    number = int(chapter)
    expected = [n for n in (number - 1, number + 1) if n > 0]
    assert neighbours == [f"http://127.0.0.1:81{n:02}/" for n in expected]
    sources = page.locator("footer a[href^='/source/']").all()
    assert len(sources) >= 4
    for source in sources:
        found = page.request.get(page.url.rstrip("/") + str(source.get_attribute("href")))
        assert found.ok and found.headers["content-type"].startswith("text/plain"), source


@pytest.mark.parametrize("chapter", ["03", "04", "05"])
def test_the_catalogue_can_be_read(serve: Serve, page: Page, chapter: str) -> None:
    page.goto(f"http://127.0.0.1:{serve(chapter)}/")
    page.get_by_role("link", name="list of error codes").click()
    expect(page.get_by_role("heading", name="Error codes").last).to_be_in_viewport()
    rows = page.locator("tbody tr").all_inner_texts()
    catalogue = page.request.get(f"{page.url.partition('#')[0]}j/errors").json()["errors"]
    assert len(rows) == len(catalogue)
    for row, error in zip(rows, catalogue, strict=True):
        numbers = {str(value) for value in error.values() if isinstance(value, int)}
        assert numbers <= set(row.split())
        assert error["meaning"] in row


# The steps of chapter 06


def visit_step(page: Page, url: str) -> Iterator[str]:
    """Open the page of a step in each version, before and after a login; yield what is shown."""
    for query in ("", "?version=article"):
        page.goto(url + query)
        yield f"{query or 'this step'}, logged out"
        page.get_by_text("I am Ada").click()
        page.wait_for_load_state("networkidle")
        yield f"{query or 'this step'}, logged in"
        page.context.clear_cookies()


@each_step
def test_the_readme_of_a_step_names_what_can_be_clicked(
    serve_step: ServeStep, page: Page, step: Path
) -> None:
    there: set[str] = set()
    for _ in visit_step(page, serve_step(step)):
        there |= {text.strip() for text in page.locator("button, a").all_inner_texts()}
    words = " ".join((step / "README.md").read_text(encoding="utf-8").split())
    clicks = re.findall(r"""[Cc]lick ((?:"[^"]+"[\w, ]{,20})+)""", words)
    named = {name for click in clicks for name in re.findall('"([^"]+)"', click)}
    assert named, "it says nothing of what to click"
    assert named <= there


@each_step
def test_every_link_on_the_page_of_a_step_leads_somewhere(
    serve_step: ServeStep, page: Page, step: Path
) -> None:
    for state in visit_step(page, serve_step(step)):
        for link in page.locator("a").all():
            target = str(link.evaluate("link => link.href"))
            assert page.request.get(target).ok, f"{state}: {target}"


@each_step
def test_a_narrow_page_of_a_step_needs_no_sideways_scrolling(
    serve_step: ServeStep, page: Page, step: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for state in visit_step(page, serve_step(step)):
        assert page.evaluate("document.documentElement.scrollWidth") == 360, state


# The curl lines


@each_chapter
def test_the_curl_lines_get_the_same_answers(
    serve: Serve, page: Page, tmp_path: Path, chapter: str
) -> None:
    shutil.which("curl") or missing("curl")
    page.goto(f"http://127.0.0.1:{serve(chapter)}/")
    for experiment in experiments(page):
        run(experiment)
        lines = experiment.locator(".actions pre").all_text_contents()
        answers = [curl(line, tmp_path) for line in lines]
        run(experiment)  # again, because the first click may have created something
        for i, (status, body) in enumerate(answers):
            part = experiment.locator(".answer").nth(i)
            badge = part.locator(".status").inner_text()
            if badge.startswith("Blocked"):
                assert status < 300, lines[i]  # only browsers know CORS
            elif "Redirected" in part.inner_text():
                assert status == 308, lines[i]  # the browser follows, curl shows it
            else:
                assert badge.startswith(f"{status} "), lines[i]
                assert without_id(body) == without_id(part.locator(".body").inner_text())


def without_id(body: str) -> object:
    try:
        answer = json.loads(body)
    except ValueError:
        return body.strip()
    answer.pop("request_id", None)
    return answer


def test_the_curl_line_of_a_chosen_file_runs_beside_the_file(
    serve: Serve, page: Page, tmp_path: Path
) -> None:
    shutil.which("curl") or missing("curl")
    file = tmp_path / """it's "50%"; a, b\\c.txt"""
    file.write_text("a file with a difficult name")
    page.goto(f"http://127.0.0.1:{serve('01')}/")
    page.set_input_files("input[type=file]", file)
    part = answer(page.locator(".experiment").last, OURS)
    expect(part.locator(".status")).to_have_text("201 Created (success)")
    line = part.locator(".actions pre").text_content() or ""
    status, body = curl(line, tmp_path)
    assert status == 201 and json.loads(body) == json.loads(part.locator(".body").inner_text())


def test_the_line_is_copied_or_shown_to_be_copied(serve: Serve, browser: Browser) -> None:
    port = serve("03")
    for clipboard, says in ((True, "Copied"), (False, "Copy this line")):
        with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
            page = context.new_page()
            if not clipboard:  # as on a page that came over plain HTTP from another machine
                page.add_init_script(
                    "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
                )
            page.goto(f"http://127.0.0.1:{port}/")
            run(find(page, "Delete Ada"))
            part = answer(find(page, "Delete Ada"), ARTICLE)
            part.get_by_role("button", name="Copy as curl").click()
            expect(part.get_by_role("button", name=says)).to_be_visible()
            line = f"curl -i -X DELETE 'http://127.0.0.1:{port}/j/users/1?version=article'"
            expect(part.locator(".actions pre")).to_have_text(line)
            if clipboard:
                assert page.evaluate("navigator.clipboard.readText()") == line


# The checkers


def assert_axe_finds_nothing(page: Page, node_modules: Path) -> None:
    page.evaluate((node_modules / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        result = page.evaluate("axe.run()")
        assert len(result["passes"]) > 10
        found = [(rule["id"], rule["nodes"][0]["html"]) for rule in result["violations"]]
        assert found == [], scheme


@each_chapter
def test_axe_finds_nothing(serve: Serve, page: Page, node_modules: Path, chapter: str) -> None:
    page.goto(f"http://127.0.0.1:{serve(chapter)}/")
    assert_axe_finds_nothing(page, node_modules)
    run_all(page)
    assert_axe_finds_nothing(page, node_modules)


@each_step
def test_axe_finds_nothing_on_the_page_of_a_step(
    serve_step: ServeStep, page: Page, node_modules: Path, step: Path
) -> None:
    for _ in visit_step(page, serve_step(step)):
        assert_axe_finds_nothing(page, node_modules)


def test_axe_finds_nothing_on_the_page_of_the_proxy(
    serve: Serve, vite: Serve, page: Page, node_modules: Path
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"http://localhost:{vite(serve('02'))}/")
    expect(page.locator("#upload")).to_have_text("hello through the proxy")
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


def test_the_html_checker_of_the_w3c_finds_nothing(
    serve: Serve, page: Page, node_modules: Path, tmp_path: Path
) -> None:
    checked = [ROOT / "01_static_files/static/try.css", ROOT / "02_cors/frontend/index.html"]
    for chapter in ("01", "02", "03", "04", "05"):
        page.goto(f"http://127.0.0.1:{serve(chapter)}/")
        run_all(page)
        checked += save(page, tmp_path, chapter)
    assert html_checker(node_modules, *checked) == ""


@each_step
def test_the_html_checker_of_the_w3c_finds_nothing_in_a_step(
    serve_step: ServeStep, page: Page, node_modules: Path, tmp_path: Path, step: Path
) -> None:
    checked = sorted(step.glob("static/*.css"))
    for number, _ in enumerate(visit_step(page, serve_step(step))):
        checked += save(page, tmp_path, str(number))
    assert html_checker(node_modules, *checked) == ""

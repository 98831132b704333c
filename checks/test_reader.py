"""The reader in a real browser: its exercises, its ticks, and pages that mean harm.

Every card in three engines is in drills/test_reader_browsers.py.
"""

import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from book import ROOT
from book_pages import PAGES
from pages import cards, exercises
from reading import CHAPTERS, free_ports, reader
from test_exercises import do, named_steps, named_tests

pytestmark = pytest.mark.drill

FULL = os.environ.get("FULL") == "1"
TIMEOUT = 60_000  # milliseconds; an exercise runs a chapter's tests
EXERCISES = [
    pytest.param(chapter, number, id=f"{chapter.name[:2]} {exercise.heading.title}")
    # test_exercises.py does all of them, so the short form does one chapter through its page.
    for chapter in (CHAPTERS if FULL else CHAPTERS[2:3])
    for number, exercise in enumerate(exercises(chapter / "README.md"))
]
Read = Callable[..., str]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """A function that starts the reader for a folder with the book, and returns its origin."""
    with ExitStack() as readers:
        yield lambda folder=ROOT: readers.enter_context(reader(tmp_path / "uploads", folder))


def run(card: Locator) -> Locator:
    """Press a card's button, and return what it shows."""
    card.locator("button.run").click()
    results = card.locator(".results")
    expect(results.locator(".outcome").first).to_be_visible(timeout=TIMEOUT)
    expect(card.locator("button.run")).to_be_enabled(timeout=TIMEOUT)
    return results


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_page_whose_cards_were_run_is_ticked_accessible_and_fits_a_phone(
    page: Page, read: Read, chapter: Path, node_modules: Path
) -> None:
    page.goto(f"{read()}/{chapter.name}/README.md")
    total = len(cards(chapter / "README.md"))
    for number in range(1, total + 1):
        run(page.locator(f"#card-{number}"))

    page.evaluate((node_modules / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    for rules in ("", "color-contrast"):  # everything in the light, and in the dark its colours
        page.emulate_media(color_scheme="dark" if rules else "light")
        options = {"runOnly": [rules]} if rules else {"resultTypes": ["violations"]}
        violations = page.evaluate("options => axe.run(document, options)", options)["violations"]
        told = [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in violations]
        assert told == [], rules

    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    bars = """[...document.querySelectorAll(".outcome")].filter((one) =>
        getComputedStyle(one).borderLeftColor !== getComputedStyle(one.querySelector("b")).color)"""
    assert page.evaluate(f"{bars}.map((one) => one.innerText)") == []

    page.reload()
    progress = page.locator(f"[data-progress='{chapter.name}/README.md']")
    expect(progress).to_have_text(f"{total} of {total} run")
    assert page.locator("[data-cards].done").count() == page.locator("[data-cards]").count()


def test_all_other_pages_can_be_read_in_the_light_and_in_the_dark_and_fit_a_phone(
    page: Page, read: Read, node_modules: Path
) -> None:
    axe = (node_modules / "axe-core/axe.min.js").read_text(encoding="utf-8")
    origin = read()
    for path in {*PAGES} - {chapter / "README.md" for chapter in CHAPTERS}:
        page.goto(f"{origin}/{path.relative_to(ROOT)}")
        page.evaluate(axe)
        for scheme in ("light", "dark") if FULL or path.name == "README.md" else ():
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("axe.run(document, {runOnly: ['color-contrast']})")
            told = [node["html"][:200] for rule in found["violations"] for node in rule["nodes"]]
            assert told == [], f"{path}, {scheme}"
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.set_viewport_size({"width": 1280, "height": 800})


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_the_reader_and_curl_print_the_same(chapter: Path, tmp_path: Path) -> None:
    port = free_ports()
    env = os.environ | {
        "FLASK_CORS_ORIGINS": f'["http://127.0.0.1:{port}"]',
        "FLASK_UPLOAD_FOLDER": str(tmp_path / "uploads"),
    }
    script = ROOT / "reader/tests/with_curl.py"
    command = [sys.executable, str(script), chapter.name[:2], str(port)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


# Exercises


def checked(form: Locator) -> Locator:
    form.get_by_role("button", name="Check my edit").click()
    expect(form.locator("[role=status]")).to_have_text("Checked.", timeout=3 * TIMEOUT)
    return form.locator(".checked")


@pytest.mark.parametrize(("chapter", "number"), EXERCISES)
def test_an_exercise_is_checked(
    page: Page, read: Read, repository: Path, chapter: Path, number: int
) -> None:
    exercise = exercises(chapter / "README.md")[number]
    folder = repository / chapter.name
    page.goto(f"{read(repository)}/{chapter.name}/README.md")
    form = page.locator(f"form.exercise[data-exercise='{number}']")

    if exercise.out:
        expect(checked(form)).to_contain_text(f"{exercise.out.file} is as it was")
        do(exercise, folder)
        shown = checked(form)
        changed = {
            row.get_attribute("data-card")
            for row in shown.locator("tr[data-card]").all()
            if "changes" in row.locator("td").nth(2).inner_text()
        }
        steps: set[str] = set()
        for box in form.locator("label").all():
            if box.locator("input").get_attribute("value") in changed:
                box.locator("input").check()
                steps |= named_steps(box.locator("small").inner_text())
        expect(checked(form)).to_contain_text("You had all of them right.")
        assert named_steps(exercise.answer) == steps, exercise.answer

        box = form.locator("input").first
        box.set_checked(not box.is_checked())
        expect(checked(form)).to_contain_text("1 of your predictions is wrong.")
    else:
        expect(checked(form)).to_contain_text("tests/exercise.py fails")
        do(exercise, folder)
        expect(checked(form)).to_contain_text("tests/exercise.py passes")

    said = form.locator(".checked > p", has_text="of the chapter's own").all_inner_texts()
    assert set(re.findall(r"test_\w+", " ".join(said))) == named_tests(exercise.answer)

    restore = form.locator(".checked button.copy").last.get_attribute("data-copy")
    assert restore and restore.startswith("git restore ")
    subprocess.run(["bash", "-c", restore], cwd=repository, check=True)
    done = subprocess.run(["git", "status", "--porcelain"], cwd=repository, capture_output=True)
    assert done.stdout == b""


# By hand


def test_a_request_is_edited_and_brought_back_by_keyboard(page: Page, read: Read) -> None:
    page.goto(f"{read()}/{CHAPTERS[2].name}/README.md")
    card = page.locator(".card", has=page.locator("b.article")).first
    card.get_by_role("button", name="Edit").focus()
    page.keyboard.press("Enter")
    area = card.locator("textarea").first
    expect(area).to_be_focused()
    original = area.input_value()
    area.fill(re.sub(r"(:\d+)/\S*", r"\1/nothing/there", original))
    page.keyboard.press("Control+Enter")
    results = card.locator(".results")
    expect(results).to_contain_text("Your own request.", timeout=TIMEOUT)
    expect(results.locator("caption")).to_contain_text("/nothing/there")
    area.fill("curl http://example.org/")
    page.keyboard.press("Control+Enter")
    expect(results).to_contain_text("The reader can't send this")
    card.get_by_role("button", name="As in the book").click()
    assert card.locator("textarea").first.input_value() == original
    run(card)
    expect(results).not_to_contain_text("Your own request.")


def test_links_lead_to_files_and_diffs(page: Page, read: Read) -> None:
    origin = read()
    page.goto(f"{origin}/")
    page.get_by_role("navigation").get_by_role("link", name=re.compile("^03")).click()
    expect(page.locator("h1")).to_contain_text("03")
    page.locator("figcaption a").first.click()
    expect(page.locator("h1.path")).to_have_text("03_error_codes/article.py")
    number = page.url.partition("#L")[2]
    expect(page.locator(f"#L{number}")).to_be_in_viewport()
    page.goto(f"{origin}/-/diff/05")
    expect(page.locator("main")).to_contain_text("handlers.py")


def test_every_link_of_the_book_leads_somewhere(page: Page, read: Read) -> None:
    origin = read()
    todo, seen, broken = ["/"], set(), []
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        response = page.request.get(origin + path)
        if response.status != 200:
            broken.append(path)
        if path.endswith(".md") or path == "/":
            for href in re.findall(r'(?:href|src)="([^"#]+)', response.text()):
                url = page.evaluate(
                    "([href, base]) => new URL(href, base).href", [href, origin + path]
                )
                if url.startswith(f"{origin}/"):
                    todo.append(url.removeprefix(origin))
    assert broken == [] and len(seen) > 30


# Harm

ATTACK = """
<!doctype html>
<title>waiting</title>
<iframe id="frame" src="READER/CHAPTER"></iframe>
<form id="form" action="READER/-/restart" method="post" enctype="text/plain" target="hidden">
<input name='{"page": "CHAPTER", "a": "' value='"}'></form>
<iframe name="hidden"></iframe>
<script>
async function attempt(name, task) {
  try { return [name, await task()]; } catch (error) { return [name, "refused"]; }
}
const values = { page: "CHAPTER", card: 1, exercise: 0, predicted: [] };
const send = (path, type, mode) => async () => {
  const options = { method: "POST", mode, headers: { "Content-Type": type } };
  const response = await fetch("READER/-/" + path, { ...options, body: JSON.stringify(values) });
  return response.type === "opaque" ? "sent blindly" : "read " + (await response.text());
};
async function attack() {
  const found = [];
  for (const path of ["run", "check", "restart", "arrived"]) {
    found.push(await attempt(path + " by JSON", send(path, "application/json", "cors")));
    found.push(await attempt(path + " as text", send(path, "text/plain", "no-cors")));
  }
  found.push(await attempt("read the page", async () => (await fetch("READER/CHAPTER")).text()));
  document.querySelector("#form").submit();
  const frame = document.querySelector("#frame");
  found.push(await attempt("frame", () => frame.contentWindow.document.body.innerText || "empty"));
  const opened = window.open("READER/CHAPTER");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  found.push(await attempt("window", () => opened.document.body.innerText));
  found.push(["closed", String(opened === null || opened.closed)]);
  document.title = "done";
  return found;
}
</script>
"""


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def attacker(tmp_path: Path) -> Iterator[int]:
    """The port of a server with a page that tries to drive the reader; another origin than it."""
    folder = tmp_path / "attacker"
    folder.mkdir()
    handler = functools.partial(SilentHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_strangers_page_can_do_nothing_to_the_reader(
    page: Page, browser: Browser, read: Read, attacker: int, tmp_path: Path, host: str
) -> None:
    origin = read()
    chapter = f"{CHAPTERS[2].name}/README.md"
    with browser.new_context() as other:
        reader = other.new_page()
        reader.goto(f"{origin}/{chapter}")
        assert "It doesn't answer" not in run(reader.locator("#card-1")).inner_text()
        post = """async (page) => (await fetch("/-/arrived", {method: "POST",
            headers: {"Content-Type": "application/json"}, body: JSON.stringify({page})})).json()"""
        before = reader.evaluate(post, chapter)

        text = ATTACK.replace("READER", origin).replace("CHAPTER", chapter)
        (tmp_path / "attacker/index.html").write_text(text, encoding="utf-8")
        page.goto(f"http://{host}:{attacker}/")
        found = dict(page.evaluate("attack()"))
        assert {name: what for name, what in found.items() if what.startswith("read ")} == {}
        assert found["read the page"] == "refused"
        # A frame or a window of its own stays empty, because the reader's page isn't in it.
        assert found["frame"] in ("refused", "empty")
        assert found["window"] in ("refused", "")
        # Nothing was sent and nothing was started anew: both logs end where they did.
        assert reader.evaluate(post, chapter) == before


def test_the_strangers_page_of_the_reader_reaches_the_versions_alone(
    page: Page, read: Read
) -> None:
    origin = read()
    page.goto(f"{origin}/{CHAPTERS[1].name}/README.md")
    run(page.locator("#card-1"))
    page.goto(origin.replace("127.0.0.1", "localhost"))
    expect(page.locator("h1")).to_have_text("A stranger's page")
    port = int(origin.rpartition(":")[2])
    attempt = """async (url) => { try { const response = await fetch(url, {mode: "no-cors"});
        return response.type; } catch { return "refused"; } }"""
    assert page.evaluate(attempt, f"http://127.0.0.1:{port + 2}/j/echo/") == "opaque"
    assert page.evaluate(attempt, f"{origin}/") == "refused"
    assert page.evaluate(attempt, "http://127.0.0.1:1/") == "refused"
    # It answers only to the page of the reader.
    asked = f"""new Promise((resolve) => {{
        addEventListener("message", (event) => event.data.answer && resolve("answered"));
        postMessage({{id: 1, url: "http://127.0.0.1:{port + 2}/j/echo/", options: {{}}}}, "*");
        setTimeout(() => resolve("silent"), 1000);
    }})"""
    assert page.evaluate(asked) == "silent"

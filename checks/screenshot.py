"""Take the pictures that the READMEs show: a card of chapter 03 in the reader, the wrong name in
chapter 06's first step, and the app of chapter 06.

``screenshot.py`` takes all of them, ``screenshot.py card`` one. It starts the apps, and ends them.
The fonts are those of the machine: without one for Chinese, the pictures of chapter 06 have boxes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, FilePayload, Page, expect

from book import ROOT, STEPS
from conftest import chromium
from desk import Desk
from servers import free_port, process


def opened(browser: Browser, url: str, width: int, height: int, scale: int = 2) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="light", device_scale_factor=scale
    )
    page.goto(url)
    return page


def picture_of_a_card(browser: Browser) -> None:
    """Run a pair of chapter 03 in the reader, at the book's own port, as a reader sees it."""
    command = [sys.executable, "reader/run.py", "--chapter", "03"]
    with process(command, ROOT, 8100, stdout=subprocess.DEVNULL):
        page = opened(browser, "http://127.0.0.1:8100/03_error_codes/README.md", 1280, 1000)
        card = page.locator(".card", has_text="/j/nope")
        card.get_by_role("button", name="Run").click()
        expect(card.locator(".results")).to_contain_text("application/json")
        expect(card).not_to_have_attribute("aria-busy", "true")
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)  # milliseconds, while the rows unfold
        card.screenshot(path=ROOT / "reader/card.png")


def picture_of_the_wrong_name(browser: Browser) -> None:
    """Log in as Ada and then as somebody else, with the article's version of current_bot."""
    port = free_port()
    options = ["--app", "article", "run", "--without-threads", "--port", str(port)]
    with process([sys.executable, "-m", "flask", *options], STEPS[0], port):
        page = opened(browser, f"http://127.0.0.1:{port}/", 700, 560)
        for name in ("I am Ada", "I am 林徽因"):
            page.get_by_role("link", name=name).click()
        expect(page.locator("#name.bad")).to_be_visible()
        page.screenshot(path=STEPS[0] / "wrong_name.png", full_page=True)


def log_in(browser: Browser, desk: Desk, account: str) -> Page:
    """Return the page of *account*, with its contacts."""
    page = opened(browser, desk.url, 1000, 740, scale=1)
    expect(page.locator("#scan")).to_be_visible()
    phone = opened(browser, str(page.locator("#scan").get_attribute("href")), 400, 700)
    phone.locator(f"[value={account}]").check()
    phone.locator("[value=confirm]").click()
    phone.close()
    expect(page.locator("#list li").first).to_be_visible(timeout=30_000)  # milliseconds
    return page


def write(page: Page, to: str, text: str, file: str = "") -> None:
    """Write to a contact; with a file of this name, if there's one."""
    page.get_by_label("Search all contacts").fill(to)
    page.get_by_role("checkbox", name=to, exact=True).check()
    page.locator("#text").fill(text)
    if file:
        content = FilePayload(name=file, mimeType="text/plain", buffer=b"Note G")
        page.locator("#file").set_input_files(content)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#messages")).to_contain_text(text)
    page.get_by_role("checkbox", name=to, exact=True).uncheck()


def picture_of_the_desk(browser: Browser) -> None:
    """Log three accounts in to chapter 06, and exchange messages."""
    with tempfile.TemporaryDirectory() as temporary, Desk(Path(temporary, "06")) as desk:
        ada, lin, omar = (log_in(browser, desk, account) for account in ("ada", "lin", "omar"))
        write(omar, "Ada Lovelace", "صباح الخير! Shall we meet at the library?")
        write(ada, "عمر الخيام", "At four, then. I bring the notes.", "notes.txt")
        write(lin, "Ada Lovelace", "周末见! The drawings are done, look.", "a.txt")
        ada.get_by_label("Search all contacts").fill("")
        expect(ada.get_by_role("radio", name="Friends 250")).to_be_visible()
        for name in ("林徽因", "عمر الخيام", "José Hopper"):
            ada.get_by_role("checkbox", name=name, exact=True).check()
        ada.locator("#list").evaluate("list => list.scrollTop = 0")
        ada.locator("#text").fill("Thursday at noon?")
        expect(ada.locator("#note")).to_be_empty(timeout=10_000)
        ada.mouse.move(0, 0)
        ada.locator("h1:visible").focus()
        ada.screenshot(path=ROOT / "06_login_context/screenshot.png")


PICTURES = {
    "card": picture_of_a_card,
    "wrong_name": picture_of_the_wrong_name,
    "desk": picture_of_the_desk,
}


if __name__ == "__main__":
    with chromium() as browser:
        for name in sys.argv[1:] or PICTURES:
            PICTURES[name](browser)

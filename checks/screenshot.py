"""Take the picture of chapter 06 that the READMEs show: starts the chapter, and ends it.

The fonts are those of the machine; without one for Chinese there are boxes in the picture.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

from book import ROOT
from conftest import BROWSERS, FLAGS
from desk import Desk


def log_in(browser: Browser, url: str, account: str) -> Page:
    """Return the page of *account*, with its contacts."""
    page = browser.new_page(viewport={"width": 1000, "height": 740}, color_scheme="light")
    page.goto(url)
    expect(page.locator("#scan")).to_be_visible()
    phone = browser.new_page()
    phone.goto(str(page.locator("#scan").get_attribute("href")))
    phone.locator(f"[value={account}]").check()
    phone.locator("[value=confirm]").click()
    phone.close()
    expect(page.locator("#list li").first).to_be_visible(timeout=30_000)
    return page


def write(page: Page, to: str, text: str, *files: tuple[str, bytes]) -> None:
    page.get_by_label("Search all contacts").fill(to)
    page.get_by_role("checkbox", name=to, exact=True).check()
    page.locator("#text").fill(text)
    for name, content in files:
        page.locator("#file").set_input_files(
            FilePayload(name=name, mimeType="text/plain", buffer=content)
        )
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#messages")).to_contain_text(text)
    page.get_by_role("checkbox", name=to, exact=True).uncheck()


def main() -> None:
    [program, *_] = [path for name in BROWSERS if (path := shutil.which(name))]
    with (
        tempfile.TemporaryDirectory() as temporary,
        Desk(Path(temporary, "06")) as desk,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=FLAGS) as browser,
    ):
        ada, lin, omar = (log_in(browser, desk.url, account) for account in ("ada", "lin", "omar"))
        write(omar, "Ada Lovelace", "صباح الخير! Shall we meet at the library?")
        write(ada, "عمر الخيام", "At four, then. I bring the notes.", ("notes.txt", b"Note G"))
        write(lin, "Ada Lovelace", "周末见! The drawings are done, look.", ("a.txt", b"1"))
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


main()

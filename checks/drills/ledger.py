"""Browsers without pages, and a ledger of what the desk has told them that it has done.

A request without a response is repeated, as the page does, with the same id or key. What was
acknowledged is written down; after each round the ledger asks for all of it.
"""

import hashlib
import json
import os
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlencode

from desk import Desk
from desks import pause
from servers import until

ACCOUNTS = ("ada", "lin", "omar")
PATIENCE = 60  # seconds in which a request is acknowledged, however often it has to be repeated
FORM = "application/x-www-form-urlencoded"
Statuses = tuple[int, ...]


@dataclass
class Response:
    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Ledger:
    """What was acknowledged in this round, the sums of all rounds, and what must never be."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.calm = True  # no fault is on: nothing may be refused
        self.sums: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.new_round()

    def new_round(self) -> None:
        self.messages: dict[str, tuple[str, int]] = {}  # id: sender, its how manieth
        self.uploads: dict[str, str] = {}  # address: hash of the content
        self.logins: list[Browser] = []

    def add(self, what: str, count: int = 1) -> None:
        with self.lock:
            self.sums[what] += count

    def refused(self, request: str, why: str) -> None:
        """Count a request that has to be repeated; wrong if nothing is broken.

        Unless others keep this machine so busy that the app's time limits are reached.
        """
        self.add("refused")
        self.add(why)
        if self.calm and os.getloadavg()[0] < 3 * (os.cpu_count() or 1):
            self.wrong.append(f"{request}: {why} although nothing is broken")

    def judge(self, request: str, response: Response) -> None:
        """Write down a response that wasn't wanted."""
        status, start = response.status, response.body[:300]
        if status not in (429, 503, 507):
            self.wrong.append(f"{request}: {status} {start!r}")
            return
        self.refused(request, f"status {status}")
        phone = " /scan/" in request  # a person reads that, so it is no JSON
        code = b'"error_code": 1009' if status == 503 else b'"error_code":'
        if code not in response.body and not phone:
            self.wrong.append(f"{request}: a {status} without {code!r}: {start!r}")
        if status == 503 and not response.headers["Retry-After"]:
            self.wrong.append(f"{request}: a 503 without Retry-After")


class Browser:
    """A browser of *account* on the web process at *port*; it has at most one cookie."""

    def __init__(self, ledger: Ledger, port: int, account: str) -> None:
        self.ledger, self.port, self.account = ledger, port, account
        self.cookie = ""
        self.sent = 0

    def ask(self, method: str, path: str, body: bytes | str, kind: str) -> Response:
        headers = {"Cookie": self.cookie} | ({"Content-Type": kind} if body else {})
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body or None, headers)
            raw = connection.getresponse()
            response = Response(raw.status, raw.headers, raw.read())
        if found := re.search("desk=[^;]*", response.headers.get("Set-Cookie", "")):
            self.cookie = found[0]
        return response

    def insist(
        self,
        method: str,
        path: str,
        body: bytes | str = b"",
        kind: str = "application/json",
        *,
        wanted: Statuses = (200,),
        again: Statuses = (),
    ) -> Response:
        """Send a request until its status is *wanted*; a repetition may also get one of *again*.

        The ledger judges all other responses. TimeoutError: it was not acknowledged in time.
        """
        accepted, end = wanted, time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                response = self.ask(method, path, body, kind)
            except (OSError, HTTPException) as error:
                why = f"no response: {type(error).__name__}"
                self.ledger.refused(f"{method} {path}", why)
            else:
                if response.status in accepted:
                    return response
                self.ledger.judge(f"{method} {path}", response)
            accepted = wanted + again
            pause(0.05, 0.2)
        raise TimeoutError(f"{method} {path} of {self.account}: not within {PATIENCE} s")

    # What a person does

    def new_code(self) -> Any:
        return self.insist("POST", "/j/login/qr", wanted=(201,)).json()

    def confirm(self, uuid: str) -> None:
        """Confirm a code on a phone; 410 says that an earlier try, without a response, did."""
        form = urlencode({"account": self.account, "action": "confirm"})
        phone = Browser(self.ledger, self.port, self.account)
        phone.insist("POST", f"/scan/{uuid}", form, FORM, again=(410,))

    def log_in(self) -> "Browser":
        code = self.new_code()
        self.confirm(code["uuid"])
        body = json.dumps({"key": code["key"]})
        user = self.insist("POST", "/j/login", body).json()["user"]
        if user["account"] != self.account:
            self.ledger.wrong.append(f"{self.account} was logged in as {user}")
        return self

    def is_logged_in(self) -> bool:
        """Tell whether the cookie is that of this account; it's wrong if it isn't."""
        response = self.insist("GET", "/j/me", wanted=(200, 401))
        if response.status == 200 and response.json()["user"]["account"] == self.account:
            return True
        self.ledger.wrong.append(f"{self.account} was logged out: {response.body!r}")
        return False

    def log_out(self) -> None:
        """Log out; 401 says that an earlier try did. Then the old cookie is worth nothing."""
        cookie = self.cookie
        self.insist("POST", "/j/logout", again=(401,))
        self.cookie = cookie
        if self.insist("GET", "/j/me", wanted=(401, 200)).status == 200:
            self.ledger.wrong.append(f"{self.account} was still logged in after a logout")

    def wait_for_contacts(self) -> None:
        """Wait for the task of this login; ask for another one if the desk says there is none."""

        def ready() -> bool:
            me = self.insist("GET", "/j/me").json()
            if not me["ready"] and me["fetching"] is None:
                self.ledger.add("fetched again")
                self.insist("POST", "/j/contacts", wanted=(202,))
            return bool(me["ready"])

        until(ready, f"the contacts of {self.account}")

    def send(self, text: str = "", to: str = "") -> None:
        """Write to *to*, or to the other two accounts, with an id of our own; enter it."""
        self.sent += 1
        message = {
            "id": secrets.token_urlsafe(16),
            "recipients": [to] if to else [name for name in ACCOUNTS if name != self.account],
            "text": text or f"{self.account} {self.sent}",
            "attachment": None,
        }
        answer = self.insist("POST", "/j/messages", json.dumps(message), wanted=(201,)).json()
        if answer["message"]["id"] != message["id"]:
            self.ledger.wrong.append(f"message {message['id']} was acknowledged as {answer}")
        self.ledger.messages[str(message["id"])] = self.account, self.sent

    def read(self) -> list[dict[str, Any]]:
        """Return the messages that this account has sent and received."""
        found: list[dict[str, Any]] = self.insist("GET", "/j/messages").json()["messages"]
        return found

    def upload(self, content: bytes) -> None:
        """Upload a file and enter it in the ledger."""
        edge = secrets.token_hex(16)
        head = 'Content-Disposition: form-data; name="file"; filename="drill.bin"'
        body = f"--{edge}\r\n{head}\r\n\r\n".encode() + content + f"\r\n--{edge}--\r\n".encode()
        kind = f"multipart/form-data; boundary={edge}"
        answer = self.insist("POST", "/uploads", body, kind, wanted=(201,)).json()
        digest = hashlib.sha256(content).hexdigest()
        if not answer["filename"].startswith(digest):
            self.ledger.wrong.append(f"upload {digest} was acknowledged as {answer}")
        self.ledger.uploads[answer["url"]] = digest


class Stream(Thread):
    """An open page: it hears events, and after a cut it resumes with Last-Event-ID."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(daemon=True)
        self.browser, self.ledger = browser, browser.ledger
        self.who = f"a stream of {browser.account}"
        self.last_id = ""
        self.heard: list[str] = []  # ids of messages of this round
        self.opened = Event()  # the place to resume from is known
        self.closing = False
        self.connection: HTTPConnection | None = None

    def run(self) -> None:
        while not self.closing:
            try:
                self.listen()
            except (OSError, HTTPException, ValueError):  # ValueError: http.client, once closed
                pass
            except Exception as error:
                self.ledger.wrong.append(f"{self.who}: {error!r}")
            pause(0.02, 0.3)  # a page waits for two seconds

    def listen(self) -> None:
        """Hear events until the stream ends."""
        self.connection = HTTPConnection("127.0.0.1", self.browser.port, timeout=15)
        with closing(self.connection) as connection:
            headers = {"Cookie": self.browser.cookie}
            if self.last_id:
                headers["Last-Event-ID"] = self.last_id
            connection.request("GET", "/stream", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                answer = Response(response.status, response.headers, response.read())
                self.ledger.judge("GET /stream", answer)
                return
            event: dict[str, str] = {}
            while line := response.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                    continue
                self.last_id = event.get("id", self.last_id)
                if self.last_id:
                    self.opened.set()
                if "data" in event:
                    self.hear(event.get("event", "message"), json.loads(event["data"]))
                event = {}

    def hear(self, type: str, data: Any) -> None:
        if type == "message":
            self.heard.append(data["id"])
        elif type == "reset" or (type == "login" and data["type"] == "logged_out"):
            self.ledger.wrong.append(f"{self.who} heard {type} {data}")

    def cut(self) -> None:
        """End the connection, as a tunnel does with a telephone."""
        with suppress(OSError, AttributeError):
            self.connection.sock.shutdown(2)  # type: ignore[union-attr]

    def close(self) -> None:
        self.closing = True
        self.cut()


class Load:
    """Browsers of three accounts that log in, write, upload and listen, for as long as we like."""

    # Messages of each account in a round. All three hear all of them, and the desk keeps the last
    # 50 of an account: what is missing from that list has to be lost.
    most = 15

    def __init__(self, desk: Desk, streams: int = 9, ports: tuple[int, ...] = ()) -> None:
        """*ports*: further web processes; a browser may log in at one and go on at another."""
        self.desk, self.ledger, self.ports = desk, Ledger(), (desk.port, *ports)
        self.browsers = [Browser(self.ledger, desk.port, name) for name in ACCOUNTS * 3]
        self.streams = [Stream(self.browsers[number % 9]) for number in range(streams)]
        self.stop = Event()

    def __enter__(self) -> "Load":
        with ThreadPoolExecutor() as pool:
            list(pool.map(Browser.log_in, self.browsers))
            list(pool.map(Browser.wait_for_contacts, self.browsers))
        self.ledger.add("logins", len(self.browsers))
        for number, stream in enumerate(self.streams):
            stream.browser.port = self.ports[number % len(self.ports)]
            stream.start()
        for stream in self.streams:
            until(stream.opened.is_set, f"a stream ({self.ledger.wrong})")
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self.streams:
            stream.close()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Keep everybody busy until the end of the block; then wait for what is under way."""
        self.stop.clear()
        self.ledger.calm = False
        jobs = [self.upload, self.log_in, self.log_in]
        jobs += [partial(self.write, browser) for browser in self.browsers[:3]]
        with ThreadPoolExecutor(len(jobs)) as pool:
            pool.map(self.keep_doing, jobs)
            try:
                yield
            finally:
                self.stop.set()

    def keep_doing(self, job: Callable[[], None]) -> None:
        try:
            while not self.stop.wait(random.uniform(0.1, 0.3)):
                job()
        except Exception as error:
            self.ledger.wrong.append(f"{type(error).__name__}: {error}")

    def write(self, browser: Browser) -> None:
        senders = [sender for sender, _ in list(self.ledger.messages.values())]
        if senders.count(browser.account) < self.most:
            browser.send()

    def upload(self) -> None:
        random.choice(self.browsers).upload(random.randbytes(random.randint(1, 40_000)))

    def log_in(self) -> None:
        port, later = random.choices(self.ports, k=2)
        browser = Browser(self.ledger, port, random.choice(ACCOUNTS)).log_in()
        browser.port = later
        self.ledger.logins.append(browser)

    def wait_for_refusal(self, status: int) -> None:
        """Wait until the desk has refused one more request with *status*."""
        name = f"status {status}"
        before = self.ledger.sums[name]
        until(lambda: self.ledger.sums[name] > before, name)

    def cut_streams(self, seconds: float) -> None:
        """Cut one stream after the other; each resumes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            random.choice(self.streams).cut()
            pause(0, 0.06)

    # The end of a round

    def check(self) -> None:
        """Ask for all that was acknowledged in this round, and add it to the sums."""
        for browser in self.browsers:  # the desk works again; nobody was logged out
            browser.is_logged_in()
        self.ledger.calm = True
        self.check_events()
        self.check_messages()
        self.check_uploads()
        self.check_logins()
        self.ledger.new_round()

    def check_events(self) -> None:
        """Each message was heard once by every stream, those of one sender in their order."""
        messages = self.ledger.messages
        self.ledger.add("events", len(messages) * len(self.streams))
        end = time.monotonic() + 20
        for stream in self.streams:
            while messages.keys() - set(stream.heard) and time.monotonic() < end:
                time.sleep(0.02)
            heard, stream.heard = stream.heard, []
            self.count(stream.who, heard)
            if strange := set(heard) - messages.keys():
                self.ledger.wrong.append(f"{stream.who} heard {strange}, not of this round")
            known = [messages[id] for id in heard if id in messages]
            if sorted(known) != sorted(known, key=lambda message: message[0]):
                self.ledger.wrong.append(f"{stream.who} heard {known} in this order")

    def check_messages(self) -> None:
        """Each message is in the lists of its sender and of those that it was for, once."""
        self.ledger.add("messages", len(self.ledger.messages))
        for browser in self.browsers[:3]:
            ids = [message["id"] for message in browser.read()]
            self.count(f"the list of {browser.account}", ids)

    def count(self, where: str, found: list[str]) -> None:
        """Count the messages of this round that are not among *found*, or are there twice."""
        times, messages = Counter(found), self.ledger.messages
        lost = [messages[id] for id in messages if not times[id]]
        doubled = [messages[id] for id in messages if times[id] > 1]
        self.ledger.add("lost", len(lost))
        self.ledger.add("doubled", len(doubled))
        if lost or doubled:
            self.ledger.wrong.append(f"{where} ({len(found)}): {lost=}, {doubled=}")

    def check_uploads(self) -> None:
        for url, digest in self.ledger.uploads.items():
            self.ledger.add("uploads")
            response = self.browsers[0].insist("GET", url, wanted=(200, 404))
            if hashlib.sha256(response.body).hexdigest() != digest:
                self.ledger.add("lost")
                self.ledger.wrong.append(
                    f"upload {url} is {response.status} {response.body[:99]!r}"
                )

    def check_logins(self) -> None:
        """Each login holds, gets its contacts, and ends when it is asked to."""
        for browser in self.ledger.logins:
            self.ledger.add("logins")
            if not browser.is_logged_in():
                self.ledger.add("lost")
                continue
            browser.wait_for_contacts()
            browser.log_out()

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
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPMessage
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from desk import Desk
from desks import until

ACCOUNTS = ("ada", "lin", "omar")
PATIENCE = 60  # seconds in which a request is acknowledged, however often it has to be repeated
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Away(Exception):
    """There was no response: refused, cut off, or none within the time limit."""


def overloaded() -> bool:
    """Tell whether others keep this machine so busy that the app's time limits are reached."""
    return os.getloadavg()[0] > 3 * (os.cpu_count() or 1)


class Response:
    def __init__(self, status: int, headers: HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


class Ledger:
    """What was acknowledged in this round, the sums of all rounds, and what must never be."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
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

    def summary(self) -> str:
        return ", ".join(f"{count} {what}" for what, count in sorted(self.sums.items()))

    def blame(self, line: str) -> None:
        """Write down what must never be."""
        with self.lock:
            self.wrong.append(line)

    def judge(self, request: str, response: Response, wanted: tuple[int, ...]) -> None:
        """Write down a response that no client should get."""
        status, start = response.status, response.body[:300]
        if status in wanted:
            return
        if status not in (429, 503, 507):
            self.blame(f"{request}: {status} {start!r}")
            return
        self.add(f"status {status}")
        if self.calm and not overloaded():
            self.blame(f"{request}: {status} although nothing is broken")
        try:
            code = response.json()["error_code"]
        except (ValueError, LookupError, TypeError):
            code = None
        phone = " /scan/" in request  # a person reads that, so it is no JSON
        if status == 503 and (not response.headers["Retry-After"] or (code != 1009 and not phone)):
            self.blame(f"{request}: a 503 without code 1009 or Retry-After: {start!r}")
        if status in (429, 507) and code is None:
            self.blame(f"{request}: a {status} not in the API's format: {start!r}")

    def away(self, request: str, error: Exception) -> None:
        self.add("no response")
        if self.calm and not overloaded():
            self.blame(f"{request}: {error!r} although nothing is broken")


class Browser:
    """A browser of *account* on the web process at *port*; it has at most one cookie."""

    def __init__(self, ledger: Ledger, port: int, account: str) -> None:
        self.ledger, self.port, self.account = ledger, port, account
        self.cookie = ""
        self.sent = 0

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        wanted: tuple[int, ...] = (200,),
        seconds: float = 10,
    ) -> Response:
        """Send one request. The ledger judges the response unless its status is *wanted*."""
        request = f"{method} {path}"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, self.headers() | (headers or {}))
            raw = connection.getresponse()
            endless = raw.headers.get_content_type() == "text/event-stream"
            response = Response(raw.status, raw.headers, b"" if endless else raw.read())
        except (OSError, HTTPException) as error:
            self.ledger.away(request, error)
            raise Away(request) from error
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie") or []:
            if found := re.match("(desk=[^;]*)", cookie):
                self.cookie = found[1]
        self.ledger.judge(request, response, wanted)
        return response

    def headers(self) -> dict[str, str]:
        return {"Cookie": self.cookie} if self.cookie else {}

    def insist(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        wanted: tuple[int, ...] = (200,),
        again: tuple[int, ...] = (),
    ) -> Response:
        """Send a request until its status is *wanted*; a repetition may also get one of *again*.

        TimeoutError: it was not acknowledged in time.
        """
        accepted = wanted
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(Away):
                response = self.ask(method, path, body, headers, accepted)
                if response.status in accepted:
                    return response
            accepted = wanted + again
            time.sleep(random.uniform(0.05, 0.2))
        raise TimeoutError(f"{method} {path} of {self.account}: not within {PATIENCE} s")

    # What a person does

    def new_code(self) -> Any:
        return self.insist("POST", "/j/login/qr", wanted=(201,)).json()

    def confirm(self, uuid: str) -> None:
        """Confirm a code on a phone; 410 says that an earlier try, without a response, did."""
        form = urlencode({"account": self.account, "action": "confirm"}).encode()
        phone = Browser(self.ledger, self.port, self.account)
        phone.insist("POST", f"/scan/{uuid}", form, FORM, again=(410,))

    def take_up(self, key: str) -> None:
        body = json.dumps({"key": key}).encode()
        user = self.insist("POST", "/j/login", body, JSON).json()["user"]
        if user["account"] != self.account:
            self.ledger.blame(f"{self.account} was logged in as {user}")

    def log_in(self) -> "Browser":
        code = self.new_code()
        self.confirm(code["uuid"])
        self.take_up(code["key"])
        return self

    def is_logged_in(self) -> bool:
        """Tell whether the cookie is that of this account; one that is not is also blamed."""
        response = self.insist("GET", "/j/me", wanted=(200, 401))
        if response.status == 401:
            self.ledger.blame(f"{self.account} was logged out")
            return False
        return bool(response.json()["user"]["account"] == self.account)

    def log_out(self) -> None:
        """Log out; 401 says that an earlier try did. Then the old cookie is worth nothing."""
        cookie = self.cookie
        self.insist("POST", "/j/logout", again=(401,))
        self.cookie = cookie
        if self.insist("GET", "/j/me", wanted=(401, 200)).status == 200:
            self.ledger.blame(f"{self.account} was still logged in after a logout")

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
        id, others = secrets.token_urlsafe(16), [name for name in ACCOUNTS if name != self.account]
        text = text or f"{self.account} {self.sent}"
        message = {"id": id, "recipients": [to] if to else others, "text": text}
        body = json.dumps(message | {"attachment": None}).encode()
        answer = self.insist("POST", "/j/messages", body, JSON, wanted=(201,)).json()
        if answer["message"]["id"] != id:
            self.ledger.blame(f"message {id} was acknowledged as {answer}")
        self.ledger.messages[id] = self.account, self.sent

    def read(self) -> list[dict[str, Any]]:
        """Return the messages that this account has sent and received."""
        found: list[dict[str, Any]] = self.insist("GET", "/j/messages").json()["messages"]
        return found

    def upload(self, content: bytes) -> None:
        """Upload a file and enter it in the ledger."""
        edge = secrets.token_hex(16).encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge.decode()}"}
        disposition = b'Content-Disposition: form-data; name="file"; filename="drill.bin"'
        body = b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (edge, disposition, content, edge)
        answer = self.insist("POST", "/uploads", body, kind, wanted=(201,)).json()
        digest = hashlib.sha256(content).hexdigest()
        if not answer["filename"].startswith(digest):
            self.ledger.blame(f"upload {digest} was acknowledged as {answer}")
        self.ledger.uploads[answer["url"]] = digest


class Stream(Thread):
    """An open page: it hears events, and after a cut it resumes with Last-Event-ID."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(daemon=True)
        self.browser, self.ledger = browser, browser.ledger
        self.last_id = ""
        self.heard: list[str] = []  # ids of messages of this round
        self.others: list[tuple[str, Any]] = []  # events that are no messages
        self.opened = threading.Event()  # the place to resume from is known
        self.closing = False
        self.connection: HTTPConnection | None = None

    def run(self) -> None:
        while not self.closing:
            try:
                self.listen()
            except (OSError, HTTPException, ValueError):  # ValueError: http.client, once closed
                pass
            except Exception as error:
                self.ledger.blame(f"a stream of {self.browser.account}: {error!r}")
            time.sleep(random.uniform(0.02, 0.3))  # a page waits for two seconds

    def listen(self) -> None:
        """Hear events until the stream ends."""
        self.connection = HTTPConnection("127.0.0.1", self.browser.port, timeout=15)
        with closing(self.connection) as connection:
            mark = {"Last-Event-ID": self.last_id} if self.last_id else {}
            connection.request("GET", "/stream", headers=self.browser.headers() | mark)
            response = connection.getresponse()
            if response.status != 200:
                answer = Response(response.status, response.headers, response.read())
                self.ledger.judge("GET /stream", answer, (200,))
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
        else:
            self.others.append((type, data))
        if type == "reset":
            self.ledger.blame(f"a stream of {self.browser.account} was reset")
        if type == "login" and data["type"] == "logged_out":
            self.ledger.blame(f"a stream of {self.browser.account} was logged out")

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
        """*ports*: further web processes, where every second browser goes after its login."""
        self.desk, self.ledger, self.ports = desk, Ledger(), (desk.port, *ports)
        self.browsers = [Browser(self.ledger, desk.port, name) for name in ACCOUNTS * 3]
        self.how_many = streams
        self.streams: list[Stream] = []
        self.stop = threading.Event()

    def __enter__(self) -> "Load":
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.prepare, self.browsers))
        for number, browser in enumerate(self.browsers):
            browser.port = self.ports[number % len(self.ports)]
        for number in range(self.how_many):
            self.streams.append(Stream(self.browsers[number % len(self.browsers)]))
            self.streams[-1].start()
        for stream in self.streams:
            until(stream.opened.is_set, f"a stream ({self.ledger.wrong})")
        return self

    def prepare(self, browser: Browser) -> None:
        browser.log_in()
        browser.wait_for_contacts()
        self.ledger.add("logins")

    def __exit__(self, *error: object) -> None:
        for stream in self.streams:
            stream.close()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Keep everybody busy until the end of the block; then wait for what is under way."""
        self.stop.clear()
        self.ledger.calm = False
        jobs: list[Callable[[], None]] = [self.upload, self.log_in, self.log_in]
        jobs += [lambda browser=browser: self.write(browser) for browser in self.browsers[:3]]  # type: ignore[misc]
        threads = [Thread(target=self.attempt, args=(job,), daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(3 * PATIENCE)

    def attempt(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self.ledger.blame(f"{type(error).__name__}: {error}")

    def write(self, browser: Browser) -> None:
        for _ in range(self.most):
            browser.send()
            if self.stop.wait(random.uniform(0.05, 0.3)):
                return

    def upload(self) -> None:
        while not self.stop.wait(random.uniform(0.1, 0.4)):
            random.choice(self.browsers).upload(random.randbytes(random.randint(1, 40_000)))

    def log_in(self) -> None:
        number = 0
        while not self.stop.wait(random.uniform(0.1, 0.4)):
            number += 1
            port = self.ports[number % len(self.ports)]
            browser = Browser(self.ledger, port, random.choice(ACCOUNTS)).log_in()
            browser.port = self.ports[(number + 1) % len(self.ports)]
            self.ledger.logins.append(browser)

    def wait_for_refusal(self, status: int) -> None:
        """Wait until the desk has refused one more request with *status*."""
        before = self.ledger.sums[f"status {status}"]
        until(lambda: self.ledger.sums[f"status {status}"] > before, f"status {status}")

    def cut_streams(self, seconds: float) -> None:
        """Cut one stream after the other; each resumes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            random.choice(self.streams).cut()
            time.sleep(random.uniform(0, 0.06))

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
        end = time.monotonic() + 20
        for stream in self.streams:
            while messages.keys() - set(stream.heard) and time.monotonic() < end:
                time.sleep(0.02)
            heard, stream.heard = stream.heard, []
            who = f"a stream of {stream.browser.account}"
            self.ledger.add("events", len(messages))
            self.count(who, messages.keys(), heard)
            for id in set(heard) - messages.keys():
                self.ledger.blame(f"{who} heard {id}, which is not of this round")
            for sender in ACCOUNTS:
                known = [messages[id] for id in heard if id in messages]
                own = [number for name, number in known if name == sender]
                if own != sorted(own):
                    self.ledger.blame(f"{who} heard {sender}'s messages as {own}")

    def check_messages(self) -> None:
        """Each message is in the lists of its sender and of those that it was for, once."""
        self.ledger.add("messages", len(self.ledger.messages))
        for browser in self.browsers[:3]:
            ids = [message["id"] for message in browser.read()]
            self.count(f"the list of {browser.account}", self.ledger.messages.keys(), ids)

    def count(self, where: str, wanted: Any, found: list[str]) -> None:
        """Count what of *wanted* is not among *found*, or is there twice."""
        lost = [id for id in wanted if id not in found]
        doubled = [id for id, times in Counter(found).items() if times > 1 and id in wanted]
        self.ledger.add("lost", len(lost))
        self.ledger.add("doubled", len(doubled))
        for what, ids in ("not in", lost), ("twice in", doubled):
            if ids:
                who = [self.ledger.messages.get(id, id) for id in ids]
                self.ledger.blame(f"{who} {what} {where}, which has {len(found)}")

    def check_uploads(self) -> None:
        for url, digest in self.ledger.uploads.items():
            self.ledger.add("uploads")
            response = self.browsers[0].insist("GET", url, wanted=(200, 404))
            if hashlib.sha256(response.body).hexdigest() != digest:
                self.ledger.add("lost")
                self.ledger.blame(f"upload {url} is {response.status} {len(response.body)} bytes")

    def check_logins(self) -> None:
        """Each login holds, gets its contacts, and ends when it is asked to."""
        for browser in self.ledger.logins:
            self.ledger.add("logins")
            if not browser.is_logged_in():
                self.ledger.add("lost")
                continue
            browser.wait_for_contacts()
            browser.log_out()

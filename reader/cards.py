"""Run a card: send its requests to both versions, and say what came back and what differs."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comparing
import curl
from comparing import Comparison
from contents import Chapter
from curl import Refused, Request
from pages import Card, Exchange, Side, Verdict
from running import Answer, NotRunning, Runner

# What a browser sets by itself, or what belongs to curl.
NOT_FOR_PAGES = {"host", "user-agent", "accept", "origin", "content-length", "cookie"}


@dataclass(frozen=True)
class Sent:
    """A request that was sent to one version, and what came back."""

    version: str
    request: Request
    answer: Answer
    printed: str  # what curl would print, with the ports of the book
    expected: str | None  # what the transcript says; None: the request was edited

    @property
    def agrees(self) -> bool:
        return self.expected is not None and comparing.agrees(self.expected, self.printed)

    @property
    def url(self) -> str:
        return f"http://{self.request.host}:{self.request.port}{self.request.target}"

    @property
    def text(self) -> str:
        return self.answer.body.decode("utf-8", errors="replace").strip()

    @property
    def opens(self) -> str:
        """Return what a tab can open: where the answer points to, or itself if it's a file."""
        base = f"http://{self.request.host}:{self.request.port}"
        value = comparing.json_of(self.answer)
        created = isinstance(value, dict) and self.answer.status == 201
        link = value.get("url") if created else None
        target = next(iter(self.answer.values("Location")), link)
        if isinstance(target, str) and re.match(r"/(?!/)", target):
            return base + target
        if isinstance(target, str) and target.startswith(f"{base}/"):
            return target
        is_page = self.request.method == "GET" and self.answer.status == 200 and value is None
        return self.url if is_page else ""


@dataclass(frozen=True)
class Outcome:
    """One side of a card after its requests: the verdict if the answers agree, or what's wrong."""

    version: str
    port: int
    verdict: Verdict | None
    edited: bool
    sent: list[Sent] = field(default_factory=list)
    problem: str = ""

    @property
    def disagrees(self) -> bool:
        return not self.edited and not all(one.agrees for one in self.sent)

    @property
    def expected(self) -> str:
        return "".join(f"{one.expected}" for one in self.sent if not one.agrees)

    @property
    def printed(self) -> str:
        return "".join(one.printed for one in self.sent if not one.agrees)


@dataclass(frozen=True)
class Group:
    """The same request of one or two sides: who sent it, and the rows of the comparison."""

    sent: list[Sent]
    comparison: Comparison
    fetch: str  # JSON for a page that sends the request itself, or nothing
    origin: str

    @property
    def brief(self) -> bool:
        """Tell whether a line is enough: the transcript shows no headers, and there's no log."""
        plain = not any(one.request.include or one.answer.log for one in self.sent)
        return plain and not self.fetch


@dataclass(frozen=True)
class Result:
    outcomes: list[Outcome]
    groups: list[Group]


def run(card: Card, chapter: Chapter, runner: Runner, edited: dict[str, Any] | None) -> Result:
    """Send the card's requests, or the *edited* ones (commands by version), and compare them."""
    outcomes = [outcome(side, chapter, runner, edited) for side in card.sides]
    columns = [one.sent for one in outcomes if not one.problem]
    plain = same_port(chapter)
    groups = []
    for sent in comparing.in_turn(columns):
        expected = [one.expected or "" for one in sent]
        comparison = comparing.compare([one.answer for one in sent], expected, plain)
        origin = sent[0].request.header("Origin")
        fetch = json.dumps({one.version: page_request(one.request) for one in sent})
        pages_own = [f"http://{host}:{chapter.ports.reader}" for host in ("127.0.0.1", "localhost")]
        groups.append(Group(sent, comparison, fetch if origin in pages_own else "", origin))
    return Result(outcomes, groups)


def same_port(chapter: Chapter) -> Callable[[str], str]:
    """Return a function that takes out what differs only because each version has its own port."""
    ports = f"{chapter.ports.ours}|{chapter.ports.article}"
    return lambda text: re.sub(rf":(?:{ports})\b", f":{chapter.ports.ours}", text)


def outcome(side: Side, chapter: Chapter, runner: Runner, edited: dict[str, Any] | None) -> Outcome:
    port = chapter.ports.ours if side.version == "ours" else chapter.ports.article
    found = side.exchanges
    if edited is not None:
        text = str(edited.get(side.version) or edited.get("both") or "")
        if "both" in edited:  # it's written with the port of ours
            text = text.replace(f":{chapter.ports.ours}", f":{port}")
        found = [Exchange(command, "") for command in split(text)]
    sent: list[Sent] = []
    problem = ""
    try:
        requests = [curl.parse(chapter.ports.live(one.command)) for one in found]
        for request in requests:
            if request.port != port:
                raise Refused(f"only requests to port {port}, where this version is")
        if not requests:
            raise Refused("there is no command")
        for one, request in zip(found, requests, strict=True):
            answer = runner.version(chapter.number, side.version).send(request)
            text = curl.output(request, answer.head, answer.status, answer.body)
            printed = chapter.ports.book(text)
            expected = None if edited is not None else one.printed
            sent.append(Sent(side.version, request, answer, printed, expected))
    except Refused as error:
        problem = f"The reader can't send this: {error}."
    except NotRunning as error:
        problem = str(error)
    return Outcome(side.version, port, side.verdict, edited is not None, sent, problem)


def split(text: str) -> list[str]:
    """Return the commands in an edited text: one a line, unless a backslash continues it."""
    return [one for one in re.split(r"(?<!\\)\n", text.replace("\r", "")) if one.strip()]


def page_request(request: Request) -> dict[str, Any]:
    """Return what a page passes to ``fetch`` to send the same request.

    For a preflight it's the request that the browser would send one for.
    """
    headers = {
        name: value
        for name, value in request.headers
        if name.lower() not in NOT_FOR_PAGES and not name.lower().startswith("access-control-")
    }
    method, body = request.method, request.body.decode("utf-8", errors="replace")
    if method == "OPTIONS" and request.header("Access-Control-Request-Method"):
        method = request.header("Access-Control-Request-Method")
        for name in request.header("Access-Control-Request-Headers").split(","):
            if name.strip():
                headers[name.strip()] = (
                    "application/json" if "type" in name.lower() else "Basic Og=="
                )
    values: dict[str, Any] = {"method": method, "headers": headers}
    values["credentials"] = "include" if request.credentials else "omit"
    if body and method not in ("GET", "HEAD"):
        values["body"] = body
    return {"url": f"http://{request.host}:{request.port}{request.target}", "options": values}


def script_hash(html: str) -> str:
    """Return the SHA-256 of the script in *html*, as a Content-Security-Policy names it."""
    script = html.partition("<script>")[2].partition("</script>")[0]
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

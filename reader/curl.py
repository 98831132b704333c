"""A curl command of the book as a request, without a shell, and an answer as curl would print it.

What's understood: one curl with ``-i -s -I -X -H --json -d -F -o -w -b --path-as-is`` and one URL;
``printf '...' |`` or ``head -c N /dev/zero |`` before it; ``| grep`` behind it. Everything else is
refused with a message, because a command that is only half understood would show a wrong answer.
See https://curl.se/docs/manpage.html.
"""

import argparse
import re
import shlex
from dataclasses import dataclass, field
from posixpath import normpath
from typing import NoReturn
from urllib.parse import quote, urlsplit

BOUNDARY = "------------------------2f1d8a9c6b3e4705"  # without quotes in the header, as curl's
MAX_BODY = 64 * 1024 * 1024  # bytes
# The types that curl knows by a file's ending; other parts of what it reads have no type.
TYPES = {
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".htm": "text/html",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".xml": "application/xml",
}
ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "0": b"\0", "\\": b"\\", '"': b'"'}


class Refused(ValueError):
    """A command, or a part of one, that isn't understood here. The message says which."""


@dataclass(frozen=True)
class Request:
    """A request, and what curl and the grep behind it do with the answer."""

    method: str
    host: str
    port: int
    target: str  # path and query, as they're sent
    headers: list[tuple[str, str]]
    body: bytes
    include: bool = False  # print status line and headers
    discard: bool = False  # don't print the body
    write_out: str = ""
    filters: list[argparse.Namespace] = field(default_factory=list)
    credentials: bool = False  # -b: a page that sends this request brings its cookies

    def header(self, name: str) -> str:
        """Return the value of a header, or nothing if the request doesn't have it."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(f"{self.prog}: {message}")


CURL = Parser("curl", add_help=False, allow_abbrev=False)
CURL.add_argument("-i", "--include", action="store_true")
CURL.add_argument("-s", "--silent", action="store_true")
CURL.add_argument("-I", "--head", action="store_true")
CURL.add_argument("--path-as-is", action="store_true")
CURL.add_argument("-X", "--request")
CURL.add_argument("-H", "--header", action="append", default=[])
CURL.add_argument("-d", "--data", action="append")
CURL.add_argument("--json", action="append", default=[])
CURL.add_argument("-F", "--form", action="append", default=[])
CURL.add_argument("-b", "--cookie", default="")
CURL.add_argument("-o", "--output", choices=["/dev/null"])
CURL.add_argument("-w", "--write-out", default="")
CURL.add_argument("url")

GREP = Parser("grep", add_help=False, allow_abbrev=False)
GREP.add_argument("-e", dest="patterns", action="append")
GREP.add_argument("pattern", nargs="?")


def words(command: str) -> list[list[str]]:
    """Return the words of each command of a pipeline. Refused: it needs a shell."""
    text = re.sub(r"\\\n", "", command)
    for part in re.findall(r"'[^']*'|\\.|[^'\\]+", text):
        if not part.startswith(("'", "\\")) and re.search(r"\$|`", part):
            raise Refused("variables and $() need a shell; the reader has none")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        found = list(lexer)
    except ValueError as error:
        raise Refused(f"not a complete command: {error}") from None
    pipeline: list[list[str]] = [[]]
    for word in found:
        if word == "|":
            pipeline.append([])
        elif re.fullmatch(r"[();<>|&]+", word):
            raise Refused(f"{word} needs a shell; the reader has none")
        else:
            pipeline[-1].append(word)
    return pipeline


def unescaped(text: str) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        code = match[1].decode()
        if code.startswith("x"):
            return bytes([int(code[1:], 16)])
        return ESCAPES[code]

    if "%" in text.replace("%%", ""):
        raise Refused("printf: only a text without %s and the like")
    plain = text.replace("%%", "%").encode()
    return re.sub(rb'\\(x[0-9a-fA-F]{2}|[ntr0\\"])', character, plain)


def produced(command: list[str]) -> bytes:
    """Return what the command before curl prints. Refused: it's neither printf nor head."""
    match command:
        case ["printf", text]:
            return unescaped(text)
        case ["head", "-c", count, "/dev/zero"] if count.isdecimal() and int(count) <= MAX_BODY:
            return bytes(int(count))
    raise Refused(f"before curl, only printf '...' or head -c N /dev/zero, not {command[:1]}")


def form_part(field_text: str, stdin: bytes) -> bytes:
    name, equals, value = field_text.partition("=")
    if not equals:
        raise Refused(f"-F {field_text}: write name=value")
    value, *options = value.split(";")
    extra = dict(option.strip().partition("=")[::2] for option in options)
    if extra.keys() - {"filename", "type"}:
        raise Refused(f"-F {field_text}: only ;filename= and ;type= are understood")
    content, filename = value.encode(), extra.get("filename")
    if value.startswith("@") or value.startswith("<"):
        if value != "@-":
            raise Refused(f"-F {field_text}: the reader sends no files of yours; use file=@-")
        content, filename = stdin, filename or "-"
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += '; filename="{}"'.format(filename.replace('"', "%22"))
        ending = "." + filename.lower().rpartition(".")[2]
        extra.setdefault("type", TYPES.get(ending, ""))
    if extra.get("type"):
        head += f"\r\nContent-Type: {extra['type']}"
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def data(values: list[str], stdin: bytes, joint: bytes) -> bytes:
    found = []
    for value in values:
        if value.startswith("@") and value != "@-":
            raise Refused(f"-d {value}: the reader sends no files of yours; use @- or the text")
        found.append(stdin if value == "@-" else value.encode())
    return joint.join(found)


def body_of(options: argparse.Namespace, stdin: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the body that the options ask for, and the headers that come with it."""
    if bool(options.data) + bool(options.json) + bool(options.form) > 1:
        raise Refused("only one kind of -d, --json and -F in a command")
    if options.form:
        parts = b"".join(form_part(text, stdin) for text in options.form)
        body = parts + f"--{BOUNDARY}--\r\n".encode()
        return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    if options.json:
        kind = "application/json"
        return data(options.json, stdin, b""), {"Content-Type": kind, "Accept": kind}
    if options.data is not None:
        stripped = re.sub(rb"[\r\n\0]", b"", stdin)  # curl does so in what -d reads from a file
        body = data(options.data, stripped, b"&")
        return body, {"Content-Type": "application/x-www-form-urlencoded"}
    return b"", {}


def headers_of(
    options: argparse.Namespace, host: str, own: dict[str, str]
) -> list[tuple[str, str]]:
    """Return the headers to send: curl's own, unless an option gives or removes one."""
    headers = {"Host": host, "User-Agent": "curl/8.7.1", "Accept": "*/*"} | own
    if "=" in options.cookie:
        headers["Cookie"] = options.cookie
    given = []
    for text in options.header:
        name, separator, value = text.partition(":")
        if not separator:
            raise Refused(f"-H {text}: write 'Name: value'")
        headers = {key: kept for key, kept in headers.items() if key.lower() != name.lower()}
        if value.strip():
            given.append((name, value.strip()))
    return [*headers.items(), *given]


def target_of(url: str, as_is: bool) -> str:
    """Return path and query; dots are taken out of the path as curl does it (RFC 3986, 5.2.4)."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if not as_is and re.search(r"/\.\.?(/|$)", path):
        slash = "/" if path.endswith(("/", "/.", "/..")) else ""
        path = f"{normpath(path).rstrip('/')}{slash}" or "/"
    query = f"?{parts.query}" if "?" in url else ""
    return quote(path + query, safe="%/:?#[]@!$&'()*+,;=~^|{}\"<>\\`")


def filter_of(command: list[str]) -> argparse.Namespace:
    if command[:1] != ["grep"]:
        raise Refused(f"behind curl, only grep, not {' '.join(command[:1])}")
    options = GREP.parse_args(command[1:])
    options.patterns = options.patterns or ([options.pattern] if options.pattern else [])
    if not options.patterns:
        raise Refused("grep: what for?")
    return options


def parse(command: str) -> Request:
    """Return the request that *command* makes. Refused: it says something not understood here."""
    first, *rest = words(command)
    stdin = b""
    if first[:1] != ["curl"]:
        if not rest:
            raise Refused(f"only curl commands, not {' '.join(first[:1])}")
        stdin = produced(first)
        first, *rest = rest
    if first[:1] != ["curl"]:
        raise Refused(f"only curl behind {' '.join(words(command)[0][:1])}")
    filters = [filter_of(one) for one in rest]
    options = CURL.parse_args(first[1:])

    body, own = body_of(options, stdin)
    match = re.match(r"http://(127\.0\.0\.1|localhost):(\d{1,5})(?=[/?]|$)", options.url)
    if not match or "#" in options.url:
        raise Refused(f"{options.url}: only http://127.0.0.1 or localhost, a port and a path")
    if unknown := set(re.findall(r"%\{\w+\}", options.write_out)) - {"%{http_code}"}:
        raise Refused(f"-w: {unknown.pop()} isn't understood here")
    method = options.request or ("HEAD" if options.head else "POST" if own else "GET")
    if not re.fullmatch(r"[A-Za-z-]{1,20}", method):
        raise Refused(f"-X {method}: not a method")
    headers = headers_of(options, f"{match[1]}:{match[2]}", own)
    if any(re.search(r"[\r\n\0]", text) for header in headers for text in header):
        raise Refused("-H: a header is one line")
    return Request(
        method,
        match[1],
        int(match[2]),
        target_of(options.url, options.path_as_is),
        headers,
        body,
        options.include or options.head,
        options.output is not None,
        options.write_out,
        filters,
        options.cookie != "",
    )


def kept(line: str, options: argparse.Namespace) -> bool:
    def swapped(match: re.Match[str]) -> str:  # with a backslash, grep's are what ours are without
        return match[1] if match[0] != match[1] else f"\\{match[1]}"

    patterns = [re.sub(r"\\?([+?(){}|])", swapped, pattern) for pattern in options.patterns]
    return bool(re.search("|".join(patterns), line))


def output(request: Request, head: str, status: int, body: bytes) -> str:
    """Return what the command would have printed; *head* is status line and headers, by lines."""
    text = ""
    if request.include and not request.discard:
        text = head.rstrip("\n") + "\n\n"
    if not request.discard and request.method != "HEAD":
        text += body.decode("utf-8", errors="replace").replace("\r", "")
    written = request.write_out.replace("%{http_code}", f"{status:03}")
    text += unescaped(written).decode() if written else ""
    for options in request.filters:
        text = "".join(f"{line}\n" for line in text.splitlines() if kept(line, options))
    return text

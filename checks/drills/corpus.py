"""Good requests of each chapter, and what to change them with: odd pieces, headers and bodies."""

import json

# What errors look like: the keys that they need, those that they may have, and under which paths
# all of them are like that. (In chapter 04, those that Werkzeug raises are still HTML.)
CODED = {"error_code", "msg", "request"}
WITH_MORE = CODED | {"request_id", "errors"}
FORMATS: dict[str, tuple[set[str], set[str], tuple[str, ...]]] = {
    "03": ({"r", "msg"}, {"r", "msg"}, ("/j/",)),
    "04": (CODED, CODED, ()),
    "05": (CODED, WITH_MORE, ("/j/", "/v1/")),
    "06": (CODED, WITH_MORE, ("/j/", "/uploads/", "/stream/")),
}
# These are a 500 on purpose. They aren't among the requests below, so no mutation of those is.
BROKEN = [("GET", "/j/boom"), ("HEAD", "/j/boom"), ("POST", "/j/sync")]
# What each chapter answers with 200.
WELL = {
    "01": "GET /contacts",
    "02": "GET /j/echo/",
    "03": "GET /j/users",
    "04": "GET /j/users/1",
    "05": "GET /j/users/Ada",
    "06": "GET /",
}

JSON_BOMBS = [
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"1" * 5000,
    b"-1e999",
    b"NaN",
    b'"\\ud800"',
    b'{"type": "email", "type": []}',
    b"\xff",
    b"\xef\xbb\xbf{}",
    b"x" * 2**19,
]


# Good requests. Those to chapter 06 have stand-ins for what differs from run to run. KEY is as long
# as a real key, so that the length of its body is right.

LOGIN = b"the-cookie-of-a-login"
LEAVING = b"the-cookie-of-one-that-may-end"
CODE = b"the-uuid-of-a-code".ljust(32, b"0")
KEY = b"the-key-of-a-code".ljust(43, b"0")
FILE = "/uploads/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.txt"


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request; *line* is its method and its target."""
    lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def with_json(line: str, value: object, *headers: str) -> bytes:
    body = json.dumps(value).encode()
    return request(line, "Content-Type: application/json", *headers, body=body)


def with_file(*headers: str, name: str = "hello.txt") -> bytes:
    body = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nhello\n'
    form = "Content-Type: multipart/form-data; boundary=b"
    return request("POST /uploads", form, *headers, body=f"{body}\r\n--b--\r\n".encode())


FILES = [
    request("GET /", "Accept: text/html", "Accept-Encoding: gzip", "User-Agent: Mozilla/5.0"),
    request("GET /nothing/here", "Accept: application/json"),
    request(f"GET {FILE}", 'If-None-Match: "x"', "Range: bytes=0-3"),
    request(f"HEAD {FILE}"),
    request(f"DELETE {FILE}"),
    request("GET /uploads/nothing.txt"),
    request("OPTIONS /uploads", "Origin: http://127.0.0.1", "Access-Control-Request-Method: POST"),
]
ECHO = [
    request("GET /j/echo/?a=1&b=2", "Origin: http://127.0.0.1", "Cookie: a=1; b=2"),
    request("POST /j/echo/", "Content-Type: text/plain", body=b"hello"),
    with_json("PUT /j/echo/", {"a": [1, None, "é"]}),
    request("OPTIONS /j/echo/", "Origin: http://127.0.0.1", "Access-Control-Request-Method: PUT"),
    request("POST /j/echo/", "Content-Type: application/x-www-form-urlencoded", body=b"a=1&b=%20"),
    request("GET /files/versions.txt", "Origin: http://127.0.0.1:8100"),
]
CONTACTS = [
    request("GET /j/users", "Accept: application/json"),
    request("GET /j/users/1"),
    request("HEAD /j/users/99"),
    request("DELETE /j/users/1"),
    request("GET /j/settings"),
    request("GET /j/nothing"),
]
CLIENT = {"type": "email", "account": "a@b.example", "secret": "long enough", "nickname": "Ada"}
CLIENTS = [
    with_json("POST /v1/client/register", CLIENT),
    with_json("POST /v1/client/register", CLIENT | {"type": "mobile", "account": "+15551234567"}),
    request("POST /v1/client/sms", "X-Request-ID: abc"),
]
COOKIE = f"Cookie: desk={LOGIN.decode()}"
DESK = [
    request("GET /j/me", COOKIE),
    request("GET /j/me"),
    request("POST /j/login/qr"),
    request(f"GET /j/login/qr/{CODE.decode()}"),
    request(f"GET /j/login/qr/{CODE.decode()}.svg"),
    request(f"GET /scan/{CODE.decode()}", "Accept-Language: en"),
    request(
        f"POST /scan/{CODE.decode()}",
        "Content-Type: application/x-www-form-urlencoded",
        body=b"account=ada&action=confirm",
    ),
    with_json("POST /j/login", {"key": KEY.decode()}),
    request("GET /j/users?q=a&page=1&per_page=20", COOKIE),
    request("GET /j/groups?page=2", COOKIE),
    request("POST /j/contacts", COOKIE),
    with_json(
        "POST /j/messages",
        {"id": "a-message-of-mine", "recipients": ["lin"], "text": "你好", "attachment": None},
        COOKIE,
    ),
    with_json("POST /j/messages", {"recipients": ["lin", "ada-friend-5"], "text": "hello"}, COOKIE),
    request("GET /j/messages", COOKIE),
    with_file(COOKIE),
    with_file(),
    request("GET /stream?last_event_id=1", COOKIE, "Accept: text/event-stream"),
    request("GET /stream", COOKIE, "Last-Event-ID: 1-0"),
    request("POST /j/logout", f"Cookie: desk={LEAVING.decode()}"),
    request("GET /static/page.js"),
]
UPLOADS = [with_file(), with_file(name="报告.html")]
GOOD = {
    "01": [*FILES, *UPLOADS, request("GET /contacts")],
    "02": ECHO,
    "03": CONTACTS,
    "04": CONTACTS + CLIENTS,
    "05": [*CONTACTS, request("GET /j/users/Ada", "X-Request-ID: abc"), request("GET /nope")],
    "06": FILES + DESK,
}


# Odd pieces

PIECES = [
    *[b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff"],
    *b"% %00 %ff %0d%0a %2e%2e%2f ../ // \\ ' \" ; , : = & ? # @ [ ] { --b --b-- -1 0 1e9".split(),
    *[b"9" * 30, b"x" * 300, b"x" * 9000, "é🎉".encode(), "٣".encode()],
]
METHODS = b"GET POST PUT PATCH DELETE HEAD OPTIONS TRACE CONNECT PROPFIND get GE+T G\xff".split()
TARGETS = [
    *b"* // //[ /[ ? # /% /%zz /%00 /\xff http://[::1 http://a/j/users http://a:b@c/ a:80".split(),
    *b"/j /j/ /j// /j/%ff /j/../j/users /j/./users /J/users /j/users/ /j/users;a=b".split(),
    *b"/j/users/-1 /j/users/0 /j/users/%D9%A3 /j/users/1e3 /j/users/1/block/ /j/login/qr/x".split(),
    *b"/uploads /uploads/ /uploads/.. /uploads/../app.py /uploads/%2e%2e/app.py".split(),
    *b"/uploads/..%5capp.py /uploads//etc/passwd /uploads/%00 /uploads/a%00.txt".split(),
    *b"/static/ /static/..%2fapp.py /static/%00 /source/ /source/%00.py /source/..%2fa.py".split(),
    *b"/?q=%ff /?%00=%00 /?page=-1 /j/users?page=1e9&per_page=0 /stream?last_event_id=x".split(),
    *[b"/j/users/" + b"9" * 400, b"/uploads/" + b"x" * 5000, b"/" + b"a/" * 2000],
    *[b"/?" + b"a=b&" * 2000, b"/" + b"x" * 70_000, "/用户".encode(), b"/a b"],
]
VERSIONS = b"HTTP/0.9 HTTP/1.0 HTTP/1.2 HTTP/2.0 HTTP/9.9 HTTP/1 http/1.1 HTTP/1.1.1 X/1.1".split()

DATES = [
    b"x",
    b"Sat, 99 Nov 2026 99:99:99 GMT",
    b"Sat, 21 Nov 9999999999 00:00:00 GMT",
    b"Sat, 21 Nov 2026 00:00:00 +99999999999999999999",
    b"Sat, 01 Jan 0001 00:00:00 +2359",
]
FORM_DATA = b"multipart/form-data"
VALUES = {
    b"X": [b"", b"\0", b"\x01", b"\xff\xfe", "你好".encode(), b"y" * 70_000, b"y\r\n folded"],
    b"Host": [b"", b"a", b"a b", b"[::1]", b"[", b"a:b", b"/", b"\xff", b"x" * 300],
    b"Content-Length": [b"", b"-1", b"+5", b"0", b"5, 5", b"0x5", b"9" * 5000, b"17000000", b"x"],
    b"Transfer-Encoding": [b"chunked", b"gzip, chunked", b"identity", b"x", b"chunked, chunked"],
    b"Content-Encoding": [b"gzip", b"x"],
    b"Expect": [b"100-continue", b"x"],
    b"Connection": [b"close", b"keep-alive", b"Upgrade\r\nUpgrade: websocket", b"Host", b"\xff"],
    b"Upgrade": [b"h2c", b"HTTP/2.0"],
    b"Cookie": [
        b"desk",
        b"desk=x",
        b"=",
        b"a=\xff",
        b'a="\\377',
        b"a=b; " * 3000,
        b"desk=.eJw.x.y",
    ],
    b"Accept": [b"*/*;q=x", b"application/json", b"a/b," * 2000, b";", b"\xff"],
    b"Content-Type": [
        *[
            b"",
            b";",
            b"\xff; a*=x'y",
            b"text/plain; charset=x",
            b"application/x-www-form-urlencoded",
        ],
        *[b"application/json", b"application/json; charset=utf-7", b"application/json; charset=x"],
        *[FORM_DATA, FORM_DATA + b"; boundary=", FORM_DATA + b"; boundary=" + b"b" * 5000],
    ],
    b"Range": [b"bytes=0-3", b"bytes=9-1", b"bytes=-", b"bytes=" + b"0-," * 2000, b"x"],
    b"If-Range": [b'"x"', *DATES],
    b"If-None-Match": [b"*", b"\xff", b'"x", W/"y'],
    b"If-Modified-Since": DATES,
    b"If-Unmodified-Since": DATES,
    b"Date": DATES,
    b"Authorization": [b"Basic \xff", b"Basic x", b"Digest a", b"Bearer " + b"x" * 5000],
    b"Origin": [b"null", b"http://[", b"\xff", b"http://evil.example"],
    b"Sec-Fetch-Site": [b"cross-site", b"\xff"],
    b"Access-Control-Request-Method": [b"PUT", b"\xff"],
    b"X-Request-ID": [b"\x01", b"x" * 300],
    b"X-Forwarded-For": [b"x, \xff"],
    b"X-Forwarded-Host": [b"a b"],
    b"X-Forwarded-Proto": [b"https"],
    b"Last-Event-ID": [b"x", b"9" * 30 + b"-1", b"\xff"],
}
HEADERS = [name + b": " + value for name, values in VALUES.items() for value in values]
HEADERS += [b"X", b": y", b" X: y", b"X : y", b"X\0Y: z", b"X_Y: z", b"X\xff: y"]

PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
FORMS = [
    b"",
    b"--b",
    b"--b--\r\n",
    b"--b\r\n\r\n\r\n--b--\r\n",
    PART,
    PART + b"\r\nhalf",
    PART + b"\r\nno end\r\n--b\r\n",
    PART * 3 + b"\r\nx\r\n--b--\r\n",
    PART + b"Content-Type: \xff\r\nContent-Length: -1\r\n\r\nx\r\n--b--\r\n",
    PART + b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n--b--\r\n",
    PART.replace(b"a.txt", b"\xff\0/../" + b"x" * 5000) + b"\r\nx\r\n--b--\r\n",
    PART.replace(b"a.txt", b"\"; filename*=x'y'%zz") + b"\r\nx\r\n--b--\r\n",
    PART + b"X: " + b"y" * 70_000 + b"\r\n\r\nx\r\n--b--\r\n",
    (PART + b"\r\nx\r\n") * 1500 + b"--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 600_000 + b"\r\n--b--\r\n",
    b"a=1&" * 3000,
    b"%ff=%00&account=%ff&action=\xff",
]
CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",  # as it should be
    b"5\r\nhello\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhel",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"z\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"f" * 20 + b"\r\nhello\r\n0\r\n\r\n",
    b"5" * 9000 + b"\r\n",
    b"5;a=b\r\nhello\r\n0\r\n\r\n",
    b"5;\0=\xff\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"5\r\nhello\r\n0\r\nHost\0: x\r\n\r\n",
    b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n",
]

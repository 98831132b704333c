"""Commands as requests. What real curl sends is the measure."""

import shutil
import socket
import subprocess
import threading
from http.client import HTTPConnection

import pytest

import curl
import running

ANSWER = b"HTTP/1.1 200 OK\r\nX-Name: one\r\nContent-Length: 14\r\n\r\nfirst\r\nsecond\n"

COMMANDS = [
    "curl http://127.0.0.1:PORT",
    "curl -i http://127.0.0.1:PORT/a?b=c",
    "curl -sI http://localhost:PORT/a",
    "curl -X DELETE http://127.0.0.1:PORT/a",
    "curl http://127.0.0.1:PORT/a/../b/./c/..",
    "curl --path-as-is http://127.0.0.1:PORT/uploads/../app.py",
    "curl http://127.0.0.1:PORT/a%0Ab/%E6%9E%97",
    "curl -H 'Origin: http://x.example' -H 'Accept: text/html' http://127.0.0.1:PORT/",
    "curl -H 'Host: other.example' -H 'User-Agent:' http://127.0.0.1:PORT/",
    "curl -d a=1 -d 'b=two words' http://127.0.0.1:PORT/",
    """curl --json '{"name": "林"}' http://127.0.0.1:PORT/""",
    """curl -X PUT --json '{"a":' --json '1}' http://127.0.0.1:PORT/""",
    "curl -d '' http://127.0.0.1:PORT/",
    "curl -b 'a=1; b=2' http://127.0.0.1:PORT/",
    "curl -b jar http://127.0.0.1:PORT/",
    r"printf 'one\ntwo\n' | curl -d @- http://127.0.0.1:PORT/",
    r"printf '[[1]]\n' | curl --json @- http://127.0.0.1:PORT/",
    r"printf '<script>%%\n\x41' | curl -F 'file=@-;filename=报告.html' http://127.0.0.1:PORT/",
    "head -c 5000 /dev/zero | curl -F file=@- -F 'text=some words' http://127.0.0.1:PORT/",
    "curl -i -s \\\n  -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:PORT/",
    "curl -si http://127.0.0.1:PORT/ | grep -e HTTP -e X-Name",
    "curl -s http://127.0.0.1:PORT/ | grep 'first\\|x'",
    "curl -s http://127.0.0.1:PORT/ | grep 'sec+ond'",
]


class Listener:
    """A server that keeps what it's sent, and gives everybody the same answer."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.received = b""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection:
                text = b""
                while b"\r\n\r\n" not in text:
                    text += connection.recv(65536)
                head, _, body = text.partition(b"\r\n\r\n")
                lengths = [
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ]
                while len(body) < sum(lengths):
                    body += connection.recv(65536)
                self.received = head + b"\r\n\r\n" + body
                connection.sendall(ANSWER if not head.startswith(b"HEAD") else ANSWER[:-14])


def parts(received: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return request line, headers in any order, body, without what's curl's own choice."""
    head, _, body = received.partition(b"\r\n\r\n")
    line, *headers = [one.rstrip() for one in head.split(b"\r\n")]
    boundary = head.partition(b"boundary=")[2].partition(b"\r\n")[0]
    if boundary:
        headers = [one.replace(boundary, b"...") for one in headers]
        body = body.replace(boundary, b"...")
        headers = [one for one in headers if not one.startswith(b"Content-Length")]
    headers = [one for one in headers if not one.startswith(b"User-Agent")]
    return line, sorted(headers), body


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl to compare with")
@pytest.mark.parametrize("text", COMMANDS)
def test_the_reader_sends_and_prints_what_curl_does(text: str) -> None:
    listener = Listener()
    command = text.replace("PORT", str(listener.port))
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=30)
    by_curl = parts(listener.received)

    request = curl.parse(command)
    connection = HTTPConnection(request.host, request.port, timeout=10)
    response, body = running.exchange(connection, request)
    connection.close()
    assert parts(listener.received) == by_curl

    answer = running.Answer(response.status, response.reason, response.getheaders(), body, "")
    printed = curl.output(request, answer.head, answer.status, answer.body)
    assert printed == done.stdout.decode().replace("\r", "")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("curl -d @/etc/passwd http://127.0.0.1:8101/", "no files of yours"),
        ("curl -F file=@app.py http://127.0.0.1:8101/", "no files of yours"),
        ("curl -F 'file=<app.py' http://127.0.0.1:8101/", "no files of yours"),
        ("curl http://127.0.0.1:8101/$(id)", "need a shell"),
        ('curl "http://127.0.0.1:8101/$HOME"', "need a shell"),
        ("curl http://127.0.0.1:8101/`id`", "need a shell"),
        ("curl http://127.0.0.1:8101/; id", "needs a shell"),
        ("curl http://127.0.0.1:8101/ && id", "needs a shell"),
        ("curl http://127.0.0.1:8101/ > file", "needs a shell"),
        ("curl http://127.0.0.1:8101/a?b=1&c=2", "needs a shell"),
        ("curl 'http://127.0.0.1:8101/", "not a complete command"),
        ("curl", "required: url"),
        ("curl -K config http://127.0.0.1:8101/", "unrecognized arguments"),
        ("curl -o file http://127.0.0.1:8101/", "invalid choice"),
        ("curl http://127.0.0.1:8101/ http://127.0.0.1:8101/", "unrecognized arguments"),
        ("curl http://example.org/", "only http://127.0.0.1"),
        ("curl http://127.0.0.1:8101@example.org/", "only http://127.0.0.1"),
        ("curl https://127.0.0.1:8101/", "only http://127.0.0.1"),
        ("curl file:///etc/passwd", "only http://127.0.0.1"),
        ("curl http://127.0.0.1:8101/ | sh", "only grep"),
        ("curl http://127.0.0.1:8101/ | grep -v a", "unrecognized arguments"),
        ("curl -H 'X-Empty;' http://127.0.0.1:8101/", "write 'Name: value'"),
        ("curl http://127.0.0.1:8101/ | grep", "what for"),
        ("cat /etc/passwd | curl -d @- http://127.0.0.1:8101/", "only printf"),
        ("head -c 999999999 /dev/zero | curl -d @- http://127.0.0.1:8101/", "only printf"),
        ("printf '%s' | curl -d @- http://127.0.0.1:8101/", "without %s"),
        ("rm -rf /", "only curl commands"),
        ("curl -w '%{ssl_verify_result}' http://127.0.0.1:8101/", "isn't understood"),
        ("curl -X 'GET / HTTP/1.1' http://127.0.0.1:8101/", "not a method"),
        ("curl -H 'A: b\r\nC: d' http://127.0.0.1:8101/", "one line"),
    ],
)
def test_what_is_not_understood_is_refused(command: str, reason: str) -> None:
    with pytest.raises(curl.Refused, match=reason):
        curl.parse(command)


def test_a_dollar_in_single_quotes_is_only_a_dollar() -> None:
    request = curl.parse("curl -d 'price=$(5)' http://127.0.0.1:8101/")
    assert request.body == b"price=$(5)"


def test_a_boundary_has_no_quotes() -> None:
    # With quotes, a browser that sends the same request would ask for permission first.
    request = curl.parse("printf a | curl -F file=@- http://127.0.0.1:8101/")
    assert '"' not in request.header("Content-Type")

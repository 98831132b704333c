"""Chapter 06: how many Redis commands a request to the combined app takes.

The server counts them, MULTI and EXEC included. What the app does in the background is left out:
its stream reader, and the Celery worker.
"""

import importlib
import time
from collections.abc import Callable
from typing import Any

import scripts

scripts.use_chapter("06_login_context")

Desk: Any = importlib.import_module("conftest").Desk
TIMES = 10  # that each request is sent


def commands(redis: Any) -> int:
    """Return how many commands the server has executed, without those that ask for it."""
    asked = ("cmdstat_info", "cmdstat_client|list")
    counts = redis.info("commandstats")
    return sum(count["calls"] for name, count in counts.items() if name not in asked)


def count(redis: Any, send: Callable[[], None]) -> float:
    """Return how many commands *send* takes; AssertionError if it isn't always the same number."""
    send()  # opens connections, which takes commands as well
    before = commands(redis)
    for _ in range(TIMES):
        send()
    total = commands(redis) - before
    assert total % TIMES == 0, f"{total} commands for {TIMES} requests"
    return total // TIMES


def measure(desk: Any) -> scripts.Table:
    app = desk.app(BOT_CLASS="wx.DemoBot")
    client, phone, streams = app.test_client(), app.test_client(), []

    def request(status: int, method: str, path: str, **options: Any) -> Callable[[], None]:
        def send() -> None:
            answer = client.open(path, method=method, **options)
            assert answer.status_code == status, answer.text

        return send

    def open_stream() -> None:
        streams.append(client.get("/stream"))
        assert streams[-1].status_code == 200
        # The first one starts the reader, which takes commands until it waits: for seconds.
        while "xread" not in [client["cmd"] for client in desk.redis.client_list()]:
            time.sleep(0.01)

    def new_code() -> Any:
        return client.post("/j/login/qr").json

    code = new_code()
    phone.post(f"/scan/{code['uuid']}", data={"account": "ada", "action": "confirm"})
    request(200, "POST", "/j/login", json={"key": code["key"]})()
    worker = desk.worker()
    while not client.get("/j/me").json["ready"]:  # the contacts
        time.sleep(0.1)
    worker.kill()  # or its own commands would be counted
    worker.wait()
    message = {"recipients": ["lin"], "text": "Hello"}  # to another account of this desk
    requests = {
        "GET /, which has no bot": request(200, "GET", "/"),
        "GET /j/me": request(200, "GET", "/j/me"),
        "GET /j/users": request(200, "GET", "/j/users"),
        "GET /j/messages": request(200, "GET", "/j/messages"),
        "POST /j/messages": request(201, "POST", "/j/messages", json=message),
        "GET /j/login/qr/TOKEN": request(200, "GET", f"/j/login/qr/{new_code()['uuid']}"),
        "POST /j/login/qr": request(201, "POST", "/j/login/qr"),
        "GET /stream": open_stream,
    }
    try:
        return {row: {"commands": count(desk.redis, send)} for row, send in requests.items()}
    finally:
        for stream in streams:
            stream.close()


def measure_and_close() -> scripts.Table:
    desk = Desk()
    try:
        return measure(desk)
    finally:
        desk.close()


if __name__ == "__main__":
    scripts.main(lambda _: measure_and_close())

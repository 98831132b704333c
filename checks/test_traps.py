"""Take the fix of each trap out, and see its test fail: no story is told for nothing."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book import CHAPTERS, NOT_OURS, changes

NAMED_BY_CLIENT = 'filename = __import__("werkzeug.utils").utils.secure_filename(file.filename)'
BY_CONTENT = 'filename = digest + (extension if extension in EXTENSIONS else ".bin")'
NOT_ALLOWED = "if origin is None or origin not in allowed:"

# Test, file, the fix, and what stands there without it. Some traps lie outside our code (a proxy's
# setting, a wrong address): there the right side of the test itself is replaced by the wrong one.
WITHOUT_FIX = [
    # 01
    (
        "middleware_is_no_longer_in_werkzeug_wsgi",
        "uploads.py",
        "from werkzeug.middleware.shared_data import",
        "from werkzeug.wsgi import",
    ),
    (
        "an_uploaded_page_is_a_page_of_this_site",
        "uploads.py",
        'if extension in EXTENSIONS else ".bin"',
        'or ".bin"',
    ),
    (
        "delete_is_answered_with_the_file",
        "uploads.py",
        'if not ours or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):',
        "if not ours:",
    ),
    (
        "head_is_answered_with_a_body",
        "uploads.py",
        "answer = Response.from_app(super().__call__, environ)",
        "return super().__call__(environ, start_response)",
    ),
    ("date_is_sent_twice", "uploads.py", 'del answer.headers["Date"]', "pass"),
    (
        "after_request_never_sees_a_file",
        "uploads.py",
        "answer.headers.update(self.headers)",
        "pass",
    ),
    ("secure_filename_loses_names", "uploads.py", BY_CONTENT, NAMED_BY_CLIENT),
    ("device_names_stay_out_of_the_folder", "uploads.py", BY_CONTENT, NAMED_BY_CLIENT),
    ("a_replaced_file_stays_stale", "uploads.py", BY_CONTENT, NAMED_BY_CLIENT),
    (
        "range_is_answered_with_the_whole_file",
        "tests/test_uploads.py",
        'url.replace("/uploads/", "/seekable/")',
        "url",
    ),
    ("a_rule_without_build_only_routes_to_nothing", "uploads.py", ", build_only=True", ""),
    # 02
    (
        "headers_add_sends_the_header_twice",
        "cors.py",
        'response.headers["Access-Control-Allow-Origin"] = origin',
        'response.headers.add("Access-Control-Allow-Origin", origin)',
    ),
    (
        "star_and_credentials_exclude_each_other",
        "cors.py",
        'if origins == "*" and credentials:',
        "if False:",
    ),
    (
        "reflecting_the_origin_lets_everybody_in_with_cookies",
        "cors.py",
        NOT_ALLOWED,
        "if origin is None:",
    ),
    (
        "part_of_an_origin_matches",
        "cors.py",
        NOT_ALLOWED,
        "if origin is None or not origin.startswith(tuple(allowed)):",
    ),
    (
        "without_vary_a_cache_mixes_the_answers_up",
        "cors.py",
        'response.vary.add("Origin")',
        'origin and response.vary.add("Origin")',
    ),
    (
        "the_debugger_answers_without_cors_headers",
        "tests/test_cors.py",
        'app.config["PROPAGATE_EXCEPTIONS"] = False',
        "app.debug = True",
    ),
    (
        "files_do_not_pass_the_hook",
        "app.py",
        'UPLOAD_HEADERS={"Access-Control-Allow-Origin": "*"}',
        "",
    ),
    ("patch_is_not_in_the_articles_list", "cors.py", "PATCH, ", ""),
    (
        "preflight_of_a_missing_route_fails",
        "tests/test_cors.py",
        'preflight(client, FRONT_END, "/uploads")',
        'preflight(client, FRONT_END, "/upload")',
    ),
    ("a_blocked_post_has_still_run", "cors.py", NOT_ALLOWED, "if origin is None:"),
    (
        "credentials_only_when_set",
        "cors.py",
        'if current_app.config["CORS_CREDENTIALS"]:',
        "if True:",
    ),
    (
        "flask_builds_urls_from_the_host_it_sees",
        "tests/test_cors.py",
        'assert seen("localhost:5173")',
        'assert seen("127.0.0.1:8102")',
    ),
    # 03
    (
        "a_blueprints_404_handler_never_runs_for_an_unknown_url",
        "errors.py",
        "app.register_error_handler(HTTPException, http_error)",
        "pass",
    ),
    (
        "exceptions_have_no_message",
        "errors.py",
        "(known.code, known.message)",
        "(known.code, error.message)",
    ),
    (
        "status_400_blames_the_client_for_a_bug",
        "errors.py",
        '"unknown_error", 500',
        '"unknown_error", 400',
    ),
    (
        "two_handlers_two_shapes",
        "errors.py",
        'ApiResult({"r": code, "msg": message}, status)',
        'ApiResult({"message": message}, status)',
    ),
]


def traps() -> dict[str, tuple[Path, str]]:
    """Return chapter and test file of every trap, by the test's name."""
    found = {}
    for chapter in CHAPTERS:
        for file in changes(chapter)["new"]:
            if file.startswith("tests/"):
                for name in re.findall(r"def test_trap_(\w+)", (chapter / file).read_text()):
                    found[name] = (chapter, file)
    return found


TRAPS = traps()


def test_every_trap_is_in_the_list() -> None:
    assert sorted(TRAPS) == sorted(name for name, *_ in WITHOUT_FIX)


@pytest.mark.parametrize(("name", "file", "fix", "wrong"), WITHOUT_FIX, ids=lambda text: text)
def test_without_its_fix_the_trap_is_open(
    name: str, file: str, fix: str, wrong: str, tmp_path: Path
) -> None:
    chapter, tests = TRAPS[name]
    copy = tmp_path / chapter.name
    shutil.copytree(chapter, copy, ignore=shutil.ignore_patterns(*NOT_OURS, "frontend"))
    source = (copy / file).read_text()
    assert source.count(fix) == 1, f"{chapter.name}/{file}: not once there: {fix}"
    (copy / file).write_text(source.replace(fix, wrong))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, tests, "-k", f"test_trap_{name}"], cwd=copy, capture_output=True, text=True
    )
    failed = re.search(r"\d+ failed|cannot import name", done.stdout + done.stderr)
    assert failed, f"{chapter.name}/{tests}: test_trap_{name} passes with {wrong!r}"

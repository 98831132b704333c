"""The book in the browser: its pages, their transcripts as live cards, its files.

A page's URL is its file's path in the repository, so that links between pages work as they are;
what isn't a file is below ``/-/``. The reader has an origin of its own, because what a chapter
serves, such as a page that somebody uploaded, may run scripts on the chapter's origin.
"""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

import cards
import comparing
import exercises
import pages
import rendering
from contents import Book, Chapter
from running import Runner

IMAGES = {".png", ".jpg", ".gif", ".svg"}
MAX_FILE = 1_000_000  # bytes of a file that is shown


def create_app(book: Book, runner: Runner) -> Flask:
    app = Flask(__name__, static_url_path="/-/static")
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.filters.update(inline=rendering.inline, shortened=rendering.shortened)
    app.jinja_env.filters.update(log_summary=comparing.log_summary)
    app.context_processor(lambda: {"book": book, "pages": pages})
    chapters_ports = [port for one in book.chapters if one.runs for port in one.ports.pairs[1:]]
    servers = " ".join(
        f"http://{host}:{live}" for _, live in chapters_ports for host in ("127.0.0.1", "localhost")
    )
    stranger = f"localhost:{book.port}"

    @app.before_request
    def guard() -> ResponseReturnValue | None:
        """Let in only what comes from the reader's own pages, under the reader's own name."""
        if request.host == stranger:
            return render_template("stranger.html", origin=book.origin)
        if request.host != f"127.0.0.1:{book.port}":
            abort(421)
        if request.method == "POST":
            own = request.headers.get("Origin") == book.origin
            if not own or request.mimetype != "application/json":
                abort(403)
        elif request.method not in ("GET", "HEAD"):
            abort(405)
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        """Say what the browser may do with a page: scripts of the reader's own, and no frames."""
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            f"connect-src 'self' {servers}; frame-src http://{stranger}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        if request.host == stranger:
            policy = (
                "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; "
                f"connect-src {servers}; base-uri 'none'; form-action 'none'; "
                f"frame-ancestors {book.origin}"
            ).format(hash=cards.script_hash(response.get_data(as_text=True)))
        elif response.mimetype == "image/svg+xml":
            policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-cache"
        return response

    @app.errorhandler(HTTPException)
    def error_page(error: HTTPException) -> ResponseReturnValue:
        return render_template("error.html", title=error.name, error=error), error.code or 500

    @app.get("/", defaults={"name": ""})
    @app.get("/<path:name>")
    def show(name: str) -> ResponseReturnValue:
        path = book.path(name)
        if path is None:
            abort(404)
        if path.is_dir():
            readme = path / "README.md"
            if not readme.is_file():
                return show_folder(path)
            if name:
                return redirect(f"/{book.name(readme)}")
            path = readme
        if path.suffix == ".md":
            return show_page(path)
        if path.suffix in IMAGES:
            return send_file(path)
        return show_file(path)

    def show_page(page: Path) -> str:
        chapter = book.chapter_of(page)
        if chapter and chapter.runs:
            runner.start(chapter.number)
        before, after = book.neighbours(page)
        return render_template(
            "page.html",
            path=page,
            title=pages.title(page),
            chapter=chapter,
            body=rendering.page_html(book, page),
            before=before,
            after=after,
            translation=translation(page),
        )

    def show_file(path: Path) -> str:
        content = path.read_bytes()
        if b"\0" in content or len(content) > MAX_FILE:
            abort(404)
        text = content.decode("utf-8", errors="replace")
        source = rendering.Source(
            path.name, "", rendering.highlighted(text, "", path.name), 1, text
        )
        chapter = book.chapter_of(path)
        return render_template(
            "file.html", path=path, title=book.name(path), chapter=chapter, source=source
        )

    def show_folder(path: Path) -> str:
        names = sorted(
            f"{one.name}/" if one.is_dir() else one.name
            for one in path.iterdir()
            if book.path(book.name(one))
        )
        chapter = book.chapter_of(path)
        title = book.name(path)
        return render_template("folder.html", path=path, title=title, chapter=chapter, names=names)

    @app.get("/-/diff/<number>")
    @app.get("/-/diff/<number>/<int:step>")
    def diff(number: str, step: int = 0) -> str:
        chapter = next((one for one in book.chapters if one.number == number), None)
        script = book.root / "checks/diff.py"
        if not chapter or step > len(chapter.steps) + 1 or not script.is_file():
            abort(404)
        command = [sys.executable, str(script), number, "", str(step or "")]
        done = subprocess.run(command, cwd=book.root, capture_output=True, timeout=60)  # noqa: S603
        text = done.stdout.decode("utf-8", errors="replace")
        name = f"What step {step} adds" if step else f"What chapter {number} adds"
        parts = rendering.diff_parts(text)
        return render_template("diff.html", title=name, chapter=chapter, parts=parts)

    @app.get("/-/reader")
    def reader() -> dict[str, str]:
        """Tell a second reader that this port has one, and of which checkout."""
        return {"reader": str(book.root)}

    def asked() -> tuple[Chapter, Path, dict[str, Any]]:
        """Return what a page asks about: its chapter, itself, and the rest of the request."""
        values = request.get_json()
        page = book.path(str(values.get("page"))) if isinstance(values, dict) else None
        chapter = page and book.chapter_of(page)
        if not page or page.suffix != ".md" or not chapter or not chapter.runs:
            abort(400, "No page with live cards.")
        return chapter, page, values

    @app.post("/-/run")
    def run() -> str:
        chapter, page, values = asked()
        found = {card.number: card for card in pages.cards(page)}
        card = found.get(values.get("card", 0))
        if not card:
            abort(400, "No such card. Has the page changed? Load it again.")
        edited = values.get("commands")
        result = cards.run(card, chapter, runner, edited if isinstance(edited, dict) else None)
        return render_template("result.html", card=card, chapter=chapter, result=result)

    @app.post("/-/arrived")
    def arrived() -> dict[str, Any]:
        """Return the ends of both logs, and what requests arrived since the ends that are given."""
        chapter, _, values = asked()
        answer = {}
        for name in ("article", "ours"):
            version = runner.version(chapter.number, name)
            since = values.get(name)
            lines = version.arrived(since) if isinstance(since, int) and since >= 0 else []
            answer[name] = {"mark": version.mark(), "arrived": lines}
        return answer

    @app.post("/-/restart")
    def restart() -> dict[str, str]:
        chapter, _, _ = asked()
        for name in ("article", "ours"):
            runner.version(chapter.number, name).stop()
        runner.start(chapter.number)
        return {}

    @app.post("/-/check")
    def check() -> str:
        chapter, page, values = asked()
        tasks = pages.exercises(page)
        number, ticked = values.get("exercise"), values.get("predicted")
        if not isinstance(number, int) or not 0 <= number < len(tasks):
            abort(400, "No such exercise. Has the page changed? Load it again.")
        predicted = {one for one in ticked if isinstance(one, int)} if ticked else set()
        with checking:
            checked = exercises.check(chapter, tasks[number], predicted, runner)
        parts = rendering.diff_parts(checked.diff)
        return render_template("checked.html", checked=checked, parts=parts, exercise=tasks[number])

    checking = threading.Lock()
    return app


def translation(page: Path) -> Path | None:
    """Return the page in the other language, if it lies beside."""
    other = "README.md" if page.name == "README.zh.md" else "README.zh.md"
    path = page.with_name(other)
    return path if page.name.startswith("README") and path.is_file() else None

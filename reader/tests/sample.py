"""A book of two small chapters, in the notation of the real ones, for the reader's tests."""

from pathlib import Path

FILES = {
    "01_numbers/README.md": """\
# 01 Numbers

After this chapter you can tell numbers from what is missing.

*In a hurry? [Use it in your app](#use-it-in-your-app).*

## Run it

```sh
make run-01
```

Both versions know two numbers:

```console
$ curl http://127.0.0.1:8101/n/1
{"host":"127.0.0.1:8101","n":"one"}
```

## What goes wrong

### 1. What is missing?

Test: [`test_trap_missing_is_html`](tests/test_traps.py)

What does a client get for a number that isn't there?

✗ **Article:** a page of HTML, which a client can't parse.

```console
$ curl -i http://127.0.0.1:8201/n/9
HTTP/1.1 404 NOT FOUND
...
Content-Type: text/html; charset=utf-8
...

<!doctype html>
...
```

✓ **Ours:** JSON, with `msg`.

```console
$ curl -i http://127.0.0.1:8101/n/9
HTTP/1.1 404 NOT FOUND
...
Content-Type: application/json
...

{"msg":"missing"}
```

The handler does it:

```python numbers_.py
def find(number: int) -> str:
    if number not in NUMBERS:
        abort(404)
    return NUMBERS[number]
```

### 2. A bug

✗ **Article:** nobody learns of it.

```console
$ curl -i http://127.0.0.1:8201/boom
HTTP/1.1 500 INTERNAL SERVER ERROR
...

broken
```

✓ **Ours:** the log has the traceback.

```console
$ curl -i http://127.0.0.1:8101/boom
HTTP/1.1 500 INTERNAL SERVER ERROR
...

<!doctype html>
...
```

### 3. From a page

✗ **Article:** no page may change a number.

```console
$ curl -i -X OPTIONS -H 'Origin: http://127.0.0.1:8100' \\
    -H 'Access-Control-Request-Method: PATCH' http://127.0.0.1:8201/n/1
HTTP/1.1 200 OK
...
```

✓ **Ours:** the book's own page may.

```console
$ curl -i -X OPTIONS -H 'Origin: http://127.0.0.1:8100' \\
    -H 'Access-Control-Request-Method: PATCH' http://127.0.0.1:8101/n/1
HTTP/1.1 200 OK
...
Access-Control-Allow-Origin: http://127.0.0.1:8100
Access-Control-Allow-Methods: GET, PATCH
...
```

A stranger's page may not:

```console
$ curl -i -H 'Origin: http://localhost:8100' http://127.0.0.1:8101/n/1
HTTP/1.1 200 OK
...

{"host":"127.0.0.1:8101","n":"one"}
```

### 4. Two requests

✗ **Article:** forgets the text.

```console
$ curl -d 'text=hello' http://127.0.0.1:8201/notes
{"url":"/n/1"}
$ curl http://127.0.0.1:8201/n/1
{"host":"127.0.0.1:8201","n":"one"}
```

✓ **Ours:** keeps it.

```console
$ curl -d 'text=hello' http://127.0.0.1:8101/notes
{"text":"hello","url":"/n/1"}
$ curl http://127.0.0.1:8101/n/1
{"host":"127.0.0.1:8101","n":"one"}
```

## Use it in your app

| setting | default | |
| --- | --- | --- |
| `ORIGINS` | none | who may read |

## Exercises

### Forget the format

In `numbers_.py`, take these lines out. Which requests change?

```python numbers_.py
    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[dict[str, str], int]:
        return {"msg": "missing"}, 404
```

```python
    pass
```

<details><summary>Answer</summary>

Step 1's request is HTML again; `test_trap_missing_is_html` fails.

</details>

### Count to three

Add a number to `numbers_.py`, until `pytest tests/exercise.py` passes.

<details><summary>Answer</summary>

```python numbers_.py
NUMBERS = {1: "one", 2: "two"}
```

```python
NUMBERS = {1: "one", 2: "two", 3: "three"}
```

No other test fails.

</details>

## Next

Nothing.
""",
    "01_numbers/app.py": '''\
"""Ours: numbers, and one that is missing."""

import numbers_

from flask import Flask, request


def create_app() -> Flask:
    app = Flask(__name__)
    numbers_.init_app(app)

    @app.get("/n/<int:number>")
    def show(number: int) -> dict[str, object]:
        return {"n": numbers_.find(number), "host": request.host}

    @app.get("/boom")
    def boom() -> str:
        return str(1 / 0)

    @app.post("/notes")
    def note() -> tuple[dict[str, str], int]:
        return {"url": "/n/1", "text": request.form.get("text", "")}, 201

    @app.after_request
    def allow(response):
        if request.headers.get("Origin") in numbers_.ORIGINS:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Allow-Methods"] = "GET, PATCH"
        return response

    @app.patch("/n/<int:number>")
    def change(number: int) -> dict[str, int]:
        return {"n": number}

    return app
''',
    "01_numbers/article.py": '''\
"""The article's version: no format for what is missing."""

from flask import Flask, abort, request

NUMBERS = {1: "one", 2: "two"}


def create_app() -> Flask:
    app = Flask(__name__)

    @app.get("/n/<int:number>")
    def show(number: int) -> dict[str, object]:
        if number not in NUMBERS:
            abort(404)
        return {"n": NUMBERS[number], "host": request.host}

    @app.get("/boom")
    def boom() -> tuple[str, int]:
        return "broken", 500

    @app.post("/notes")
    def note() -> tuple[dict[str, str], int]:
        return {"url": "/n/1"}, 201

    @app.patch("/n/<int:number>")
    def change(number: int) -> dict[str, int]:
        return {"n": number}

    return app
''',
    "01_numbers/conftest.py": "",
    "01_numbers/numbers_.py": '''\
"""Which numbers there are."""

import os

from flask import Flask, abort

ORIGINS = [os.environ.get("SAMPLE_ORIGIN", "http://127.0.0.1:8100")]
NUMBERS = {1: "one", 2: "two"}


def find(number: int) -> str:
    if number not in NUMBERS:
        abort(404)
    return NUMBERS[number]


def init_app(app: Flask) -> None:
    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[dict[str, str], int]:
        return {"msg": "missing"}, 404
''',
    "01_numbers/tests/exercise.py": """\
import app as ours


def test_three() -> None:
    assert ours.create_app().test_client().get("/n/3").json["n"] == "three"
""",
    "01_numbers/tests/test_traps.py": """\
import app as ours


def test_trap_missing_is_html() -> None:
    response = ours.create_app().test_client().get("/n/9")
    assert response.json == {"msg": "missing"}


def test_found() -> None:
    assert ours.create_app().test_client().get("/n/1").json["n"] == "one"
""",
    "02_login/deploy/Procfile": "",
    "02_login/README.md": """\
# 02 Login

Climbed in steps.

```console
$ curl http://127.0.0.1:8102/
nothing
```
""",
    "02_login/app.py": '''\
"""Runs by itself."""
''',
    "02_login/steps/1_first/README.md": """\
# First step

Climbed in steps.

```console
$ curl http://127.0.0.1:8102/
nothing
```
""",
    "README.md": """\
# A small book

Two chapters for the reader's own tests: [01 Numbers](01_numbers/README.md) and
[02 Login](02_login/README.md).
""",
}


def make(folder: Path) -> Path:
    """Write the book into *folder*, which it returns."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder

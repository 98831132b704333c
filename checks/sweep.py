"""Send generated requests to the app of the folder that this is run in, and judge its answers.

Under the API's paths every answer from 400 on is JSON in the chapter's one format. No answer is a
500, except for the two requests that are one on purpose, and none has a traceback in it.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

temporary = tempfile.TemporaryDirectory()
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = temporary.name  # not in the chapter's folder

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

sys.path[:0] = ["", str(Path(__file__).with_name("drills"))]
from app import create_app  # type: ignore[import-not-found]  # noqa: E402
from corpus import BROKEN, FORMATS, JSON_BOMBS  # noqa: E402

REQUESTS = 2500
needed, known, api = FORMATS[Path.cwd().name[:2]]

app = create_app({"UPLOAD_FOLDER": f"{temporary.name}/uploads", "PROPAGATE_EXCEPTIONS": False})
client = app.test_client()

text = st.text(max_size=30)
latin = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30)
odd = st.sampled_from(["", " " * 9, "\0" * 9, "\ud800" * 9, "x" * 2**20, 2**99, -0.0])
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text | odd,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)
bombs = st.sampled_from(JSON_BOMBS)

fields = {"type": "email", "account": "a@b.example", "secret": "long enough", "nickname": "Ada"}
one_odd = st.builds(lambda name, odd: fields | {name: odd}, st.sampled_from([*fields]), value | odd)
all_odd = st.fixed_dictionaries({}, optional=dict.fromkeys(fields, value))
registration = st.fixed_dictionaries(  # chapter 04 has it; the others answer 404
    {
        "method": st.just("POST"),
        "path": st.just("/v1/client/register"),
        "data": (one_odd | all_odd | value).map(lambda data: json.dumps(data).encode()) | bombs,
        "content_type": st.just("application/json"),
    }
)

part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
upload = st.binary(max_size=50).map(lambda content: part + content + b"\r\n--x--\r\n")
content_type = latin | st.sampled_from(
    """application/json multipart/form-data;boundary=x multipart/form-data text/plain image/png
    application/x-www-form-urlencoded application/json;charset=latin-1""".split()
)
some_id = st.integers().map(str) | text
path = st.one_of(
    st.sampled_from([str(rule) for rule in app.url_map.iter_rules() if "<" not in str(rule)]),
    st.builds("/j/users/{}{}".format, some_id, st.sampled_from(["", "/", "/block"])),
    st.builds("/{}/{}".format, st.sampled_from(["j", "v1", "uploads", "static", "jj"]), text),
    st.builds("/{}".format, text),
    st.binary(max_size=20).map(lambda name: b"/j/" + name),
)
header = st.sampled_from(
    """Accept Authorization Cookie Origin Range Host X-Request-ID If-None-Match If-Modified-Since
    Access-Control-Request-Method X-Forwarded-Host Content-Encoding Transfer-Encoding""".split()
)
methods = "GET POST PUT PATCH DELETE HEAD OPTIONS TRACE PROPFIND GE+T".split()
anything = st.fixed_dictionaries(
    {
        "method": st.sampled_from(methods),
        "path": path,
        "query_string": text,
        "headers": st.dictionaries(header, latin | st.just("application/json"), max_size=3),
        "data": st.binary(max_size=200) | upload | bombs,
        "content_type": content_type,
    }
)
sent = 0


@settings(
    max_examples=REQUESTS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(anything | registration)
def sweep(options: dict[str, Any]) -> None:
    global sent
    sent += 1
    method = options["method"]
    # The test client would take what comes after two slashes for a host.
    target = re.sub("^//", "/%2F", quote(options["path"]))
    query = quote(options.get("query_string", ""), safe="%&=?/:;,+@!$'()*~[]")  # no raw newlines
    answer = client.open(**options | {"path": target, "query_string": query})
    on_purpose = (method, options["path"]) in BROKEN
    assert (answer.status_code >= 500) == on_purpose, answer.text
    assert "Traceback" not in answer.text
    asked = answer.request.path
    is_api = f"{asked}/".startswith(api)
    is_json = answer.mimetype == "application/json"
    if answer.status_code >= 400 and method != "HEAD" and (is_api or is_json):
        assert is_json, answer.text
        said = json.loads(answer.data)
        assert needed <= set(said) <= known, said
        assert "request" not in said or said["request"] == f"{method} {asked}"


sweep()
temporary.cleanup()
print(f"{sent} requests")

"""The login by QR code: what the page asks for, and what the phone is shown.

Settings: ``LOGIN_TTL`` (seconds that a code is good for), ``CODES_PER_MINUTE`` (for one address;
a login counts as one),
``PUBLIC_URL`` (what the phone's address starts with, default: this host).
"""

import contextlib
import io
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import segno
from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    abort,
    current_app,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature
from redis import RedisError
from werkzeug.exceptions import HTTPException, TooManyRequests, Unauthorized
from werkzeug.wrappers import Response as BaseResponse

import handlers
import logins
import scan
from context import bot_context, current_bot
from events import end_login, sse
from exceptions import IllegalState, NotFound, ParameterException, Success
from logins import redis
from tasks import start_fetch
from views.parameters import json_object
from wx import Bot, bot_class, get_bot

bp = Blueprint("login", __name__, url_prefix="/j")
phone = Blueprint("phone", __name__, url_prefix="/scan")


class Sessions(SecureCookieSessionInterface):
    """Cookies without an age: Redis says when a login ends.

    Flask refuses a cookie from the future, and that is what a cookie is to every machine whose
    clock is a second behind the one that made it.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        serializer = self.get_signing_serializer(app)
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        try:
            return self.session_class(serializer.loads(cookie))  # type: ignore[union-attr]
        except BadSignature:
            return self.session_class()


def open_bot(login_id: str | None) -> Bot:
    """Return the bot of a login; 401 if there is none, or if it ended, here or anywhere."""
    account = logins.account_of(login_id)
    try:
        return get_bot(account)
    except KeyError:  # BOT_CLASS has changed since
        abort(401, "not_logged_in")


def get_logged_in_user(bot: Bot) -> dict[str, str]:
    return {"id": bot.self["id"], "name": bot.self["name"], "account": bot.self["id"]}


def scan_url(token: str) -> str:
    """Return where a phone on the same network finds the page for *token*."""
    path = url_for("phone.ask", token=token)
    public = current_app.config["PUBLIC_URL"]
    if public:
        return str(public).rstrip("/") + path.removeprefix(request.script_root)
    loopback = urlsplit(request.host_url).hostname in ("localhost", "127.0.0.1", "::1")
    listens, port = request.server or ("", None)
    if loopback and listens in ("0.0.0.0", "::"):  # noqa: S104  (on all interfaces)
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: UDP only chooses a route
            return f"{request.scheme}://{probe.getsockname()[0]}:{port}{path}"
    return request.host_url.rstrip("/") + path


def count_code() -> None:
    """Count a code or a login for this address; TooManyRequests beyond ``CODES_PER_MINUTE``."""
    key = f"codes:{request.remote_addr}"
    with redis.pipeline() as pipe:
        pipe.set(key, 0, ex=60, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _, codes, seconds = pipe.execute()
    if codes > current_app.config["CODES_PER_MINUTE"]:
        raise TooManyRequests("Too many codes for one address.", retry_after=max(seconds, 1))


def shown(token: str) -> dict[str, Any]:
    """Return what a page shows of a code as it is now; ``expires_in`` in seconds."""
    code = scan.read_code(token)
    return {
        "uuid": token,
        "state": code["state"],
        "qr": url_for("login.picture", token=token),
        "scan_url": scan_url(token),
        "expires_in": code["left"],
    }


@bp.post("/login/qr")
def new_code() -> Success:
    """Make a code: 201. Its ``key`` claims the login, so it's a secret of the page that asked."""
    count_code()
    agent = request.user_agent.string[:300]
    key, token = scan.new_code(address=request.remote_addr or "", agent=agent)
    return Success(code=201, members={"key": key, **shown(token)})


@bp.get("/login/qr/<token>")
def code_state(token: str) -> Success:
    """Return a code as it is now. The page asks once a second: a visitor gets no stream."""
    return Success(members=shown(token))


@bp.get("/login/qr/<token>.svg")
def picture(token: str) -> Response:
    """Draw a code as SVG."""
    if not redis.exists(f"scan:{token}"):
        raise NotFound()
    svg = io.BytesIO()
    segno.make(scan_url(token), error="m").save(svg, kind="svg", scale=6, light="white")
    return Response(svg.getvalue(), mimetype="image/svg+xml")


def page(token: str, done: bool = False, status: int = 200) -> tuple[str, int]:
    """Return what the phone sees: the question, what it has *done*, or why there is none."""
    code, accounts = scan.read_code(token), bot_class().accounts()
    if not done and code["state"] not in scan.OPEN:
        status = 404 if code["state"] == "expired" else 410
    return render_template("scan.html", scan=code, done=done, accounts=accounts), status


@phone.get("/<token>")
def ask(token: str) -> tuple[str, int]:
    """Show who asks; 404 or 410 if nobody does (any more).

    Nothing changes: a messenger fetches the link for a preview of it, too, and nobody has seen it.
    """
    return page(token)


@phone.post("/<token>")
def answer(token: str) -> tuple[str, int]:
    """Take ``account`` and ``action`` (confirm, cancel), once; 400 if there is no such choice.

    The page itself sends ``action=scanned`` (scan.js) as soon as it's shown.
    """
    action, account = request.form.get("action"), request.form.get("account")
    if action == "cancel":
        return page(token, scan.change_state(token, "cancelled"))
    if action == "confirm" and account in [one["id"] for one in bot_class().accounts()]:
        return page(token, scan.change_state(token, "confirmed", account))
    scan.change_state(token, "scanned")
    return page(token, status=200 if action == "scanned" else 400)


@phone.errorhandler(RedisError)
def sorry(error: RedisError) -> tuple[str, int, dict[str, str]]:
    """A person reads this, so it is no JSON."""
    html = render_template("scan.html", scan={"state": "unavailable"}, done=True)
    return html, 503, {"Retry-After": "2"}


def missing(error: HTTPException) -> HTTPException | BaseResponse:
    """Answer as handlers.py does, but give a browser the desk's own page."""
    answer = handlers.http_error(error)
    if isinstance(answer, BaseResponse) and answer.mimetype == "text/html":
        answer.set_data(render_template("missing.html"))
    return answer


def key_of_request() -> str:
    key = json_object().get("key")
    if not isinstance(key, str) or not key.isascii():
        raise ParameterException({"key": ["The key of a code is needed."]})
    return key


@bp.post("/login")
def login() -> Success:
    """Claim the login of a confirmed code with its ``key``; 1004 if there is none.

    A page that got no response repeats the request and gets the same login.
    """
    key = key_of_request()
    count_code()  # each login is an event, and those push out what other pages have missed
    login_id = scan.claim(key) or ""
    try:
        with bot_context(login_id):
            user = get_logged_in_user(current_bot)
    except Unauthorized:
        raise IllegalState("Confirm the code on a phone first.") from None
    start_fetch(login_id)
    event = {"type": "logged_in", "user": user}
    sse.publish(event, f"account:{user['account']}", type="login")
    logins.limit(user["account"], end_login)
    if session.get("login") not in (None, login_id):
        end_login(session["login"])
    session.clear()
    session.permanent = True
    session["login"] = login_id
    return Success(members={"user": user})


@bp.post("/logout")
def logout() -> Success:
    end_login(session["login"])
    session.clear()
    return Success()


@bp.get("/me")
def me() -> Success:
    """Return whose login this is, and how far the fetching of its contacts is (null: not under
    way)."""
    user = get_logged_in_user(current_bot)  # first, as it raises 401
    with redis.pipeline() as pipe:
        pipe.exists(f"contacts:{user['account']}")
        pipe.get(f"fetching:{user['account']}")
        ready, fetching = pipe.execute()
    progress = json.loads(fetching) if fetching else None
    return Success(members={"user": user, "ready": bool(ready), "fetching": progress})


@bp.get("/login")
def whose() -> Success:
    """Return what /j/me returns, and null as ``user`` if there is no login.

    To the page that's no error: a 401 would stand in the console of everybody's first visit.
    """
    try:
        return me()
    except Unauthorized:
        return Success(members={"user": None})


def add_challenge(response: Response) -> Response:
    """Say in each 401 how to log in, as RFC 9110 (11.6.1) demands.

    Some clients fail without it (Android's HttpURLConnection does). No browser knows this scheme:
    with Basic it would ask for a name and a password.
    """
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Cookie realm="desk"'
    return response


def init_app(app: Flask) -> None:
    """Add the views under /j and /scan, the page for a 404, and the sessions."""
    app.session_interface = Sessions()
    app.after_request(add_challenge)
    app.register_error_handler(404, missing)
    app.register_blueprint(bp)
    app.register_blueprint(phone)

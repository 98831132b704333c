"""Login by QR code: the browser shows it, a phone confirms it, the browser takes it up.

Settings: ``LOGIN_TTL`` (seconds that a code is good for), ``PUBLIC_URL`` (what the phone's address
starts with, default: this host), ``PERMANENT_SESSION_LIFETIME`` (of a login). All state is in
Redis: ``scan:<token>``, ``pending:<browser>`` (its newest token), ``login:<login id>``.
"""

import contextlib
import io
import secrets
import socket
import time
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import segno
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    render_template,
    request,
    session,
    url_for,
)
from redis import RedisError

from context import bot_context, current_bot
from errors import IllegalState, NotFound, NotLoggedIn
from exceptions import Success
from ext import browser_id, redis, sse
from tasks import retrieve_data
from wx import Bot, bot_class, get_bot

bp = Blueprint("login", __name__, url_prefix="/j")
phone = Blueprint("phone", __name__, url_prefix="/scan")

OPEN = ("pending", "scanned")  # the others are confirmed, cancelled, expired
KEEP = 10  # times LOGIN_TTL: a confirmation outlives its code, so that an outage does not lose it


def open_bot(login_id: str | None) -> Bot:
    """Return the bot of a login; NotLoggedIn if there is none, or if it ended, here or anywhere."""
    account = redis.hget(f"login:{login_id}", "account") if login_id else None
    if account is None:
        raise NotLoggedIn()
    try:
        return get_bot(account)
    except KeyError:  # BOT_CLASS has changed since
        raise NotLoggedIn() from None


def get_logged_in_user(bot: Bot) -> dict[str, str]:
    return {"id": bot.self["id"], "name": bot.self["name"], "account": bot.self["id"]}


def move(token: str, to: str, **fields: str) -> tuple[dict[str, str], bool]:
    """Bring an open code to the state *to* and tell its browser, or to expired if it is too late.

    Return the code as it stands now ({}: no such code), and whether this call has moved it: of
    two phones at once, one has.
    """

    def step(pipe: Any) -> tuple[dict[str, str], bool]:
        scan = pipe.hgetall(f"scan:{token}")
        pipe.multi()  # from here on, all or, if somebody was faster, once more from the start
        late = float(scan.get("until", 0)) <= time.time()
        new = {"state": "expired"} if late else {"state": to, **fields}
        if scan.get("state") not in OPEN or scan["state"] == new["state"]:
            return scan, False
        pipe.hset(f"scan:{token}", mapping=new)
        if login := new.get("login"):  # it goes again if nobody takes it up
            pipe.hset(f"login:{login}", "account", new["account"])
            pipe.expire(f"login:{login}", KEEP * current_app.config["LOGIN_TTL"])
        return scan | new, True

    scan, moved = redis.transaction(step, f"scan:{token}", value_from_callable=True)
    if moved:
        event = {"type": scan["state"], "uuid": token}
        sse.publish(event, type="login", channel=f"browser:{scan['browser']}")
    return scan, moved


def expire(app: Flask, token: str) -> None:
    """Tell the browser that nobody came."""
    with app.app_context(), contextlib.suppress(RedisError):  # the page counts for itself, too
        move(token, "expired")


def scan_url(token: str) -> str:
    """Return where a phone on the same network finds the page for *token*."""
    path = url_for("phone.ask", token=token)
    if current_app.config["PUBLIC_URL"]:
        return str(current_app.config["PUBLIC_URL"]).rstrip("/") + path
    loopback = urlsplit(request.host_url).hostname in ("localhost", "127.0.0.1", "::1")
    listens, port = request.server or ("", None)
    if loopback and listens in ("0.0.0.0", "::"):  # noqa: S104  (on all interfaces)
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: UDP only chooses a route
            return f"{request.scheme}://{probe.getsockname()[0]}:{port}{path}"
    return request.host_url.rstrip("/") + path


@bp.post("/login/qr")
def new_code() -> Success:
    """Make a code for this browser: 201. The one before is void."""
    ttl, token = current_app.config["LOGIN_TTL"], secrets.token_urlsafe(16)
    browser = browser_id()
    now, agent = time.time(), request.user_agent.string[:300]
    scan = {"browser": browser, "state": "pending", "since": now, "until": now + ttl}
    scan |= {"address": request.remote_addr or "", "agent": agent}
    with redis.pipeline() as pipe:
        pipe.hset(f"scan:{token}", mapping=scan).expire(f"scan:{token}", KEEP * ttl)
        pipe.set(f"pending:{browser}", token, ex=KEEP * ttl, get=True)
        before = pipe.execute()[-1]
    if before:
        move(before, "expired")
    timer = Timer(ttl, expire, (current_app._get_current_object(), token))  # type: ignore[attr-defined]
    timer.daemon = True
    timer.start()
    return Success(code=201, data=shown(token, scan))


@bp.get("/login/qr")
def newest_code() -> Success:
    """Return this browser's newest code as it stands now, for a page that is loaded again."""
    token = redis.get(f"pending:{session.get('browser')}")
    scan = redis.hgetall(f"scan:{token}")
    if not scan:
        raise NotFound()
    return Success(data=shown(token, scan))


def shown(token: str, scan: dict[str, Any]) -> dict[str, Any]:
    """Return what a page shows of a code; ``expires_in`` in seconds."""
    left = max(0, round(float(scan["until"]) - time.time()))
    qr, url = url_for("login.picture", token=token), scan_url(token)
    answer = {"uuid": token, "qr": qr, "scan_url": url, "expires_in": left}
    return answer | {"state": scan["state"]}


@bp.get("/login/qr/<token>.svg")
def picture(token: str) -> Response:
    """Draw the code, for the browser that asked for it; else it is not found."""
    if redis.hget(f"scan:{token}", "browser") != session.get("browser", ""):
        raise NotFound()
    svg = io.BytesIO()
    segno.make(scan_url(token), error="m").save(svg, kind="svg", scale=6, light="white")
    return Response(svg.getvalue(), mimetype="image/svg+xml")


def page(scan: dict[str, str], done: bool = False, status: int = 200) -> tuple[str, int]:
    """Return what the phone sees: the question, what it has *done*, or why there is none."""
    if not done and scan.get("state") not in OPEN:
        status = 410 if scan else 404
    waited = time.time() - float(scan.get("since", 0))
    accounts = bot_class().accounts()
    html = render_template("scan.html", scan=scan, done=done, waited=waited, accounts=accounts)
    return html, status


@phone.get("/<token>")
def ask(token: str) -> tuple[str, int]:
    """Show who asks; 404 or 410 if nobody does (any more)."""
    if request.method == "HEAD":  # a messenger's preview of the link, so nobody has scanned it
        return page(redis.hgetall(f"scan:{token}"))
    return page(move(token, "scanned")[0])


@phone.post("/<token>")
def answer(token: str) -> tuple[str, int]:
    """Take ``account`` and ``action`` (confirm, cancel), once; 400 if there is no such choice."""
    action, account = request.form.get("action"), request.form.get("account")
    if action == "cancel":
        return page(*move(token, "cancelled"))
    if action != "confirm" or account not in [a["id"] for a in bot_class().accounts()]:
        return page(move(token, "scanned")[0], status=400)
    return page(*move(token, "confirmed", login=secrets.token_hex(16), account=account))


@phone.errorhandler(RedisError)
def sorry(error: RedisError) -> tuple[str, int, dict[str, str]]:
    """A person reads this, so it is no JSON."""
    return page({"state": "unavailable"}, done=True)[0], 503, {"Retry-After": "2"}


@bp.post("/login")
def login() -> Success:
    """Take up this browser's confirmed code, or 1004; after a 503 it is still there to be taken."""
    browser = session.get("browser")
    token = redis.get(f"pending:{browser}")
    login_id = redis.hget(f"scan:{token}", "login")
    try:
        with bot_context(login_id):
            user = get_logged_in_user(current_bot)
    except NotLoggedIn:
        raise IllegalState("Confirm the code on a phone first.") from None
    retrieve_data.delay(login_id)
    sse.publish({"type": "logged_in", "user": user}, type="login")
    with redis.pipeline() as pipe:  # last: whatever failed before can be tried again
        for key in (f"login:{login_id}", f"contacts:{login_id}"):
            pipe.expire(key, current_app.permanent_session_lifetime)
        if not pipe.delete(f"scan:{token}").execute()[-1]:
            raise IllegalState("This code has been taken up.")
    if "login" in session:
        end(session["login"])
    session.clear()  # the browser's id, too: who knew it hears nothing of this login
    session.permanent = True
    session.update(browser=browser_id(), login=login_id)
    return Success(data={"user": user})


def end(login_id: str) -> None:
    """End a login everywhere: its bots, its contacts, its streams."""
    redis.delete(f"login:{login_id}", f"contacts:{login_id}")
    sse.publish({"type": "logged_out"}, type="login", channel=f"login:{login_id}", last=True)


@bp.post("/logout")
def logout() -> Success:
    end(session["login"])
    session.clear()
    return Success()


@bp.get("/me")
def me() -> Success:
    """Return whose login this is, and whether the contacts have been fetched."""
    ready = redis.exists(f"contacts:{session['login']}") > 0
    return Success(data={"user": get_logged_in_user(current_bot), "ready": ready})


def init_app(app: Flask) -> None:
    """Add the views under /j and /scan."""
    app.register_blueprint(bp)
    app.register_blueprint(phone)

"""Settings that gunicorn finds by itself. WEB_CONCURRENCY: how many processes (default 1)."""

import gc
import os
from typing import Any

from flask.helpers import get_debug_flag

host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8106"
bind = f"[{host}]:{port}"  # the brackets are for IPv6, and do no harm to other hosts
worker_class = "gevent"  # an open stream takes a greenlet, not a thread or a process
graceful_timeout = 2  # seconds; a stream never ends by itself
control_socket_disable = True  # all instances would share one, in the user's home
# Which headers of a proxy are believed is for PROXIES to say.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
reload = get_debug_flag()
loglevel = "info" if os.environ.get("VERBOSE") else "warning"
accesslog = None  # its lines would hold the tokens of codes that are open

# How many new objects make Python look for garbage. Its default is 2,000 at most, and thousands of
# streams are millions of objects to look through.
gc.set_threshold(50_000)


def post_worker_init(worker: Any) -> None:
    address = worker.cfg.address[0]  # what --bind says goes before `bind`
    if worker.age == 1 and isinstance(address, tuple):  # the first one, and no Unix socket
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0]) or address[0]  # noqa: S104
        host = f"[{local}]" if ":" in local else local
        print(f"Open http://{host}:{address[1]} (Ctrl-C stops)", flush=True)

"""A small app to test sse.py with: ``?channel=`` is what a browser listens to."""

import os
from typing import Any

from flask import Flask, request
from redis import BlockingConnectionPool, Redis, RedisError
from werkzeug.exceptions import ServiceUnavailable

from sse import SSE


def create_app(config: dict[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL", "")
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})
    # Blocking: browsers that all come back at once wait their turn instead of a 503 for most.
    pool = BlockingConnectionPool.from_url(
        app.config["REDIS_URL"],
        max_connections=20,
        timeout=2,
        decode_responses=True,
        socket_timeout=1,
    )
    redis = Redis(connection_pool=pool)
    sse = app.extensions["sse"] = SSE()
    sse.init_app(app, redis, channels=lambda: request.args.getlist("channel") or ["all"])

    @app.get("/open")
    def count() -> dict[str, int]:
        return {"open": len(sse.queues)}

    @app.errorhandler(RedisError)
    def away(error: RedisError) -> ServiceUnavailable:
        return ServiceUnavailable(retry_after=2)

    return app

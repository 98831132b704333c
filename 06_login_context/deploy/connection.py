"""The desk's connections to Redis: bounded, and back after a failover behind one address."""

from typing import Any

from redis import BlockingConnectionPool, ConnectionError, ReadOnlyError, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def refuse_replica(connection: Any) -> None:
    """Raise ReadOnlyError if a new connection leads to a server that only copies another one."""
    connection.on_connect()
    if (connection.handshake_metadata or {}).get("role") == "replica":
        raise ReadOnlyError("This server is a replica.")


def connect(url: str) -> Redis:
    """Return a client that answers or fails within 2 s; beyond 50 connections, requests queue."""
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=0.5,
        socket_timeout=1,
        socket_connect_timeout=1,
        decode_responses=True,
        # When a replica takes over behind the same address, our connections stay with the server
        # that was the primary. It's a replica now, and refuses to write: connect again, once. The
        # same after a lost connection: redis.transaction tries again at nothing else.
        retry=Retry(NoBackoff(), 1, (ConnectionError, ReadOnlyError)),
        redis_connect_func=refuse_replica,
    )
    return Redis.from_pool(pool)

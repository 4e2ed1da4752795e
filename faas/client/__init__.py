"""The Python client of the platform.

    from faas.client import Client

    with Client() as client:
        client.functions.create("hello", "python", "def handler(event, context): return event['name']")
        print(client.invoke("hello", {"name": "FaaS"}).result(timeout=10))

Importing it loads neither the server's libraries nor httpx, which comes with the first `Client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faas.client.client import Client
from faas.client.errors import (
    BadRequest,
    Cancelled,
    Conflict,
    ConnectionFailed,
    FaasError,
    Forbidden,
    FunctionRaised,
    Invalid,
    InvocationFailed,
    NotFound,
    PlatformFailed,
    ProblemError,
    TimedOut,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WaitTimeout,
)
from faas.client.handle import Handle
from faas.client.records import Event, Function, FunctionStats, Invocation, LogLine, Stats, Times

if TYPE_CHECKING:
    from faas.client.aio import AsyncClient

__all__ = [
    "AsyncClient",
    "BadRequest",
    "Cancelled",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Event",
    "FaasError",
    "Forbidden",
    "Function",
    "FunctionRaised",
    "FunctionStats",
    "Handle",
    "Invalid",
    "Invocation",
    "InvocationFailed",
    "LogLine",
    "NotFound",
    "PlatformFailed",
    "ProblemError",
    "Stats",
    "TimedOut",
    "Times",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "WaitTimeout",
]


def __getattr__(name: str) -> Any:
    """What needs more libraries than the rest: `enqueue` (SQLAlchemy) and `AsyncClient` (asyncio), imported when asked for."""
    if name == "enqueue":
        from faas.client.transactional import enqueue

        return enqueue
    if name == "AsyncClient":
        from faas.client.aio import AsyncClient

        return AsyncClient
    raise AttributeError(name)

"""Which calls are sent again, when, and what an answer means. No I/O, and the same for both clients."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faas.client import tracing
from faas.client.errors import ConnectionFailed, ProblemError, TooManyRequests, Unavailable, problem_of

if TYPE_CHECKING:
    import httpx
    import tenacity

DEFAULT_URL = "http://127.0.0.1:8080"
# How often a followed log is connected to again without a line in between, and the pause before.
RECONNECTS, RECONNECT_S = 20, 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# A platform that asks for more than this is asked again sooner: nobody who waits for an answer wants to sleep for an hour.
_LONGEST_RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        json: the body; None for none.
        repeatable: sending it twice does what sending it once does: it reads, or it carries an Idempotency-Key.
        hold: for how many seconds the server may hold its answer, on top of the client's timeout.
    """

    method: str
    path: str
    json: Any = None
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to and how patiently.

    Attributes:
        timeout: seconds that one request may take to connect, and to answer beyond what it was asked to wait.
        retries: how often a call is sent again at most.
    """

    url: str
    api_key: str | None
    timeout: float
    retries: int

    def request(self, call: Call) -> dict[str, Any]:
        """The arguments of httpx's `request` and `stream` for a call."""
        import httpx

        return {
            "method": call.method,
            "url": call.path,
            "json": call.json,
            "params": call.params,
            "headers": {**tracing.headers(), **call.headers},
            "timeout": httpx.Timeout(self.timeout, read=self.timeout + call.hold),
        }

    @classmethod
    def of(cls, url: str | None, api_key: str | None, timeout: float, retries: int) -> Settings:
        """What was given, else `FAAS_URL` and `FAAS_API_KEY`, else the address of `faas dev`. An empty key is none: the variable's is not sent then."""
        url = url or os.environ.get("FAAS_URL") or DEFAULT_URL
        if api_key is None:
            api_key = os.environ.get("FAAS_API_KEY")
        return cls(url.rstrip("/"), api_key or None, timeout, retries)

    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        login = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"User-Agent": "faas-client", "Accept": "application/json, */*;q=0.5", **login}


class Again(Exception):
    """A call may be sent again.

    Args:
        error: what the caller gets when it is not.
        after: the seconds that the server asked for.
    """

    def __init__(self, error: ConnectionFailed | ProblemError, after: float = 0.0) -> None:
        super().__init__(error)
        self.error, self.after = error, after


def judge(call: Call, response: httpx.Response) -> None:
    """Nothing for a good answer.

    Raises:
        ProblemError: the API refused.
        Again: it refused for the moment.
    """
    if response.is_success:
        return
    try:
        document = response.json()
    except ValueError:
        document = None
    error = problem_of(response.status_code, document)
    # Over a rate means not looked at; after a 503 nobody knows what was done.
    if isinstance(error, TooManyRequests) or (isinstance(error, Unavailable) and call.repeatable):
        raise Again(error, _retry_after(response.headers.get("Retry-After")))
    raise error


def broken(call: Call, settings: Settings, error: Exception) -> Exception:
    """What an error of httpx means: `Again` where the call may be repeated or was never sent, else `ConnectionFailed`."""
    import httpx

    failed = ConnectionFailed(f"{call.method} {settings.url}{call.path}: {error or type(error).__name__}")
    failed.__cause__ = error
    if isinstance(error, httpx.UnsupportedProtocol):
        return failed
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Again(failed) if never_sent or call.repeatable else failed


class Reconnects:
    """How often a followed log is connected to again, without a line in between.

    Args:
        what: whose log it is, for the error's message.
    """

    def __init__(self, what: str) -> None:
        self._what, self._left = what, RECONNECTS

    def heard(self) -> None:
        """A line came: the count begins anew."""
        self._left = RECONNECTS

    def broke(self, error: Again | ConnectionFailed | Unavailable | None) -> None:
        """A connection broke by an error, or just closed. Raises ConnectionFailed or Unavailable where that was once too often."""
        if self._left > 0:
            self._left -= 1
        elif isinstance(error, Again):
            raise error.error from error.error.__cause__
        else:
            raise error or ConnectionFailed(f"The log of {self._what} broke off {RECONNECTS} times.")


def limits() -> httpx.Limits:
    """Of a pool of connections."""
    import httpx

    return httpx.Limits(max_connections=100, max_keepalive_connections=40, keepalive_expiry=10.0)


def strategy(retries: int, patience: float | None = None) -> dict[str, Any]:
    """The arguments of tenacity's `Retrying` and `AsyncRetrying`.

    Args:
        retries: how often a call is sent again.
        patience: seconds for which it is sent again, however often; None for `retries` alone.
    """
    import tenacity

    stop: Any = tenacity.stop_after_attempt(retries + 1)
    if patience is not None:
        stop = tenacity.stop_after_delay(patience)
    return {"stop": stop, "wait": _pause, "retry": tenacity.retry_if_exception_type(Again), "reraise": True}


def _pause(state: tenacity.RetryCallState) -> float:
    """Exponential with full jitter, and never before the time that the server named."""
    step = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(state.attempt_number, 10))
    again = state.outcome.exception() if state.outcome else None
    asked = again.after if isinstance(again, Again) else 0.0
    return asked + random.uniform(0, step)  # noqa: S311 (no secret)


def _retry_after(value: str | None) -> float:
    try:
        return min(max(float(value or 0), 0.0), _LONGEST_RETRY_AFTER_S)
    except ValueError:
        return 1.0

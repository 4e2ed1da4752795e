"""The client: where everything begins."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from faas.client import calls
from faas.client.batches import Batches
from faas.client.calls import Duration
from faas.client.functions import Functions
from faas.client.handle import Handle, slice_of
from faas.client.invocations import Invocations
from faas.client.mapping import Mapper
from faas.client.policy import Call, Settings
from faas.client.records import Invocation, Stats
from faas.client.secrets import Secrets
from faas.client.transport import Transport

if TYPE_CHECKING:
    import httpx


class Client:
    """A client of one platform. Threads may share it; it is closed by `close`, or as a context manager.

    Connection errors, 429, 502, 503 and 504 are tried again, with growing pauses and as late as `Retry-After` says. Invocations carry an
    Idempotency-Key, so no retry makes a second one.

    Args:
        url: the controller's; `FAAS_URL` where left out, else `http://127.0.0.1:8080`.
        api_key: `FAAS_API_KEY` where left out.
        timeout: seconds for each request, beyond what it was asked to wait for.
        retries: how often a call is sent again.

    Attributes:
        functions: create, change, list, delete.
        invocations: records by their ids.
        secrets: set, list, delete.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, timeout: float = 30.0, retries: int = 5
    ) -> None:
        settings = Settings.of(url, api_key, timeout, retries)
        self.url = settings.url
        self._transport = Transport(settings)
        self.functions = Functions(self._transport)
        self.invocations = Invocations(self._transport)
        self.secrets = Secrets(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        hold: float = 0.0,
    ) -> httpx.Response:
        """Any call of the API; `GET` and what has an Idempotency-Key is tried again.

        Args:
            hold: seconds for which the server was asked to hold its answer.

        Raises:
            ConnectionFailed: no answer came.
            ProblemError: the API refused; its subclasses are the statuses.
        """
        return self._transport.send(calls.anything(method, path, json, params, headers, hold))

    def invoke(
        self,
        function: str,
        payload: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        expires_in: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Handle:
        """Have an invocation accepted: when this returns, it will run, whatever is killed.

        Args:
            function: an id or a name.
            payload: any JSON.
            headers: text for the function's context.
            timeout: shorter than the function's own.
            delay, run_at: run it so long from now, or at a time.
            expires_in: an invocation that is not started by then ends cancelled.
            idempotency_key: the same key makes the same invocation for 24 h; one is made up where it is left out.

        Raises:
            NotFound: there is no such function.
            Conflict: its code did not build.
            Invalid: a field is wrong, or the key was used with another body.
        """
        body = calls.invocation(
            function,
            payload,
            headers=headers,
            timeout=timeout,
            delay=delay,
            run_at=run_at,
            expires_in=expires_in,
        )
        return self._accepted(calls.invoke(body, idempotency_key))

    def call(self, function: str, payload: Any = None, *, wait: float | None = None, **options: Any) -> Any:
        """Invoke and wait, in one request where it ends soon: what the function returned.

        Args:
            wait: seconds to wait at most; None for as long as it takes.
            options: `headers`, `timeout`, `expires_in`, `idempotency_key` as in `invoke`.

        Raises:
            WaitTimeout: it has not ended by then. It goes on.
            FunctionRaised, TimedOut, Cancelled, PlatformFailed: it ended so.
        """
        deadline = None if wait is None else time.monotonic() + wait
        key = options.pop("idempotency_key", None)
        handle = self._accepted(
            calls.invoke(calls.invocation(function, payload, **options), key, wait=slice_of(deadline))
        )
        return handle.result(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def handle(self, invocation_id: str) -> Handle:
        """The handle of an invocation whose id is known."""
        return Handle(self.invocations, invocation_id)

    def map(
        self,
        function: str,
        payloads: Iterable[Any],
        *,
        window: int = 1000,
        ordered: bool = True,
        return_exceptions: bool = False,
        **options: Any,
    ) -> Iterator[Any]:
        """The results for any number of payloads, which are read as they are needed and sent in batches.

        Never more than `window` invocations are under way, so the memory it takes does not grow with their number. Leaving the iterator early sends
        no more; what was sent goes on.

        Args:
            payloads: any iterable, an endless one too.
            window: how many may be under way.
            ordered: results in the order of the payloads; False gives them as they end, which lets no slow one hold the others up.
            return_exceptions: give a failure as a value in its place, instead of raising it.
            options: `headers`, `timeout`, `expires_in` as in `invoke`, for each.
        """
        mapper = Mapper(self._transport, self.invocations, Batches(function, options, payloads, window))
        handles = mapper.in_order() if ordered else mapper.as_ended()
        # Closed here and now: left to the garbage collector, the mapper's threads would end at any time, maybe in one of themselves.
        with contextlib.closing(handles):
            for handle in handles:
                failure = handle.exception()
                if failure is not None and not return_exceptions:
                    raise failure
                yield failure if failure is not None else handle.result()

    def stats(self, function: str | None = None, window: str = "1h", limit: int = 50) -> Stats:
        """What the functions have done of late: counts by status, times, what is queued and runs.

        Args:
            function: only this one, by id or name; of one that is not there nothing is told.
            window: `1m`, `5m`, `1h` or `24h` back from now.
            limit: at most so many, the busiest; 200 at most.
        """
        return Stats.from_json(self._transport.send(calls.stats(function, window, limit)).json())

    def _accepted(self, call: Call) -> Handle:
        record = Invocation.from_json(self._transport.send(call).json())
        return Handle(self.invocations, record.id, record)

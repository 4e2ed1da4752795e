"""The client for asyncio: where everything begins."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from faas.client import calls
from faas.client.aio.functions import AsyncFunctions
from faas.client.aio.handle import AsyncHandle
from faas.client.aio.invocations import AsyncInvocations
from faas.client.aio.mapping import AsyncMapper
from faas.client.aio.secrets import AsyncSecrets
from faas.client.aio.transport import AsyncTransport
from faas.client.batches import Batches
from faas.client.calls import Duration
from faas.client.handle import slice_of
from faas.client.policy import Call, Settings
from faas.client.records import Invocation, Stats

if TYPE_CHECKING:
    import httpx


class AsyncClient:
    """As `Client`, for one event loop: `async with AsyncClient() as client`. What sends something is awaited; lists, `map` and followed logs are gone
    through by `async for`.

    Args:
        url, api_key, timeout, retries: as in `Client`.

    Attributes:
        functions, invocations, secrets: as in `Client`.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, timeout: float = 30.0, retries: int = 5
    ) -> None:
        settings = Settings.of(url, api_key, timeout, retries)
        self.url = settings.url
        self._transport = AsyncTransport(settings)
        self.functions = AsyncFunctions(self._transport)
        self.invocations = AsyncInvocations(self._transport)
        self.secrets = AsyncSecrets(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        hold: float = 0.0,
    ) -> httpx.Response:
        """Any call of the API; the arguments and exceptions are those of `Client.request`."""
        return await self._transport.send(calls.anything(method, path, json, params, headers, hold))

    async def invoke(
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
    ) -> AsyncHandle:
        """Have an invocation accepted; the arguments and exceptions are those of `Client.invoke`."""
        body = calls.invocation(
            function,
            payload,
            headers=headers,
            timeout=timeout,
            delay=delay,
            run_at=run_at,
            expires_in=expires_in,
        )
        return await self._accepted(calls.invoke(body, idempotency_key))

    async def call(self, function: str, payload: Any = None, *, wait: float | None = None, **options: Any) -> Any:
        """Invoke and wait; the arguments and exceptions are those of `Client.call`."""
        deadline = None if wait is None else time.monotonic() + wait
        key = options.pop("idempotency_key", None)
        body = calls.invocation(function, payload, **options)
        handle = await self._accepted(calls.invoke(body, key, wait=slice_of(deadline)))
        return await handle.result(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def handle(self, invocation_id: str) -> AsyncHandle:
        """The handle of an invocation whose id is known."""
        return AsyncHandle(self.invocations, invocation_id)

    async def map(
        self,
        function: str,
        payloads: Iterable[Any],
        *,
        window: int = 1000,
        ordered: bool = True,
        return_exceptions: bool = False,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """The results for any number of payloads; the arguments are those of `Client.map`."""
        source = Batches(function, options, payloads, window)
        mapper = AsyncMapper(self._transport, self.invocations, source)
        async with contextlib.aclosing(mapper.in_order() if ordered else mapper.as_ended()) as handles:
            async for handle in handles:
                failure = await handle.exception()
                if failure is not None and not return_exceptions:
                    raise failure
                yield failure if failure is not None else await handle.result()

    async def stats(self, function: str | None = None, window: str = "1h", limit: int = 50) -> Stats:
        """What the functions have done of late; the arguments are those of `Client.stats`."""
        return Stats.from_json((await self._transport.send(calls.stats(function, window, limit))).json())

    async def _accepted(self, call: Call) -> AsyncHandle:
        record = Invocation.from_json((await self._transport.send(call)).json())
        return AsyncHandle(self.invocations, record.id, record)

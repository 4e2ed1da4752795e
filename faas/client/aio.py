"""The client for asyncio: the same calls, the same retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import httpx
import tenacity

from faas.client import calls
from faas.client.errors import InvocationFailed, WaitTimeout, failure_of
from faas.client.handle import slice_of
from faas.client.policy import Again, Call, Settings, broken, judge, strategy
from faas.client.records import Event, Function, Invocation, LogLine
from faas.client.sse import Ended, Reader

_LEAST_PAUSE_S = 0.2
_RECONNECTS = 20
_RECONNECT_S = 1.0


class AsyncClient:
    """As `Client`, for one event loop: `async with AsyncClient() as client`. Functions are kept with `Client`.

    Args:
        url, api_key, timeout, retries: as in `Client`.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, timeout: float = 30.0, retries: int = 5
    ) -> None:
        self._settings = Settings.of(url, api_key, timeout, retries)
        self._http = httpx.AsyncClient(base_url=self._settings.url, headers=self._settings.headers())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def function(self, ref: str) -> Function:
        """One function. Raises NotFound."""
        return Function.from_json((await self.send(Call("GET", calls.function_path(ref), repeatable=True))).json())

    async def invoke(
        self, function: str, payload: Any = None, *, idempotency_key: str | None = None, **options: Any
    ) -> AsyncHandle:
        """Have an invocation accepted; the arguments and exceptions are those of `Client.invoke`."""
        return await self._accepted(calls.invoke(calls.invocation(function, payload, **options), idempotency_key))

    async def call(self, function: str, payload: Any = None, *, wait: float | None = None, **options: Any) -> Any:
        """Invoke and wait; the arguments and exceptions are those of `Client.call`."""
        deadline = None if wait is None else time.monotonic() + wait
        key = options.pop("idempotency_key", None)
        body = calls.invocation(function, payload, **options)
        handle = await self._accepted(calls.invoke(body, key, wait=slice_of(deadline)))
        return await handle.result(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def handle(self, invocation_id: str) -> AsyncHandle:
        """The handle of an invocation whose id is known."""
        return AsyncHandle(self, invocation_id)

    async def send(self, call: Call) -> httpx.Response:
        """The answer of a call. Raises ConnectionFailed, ProblemError."""
        try:
            return await tenacity.AsyncRetrying(**strategy(self._settings.retries))(self._once, call)
        except Again as again:
            raise again.error from again.error.__cause__

    async def follow(self, invocation_id: str) -> AsyncIterator[LogLine]:
        """An invocation's log line by line, while it is printed, until it has ended. Raises ConnectionFailed, ProblemError."""
        reader, left = Reader(), _RECONNECTS
        while True:
            call = calls.follow(invocation_id, reader.last_id)
            try:
                async with self._http.stream(**self._settings.request(call)) as response:
                    if not response.is_success:
                        await response.aread()
                    judge(call, response)
                    async for line in reader.read_async(response.aiter_lines()):
                        left = _RECONNECTS
                        yield line
            except Ended:
                return
            except (Again, httpx.HTTPError) as error:
                again = error if isinstance(error, Again) else broken(call, self._settings, error)
                if left == 0 or not isinstance(again, Again):
                    raise (again.error if isinstance(again, Again) else again) from error
            left -= 1
            await asyncio.sleep(_RECONNECT_S)

    async def _accepted(self, call: Call) -> AsyncHandle:
        record = Invocation.from_json((await self.send(call)).json())
        return AsyncHandle(self, record.id, record)

    async def _once(self, call: Call) -> httpx.Response:
        try:
            response = await self._http.request(**self._settings.request(call))
        except httpx.HTTPError as error:
            raise broken(call, self._settings, error) from error
        judge(call, response)
        return response


class AsyncHandle:
    """One invocation; the methods are those of `Handle`."""

    def __init__(self, client: AsyncClient, invocation_id: str, record: Invocation | None = None) -> None:
        self._client, self.id, self._record = client, invocation_id, record

    async def result(self, timeout: float | None = None) -> Any:
        """What the function returned. Raises WaitTimeout, or how it ended (see `Handle.result`)."""
        record = await self.wait(timeout)
        if (failure := failure_of(record)) is not None:
            raise failure
        return record.result

    async def exception(self, timeout: float | None = None) -> InvocationFailed | None:
        """What `result` would raise for how it ended. Raises WaitTimeout."""
        return failure_of(await self.wait(timeout))

    async def wait(self, timeout: float | None = None) -> Invocation:
        """The terminal record. Raises WaitTimeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self._record and self._record.terminal):
            asked, hold = time.monotonic(), slice_of(deadline)
            record = self._record = await self._read(hold)
            if record.terminal:
                break
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"The invocation {self.id} is {record.status} after {timeout:g} s.")
            if time.monotonic() - asked < min(hold, _LEAST_PAUSE_S):
                await asyncio.sleep(_LEAST_PAUSE_S)
        return self._record

    async def status(self) -> str:
        """Its status as it is now."""
        if not (self._record and self._record.terminal):
            self._record = await self._read(0.0)
        return self._record.status

    async def logs(self) -> str:
        """What its last attempt printed."""
        path = f"{calls.invocation_path(self.id)}/logs"
        return (await self._client.send(Call("GET", path, repeatable=True))).text

    def follow(self) -> AsyncIterator[LogLine]:
        """Its log line by line, while it is printed, until it has ended."""
        return self._client.follow(self.id)

    async def cancel(self) -> Invocation:
        """Cancel it. Raises Conflict where it has ended."""
        path = f"{calls.invocation_path(self.id)}/cancel"
        return Invocation.from_json((await self._client.send(Call("POST", path))).json())

    async def events(self) -> list[Event]:
        """What happened to it so far, in order."""
        call = Call("GET", f"{calls.invocation_path(self.id)}/events", repeatable=True)
        return [Event.from_json(one) for one in (await self._client.send(call)).json()["events"]]

    async def replay(self) -> AsyncHandle:
        """Run it once more, with its own revision. Raises Conflict where it has not ended."""
        record = Invocation.from_json((await self._client.send(calls.replay(self.id, "pinned"))).json())
        return AsyncHandle(self._client, record.id, record)

    async def _read(self, hold: float) -> Invocation:
        return Invocation.from_json((await self._client.send(calls.read(self.id, hold))).json())

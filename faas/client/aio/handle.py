"""A handle of one invocation for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, Literal, overload

from faas.client.errors import InvocationFailed, WaitTimeout, failure_of
from faas.client.handle import LEAST_PAUSE_S, slice_of
from faas.client.records import Event, Invocation, LogLine

if TYPE_CHECKING:
    from faas.client.aio.invocations import AsyncInvocations


class AsyncHandle:
    """One invocation; the methods are those of `Handle`."""

    def __init__(self, invocations: AsyncInvocations, invocation_id: str, record: Invocation | None = None) -> None:
        self._invocations = invocations
        self.id = invocation_id
        self._record = record

    def __repr__(self) -> str:
        return f"<AsyncHandle {self.id} {self._record.status if self._record else '?'}>"

    async def result(self, timeout: float | None = None) -> Any:
        """What the function returned. Raises WaitTimeout, or how it ended (see `Handle.result`)."""
        record = await self.wait(timeout)
        if (failure := failure_of(record)) is not None:
            raise failure
        return record.result

    async def exception(self, timeout: float | None = None) -> InvocationFailed | None:
        """What `result` would raise for how it ended; None where it succeeded. Raises WaitTimeout."""
        return failure_of(await self.wait(timeout))

    async def wait(self, timeout: float | None = None) -> Invocation:
        """The terminal record, however it ended. Raises WaitTimeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self._record and self._record.terminal):
            asked, hold = time.monotonic(), slice_of(deadline)
            record = self._record = await self._invocations.get(self.id, wait=hold)
            if record.terminal:
                break
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"The invocation {self.id} is {record.status} after {timeout:g} s.")
            # A controller that stops answers early, and the next one may not be there yet.
            if time.monotonic() - asked < min(hold, LEAST_PAUSE_S):
                await asyncio.sleep(LEAST_PAUSE_S)
        return self._record

    async def record(self) -> Invocation:
        """The record as it is now."""
        if not (self._record and self._record.terminal):
            self._record = await self._invocations.get(self.id)
        return self._record

    async def status(self) -> str:
        """Its status as it is now."""
        return (await self.record()).status

    async def done(self) -> bool:
        """Whether it has ended."""
        return (await self.record()).terminal

    @overload
    def logs(self, follow: Literal[False] = False) -> Awaitable[str]: ...

    @overload
    def logs(self, follow: Literal[True]) -> AsyncIterator[LogLine]: ...

    def logs(self, follow: bool = False) -> Awaitable[str] | AsyncIterator[LogLine]:
        """What its last attempt printed (`await`); with `follow` line by line (`async for`), while it prints, until it has ended."""
        return self._invocations.follow(self.id) if follow else self._invocations.logs(self.id)

    async def cancel(self) -> Invocation:
        """Cancel it. Raises Conflict where it has ended."""
        return await self._invocations.cancel(self.id)

    async def events(self) -> list[Event]:
        """What happened to it so far, in order."""
        return await self._invocations.events(self.id)

    async def replay(self, revision: Literal["pinned", "newest"] = "pinned") -> AsyncHandle:
        """Run it once more, as a new invocation. Raises Conflict where it has not ended."""
        return await self._invocations.replay(self.id, revision)

"""`client.functions` for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from faas.client import calls
from faas.client.aio.invocations import followed, pages
from faas.client.aio.transport import AsyncTransport
from faas.client.errors import WaitTimeout
from faas.client.functions import LOOK_S
from faas.client.policy import Call
from faas.client.records import Function, LogLine
from faas.client.sse import Reader


class AsyncFunctions:
    """Calls of `/functions`; the methods are those of `Functions`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create(
        self, name: str, runtime: str, code: str | bytes | Path, handler: str | None = None, **settings: Any
    ) -> Function:
        """Create a function. Raises Conflict, Invalid."""
        # Packing a folder takes as long as it takes.
        call = await asyncio.to_thread(calls.create_function, name, runtime, code, handler, settings)
        return await self._one(call)

    async def update(self, ref: str, *, code: str | bytes | Path | None = None, **changes: Any) -> Function:
        """Change some of a function's fields: makes a new revision."""
        return await self._one(await asyncio.to_thread(calls.update_function, ref, code, changes))

    async def get(self, ref: str) -> Function:
        """One function. Raises NotFound."""
        return await self._one(calls.get_function(ref))

    async def list(self, *, name: str | None = None, limit: int = 200) -> AsyncIterator[Function]:
        """All functions, newest first, page by page as they are asked for."""
        async for item in pages(self._transport, "/functions", {"name": name, "limit": limit}):
            yield Function.from_json(item)

    async def delete(self, ref: str) -> None:
        """Delete a function. Raises NotFound."""
        await self._transport.send(calls.delete_function(ref))

    async def follow(
        self, ref: str, last: int = 0, dropped: Callable[[int], None] | None = None
    ) -> AsyncIterator[LogLine]:
        """What all invocations of a function print, while they print it, without end. The arguments and exceptions are those of `Functions.follow`."""
        reader, told = Reader(endless=True), 0
        async for line in followed(
            self._transport, reader, lambda: calls.follow_function(ref, last, reader.last_id), ref
        ):
            if dropped is not None and reader.dropped > told:
                told = reader.dropped
                dropped(told)
            yield line

    async def wait(self, ref: str, timeout: float = 120.0) -> Function:
        """The function once it is no longer `building`. Raises WaitTimeout."""
        deadline = time.monotonic() + timeout
        while (found := await self.get(ref)).state == "building":
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"The function {ref} is still building after {timeout:g} s.")
            await asyncio.sleep(LOOK_S)
        return found

    async def _one(self, call: Call) -> Function:
        return Function.from_json((await self._transport.send(call)).json())

"""Many invocations through the batch endpoint, for asyncio."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from faas.client import calls
from faas.client.aio.handle import AsyncHandle
from faas.client.aio.invocations import AsyncInvocations
from faas.client.aio.transport import AsyncTransport
from faas.client.batches import Batches
from faas.client.mapping import LOOK_S, PATIENCE_S

_READERS = 16


class AsyncMapper:
    """One function over many payloads, as `Mapper` does it."""

    def __init__(self, transport: AsyncTransport, invocations: AsyncInvocations, source: Batches) -> None:
        self._transport, self._invocations, self._source = transport, invocations, source

    async def in_order(self) -> AsyncGenerator[AsyncHandle, None]:
        """Handles that have ended, in the order of the payloads."""
        waiting, reading = deque[AsyncHandle](), deque[asyncio.Task[AsyncHandle]]()
        try:
            while True:
                free = self._source.room(len(waiting) + len(reading))
                while free > 0 and (items := self._source.take(free)):
                    waiting.extend((await self._send(items))[1])
                    free -= len(items)
                while waiting and len(reading) < _READERS:
                    reading.append(asyncio.create_task(_ended(waiting.popleft())))
                if not reading:
                    return
                yield await reading.popleft()
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def as_ended(self) -> AsyncGenerator[AsyncHandle, None]:
        """Handles that have ended, the first to end first (as nearly as looking once a second tells)."""
        batches: dict[str, dict[str, AsyncHandle]] = {}
        while True:
            free = self._source.window - sum(len(left) for left in batches.values())
            while free > 0 and (items := self._source.take(free)):
                batch_id, handles = await self._send(items)
                batches[batch_id] = {handle.id: handle for handle in handles}
                free -= len(handles)
            if not batches:
                return
            for batch_id in list(batches):
                async for handle in self._newly_ended(batch_id, batches[batch_id]):
                    yield handle
                if not batches[batch_id]:
                    del batches[batch_id]
            oldest = next(itertools.chain.from_iterable(batches.values()), None)
            if oldest is not None:
                await self._invocations.get(oldest, wait=LOOK_S)

    async def _send(self, items: list[dict[str, Any]]) -> tuple[str, list[AsyncHandle]]:
        document = (await self._transport.send(calls.batch(items), patience=PATIENCE_S)).json()
        return document["batch_id"], [AsyncHandle(self._invocations, one) for one in document["invocation_ids"]]

    async def _newly_ended(self, batch_id: str, left: dict[str, AsyncHandle]) -> AsyncIterator[AsyncHandle]:
        records = [one async for one in self._invocations.list(batch_id=batch_id)]
        # Lists are newest first.
        for id_ in reversed([one.id for one in records if one.terminal and one.id in left]):
            yield left.pop(id_)


async def _ended(handle: AsyncHandle) -> AsyncHandle:
    await handle.wait()
    return handle

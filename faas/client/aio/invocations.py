"""`client.invocations` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from faas.client import calls
from faas.client.aio.handle import AsyncHandle
from faas.client.aio.transport import AsyncTransport
from faas.client.errors import ConnectionFailed, Unavailable
from faas.client.policy import RECONNECT_S, Again, Call, Reconnects
from faas.client.records import Event, Invocation, LogLine
from faas.client.sse import Ended, Reader


class AsyncInvocations:
    """Calls of `/invocations`; the methods are those of `Invocations`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, invocation_id: str, wait: float = 0.0) -> Invocation:
        """One record; the server holds its answer for at most `wait` seconds, until the invocation has ended."""
        return Invocation.from_json((await self._transport.send(calls.read(invocation_id, wait))).json())

    async def list(
        self, *, function: str | None = None, status: str | None = None, batch_id: str | None = None, limit: int = 200
    ) -> AsyncIterator[Invocation]:
        """All records, newest first, page by page as they are asked for; without payload, headers and result."""
        given = {"function_id": function, "status": status, "batch_id": batch_id, "limit": limit}
        async for item in pages(self._transport, "/invocations", given):
            yield Invocation.from_json(item)

    async def cancel(self, invocation_id: str) -> Invocation:
        """Cancel one. Raises Conflict where it has ended."""
        return Invocation.from_json((await self._transport.send(calls.cancel(invocation_id))).json())

    async def replay(self, invocation_id: str, revision: Literal["pinned", "newest"] = "pinned") -> AsyncHandle:
        """Run one that has ended once more, with its own revision or the function's newest."""
        answer = await self._transport.send(calls.replay(invocation_id, revision))
        record = Invocation.from_json(answer.json())
        return AsyncHandle(self, record.id, record)

    async def events(self, invocation_id: str) -> list[Event]:  # type: ignore[valid-type]  # the class has a `list`
        """What happened to one, in order."""
        document = (await self._transport.send(calls.events(invocation_id))).json()
        return [Event.from_json(one) for one in document["events"]]

    async def logs(self, invocation_id: str) -> str:
        """What its last attempt printed."""
        return (await self._transport.send(calls.logs(invocation_id))).text

    def follow(self, invocation_id: str) -> AsyncIterator[LogLine]:
        """Its log line by line, while it is printed, until it has ended. Raises ConnectionFailed, Unavailable."""
        reader = Reader()
        return followed(self._transport, reader, lambda: calls.follow(invocation_id, reader.last_id), invocation_id)


async def followed(
    transport: AsyncTransport, reader: Reader, call: Callable[[], Call], what: str
) -> AsyncIterator[LogLine]:
    """The lines of a stream of events, over any number of connections; the arguments are those of the other client's `followed`."""
    reconnects = Reconnects(what)
    while True:
        error: Again | ConnectionFailed | Unavailable | None = None
        try:
            async with transport.stream(call()) as response:
                async for line in reader.read_async(response.aiter_lines()):
                    reconnects.heard()
                    yield line
        except Ended:
            return
        except (Again, ConnectionFailed, Unavailable) as broken:
            error = broken
        reconnects.broke(error)
        await asyncio.sleep(RECONNECT_S)


async def pages(transport: AsyncTransport, path: str, given: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The items of a list, over all its pages."""
    cursor = None
    while True:
        document = (await transport.send(calls.page(path, given, cursor))).json()
        for item in document["items"]:
            yield item
        cursor = document["next_cursor"]
        if not cursor:
            return

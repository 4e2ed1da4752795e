"""`client.invocations`: records by their ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from faas.client import calls
from faas.client.errors import ConnectionFailed, Unavailable
from faas.client.handle import Handle
from faas.client.policy import RECONNECT_S, Again, Call, Reconnects
from faas.client.records import Event, Invocation, LogLine
from faas.client.sse import Ended, Reader
from faas.client.transport import Transport


class Invocations:
    """Calls of `/invocations`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, invocation_id: str, wait: float = 0.0) -> Invocation:
        """One record.

        Args:
            wait: seconds, at most 60, for which the server holds its answer until the invocation has ended.
        """
        return Invocation.from_json(self._transport.send(calls.read(invocation_id, wait)).json())

    def list(
        self, *, function: str | None = None, status: str | None = None, batch_id: str | None = None, limit: int = 200
    ) -> Iterator[Invocation]:
        """All records, newest first, page by page as they are asked for; without payload, headers and result.

        Args:
            function: only those of the function with this id or name.
            limit: items of a page.
        """
        given = {"function_id": function, "status": status, "batch_id": batch_id, "limit": limit}
        for item in pages(self._transport, "/invocations", given):
            yield Invocation.from_json(item)

    def cancel(self, invocation_id: str) -> Invocation:
        """Cancel one. Raises Conflict where it has ended."""
        return Invocation.from_json(self._transport.send(calls.cancel(invocation_id)).json())

    def replay(self, invocation_id: str, revision: Literal["pinned", "newest"] = "pinned") -> Handle:
        """Run one that has ended once more, with its own revision or the function's newest."""
        record = Invocation.from_json(self._transport.send(calls.replay(invocation_id, revision)).json())
        return Handle(self, record.id, record)

    def events(self, invocation_id: str) -> list[Event]:  # type: ignore[valid-type]  # the class has a `list`
        """What happened to one, in order."""
        document = self._transport.send(calls.events(invocation_id)).json()
        return [Event.from_json(one) for one in document["events"]]

    def logs(self, invocation_id: str) -> str:
        """What its last attempt printed."""
        return self._transport.send(calls.logs(invocation_id)).text

    def follow(self, invocation_id: str) -> Iterator[LogLine]:
        """Its log line by line, while it is printed, until it has ended. A connection that breaks is made again where the last line was.

        Raises:
            ConnectionFailed, Unavailable: it broke too often.
        """
        reader = Reader()
        return followed(self._transport, reader, lambda: calls.follow(invocation_id, reader.last_id), invocation_id)


def followed(transport: Transport, reader: Reader, call: Callable[[], Call], what: str) -> Iterator[LogLine]:
    """The lines of a stream of events, over any number of connections.

    Args:
        call: the next connection's.
        what: whose log it is, for the error's message.
    """
    reconnects = Reconnects(what)
    while True:
        error: Again | ConnectionFailed | Unavailable | None = None
        try:
            with transport.stream(call()) as response:
                for line in reader.read(response.iter_lines()):
                    reconnects.heard()
                    yield line
        except Ended:
            return
        except (Again, ConnectionFailed, Unavailable) as broken:
            error = broken
        reconnects.broke(error)
        time.sleep(RECONNECT_S)


def pages(transport: Transport, path: str, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The items of a list, over all its pages."""
    cursor = None
    while True:
        document = transport.send(calls.page(path, given, cursor)).json()
        yield from document["items"]
        cursor = document["next_cursor"]
        if not cursor:
            return

"""Server-sent events of a followed log (WHATWG HTML, section 9.2). No I/O."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

from faas.client.records import LogLine


class Ended(Exception):
    """The `end` event: nothing follows."""


class Reader:
    """Turns the lines of a stream into lines of the log, over any number of connections.

    Attributes:
        last_id: where to go on, for `Last-Event-ID`.
    """

    def __init__(self) -> None:
        self.last_id: str | None = None
        self._fields: dict[str, str] = {}

    def read(self, lines: Iterator[str]) -> Iterator[LogLine]:
        """The log lines of one connection. Raises Ended after the last; returns where the connection just closes."""
        self._fields = {}
        for line in lines:
            if (found := self._take(line)) is not None:
                yield found

    async def read_async(self, lines: AsyncIterator[str]) -> AsyncIterator[LogLine]:
        """The same from an asynchronous stream."""
        self._fields = {}
        async for line in lines:
            if (found := self._take(line)) is not None:
                yield found

    def _take(self, line: str) -> LogLine | None:
        if line:
            name, _, value = line.partition(":")
            if name:
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if fields.get("event") == "end":
            raise Ended
        if fields.get("event") != "log":
            return None
        # Taken over once the event is whole: a connection cut in its middle gets it again.
        self.last_id = fields.get("id", self.last_id)
        return LogLine.from_json(json.loads(fields["data"]))

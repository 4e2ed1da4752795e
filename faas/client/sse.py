"""Server-sent events of a followed log (WHATWG HTML, section 9.2). No I/O."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

from faas.client.records import LogLine


class Ended(Exception):
    """The `end` event: nothing follows."""


class Reader:
    """Turns the lines of a stream into lines of the log, over any number of connections.

    Args:
        endless: an `end` is one of many, as where a function is followed.

    Attributes:
        last_id: where to go on, for `Last-Event-ID`.
        dropped: how many lines were left out, since they were read too slowly.
    """

    def __init__(self, *, endless: bool = False) -> None:
        self.last_id: str | None = None
        self.dropped = 0
        self._endless = endless
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
        if fields.get("event") == "end" and not self._endless:
            raise Ended
        if fields.get("event") == "dropped":
            self.dropped += json.loads(fields["data"])["lines"]
        if fields.get("event") == "end":
            self.last_id = fields.get("id", self.last_id)
        if fields.get("event") != "log":
            return None
        # Taken over once the event is whole: a connection cut in its middle gets it again.
        self.last_id = fields.get("id", self.last_id)
        return LogLine.from_json(json.loads(fields["data"]))

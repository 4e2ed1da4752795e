"""The log of an invocation as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask import request

from faas.domain.invocation import Status
from faas.domain.log import Position
from faas.errors import PlatformError
from faas.services import Invocations, lines
from faas.services.lines import Line
from faas.web.context import stopping
from faas.web.render import instant

_log = logging.getLogger("faas.web")
KEEP_ALIVE_S = 10.0
KEEP_ALIVE = ": keep-alive\n\n"
_RETRY_MS = 1000
BEGINNING = f": following\nretry: {_RETRY_MS}\n\n"
_WRITE_BYTES = 16 * 1024
_EVENT_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")


def last_position() -> Position:
    """Where the client was, by its `Last-Event-ID`; the beginning where it has none of ours."""
    match = _EVENT_ID.fullmatch(request.headers.get("Last-Event-ID", ""))
    return Position(int(match[1]), int(match[2])) if match else Position()


def follow(invocations: Invocations, id_: str, position: Position) -> Iterator[str]:
    """The events of one invocation from a position on: `log` for each line as it is printed, then one `end` with the status.

    Whatever did not come while it ran comes from the record at the end. An event's id is the position after it. Where the log begins anew, with
    another attempt, the ids do too. A comment goes out every 10 s, so that proxies keep the connection and a client that left is noticed.
    """
    yield BEGINNING
    try:
        spoke = time.monotonic()
        for found in lines.follow(invocations, id_, position):
            if isinstance(found, Status):
                yield event("end", {"status": found.value})
                return
            if found is not None:
                yield from together(event("log", shown(line), place(line.position)) for line in found)
                spoke = time.monotonic()
            elif time.monotonic() - spoke >= KEEP_ALIVE_S:
                yield KEEP_ALIVE
                spoke = time.monotonic()
            if stopping().is_set():
                # Without an `end`: the client connects again, to a process that stays.
                return
    except PlatformError as error:
        # The status line is long gone; without an `end` the client comes again.
        _log.warning("a followed log was cut off: %s", error, extra={"fields": {"invocation_id": id_}})


def event(kind: str, data: Any, id_: str | None = None) -> str:
    """One event. JSON in ASCII has no line break in it, so one `data` line holds it."""
    named = f"id: {id_}\n" if id_ else ""
    return f"{named}event: {kind}\ndata: {json.dumps(data)}\n\n"


def shown(line: Line) -> dict[str, Any]:
    """A line as the data of an event."""
    return {"time": instant(datetime.fromtimestamp(line.time, UTC)), "stream": line.stream, "text": line.text}


def place(position: Position) -> str:
    """A position in an event's id."""
    return f"{position.attempt}:{position.offset}"


def together(events: Iterable[str]) -> Iterator[str]:
    """The same text in larger strings: a write to the connection for each of a thousand lines costs more than the lines."""
    waiting: list[str] = []
    size = 0
    for one in events:
        waiting.append(one)
        size += len(one)
        if size >= _WRITE_BYTES:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)

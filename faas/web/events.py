"""The log of an invocation as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from faas.domain.invocation import Invocation
from faas.services import Invocations
from faas.web.context import stopping
from faas.web.render import instant
from faas.web.waiting import wait

KEEP_ALIVE_S = 10.0


def follow(invocations: Invocations, id_: str) -> Iterator[str]:
    """The events of one invocation: `log` for each line, then one `end` with the status.

    A comment goes out every 10 s, so that proxies keep the connection and a client that left is noticed.
    """
    yield ": following\n\n"
    record = invocations.get(id_)
    while not record.status.terminal:
        record = wait(invocations, id_, KEEP_ALIVE_S)
        yield ": keep-alive\n\n"
        if stopping().is_set():
            # Without an `end`: the client connects again, to a process that stays.
            return
    yield from _lines(record, invocations.logs(id_).decode("utf-8", "replace"))
    yield event("end", {"status": record.status.value})


def event(kind: str, data: Any) -> str:
    """One event. JSON in ASCII has no line break in it, so one `data` line holds it."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _lines(record: Invocation, text: str) -> Iterator[str]:
    # The stored log does not say which stream a line came from, nor when.
    for line in text.split("\n")[: -1 if text.endswith("\n") else None]:
        if text:
            yield event("log", {"time": instant(record.finished_at), "stream": None, "text": f"{line}\n"})

"""The log of an invocation as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import codecs
import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from flask import request

from faas.domain.log import Excerpt, Piece, Position
from faas.errors import PlatformError
from faas.services import Invocations
from faas.web.context import stopping
from faas.web.render import instant

_log = logging.getLogger("faas.web")
KEEP_ALIVE_S = 10.0
_RETRY_MS = 1000
_WRITE_BYTES = 16 * 1024
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
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
    yield f": following\nretry: {_RETRY_MS}\n\n"
    text = _Text(position)
    try:
        spoke = time.monotonic()
        for excerpt in invocations.live(id_, position):
            if excerpt is not None:
                yield from _together(text.events(excerpt))
                spoke = time.monotonic()
            elif time.monotonic() - spoke >= KEEP_ALIVE_S:
                yield ": keep-alive\n\n"
                spoke = time.monotonic()
            if stopping().is_set():
                # Without an `end`: the client connects again, to a process that stays.
                return
        record = invocations.get(id_)
        stored, finished = invocations.logs(id_), record.finished_at or datetime.now(UTC)
        yield from _together(text.events(_rest(stored, record.attempts, text.position, finished.timestamp())))
        yield from text.rest(finished.timestamp())
    except PlatformError as error:
        # The status line is long gone; without an `end` the client comes again.
        _log.warning("a followed log was cut off: %s", error, extra={"fields": {"invocation_id": id_}})
        return
    yield event("end", {"status": record.status.value})


def event(kind: str, data: Any, id_: str | None = None) -> str:
    """One event. JSON in ASCII has no line break in it, so one `data` line holds it."""
    named = f"id: {id_}\n" if id_ else ""
    return f"{named}event: {kind}\ndata: {json.dumps(data)}\n\n"


def _together(events: Iterator[str]) -> Iterator[str]:
    """The same text in larger strings: a write to the connection for each of a thousand lines costs more than the lines."""
    waiting, size = [], 0
    for one in events:
        waiting.append(one)
        size += len(one)
        if size >= _WRITE_BYTES:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)


def _rest(stored: bytes, attempt: int, position: Position, moment: float) -> Excerpt:
    """What the record has beyond a position. It does not say which stream a byte came from, nor when."""
    offset = min(position.offset, len(stored)) if position.attempt == attempt else 0
    rest = stored[offset:]
    return Excerpt(Position(attempt, offset), (Piece(None, moment, rest),) if rest else ())


class _Text:
    """Makes events of bytes: a line each. Each stream is decoded by itself, and a character that came in two halves is one.

    Attributes:
        position: up to where bytes were taken in.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self._decoders: dict[str | None, codecs.IncrementalDecoder] = {}

    def events(self, excerpt: Excerpt) -> Iterator[str]:
        """The events of an excerpt that joins on to what came before, or begins another attempt."""
        if excerpt.start.attempt != self.position.attempt:
            self._decoders.clear()
        self.position = excerpt.start
        for piece in excerpt.pieces:
            decoder = self._decoder(piece.stream)
            for line in _LINE.findall(piece.data):
                self.position = Position(self.position.attempt, self.position.offset + len(line))
                text = decoder.decode(line)
                if text:
                    yield self._event(piece, text, len(decoder.getstate()[0]))

    def rest(self, moment: float) -> Iterator[str]:
        """The events of what was cut off in the middle of a character."""
        for stream, decoder in self._decoders.items():
            if text := decoder.decode(b"", final=True):
                yield self._event(Piece(stream, moment, b""), text, 0)

    def _event(self, piece: Piece, text: str, held: int) -> str:
        # Who resumes after this event gets the held half of a character again.
        id_ = f"{self.position.attempt}:{self.position.offset - held}"
        moment = instant(datetime.fromtimestamp(piece.time, UTC))
        return event("log", {"time": moment, "stream": piece.stream, "text": text}, id_)

    def _decoder(self, stream: str | None) -> codecs.IncrementalDecoder:
        if stream not in self._decoders:
            self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
            if stream is None:
                self._take_over(self._decoders[stream])
        return self._decoders[stream]

    def _take_over(self, decoder: codecs.IncrementalDecoder) -> None:
        """What comes from the record goes on where a stream was left in the middle of a character."""
        held = b"".join(one.getstate()[0] for one in self._decoders.values())
        for one in self._decoders.values():
            one.reset()
        decoder.decode(held)

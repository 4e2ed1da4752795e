"""What an invocation prints, line by line: as it is printed, and at the end from the record."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from faas.domain.invocation import Status
from faas.domain.log import Excerpt, Piece, Position
from faas.services.invocations import Invocations

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or the part of one that came so far.

    Attributes:
        stream: `stdout` or `stderr`; None where that is not known any more.
        time: when it was read, in seconds of Unix time.
        position: where to go on after it.
    """

    stream: str | None
    time: float
    text: str
    position: Position


def follow(invocations: Invocations, id_: str, position: Position) -> Generator[list[Line] | Status | None, None, None]:
    """The lines of one invocation from a position on, and at last its status. Where its log begins anew, with another attempt, the positions do too.

    None comes at least once a second while nothing is printed, so that the caller can look around.

    Raises:
        NotFound: there is no such invocation. DatabaseDown.
    """
    text = _Text(position)
    for excerpt in invocations.live(id_, position):
        yield list(text.lines(excerpt)) if excerpt is not None else None
    # Whatever did not come while it ran comes from the record.
    record = invocations.get(id_)
    stored, finished = invocations.logs(id_), (record.finished_at or datetime.now(UTC)).timestamp()
    yield [*text.lines(_rest(stored, record.attempts, text.position, finished)), *text.rest(finished)]
    yield record.status


def _rest(stored: bytes, attempt: int, position: Position, moment: float) -> Excerpt:
    """What the record has beyond a position. It does not say which stream a byte came from, nor when."""
    offset = min(position.offset, len(stored)) if position.attempt == attempt else 0
    rest = stored[offset:]
    return Excerpt(Position(attempt, offset), (Piece(None, moment, rest),) if rest else ())


class _Text:
    """Makes lines of bytes. Each stream is decoded by itself, and a character that came in two halves is one.

    Attributes:
        position: up to where bytes were taken in.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self._decoders: dict[str | None, codecs.IncrementalDecoder] = {}

    def lines(self, excerpt: Excerpt) -> Iterator[Line]:
        """The lines of an excerpt that joins on to what came before, or begins another attempt."""
        if excerpt.start.attempt != self.position.attempt:
            self._decoders.clear()
        self.position = excerpt.start
        for piece in excerpt.pieces:
            decoder = self._decoder(piece.stream)
            for line in _LINE.findall(piece.data):
                self.position = Position(self.position.attempt, self.position.offset + len(line))
                text = decoder.decode(line)
                if text:
                    yield self._line(piece, text, len(decoder.getstate()[0]))

    def rest(self, moment: float) -> Iterator[Line]:
        """What was cut off in the middle of a character."""
        for stream, decoder in self._decoders.items():
            if text := decoder.decode(b"", final=True):
                yield self._line(Piece(stream, moment, b""), text, 0)

    def _line(self, piece: Piece, text: str, held: int) -> Line:
        # Who resumes after this line gets the held half of a character again.
        return Line(piece.stream, piece.time, text, Position(self.position.attempt, self.position.offset - held))

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

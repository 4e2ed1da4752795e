"""What a function prints, as it is handed on while it runs. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in an invocation's log: the attempt (0 before the first) and the bytes of that attempt's log that lie before it."""

    attempt: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that came together.

    Attributes:
        stream: `stdout` or `stderr`; None where that is not known any more.
        time: when they were read, in seconds of Unix time.
    """

    stream: str | None
    time: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Neighbouring pieces of a log, from a position on. `closed`: the attempt has ended, and this is its log's end."""

    start: Position
    pieces: tuple[Piece, ...]
    closed: bool = False

    @property
    def end(self) -> Position:
        """The position after it."""
        return Position(self.start.attempt, self.start.offset + sum(len(piece.data) for piece in self.pieces))

    def after(self, offset: int) -> Excerpt:
        """The part from an offset on, which must not lie before the excerpt."""
        skip, kept = offset - self.start.offset, []
        for piece in self.pieces:
            if len(piece.data) > skip:
                kept.append(Piece(piece.stream, piece.time, piece.data[skip:]))
            skip = max(0, skip - len(piece.data))
        return Excerpt(Position(self.start.attempt, max(offset, self.start.offset)), tuple(kept), self.closed)

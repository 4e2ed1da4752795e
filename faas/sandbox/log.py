"""What a function prints during one call: both streams in order of arrival, each cut at a cap."""

from __future__ import annotations

import bisect
import time

from faas.domain.function import LOG_BYTES
from faas.domain.log import Piece

# How fine times are kept, and how many changes of stream and time: a function that prints single bytes must not fill the worker's memory.
_FINE_S = 0.01
_MARKS = 10_000


class Log:
    """Collects output. Past 1 MiB of a stream the rest is dropped, and a last line says so.

    One thread adds; any may `read` meanwhile.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        # Where the stream or the time changed: the offset, the stream (None past the bound: not known), the time.
        self._marks: list[tuple[int, str | None, float]] = []
        self._sizes: dict[str, int] = {}
        self._cut: list[str] = []

    def add(self, stream: str, data: bytes) -> None:
        """Take in what a stream brought."""
        size = self._sizes.get(stream, 0)
        kept = data[: max(0, LOG_BYTES - size)]
        self._sizes[stream] = size + len(kept)
        if kept:
            # The mark comes first: a reader finds one for every byte that it sees.
            self._mark(stream, time.time())
            self._data += kept
        if len(kept) < len(data) and stream not in self._cut:
            self._cut.append(stream)

    def _mark(self, stream: str, now: float) -> None:
        marks = self._marks
        if marks and (len(marks) == _MARKS or (marks[-1][1] == stream and abs(now - marks[-1][2]) < _FINE_S)):
            return
        marks.append((len(self._data), stream if len(marks) < _MARKS - 1 else None, now))

    def read(self, offset: int, most: int) -> tuple[Piece, ...]:
        """What is there from an offset on.

        Args:
            offset: in bytes from the beginning.
            most: bytes at most.
        """
        end = min(len(self._data), offset + most)
        pieces = []
        number = max(0, bisect.bisect_right(self._marks, offset, key=lambda mark: mark[0]) - 1)
        while offset < end:
            _, stream, moment = self._marks[number]
            number += 1
            stop = min(end, self._marks[number][0]) if number < len(self._marks) else end
            pieces.append(Piece(stream, moment, bytes(self._data[offset:stop])))
            offset = stop
        return tuple(pieces)

    def value(self) -> bytes:
        """All of it, with a mark for each stream that was cut."""
        log = bytes(self._data)
        for stream in self._cut:
            log += (b"" if log.endswith(b"\n") else b"\n") + f"[{stream} cut at 1 MiB]\n".encode()
        return log

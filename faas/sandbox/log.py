"""What a function prints during one call: both streams in order of arrival, each cut at a cap."""

from __future__ import annotations

from faas.domain.function import LOG_BYTES


class Log:
    """Collects output. Past 1 MiB of a stream the rest is dropped, and a last line says so."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._sizes: dict[str, int] = {}
        self._cut: list[str] = []

    def add(self, stream: str, data: bytes) -> None:
        """Take in what a stream brought."""
        size = self._sizes.get(stream, 0)
        kept = data[: max(0, LOG_BYTES - size)]
        self._sizes[stream] = size + len(kept)
        if kept:
            self._parts.append(kept)
        if len(kept) < len(data) and stream not in self._cut:
            self._cut.append(stream)

    def value(self) -> bytes:
        """All of it, with a mark for each stream that was cut."""
        log = b"".join(self._parts)
        for stream in self._cut:
            log += (b"" if log.endswith(b"\n") else b"\n") + f"[{stream} cut at 1 MiB]\n".encode()
        return log

"""Small files of the kernel that are looked at before and after each call: opened once, for a tenth of what opening them every time costs."""

from __future__ import annotations

import os
import threading

# More than any of them holds: the number of processes is bounded.
_BYTES = 64 * 1024


class KeptFiles:
    """Files of one folder, opened when they are first used and kept open until `close`. Any thread may use it.

    Args:
        folder: as text.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        # Over every use: a number that was closed meanwhile may be another file's already.
        self._lock = threading.Lock()
        self._open: dict[tuple[str, int], int] | None = {}

    def read(self, name: str) -> bytes:
        """What is in a file now. Raises OSError."""
        with self._lock:
            return os.pread(self._descriptor(name, os.O_RDONLY), _BYTES, 0)

    def read_anew(self, name: str) -> bytes:
        """The same of one that goes on telling what was so when it was opened. Raises OSError."""
        descriptor = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _BYTES)
        finally:
            os.close(descriptor)

    def write(self, name: str, value: bytes) -> None:
        """Write to the beginning of a file, which is never made. Raises OSError."""
        with self._lock:
            os.pwrite(self._descriptor(name, os.O_WRONLY), value, 0)

    def close(self) -> None:
        """Close them; a later use raises FileNotFoundError. Idempotent."""
        with self._lock:
            opened, self._open = self._open, None
        for descriptor in (opened or {}).values():
            os.close(descriptor)

    def _descriptor(self, name: str, flags: int) -> int:
        if self._open is None:
            raise FileNotFoundError(2, f"{self._folder} is closed")
        found = self._open.get((name, flags))
        if found is None:
            found = self._open[name, flags] = os.open(f"{self._folder}/{name}", flags | os.O_CLOEXEC)
        return found

"""UUIDv7 (RFC 9562, section 5.7): ids that sort by the time at which they were made."""

from __future__ import annotations

import os
import re
import threading
import time

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ANY_UUID = re.compile(r"(?i)\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?")
_lock = threading.Lock()
_last = 0


def uuid7() -> str:
    """A new id in canonical text form; within one process each is greater than the one before.

    The 12 bits after the version hold the fraction of the millisecond (method 3 of section 6.2), so ids of one millisecond are in order too.
    """
    global _last
    ns = time.time_ns()
    ticks = (ns // 1_000_000) << 12 | (ns % 1_000_000) * 4096 // 1_000_000
    with _lock:
        _last = ticks = max(ticks, _last + 1)
    value = (
        (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64 | 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    """Whether the text is an id in canonical form (lower case, with hyphens)."""
    return _CANONICAL.fullmatch(text) is not None


def looks_like_id(text: str) -> bool:
    """Whether the text has the shape of a UUID in any notation: such a text is refused as a name."""
    return _ANY_UUID.fullmatch(text) is not None

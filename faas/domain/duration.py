"""Durations in Go's notation (`time.ParseDuration`): `"1m30s"`, `"500ms"`. Kept as whole milliseconds."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|μs|ns)")
_MILLISECONDS = {
    "h": Decimal(3_600_000),
    "m": Decimal(60_000),
    "s": Decimal(1000),
    "ms": Decimal(1),
    "us": Decimal("0.001"),
    "µs": Decimal("0.001"),
    "μs": Decimal("0.001"),
    "ns": Decimal("0.000001"),
}
_LONGEST = 64


def parse_duration(value: object) -> int:
    """Milliseconds of a duration.

    Args:
        value: text with units (`"1m30s"`), or a number of seconds (`5`, `0.5`). Text without a unit, booleans, infinities and NaN are refused.

    Returns:
        Whole milliseconds, rounded to the nearest; never negative.

    Raises:
        ValueError: it is no duration; the message says why.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('Must be a duration such as "1m30s", or a number of seconds.')
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("Must be finite.")
    if value < 0:
        raise ValueError("Must not be negative.")
    return round(value * 1000)


def _parse_text(text: str) -> int:
    total, at = Decimal(0), 0
    if len(text) <= _LONGEST and text.isprintable():
        for match in _PART.finditer(text):
            if match.start() != at:
                break
            total += Decimal(match[1]) * _MILLISECONDS[match[2]]
            at = match.end()
    if not text or at != len(text) or len(text) > _LONGEST:
        raise ValueError('Must be a duration with units, such as "500ms", "30s" or "1m30s".')
    return int(total.to_integral_value())


def format_duration(milliseconds: int) -> str:
    """The duration in Go's notation, the shortest that is exact: 90000 is `"1m30s"`, 250 is `"250ms"`, 1500 is `"1.5s"`."""
    if milliseconds == 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{Decimal(rest) / 1000:f}".rstrip("0").rstrip(".") if rest % 1000 else str(rest // 1000)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if minutes else ""
    return text + (f"{seconds}s" if rest or not text else "")

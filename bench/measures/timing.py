"""Timing calls."""

from __future__ import annotations

import time
from collections.abc import Callable


def timed_ms(call: Callable[[], object]) -> float:
    """How long one call took, in milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def times_ms(call: Callable[[], object], count: int) -> list[float]:
    """How long each of some calls in a row took, in milliseconds."""
    return [timed_ms(call) for _ in range(count)]

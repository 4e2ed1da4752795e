"""The bound on what is queued: while nothing runs (Redis is away, no worker is there), the table must not grow without end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from faas.errors import QueueFull

_CALM_SECONDS = 5.0
_NEAR_SECONDS = 1.0
_FULL_SECONDS = 0.25
# Counting a queue of a million takes a while: it is done for a twentieth of the time at most.
_SHARE = 20.0


class QueueLimit:
    """Refuses what would be queued over a limit; threads share it.

    The rows are counted now and then, by whoever comes first when the last count is old; what this process has accepted since is added to it. So a
    request costs an addition, one process keeps the limit to within a batch, and several exceed it at most by what the others accept in a second
    (in five, where the queue filled from below a half of the limit in that time).

    Args:
        count: counts the rows that are queued, up to about so many.
        limit: the most rows that may be queued; 0 for no limit.
    """

    def __init__(self, count: Callable[[int], int], limit: int) -> None:
        self._count, self._limit = count, limit
        self._lock = threading.Lock()
        self._counted = self._since = 0
        self._looked_at = -math.inf
        self._cost = 0.0
        self._looking = False

    def enter(self, count: int = 1) -> None:
        """Say that so many are about to be accepted.

        Raises:
            QueueFull: the limit is reached; nothing was counted in.
            DatabaseDown: the rows could not be counted.
        """
        if self._limit == 0:
            return
        if self._is_to_look():
            self._look()
        with self._lock:
            if self._counted + self._since >= self._limit:
                raise QueueFull(f"{self._limit} invocations are queued, which is the limit (QUEUE_LIMIT)")
            self._since += count

    def _is_to_look(self) -> bool:
        """Whether the caller is to count: nobody else does, and the last count is too old for what it says."""
        with self._lock:
            known = self._counted + self._since
            pause = (
                _FULL_SECONDS if known >= self._limit else _NEAR_SECONDS if known * 2 >= self._limit else _CALM_SECONDS
            )
            due = time.monotonic() - self._looked_at >= max(pause, _SHARE * self._cost)
            look, self._looking = due and not self._looking, self._looking or due
            return look

    def _look(self) -> None:
        with self._lock:
            before = self._since
        began = time.monotonic()
        try:
            found = self._count(self._limit)
        except BaseException:
            with self._lock:
                self._looking = False
            raise
        with self._lock:
            # Those that came while it was counted may be in it or not: they are counted as if they were not.
            self._counted, self._since = found, self._since - before
            self._looked_at, self._looking = time.monotonic(), False
            self._cost = self._looked_at - began

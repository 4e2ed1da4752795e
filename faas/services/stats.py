"""What functions have done of late, and what they have in hand: for the command line, the page, and whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from faas.db import functions, stats
from faas.db.database import Database
from faas.db.measures import Busy
from faas.domain.namespace import DEFAULT
from faas.domain.stats import FunctionStats, Tally, Window
from faas.services.measuring import Measuring


@dataclass(frozen=True, slots=True)
class StatsLine:
    """A function: what ended in the window, and what is queued and runs now."""

    ended: FunctionStats
    queued: int
    running: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """The functions of a namespace, the busiest first; `more`: there are others. What ended after `until`, `lag_s` ago, is not counted yet."""

    window: Window
    since: datetime
    until: datetime
    lag_s: float
    lines: tuple[StatsLine, ...]
    more: bool


class StatsOfFunctions:
    """Reads statistics, for one process; threads share it."""

    def __init__(self, database: Database, measuring: Measuring) -> None:
        self._database, self._measuring = database, measuring

    def read(self, window: Window, *, function: str | None = None, limit: int = 50, namespace: str = DEFAULT) -> Report:
        """The functions of a namespace in a window.

        Args:
            function: only this one, by id or name; one that is not there has none. limit: at most so many.

        Raises:
            DatabaseDown: PostgreSQL is away.
        """
        function_id = None
        if function is not None:
            function_id = functions.find_id(self._database, function, namespace)
        nobody = function is not None and function_id is None
        found = stats.read(self._database, namespace, window, function_id=function_id, limit=0 if nobody else limit)
        platform = self._measuring.platform()
        busy = {} if platform is None or nobody else _of(platform.busy, namespace, function_id)
        lines = [_line(one, busy.pop(one.function_id, None)) for one in found.functions]
        silent = (0,) * (int(window.length.total_seconds()) // window.step_s)
        # What has ended nothing, and has something in hand, may be stuck: it must not be missing.
        lines += [_line(FunctionStats(one.function_id, one.name, Tally(), silent), one) for one in _oldest(busy)]
        more = not nobody and (found.more or len(lines) > limit)
        return Report(window, found.since, found.until, found.lag_s, tuple(lines[:limit]), more)


def _of(busy: Iterable[Busy], namespace: str, function_id: str | None) -> dict[str, Busy]:
    return {
        one.function_id: one for one in busy if one.namespace == namespace and function_id in (None, one.function_id)
    }


def _oldest(busy: dict[str, Busy]) -> list[Busy]:
    return sorted(busy.values(), key=lambda one: (-one.oldest_s, one.name))


def _line(ended: FunctionStats, now: Busy | None) -> StatsLine:
    if now is None:
        return StatsLine(ended, 0, 0, 0.0)
    return StatsLine(ended, now.waiting + now.admitted, now.running, now.oldest_s)

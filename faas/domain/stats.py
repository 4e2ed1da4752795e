"""What has become of a function's invocations, in counts and in how long they waited and ran. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# The largest milliseconds of each bucket: in steps of the square root of two to 17 minutes, so that an interpolated quantile is off by less than a fifth,
# then in steps of two to the most that the records hold.
BOUNDS_MS: tuple[int, ...] = (
    *sorted({round(2 ** (n / 2)) for n in range(40)} | {2**n for n in range(20, 31)}),
    2**31 - 1,
)


class Window(StrEnum):
    """How far back is looked."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "24h"

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return timedelta(seconds={"1m": 60, "5m": 300, "1h": 3600, "24h": 86_400}[self.value])

    @property
    def step_s(self) -> int:
        """The seconds of the rows that it is added up from."""
        return {"1m": 10, "5m": 10, "1h": 60, "24h": 900}[self.value]


@dataclass(frozen=True, slots=True)
class Tally:
    """Invocations that have ended, added up.

    Attributes:
        succeeded, failed, timed_out, cancelled: how many ended so.
        platform_failures: how many of the failed ones failed by the platform's own fault.
        cold_starts, init_ms: how many of the last attempts found no warm sandbox, and the loading of their code together.
        admissions, admission_ms: how many were given a place of their function, and their waiting for it together.
        waits, runs: how many were started (by buckets of `BOUNDS_MS`): the time that they waited before, and that they ran.
        wait_ms, run_ms: these times together.
    """

    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    platform_failures: int = 0
    cold_starts: int = 0
    init_ms: int = 0
    admissions: int = 0
    admission_ms: int = 0
    wait_ms: int = 0
    run_ms: int = 0
    waits: tuple[int, ...] = (0,) * len(BOUNDS_MS)
    runs: tuple[int, ...] = (0,) * len(BOUNDS_MS)

    @property
    def count(self) -> int:
        """All that have ended."""
        return self.succeeded + self.failed + self.timed_out + self.cancelled


@dataclass(frozen=True, slots=True)
class FunctionStats:
    """A function in a window. `series`: how many ended in each part of the window, oldest first."""

    function_id: str
    function_name: str
    tally: Tally
    series: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """The functions in a window, the busiest first.

    Attributes:
        since: when its first step begins. until: what ended later is not counted yet; that was `lag_s` ago.
        more: there were others.
    """

    window: Window
    since: datetime
    until: datetime
    lag_s: float
    functions: tuple[FunctionStats, ...] = ()
    more: bool = False


def quantile(buckets: Sequence[int], part: float) -> float | None:
    """The value below which a part of what was counted lies, interpolated within its bucket; None where nothing was counted.

    Args:
        buckets: counts by `BOUNDS_MS`.
        part: from 0 to 1.

    Returns:
        Milliseconds.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, seen, low = part * total, 0, 0
    for bound, count in zip(BOUNDS_MS, buckets, strict=True):
        if count and seen + count >= wanted:
            return low + (bound - low) * (wanted - seen) / count
        seen, low = seen + count, bound
    return float(BOUNDS_MS[-1])

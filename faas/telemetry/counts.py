"""What one process counts, in memory: nothing here does I/O, and counting costs an entry of a dictionary under a lock.

`faas.queueing.sums` adds up what the processes of all hosts have counted; `faas.telemetry.exposition` tells it to Prometheus. Decision 15 has the reasons.
"""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

# What a label may say: one of these words, or what matches. None: whoever scrapes knows (the routes).
Values: TypeAlias = frozenset[str] | re.Pattern[str] | None

SUM: Final = "sum"


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """Something that is counted. `name` is without `_total`; `labels` have few values, whatever clients send."""

    name: str
    words: str
    labels: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Something that is measured, in seconds. `bounds`: the largest of each bucket but the last, which has none."""

    name: str
    words: str
    bounds: tuple[float, ...]
    labels: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """Something that is so at the moment, in one process; the platform's is the sum over all processes."""

    name: str
    words: str
    labels: Mapping[str, Values] = field(default_factory=dict)


Reading: TypeAlias = tuple[Gauge, tuple[str, ...], float]


class Counts:
    """What was counted since it was last taken. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[tuple[Counter, tuple[str, ...]], float] = {}
        # For each histogram and labels: how many in each bucket, and the sum at the end.
        self._measured: dict[tuple[Histogram, tuple[str, ...]], list[float]] = {}
        self._watched: list[Callable[[], Iterable[Reading]]] = []

    def add(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """Count something, `by` times."""
        key = (counter, labels)
        with self._lock:
            self._counted[key] = self._counted.get(key, 0) + by

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        """Count something that took so long."""
        key, bucket = (histogram, labels), bisect_left(histogram.bounds, seconds)
        with self._lock:
            cell = self._measured.get(key)
            if cell is None:
                cell = self._measured[key] = [0] * (len(histogram.bounds) + 1) + [0.0]
            cell[bucket] += 1
            cell[-1] += seconds

    def watch(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Name who knows gauges of this process; asked whenever it tells of itself."""
        self._watched.append(read)

    def take(self) -> dict[str, float]:
        """What was counted since the last time, by field."""
        with self._lock:
            counted, self._counted = self._counted, {}
            measured, self._measured = self._measured, {}
        taken: dict[str, float] = {_field(one.name, labels): number for (one, labels), number in counted.items()}
        for (histogram, labels), cell in measured.items():
            parts = (*map(bound_text, histogram.bounds), "+Inf", SUM)
            taken |= {
                _field(histogram.name, (*labels, part)): number
                for part, number in zip(parts, cell, strict=True)
                if number
            }
        return taken

    def gauges(self) -> dict[str, float]:
        """What is so now, by field."""
        found: dict[str, float] = {}
        for read in self._watched:
            for gauge, labels, value in read():
                name = _field(gauge.name, labels)
                found[name] = found.get(name, 0.0) + value
        return found


def bound_text(bound: float) -> str:
    """A bound as it is told: `0.005`, `1.0`."""
    return repr(float(bound))


def _field(name: str, labels: Iterable[str]) -> str:
    return json.dumps([name, *labels], separators=(",", ":"))

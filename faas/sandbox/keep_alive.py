"""How long an idle sandbox is kept for the next call of its function: as long as the times between that function's own calls say it pays.

The idea is that of the histogram policy in Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020): most functions are called seldom, and each in
its own rhythm, so one time for all keeps some in vain and loses others just before they are called again.
"""

from __future__ import annotations

import math
from collections import OrderedDict

# Half an octave for each class of gaps, from a second up to twelve days.
_CLASSES = 40
_LEAST_GAPS = 8
# Older gaps weigh less and less: all are halved when there are so many.
_MOST_GAPS = 128
_COVERED = 0.95
# A gap is a little longer than its class says, now and then.
_MARGIN = 1.1
# Whose gaps are known: those called last.
_MOST_FUNCTIONS = 10_000


class KeepAlive:
    """Learns from the calls of each function. No lock: the pool has one.

    Args:
        seconds: for functions whose rhythm is not known yet; 0 keeps none of any.
        longest_s: the most that is learned; 0 learns nothing, so that `seconds` holds for all.
    """

    def __init__(self, seconds: float, longest_s: float) -> None:
        self._seconds, self._longest_s = seconds, longest_s
        # Someone who calls every second must not lose his sandbox by being a moment late.
        self._shortest_s = min(seconds, max(60.0, seconds / 5))
        self._rhythms: OrderedDict[str, _Rhythm] = OrderedDict()

    def called(self, function_id: str, now: float) -> None:
        """A call of a function came, at a time of the monotonic clock in seconds."""
        if self._longest_s <= 0 or self._seconds <= 0:
            return
        rhythm = self._rhythms.get(function_id)
        if rhythm is None:
            if len(self._rhythms) >= _MOST_FUNCTIONS:
                self._rhythms.popitem(last=False)
            rhythm = self._rhythms[function_id] = _Rhythm()
        else:
            self._rhythms.move_to_end(function_id)
        rhythm.called(now)

    def seconds_for(self, function_id: str) -> float:
        """How long a sandbox of the function is kept."""
        rhythm = self._rhythms.get(function_id)
        learned = rhythm.covering_s(self._longest_s) if rhythm is not None else None
        if learned is None:
            return self._seconds
        return min(max(learned, self._shortest_s), max(self._longest_s, self._shortest_s))


class _Rhythm:
    """The times between the calls of one function, counted by classes of length."""

    __slots__ = ("_counts", "_last", "_total")

    def __init__(self) -> None:
        self._counts = [0] * _CLASSES
        self._last: float | None = None
        self._total = 0

    def called(self, now: float) -> None:
        last, self._last = self._last, now
        if last is None:
            return
        self._counts[_class_of(now - last)] += 1
        self._total += 1
        if self._total >= _MOST_GAPS:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)

    def covering_s(self, longest_s: float) -> float | None:
        """The time that nearly all gaps are within, of those that can be bridged at all; None where too little is known."""
        if self._total < _LEAST_GAPS:
            return None
        reach = [number for number in range(_CLASSES) if _longest_of(number) * _MARGIN <= longest_s]
        bridged = sum(self._counts[number] for number in reach)
        covered = 0
        for number in reach:
            covered += self._counts[number]
            if covered and covered >= bridged * _COVERED:
                return _longest_of(number) * _MARGIN
        # Called more seldom than a sandbox may be kept: nothing is won by keeping it.
        return 0.0


def _class_of(gap_s: float) -> int:
    return min(_CLASSES - 1, max(0, math.ceil(2 * math.log2(gap_s)))) if gap_s > 1 else 0


def _longest_of(number: int) -> float:
    """The longest gap of a class, in seconds."""
    return float(2 ** (number / 2))

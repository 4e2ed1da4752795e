"""How much is measured: the full form takes up to ten minutes, the short one shows in about a minute that all still works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """Counts for each measure, and for each of its rounds.

    Attributes:
        rounds: of the reference and the platform in turn.
        seconds: after these a measure begins no further round.
        warm_calls, go_calls, page_calls: calls timed in a round.
        tasks: no-op tasks of bare Celery in a round.
        accepted: invocations by HTTP in a round. drained: those that the worker ends alone.
        colds: first calls in a round. cold_rounds: rounds of them. burst: first calls at once.
        settle: how long the worker gets to make new stem cells, in seconds.
        sandboxes: idle ones whose memory is taken.
        rows: of the full table.
        functions: that exist. functions_seconds: how long they may take to be made warm.
        workers: on network namespaces. sleepers: invocations for each worker in a round.
    """

    rounds: int
    seconds: float
    warm_calls: int
    go_calls: int
    page_calls: int
    tasks: int
    accepted: int
    drained: int
    colds: int
    cold_rounds: int
    burst: int
    settle: float
    sandboxes: int
    rows: int
    functions: int
    functions_seconds: float
    workers: int
    sleepers: int

    def each_round(self, rounds: int = 0, *, patience: float = 1.0) -> Iterator[int]:
        """Numbers of rounds, at least one, as long as there is time.

        Args:
            rounds: another number of them than the usual.
            patience: how many times the usual seconds they may take.
        """
        start = time.monotonic()
        for number in range(rounds or self.rounds):
            if number and time.monotonic() - start > self.seconds * patience:
                return
            yield number


FULL = Effort(
    rounds=5,
    seconds=50.0,
    warm_calls=300,
    go_calls=60,
    page_calls=100,
    tasks=2000,
    accepted=1000,
    drained=5000,
    colds=3,
    cold_rounds=8,
    burst=20,
    settle=1.0,
    sandboxes=8,
    rows=1_000_000,
    functions=1000,
    functions_seconds=90.0,
    workers=4,
    sleepers=300,
)
SHORT = Effort(
    rounds=2,
    seconds=3.0,
    warm_calls=20,
    go_calls=5,
    page_calls=5,
    tasks=100,
    accepted=50,
    drained=100,
    colds=1,
    cold_rounds=1,
    burst=4,
    settle=0.5,
    sandboxes=2,
    rows=5000,
    functions=5,
    functions_seconds=6.0,
    workers=2,
    sleepers=10,
)

"""The measures, each with the rows that it fills, in the order in which they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.measures import cold, go, memory, million, netns, thousand, throughput, warm
from bench.result import Result
from bench.session import Session


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure.

    Attributes:
        rows: the ids of the rows that it fills.
        take: takes it.
    """

    rows: tuple[str, ...]
    take: Callable[[Session], list[Result]]


# Memory first: nothing has been called by then. The worker that thousand functions leave behind comes last.
MEASURES = (
    Measure(("rest-memory",), memory.at_rest),
    Measure(("warm-p50", "warm-p99"), warm.measure),
    Measure(("async-throughput", "worker-drain"), throughput.measure),
    Measure(("go-warm",), go.measure),
    Measure(("cold-python",), cold.python),
    Measure(("cold-nodejs",), cold.nodejs),
    Measure(("cold-burst",), cold.burst),
    Measure(("million-rows",), million.measure),
    Measure(("four-workers",), netns.measure),
    Measure(("idle-sandbox-memory",), memory.idle_sandbox),
    Measure(("thousand-functions",), thousand.measure),
)

"""What a worker tells of itself: its attempts and its sandboxes."""

from __future__ import annotations

from collections.abc import Iterable

from faas.sandbox.pool import Pool
from faas.telemetry import catalogue
from faas.telemetry.counts import Reading
from faas.worker.running import RunningSet

_MB = 1 << 20


def read(pool: Pool, running: RunningSet, threads: int) -> Iterable[Reading]:
    """The gauges of a worker that runs `threads` attempts at once."""
    held = pool.stats()
    states = {
        "starting": held.starting,
        "stem": sum(held.stem_cells.values()),
        "busy": held.busy,
        "idle": held.idle - held.frozen,
        "frozen": held.frozen,
    }
    yield from ((catalogue.SANDBOXES, (state,), float(number)) for state, number in states.items())
    yield catalogue.SANDBOX_MEMORY, (), float(held.used_mb * _MB)
    yield catalogue.SANDBOX_MEMORY_LIMIT, (), float(held.budget_mb * _MB)
    yield catalogue.SANDBOX_WAITING, (), float(held.waiting)
    yield catalogue.RUNNING, (), float(len(running))
    yield catalogue.PLACES, (), float(threads)

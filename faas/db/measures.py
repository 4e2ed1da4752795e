"""What the platform is doing now, in numbers: of living rows alone, by partial indexes that hold nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faas.db.database import Database

# One pass over each partial index, in the order of the index where it begins with the function.
_BUSY = """
    SELECT d.function_id, f.namespace, f.name, sum(d.waiting)::bigint AS waiting, sum(d.admitted)::bigint AS admitted, sum(d.running)::bigint AS running,
        greatest(0, extract(epoch FROM now() - min(d.oldest)))::float AS oldest_s
    FROM (
        SELECT function_id, count(*) AS waiting, 0 AS admitted, 0 AS running, min(due_at) AS oldest
        FROM invocations WHERE status = 'queued' AND admitted_at IS NULL AND due_at <= now() GROUP BY function_id
        UNION ALL
        SELECT function_id, 0, count(*), 0, min(due_at) FROM invocations WHERE status = 'queued' AND admitted_at IS NOT NULL GROUP BY function_id
        UNION ALL
        SELECT function_id, 0, 0, count(*), NULL FROM invocations WHERE status = 'running' GROUP BY function_id) d
    JOIN functions f ON f.id = d.function_id GROUP BY d.function_id, f.namespace, f.name"""
_DELAYED = (
    "SELECT count(*) AS delayed FROM invocations WHERE status = 'queued' AND admitted_at IS NULL AND due_at > now()"
)
_FUNCTIONS = """SELECT r.state, count(*) AS n FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = f.revision
    WHERE f.deleted_at IS NULL GROUP BY r.state"""
_WORKERS = "SELECT engine, count(*) AS n FROM workers WHERE beat_at > clock_timestamp() - %s * interval '1 second' GROUP BY engine"


@dataclass(frozen=True, slots=True)
class Busy:
    """A function that has something queued that is due, or running.

    Attributes:
        waiting: for a slot of the function. admitted: for a worker.
        oldest_s: how long the one that is due for longest has been so, in seconds; 0 where none is queued.
    """

    function_id: str
    namespace: str
    name: str
    waiting: int
    admitted: int
    running: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Measures:
    """The platform at one moment.

    Attributes:
        invocations: by stage: `delayed` (not yet due, or its revision is being built), `waiting` (for a slot of its function), `admitted` (published,
            for a worker), `running`.
        oldest_s: how long the one that is due for longest has been so, in seconds; 0 where none is queued.
        functions: by state. workers: those alive, by engine.
        busy: the functions that have something queued or running.
    """

    invocations: dict[str, int]
    oldest_s: float
    functions: dict[str, int]
    workers: dict[str, int]
    busy: tuple[Busy, ...] = ()


def take(database: Database, lease_s: float) -> Measures:
    """Measure. `lease_s`: a worker that has not beaten for this long is not alive."""
    with database.autocommit() as tx:
        busy = tuple(_busy(row) for row in tx.rows(_BUSY))
        delayed: Any = tx.one(_DELAYED)
        functions = {row.state: int(row.n) for row in tx.rows(_FUNCTIONS)}
        workers = {row.engine: int(row.n) for row in tx.rows(_WORKERS, (lease_s,))}
    return Measures(
        invocations={
            "delayed": delayed.delayed,
            "waiting": sum(one.waiting for one in busy),
            "admitted": sum(one.admitted for one in busy),
            "running": sum(one.running for one in busy),
        },
        oldest_s=max((one.oldest_s for one in busy), default=0.0),
        functions=functions,
        workers=workers,
        busy=busy,
    )


def _busy(row: Any) -> Busy:
    return Busy(
        str(row.function_id), row.namespace, row.name, row.waiting, row.admitted, row.running, row.oldest_s or 0.0
    )

"""What the platform is doing now, in numbers: of living rows alone, by partial indexes that hold nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faas.db.database import Database

_LIVING = """SELECT
    (SELECT count(*) FROM invocations WHERE status = 'running') AS running,
    (SELECT count(*) FROM invocations WHERE status = 'queued' AND admitted_at IS NOT NULL) AS admitted,
    (SELECT count(*) FROM invocations WHERE status = 'queued' AND admitted_at IS NULL AND due_at <= now()) AS waiting,
    (SELECT count(*) FROM invocations WHERE status = 'queued' AND admitted_at IS NULL AND due_at > now()) AS delayed,
    extract(epoch FROM now() - least(
        (SELECT min(due_at) FROM invocations WHERE status = 'queued' AND admitted_at IS NULL AND due_at <= now()),
        (SELECT min(due_at) FROM invocations WHERE status = 'queued' AND admitted_at IS NOT NULL)))::float AS oldest_s"""
_FUNCTIONS = """SELECT r.state, count(*) AS n FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = f.revision
    WHERE f.deleted_at IS NULL GROUP BY r.state"""
_WORKERS = "SELECT engine, count(*) AS n FROM workers WHERE beat_at > clock_timestamp() - %s * interval '1 second' GROUP BY engine"


@dataclass(frozen=True, slots=True)
class Measures:
    """The platform at one moment.

    Attributes:
        invocations: by stage: `delayed` (not yet due, or its revision is being built), `waiting` (for a slot of its function), `admitted` (published,
            for a worker), `running`.
        oldest_s: how long the one that is due for longest has been so, in seconds; 0 where none is queued.
        functions: by state. workers: those alive, by engine.
    """

    invocations: dict[str, int]
    oldest_s: float
    functions: dict[str, int]
    workers: dict[str, int]


def take(database: Database, lease_s: float) -> Measures:
    """Measure. `lease_s`: a worker that has not beaten for this long is not alive."""
    with database.autocommit() as tx:
        living: Any = tx.one(_LIVING)
        functions = {row.state: int(row.n) for row in tx.rows(_FUNCTIONS)}
        workers = {row.engine: int(row.n) for row in tx.rows(_WORKERS, (lease_s,))}
    return Measures(
        invocations={
            "delayed": living.delayed,
            "waiting": living.waiting,
            "admitted": living.admitted,
            "running": living.running,
        },
        oldest_s=max(0.0, living.oldest_s or 0.0),
        functions=functions,
        workers=workers,
    )

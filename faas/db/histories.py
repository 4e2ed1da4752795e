"""What the tables say of an invocation's past, and of the line in front of it."""

from __future__ import annotations

from typing import Any

from faas.db import invocations
from faas.db.database import Database, Transaction
from faas.domain.history import Attempt, History, Line, Marks, tell, why

# Further back nobody counts: it would read the whole queue of a flood.
_FARTHEST = 10_000
_ATTEMPTS = """SELECT number, worker_id, started_at, finished_at, status, error_type FROM attempts WHERE invocation_id = %s ORDER BY number"""
_MARKS = """
    SELECT function_id, id, nullif(due_at, 'infinity') AS due_at, admitted_at, published_at, cancel_requested_at, clock_timestamp() AS now
    FROM invocations WHERE id = %s"""
_AHEAD = """
    SELECT count(*) FROM (
        SELECT 1 FROM invocations
        WHERE function_id = %(function_id)s AND status = 'queued' AND admitted_at IS NULL AND due_at <= %(due_at)s
          AND (due_at, id) < (%(due_at)s, %(id)s) LIMIT %(limit)s) ahead"""


def get(database: Database, invocation_id: str) -> History:
    """The history of an invocation. Raises NotFound."""
    # The record comes first: what is read after it can only be later, and an attempt more is seen as one that was followed by another.
    record = invocations.get(database, invocation_id)
    with database.autocommit() as tx:
        row: Any = tx.one(_MARKS, (invocation_id,))
        if row is None:
            raise invocations.missing(invocation_id)
        former = [Attempt(*one) for one in tx.rows(_ATTEMPTS, (invocation_id,))]
        marks = Marks(row.due_at, row.admitted_at, row.published_at, row.cancel_requested_at)
        if record.status.terminal:
            return History(record, tell(record, marks, former), None)
        workers: Any = tx.one("SELECT count(*) FROM workers")
        waiting = why(record, marks, _line(tx, row), workers[0], row.now)
    return History(record, tell(record, marks, former), waiting)


def _line(tx: Transaction, row: Any) -> Line:
    slots = tx.one("SELECT capacity, used FROM slots WHERE function_id = %s", (row.function_id,))
    if slots is None or row.admitted_at is not None or row.due_at is None:
        return Line(slots.capacity if slots else None, slots.used if slots else None, None)
    place = {"function_id": row.function_id, "due_at": row.due_at, "id": row.id, "limit": _FARTHEST}
    ahead: Any = tx.one(_AHEAD, place)
    return Line(slots.capacity, slots.used, ahead[0] + 1 if ahead[0] < _FARTHEST else None)

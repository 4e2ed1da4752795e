"""The newest invocations of a function, in few columns: for whoever looks at them many times a second."""

from __future__ import annotations

from dataclasses import dataclass

from faas.db.database import Database
from faas.domain.invocation import Status

# An index gives exactly these rows, in this order.
_SELECT = """
    SELECT id, status, extract(epoch FROM finished_at)::float8 AS finished, extract(epoch FROM clock_timestamp())::float8 AS now
    FROM invocations WHERE function_id = %s ORDER BY id DESC LIMIT %s"""


@dataclass(frozen=True, slots=True)
class Recent:
    """An invocation. `finished`: Unix time by the database's clock; None where it has not ended."""

    id: str
    status: Status
    finished: float | None


def of_function(database: Database, function_id: str, limit: int) -> tuple[float, list[Recent]]:
    """The time by the database's clock (0 where there are none), and a function's newest invocations, the oldest of them first."""
    with database.autocommit() as tx:
        rows = tx.rows(_SELECT, (function_id, limit))
    found = [Recent(str(row.id), Status(row.status), row.finished) for row in reversed(rows)]
    return (rows[0].now if rows else 0.0), found

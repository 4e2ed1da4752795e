"""What a namespace may use, and what it has used today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faas.db.database import Database, Transaction
from faas.db.namespaces import CODE, CONCURRENT, CPU_MS, QUOTAS, TODAY
from faas.domain.namespace import Quotas
from faas.errors import Conflict, NotFound

_NAMESPACE = "%(namespace)s"
_WAITING = """SELECT count(*) FROM (
    SELECT 1 FROM functions f CROSS JOIN LATERAL (
        SELECT 1 FROM invocations i WHERE i.function_id = f.id AND i.status = 'queued' AND i.admitted_at IS NULL LIMIT %(limit)s) w
    WHERE f.namespace = %(namespace)s AND f.deleted_at IS NULL LIMIT %(limit)s) counted"""
_MIB = 1 << 20


def of(database: Database, namespace: str) -> Quotas:
    """The quotas of a namespace; none where it is not there."""
    with database.autocommit() as tx:
        row: Any = tx.one(f"SELECT {QUOTAS} FROM namespaces WHERE name = %s", (namespace,))
    return Quotas(*row) if row else Quotas()


def put(database: Database, namespace: str, quotas: Quotas) -> None:
    """Replace the quotas of a namespace. Raises NotFound."""
    sql = f"UPDATE namespaces SET ({QUOTAS}) = (%s, %s, %s, %s, %s) WHERE name = %s RETURNING name"
    given = (
        quotas.requests_per_minute,
        quotas.queued,
        quotas.concurrent,
        quotas.code_mb,
        quotas.cpu_seconds_per_day,
        namespace,
    )
    with database.begin() as tx:
        if tx.one(sql, given) is None:
            raise NotFound(f"There is no namespace {namespace!r}.")


def require_room(tx: Transaction, namespace: str, *, concurrent: bool, code: bool) -> None:
    """See that the functions of a namespace are within its quotas, at the end of a transaction that has changed one; exact whoever else changes another.

    Args:
        concurrent, code: whether the change has raised the sum of `max_concurrency`, or of the code's sizes.

    Raises:
        Conflict: they are not.
    """
    limits: Any = tx.one("SELECT concurrent, code_mb FROM namespaces WHERE name = %s", (namespace,))
    if limits is None or (limits.concurrent is None and limits.code_mb is None):
        return
    # From here on one after the other: the second sees what the first has made.
    tx.run("SELECT 1 FROM namespaces WHERE name = %s FOR UPDATE", (namespace,))
    for raised, limit, unit, sql, what in (
        (concurrent, limits.concurrent, 1, CONCURRENT, "max_concurrency of all functions together"),
        (code, limits.code_mb, _MIB, CODE, "MiB of code of all functions together"),
    ):
        if raised and limit is not None:
            total: Any = tx.one(sql.format(_NAMESPACE), {"namespace": namespace})
            if total[0] > limit * unit:
                raise Conflict(
                    f"The namespace {namespace!r} may have {limit} {what}; this would be {-(-total[0] // unit)}."
                )


def waiting(database: Database, namespace: str, limit: int) -> int:
    """How many invocations of a namespace wait for a place of their function, counted up to `limit`."""
    with database.autocommit() as tx:
        row: Any = tx.one(_WAITING, {"namespace": namespace, "limit": limit})
    return int(row[0])


def cpu_today(database: Database, namespace: str) -> tuple[int, int]:
    """The CPU-seconds that a namespace has used today (UTC), and the seconds until tomorrow."""
    sql = f"""SELECT ({CPU_MS.format(_NAMESPACE)}) AS cpu_ms,
        ceil(extract(epoch FROM ({TODAY} + 1) - (clock_timestamp() AT TIME ZONE 'UTC')))::int AS left_s"""
    with database.autocommit() as tx:
        row: Any = tx.one(sql, {"namespace": namespace})
    return row.cpu_ms // 1000, row.left_s


def add_usage(database: Database, cpu_ms: Mapping[str, int]) -> None:
    """Add to what namespaces have used today: CPU-milliseconds by namespace."""
    names = sorted(cpu_ms)
    sql = f"""INSERT INTO usage (namespace, day, cpu_ms) SELECT n, {TODAY}, ms FROM unnest(%s::text[], %s::bigint[]) AS u (n, ms)
        ON CONFLICT (namespace, day) DO UPDATE SET cpu_ms = usage.cpu_ms + excluded.cpu_ms"""
    with database.begin() as tx:
        tx.run(sql, (names, [cpu_ms[name] for name in names]))


def drop_old_usage(database: Database, days: int) -> None:
    """Forget what was used more than so many days ago."""
    with database.begin() as tx:
        tx.run(f"DELETE FROM usage WHERE day < {TODAY} - %s", (days,))

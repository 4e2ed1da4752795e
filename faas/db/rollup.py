"""Adding up what has ended, by function and time, from an index of the ends: nothing is done for it on the way of an invocation.

A mark in the table `platform` says up to when it is done. Each portion is one transaction that holds that row, so any number of reconcilers count
everything once. What ends is behind the mark only where the database's clock is stepped back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from faas.db.database import Database, Transaction
from faas.db.tables import STATS
from faas.domain.stats import BOUNDS_MS

# The parts of time that are kept: how long one is, and for how long it is kept (both in seconds). `Window` reads them.
_STEPS = ((10, 900), (60, 7_200), (900, 93_600))
OTHERS = "00000000-0000-0000-0000-000000000000"
# As many are added up in one portion, so that it takes a fraction of a second.
_PORTION = 20_000
_FIRST_S = _STEPS[-1][1]
# Whoever was idle for so long gives up its row of totals.
_IDLE_S = 86_400

# Ends carry the time at which they were written, and are seen when their transaction is over: what began before is waited for. A transaction that
# has written nothing for a minute will not begin to (the limits of `Database`): a long dump of the database holds nothing up.
_SETTLED = """SELECT least(clock_timestamp() - interval '100 milliseconds', min(xact_start) - interval '1 microsecond') AS settled, clock_timestamp() AS now
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND (backend_xid IS NOT NULL OR xact_start > clock_timestamp() - interval '60 seconds')"""
_SUM = ", ".join(f"sum({name}) AS {name}" for name in STATS)
_NAMES = ", ".join(STATS)


def _added(table: str) -> str:
    return ", ".join(
        f"{name} = coalesce({table}.{name} + excluded.{name}, {table}.{name}, excluded.{name})" for name in STATS
    )


def _buckets(kind: str) -> str:
    return ", ".join(f"nullif(count(*) FILTER (WHERE {kind} = {n}), 0) AS {kind}_{n}" for n in range(len(BOUNDS_MS)))


# `width_bucket` counts the thresholds that are not above the value; ours belong to the bucket below them.
_THRESHOLDS = "ARRAY[" + ", ".join(str(bound + 1) for bound in BOUNDS_MS[:-1]) + "]::bigint[]"
_ROLL = f"""
    WITH ended AS (
        SELECT function_id, date_bin('{_STEPS[0][0]} seconds', finished_at, 'epoch') AS at, finished_at, status, error, cold_start, init_ms, queue_ms,
            duration_ms, extract(epoch FROM admitted_at - greatest(created_at, due_at)) * 1000 AS admission_ms,
            width_bucket(queue_ms::bigint, {_THRESHOLDS}) AS waits, width_bucket(duration_ms::bigint, {_THRESHOLDS}) AS runs
        FROM invocations WHERE finished_at > %(after)s AND finished_at <= %(until)s),
    base AS MATERIALIZED (
        SELECT function_id, at, max(finished_at) AS last_at,
            nullif(count(*) FILTER (WHERE status = 'succeeded'), 0) AS succeeded,
            nullif(count(*) FILTER (WHERE status = 'failed'), 0) AS failed,
            nullif(count(*) FILTER (WHERE status = 'timed_out'), 0) AS timed_out,
            nullif(count(*) FILTER (WHERE status = 'cancelled'), 0) AS cancelled,
            nullif(count(*) FILTER (WHERE status = 'failed' AND error LIKE '{{"type": "Platform.%%'), 0) AS platform_failures,
            nullif(count(*) FILTER (WHERE cold_start), 0) AS cold_starts,
            nullif(sum(init_ms), 0) AS init_ms,
            nullif(count(*) FILTER (WHERE admission_ms > '-infinity'), 0) AS admissions,
            nullif(round(sum(greatest(admission_ms, 0)) FILTER (WHERE admission_ms > '-infinity')), 0)::bigint AS admission_ms,
            nullif(sum(queue_ms), 0) AS wait_ms, nullif(sum(duration_ms), 0) AS run_ms, {_buckets("waits")}, {_buckets("runs")}
        FROM ended GROUP BY function_id, at),
    rolled AS (
        INSERT INTO function_stats (function_id, step_s, at, {_NAMES})
        SELECT function_id, step_s, date_bin(step_s * interval '1 second', at, 'epoch') AS at, {_SUM}
        FROM base CROSS JOIN (VALUES {", ".join(f"({length})" for length, _ in _STEPS)}) AS steps (step_s) GROUP BY 1, 2, 3
        ON CONFLICT (function_id, step_s, at) DO UPDATE SET {_added("function_stats")}),
    known AS (SELECT function_id FROM function_totals WHERE function_id <> '{OTHERS}'),
    fresh AS (
        SELECT function_id FROM base
        WHERE function_id NOT IN (SELECT function_id FROM known)
          AND function_id IN (SELECT id FROM functions WHERE deleted_at IS NULL)
        GROUP BY function_id ORDER BY count(*) DESC, function_id LIMIT greatest(0, %(named)s - (SELECT count(*) FROM known))),
    mine AS (SELECT function_id FROM known UNION ALL SELECT function_id FROM fresh)
    INSERT INTO function_totals (function_id, at, {_NAMES})
    SELECT CASE WHEN function_id IN (SELECT function_id FROM mine) THEN function_id ELSE '{OTHERS}' END, max(last_at), {_SUM}
    FROM base GROUP BY 1
    ON CONFLICT (function_id) DO UPDATE SET at = greatest(function_totals.at, excluded.at), {_added("function_totals")}"""
_NEXT = """SELECT count(*) AS n, max(finished_at) AS last FROM (
    SELECT finished_at FROM invocations WHERE finished_at > %s AND finished_at <= %s ORDER BY finished_at LIMIT %s) AS oldest"""


def roll(database: Database, named: int, most: int = _PORTION) -> bool:
    """Add up a portion of what has ended since the last time, the oldest.

    Args:
        named: for how many functions totals are kept by themselves (`/metrics`); those of the others are kept in one row. Whoever has a row keeps
            it, so that no total ever falls; who is idle for a day, or deleted, gives it up (`forget`).
        most: as many make a portion; those that ended in the same moment are never parted.

    Returns:
        Whether there is more. False also where somebody else is at it.
    """
    with database.begin() as tx:
        mark: Any = tx.one("SELECT stats_until FROM platform FOR UPDATE SKIP LOCKED")
        if mark is None:
            return False
        limits: Any = tx.one(_SETTLED)
        after = mark.stats_until or _back(tx, _FIRST_S)
        if after > limits.now:
            # The clock was stepped back: nothing would be counted until it is as late again.
            _done(tx, limits.settled)
            return False
        if limits.settled <= after:
            return False
        found: Any = tx.one(_NEXT, (after, limits.settled, most))
        until = found.last if found.n == most else limits.settled
        if found.n:
            tx.run(_ROLL, {"after": after, "until": until, "named": named})
        _done(tx, until)
        return bool(until < limits.settled)


def forget(database: Database) -> int:
    """Remove parts of time that are too old, and totals of functions that are deleted or idle; how many rows."""
    removed = 0
    with database.begin() as tx:
        if tx.one("SELECT 1 FROM platform FOR UPDATE SKIP LOCKED") is None:
            return 0
        for length, kept in _STEPS:
            sql = "DELETE FROM function_stats WHERE step_s = %s AND at < clock_timestamp() - %s * interval '1 second'"
            removed += tx.run(sql, (length, kept))
        removed += tx.run(
            f"""DELETE FROM function_totals t WHERE t.function_id <> '{OTHERS}' AND (
                t.at < clock_timestamp() - %s * interval '1 second'
                OR t.at < clock_timestamp() - interval '5 minutes'
                   AND NOT EXISTS (SELECT 1 FROM functions f WHERE f.id = t.function_id AND f.deleted_at IS NULL))""",
            (_IDLE_S,),
        )
    return removed


def _back(tx: Transaction, seconds: int) -> datetime:
    row: Any = tx.one("SELECT clock_timestamp() - %s * interval '1 second' AS at", (seconds,))
    moment: datetime = row.at
    return moment


def _done(tx: Transaction, until: datetime) -> None:
    tx.run("UPDATE platform SET stats_until = %s", (until,))

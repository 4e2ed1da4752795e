"""What the reconciler asks of the database. Any number of reconcilers may run: each statement takes rows that nobody else has locked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from faas.db.database import Database


def waiting_functions(database: Database, limit: int) -> list[str]:
    """Functions that have a free slot and somebody due who waits for one."""
    sql = """
        SELECT s.function_id FROM slots s
        WHERE s.used < s.capacity AND s.function_id IN (
            SELECT function_id FROM invocations WHERE status = 'queued' AND admitted_at IS NULL AND due_at <= now())
        LIMIT %s"""
    with database.autocommit() as tx:
        return [str(row.function_id) for row in tx.rows(sql, (limit,))]


def admit(database: Database, function_id: str) -> list[str]:
    """Give free slots of a function to who waits; the ids to publish."""
    with database.autocommit() as tx:
        return [str(row[0]) for row in tx.rows("SELECT faas_admit(%s)", (function_id,))]


def expired_functions(database: Database, limit: int) -> list[str]:
    """Functions with invocations that were not started before their time was over."""
    sql = """
        SELECT DISTINCT function_id FROM invocations WHERE status = 'queued' AND attempts = 0 AND expires_at <= now() LIMIT %s"""
    with database.autocommit() as tx:
        return [str(row.function_id) for row in tx.rows(sql, (limit,))]


def expire(database: Database, function_id: str, limit: int) -> tuple[list[str], list[str]]:
    """End up to `limit` expired invocations of a function: their ids, and those that were admitted in their place."""
    with database.autocommit() as tx:
        row: Any = tx.one(
            "SELECT ended::text[] AS ended, next::text[] AS next FROM faas_expire(%s, %s)", (function_id, limit)
        )
    return list(row.ended), list(row.next)


def queued(database: Database, limit: int) -> int:
    """How many invocations are queued, counted up to about `limit`."""
    sql = """SELECT (SELECT count(*) FROM (SELECT 1 FROM invocations WHERE status = 'queued' AND admitted_at IS NULL LIMIT %s) waiting)
        + (SELECT count(*) FROM (SELECT 1 FROM invocations WHERE status = 'queued' AND admitted_at IS NOT NULL LIMIT %s) admitted)"""
    with database.autocommit() as tx:
        row: Any = tx.one(sql, (limit, limit))
    return int(row[0])


def clock(database: Database, age_s: float = 0.0) -> datetime:
    """The moment `age_s` ago, on the database's clock."""
    with database.autocommit() as tx:
        row: Any = tx.one("SELECT clock_timestamp() - %s * interval '1 second'", (age_s,))
    moment: datetime = row[0]
    return moment


def unheard(database: Database, before: datetime, limit: int) -> list[str]:
    """Admitted invocations that were published at `before` or earlier and that nobody claimed since; marked as published now.

    A fixed moment and not an age: what one call has marked is no candidate of the next.
    """
    sql = """
        UPDATE invocations SET published_at = clock_timestamp() WHERE status = 'queued' AND id = ANY (ARRAY(
            SELECT id FROM invocations
            WHERE status = 'queued' AND admitted_at IS NOT NULL AND published_at <= %s
            ORDER BY published_at LIMIT %s FOR UPDATE SKIP LOCKED))
        RETURNING id"""
    with database.autocommit() as tx:
        return [str(row.id) for row in tx.rows(sql, (before, limit))]


def let_go(database: Database, error_type: str, limit: int) -> tuple[int, list[str]]:
    """Let go who waits for a build that is over: it was accepted in a transaction that was committed after the build had let go the others.

    Args:
        error_type: of those whose revision did not build.

    Returns:
        How many may run now, and the ids of those that ended `failed`.
    """
    held = """
        SELECT i.id FROM invocations i JOIN function_revisions r ON r.function_id = i.function_id AND r.number = i.revision
        WHERE i.status = 'queued' AND i.admitted_at IS NULL AND i.due_at = 'infinity' AND r.state = %s LIMIT %s FOR UPDATE OF i SKIP LOCKED"""
    go = f"UPDATE invocations SET due_at = coalesce(run_at, created_at) WHERE status = 'queued' AND id = ANY (ARRAY({held}))"
    end = f"""
        UPDATE invocations i SET status = 'failed', finished_at = clock_timestamp(),
            error = json_build_object('type', %s, 'message', r.state_reason, 'stack_trace', json_build_array())::text
        FROM function_revisions r
        WHERE r.function_id = i.function_id AND r.number = i.revision AND i.status = 'queued' AND i.id = ANY (ARRAY({held})) RETURNING i.id"""
    with database.autocommit() as tx:
        return tx.run(go, ("active", limit)), [str(row.id) for row in tx.rows(end, (error_type, "failed", limit))]


def deleted_with_queue(database: Database, limit: int) -> list[str]:
    """Deleted functions that still have queued invocations (a deletion that was cut off)."""
    sql = """
        SELECT DISTINCT i.function_id FROM invocations i JOIN functions f ON f.id = i.function_id
        WHERE i.status = 'queued' AND f.deleted_at IS NOT NULL LIMIT %s"""
    with database.autocommit() as tx:
        return [str(row.function_id) for row in tx.rows(sql, (limit,))]


def mend_slots(database: Database) -> int:
    """Count the slots in use anew where the count is wrong; how many were. (Each writer keeps it; this is the check.)"""
    sql = """
        SELECT s.function_id FROM slots s LEFT JOIN (
            SELECT function_id, count(*) AS n FROM invocations
            WHERE status = 'running' OR (status = 'queued' AND admitted_at IS NOT NULL) GROUP BY function_id) c USING (function_id)
        WHERE s.used <> coalesce(c.n, 0)"""
    one = """
        UPDATE slots SET used = c.n FROM (
            SELECT count(*) AS n FROM invocations
            WHERE function_id = %s AND (status = 'running' OR (status = 'queued' AND admitted_at IS NOT NULL))) c
        WHERE function_id = %s AND used <> c.n"""
    with database.autocommit() as tx:
        suspects = [str(row.function_id) for row in tx.rows(sql)]
    mended = 0
    for function_id in suspects:
        with database.begin() as tx:
            # Under the lock the count is exact; without it, it was a guess between two writers.
            tx.rows("SELECT 1 FROM slots WHERE function_id = %s FOR UPDATE", (function_id,))
            mended += tx.run(one, (function_id, function_id))
    return mended


def drop_old_keys(database: Database, limit: int) -> int:
    """Forget idempotency keys that are older than a day; how many."""
    sql = """DELETE FROM idempotency_keys WHERE key IN (
        SELECT key FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT %s)"""
    with database.autocommit() as tx:
        return tx.run(sql, (limit,))

"""Removing old invocations: whole months by their partitions, the rest in portions. Only what is terminal goes."""

from __future__ import annotations

import re
from datetime import datetime

from psycopg2 import errors

from faas.db.database import Database, Transaction
from faas.db.partitions import LOCK, least_id, month

_PARTITIONS = "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = 'invocations'::regclass"
_NAME = re.compile(r"invocations_([0-9]{4})_([0-9]{2})")
# While the lock on the parent is waited for, everybody else waits behind: rather not this time.
_LOCK_WAIT = "SET LOCAL lock_timeout = '300ms'"


def old_months(database: Database, before: datetime) -> list[str]:
    """Partitions of months that were over by then and that hold nothing living, oldest first."""
    with database.autocommit() as tx:
        names = sorted(row.relname for row in tx.rows(_PARTITIONS) if _over(row.relname, before))
        return [name for name in names if not _living(tx, name)]


def drop_month(database: Database, name: str) -> bool:
    """Drop a partition that holds nothing living; False where something in it lives, or the lock can't be had at once."""
    with database.begin() as tx:
        tx.run(_LOCK_WAIT)
        try:
            tx.run("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            tx.run("LOCK TABLE ONLY invocations IN ACCESS EXCLUSIVE MODE")
            if tx.one("SELECT to_regclass(%s)", (name,)) == (None,) or _living(tx, name):
                return False
            tx.run(f"DROP TABLE {name}")
        except errors.LockNotAvailable:
            return False
    return True


def remove(database: Database, before: datetime, limit: int) -> int:
    """Remove up to `limit` terminal invocations that were accepted before then, with their attempts; how many."""
    sql = """
        WITH gone AS (
            DELETE FROM invocations WHERE id = ANY (ARRAY(
                SELECT id FROM invocations WHERE id < %s AND status IN ('succeeded', 'failed', 'timed_out', 'cancelled')
                ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
            RETURNING id),
        tries AS (DELETE FROM attempts a USING gone WHERE a.invocation_id = gone.id)
        SELECT count(*) AS n FROM gone"""
    with database.autocommit() as tx:
        row = tx.one(sql, (least_id(before), limit))
    return int(row.n) if row else 0


def remove_attempts(database: Database, before: datetime, limit: int) -> int:
    """Remove up to `limit` attempts of invocations from before then that are not there any more; how many."""
    sql = """
        DELETE FROM attempts WHERE (invocation_id, number) IN (
            SELECT a.invocation_id, a.number FROM attempts a
            WHERE a.invocation_id < %s AND NOT EXISTS (SELECT 1 FROM invocations i WHERE i.id = a.invocation_id)
            ORDER BY a.invocation_id LIMIT %s FOR UPDATE SKIP LOCKED)"""
    with database.autocommit() as tx:
        return tx.run(sql, (least_id(before), limit))


def _over(name: str, before: datetime) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and month(int(match[1]) * 12 + int(match[2])) <= before


def _living(tx: Transaction, name: str) -> bool:
    return tx.one(f"SELECT 1 FROM {name} WHERE status IN ('queued', 'running') LIMIT 1") is not None

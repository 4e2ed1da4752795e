"""Workers and their leases. A lease is a worker's, by its beat on the database's clock: one write a second, however much it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faas.db.database import Database


@dataclass(frozen=True, slots=True)
class Claimed:
    """A running invocation as its row has it; `cancel` where somebody wants it cancelled."""

    function_id: str
    invocation_id: str
    attempt: int
    platform_failures: int
    cancel: bool


def enrol(database: Database, worker: str, name: str, engine: str) -> None:
    """Make a worker incarnation known, or known again after its row was taken as lost."""
    sql = """INSERT INTO workers (id, name, engine, started_at, beat_at) VALUES (%s, %s, %s, clock_timestamp(), clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp()"""
    with database.autocommit() as tx:
        tx.run(sql, (worker, name, engine))


def beat(database: Database, worker: str) -> bool:
    """Renew the lease; False where the worker was taken as lost meanwhile."""
    with database.autocommit() as tx:
        return tx.run("UPDATE workers SET beat_at = clock_timestamp() WHERE id = %s", (worker,)) == 1


def leave(database: Database, worker: str) -> None:
    """Forget a worker that has ended everything it claimed."""
    with database.autocommit() as tx:
        tx.run("DELETE FROM workers WHERE id = %s", (worker,))


def claimed(database: Database, worker: str) -> list[Claimed]:
    """What a worker has claimed and not ended."""
    sql = """SELECT function_id, id, attempts, platform_failures, cancel_requested_at IS NOT NULL AS cancel
        FROM invocations WHERE worker_id = %s AND status = 'running'"""
    with database.autocommit() as tx:
        return [
            Claimed(str(r.function_id), str(r.id), r.attempts, r.platform_failures, r.cancel)
            for r in tx.rows(sql, (worker,))
        ]


def alive(database: Database, lease_s: float) -> set[str]:
    """The incarnations whose lease holds."""
    with database.autocommit() as tx:
        sql = "SELECT id FROM workers WHERE beat_at > clock_timestamp() - %s * interval '1 second'"
        return {row.id for row in tx.rows(sql, (lease_s,))}


def lost(database: Database, lease_s: float) -> list[str]:
    """The incarnations whose lease is over."""
    with database.autocommit() as tx:
        sql = "SELECT id FROM workers WHERE beat_at <= clock_timestamp() - %s * interval '1 second'"
        return [row.id for row in tx.rows(sql, (lease_s,))]


def forget_if_lost(database: Database, worker: str, lease_s: float) -> bool:
    """Take a worker's row away where its lease is (still) over. From then on its claims belong to nobody, and its next beat tells it so."""
    with database.autocommit() as tx:
        sql = "DELETE FROM workers WHERE id = %s AND beat_at <= clock_timestamp() - %s * interval '1 second'"
        return tx.run(sql, (worker, lease_s)) == 1


def known(database: Database) -> set[str]:
    """Every incarnation that was not yet taken as lost."""
    with database.autocommit() as tx:
        return {row.id for row in tx.rows("SELECT id FROM workers")}


def orphans(database: Database, limit: int) -> Sequence[tuple[str, str, int, int]]:
    """Running invocations whose worker is not known: (function id, id, attempt, failures of the platform)."""
    sql = """
        SELECT i.function_id, i.id, i.attempts, i.platform_failures
        FROM invocations i WHERE i.status = 'running' AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = i.worker_id)
        ORDER BY i.id LIMIT %s"""
    with database.autocommit() as tx:
        return [(str(r.function_id), str(r.id), r.attempts, r.platform_failures) for r in tx.rows(sql, (limit,))]

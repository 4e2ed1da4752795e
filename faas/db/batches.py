"""Batches: many invocations accepted in one transaction, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from faas.db.database import Database, Transaction
from faas.db.invocations import Acceptance, Submission, accept_all
from faas.domain.ids import is_id
from faas.domain.invocation import Status


class _Refused(Exception):
    """Rolls back; carries the verdicts."""

    def __init__(self, verdicts: list[Acceptance]) -> None:
        self.verdicts = verdicts


def accept(database: Database, batch: Sequence[Submission], key: str | None, fingerprint: bytes) -> list[Acceptance]:
    """Accept all, or none where one of the verdicts is not `accepted`; committed when this returns. The verdicts are in the batch's order.

    Args:
        key: the idempotency key of the whole; it is kept with one of the invocations. Where it was used, no more than one verdict says so.
    """
    try:
        with database.begin() as tx:
            known = _ids(tx, batch)
            named = [replace(one, function=known.get(one.function, one.function)) for one in batch]
            # Locks are taken in the order of the functions' ids, so that two writers never wait in a circle.
            order = sorted(range(len(named)), key=lambda n: named[n].function)
            # The key goes with the last: everybody takes slots first, and a key after them.
            named[order[-1]] = replace(named[order[-1]], key=key, fingerprint=fingerprint)
            verdicts = dict(zip(order, accept_all(tx, [named[n] for n in order]), strict=True))
            made = [verdicts[n] for n in range(len(named))]
            if any(one.verdict != "accepted" for one in made):
                raise _Refused(made)
            return made
    except _Refused as refused:
        return refused.verdicts


def members(database: Database, invocation_id: str) -> tuple[str | None, list[str]]:
    """The batch of an invocation, and the ids of all in it in the order in which they were given."""
    sql = """SELECT b.id, b.batch_id FROM invocations i JOIN invocations b ON b.batch_id = i.batch_id AND b.id > i.batch_id
        WHERE i.id = %s ORDER BY b.id"""
    with database.autocommit() as tx:
        rows = tx.rows(sql, (invocation_id,))
    return (str(rows[0].batch_id) if rows else None, [str(row.id) for row in rows])


def counts(database: Database, batch_id: str) -> dict[Status, int]:
    """How many of a batch have each status."""
    sql = "SELECT status, count(*) AS n FROM invocations WHERE batch_id = %s AND id > %s GROUP BY status"
    with database.autocommit() as tx:
        found = {row.status: row.n for row in tx.rows(sql, (batch_id, batch_id))}
    return {status: found.get(status.value, 0) for status in Status}


def _ids(tx: Transaction, batch: Sequence[Submission]) -> dict[str, str]:
    names = sorted({one.function for one in batch if not is_id(one.function)})
    sql = "SELECT id, name FROM functions WHERE namespace = %s AND name = ANY(%s) AND deleted_at IS NULL"
    return {row.name: str(row.id) for row in tx.rows(sql, (batch[0].namespace, names))} if names else {}

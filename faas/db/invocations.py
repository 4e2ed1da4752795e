"""Invocations: accepting, reading, listing, cancelling."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from faas.db import arrays, cursors
from faas.db.database import Database, Statement, Transaction
from faas.db.prepared import Prepared
from faas.domain.ids import is_id
from faas.domain.invocation import Invocation, Page, Status
from faas.domain.namespace import DEFAULT
from faas.errors import NotFound

_NARROW = """id, function_id, function_name, revision, status, error, attempts, max_attempts, created_at, started_at, finished_at,
    queue_ms, init_ms, duration_ms, cold_start, memory_peak_mb, worker_id, run_at, expires_at, batch_id, replay_of"""
_VERDICT = """f.verdict, f.invocation_id, f.admitted, f.o_function_id, f.o_function_name, f.o_revision, f.o_max_attempts, f.o_created_at,
    f.o_run_at, f.o_expires_at"""
# Of a status: down that status's index, past what is elsewhere.
_IN_NAMESPACE = "function_id IN (SELECT f.id FROM functions f WHERE f.namespace = %(namespace)s)"
# Else the newest of each function: a small namespace's must not be looked for among a million of others.
_IN_FUNCTIONS = """id IN (SELECT l.id FROM functions f CROSS JOIN LATERAL (
        SELECT n.id FROM invocations n WHERE n.function_id = f.id {after} ORDER BY n.id DESC LIMIT %(limit)s) l
    WHERE f.namespace = %(namespace)s ORDER BY l.id DESC LIMIT %(limit)s)"""
# Of each argument: its type, and how a list of them is written.
_ARGUMENTS: tuple[tuple[str, Callable[[Iterable[Any]], str]], ...] = (
    ("uuid", arrays.plain),
    ("uuid", arrays.plain),
    ("text", arrays.texts),
    ("text", arrays.texts),
    ("text", arrays.texts),
    ("integer", arrays.plain),
    ("text", arrays.texts),
    ("bytea", arrays.binary),
    ("bigint", arrays.plain),
    ("timestamptz", arrays.plain),
    ("bigint", arrays.plain),
    ("uuid", arrays.plain),
    ("uuid", arrays.plain),
    ("integer", arrays.plain),
    ("text", arrays.texts),
)
_NAMES = ", ".join(f"a{n}" for n in range(len(_ARGUMENTS)))
# The rows are taken in the order in which they are written here.
_ACCEPT_ALL = f"""SELECT {_VERDICT} FROM unnest({", ".join(f"%s::{kind}[]" for kind, _ in _ARGUMENTS)}) WITH ORDINALITY AS v ({_NAMES}, n)
    CROSS JOIN LATERAL faas_accept({_NAMES}) f ORDER BY v.n"""
_ACCEPT_MANY = Prepared("faas_accept_many", ", ".join(f"{kind}[]" for kind, _ in _ARGUMENTS), _ACCEPT_ALL)
_ACCEPT = Prepared(
    "faas_accept",
    ", ".join(kind for kind, _ in _ARGUMENTS),
    f"SELECT {_VERDICT} FROM faas_accept({', '.join(['%s'] * len(_ARGUMENTS))}) f",
)


@dataclass(frozen=True, slots=True)
class Submission:
    """An invocation to be accepted, as `faas_accept` takes it.

    Attributes:
        function: an id or a name.
        payload: JSON text.
        timeout_ms: None for the function's own.
        fingerprint: of the request that `key` stands for.
        delay_ms, run_at: when to run it; at once where both are None.
        expires_ms: how long after it was accepted it may still be started.
        revision: None for the newest.
        namespace: where the function must be.
    """

    invocation_id: str
    function: str
    payload: str
    headers: dict[str, str]
    timeout_ms: int | None = None
    key: str | None = None
    fingerprint: bytes = b""
    delay_ms: int | None = None
    run_at: datetime | None = None
    expires_ms: int | None = None
    batch_id: str | None = None
    replay_of: str | None = None
    revision: int | None = None
    namespace: str = DEFAULT

    def of_batch(self, batch_id: str) -> Submission:
        """The same as a part of a batch. The key is the batch's, if any."""
        return replace(self, batch_id=batch_id, key=None, fingerprint=b"")

    def parameters(self) -> tuple[Any, ...]:
        """The arguments of `faas_accept`, in order."""
        return (
            self.invocation_id,
            self.function if is_id(self.function) else None,
            self.function,
            self.payload,
            json.dumps(self.headers),
            self.timeout_ms,
            self._own_key(),
            self.fingerprint,
            self.delay_ms,
            self.run_at,
            self.expires_ms,
            self.batch_id,
            self.replay_of,
            self.revision,
            self.namespace,
        )

    def _own_key(self) -> str | None:
        """The idempotency key as it is kept: each namespace has its own. A caller's has no line break."""
        return self.key if self.key is None or self.namespace == DEFAULT else f"{self.namespace}\n{self.key}"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What `faas_accept` said: its verdict, the invocation's id where there is one, whether it is to be published now, and the new record."""

    verdict: str
    invocation_id: str | None
    admitted: bool
    invocation: Invocation | None


def accept(database: Database, new: Submission) -> Acceptance:
    """Accept an invocation in one round trip; committed when this returns (migrations/sql/0003_scheduling.sql tells the verdicts)."""
    with database.autocommit("accept") as tx:
        return _acceptance(tx.one(_ACCEPT, new.parameters()), new)


def accept_many(database: Database, several: Sequence[Submission]) -> list[Acceptance]:
    """Accept invocations of one function in one statement, each by itself: what is refused is the other's loss alone. Committed when this returns."""
    with database.autocommit("accept") as tx:
        return _accept_all(tx, _ACCEPT_MANY, several)


def accept_all(tx: Transaction, several: Sequence[Submission]) -> list[Acceptance]:
    """The same as a part of a transaction. The slots of their functions are locked in the order in which they are given."""
    return _accept_all(tx, _ACCEPT_ALL, several)


def _accept_all(tx: Transaction, sql: Statement, several: Sequence[Submission]) -> list[Acceptance]:
    columns = zip(*(one.parameters() for one in several), strict=True)
    rows = tx.rows(sql, [write(column) for (_, write), column in zip(_ARGUMENTS, columns, strict=True)])
    return [_acceptance(row, one) for row, one in zip(rows, several, strict=True)]


def _acceptance(row: Any, new: Submission) -> Acceptance:
    made = _accepted(row, new) if row.verdict == "accepted" else None
    return Acceptance(row.verdict, str(row.invocation_id) if row.invocation_id else None, row.admitted, made)


def get(database: Database, invocation_id: str) -> Invocation:
    """One invocation, whole. Raises NotFound."""
    row = None
    if is_id(invocation_id):
        with database.autocommit() as tx:
            row = tx.one(f"SELECT {_NARROW}, payload, headers, result FROM invocations WHERE id = %s", (invocation_id,))
    if row is None:
        raise missing(invocation_id)
    return _invocation(row, whole=True)


def status(database: Database, invocation_id: str) -> Status:
    """One invocation's status alone. Raises NotFound."""
    row = None
    if is_id(invocation_id):
        with database.autocommit() as tx:
            row = tx.one("SELECT status FROM invocations WHERE id = %s", (invocation_id,))
    if row is None:
        raise missing(invocation_id)
    return Status(row.status)


def find(
    database: Database,
    *,
    function_id: str | None,
    status: Status | None,
    limit: int,
    cursor: str | None,
    batch_id: str | None = None,
    namespace: str | None = None,
) -> Page[Invocation]:
    """A page of invocations, newest first, without payloads and results.

    Args:
        namespace: only what is in it; None where there is no other, or where the function or the batch says it.
    """
    after = cursors.decode(cursor)
    conditions = [
        condition
        for condition, given in (
            ("function_id = %(function_id)s", function_id),
            ("status = %(status)s", status),
            # A batch's id was made before those of its invocations: no partition of an earlier month is looked into.
            ("batch_id = %(batch_id)s AND id > %(batch_id)s", batch_id),
            ("id < %(after)s", after),
            (
                _IN_NAMESPACE if status else _IN_FUNCTIONS.format(after="AND n.id < %(after)s" if after else ""),
                namespace,
            ),
        )
        if given
    ]
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    parameters = {
        "function_id": function_id,
        "status": status and status.value,
        "batch_id": batch_id,
        "after": after,
        "limit": limit + 1,
        "namespace": namespace,
    }
    with database.autocommit() as tx:
        rows = tx.rows(f"SELECT {_NARROW} FROM invocations {where} ORDER BY id DESC LIMIT %(limit)s", parameters)
    return cursors.page(rows, limit, lambda row: _invocation(row, whole=False))


def logs(database: Database, invocation_id: str) -> bytes:
    """The last attempt's log. Raises NotFound."""
    row = None
    if is_id(invocation_id):
        with database.autocommit() as tx:
            row = tx.one("SELECT logs FROM invocations WHERE id = %s", (invocation_id,))
    if row is None:
        raise missing(invocation_id)
    return bytes(row.logs) if row.logs is not None else b""


def cancel(database: Database, invocation_id: str) -> tuple[str, list[str]]:
    """Cancel: `cancelled` or `stopping` or `terminal`, and the ids that were admitted in its place. Raises NotFound."""
    row = None
    if is_id(invocation_id):
        with database.autocommit() as tx:
            row = tx.one("SELECT verdict, next::text[] AS next FROM faas_cancel(%s)", (invocation_id,))
    if row is None or row.verdict == "missing":
        raise missing(invocation_id)
    return row.verdict, list(row.next)


def cancel_queued_of(database: Database, function_id: str, limit: int) -> list[str]:
    """Cancel up to `limit` queued invocations of a deleted function; their ids."""
    sql = """
        UPDATE invocations SET status = 'cancelled', finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp()
        WHERE id = ANY (ARRAY(
            SELECT id FROM invocations WHERE function_id = %s AND status = 'queued' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
          AND status = 'queued'
        RETURNING id"""
    with database.autocommit() as tx:
        return [str(row.id) for row in tx.rows(sql, (function_id, limit))]


def _accepted(row: Any, new: Submission) -> Invocation:
    return Invocation(
        id=str(row.invocation_id),
        function_id=str(row.o_function_id),
        function_name=row.o_function_name,
        revision=row.o_revision,
        status=Status.QUEUED,
        payload=json.loads(new.payload),
        headers=new.headers,
        result=None,
        error=None,
        attempts=0,
        max_attempts=row.o_max_attempts,
        created_at=row.o_created_at,
        started_at=None,
        finished_at=None,
        queue_ms=None,
        init_ms=None,
        duration_ms=None,
        cold_start=None,
        memory_peak_mb=None,
        worker_id=None,
        run_at=row.o_run_at,
        expires_at=row.o_expires_at,
        batch_id=new.batch_id,
        replay_of=new.replay_of,
    )


def missing(invocation_id: str) -> NotFound:
    """The error for an invocation that is not there."""
    return NotFound(f"There is no invocation {invocation_id!r}.")


def _invocation(row: Any, *, whole: bool) -> Invocation:
    return Invocation(
        id=str(row.id),
        function_id=str(row.function_id),
        function_name=row.function_name,
        revision=row.revision,
        status=Status(row.status),
        payload=json.loads(row.payload) if whole else None,
        headers=json.loads(row.headers) if whole else None,
        result=json.loads(row.result) if whole and row.result is not None else None,
        error=json.loads(row.error) if row.error is not None else None,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        queue_ms=row.queue_ms,
        init_ms=row.init_ms,
        duration_ms=row.duration_ms,
        cold_start=row.cold_start,
        memory_peak_mb=row.memory_peak_mb,
        worker_id=row.worker_id,
        run_at=row.run_at,
        expires_at=row.expires_at,
        batch_id=row.batch_id and str(row.batch_id),
        replay_of=row.replay_of and str(row.replay_of),
    )

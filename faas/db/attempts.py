"""The attempts of invocations: claiming, and ending under the guard of the attempt's number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faas.db import functions
from faas.db.database import Database
from faas.domain.invocation import Claim, Status

# Locked rows are passed over: whoever holds one cancels it, or has the same message.
_CLAIM = f"""
    WITH picked AS MATERIALIZED (
        SELECT id FROM invocations WHERE id = ANY(%(ids)s::uuid[]) AND status = 'queued' AND admitted_at IS NOT NULL
        ORDER BY id FOR UPDATE SKIP LOCKED)
    UPDATE invocations i SET status = 'running', attempts = i.attempts + 1, worker_id = %(worker)s, started_at = clock_timestamp(),
        queue_ms = least(greatest(0, extract(epoch FROM clock_timestamp() - greatest(i.created_at, i.due_at)) * 1000), 2147483647)::integer
    FROM picked, function_revisions r
    WHERE i.id = picked.id AND r.function_id = i.function_id AND r.number = i.revision
      AND EXISTS (SELECT 1 FROM workers w WHERE w.id = %(worker)s)
    RETURNING i.id, i.attempts, i.max_attempts, i.platform_failures, i.function_id, i.function_name, i.payload, i.headers, i.timeout_ms,
        {functions.REVISION_COLUMNS}"""
_FINISH = """SELECT applied, new_status, next::text[] AS next FROM faas_finish(
    %(function_id)s, %(id)s, %(attempt)s, %(status)s, %(result)s, %(error)s, %(error_type)s, %(logs)s, %(init_ms)s, %(duration_ms)s,
    %(cold)s, %(memory)s, %(retry_ms)s, %(fault)s)"""


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended, as it is written.

    Attributes:
        error: JSON text, or None.
        retry_ms: when the next attempt is due, from now; None where this is the last.
        fault: whose the failure is: `function`, `platform` or `handback` (a worker gives an unfinished one back).
    """

    function_id: str
    invocation_id: str
    attempt: int
    status: Status
    result: str | None = None
    error: str | None = None
    error_type: str | None = None
    logs: bytes = b""
    init_ms: int = 0
    duration_ms: int = 0
    cold_start: bool | None = None
    memory_peak_mb: float | None = None
    retry_ms: int | None = None
    fault: str = "function"


@dataclass(frozen=True, slots=True)
class Finished:
    """What the write of an `AttemptEnd` did: whether it was this attempt's to write, the status now, and who was admitted in its place."""

    applied: bool
    status: Status | None
    admitted: list[str]


def claim(database: Database, invocation_id: str, worker: str) -> Claim | None:
    """Claim an admitted, queued invocation for a worker; None where there is nothing to claim (it came twice, it was cancelled).

    A worker that was taken as lost claims nothing before it is enrolled again: what it claimed would be an orphan, and run twice.
    """
    return claim_many(database, [invocation_id], worker).get(invocation_id)


def claim_many(database: Database, ids: Sequence[str], worker: str) -> dict[str, Claim]:
    """Claim what can be claimed of many, in one statement; the claims by id."""
    with database.autocommit() as tx:
        rows = tx.rows(_CLAIM, {"ids": list(ids), "worker": worker})
    return {claim.invocation_id: claim for claim in map(_claim, rows)}


def finish(database: Database, ends: Sequence[AttemptEnd]) -> list[Finished]:
    """Write the ends of attempts in one transaction, in the order of their functions' ids so that two writers never wait in a circle."""
    order = sorted(range(len(ends)), key=lambda n: (ends[n].function_id, ends[n].invocation_id))
    done: dict[int, Finished] = {}
    with database.begin() as tx:
        for n in order:
            row: Any = tx.one(_FINISH, _parameters(ends[n]))
            done[n] = Finished(row.applied, Status(row.new_status) if row.new_status else None, list(row.next))
    return [done[n] for n in range(len(ends))]


def _claim(row: Any) -> Claim:
    return Claim(
        invocation_id=str(row.id),
        attempt=row.attempts,
        max_attempts=row.max_attempts,
        platform_failures=row.platform_failures,
        revision=functions.revision(row),
        payload=row.payload,
        headers=json.loads(row.headers),
        timeout_ms=row.timeout_ms,
    )


def _parameters(end: AttemptEnd) -> dict[str, Any]:
    return {
        "function_id": end.function_id,
        "id": end.invocation_id,
        "attempt": end.attempt,
        "status": end.status.value,
        "result": end.result,
        "error": end.error,
        "error_type": end.error_type,
        "logs": end.logs,
        "init_ms": end.init_ms,
        "duration_ms": end.duration_ms,
        "cold": end.cold_start,
        "memory": end.memory_peak_mb,
        "retry_ms": end.retry_ms,
        "fault": end.fault,
    }

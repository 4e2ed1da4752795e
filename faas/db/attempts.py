"""The attempts of invocations: claiming, and ending under the guard of the attempt's number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faas.db import functions
from faas.db.database import Database
from faas.domain.invocation import Claim, Status

_CLAIM = "SELECT * FROM faas_claim(%s::uuid[], %s)"
# The rows are taken in the order in which they are written here: `finish` sorts them.
_FINISH = """SELECT f.applied, f.new_status, f.next::text[] AS next FROM (VALUES {rows}) AS v (
    function_id, id, attempt, status, result, error, error_type, logs, init_ms, duration_ms, cold, memory, retry_ms, fault)
    CROSS JOIN LATERAL faas_finish(v.function_id, v.id, v.attempt, v.status, v.result, v.error, v.error_type, v.logs, v.init_ms, v.duration_ms,
        v.cold, v.memory, v.retry_ms, v.fault) f"""
_ROW = """(%s::uuid, %s::uuid, %s::integer, %s::text, %s::text, %s::text, %s::text, %s::bytea, %s::integer, %s::integer, %s::boolean,
    %s::double precision, %s::integer, %s::text)"""


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
    """Claim what can be claimed of many, in one statement; the claims by id (migrations/sql/0003_scheduling.sql)."""
    with database.autocommit() as tx:
        rows = tx.rows(_CLAIM, (list(ids), worker))
    return {claim.invocation_id: claim for claim in map(_claim, rows)}


def finish(database: Database, ends: Sequence[AttemptEnd]) -> list[Finished]:
    """Write the ends of attempts in one statement, in the order of their functions' ids so that two writers never wait in a circle."""
    order = sorted(range(len(ends)), key=lambda n: (ends[n].function_id, ends[n].invocation_id))
    parameters = tuple(value for n in order for value in _parameters(ends[n]))
    with database.autocommit() as tx:
        rows = tx.rows(_FINISH.format(rows=", ".join([_ROW] * len(ends))), parameters)
    done = [Finished(row.applied, Status(row.new_status) if row.new_status else None, list(row.next)) for row in rows]
    return [one for _, one in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]


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


def _parameters(end: AttemptEnd) -> tuple[Any, ...]:
    return (
        end.function_id,
        end.invocation_id,
        end.attempt,
        end.status.value,
        end.result,
        end.error,
        end.error_type,
        end.logs,
        end.init_ms,
        end.duration_ms,
        end.cold_start,
        end.memory_peak_mb,
        end.retry_ms,
        end.fault,
    )

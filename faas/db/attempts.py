"""The attempts of invocations: claiming, and ending under the guard of the attempt's number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from faas.db import arrays
from faas.db.database import Database
from faas.db.prepared import Prepared
from faas.db.revisions import Revisions
from faas.domain.invocation import Claim, Status
from faas.telemetry.catalogue import ATTEMPTS, CLAIMS, ENDS_REFUSED, RETRIES
from faas.telemetry.counts import Counts

_CLAIM = Prepared(
    "faas_claim",
    "uuid[], text",
    """SELECT id, attempts, max_attempts, platform_failures, function_id, revision, payload, headers, timeout_ms, started_at, queue_ms
    FROM faas_claim(%s, %s)""",
)
_FINISH = Prepared(
    "faas_finish",
    """uuid[], uuid[], integer[], text[], text[], text[], text[], bytea[], integer[], integer[], boolean[], double precision[], integer[], text[],
    text[]""",
    f"SELECT applied, new_status, ended_at, next::text[] AS next FROM faas_finish_many({', '.join(['%s'] * 15)})",
)
# How the arguments are written, in order.
_WRITTEN = (
    arrays.plain,
    arrays.plain,
    arrays.plain,
    arrays.plain,
    arrays.texts,
    arrays.texts,
    arrays.texts,
    arrays.binary,
    *[arrays.plain] * 6,
    arrays.texts,
)
# As what failed attempts are counted whose fault is not the function's.
_RESULTS = {"platform": "platform_failed", "handback": "handed_back"}


class AttemptEnd(NamedTuple):
    """How an attempt ended, as it is written.

    Attributes:
        error: JSON text, or None.
        retry_ms: when the next attempt is due, from now; None where this is the last.
        fault: whose the failure is: `function`, `platform` or `handback` (a worker gives an unfinished one back).
        worker: who claimed it: nobody else's attempt of the same number is ended. None for whoever has it.
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
    worker: str | None = None


class Finished(NamedTuple):
    """What the write of an `AttemptEnd` did: whether it was this attempt's to write, the status now, and when that was."""

    applied: bool
    status: Status | None
    at: datetime


def claim(database: Database, invocation_id: str, worker: str) -> Claim | None:
    """Claim an admitted, queued invocation for a worker; None where there is nothing to claim (it came twice, it was cancelled).

    A worker that was taken as lost claims nothing before it is enrolled again: what it claimed would be an orphan, and run twice.
    """
    return claim_many(database, [invocation_id], worker).get(invocation_id)


def claim_many(
    database: Database, ids: Sequence[str], worker: str, revisions: Revisions | None = None
) -> dict[str, Claim]:
    """Claim what can be claimed of many, in one statement (migrations/sql/0004_speed.sql).

    Args:
        revisions: those that are known already.

    Returns:
        The claims by id.
    """
    known = revisions or Revisions(database)
    with database.autocommit("claim") as tx:
        rows = tx.rows(_CLAIM, (arrays.plain(ids), worker))
    database.counts.add(CLAIMS, "claimed", by=len(rows))
    if len(rows) < len(ids):
        database.counts.add(CLAIMS, "nothing", by=len(ids) - len(rows))
    return {claim.invocation_id: claim for claim in (_claim(row, known, worker) for row in rows)}


def finish(database: Database, ends: Sequence[AttemptEnd]) -> tuple[list[Finished], list[str]]:
    """Write the ends of attempts in one statement, in the order of their functions' ids so that two writers never wait in a circle.

    Returns:
        What became of each, and the ids that were admitted in their place.
    """
    order = sorted(range(len(ends)), key=lambda n: (ends[n].function_id, ends[n].invocation_id))
    columns = zip(*(_parameters(ends[n]) for n in order), strict=True)
    with database.autocommit("finish") as tx:
        row: Any = tx.one(_FINISH, [write(column) for write, column in zip(_WRITTEN, columns, strict=True)])
    done: list[Finished | None] = [None] * len(ends)
    for n, applied, status in zip(order, row.applied, row.new_status, strict=True):
        done[n] = Finished(applied, Status(status) if status else None, row.ended_at)
    finished = [one for one in done if one is not None]
    for end, one in zip(ends, finished, strict=True):
        _count(database.counts, end, one)
    return finished, list(row.next)


def _count(counts: Counts, end: AttemptEnd, finished: Finished) -> None:
    if not finished.applied:
        counts.add(ENDS_REFUSED)
        return
    failed = end.status is Status.FAILED and end.fault in _RESULTS
    counts.add(ATTEMPTS, _RESULTS[end.fault] if failed else end.status.value)
    if finished.status is Status.QUEUED:
        counts.add(RETRIES, end.fault)


def _claim(row: Any, revisions: Revisions, worker: str) -> Claim:
    return Claim(
        invocation_id=str(row.id),
        attempt=row.attempts,
        max_attempts=row.max_attempts,
        platform_failures=row.platform_failures,
        revision=revisions.get(str(row.function_id), row.revision),
        payload=row.payload,
        headers=json.loads(row.headers),
        timeout_ms=row.timeout_ms,
        started_at=row.started_at,
        queue_ms=row.queue_ms,
        worker=worker,
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
        end.worker,
    )

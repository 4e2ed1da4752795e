"""What is needed of an invocation to run it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from faas.db.database import Database
from faas.db.invocations import Submission, missing
from faas.db.partitions import least_id
from faas.domain.ids import is_id
from faas.domain.invocation import Status
from faas.domain.namespace import DEFAULT

# A timeout that is the revision's own was not asked for: under another revision it is that one's.
_SOURCE = """
    SELECT i.id, i.function_id, i.revision, i.status, i.payload, i.headers, nullif(i.timeout_ms, r.timeout_ms) AS timeout_ms
    FROM invocations i LEFT JOIN function_revisions r ON r.function_id = i.function_id AND r.number = i.revision WHERE i.id = %s"""
# All in the database: a thousand payloads may be gigabytes. Accepted in the order of the functions' ids, as everybody takes several slots.
_MANY = """
    WITH picked AS MATERIALIZED (
        SELECT i.id, i.function_id, i.payload, i.headers, nullif(i.timeout_ms, o.timeout_ms) AS timeout_ms, r.number
        FROM invocations i
        JOIN functions f ON f.id = i.function_id AND f.deleted_at IS NULL
        JOIN function_revisions o ON o.function_id = i.function_id AND o.number = i.revision
        JOIN function_revisions r ON r.function_id = i.function_id AND r.state <> 'failed'
          AND r.number = CASE WHEN %(pinned)s THEN i.revision ELSE f.revision END
        WHERE i.status = %(status)s AND f.namespace = %(namespace)s AND NOT EXISTS (SELECT 1 FROM invocations n WHERE n.replay_of = i.id){more}
        ORDER BY i.id LIMIT %(limit)s),
    numbered AS MATERIALIZED (SELECT *, row_number() OVER (ORDER BY id) AS n FROM picked)
    SELECT a.invocation_id, a.admitted
    FROM (SELECT * FROM numbered ORDER BY function_id, n) v
    CROSS JOIN LATERAL faas_accept((%(ids)s::uuid[])[v.n], v.function_id, NULL, v.payload, v.headers, v.timeout_ms, NULL, '', NULL, NULL, NULL,
        %(batch_id)s::uuid, v.id, v.number, %(namespace)s) a
    WHERE a.verdict = 'accepted'"""
_MORE = {
    "function_id": " AND i.function_id = %(function_id)s",
    "of_batch": " AND i.batch_id = %(of_batch)s AND i.id > %(of_batch)s",
    "after": " AND i.id >= %(after)s",
    "before": " AND i.id < %(before)s",
}
_LOCK = 7041777


@dataclass(frozen=True, slots=True)
class Source:
    """An invocation as it was asked for. `payload` is JSON text; `timeout_ms` None where none was asked for."""

    id: str
    function_id: str
    revision: int
    status: Status
    payload: str
    headers: dict[str, str]
    timeout_ms: int | None

    def submission(self, new_id: str, *, pinned: bool, namespace: str = DEFAULT) -> Submission:
        """The same once more: under its own revision, or the newest."""
        return Submission(
            invocation_id=new_id,
            function=self.function_id,
            payload=self.payload,
            headers=self.headers,
            timeout_ms=self.timeout_ms,
            replay_of=self.id,
            revision=self.revision if pinned else None,
            namespace=namespace,
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which invocations are to be run again: of one terminal status, and as far as they are given of a function, of a batch, and accepted from
    `after` on and before `before`."""

    status: Status
    function_id: str | None = None
    batch_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    namespace: str = DEFAULT


def run_many(
    database: Database, wanted: Filter, batch_id: str, new_ids: Sequence[str], *, pinned: bool
) -> tuple[list[str], list[str]]:
    """Run the oldest of many again, each that was not run again yet and whose function and revision can run; committed when this returns.

    Args:
        new_ids: for the new ones, in order; at most as many are run again. They sort after `batch_id`.

    Returns:
        The ids that were accepted, in order, and those of them that are to be published now.
    """
    given = {
        "function_id": wanted.function_id,
        "of_batch": wanted.batch_id,
        "after": wanted.after and least_id(wanted.after),
        "before": wanted.before and least_id(wanted.before),
    }
    more = "".join(condition for name, condition in _MORE.items() if given[name] is not None)
    parameters = {
        **given,
        "status": wanted.status.value,
        "namespace": wanted.namespace,
        "pinned": pinned,
        "limit": len(new_ids),
        "ids": list(new_ids),
        "batch_id": batch_id,
    }
    with database.begin() as tx:
        # One after the other: the second sees what the first has run again.
        tx.run("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        rows = tx.rows(_MANY.format(more=more), parameters)
    return sorted(str(row.invocation_id) for row in rows), [str(row.invocation_id) for row in rows if row.admitted]


def source(database: Database, invocation_id: str) -> Source:
    """One invocation to run again. Raises NotFound."""
    row = None
    if is_id(invocation_id):
        with database.autocommit() as tx:
            row = tx.one(_SOURCE, (invocation_id,))
    if row is None:
        raise missing(invocation_id)
    return Source(
        id=str(row.id),
        function_id=str(row.function_id),
        revision=row.revision,
        status=Status(row.status),
        payload=row.payload,
        headers=json.loads(row.headers),
        timeout_ms=row.timeout_ms,
    )

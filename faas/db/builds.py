"""Builds of revisions that must be compiled before they run."""

from __future__ import annotations

from faas.db import functions
from faas.db.database import Database
from faas.domain.function import Revision

_CLAIM = f"""
    UPDATE function_revisions r SET build_worker = %(worker)s, build_published_at = clock_timestamp()
    FROM functions f
    WHERE f.id = r.function_id AND r.function_id = %(id)s AND r.number = %(number)s AND r.state = 'building'
      AND (r.build_worker IS NULL OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = r.build_worker))
    RETURNING r.function_id, f.name AS function_name, f.namespace, {functions.REVISION_COLUMNS}"""


def claim(database: Database, function_id: str, number: int, worker: str) -> Revision | None:
    """Claim a build; None where it is done, or a living worker has it."""
    with database.autocommit() as tx:
        row = tx.one(_CLAIM, {"id": function_id, "number": number, "worker": worker})
    return functions.revision(row) if row else None


def succeed(database: Database, revision: Revision, artifact_digest: str) -> list[str]:
    """Make a revision active and let go who waits for it; the ids to publish."""
    with database.begin() as tx:
        tx.rows("SELECT 1 FROM slots WHERE function_id = %s FOR UPDATE", (revision.function_id,))
        changed = tx.run(
            "UPDATE function_revisions SET state = 'active', artifact_digest = %s, build_worker = NULL"
            " WHERE function_id = %s AND number = %s AND state = 'building'",
            (artifact_digest, *revision.key),
        )
        if not changed:
            return []
        # Due since they came, or at their time: so queue_ms counts the build as waiting.
        tx.run(
            "UPDATE invocations SET due_at = coalesce(run_at, created_at)"
            " WHERE function_id = %s AND revision = %s AND status = 'queued' AND due_at = 'infinity'",
            revision.key,
        )
        return functions.admit(tx, revision.function_id)


def fail(database: Database, revision: Revision, reason: str, error: str) -> list[str]:
    """Make a revision failed; the invocations that waited for it end `failed` with the error (JSON text). Their ids."""
    with database.begin() as tx:
        tx.rows("SELECT 1 FROM slots WHERE function_id = %s FOR UPDATE", (revision.function_id,))
        changed = tx.run(
            "UPDATE function_revisions SET state = 'failed', state_reason = %s, build_worker = NULL"
            " WHERE function_id = %s AND number = %s AND state = 'building'",
            (reason, *revision.key),
        )
        if not changed:
            return []
        rows = tx.rows(
            "UPDATE invocations SET status = 'failed', error = %s, finished_at = clock_timestamp()"
            " WHERE function_id = %s AND revision = %s AND status = 'queued' AND due_at = 'infinity' RETURNING id",
            (error, *revision.key),
        )
        return [str(row.id) for row in rows]


def give_back(database: Database, revision: Revision) -> int:
    """Give a build back after a failure of the platform; how many such failures there were."""
    with database.autocommit() as tx:
        row = tx.one(
            "UPDATE function_revisions SET build_worker = NULL, build_failures = build_failures + 1"
            " WHERE function_id = %s AND number = %s AND state = 'building' RETURNING build_failures",
            revision.key,
        )
    return int(row.build_failures) if row else 0


def stale(database: Database, age_s: float, claimed_s: float, limit: int) -> list[tuple[str, int]]:
    """Builds to be published again; marked as nobody's, and as published now.

    Args:
        age_s: those that nobody has claimed, and that were published longer ago than this. A dead worker's are due at once.
        claimed_s: those that were claimed longer ago than this, whoever has them: more than any build takes.
    """
    sql = """
        WITH due AS MATERIALIZED (
            SELECT b.function_id, b.number FROM function_revisions b
            WHERE b.state = 'building' AND CASE
                WHEN b.build_worker IS NULL THEN b.build_published_at < clock_timestamp() - %s * interval '1 second'
                ELSE b.build_published_at < clock_timestamp() - %s * interval '1 second'
                    OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = b.build_worker) END
            ORDER BY b.build_published_at LIMIT %s FOR UPDATE SKIP LOCKED)
        UPDATE function_revisions r SET build_published_at = clock_timestamp(), build_worker = NULL FROM due
        WHERE r.function_id = due.function_id AND r.number = due.number
        RETURNING r.function_id, r.number"""
    with database.autocommit() as tx:
        return [(str(row.function_id), row.number) for row in tx.rows(sql, (age_s, claimed_s, limit))]

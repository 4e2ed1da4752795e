"""Accepting an invocation inside somebody else's transaction, on somebody else's connection. Text of SQL alone: whoever runs it has a driver.

No slot is taken: its row would stay locked until the caller commits, and every other call of the function would wait for that. It is queued, and the
clock gives it a slot after the commit. One whose revision is built meanwhile is let go by the clock too (`faas.db.upkeep.let_go`).
"""

from __future__ import annotations

# Names with a colon are parameters, as SQLAlchemy's `text` has them. The verdict is in `state`, `timeout_ms` and `made`; no row: no such function.
ENQUEUE = """
    WITH f AS (
        SELECT f.id, f.name, r.number, r.state, r.timeout_ms, r.retry_max_attempts, clock_timestamp() AS now,
            greatest(coalesce(CAST(:run_at AS timestamptz), clock_timestamp() + CAST(:delay_ms AS bigint) * interval '1 millisecond'),
                CASE WHEN CAST(:run_at AS timestamptz) IS NOT NULL THEN clock_timestamp() END) AS run_at
        FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = f.revision
        WHERE f.deleted_at IS NULL AND (f.id = CAST(:function_id AS uuid) OR f.name = CAST(:function_name AS text))
            AND f.namespace = CAST(:namespace AS text)),
    made AS (
        INSERT INTO invocations (id, function_id, function_name, revision, status, max_attempts, timeout_ms, created_at, due_at, payload, headers,
            run_at, expires_at)
        SELECT CAST(:id AS uuid), f.id, f.name, f.number, 'queued', f.retry_max_attempts, coalesce(CAST(:timeout_ms AS integer), f.timeout_ms), f.now,
            CASE WHEN f.state = 'building' THEN 'infinity' ELSE coalesce(f.run_at, f.now) END, CAST(:payload AS text), CAST(:headers AS text),
            f.run_at, f.now + CAST(:expires_ms AS bigint) * interval '1 millisecond'
        FROM f WHERE f.state <> 'failed' AND coalesce(CAST(:timeout_ms AS integer), 0) <= f.timeout_ms
        RETURNING id)
    SELECT CAST(f.id AS text) AS function_id, f.state, f.timeout_ms, (SELECT count(*) FROM made) AS made FROM f"""

# Give free slots of a function to who waits; the ids to publish after the commit.
ADMIT = "SELECT CAST(id AS text) FROM faas_admit(CAST(:function_id AS uuid)) AS id"

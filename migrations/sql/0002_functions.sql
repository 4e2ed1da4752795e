-- What must be one round trip and one transaction, in the database. Whoever calls these locks a function's slots row first and invocations
-- after it. `clock_timestamp()` goes into a variable before it meets an index: a volatile call can't be an index condition.
-- The planner's choice is taken away (`enable_…`): it keeps plans that it made while the tables were empty, and of a flood of one function among
-- a million ended rows it expects less than one row, so that it would sort thousands under the lock to take one.

-- Give free slots to waiting invocations that are due, oldest first. Returns their ids; the caller publishes them after the commit.
CREATE FUNCTION faas_admit(p_function uuid) RETURNS SETOF uuid LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    v_free integer;
    v_now timestamptz := clock_timestamp();
    v_ids uuid[];
BEGIN
    SELECT capacity - used INTO v_free FROM slots WHERE function_id = p_function FOR UPDATE;
    IF v_free IS NULL OR v_free <= 0 THEN
        RETURN;
    END IF;
    v_ids := ARRAY(
        SELECT id FROM invocations
        WHERE function_id = p_function AND status = 'queued' AND admitted_at IS NULL AND due_at <= v_now
        ORDER BY due_at, id LIMIT v_free FOR UPDATE SKIP LOCKED
    );
    IF cardinality(v_ids) = 0 THEN
        RETURN;
    END IF;
    UPDATE invocations SET admitted_at = v_now, published_at = v_now WHERE id = ANY (v_ids);
    UPDATE slots SET used = used + cardinality(v_ids) WHERE function_id = p_function;
    RETURN QUERY SELECT unnest(v_ids);
END $$;

-- Accept an invocation. The verdict: accepted (and admitted or not), missing, failed (its revision did not build), too_long (the timeout),
-- replayed or mismatch (of an idempotency key; keys live 24 hours).
CREATE FUNCTION faas_accept(
    p_id uuid, p_function uuid, p_name text, p_payload text, p_headers text, p_timeout_ms integer, p_key text, p_fingerprint bytea,
    OUT verdict text, OUT invocation_id uuid, OUT admitted boolean,
    OUT o_function_id uuid, OUT o_function_name text, OUT o_revision integer, OUT o_max_attempts integer, OUT o_created_at timestamptz
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_now timestamptz;
    v_function functions%ROWTYPE;
    v_revision record;
    v_free integer;
    v_known idempotency_keys%ROWTYPE;
BEGIN
    admitted := false;
    IF p_key IS NOT NULL THEN
        SELECT * INTO v_known FROM idempotency_keys k WHERE k.key = p_key AND k.created_at > now() - interval '24 hours';
        IF FOUND THEN
            invocation_id := v_known.invocation_id;
            verdict := CASE WHEN v_known.fingerprint = p_fingerprint THEN 'replayed' ELSE 'mismatch' END;
            RETURN;
        END IF;
    END IF;
    -- Two statements, so that the plans that PostgreSQL keeps use an index each.
    IF p_function IS NULL THEN
        SELECT * INTO v_function FROM functions f WHERE f.name = p_name AND f.deleted_at IS NULL;
    ELSE
        SELECT * INTO v_function FROM functions f WHERE f.id = p_function AND f.deleted_at IS NULL;
    END IF;
    SELECT s.capacity - s.used INTO v_free FROM slots s WHERE s.function_id = v_function.id FOR UPDATE;
    IF NOT FOUND THEN
        verdict := 'missing';
        RETURN;
    END IF;
    -- Read again under the lock: a change or a finished build may have come between.
    SELECT f.name, r.number, r.state, r.timeout_ms, r.retry_max_attempts INTO v_revision
    FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = f.revision WHERE f.id = v_function.id;
    IF v_revision.state = 'failed' THEN
        verdict := 'failed';
        RETURN;
    END IF;
    IF p_timeout_ms > v_revision.timeout_ms THEN
        verdict := 'too_long';
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        -- Waits for a concurrent call with this key until that one has committed.
        INSERT INTO idempotency_keys AS k (key, fingerprint, invocation_id, created_at) VALUES (p_key, p_fingerprint, p_id, now())
        ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, invocation_id = excluded.invocation_id, created_at = now()
        WHERE k.created_at <= now() - interval '24 hours';
        IF NOT FOUND THEN
            SELECT * INTO v_known FROM idempotency_keys k WHERE k.key = p_key;
            invocation_id := v_known.invocation_id;
            verdict := CASE WHEN v_known.fingerprint = p_fingerprint THEN 'replayed' ELSE 'mismatch' END;
            RETURN;
        END IF;
    END IF;
    v_now := clock_timestamp();
    admitted := v_free > 0 AND v_revision.state = 'active';
    INSERT INTO invocations (
        id, function_id, function_name, revision, status, max_attempts, timeout_ms, created_at, due_at, admitted_at, published_at, payload, headers
    ) VALUES (
        p_id, v_function.id, v_revision.name, v_revision.number, 'queued', v_revision.retry_max_attempts,
        coalesce(p_timeout_ms, v_revision.timeout_ms), v_now, CASE WHEN v_revision.state = 'building' THEN 'infinity' ELSE v_now END,
        CASE WHEN admitted THEN v_now END, CASE WHEN admitted THEN v_now END, p_payload, p_headers
    );
    IF admitted THEN
        UPDATE slots s SET used = s.used + 1 WHERE s.function_id = v_function.id;
    END IF;
    verdict := 'accepted';
    invocation_id := p_id;
    o_function_id := v_function.id;
    o_function_name := v_revision.name;
    o_revision := v_revision.number;
    o_max_attempts := v_revision.retry_max_attempts;
    o_created_at := v_now;
END $$;

-- End one attempt, guarded by its number. `p_retry_ms` is null where nothing follows. `p_fault`: function, platform (adds an attempt to the
-- maximum, so that the platform's failures cost the function none), handback (the same, and is not counted as a failure).
-- Returns whether it was this attempt's to end, the status it has now, and who was admitted in its place.
CREATE FUNCTION faas_finish(
    p_function uuid, p_id uuid, p_attempt integer, p_status text, p_result text, p_error text, p_error_type text, p_logs bytea,
    p_init_ms integer, p_duration_ms integer, p_cold boolean, p_memory double precision, p_retry_ms integer, p_fault text,
    OUT applied boolean, OUT new_status text, OUT next uuid[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_now timestamptz;
    v_living boolean;
    v_row record;
BEGIN
    next := '{}';
    PERFORM 1 FROM slots WHERE function_id = p_function FOR UPDATE;
    v_living := FOUND;
    SELECT i.cancel_requested_at, i.worker_id, i.started_at INTO v_row FROM invocations i
    WHERE i.id = p_id AND i.attempts = p_attempt AND i.status = 'running' FOR UPDATE;
    applied := FOUND;
    IF NOT applied THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();
    IF p_retry_ms IS NOT NULL AND v_living AND v_row.cancel_requested_at IS NULL THEN
        new_status := 'queued';
        UPDATE invocations SET status = 'queued', admitted_at = NULL, published_at = NULL, logs = p_logs,
            due_at = v_now + p_retry_ms * interval '1 millisecond',
            max_attempts = max_attempts + CASE WHEN p_fault = 'function' THEN 0 ELSE 1 END,
            platform_failures = platform_failures + CASE WHEN p_fault = 'platform' THEN 1 ELSE 0 END
        WHERE id = p_id;
        INSERT INTO attempts (invocation_id, number, worker_id, started_at, finished_at, status, error_type)
        VALUES (p_id, p_attempt, v_row.worker_id, v_row.started_at, v_now, CASE WHEN p_fault = 'handback' THEN 'handed_back' ELSE p_status END, p_error_type)
        ON CONFLICT DO NOTHING;
    ELSE
        -- A retry that a cancellation forbids ends cancelled; one that the function's deletion forbids ends as it failed.
        new_status := CASE WHEN v_row.cancel_requested_at IS NOT NULL AND p_retry_ms IS NOT NULL THEN 'cancelled'
                           WHEN p_fault = 'handback' THEN 'cancelled' ELSE p_status END;
        UPDATE invocations SET status = new_status, finished_at = v_now, result = p_result, logs = p_logs,
            error = CASE WHEN new_status = 'cancelled' THEN NULL ELSE p_error END,
            init_ms = p_init_ms, duration_ms = p_duration_ms, cold_start = p_cold, memory_peak_mb = p_memory
        WHERE id = p_id;
    END IF;
    IF v_living THEN
        UPDATE slots SET used = greatest(used - 1, 0) WHERE function_id = p_function;
        next := ARRAY(SELECT faas_admit(p_function));
    END IF;
END $$;

-- Cancel. The verdict: cancelled (it was queued), stopping (its worker is to be told), terminal, missing.
CREATE FUNCTION faas_cancel(p_id uuid, OUT verdict text, OUT next uuid[]) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_function uuid;
    v_row record;
BEGIN
    next := '{}';
    SELECT function_id INTO v_function FROM invocations WHERE id = p_id;
    PERFORM 1 FROM slots WHERE function_id = v_function FOR UPDATE;
    SELECT i.status, i.admitted_at INTO v_row FROM invocations i WHERE i.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        verdict := 'missing';
    ELSIF v_row.status = 'queued' THEN
        verdict := 'cancelled';
        UPDATE invocations SET status = 'cancelled', finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp() WHERE id = p_id;
        IF v_row.admitted_at IS NOT NULL THEN
            UPDATE slots SET used = greatest(used - 1, 0) WHERE function_id = v_function;
            next := ARRAY(SELECT faas_admit(v_function));
        END IF;
    ELSIF v_row.status = 'running' THEN
        verdict := 'stopping';
        UPDATE invocations SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()) WHERE id = p_id;
    ELSE
        verdict := 'terminal';
    END IF;
END $$;

-- Claim what can be claimed of many for a worker that is known. Locked rows are passed over: whoever holds one cancels it, or has the same message.
CREATE FUNCTION faas_claim(p_ids uuid[], p_worker text) RETURNS TABLE (
    id uuid, attempts integer, max_attempts integer, platform_failures integer, function_id uuid, function_name text, payload text, headers text,
    timeout_ms integer, number integer, version text, runtime text, handler text, function_timeout_ms integer, memory_mb integer,
    cpus double precision, max_concurrency integer, network text, retry_max_attempts integer, retry_backoff_ms integer,
    retry_max_backoff_ms integer, environment text, metadata text, code_digest text, code_size integer, artifact_digest text, state text,
    state_reason text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = p_worker) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH picked AS MATERIALIZED (
        SELECT i.id FROM invocations i WHERE i.id = ANY (p_ids) AND i.status = 'queued' AND i.admitted_at IS NOT NULL
        ORDER BY i.id FOR UPDATE SKIP LOCKED
    )
    UPDATE invocations i SET status = 'running', attempts = i.attempts + 1, worker_id = p_worker, started_at = clock_timestamp(),
        queue_ms = least(greatest(0, extract(epoch FROM clock_timestamp() - greatest(i.created_at, i.due_at)) * 1000), 2147483647)::integer
    FROM picked, function_revisions r
    WHERE i.id = picked.id AND r.function_id = i.function_id AND r.number = i.revision
    RETURNING i.id, i.attempts, i.max_attempts, i.platform_failures, i.function_id, i.function_name, i.payload, i.headers, i.timeout_ms,
        r.number, r.version, r.runtime, r.handler, r.timeout_ms, r.memory_mb, r.cpus, r.max_concurrency, r.network, r.retry_max_attempts,
        r.retry_backoff_ms, r.retry_max_backoff_ms, r.environment, r.metadata, r.code_digest, r.code_size, r.artifact_digest, r.state, r.state_reason;
END $$;

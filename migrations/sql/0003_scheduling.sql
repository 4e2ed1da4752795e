-- Accepting with a time to run at, a time to expire at, a batch, and the invocation that is run again. The old signature goes: a call with its eight
-- arguments means the new one with the others left out, so controllers of the release before go on.
DROP FUNCTION faas_accept(uuid, uuid, text, text, text, integer, text, bytea);

-- Accept an invocation. The verdict: accepted (and admitted or not), missing, failed (its revision did not build), too_long (the timeout),
-- replayed or mismatch (of an idempotency key; keys live 24 hours). `p_revision` is null for the newest. The timeout of one that is run again is
-- cut to the revision's: its caller can't choose another.
CREATE FUNCTION faas_accept(
    p_id uuid, p_function uuid, p_name text, p_payload text, p_headers text, p_timeout_ms integer, p_key text, p_fingerprint bytea,
    p_delay_ms bigint DEFAULT NULL, p_run_at timestamptz DEFAULT NULL, p_expires_ms bigint DEFAULT NULL, p_batch uuid DEFAULT NULL,
    p_replay_of uuid DEFAULT NULL, p_revision integer DEFAULT NULL,
    OUT verdict text, OUT invocation_id uuid, OUT admitted boolean,
    OUT o_function_id uuid, OUT o_function_name text, OUT o_revision integer, OUT o_max_attempts integer, OUT o_created_at timestamptz,
    OUT o_run_at timestamptz, OUT o_expires_at timestamptz
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
    FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = coalesce(p_revision, f.revision) WHERE f.id = v_function.id;
    IF v_revision.state = 'failed' THEN
        verdict := 'failed';
        RETURN;
    END IF;
    IF p_timeout_ms > v_revision.timeout_ms AND p_replay_of IS NULL THEN
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
    -- Null where neither is given; a time that has gone by is now.
    o_run_at := coalesce(p_run_at, v_now + p_delay_ms * interval '1 millisecond');
    IF o_run_at < v_now THEN
        o_run_at := v_now;
    END IF;
    o_expires_at := v_now + p_expires_ms * interval '1 millisecond';
    admitted := v_free > 0 AND v_revision.state = 'active' AND coalesce(o_run_at <= v_now, true);
    INSERT INTO invocations (
        id, function_id, function_name, revision, status, max_attempts, timeout_ms, created_at, due_at, admitted_at, published_at, payload, headers,
        run_at, expires_at, batch_id, replay_of
    ) VALUES (
        p_id, v_function.id, v_revision.name, v_revision.number, 'queued', v_revision.retry_max_attempts,
        least(p_timeout_ms, v_revision.timeout_ms), v_now,
        CASE WHEN v_revision.state = 'building' THEN 'infinity' ELSE coalesce(o_run_at, v_now) END,
        CASE WHEN admitted THEN v_now END, CASE WHEN admitted THEN v_now END, p_payload, p_headers,
        o_run_at, o_expires_at, p_batch, p_replay_of
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

-- Give free slots to waiting invocations that are due, oldest first, and not to those whose time to start is over. Returns their ids; the caller
-- publishes them after the commit.
CREATE OR REPLACE FUNCTION faas_admit(p_function uuid) RETURNS SETOF uuid LANGUAGE plpgsql
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
          AND (expires_at IS NULL OR attempts > 0 OR expires_at > v_now)
        ORDER BY due_at, id LIMIT v_free FOR UPDATE SKIP LOCKED
    );
    IF cardinality(v_ids) = 0 THEN
        RETURN;
    END IF;
    UPDATE invocations SET admitted_at = v_now, published_at = v_now WHERE id = ANY (v_ids);
    UPDATE slots SET used = used + cardinality(v_ids) WHERE function_id = p_function;
    RETURN QUERY SELECT unnest(v_ids);
END $$;

-- Claim what can be claimed of many for a worker that is known. Locked rows are passed over: whoever holds one cancels it, or has the same message.
-- One that was never started and whose time is over is not claimed: `faas_expire` ends it.
CREATE OR REPLACE FUNCTION faas_claim(p_ids uuid[], p_worker text) RETURNS TABLE (
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
          AND (i.expires_at IS NULL OR i.attempts > 0 OR i.expires_at > clock_timestamp())
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

-- End invocations of a function that were not started before their time was over. Returns them, and who was admitted in their place.
CREATE FUNCTION faas_expire(p_function uuid, p_limit integer, OUT ended uuid[], OUT next uuid[]) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_now timestamptz;
    v_freed integer;
BEGIN
    next := '{}';
    PERFORM 1 FROM slots WHERE function_id = p_function FOR UPDATE;
    v_now := clock_timestamp();
    ended := ARRAY(
        SELECT id FROM invocations
        WHERE status = 'queued' AND attempts = 0 AND expires_at <= v_now AND function_id = p_function
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    SELECT count(admitted_at) INTO v_freed FROM invocations WHERE id = ANY (ended);
    UPDATE invocations SET status = 'cancelled', finished_at = v_now,
        error = '{"type": "Platform.Expired", "message": "It was not started before its time was over.", "stack_trace": []}'
    WHERE id = ANY (ended);
    IF v_freed > 0 THEN
        UPDATE slots SET used = greatest(used - v_freed, 0) WHERE function_id = p_function;
        next := ARRAY(SELECT faas_admit(p_function));
    END IF;
END $$;

-- The same work for a fraction of the processor's time. Plans are made once for each connection (`force_generic_plan`: PostgreSQL took them for too dear
-- and planned at every call, a millisecond for a claim), and never compiled. A place is taken and given back by one statement where there were two.
-- The ends of many attempts are one update for each function. A claim brings no revision: those never change, and workers keep them.

ALTER FUNCTION faas_admit(uuid) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION faas_admit(uuid) SET jit = off;

-- Accept an invocation (see 0003_scheduling.sql for the verdicts). The lock on the function's slots is taken with the place, if there is one; a place
-- that is not used after all is given back before anybody else sees it.
CREATE OR REPLACE FUNCTION faas_accept(
    p_id uuid, p_function uuid, p_name text, p_payload text, p_headers text, p_timeout_ms integer, p_key text, p_fingerprint bytea,
    p_delay_ms bigint DEFAULT NULL, p_run_at timestamptz DEFAULT NULL, p_expires_ms bigint DEFAULT NULL, p_batch uuid DEFAULT NULL,
    p_replay_of uuid DEFAULT NULL, p_revision integer DEFAULT NULL,
    OUT verdict text, OUT invocation_id uuid, OUT admitted boolean,
    OUT o_function_id uuid, OUT o_function_name text, OUT o_revision integer, OUT o_max_attempts integer, OUT o_created_at timestamptz,
    OUT o_run_at timestamptz, OUT o_expires_at timestamptz
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_now timestamptz;
    v_function uuid := p_function;
    v_revision record;
    v_placed boolean := false;
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
    IF v_function IS NULL THEN
        SELECT f.id INTO v_function FROM functions f WHERE f.name = p_name AND f.deleted_at IS NULL;
    END IF;
    IF NOT coalesce(p_delay_ms > 0 OR p_run_at > clock_timestamp(), false) THEN
        UPDATE slots s SET used = s.used + 1 WHERE s.function_id = v_function AND s.used < s.capacity;
        v_placed := FOUND;
    END IF;
    IF NOT v_placed THEN
        PERFORM 1 FROM slots s WHERE s.function_id = v_function FOR UPDATE;
        IF NOT FOUND THEN
            verdict := 'missing';
            RETURN;
        END IF;
    END IF;
    -- Read under the lock: a change or a finished build may have come before it.
    SELECT f.name, r.number, r.state, r.timeout_ms, r.retry_max_attempts INTO v_revision
    FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = coalesce(p_revision, f.revision) WHERE f.id = v_function;
    verdict := CASE WHEN v_revision.state = 'failed' THEN 'failed'
                    WHEN p_timeout_ms > v_revision.timeout_ms AND p_replay_of IS NULL THEN 'too_long' ELSE 'accepted' END;
    IF verdict = 'accepted' AND p_key IS NOT NULL THEN
        -- Waits for a concurrent call with this key until that one has committed.
        INSERT INTO idempotency_keys AS k (key, fingerprint, invocation_id, created_at) VALUES (p_key, p_fingerprint, p_id, now())
        ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, invocation_id = excluded.invocation_id, created_at = now()
        WHERE k.created_at <= now() - interval '24 hours';
        IF NOT FOUND THEN
            SELECT * INTO v_known FROM idempotency_keys k WHERE k.key = p_key;
            invocation_id := v_known.invocation_id;
            verdict := CASE WHEN v_known.fingerprint = p_fingerprint THEN 'replayed' ELSE 'mismatch' END;
        END IF;
    END IF;
    IF v_placed AND (verdict <> 'accepted' OR v_revision.state <> 'active') THEN
        UPDATE slots s SET used = s.used - 1 WHERE s.function_id = v_function;
        v_placed := false;
    END IF;
    IF verdict <> 'accepted' THEN
        RETURN;
    END IF;
    admitted := v_placed;
    v_now := clock_timestamp();
    -- Null where neither is given; a time that has gone by is now.
    o_run_at := coalesce(p_run_at, v_now + p_delay_ms * interval '1 millisecond');
    IF o_run_at < v_now THEN
        o_run_at := v_now;
    END IF;
    o_expires_at := v_now + p_expires_ms * interval '1 millisecond';
    INSERT INTO invocations (
        id, function_id, function_name, revision, status, max_attempts, timeout_ms, created_at, due_at, admitted_at, published_at, payload, headers,
        run_at, expires_at, batch_id, replay_of
    ) VALUES (
        p_id, v_function, v_revision.name, v_revision.number, 'queued', v_revision.retry_max_attempts,
        least(p_timeout_ms, v_revision.timeout_ms), v_now,
        CASE WHEN v_revision.state = 'building' THEN 'infinity' ELSE coalesce(o_run_at, v_now) END,
        CASE WHEN admitted THEN v_now END, CASE WHEN admitted THEN v_now END, p_payload, p_headers,
        o_run_at, o_expires_at, p_batch, p_replay_of
    );
    invocation_id := p_id;
    o_function_id := v_function;
    o_function_name := v_revision.name;
    o_revision := v_revision.number;
    o_max_attempts := v_revision.retry_max_attempts;
    o_created_at := v_now;
END $$;

DROP FUNCTION faas_claim(uuid[], text);

-- Claim what can be claimed of many for a worker that is known. Locked rows are passed over: whoever holds one cancels it, or has the same message.
-- One that was never started and whose time is over is not claimed: `faas_expire` ends it.
CREATE FUNCTION faas_claim(p_ids uuid[], p_worker text) RETURNS TABLE (
    id uuid, attempts integer, max_attempts integer, platform_failures integer, function_id uuid, function_name text, revision integer,
    payload text, headers text, timeout_ms integer, created_at timestamptz, started_at timestamptz, queue_ms integer, run_at timestamptz,
    expires_at timestamptz, batch_id uuid, replay_of uuid
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH picked AS MATERIALIZED (
        SELECT i.id FROM invocations i WHERE i.id = ANY (p_ids) AND i.status = 'queued' AND i.admitted_at IS NOT NULL
          AND (i.expires_at IS NULL OR i.attempts > 0 OR i.expires_at > v_now)
          AND EXISTS (SELECT 1 FROM workers w WHERE w.id = p_worker)
        ORDER BY i.id FOR UPDATE OF i SKIP LOCKED
    )
    UPDATE invocations i SET status = 'running', attempts = i.attempts + 1, worker_id = p_worker, started_at = clock_timestamp(),
        queue_ms = least(greatest(0, extract(epoch FROM clock_timestamp() - greatest(i.created_at, i.due_at)) * 1000), 2147483647)::integer
    FROM picked WHERE i.id = picked.id
    RETURNING i.id, i.attempts, i.max_attempts, i.platform_failures, i.function_id, i.function_name, i.revision,
        i.payload, i.headers, i.timeout_ms, i.created_at, i.started_at, i.queue_ms, i.run_at, i.expires_at, i.batch_id, i.replay_of;
END $$;

ALTER FUNCTION faas_finish(uuid, uuid, integer, text, text, text, text, bytea, integer, integer, boolean, double precision, integer, text)
    SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION faas_finish(uuid, uuid, integer, text, text, text, text, bytea, integer, integer, boolean, double precision, integer, text)
    SET jit = off;
ALTER FUNCTION faas_cancel(uuid) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION faas_cancel(uuid) SET jit = off;

-- End many attempts: the arguments are those of `faas_finish`, an array each, in the order of the functions' ids so that two writers never wait in a
-- circle. What ends for good is one update for each function; what is tried again or handed back goes through `faas_finish`.
-- Returns whether each was its attempt's to end, the statuses, when, and who was admitted in their place.
CREATE FUNCTION faas_finish_many(
    p_function uuid[], p_id uuid[], p_attempt integer[], p_status text[], p_result text[], p_error text[], p_error_type text[], p_logs bytea[],
    p_init_ms integer[], p_duration_ms integer[], p_cold boolean[], p_memory double precision[], p_retry_ms integer[], p_fault text[],
    OUT applied boolean[], OUT new_status text[], OUT ended_at timestamptz, OUT next uuid[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_total integer := cardinality(p_id);
    v_first integer := 1;
    v_last integer;
    v_function uuid;
    v_final integer;
    v_done integer[];
    v_number integer;
    v_living boolean;
    v_one record;
BEGIN
    next := '{}';
    applied := array_fill(false, ARRAY[v_total]);
    new_status := array_fill(NULL::text, ARRAY[v_total]);
    WHILE v_first <= v_total LOOP
        v_function := p_function[v_first];
        v_last := v_first;
        v_final := 0;
        FOR v_number IN v_first .. v_total LOOP
            EXIT WHEN p_function[v_number] <> v_function;
            v_last := v_number;
            IF p_retry_ms[v_number] IS NULL AND p_fault[v_number] <> 'handback' THEN
                v_final := v_final + 1;
            END IF;
        END LOOP;
        IF v_final > 0 THEN
            -- Locks the slots, before any invocation.
            UPDATE slots SET used = used - v_final WHERE function_id = v_function;
            v_living := FOUND;
            ended_at := clock_timestamp();
            WITH done AS (
                UPDATE invocations i SET status = v.status, finished_at = ended_at, result = v.result, logs = v.logs,
                    error = CASE WHEN v.status = 'cancelled' THEN NULL ELSE v.error END,
                    init_ms = v.init_ms, duration_ms = v.duration_ms, cold_start = v.cold, memory_peak_mb = v.memory
                FROM unnest(
                    p_id[v_first:v_last], p_attempt[v_first:v_last], p_status[v_first:v_last], p_result[v_first:v_last], p_error[v_first:v_last],
                    p_logs[v_first:v_last], p_init_ms[v_first:v_last], p_duration_ms[v_first:v_last], p_cold[v_first:v_last],
                    p_memory[v_first:v_last], p_retry_ms[v_first:v_last], p_fault[v_first:v_last]
                ) WITH ORDINALITY AS v (id, attempt, status, result, error, logs, init_ms, duration_ms, cold, memory, retry_ms, fault, number)
                WHERE i.id = v.id AND i.attempts = v.attempt AND i.status = 'running' AND v.retry_ms IS NULL AND v.fault <> 'handback'
                RETURNING v.number
            )
            SELECT array_agg(v_first - 1 + d.number::integer) INTO v_done FROM done d;
            FOREACH v_number IN ARRAY coalesce(v_done, '{}') LOOP
                applied[v_number] := true;
                new_status[v_number] := p_status[v_number];
            END LOOP;
            IF v_living AND coalesce(cardinality(v_done), 0) < v_final THEN
                UPDATE slots SET used = greatest(used + v_final - coalesce(cardinality(v_done), 0), 0) WHERE function_id = v_function;
            END IF;
            IF v_living AND EXISTS (
                SELECT 1 FROM invocations i WHERE i.function_id = v_function AND i.status = 'queued' AND i.admitted_at IS NULL AND i.due_at <= ended_at
            ) THEN
                next := next || ARRAY(SELECT faas_admit(v_function));
            END IF;
        END IF;
        IF v_final < v_last - v_first + 1 THEN
            FOR v_number IN v_first .. v_last LOOP
                CONTINUE WHEN p_retry_ms[v_number] IS NULL AND p_fault[v_number] <> 'handback';
                SELECT * INTO v_one FROM faas_finish(
                    v_function, p_id[v_number], p_attempt[v_number], p_status[v_number], p_result[v_number], p_error[v_number], p_error_type[v_number],
                    p_logs[v_number], p_init_ms[v_number], p_duration_ms[v_number], p_cold[v_number], p_memory[v_number], p_retry_ms[v_number],
                    p_fault[v_number]);
                applied[v_number] := v_one.applied;
                new_status[v_number] := v_one.new_status;
                next := next || v_one.next;
            END LOOP;
        END IF;
        v_first := v_last + 1;
    END LOOP;
    ended_at := coalesce(ended_at, clock_timestamp());
END $$;

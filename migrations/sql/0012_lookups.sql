-- Claiming and ending look up what they are told of by its id, and nothing else. The plans that are kept were made while hardly anything was queued or ran,
-- and so read the whole index of what is admitted, or of what runs, with all that had gone through it since the last vacuum: each call cost more the more
-- there had been. A condition on the status inside of CASE can't be answered by one of these indexes; `= ANY (ARRAY[…])` can't be answered by joining two
-- lists, for which one would be read from end to end. One invocation by itself, as a call that is waited for has it, goes without arrays and lists, and with a
-- parameter that tells its month before the plan starts.

-- See 0004_speed.sql. Nobody waits for a row here, so the rows need no order. Nor does anybody wait until a claim is on the disk: nothing was promised by it. A
-- server that crashes within a moment of it may come back without it; then the invocation is queued as before, and what the worker makes of the claim is
-- refused. For that the end of an attempt names its worker: the next claim has the same number. Whatever is told of an end is on the disk, with the claim
-- before it (decision 19).
CREATE OR REPLACE FUNCTION faas_claim(p_ids uuid[], p_worker text) RETURNS TABLE (
    id uuid, attempts integer, max_attempts integer, platform_failures integer, function_id uuid, function_name text, revision integer,
    payload text, headers text, timeout_ms integer, created_at timestamptz, started_at timestamptz, queue_ms integer, run_at timestamptz,
    expires_at timestamptz, batch_id uuid, replay_of uuid
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_id uuid := p_ids[1];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF cardinality(p_ids) = 1 THEN
        PERFORM 1 FROM invocations i
        WHERE i.id = v_id AND EXISTS (SELECT 1 FROM workers w WHERE w.id = p_worker)
          AND CASE WHEN i.status = 'queued' AND i.admitted_at IS NOT NULL THEN i.expires_at IS NULL OR i.attempts > 0 OR i.expires_at > v_now END
        FOR UPDATE OF i SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        RETURN QUERY
        UPDATE invocations i SET status = 'running', attempts = i.attempts + 1, worker_id = p_worker, started_at = v_now,
            queue_ms = least(greatest(0, extract(epoch FROM v_now - greatest(i.created_at, i.due_at)) * 1000), 2147483647)::integer
        WHERE i.id = v_id
        RETURNING i.id, i.attempts, i.max_attempts, i.platform_failures, i.function_id, i.function_name, i.revision,
            i.payload, i.headers, i.timeout_ms, i.created_at, i.started_at, i.queue_ms, i.run_at, i.expires_at, i.batch_id, i.replay_of;
        RETURN;
    END IF;
    RETURN QUERY
    WITH picked AS MATERIALIZED (
        SELECT i.id FROM invocations i
        WHERE i.id = ANY (p_ids) AND EXISTS (SELECT 1 FROM workers w WHERE w.id = p_worker)
          AND CASE WHEN i.status = 'queued' AND i.admitted_at IS NOT NULL THEN i.expires_at IS NULL OR i.attempts > 0 OR i.expires_at > v_now END
        FOR UPDATE OF i SKIP LOCKED
    )
    UPDATE invocations i SET status = 'running', attempts = i.attempts + 1, worker_id = p_worker, started_at = v_now,
        queue_ms = least(greatest(0, extract(epoch FROM v_now - greatest(i.created_at, i.due_at)) * 1000), 2147483647)::integer
    FROM picked WHERE i.id = ANY (ARRAY[picked.id])
    RETURNING i.id, i.attempts, i.max_attempts, i.platform_failures, i.function_id, i.function_name, i.revision,
        i.payload, i.headers, i.timeout_ms, i.created_at, i.started_at, i.queue_ms, i.run_at, i.expires_at, i.batch_id, i.replay_of;
END $$;

-- See 0004_speed.sql. `p_worker`: who claimed each attempt; null where that does not matter, and for workers of the release before.
DROP FUNCTION faas_finish_many(
    uuid[], uuid[], integer[], text[], text[], text[], text[], bytea[], integer[], integer[], boolean[], double precision[], integer[], text[]
);
CREATE FUNCTION faas_finish_many(
    p_function uuid[], p_id uuid[], p_attempt integer[], p_status text[], p_result text[], p_error text[], p_error_type text[], p_logs bytea[],
    p_init_ms integer[], p_duration_ms integer[], p_cold boolean[], p_memory double precision[], p_retry_ms integer[], p_fault text[],
    p_worker text[] DEFAULT NULL,
    OUT applied boolean[], OUT new_status text[], OUT ended_at timestamptz, OUT next uuid[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    v_total integer := cardinality(p_id);
    v_first integer := 1;
    v_last integer;
    v_function uuid;
    v_id uuid;
    v_final integer;
    v_done integer[];
    v_number integer;
    v_living boolean;
    v_free integer;
    v_missed integer;
    v_next uuid[];
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
            UPDATE slots SET used = used - v_final WHERE function_id = v_function RETURNING capacity - used INTO v_free;
            v_living := FOUND;
            ended_at := clock_timestamp();
            IF v_first = v_last THEN
                v_id := p_id[v_first];
                UPDATE invocations i SET status = p_status[v_first], finished_at = ended_at, result = p_result[v_first], logs = p_logs[v_first],
                    error = CASE WHEN p_status[v_first] = 'cancelled' THEN NULL ELSE p_error[v_first] END,
                    init_ms = p_init_ms[v_first], duration_ms = p_duration_ms[v_first], cold_start = p_cold[v_first],
                    memory_peak_mb = p_memory[v_first]
                WHERE i.id = v_id AND CASE WHEN i.attempts = p_attempt[v_first]
                    THEN i.status = 'running' AND (p_worker[v_first] IS NULL OR i.worker_id = p_worker[v_first]) END;
                v_done := CASE WHEN FOUND THEN ARRAY[v_first] END;
            ELSE
                WITH done AS (
                    UPDATE invocations i SET status = v.status, finished_at = ended_at, result = v.result, logs = v.logs,
                        error = CASE WHEN v.status = 'cancelled' THEN NULL ELSE v.error END,
                        init_ms = v.init_ms, duration_ms = v.duration_ms, cold_start = v.cold, memory_peak_mb = v.memory
                    FROM unnest(
                        p_id[v_first:v_last], p_attempt[v_first:v_last], p_status[v_first:v_last], p_result[v_first:v_last], p_error[v_first:v_last],
                        p_logs[v_first:v_last], p_init_ms[v_first:v_last], p_duration_ms[v_first:v_last], p_cold[v_first:v_last],
                        p_memory[v_first:v_last], p_retry_ms[v_first:v_last], p_fault[v_first:v_last], p_worker[v_first:v_last]
                    ) WITH ORDINALITY AS v (id, attempt, status, result, error, logs, init_ms, duration_ms, cold, memory, retry_ms, fault, worker, number)
                    WHERE i.id = ANY (ARRAY[v.id])
                      AND CASE WHEN i.attempts = v.attempt THEN i.status = 'running' AND (v.worker IS NULL OR i.worker_id = v.worker) END
                      AND v.retry_ms IS NULL AND v.fault <> 'handback'
                    RETURNING v.number
                )
                SELECT array_agg(v_first - 1 + d.number::integer) INTO v_done FROM done d;
            END IF;
            FOREACH v_number IN ARRAY coalesce(v_done, '{}') LOOP
                applied[v_number] := true;
                new_status[v_number] := p_status[v_number];
            END LOOP;
            v_missed := v_final - coalesce(cardinality(v_done), 0);
            IF v_living AND v_missed > 0 THEN
                UPDATE slots SET used = greatest(used + v_missed, 0) WHERE function_id = v_function;
                v_free := v_free - v_missed;
            END IF;
            v_next := '{}';
            IF v_living AND v_free > 0 THEN
                -- Ordered so that it comes by the index of who waits, and by it alone.
                PERFORM 1 FROM invocations i
                WHERE i.function_id = v_function AND i.status = 'queued' AND i.admitted_at IS NULL AND i.due_at <= ended_at
                ORDER BY i.due_at, i.id LIMIT 1;
                IF FOUND THEN
                    -- What `faas_admit` does, with the slots locked already. Most ends find nobody, and looking is cheaper than locking.
                    v_next := ARRAY(
                        SELECT i.id FROM invocations i
                        WHERE i.function_id = v_function AND i.status = 'queued' AND i.admitted_at IS NULL AND i.due_at <= ended_at
                          AND (i.expires_at IS NULL OR i.attempts > 0 OR i.expires_at > ended_at)
                        ORDER BY i.due_at, i.id LIMIT v_free FOR UPDATE SKIP LOCKED
                    );
                END IF;
            END IF;
            IF cardinality(v_next) > 0 THEN
                UPDATE invocations i SET admitted_at = ended_at, published_at = ended_at WHERE i.id = ANY (v_next);
                UPDATE slots SET used = used + cardinality(v_next) WHERE function_id = v_function;
                next := next || v_next;
            END IF;
        END IF;
        IF v_final < v_last - v_first + 1 THEN
            FOR v_number IN v_first .. v_last LOOP
                CONTINUE WHEN p_retry_ms[v_number] IS NULL AND p_fault[v_number] <> 'handback';
                IF p_worker[v_number] IS NOT NULL THEN
                    -- Nobody but this worker can change that while it is so.
                    v_id := p_id[v_number];
                    PERFORM 1 FROM invocations i WHERE i.id = v_id AND CASE WHEN i.status = 'running' THEN i.worker_id = p_worker[v_number] END;
                    CONTINUE WHEN NOT FOUND;
                END IF;
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

-- `faas_accept` as 0004_speed.sql has it, and the namespace of who asks: names are looked up in it, and a function of another one is missing. Null stands
-- for any: the caller has looked. Its default is what a controller of the time before means, so that the two can run side by side.

DROP FUNCTION faas_accept;

CREATE FUNCTION faas_accept(
    p_id uuid, p_function uuid, p_name text, p_payload text, p_headers text, p_timeout_ms integer, p_key text, p_fingerprint bytea,
    p_delay_ms bigint DEFAULT NULL, p_run_at timestamptz DEFAULT NULL, p_expires_ms bigint DEFAULT NULL, p_batch uuid DEFAULT NULL,
    p_replay_of uuid DEFAULT NULL, p_revision integer DEFAULT NULL, p_namespace text DEFAULT 'default',
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
        SELECT f.id INTO v_function FROM functions f WHERE f.namespace = p_namespace AND f.name = p_name AND f.deleted_at IS NULL;
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
    SELECT f.name, f.namespace, r.number, r.state, r.timeout_ms, r.retry_max_attempts INTO v_revision
    FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = coalesce(p_revision, f.revision) WHERE f.id = v_function;
    verdict := CASE WHEN v_revision.namespace <> p_namespace THEN 'missing'
                    WHEN v_revision.state = 'failed' THEN 'failed'
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

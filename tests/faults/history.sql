-- Every change of an invocation's status or attempt, in the order in which it was made, and every write to one that had ended.
CREATE TABLE fault_history (
    n bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    id uuid NOT NULL,
    function_id uuid NOT NULL,
    old text,
    new text NOT NULL,
    attempts integer NOT NULL,
    max_attempts integer NOT NULL
);
CREATE FUNCTION fault_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO fault_history (id, function_id, old, new, attempts, max_attempts)
        VALUES (OLD.id, OLD.function_id, OLD.status, 'gone', OLD.attempts, OLD.max_attempts);
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO fault_history (id, function_id, old, new, attempts, max_attempts)
        VALUES (NEW.id, NEW.function_id, NULL, NEW.status, NEW.attempts, NEW.max_attempts);
    ELSIF OLD.status <> NEW.status OR OLD.attempts <> NEW.attempts OR OLD.status NOT IN ('queued', 'running') THEN
        INSERT INTO fault_history (id, function_id, old, new, attempts, max_attempts)
        VALUES (NEW.id, NEW.function_id, OLD.status, NEW.status, NEW.attempts, NEW.max_attempts);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fault_note AFTER INSERT OR UPDATE OR DELETE ON invocations FOR EACH ROW EXECUTE FUNCTION fault_note();

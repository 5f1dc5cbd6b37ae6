-- What a person did about an anomaly, for ever; and sessions that nobody is billed for.

-- One act resolves an anomaly.
CREATE TABLE anomaly_act (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    anomaly_id bigint NOT NULL UNIQUE REFERENCES anomaly,
    at         timestamptz NOT NULL,     -- business time
    actor      text NOT NULL CHECK (btrim(actor) <> ''),   -- 'page:Ann', 'cli:ann', 'key:cpms'
    act        text NOT NULL CHECK (act IN ('accept', 'correct', 'discard')),
    reason     text NOT NULL CHECK (btrim(reason) <> ''),
    detail     jsonb NOT NULL DEFAULT '{}',
    session_id text REFERENCES session,
    CHECK (act = 'accept' OR session_id IS NOT NULL)
);
CREATE INDEX anomaly_act_session ON anomaly_act (session_id) WHERE session_id IS NOT NULL;
CREATE TRIGGER anomaly_act_append_only BEFORE UPDATE OR DELETE ON anomaly_act
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER anomaly_act_no_truncate BEFORE TRUNCATE ON anomaly_act
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- An anomaly is resolved by its act, in the same moment, and by nothing else: the application has
-- no right to write these columns.
CREATE FUNCTION anomaly_resolved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = wattledger, pg_temp AS $$
BEGIN
    UPDATE anomaly SET resolved_at = NEW.at, resolution = NEW.act || ': ' || NEW.reason
     WHERE id = NEW.anomaly_id;
    RETURN NULL;
END $$;
CREATE TRIGGER anomaly_act_resolves AFTER INSERT ON anomaly_act
    FOR EACH ROW EXECUTE FUNCTION anomaly_resolved();
CREATE FUNCTION anomaly_by_act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.resolved_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM anomaly_act WHERE anomaly_id = NEW.id AND at = NEW.resolved_at)
    THEN
        RAISE EXCEPTION 'anomaly % is resolved by an act of somebody, and by nothing else', NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER anomaly_by_act BEFORE INSERT OR UPDATE ON anomaly
    FOR EACH ROW EXECUTE FUNCTION anomaly_by_act();
CREATE TRIGGER anomaly_never_changed BEFORE UPDATE ON anomaly
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'at', 'code', 'subject', 'detail', 'dedupe');
CREATE TRIGGER anomaly_set_once BEFORE UPDATE ON anomaly
    FOR EACH ROW EXECUTE FUNCTION set_once('resolved_at', 'resolution');
CREATE TRIGGER anomaly_no_delete BEFORE DELETE ON anomaly
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER anomaly_no_truncate BEFORE TRUNCATE ON anomaly
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE INDEX anomaly_open ON anomaly (id) WHERE resolved_at IS NULL;
CREATE INDEX anomaly_subject ON anomaly (subject);

-- Nobody is billed for a discarded session, whatever comes later.
ALTER TABLE session ADD COLUMN discarded text
    CHECK (discarded IN ('never_delivered', 'given_away'));
ALTER TABLE session ADD CONSTRAINT session_discarded_is_free
    CHECK (discarded IS NULL OR state = 'free');
CREATE TRIGGER session_discarded_once BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION set_once('discarded');
CREATE FUNCTION session_discarded_by_act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM anomaly_act WHERE session_id = NEW.id AND act = 'discard') THEN
        RAISE EXCEPTION 'session % is discarded by an act of somebody, and by nothing else', NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER session_discarded_by_act BEFORE INSERT OR UPDATE OF discarded ON session
    FOR EACH ROW WHEN (NEW.discarded IS NOT NULL) EXECUTE FUNCTION session_discarded_by_act();

GRANT SELECT, INSERT ON anomaly_act TO wattledger_app;
GRANT UPDATE (discarded) ON session TO wattledger_app;
GRANT SELECT ON anomaly_act TO wattledger_reader;

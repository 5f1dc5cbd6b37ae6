-- Sessions, and the facts they are made of.

-- OCPP 1.6 transaction ids: positive int31, global, never from memory (1.6 errata 3.54).
CREATE SEQUENCE transaction_number AS integer MINVALUE 1 NO CYCLE;

CREATE TABLE session (
    id              text PRIMARY KEY,
    entity_id       text NOT NULL,
    site_id         text NOT NULL,
    charge_point_id text NOT NULL,
    connector_id    integer NOT NULL,
    source          text NOT NULL CHECK (source IN ('ocpp1.6', 'api')),
    transaction_id  integer UNIQUE,
    token           text NOT NULL,
    account_id      text,
    route           text NOT NULL CHECK (route IN
                      ('card', 'invoice', 'external', 'wallet', 'roaming', 'free', 'none')),
    contract        jsonb NOT NULL,        -- what was promised, frozen at the start
    state           text NOT NULL CHECK (state IN ('open', 'ended', 'billed', 'free', 'held')),
    held_reason     text,
    started_at      timestamptz NOT NULL,
    stopped_at      timestamptz,           -- end of the transaction
    ended_at        timestamptz,           -- end of the bill: stop, or unplug where idle counts on
    meter_start_wh  bigint NOT NULL CHECK (meter_start_wh >= 0),
    meter_stop_wh   bigint,
    bill_due_at     timestamptz,           -- when the session becomes billable
    stop_reason     text,
    CHECK ((state = 'held') = (held_reason IS NOT NULL)),
    CHECK (state IN ('open', 'held') OR (stopped_at IS NOT NULL AND meter_stop_wh IS NOT NULL))
);
-- The worker's question: what is due? And the connector's: who is on it?
CREATE INDEX session_due ON session (bill_due_at) WHERE state = 'ended';
CREATE INDEX session_open ON session (charge_point_id, connector_id) WHERE state IN ('open', 'ended');
CREATE INDEX session_started ON session (started_at DESC);
CREATE INDEX session_site ON session (site_id, started_at DESC);

-- What was promised, to whom and from where on, is frozen at the start; what was billed, at the bill.
CREATE TRIGGER session_never_changed BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'entity_id', 'site_id', 'charge_point_id', 'connector_id', 'source',
        'transaction_id', 'token', 'account_id', 'route', 'contract', 'started_at',
        'meter_start_wh');
CREATE TRIGGER session_set_once BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION set_once('stopped_at', 'meter_stop_wh');
-- A late stop takes a held session up again; billed and free are final.
CREATE TRIGGER session_moves BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'open>ended', 'open>held', 'ended>billed', 'ended>free', 'ended>held', 'held>ended',
        'held>open');
CREATE FUNCTION session_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'session % is %, and that is final', OLD.id, OLD.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER session_final BEFORE UPDATE ON session
    FOR EACH ROW WHEN (OLD.state IN ('billed', 'free')) EXECUTE FUNCTION session_final();

-- Everything a session is assembled from, in the order of the device's clock. Only added to.
CREATE TABLE session_fact (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  text NOT NULL REFERENCES session,
    kind        text NOT NULL CHECK (kind IN ('start', 'meter', 'status', 'stop', 'unplug')),
    at          timestamptz NOT NULL,      -- the device's time
    received_at timestamptz NOT NULL,      -- business time
    register_wh bigint,
    activity    text,
    detail      jsonb NOT NULL DEFAULT '{}',
    dedupe      text NOT NULL UNIQUE       -- digest of the content: a resent message adds nothing
);
CREATE INDEX session_fact_session ON session_fact (session_id, at, id);
CREATE TRIGGER session_fact_append_only BEFORE UPDATE OR DELETE ON session_fact
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER session_fact_no_truncate BEFORE TRUNCATE ON session_fact
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

GRANT USAGE ON SEQUENCE transaction_number TO wattledger_app;
GRANT SELECT, INSERT ON session TO wattledger_app;
GRANT UPDATE (state, held_reason, stopped_at, ended_at, meter_stop_wh, bill_due_at, stop_reason)
    ON session TO wattledger_app;
GRANT SELECT, INSERT ON session_fact TO wattledger_app;
GRANT SELECT ON session, session_fact TO wattledger_reader;

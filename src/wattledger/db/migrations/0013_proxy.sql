-- In front of another CPMS: what it could not be told yet, and transactions that have two numbers.

-- Numbers for transactions that start while the CPMS is away. High, so that the CPMS's own numbers,
-- which the same charge point uses too, don't meet them.
CREATE SEQUENCE proxy_transaction_number AS integer MINVALUE 2100000000 NO CYCLE;

-- A transaction that charge point, CPMS and session don't all call the same. Of several rows with
-- the same charge_point_ref the last counts.
CREATE TABLE proxy_transaction (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id  text NOT NULL,
    charge_point_ref bigint NOT NULL,       -- what the charge point was told
    cpms_ref         bigint,                -- what the CPMS calls it; NULL: it does not know it yet
    session_ref      bigint NOT NULL,       -- what the session has
    made_at          timestamptz NOT NULL,  -- business time
    ended_at         timestamptz,
    lost             boolean NOT NULL DEFAULT false,   -- the CPMS did not take its start
    CHECK (NOT lost OR cpms_ref IS NULL)
);
CREATE INDEX proxy_transaction_charge_point ON proxy_transaction (charge_point_id, id);
CREATE TRIGGER proxy_transaction_never_changed BEFORE UPDATE ON proxy_transaction
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'charge_point_id', 'charge_point_ref', 'session_ref', 'made_at');
CREATE TRIGGER proxy_transaction_set_once BEFORE UPDATE ON proxy_transaction
    FOR EACH ROW EXECUTE FUNCTION set_once('cpms_ref', 'ended_at');
CREATE TRIGGER proxy_transaction_no_delete BEFORE DELETE ON proxy_transaction
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER proxy_transaction_no_truncate BEFORE TRUNCATE ON proxy_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Transaction messages that were answered in the CPMS's stead and are still to be told to it, of
-- one charge point in the order of id.
CREATE TABLE proxy_call (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id text NOT NULL,
    queued_at       timestamptz NOT NULL,  -- business time
    action          text NOT NULL,
    transaction_ref bigint,                -- 1.6: what the charge point calls it
    raw             text NOT NULL,         -- the frame as it came
    state           text NOT NULL DEFAULT 'waiting'
                      CHECK (state IN ('waiting', 'delivered', 'given_up')),
    tries           integer NOT NULL DEFAULT 0,   -- how often it was sent
    settled_at      timestamptz,           -- business time
    answer          text,                  -- what the CPMS answered at last, as it came
    dedupe          text NOT NULL UNIQUE,  -- digest of the content: what is repeated is told once
    CHECK ((state = 'waiting') = (settled_at IS NULL))
);
CREATE INDEX proxy_call_waiting ON proxy_call (charge_point_id, id) WHERE state = 'waiting';
CREATE TRIGGER proxy_call_never_changed BEFORE UPDATE ON proxy_call
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'charge_point_id', 'queued_at', 'action', 'transaction_ref', 'raw', 'dedupe');
CREATE TRIGGER proxy_call_moves BEFORE UPDATE ON proxy_call
    FOR EACH ROW EXECUTE FUNCTION state_moves('waiting>delivered', 'waiting>given_up');
CREATE TRIGGER proxy_call_set_once BEFORE UPDATE ON proxy_call
    FOR EACH ROW EXECUTE FUNCTION set_once('settled_at', 'answer');
CREATE TRIGGER proxy_call_no_delete BEFORE DELETE ON proxy_call
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER proxy_call_no_truncate BEFORE TRUNCATE ON proxy_call
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

GRANT USAGE ON SEQUENCE proxy_transaction_number TO wattledger_app;
GRANT SELECT, INSERT ON proxy_transaction, proxy_call TO wattledger_app;
GRANT UPDATE (cpms_ref, ended_at, lost) ON proxy_transaction TO wattledger_app;
GRANT UPDATE (state, tries, settled_at, answer) ON proxy_call TO wattledger_app;
GRANT SELECT ON proxy_transaction, proxy_call TO wattledger_reader;

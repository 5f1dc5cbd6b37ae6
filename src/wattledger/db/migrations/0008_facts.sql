-- Sessions of every version of OCPP and from every door, and what is known of their meters.

ALTER TABLE session DROP CONSTRAINT session_source_check;
ALTER TABLE session ADD CONSTRAINT session_source_check CHECK (source IN
    ('ocpp1.6', 'ocpp2.0.1', 'ocpp2.1', 'proxy', 'api', 'ocpi', 'import'));
-- What the charge point calls the transaction: our number in 1.6, its own id in 2.x, the CPMS's
-- number behind a proxy. Found again only together with the charge point.
ALTER TABLE session ADD COLUMN transaction_ref text;
UPDATE session SET transaction_ref = transaction_id::text WHERE source = 'ocpp1.6';
CREATE INDEX session_transaction ON session (charge_point_id, transaction_ref)
    WHERE transaction_ref IS NOT NULL;
-- Whether the charge point has called it by that name: one that has does not forget it, so what it
-- says without a name is of another.
ALTER TABLE session ADD COLUMN named boolean NOT NULL DEFAULT false;
-- A stop that nobody told, taken from what is known: the real one may still replace it.
ALTER TABLE session ADD COLUMN stop_provisional boolean NOT NULL DEFAULT false;
-- What its device's clock was off by when it began, in microseconds: all that it says of the session
-- is moved by as much.
ALTER TABLE session ADD COLUMN clock_shift_us bigint NOT NULL DEFAULT 0;
-- Late data, or a person, want an issued bill looked at again.
ALTER TABLE session ADD COLUMN adjust_due_at timestamptz;
CREATE INDEX session_adjust_due ON session (adjust_due_at) WHERE adjust_due_at IS NOT NULL;-- Registers that were told, less what is billed of them: resets, and readings that disagree. What
-- it comes from stands in the session's anomalies.
ALTER TABLE session ADD COLUMN explained_wh bigint NOT NULL DEFAULT 0;
-- In 2.x the first register may come after the start.
ALTER TABLE session ALTER COLUMN meter_start_wh DROP NOT NULL;
-- When an open session that was not heard of is looked after.
ALTER TABLE session ADD COLUMN check_due_at timestamptz;
ALTER TABLE session ADD COLUMN check_why text CHECK (check_why IN ('silence', 'boot', 'asked'));
CREATE INDEX session_check_due ON session (check_due_at) WHERE state = 'open';

DROP TRIGGER session_set_once ON session;
CREATE TRIGGER session_set_once BEFORE UPDATE ON session
    FOR EACH ROW WHEN (NOT OLD.stop_provisional)
    EXECUTE FUNCTION set_once('stopped_at', 'meter_stop_wh');
-- A real stop is never made provisional again.
CREATE FUNCTION stop_stays_real() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stop_provisional AND OLD.stopped_at IS NOT NULL AND NOT OLD.stop_provisional THEN
        RAISE EXCEPTION 'the stop of session % was told, and is not provisional', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER session_stop_real BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION stop_stays_real();

-- A 2.x transaction may begin before its EVSE is known: 0 until then.
DROP TRIGGER session_never_changed ON session;
CREATE TRIGGER session_never_changed BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'entity_id', 'site_id', 'charge_point_id', 'source', 'transaction_id',
        'transaction_ref', 'token', 'account_id', 'route', 'contract', 'started_at',
        'clock_shift_us');
CREATE TRIGGER session_set_once_start BEFORE UPDATE ON session
    FOR EACH ROW EXECUTE FUNCTION set_once('meter_start_wh');
CREATE TRIGGER session_connector_stays BEFORE UPDATE ON session
    FOR EACH ROW WHEN (OLD.connector_id <> 0) EXECUTE FUNCTION never_changed('connector_id');

GRANT UPDATE (connector_id, named, stop_provisional, adjust_due_at, check_due_at, check_why, explained_wh,
              meter_start_wh) ON session TO wattledger_app;
-- The session before on a connector: does the register go on where that one left it?
CREATE INDEX session_connector ON session (charge_point_id, connector_id, started_at DESC);

-- What a fact was read from, and what was read beside the register.
ALTER TABLE session_fact DROP CONSTRAINT session_fact_kind_check;
ALTER TABLE session_fact ADD CONSTRAINT session_fact_kind_check CHECK (kind IN
    ('start', 'meter', 'status', 'stop', 'unplug', 'correct_start', 'correct_stop'));
ALTER TABLE session_fact ADD COLUMN origin text NOT NULL DEFAULT 'message' CHECK (origin IN
    ('message', 'begin', 'end', 'sample', 'signed_begin', 'signed_end', 'interval',
     'interval_clock', 'person'));
ALTER TABLE session_fact ADD COLUMN power_mw bigint;
ALTER TABLE session_fact ADD COLUMN unit text;

-- TransactionEvents (OCPP 2.x) by their sequence numbers: completeness can be told from these.
CREATE TABLE transaction_event (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id text NOT NULL,
    transaction_ref text NOT NULL,
    generation      integer NOT NULL DEFAULT 1,  -- a station that begins to count anew uses ids again
    seq_no          bigint NOT NULL,
    event_type      text NOT NULL CHECK (event_type IN ('Started', 'Updated', 'Ended')),
    at              timestamptz NOT NULL,        -- the device's time
    received_at     timestamptz NOT NULL,        -- business time
    offline         boolean NOT NULL,
    trigger_reason  text NOT NULL,
    payload         text,                        -- of one that waits for its session to be known
    dedupe          text NOT NULL UNIQUE         -- digest of the content: never (id, seqNo) alone
);
CREATE INDEX transaction_event_ref
    ON transaction_event (charge_point_id, transaction_ref, generation, seq_no);
CREATE TRIGGER transaction_event_append_only BEFORE UPDATE OR DELETE ON transaction_event
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER transaction_event_no_truncate BEFORE TRUNCATE ON transaction_event
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Signed meter values, to the letter, and what verifying them said.
CREATE TABLE signed_value (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  text NOT NULL REFERENCES session,
    context     text NOT NULL,             -- Transaction.Begin, Transaction.End, Sample.Periodic, …
    at          timestamptz NOT NULL,      -- the device's time
    received_at timestamptz NOT NULL,      -- business time
    data        text NOT NULL,             -- the record, verbatim
    encoding    text NOT NULL,
    public_key  text,                      -- as it was sent along; trusted only if it is configured
    verified    boolean NOT NULL,
    reason      text NOT NULL,
    dedupe      text NOT NULL UNIQUE
);
CREATE INDEX signed_value_session ON signed_value (session_id, at, id);
CREATE TRIGGER signed_value_append_only BEFORE UPDATE OR DELETE ON signed_value
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER signed_value_no_truncate BEFORE TRUNCATE ON signed_value
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

GRANT SELECT, INSERT ON transaction_event, signed_value TO wattledger_app;
GRANT SELECT ON transaction_event, signed_value TO wattledger_reader;

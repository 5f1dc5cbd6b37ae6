-- Terminals: payments whose settlement failed, what reports name, and sessions that wait for theirs.

-- What the report says of the session it is for: our id of it, or the charge point's transaction id.
ALTER TABLE terminal_payment ADD COLUMN transaction_ref text;

-- A settlement that was refused, and a driver who changed their mind, take a payment away again:
-- not one that was settled, and not one of ours, whose hold is the session's.
DROP TRIGGER terminal_payment_set_once ON terminal_payment;
CREATE TRIGGER terminal_payment_set_once BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION set_once(
        'payment_id', 'settled_minor', 'settled_at', 'transaction_ref');
DROP TRIGGER terminal_payment_moves ON terminal_payment;
CREATE TRIGGER terminal_payment_moves BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'open>matched', 'open>suspense', 'open>returned', 'suspense>matched', 'suspense>open',
        'suspense>returned', 'suspense>kept', 'matched>open', 'matched>returned');
CREATE FUNCTION terminal_payment_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.session_id IS NOT NULL OR OLD.settled_minor IS NOT NULL OR OLD.payment_id IS NOT NULL
    THEN
        RAISE EXCEPTION 'terminal payment % is for session %, and stays so', OLD.id, OLD.session_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terminal_payment_stays BEFORE UPDATE ON terminal_payment
    FOR EACH ROW
    WHEN (OLD.session_id IS NOT NULL AND NEW.session_id IS DISTINCT FROM OLD.session_id)
    EXECUTE FUNCTION terminal_payment_stays();
CREATE INDEX terminal_payment_suspense ON terminal_payment (received_at) WHERE state = 'suspense';

-- A session that has its price and not its payment.
CREATE TABLE terminal_wait (
    session_id  text PRIMARY KEY REFERENCES session,
    entity_id   text NOT NULL,
    currency    text NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor > 0),
    since       timestamptz NOT NULL,
    decided     text CHECK (decided IN ('debt', 'waive')),  -- nobody paid: what becomes of it
    decided_by  text,
    decided_at  timestamptz,
    CHECK ((decided IS NULL) = (decided_by IS NULL) AND (decided IS NULL) = (decided_at IS NULL))
);
CREATE TRIGGER terminal_wait_never_changed BEFORE UPDATE ON terminal_wait
    FOR EACH ROW EXECUTE FUNCTION never_changed('session_id', 'entity_id', 'currency', 'since');
CREATE TRIGGER terminal_wait_set_once BEFORE UPDATE ON terminal_wait
    FOR EACH ROW EXECUTE FUNCTION set_once('decided', 'decided_by', 'decided_at');
CREATE FUNCTION terminal_wait_entity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM session s WHERE s.id = NEW.session_id AND s.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION 'session % is another legal entity''s', NEW.session_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER terminal_wait_entity BEFORE INSERT ON terminal_wait
    FOR EACH ROW EXECUTE FUNCTION terminal_wait_entity();
-- Sessions of terminals near a time: who may a payment be for?
CREATE INDEX session_terminal ON session (site_id, started_at) WHERE route = 'terminal';

GRANT SELECT, INSERT ON terminal_wait TO wattledger_app;
GRANT UPDATE (total_minor, decided, decided_by, decided_at) ON terminal_wait TO wattledger_app;
GRANT SELECT ON terminal_wait TO wattledger_reader;
GRANT UPDATE (transaction_ref) ON terminal_payment TO wattledger_app;

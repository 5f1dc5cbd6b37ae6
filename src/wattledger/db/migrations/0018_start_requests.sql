-- What a start that is paid first was asked with, beside what 0016 keeps of it.

ALTER TABLE start_request
    ADD COLUMN least_hold_minor bigint NOT NULL DEFAULT 0 CHECK (least_hold_minor >= 0),
    ADD COLUMN consent boolean NOT NULL DEFAULT false, -- to be charged for what is above the hold
    ADD COLUMN token_type text,                        -- of OCPP 2, as the asker wants it said
    ADD COLUMN asked_token text,           -- the driver's own, where it was asked for by it
    ADD COLUMN wait_s integer NOT NULL DEFAULT 60 CHECK (wait_s > 0), -- for a session to follow
    ADD COLUMN keep_s integer NOT NULL DEFAULT 45 CHECK (keep_s >= 0), -- for another try
    ADD CONSTRAINT start_request_token CHECK (length(token) <= 20 AND token = upper(token));
CREATE INDEX start_request_command ON start_request (command_key) WHERE command_key IS NOT NULL;
-- A hold pays for one start at a time: a further try takes it over when the one before has failed.
CREATE UNIQUE INDEX start_request_hold ON start_request (payment_id)
    WHERE state IN ('paying', 'starting');

DROP TRIGGER start_request_never_changed ON start_request;
CREATE TRIGGER start_request_never_changed BEFORE UPDATE ON start_request
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'reference', 'route', 'entity_id', 'site_id', 'charge_point_id', 'connector_id',
        'token', 'account_id', 'plan_id', 'asked_at', 'least_hold_minor', 'consent', 'asked_token',
        'token_type', 'wait_s', 'keep_s');

-- A start is paid for by a payment of its own legal entity, and its session is the payment's.
CREATE FUNCTION start_request_paid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM payment p WHERE p.id = NEW.payment_id AND p.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION 'start % is of entity %, its payment is another''s', NEW.id, NEW.entity_id
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM session s WHERE s.id = NEW.session_id
       AND (s.entity_id <> NEW.entity_id OR s.charge_point_id <> NEW.charge_point_id);
    IF FOUND THEN
        RAISE EXCEPTION 'start %: session % is another charge point''s', NEW.id, NEW.session_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER start_request_paid BEFORE INSERT OR UPDATE OF payment_id, session_id ON start_request
    FOR EACH ROW EXECUTE FUNCTION start_request_paid();

-- Money that goes back: refunds that people ask for, what moves at the processor, and disputes.

-- A refund of a session. On paper it is a credit and a new charge; asked for above a limit it waits
-- for a second person.
CREATE TABLE refund (
    id           text PRIMARY KEY,
    session_id   text NOT NULL REFERENCES session,
    entity_id    text NOT NULL,
    currency     text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('correction', 'goodwill')),
    scope        jsonb NOT NULL,           -- {"whole": true}, {"lines": [..]}, {"amount_minor": ..}
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    reason       text NOT NULL CHECK (btrim(reason) <> ''),
    state        text NOT NULL CHECK (state IN ('asked', 'approved', 'issued', 'refused')),
    asked_by     text NOT NULL,
    asked_at     timestamptz NOT NULL,
    decided_by   text,
    decided_at   timestamptz,
    why          text,                     -- of a refusal
    charge_id    text REFERENCES charge,   -- the credit it was issued by
    CHECK ((state = 'issued') = (charge_id IS NOT NULL)),
    CHECK (state = 'asked' OR decided_by IS NOT NULL)
);
CREATE INDEX refund_session ON refund (session_id);
CREATE INDEX refund_open ON refund (asked_at) WHERE state IN ('asked', 'approved');
CREATE TRIGGER refund_never_changed BEFORE UPDATE ON refund
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'session_id', 'entity_id', 'currency', 'kind', 'scope', 'amount_minor', 'reason',
        'asked_by', 'asked_at');
CREATE TRIGGER refund_moves BEFORE UPDATE ON refund
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'asked>approved', 'asked>refused', 'approved>issued', 'approved>refused');

-- What goes back at the processor, by payment: the net difference of a session's documents.
CREATE TABLE payment_refund (
    id                 text PRIMARY KEY,
    payment_id         text NOT NULL REFERENCES payment,
    refund_id          text REFERENCES refund,  -- none: late data, or a payment without a session
    entity_id          text NOT NULL,
    currency           text NOT NULL,
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    cause              text NOT NULL CHECK (cause IN ('adjustment', 'refund', 'suspense', 'topup')),
    state              text NOT NULL CHECK (state IN
                         ('waiting', 'sending', 'sent', 'done', 'failed', 'refused')),
    external_refund_id text UNIQUE,
    why                text,               -- 'dispute_open' of one that waits, the failure's reason
    created_at         timestamptz NOT NULL,
    settled_at         timestamptz
);
CREATE INDEX payment_refund_payment ON payment_refund (payment_id);
CREATE INDEX payment_refund_open ON payment_refund (created_at)
    WHERE state IN ('waiting', 'sending', 'sent', 'failed');
CREATE TRIGGER payment_refund_never_changed BEFORE UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'payment_id', 'refund_id', 'entity_id', 'currency', 'amount_minor', 'cause',
        'created_at');
CREATE TRIGGER payment_refund_set_once BEFORE UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION set_once('external_refund_id');
CREATE TRIGGER payment_refund_moves BEFORE UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'waiting>sending', 'waiting>refused', 'sending>sent', 'sending>done', 'sending>refused',
        'sending>failed', 'sent>done', 'sent>failed', 'done>failed');
-- No payment gives back more than it took.
CREATE FUNCTION payment_refund_fits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken bigint;
    back bigint;
    entity text;
BEGIN
    SELECT captured_minor, entity_id INTO taken, entity FROM payment
     WHERE id = NEW.payment_id FOR UPDATE;
    SELECT COALESCE(sum(amount_minor), 0) INTO back FROM payment_refund
     WHERE payment_id = NEW.payment_id AND id <> NEW.id AND state NOT IN ('failed', 'refused');
    IF NEW.state NOT IN ('failed', 'refused') AND back + NEW.amount_minor > taken THEN
        RAISE EXCEPTION 'payment % took %, of which % goes back already: not another %',
            NEW.payment_id, taken, back, NEW.amount_minor USING ERRCODE = 'check_violation';
    END IF;
    IF entity <> NEW.entity_id THEN
        RAISE EXCEPTION 'payment % is another legal entity''s', NEW.payment_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_refund_fits BEFORE INSERT OR UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION payment_refund_fits();

-- A dispute as the processor last said it. An inquiry moves no money.
CREATE TABLE dispute (
    id              text PRIMARY KEY,      -- du_…
    processor_id    text NOT NULL,
    entity_id       text NOT NULL,
    payment_id      text REFERENCES payment,
    session_id      text REFERENCES session,
    currency        text NOT NULL,
    amount_minor    bigint NOT NULL,
    reason          text NOT NULL,
    status          text NOT NULL,         -- the processor's own word
    inquiry         boolean NOT NULL,
    evidence_due_at timestamptz,
    evidence        jsonb,                 -- what was put together for it
    submitted_at    timestamptz,
    opened_at       timestamptz NOT NULL,
    closed_at       timestamptz,
    seen_at         timestamptz NOT NULL
);
CREATE INDEX dispute_open ON dispute (evidence_due_at) WHERE closed_at IS NULL;
CREATE INDEX dispute_payment ON dispute (payment_id);
CREATE TRIGGER dispute_never_changed BEFORE UPDATE ON dispute
    FOR EACH ROW EXECUTE FUNCTION never_changed('id', 'processor_id', 'entity_id', 'currency',
                                                'opened_at');
CREATE TRIGGER dispute_set_once BEFORE UPDATE ON dispute
    FOR EACH ROW EXECUTE FUNCTION set_once('payment_id', 'session_id', 'submitted_at', 'closed_at');

CREATE TABLE fraud_warning (
    id           text PRIMARY KEY,         -- issfr_…
    processor_id text NOT NULL,
    entity_id    text NOT NULL,
    payment_id   text REFERENCES payment,
    session_id   text REFERENCES session,
    fraud_type   text NOT NULL,
    actionable   boolean NOT NULL,
    created_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL
);
CREATE TRIGGER fraud_warning_never_changed BEFORE UPDATE ON fraud_warning
    FOR EACH ROW EXECUTE FUNCTION never_changed('id', 'processor_id', 'entity_id', 'payment_id',
                                                'created_at');

GRANT SELECT, INSERT ON refund, payment_refund, dispute, fraud_warning TO wattledger_app;
GRANT UPDATE (state, decided_by, decided_at, why, charge_id) ON refund TO wattledger_app;
GRANT UPDATE (state, external_refund_id, why, settled_at) ON payment_refund TO wattledger_app;
GRANT UPDATE (payment_id, session_id, amount_minor, reason, status, inquiry, evidence_due_at,
              evidence, submitted_at, closed_at, seen_at) ON dispute TO wattledger_app;
GRANT UPDATE (fraud_type, actionable, seen_at) ON fraud_warning TO wattledger_app;
GRANT SELECT ON refund, payment_refund, dispute, fraud_warning TO wattledger_reader;

-- Charges, how they are collected, and what the processor says became of the money.

-- An issued document. It is never changed: a correction is a credit and a new charge.
CREATE TABLE charge (
    id             text PRIMARY KEY,
    session_id     text NOT NULL REFERENCES session,
    revision       integer NOT NULL DEFAULT 1,
    entity_id      text NOT NULL,
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    net_minor      bigint NOT NULL,
    tax_minor      bigint NOT NULL,
    total_minor    bigint NOT NULL,
    energy_wh      bigint NOT NULL,
    supply_ended_at timestamptz NOT NULL,
    site_date      date NOT NULL,          -- the site's day: tax
    entity_date    date NOT NULL,          -- the legal entity's day: period
    issued_at      timestamptz NOT NULL,
    tariff_digest  text NOT NULL REFERENCES config_version,
    document       bytea NOT NULL,         -- the canonical bytes of rating's Charge
    document_digest text NOT NULL,
    UNIQUE (session_id, revision),         -- a session is charged once; a revision is another document
    CHECK (net_minor + tax_minor = total_minor)
);
CREATE INDEX charge_issued ON charge (issued_at DESC);
-- A document as JSON; NULL where it is none, so that a proof can say so instead of failing.
CREATE FUNCTION document_json(document bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(document, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;
CREATE TRIGGER charge_append_only BEFORE UPDATE OR DELETE ON charge
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER charge_no_truncate BEFORE TRUNCATE ON charge
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- A payment at a processor: one hold, at most one capture. Two entities never share one.
CREATE TABLE payment (
    id            text PRIMARY KEY,
    session_id    text NOT NULL REFERENCES session,
    entity_id     text NOT NULL,
    processor_id  text NOT NULL,
    currency      text NOT NULL,
    hold_minor    bigint NOT NULL CHECK (hold_minor > 0),
    state         text NOT NULL CHECK (state IN
                    ('holding', 'held', 'declined', 'capturing', 'captured', 'releasing', 'released')),
    intent_id     text UNIQUE,             -- the processor's ids; unique so that none is used twice
    external_charge_id text UNIQUE,
    capture_before timestamptz,
    captured_minor bigint NOT NULL DEFAULT 0,
    decline_code  text,
    UNIQUE (session_id),
    CHECK (captured_minor BETWEEN 0 AND hold_minor)
);

CREATE TRIGGER payment_never_changed BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'session_id', 'entity_id', 'processor_id', 'currency', 'hold_minor');
CREATE TRIGGER payment_set_once BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION set_once('intent_id', 'external_charge_id');
CREATE TRIGGER payment_moves BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'holding>held', 'holding>declined', 'held>capturing', 'held>releasing',
        'capturing>captured', 'capturing>released', 'capturing>releasing',
        'releasing>released');
-- What was captured is said by the answer to the capture, and by nothing else.
CREATE FUNCTION payment_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.captured_minor <> OLD.captured_minor
       AND NOT (OLD.state = 'capturing' AND NEW.state = 'captured') THEN
        RAISE EXCEPTION 'payment %: captured_minor is set by its capture', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_captured BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION payment_captured();

-- Where each charge's money stands: its parts always sum to the charge.
CREATE TABLE collection (
    charge_id    text NOT NULL REFERENCES charge,
    part         integer NOT NULL,
    entity_id    text NOT NULL,
    state        text NOT NULL CHECK (state IN
                   ('pending', 'captured', 'invoiced', 'external', 'wallet', 'roaming', 'waived', 'debt')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    payment_id   text REFERENCES payment,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (charge_id, part)
);
CREATE INDEX collection_payment ON collection (payment_id);
CREATE INDEX collection_state ON collection (state) WHERE state IN ('pending', 'debt');

CREATE FUNCTION collection_sums() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_charge text := COALESCE(NEW.charge_id, OLD.charge_id);
    parts bigint;
    whole bigint;
    foreign_entity boolean;
    never_taken boolean;
BEGIN
    SELECT COALESCE(sum(amount_minor), 0) INTO parts FROM collection WHERE charge_id = of_charge;
    SELECT total_minor INTO whole FROM charge WHERE id = of_charge;
    SELECT EXISTS (SELECT FROM collection c JOIN charge g ON g.id = c.charge_id
                   LEFT JOIN payment p ON p.id = c.payment_id
                   WHERE c.charge_id = of_charge
                     AND (c.entity_id <> g.entity_id OR p.entity_id <> g.entity_id))
        INTO foreign_entity;
    IF parts <> whole THEN
        RAISE EXCEPTION 'the parts of charge % sum to %, the charge is %', of_charge, parts, whole
            USING ERRCODE = 'check_violation';
    END IF;
    IF foreign_entity THEN
        RAISE EXCEPTION 'charge % is collected by another legal entity', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT EXISTS (SELECT FROM collection c LEFT JOIN payment p ON p.id = c.payment_id
                   WHERE c.charge_id = of_charge AND c.state = 'captured'
                     AND p.state IS DISTINCT FROM 'captured')
        INTO never_taken;
    IF never_taken THEN
        RAISE EXCEPTION 'a part of charge % is captured, its payment is not', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER collection_sums_to_charge AFTER INSERT OR UPDATE OR DELETE ON collection
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION collection_sums();

-- Only what is pending may still become something else, be split, or make room for what it is.
CREATE TRIGGER collection_never_changed BEFORE UPDATE ON collection
    FOR EACH ROW EXECUTE FUNCTION never_changed('charge_id', 'part', 'entity_id', 'payment_id');
CREATE TRIGGER collection_moves BEFORE UPDATE ON collection
    FOR EACH ROW EXECUTE FUNCTION state_moves('pending>captured', 'pending>waived', 'pending>debt');
CREATE FUNCTION collection_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'part % of charge % is %, and that is final', OLD.part, OLD.charge_id, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER collection_final BEFORE UPDATE OR DELETE ON collection
    FOR EACH ROW WHEN (OLD.state <> 'pending') EXECUTE FUNCTION collection_final();

-- The processor's own lines (Stripe: balance transactions). They alone move money in the ledger.
CREATE TABLE processor_item (
    id                 text PRIMARY KEY,   -- txn_…
    processor_id       text NOT NULL,
    entity_id          text NOT NULL,
    category           text NOT NULL,      -- Stripe's reporting_category
    currency           text NOT NULL,
    amount_minor       bigint NOT NULL,
    fee_minor          bigint NOT NULL,
    net_minor          bigint NOT NULL,
    external_charge_id text,
    payment_id         text REFERENCES payment,
    payout_id          text,
    created_at         timestamptz NOT NULL,
    available_at       timestamptz NOT NULL,
    read_at            timestamptz NOT NULL,
    CHECK (amount_minor - fee_minor = net_minor)
);
CREATE INDEX processor_item_payment ON processor_item (payment_id);
CREATE INDEX processor_item_payout ON processor_item (payout_id);

-- Which payout it came in is learned later, once; the rest of a line is never changed.
CREATE TRIGGER processor_item_never_changed BEFORE UPDATE ON processor_item
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'processor_id', 'entity_id', 'category', 'currency', 'amount_minor', 'fee_minor',
        'net_minor', 'external_charge_id', 'payment_id', 'created_at', 'available_at', 'read_at');
CREATE TRIGGER processor_item_set_once BEFORE UPDATE ON processor_item
    FOR EACH ROW EXECUTE FUNCTION set_once('payout_id');

CREATE TABLE payout (
    id            text PRIMARY KEY,        -- po_…
    processor_id  text NOT NULL,
    entity_id     text NOT NULL,
    currency      text NOT NULL,
    amount_minor  bigint NOT NULL,
    status        text NOT NULL,
    arrival_date  date NOT NULL,
    items_read    boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL
);

CREATE TRIGGER payout_never_changed BEFORE UPDATE ON payout
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'processor_id', 'entity_id', 'currency', 'amount_minor', 'created_at');

-- Sessions the operator's own system has already taken the money for.
CREATE TABLE external_payment (
    session_id   text PRIMARY KEY REFERENCES session,
    entity_id    text NOT NULL,
    reference    text NOT NULL,
    amount_minor bigint NOT NULL,
    currency     text NOT NULL,
    UNIQUE (entity_id, reference)          -- one payment pays one session
);

GRANT SELECT, INSERT ON charge, processor_item, external_payment TO wattledger_app;
GRANT UPDATE (payout_id) ON processor_item TO wattledger_app;
GRANT SELECT, INSERT ON payment, collection, payout TO wattledger_app;
GRANT UPDATE (state, intent_id, external_charge_id, capture_before, captured_minor, decline_code)
    ON payment TO wattledger_app;
GRANT UPDATE (state, amount_minor, changed_at) ON collection TO wattledger_app;
GRANT UPDATE (status, arrival_date, items_read) ON payout TO wattledger_app;
GRANT DELETE ON collection TO wattledger_app;
GRANT SELECT ON charge, payment, collection, processor_item, payout, external_payment
    TO wattledger_reader;

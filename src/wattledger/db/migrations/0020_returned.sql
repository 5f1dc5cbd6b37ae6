-- What a line of the processor is about beyond its charge, and refunds that end otherwise.

-- The processor's object behind a line (re_…, du_…, po_…), and the refund of ours that it is.
ALTER TABLE processor_item
    ADD COLUMN source            text,
    ADD COLUMN payment_refund_id text REFERENCES payment_refund;
CREATE INDEX processor_item_source ON processor_item (source) WHERE source IS NOT NULL;
CREATE INDEX processor_item_refund ON processor_item (payment_refund_id)
    WHERE payment_refund_id IS NOT NULL;
DROP TRIGGER processor_item_never_changed ON processor_item;
CREATE TRIGGER processor_item_never_changed BEFORE UPDATE ON processor_item
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'processor_id', 'entity_id', 'category', 'currency', 'amount_minor', 'fee_minor',
        'net_minor', 'external_charge_id', 'payment_id', 'created_at', 'available_at', 'read_at',
        'source', 'payment_refund_id');
CREATE FUNCTION item_refund_entity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM payment_refund r WHERE r.id = NEW.payment_refund_id
        AND r.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION 'item % is of entity %, its refund is another''s', NEW.id, NEW.entity_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER item_refund_entity BEFORE INSERT ON processor_item
    FOR EACH ROW WHEN (NEW.payment_refund_id IS NOT NULL) EXECUTE FUNCTION item_refund_entity();

-- One payment may pay the debts of several sessions: what goes back of it is one session's.
ALTER TABLE payment_refund ADD COLUMN session_id text REFERENCES session;
ALTER TABLE payment_refund ADD CONSTRAINT payment_refund_of_session
    CHECK ((cause IN ('adjustment', 'refund')) = (session_id IS NOT NULL));
CREATE INDEX payment_refund_session ON payment_refund (session_id);
DROP TRIGGER payment_refund_never_changed ON payment_refund;
CREATE TRIGGER payment_refund_never_changed BEFORE UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION never_changed(
        'id', 'payment_id', 'refund_id', 'session_id', 'entity_id', 'currency', 'amount_minor',
        'cause', 'created_at');

-- otherwise: the card did not get it, and its driver did: by a dispute that was lost, or by hand.
ALTER TABLE payment_refund DROP CONSTRAINT payment_refund_state_check;
ALTER TABLE payment_refund ADD CONSTRAINT payment_refund_state_check CHECK (state IN
    ('waiting', 'sending', 'sent', 'done', 'failed', 'refused', 'otherwise'));
DROP TRIGGER payment_refund_moves ON payment_refund;
CREATE TRIGGER payment_refund_moves BEFORE UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'waiting>sending', 'waiting>refused', 'waiting>otherwise', 'sending>sent', 'sending>done',
        'sending>refused', 'sending>failed', 'sent>done', 'sent>failed', 'done>failed',
        'failed>otherwise', 'refused>otherwise');

-- While money of a payment is disputed, none of it is refunded: it would be paid twice.
CREATE FUNCTION payment_refund_undisputed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM dispute d WHERE d.payment_id = NEW.payment_id AND d.closed_at IS NULL
        AND NOT d.inquiry;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % is disputed: nothing of it is refunded meanwhile',
            NEW.payment_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_refund_undisputed BEFORE INSERT OR UPDATE OF state ON payment_refund
    FOR EACH ROW WHEN (NEW.state = 'sending') EXECUTE FUNCTION payment_refund_undisputed();

-- A dispute or a warning is of its payment's legal entity and session.
CREATE FUNCTION same_entity_as_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM payment p WHERE p.id = NEW.payment_id AND p.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION '% is of entity %, its payment is another''s', NEW.id, NEW.entity_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dispute_entity BEFORE INSERT OR UPDATE OF payment_id ON dispute
    FOR EACH ROW WHEN (NEW.payment_id IS NOT NULL) EXECUTE FUNCTION same_entity_as_payment();
CREATE TRIGGER fraud_warning_entity BEFORE INSERT ON fraud_warning
    FOR EACH ROW WHEN (NEW.payment_id IS NOT NULL) EXECUTE FUNCTION same_entity_as_payment();

-- A refund is of its session's legal entity.
CREATE FUNCTION refund_entity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM session s WHERE s.id = NEW.session_id AND s.entity_id <> NEW.entity_id;
    IF FOUND THEN
        RAISE EXCEPTION 'refund % is of entity %, its session is another''s', NEW.id, NEW.entity_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_entity BEFORE INSERT ON refund
    FOR EACH ROW EXECUTE FUNCTION refund_entity();

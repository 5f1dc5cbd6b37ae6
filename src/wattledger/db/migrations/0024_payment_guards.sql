-- What a bug could still have written of payments, debts and refunds: rows that begin where only a
-- way through states leads, and money back that is another payment's, session's or currency's.

-- A payment begins with nothing taken; a debt begins open; a refund begins undecided or approved.
CREATE FUNCTION begins_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a % does not begin as %', TG_TABLE_NAME, NEW.state
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER payment_begins BEFORE INSERT ON payment FOR EACH ROW
    WHEN (NEW.state NOT IN ('waiting', 'holding', 'charging', 'parked') OR NEW.captured_minor <> 0)
    EXECUTE FUNCTION begins_late();
CREATE TRIGGER debt_begins BEFORE INSERT ON debt FOR EACH ROW
    WHEN (NEW.state <> 'open') EXECUTE FUNCTION begins_late();
CREATE TRIGGER refund_begins BEFORE INSERT ON refund FOR EACH ROW
    WHEN (NEW.state NOT IN ('asked', 'approved')) EXECUTE FUNCTION begins_late();

-- What a payment would have sent is written when it is parked, and read when a person lets it.
CREATE FUNCTION payment_parked_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'payment %: what it would send is written when it is parked', OLD.id
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER payment_parked_once BEFORE UPDATE OF parked ON payment FOR EACH ROW
    WHEN (NEW.parked IS DISTINCT FROM OLD.parked
          AND NOT (NEW.state = 'parked' AND OLD.state <> 'parked'))
    EXECUTE FUNCTION payment_parked_once();

-- How much is authorized is learnt while there is a hold, and never less than what was taken of it.
CREATE FUNCTION payment_authorized() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'payment % is %: % can not be authorized of it', OLD.id, OLD.state,
        NEW.authorized_minor USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER payment_authorized BEFORE UPDATE OF authorized_minor ON payment FOR EACH ROW
    WHEN (NEW.authorized_minor IS DISTINCT FROM OLD.authorized_minor
          AND (OLD.state NOT IN ('waiting', 'holding', 'held')
               OR COALESCE(NEW.authorized_minor, 0) < NEW.captured_minor))
    EXECUTE FUNCTION payment_authorized();

-- A refund is issued by a credit of its own session.
CREATE FUNCTION refund_by_credit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM charge c WHERE c.id = NEW.charge_id AND c.kind = 'credit'
        AND c.session_id = NEW.session_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'refund %: % is no credit of its session', NEW.id, NEW.charge_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_by_credit BEFORE INSERT OR UPDATE OF charge_id ON refund FOR EACH ROW
    WHEN (NEW.charge_id IS NOT NULL) EXECUTE FUNCTION refund_by_credit();

-- What goes back of a payment is in its currency, and for a session that it has paid for: its own,
-- or one whose debt it collected.
CREATE FUNCTION payment_refund_belongs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    paid payment;
BEGIN
    SELECT * INTO paid FROM payment WHERE id = NEW.payment_id;
    IF paid.currency <> NEW.currency THEN
        RAISE EXCEPTION 'payment % is in %, not in %', paid.id, paid.currency, NEW.currency
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.session_id IS NOT NULL AND NEW.session_id IS DISTINCT FROM paid.session_id THEN
        PERFORM FROM charge c JOIN collection k ON k.charge_id = c.id
         WHERE c.session_id = NEW.session_id AND k.payment_id = paid.id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'payment % has paid nothing of session %', paid.id, NEW.session_id
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    IF NEW.refund_id IS NOT NULL THEN
        PERFORM FROM refund r WHERE r.id = NEW.refund_id AND r.session_id = NEW.session_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'refund % is not of session %', NEW.refund_id, NEW.session_id
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_refund_belongs BEFORE INSERT ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION payment_refund_belongs();

-- One that was refused for a dispute is sent when that is won.
DROP TRIGGER payment_refund_moves ON payment_refund;
CREATE TRIGGER payment_refund_moves BEFORE UPDATE ON payment_refund
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'waiting>sending', 'waiting>refused', 'waiting>otherwise', 'sending>sent', 'sending>done',
        'sending>refused', 'sending>failed', 'sent>done', 'sent>failed', 'done>failed',
        'failed>otherwise', 'refused>otherwise', 'refused>sending');

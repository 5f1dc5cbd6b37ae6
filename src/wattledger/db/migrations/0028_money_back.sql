-- Money that went back past us: of one payment that several sessions were paid by, of a wallet's
-- top-up that sessions have used up, of a payment at a vendor's terminal.

-- One refund at the processor may be of several sessions of its payment, and of no other payment.
ALTER TABLE payment_refund DROP CONSTRAINT payment_refund_external_refund_id_key;
CREATE UNIQUE INDEX payment_refund_external
    ON payment_refund (external_refund_id, (COALESCE(session_id, '')));
CREATE FUNCTION payment_refund_of_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM payment_refund r WHERE r.external_refund_id = NEW.external_refund_id
        AND r.payment_id <> NEW.payment_id;
    IF FOUND THEN
        RAISE EXCEPTION 'refund % is of another payment than %', NEW.external_refund_id,
            NEW.payment_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_refund_of_one BEFORE INSERT OR UPDATE OF external_refund_id
    ON payment_refund FOR EACH ROW WHEN (NEW.external_refund_id IS NOT NULL)
    EXECUTE FUNCTION payment_refund_of_one();

-- What a wallet, or a terminal's vendor, has paid may be taken back: the part is lessened, down to
-- nothing, and other parts say who owes it now. A wallet that is filled pays what its account owes.
ALTER TABLE collection DROP CONSTRAINT collection_amount_minor_check;
ALTER TABLE collection ADD CONSTRAINT collection_amount_minor_check
    CHECK (amount_minor <> 0 OR state IN ('wallet', 'external'));
CREATE FUNCTION collection_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'part % of % begins with nothing', NEW.part, NEW.charge_id
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER collection_begins BEFORE INSERT ON collection FOR EACH ROW
    WHEN (NEW.amount_minor = 0 AND NEW.state IN ('wallet', 'external'))
    EXECUTE FUNCTION collection_begins();
DROP TRIGGER collection_moves ON collection;
CREATE TRIGGER collection_moves BEFORE UPDATE ON collection
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'pending>captured', 'pending>waived', 'pending>debt', 'pending>external',
        'debt>captured', 'debt>waived', 'debt>wallet');
CREATE OR REPLACE FUNCTION collection_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state = 'debt' AND NEW.amount_minor = OLD.amount_minor
       AND NEW.state IN ('captured', 'waived', 'wallet') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state IN ('wallet', 'external') AND NEW.state = OLD.state
       AND NEW.payment_id IS NOT DISTINCT FROM OLD.payment_id
       AND NEW.amount_minor >= 0 AND NEW.amount_minor < OLD.amount_minor THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'part % of charge % is %, and that is final', OLD.part, OLD.charge_id, OLD.state
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION check_parts(of_charge text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    doc charge;
    parts bigint;
BEGIN
    SELECT * INTO doc FROM charge WHERE id = of_charge;
    SELECT COALESCE(sum(amount_minor), 0) INTO parts FROM collection WHERE charge_id = of_charge;
    IF parts <> doc.total_minor THEN
        RAISE EXCEPTION 'the parts of charge % sum to %, the charge is %',
            of_charge, parts, doc.total_minor USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM collection c LEFT JOIN payment p ON p.id = c.payment_id
      WHERE c.charge_id = of_charge
        AND (c.entity_id <> doc.entity_id OR p.entity_id <> doc.entity_id);
    IF FOUND THEN
        RAISE EXCEPTION 'charge % is collected by another legal entity', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM collection c LEFT JOIN payment p ON p.id = c.payment_id
      WHERE c.charge_id = of_charge AND c.state = 'captured'
        AND p.state IS DISTINCT FROM 'captured';
    IF FOUND THEN
        RAISE EXCEPTION 'a part of charge % is captured, its payment is not', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM FROM collection
      WHERE charge_id = of_charge AND amount_minor <> 0
        AND (amount_minor > 0) <> (doc.kind = 'charge');
    IF FOUND THEN
        RAISE EXCEPTION 'a part of % has the sign of another kind of document', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    -- A credit takes back the parts of its charge one by one, but what was captured.
    PERFORM FROM (
        SELECT CASE WHEN c.state = 'captured' THEN 'refund_due' ELSE c.state END AS state,
               c.payment_id, c.amount_minor
          FROM collection c WHERE c.charge_id = doc.reverses
        UNION ALL
        SELECT CASE WHEN c.state IN ('captured', 'pending') THEN 'none' ELSE c.state END,
               c.payment_id, c.amount_minor
          FROM collection c WHERE c.charge_id = of_charge AND doc.kind = 'credit') pair
     GROUP BY pair.state, pair.payment_id HAVING sum(pair.amount_minor) <> 0;
    IF FOUND THEN
        RAISE EXCEPTION 'credit % does not take back what charge % is collected by',
            of_charge, doc.reverses USING ERRCODE = 'check_violation';
    END IF;
    -- No payment gives back more than it took, and none pays for more than it is to give back.
    PERFORM FROM payment p JOIN collection c ON c.payment_id = p.id AND c.state = 'refund_due'
      WHERE p.id IN (SELECT payment_id FROM collection WHERE charge_id = of_charge)
      GROUP BY p.id HAVING sum(c.amount_minor) NOT BETWEEN -p.captured_minor AND 0;
    IF FOUND THEN
        RAISE EXCEPTION 'what % makes due back is not what its payment captured', of_charge
            USING ERRCODE = 'check_violation';
    END IF;
    -- Of a charge that is credited nothing is taken back that its credit does not know of.
    PERFORM check_parts(r.id) FROM charge r WHERE r.reverses = of_charge;
END $$;

-- A vendor's payment whose money went back: it pays for nothing, whatever had been settled. What
-- was kept in suspense may find its session later, or be given back.
ALTER TABLE terminal_payment ADD COLUMN reversed_at timestamptz;
GRANT UPDATE (reversed_at) ON terminal_payment TO wattledger_app;
DROP TRIGGER terminal_payment_set_once ON terminal_payment;
CREATE TRIGGER terminal_payment_set_once BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION set_once(
        'payment_id', 'settled_minor', 'settled_at', 'transaction_ref', 'reversed_at');
DROP TRIGGER terminal_payment_moves ON terminal_payment;
CREATE TRIGGER terminal_payment_moves BEFORE UPDATE ON terminal_payment
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'open>matched', 'open>suspense', 'open>returned', 'suspense>matched', 'suspense>open',
        'suspense>returned', 'suspense>kept', 'matched>open', 'matched>returned', 'kept>matched',
        'kept>returned');
CREATE OR REPLACE FUNCTION terminal_payment_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.session_id IS NOT NULL OR OLD.payment_id IS NOT NULL
       OR (OLD.settled_minor IS NOT NULL AND NEW.reversed_at IS NULL)
    THEN
        RAISE EXCEPTION 'terminal payment % is for session %, and stays so', OLD.id, OLD.session_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION terminal_payment_reversed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'terminal payment % was reversed: it pays for nothing', OLD.id
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER terminal_payment_reversed BEFORE UPDATE ON terminal_payment FOR EACH ROW
    WHEN (OLD.reversed_at IS NOT NULL AND NEW.session_id IS NOT NULL
          AND NEW.session_id IS DISTINCT FROM OLD.session_id)
    EXECUTE FUNCTION terminal_payment_reversed();

-- A debt that was paid was so by a card, or by its wallet.
CREATE OR REPLACE FUNCTION debt_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_charge text := NEW.charge_id;
    of_part integer := NEW.part;
    said debt;
    stands text;
BEGIN
    SELECT * INTO said FROM debt WHERE charge_id = of_charge AND part = of_part;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT state INTO stands FROM collection WHERE charge_id = of_charge AND part = of_part;
    IF stands IS DISTINCT FROM (CASE said.state WHEN 'paid' THEN 'captured'
                                               WHEN 'written_off' THEN 'waived' ELSE 'debt' END)
       AND NOT (stands IS NOT DISTINCT FROM 'wallet' AND said.state = 'paid') THEN
        RAISE EXCEPTION 'the debt of part % of charge % is %, the part is %',
            of_part, of_charge, said.state, stands USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

-- A function that is replaced loses its settings: as before (0027).
ALTER FUNCTION check_parts(text) SET enable_seqscan = off;

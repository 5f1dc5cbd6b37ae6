-- Money that went back past us, of one payment that several sessions were paid by.

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

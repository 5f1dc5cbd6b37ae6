-- What a payment above a bound would have sent: kept until a person lets it, or refuses it.

ALTER TABLE payment ADD COLUMN parked jsonb;
ALTER TABLE payment ADD CONSTRAINT payment_parked
    CHECK (state <> 'parked' OR (parked IS NOT NULL AND parked_why IS NOT NULL));
-- Asked for, and parked before it was sent.
DROP TRIGGER payment_moves ON payment;
CREATE TRIGGER payment_moves BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'waiting>holding', 'waiting>held', 'waiting>declined', 'waiting>releasing',
        'waiting>released',
        'holding>held', 'holding>declined', 'holding>waiting', 'holding>parked',
        'held>capturing', 'held>releasing', 'held>released', 'held>parked',
        'capturing>captured', 'capturing>released', 'capturing>releasing',
        'releasing>released', 'releasing>captured',
        'charging>captured', 'charging>declined', 'charging>parked',
        'parked>holding', 'parked>charging', 'parked>capturing', 'parked>releasing',
        'parked>released', 'parked>declined');
-- What may be collected again, by whom it is owed.
CREATE INDEX payment_of_leg ON payment (session_id, leg);

-- Parts that were owed before there were debts get theirs: owed by nobody's payment, so that another
-- can pay them.
ALTER TABLE collection DISABLE TRIGGER USER;
UPDATE collection SET payment_id = NULL WHERE state = 'debt' AND payment_id IS NOT NULL;
ALTER TABLE collection ENABLE TRIGGER USER;
INSERT INTO debt (charge_id, part, session_id, entity_id, account_id, token, currency,
                  amount_minor, why, state, opened_at, closed_at)
SELECT k.charge_id, k.part, s.id, k.entity_id, s.account_id, s.token, c.currency, k.amount_minor,
       'unpaid', CASE WHEN r.id IS NULL THEN 'open' ELSE 'credited' END, k.changed_at, r.issued_at
  FROM collection k JOIN charge c ON c.id = k.charge_id JOIN session s ON s.id = c.session_id
  LEFT JOIN charge r ON r.reverses = c.id
 WHERE k.state = 'debt' AND k.amount_minor > 0;

-- A debt is closed by what its part says, and a part that was owed by what its debt says.
CREATE FUNCTION debt_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
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
                                               WHEN 'written_off' THEN 'waived' ELSE 'debt' END) THEN
        RAISE EXCEPTION 'the debt of part % of charge % is %, the part is %',
            of_part, of_charge, said.state, stands USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER debt_agrees AFTER INSERT OR UPDATE ON debt
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION debt_agrees();
CREATE CONSTRAINT TRIGGER collection_agrees AFTER UPDATE ON collection
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION debt_agrees();

GRANT UPDATE (parked) ON payment TO wattledger_app;

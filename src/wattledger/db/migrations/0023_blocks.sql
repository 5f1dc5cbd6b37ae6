-- A guest has no account, and a token for one start alone: a guest is blocked by the card.

ALTER TABLE token_block ADD COLUMN driver text;   -- a guest's card, as the processor names it
ALTER TABLE token_block DROP CONSTRAINT token_block_check;
ALTER TABLE token_block ADD CONSTRAINT token_block_of_one
    CHECK (num_nonnulls(account_id, token, driver) = 1);
CREATE INDEX token_block_driver ON token_block (driver, id) WHERE driver IS NOT NULL;
-- Holds without a session, of which each night says whether a start still waits for them.
CREATE INDEX payment_without_session ON payment (created_at)
    WHERE session_id IS NULL AND leg = 'hold'
      AND state IN ('waiting', 'holding', 'held', 'parked');

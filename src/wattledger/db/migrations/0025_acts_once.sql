-- The key of a request is kept with the act that it asked for, in the act's own transaction: an
-- actor does it once under a key, whatever becomes of the answer.

CREATE UNIQUE INDEX money_act_once ON money_act (actor, (detail->>'key'))
    WHERE detail->>'key' IS NOT NULL;

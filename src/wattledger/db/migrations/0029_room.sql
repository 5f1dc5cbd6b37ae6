-- Starts that anybody may ask for: whose page is still open, and how many were never paid.

-- While its page is open a start keeps its connector; once that is over the next driver has it.
ALTER TABLE start_request ADD COLUMN kept_until timestamptz;
CREATE INDEX start_request_recent ON start_request (charge_point_id, asked_at);
GRANT UPDATE (kept_until) ON start_request TO wattledger_app;

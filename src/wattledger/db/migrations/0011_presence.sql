-- Which charge points are connected, since when, where and how; their heartbeats, counted.

ALTER TABLE charge_point_state
    ADD COLUMN protocol     text,          -- WebSocket subprotocol of its last connection
    ADD COLUMN connected_at timestamptz,   -- when that one was opened
    ADD COLUMN gateway      text,          -- the process that holds it: host and port
    ADD COLUMN heartbeats   bigint NOT NULL DEFAULT 0,
    ADD COLUMN heartbeat_at timestamptz;
-- A gateway that starts again says of its own charge points that they are gone.
CREATE INDEX charge_point_gateway ON charge_point_state (gateway) WHERE connected;

GRANT UPDATE (protocol, connected_at, gateway, heartbeats, heartbeat_at) ON charge_point_state
    TO wattledger_app;

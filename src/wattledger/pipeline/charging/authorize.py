"""Step authorize: the decision, and its record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from wattledger.contract import Decision
from wattledger.db.effects import Conn
from wattledger.db.work import Transaction
from wattledger.entitlements import Paid, Snapshot, at_terminal, decide
from wattledger.ingest.journal import Journal
from wattledger.payments import starts_store
from wattledger.pipeline.world import World


async def authorize(
    world: World,
    token: str,
    charge_point_id: str,
    *,
    kind: str = "authorize",
    log: Journal | None = None,
    now: datetime | None = None,
    token_type: str = "",
) -> Decision:
    """Decide from memory and log the decision with its inputs; ``now`` is when it was asked.

    With ``log`` the record goes with the next batch of the journal, and the answer does not wait
    for the database: it is the guarantee of the Authorize frame itself. Once the journal is full,
    since the database is away, nobody is let in without a record: it waits.
    """
    now = now or world.now
    snapshot = await world.snapshot(now)
    paid = await payer_of(world, snapshot, token, charge_point_id, token_type)
    decision = decide(snapshot, token, charge_point_id, now, paid=paid, blocks=world.blocks)
    if log is not None:
        await log.put_decision(decision, charge_point_id, kind)
        return decision
    async with world.work.transaction("authorize", now=now) as tx:
        await record(tx, decision, charge_point_id, kind)
    return decision


async def payer_of(
    world: World, snapshot: Snapshot, token: str, charge_point_id: str, token_type: str
) -> Paid | None:
    """``payer``, for whoever has no connection in hand."""
    if not starts_store.is_ours(token):  # most are not, and nothing is asked of the database
        return at_terminal(snapshot, token, charge_point_id, token_type)
    async with world.work.pool.connection() as conn:
        return await payer(conn, snapshot, token, charge_point_id, token_type)


async def payer(
    conn: Conn, snapshot: Snapshot, token: str, charge_point_id: str, token_type: str
) -> Paid | None:
    """Whose a token is, beside any account's: that of a start (a charge point may ask about it
    first), or of guests at a terminal."""
    start = await starts_store.of_token(conn, token)
    if start is None:
        return at_terminal(snapshot, token, charge_point_id, token_type)
    usable = start.charge_point_id == charge_point_id and start.state != "declined"
    return start.paid if usable else None


async def record(tx: Transaction, decision: Decision, charge_point_id: str, kind: str) -> int:
    """One row for each decision: what was asked, what was known, what came out. Its id."""
    inputs: dict[str, Any] = msgspec.to_builtins(decision)
    cursor = await tx.conn.execute(
        "INSERT INTO decision (decided_at, kind, charge_point_id, token, accepted, reason, inputs)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            decision.decided_at, kind, charge_point_id, decision.token, decision.accepted,
            decision.reason, Jsonb(inputs),
        ),
    )  # fmt: skip
    row = await cursor.fetchone()
    assert row is not None, "an insert that returns"
    return int(row["id"])

"""Step authorize: the decision, and its record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from wattledger.contract import Decision
from wattledger.db.work import Transaction
from wattledger.entitlements import decide
from wattledger.ingest.journal import Journal
from wattledger.pipeline.world import World


async def authorize(
    world: World,
    token: str,
    charge_point_id: str,
    *,
    kind: str = "authorize",
    log: Journal | None = None,
    now: datetime | None = None,
) -> Decision:
    """Decide from memory and log the decision with its inputs; ``now`` is when it was asked.

    With ``log`` the record goes with the next batch of the journal, and the answer does not wait
    for the database: it is the guarantee of the Authorize frame itself. Once the journal is full,
    since the database is away, nobody is let in without a record: it waits.
    """
    now = now or world.now
    decision = decide(await world.snapshot(now), token, charge_point_id, now)
    if log is not None:
        await log.put_decision(decision, charge_point_id, kind)
        return decision
    async with world.work.transaction("authorize", now=now) as tx:
        await record(tx, decision, charge_point_id, kind)
    return decision


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

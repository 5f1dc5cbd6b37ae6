"""Step authorize: the decision, and its record."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from wattledger.contract import Decision
from wattledger.db.work import Transaction
from wattledger.entitlements import decide
from wattledger.pipeline.world import World


async def authorize(
    world: World, token: str, charge_point_id: str, *, kind: str = "authorize"
) -> Decision:
    """Decide from memory and log the decision with its inputs."""
    now = world.now
    decision = decide(await world.snapshot(now), token, charge_point_id, now)
    async with world.work.transaction("authorize", now=now) as tx:
        await record(tx, decision, charge_point_id, kind)
    return decision


async def record(tx: Transaction, decision: Decision, charge_point_id: str, kind: str) -> None:
    """One row for each decision: what was asked, what was known, what came out."""
    inputs: dict[str, Any] = msgspec.to_builtins(decision)
    await tx.conn.execute(
        "INSERT INTO decision (decided_at, kind, charge_point_id, token, accepted, reason, inputs)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            decision.decided_at, kind, charge_point_id, decision.token, decision.accepted,
            decision.reason, Jsonb(inputs),
        ),
    )  # fmt: skip

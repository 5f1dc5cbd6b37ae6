"""Every decision is logged with what it was taken on."""

from __future__ import annotations

from datetime import UTC, datetime

from wattledger.contract import Reason
from wattledger.pipeline.charging.authorize import authorize
from wattledger.pipeline.world import World

NOW = datetime(2026, 11, 2, tzinfo=UTC)


async def test_accepted_and_refused_are_both_logged(world: World) -> None:
    assert (await authorize(world, "ACME-1", "D-1")).reason is Reason.ACCEPTED
    assert (await authorize(world, "LOST", "D-1", kind="api")).reason is Reason.BLOCKED
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT decided_at, kind, charge_point_id, token, accepted, reason, inputs"
            " FROM decision ORDER BY id"
        )
        rows = await cursor.fetchall()
    inputs = [row.pop("inputs") for row in rows]
    assert rows == [
        {"decided_at": NOW, "kind": "authorize", "charge_point_id": "D-1", "token": "ACME-1",
         "accepted": True, "reason": "accepted"},
        {"decided_at": NOW, "kind": "api", "charge_point_id": "D-1", "token": "LOST",
         "accepted": False, "reason": "blocked"},
    ]  # fmt: skip
    # 1 policies, 3 tariffs, 2 entities, 2 sites, 2 plans, 3 accounts, 2 processors, 1 target
    assert [(i["account_id"], i["plan_id"], i["known_seq"]) for i in inputs] == [
        ("acme", "fleet", 16), ("lost", "fleet", 16),
    ]  # fmt: skip

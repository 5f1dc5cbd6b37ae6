"""A remote start is decided first, counts once, and its session is found by what began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wattledger.clock import DrivenClock, utc_text
from wattledger.contract import Reason
from wattledger.db import effects
from wattledger.db.effects import Rejected
from wattledger.errors import Conflict, NotFound
from wattledger.pipeline import outcomes
from wattledger.pipeline.charging.remote_start import (
    START_LIFE,
    ask,
    remote_start,
    session_of,
    stop_session,
)
from wattledger.pipeline.charging.start import start
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import v16

T0 = datetime(2026, 11, 2, tzinfo=UTC)


async def _rows(world: World, query: str) -> list[dict[str, Any]]:
    async with world.work.pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def _look(world: World, command_id: str) -> dict[str, Any]:
    async with world.work.pool.connection() as conn:
        found = await commands.look(conn, command_id, world.now)
    assert found is not None
    return found


async def _begin(world: World, token: str, connector_id: int, said: datetime) -> str:
    message = v16.StartTransaction(connector_id, token, 0, utc_text(said))
    started = await start(world, "Y-1", message)
    assert started.session_id is not None
    return started.session_id


async def test_a_remote_start(world: World, clock: DrivenClock) -> None:
    before = await _begin(world, "Acme-1", 1, T0)
    await _begin(world, "Acme-1", 2, T0)
    for token, point, why in (
        ("NOBODY", "Y-1", Reason.UNKNOWN_TOKEN), ("LOST", "Y-1", Reason.BLOCKED),
        ("Acme-1", "X-1", Reason.UNKNOWN_LOCATION),
    ):  # fmt: skip
        refused = await remote_start(world, point, token, None, f"{token}@{point}")
        assert (refused.reason, refused.command_id) == (why, None)
    assert await _rows(world, "SELECT 1 FROM effect WHERE kind = 'ocpp.remote_start'") == []

    asked = await remote_start(world, "Y-1", "Acme-1", 1, "app-1")
    assert asked == await remote_start(world, "Y-1", "Acme-1", 1, "app-1"), "it counts once"
    with pytest.raises(Conflict, match="app-1"):
        await remote_start(world, "Y-1", "Acme-2", 1, "app-1")
    (effect,) = await _rows(
        world, "SELECT key, lane, request FROM effect WHERE kind = 'ocpp.remote_start'"
    )
    assert (effect["key"], effect["lane"]) == (asked.command_id, "cp:Y-1")
    request = effect["request"]
    assert datetime.fromisoformat(request["expires_at"]) == T0 + START_LIFE
    decided = await _rows(world, "SELECT accepted FROM decision WHERE kind = 'api' ORDER BY id")
    assert [row["accepted"] for row in decided] == [False, False, False, True]

    # Neither what ran before, nor another's session, nor one on the other connector is it.
    assert await session_of(world, request) is None
    await _begin(world, "Acme-2", 1, T0 + timedelta(seconds=1))
    await _begin(world, "Acme-1", 2, T0 + timedelta(seconds=2))
    assert await session_of(world, request) is None
    # A charge point whose clock is behind all the same.
    begun = await _begin(world, "ACME-1", 1, T0 - timedelta(hours=1))
    assert await session_of(world, request) == begun != before

    assert (await _look(world, effect["key"]))["state"] == "waiting"
    clock.advance(T0 + START_LIFE)
    assert (await _look(world, effect["key"]))["state"] == "expired"
    async with world.work.transaction("claim") as tx:
        (claimed,) = await effects.claim(
            tx.conn, worker=1, now=world.now, kinds=[], lanes=["cp:Y-1"], limit=1, lease_s=60
        )
    await outcomes.take(world, claimed, Rejected({"status": "Rejected", "code": "Rejected"}))
    found = await _look(world, effect["key"])
    assert (found["state"], found["answer"]["code"]) == ("refused", "Rejected")
    refusals = await _rows(world, "SELECT 1 FROM anomaly WHERE code = 'ocpp.remote_start.refused'")
    assert refusals == [], "who asked for it asks what became of it"


async def test_what_else_is_asked(world: World, clock: DrivenClock) -> None:
    session_id = await _begin(world, "Acme-1", 1, T0)
    first = await stop_session(world, "Y-1", session_id)
    assert first == await stop_session(world, "Y-1", session_id), "one is on its way"
    with pytest.raises(NotFound):
        await stop_session(world, "D-1", session_id)
    # Refused since the transaction is over: nothing that somebody has to look at.
    async with world.work.transaction("claim") as tx:
        (claimed,) = await effects.claim(
            tx.conn, worker=1, now=world.now, kinds=[], lanes=["cp:Y-1"], limit=1, lease_s=60
        )
        await tx.conn.execute("UPDATE session SET state = 'held', held_reason = 'x'"
                              " WHERE id = %s", (session_id,))  # fmt: skip
    await outcomes.take(world, claimed, Rejected({"code": "Rejected"}))
    assert await _rows(world, "SELECT 1 FROM anomaly WHERE code LIKE '%refused'") == []
    with pytest.raises(Conflict, match="held"):
        await stop_session(world, "Y-1", session_id)

    one = await ask(world, "Y-1", "clear_cache", {}, "r")
    assert one == await ask(world, "Y-1", "clear_cache", {}, "r")
    clock.advance(T0 + timedelta(minutes=1))
    assert await ask(world, "Y-1", "clear_cache", {}, None) != one
    with pytest.raises(NotFound):
        await ask(world, "X-1", "clear_cache", {}, "r")
    # Each price that a station does not show is one refusal, not one a minute.
    for n in range(2):
        async with world.work.transaction("command") as tx:
            await commands.command(
                tx, "Y-1", "data_transfer", {"vendor_id": "v"}, subject=session_id, key=f"price-{n}"
            )
    while True:
        async with world.work.transaction("claim") as tx:
            claimed_more = await effects.claim(
                tx.conn, worker=1, now=world.now, kinds=[], lanes=["cp:Y-1"], limit=1, lease_s=60
            )
        if not claimed_more:
            break
        code = "UnknownVendorId" if claimed_more[0].kind == "ocpp.data_transfer" else "expired"
        await outcomes.take(world, claimed_more[0], Rejected({"code": code}))
    found = await _rows(world, "SELECT code, subject FROM anomaly WHERE code LIKE '%refused'")
    assert found == [{"code": "ocpp.data_transfer.refused", "subject": "Y-1"}]

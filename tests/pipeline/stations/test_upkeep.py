"""What charge points are told without being asked: when to measure, whom to let in, what to
forget. Each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sample_config import whole
from wattledger.clock import DrivenClock
from wattledger.config import parse, versions
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.errors import BadInput
from wattledger.gateway import commands as giving
from wattledger.pipeline import outcomes
from wattledger.pipeline.stations import local_list, metering, upkeep
from wattledger.pipeline.world import World
from wattledger.tariffs import read_tariff

NOW = datetime(2026, 11, 2, tzinfo=UTC)
REFUSED = {
    "results": {"ClockAlignedDataInterval": "NotSupported", "StopTxnSampledData": "Accepted"}
}


def tariff(*hours: tuple[str, str], **more: Any) -> dict[str, Any]:
    """An energy price for each (start, end)."""
    price = {"dimension": "energy", "price": "0.40", "unit": "kWh"}
    elements = [
        {"name": f"{start}-{end}", "components": [price],
         "restrictions": {"start_time": start, "end_time": end}}
        for start, end in hours
    ]  # fmt: skip
    elements.append({"name": "else", "components": [price]})
    return {"id": "standard", "name": "T", "currency": "USD", "elements": elements, **more}


def interval(zone: str, most_s: int, *hours: tuple[str, str], **more: Any) -> int:
    made = read_tariff(tariff(*hours, **more), "$")
    return metering.interval([made], zone, NOW, most_s)


def test_readings_fall_on_every_boundary() -> None:
    """The longest interval that divides each boundary in the site's time and in UTC."""
    assert interval("UTC", 3600) == 3600, "no boundary but midnight"
    assert interval("UTC", 900, ("16:00", "21:00")) == 900, "no longer than was asked for"
    assert interval("UTC", 3600, ("16:00", "21:00")) == 3600
    assert interval("UTC", 3600, ("16:30", "21:00")) == 1800
    assert interval("UTC", 3600, ("16:30", "21:15")) == 900
    assert interval("UTC", 3600, ("16:20", "21:00")) == 600  # 20 minutes are 2 x 600 s
    assert interval("UTC", 900, ("16:05", "21:00")) == 300
    assert interval("UTC", 900, ("16:00", "23:59")) == 60
    assert interval("UTC", 60, ("16:00", "21:00")) == 60
    # 16:00 in India is 10:30 UTC, and in Nepal 10:15: whichever midnight the charger counts from.
    assert interval("Asia/Kolkata", 3600, ("16:00", "21:00")) == 1800
    assert interval("Asia/Kathmandu", 3600, ("16:00", "21:00")) == 900
    # Lord Howe is 10:30 from UTC in winter, 11:00 in summer.
    assert interval("Australia/Lord_Howe", 3600, ("16:00", "21:00")) == 1800
    # The price is that of the start: no boundary cuts a session.
    assert interval("UTC", 3600, ("16:05", "21:00"), price_lock="session_start") == 3600


async def _apply(world: World, **changes: Any) -> None:
    async with world.work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(whole(**changes))), world.now)
    await world.refresh()


async def _here(world: World, *point_ids: str) -> None:
    async with world.work.transaction("status") as tx:
        for point_id in point_ids:
            await tx.conn.execute(
                "INSERT INTO charge_point_state (charge_point_id, connected, heard_at)"
                " VALUES (%s, true, %s)",
                (point_id, world.now),
            )


async def _commands(world: World, point_id: str = "Y-1") -> list[tuple[str, str]]:
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT kind, state FROM effect WHERE lane = %s ORDER BY id", (f"cp:{point_id}",)
        )
        return [
            (row["kind"].removeprefix("ocpp."), row["state"]) for row in await cursor.fetchall()
        ]


async def _settle(world: World, outcome: Outcome, point_id: str = "Y-1") -> list[Effect]:
    """All that is due in the charge point's lane, each with the same outcome."""
    done: list[Effect] = []
    while True:
        async with world.work.transaction("claim") as tx:
            claimed = await effects.claim(
                tx.conn, worker=1, now=world.now, kinds=[], lanes=[f"cp:{point_id}"], limit=1,
                lease_s=60,
            )  # fmt: skip
        if not claimed:
            return done
        await outcomes.take(world, claimed[0], outcome)
        done += claimed


async def _anomalies(world: World) -> list[dict[str, Any]]:
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute("SELECT code, subject, detail FROM anomaly ORDER BY id")
        return await cursor.fetchall()


async def test_metering_settings_are_told_when_they_are_new(
    world: World, clock: DrivenClock
) -> None:
    for _ in range(2):
        await upkeep.booted(world, "Y-1")
        assert await _commands(world) == [("configure", "pending")]
    (told,) = await _settle(world, Done(REFUSED))
    assert told.request["settings"] == {
        "aligned_interval_s": 900, "sample_interval_s": 900,
        "register": "Energy.Active.Import.Register", "power": "Power.Active.Import",
    }  # fmt: skip
    assert await _anomalies(world) == [{
        "code": "settings.refused", "subject": "Y-1",
        "detail": {"settings": {"ClockAlignedDataInterval": "NotSupported"},
                   "wanted": told.request["settings"]},
    }]  # fmt: skip
    # It said what it takes: asking again changes nothing, nor does a tariff for another place.
    await _here(world, "Y-1", "D-1")
    await _apply(world, tariff__1__name="cheaper", account__2__blocked=False)
    for _ in range(2):
        await upkeep.booted(world, "Y-1")
        await upkeep.changed(world)
    assert await _commands(world) == [("configure", "done")]
    assert await _commands(world, "D-1") == [], "who never booted here is not ours to set"
    # A boundary at 10 past: an offer that anybody might get, beside the site's own tariff.
    clock.advance(NOW + timedelta(hours=1))
    odd = {**tariff(("16:10", "21:00")), "id": "odd"}
    await _apply(
        world, tariff=[*whole()["tariff"], odd], account__2__blocked=False,
        offer=[{"tariff": "odd", "sites": ["yard"], "plans": ["fleet"]}],
    )  # fmt: skip
    await upkeep.changed(world)
    (told,) = await _settle(world, Rejected({"code": "expired"}))
    assert told.request["settings"]["aligned_interval_s"] == 600
    assert len(await _anomalies(world)) == 1, "it was not reached: nobody has to look"
    await upkeep.booted(world, "Y-1")
    assert await _commands(world) == [
        ("configure", "done"), ("configure", "rejected"), ("configure", "pending"),
    ]  # fmt: skip
    # Off for one site, and then for all of them.
    await _settle(world, Rejected({"code": "NotSupported"}))
    assert len(await _anomalies(world)) == 2
    await _apply(world, site__1__meter_interval_s=0)
    await upkeep.booted(world, "Y-1")
    await _apply(world, policies={"meter_interval_s": 0})
    await upkeep.booted(world, "D-1")
    assert len(await _commands(world)) == 3
    assert await _commands(world, "D-1") == []
    # Another CPMS commands it: one of two masters has to be silent.
    proxy = {"url": "wss://cpms.example/ocpp/{charge_point_id}"}
    await _apply(world, site__0__proxy=proxy, site__0__local_list=True)
    await upkeep.booted(world, "D-1")
    await upkeep.changed(world)
    assert await _commands(world, "D-1") == []
    with pytest.raises(BadInput, match="one of 0, 1800"):
        parse(whole(policies={"meter_interval_s": 700}))


class Station:
    """A connection that takes everything."""

    def __init__(self, world: World) -> None:
        self.world, self.protocol = world, SimpleNamespace(version="ocpp1.6")
        self.lists: list[tuple[int, list[str]]] = []

    async def call(self, message_id: str, action: str, payload: dict[str, Any], _: int) -> Any:
        assert action == "SendLocalList"
        entries = payload["localAuthorizationList"]
        self.lists.append((payload["listVersion"], [entry["idTag"] for entry in entries]))
        return SimpleNamespace(payload={"status": "Accepted"})


async def test_a_blocked_token_leaves_lists_and_caches(world: World, clock: DrivenClock) -> None:
    """Depot keeps lists: Ann by card, and Acme's two. Y-1 keeps none, and has a cache. LOST was
    blocked from the first: nobody ever let it in."""
    off = {"policies": {"meter_interval_s": 0}, "site__0__local_list": True}
    await _apply(world, **off)
    await _here(world, "D-1", "Y-1", "GONE-1")
    await upkeep.booted(world, "D-1")
    for _ in range(2):
        await upkeep.changed(world)
    assert await _commands(world, "D-1") == [("send_local_list", "pending")]
    assert await _commands(world, "Y-1") == []
    assert await _commands(world, "GONE-1") == [], "it is not configured any more"

    station: Any = Station(world)
    async with world.work.transaction("claim") as tx:
        (sent,) = await effects.claim(
            tx.conn, worker=1, now=world.now, kinds=[], lanes=["cp:D-1"], limit=1, lease_s=60
        )
    assert "ANN" not in str(sent.request), "tokens stand in frames, which are kept for a while"
    outcome = await giving.give(station, sent, world.now)
    await outcomes.take(world, sent, outcome)
    assert outcome == Done({"status": "Accepted"})
    first = world._directory.seq
    assert station.lists == [(first, ["ANN", "Acme-1", "Acme-2"])]
    clock.advance(NOW + timedelta(hours=1))
    await _apply(world, **off, account__1__blocked=True)
    for _ in range(2):
        await upkeep.changed(world)
    assert (await _commands(world, "D-1"))[1:] == [
        ("clear_cache", "pending"), ("send_local_list", "pending"),
    ]  # fmt: skip
    assert await _commands(world, "Y-1") == [("clear_cache", "pending")]
    assert await _commands(world, "GONE-1") == [], "it is not configured any more"
    tokens, number = await local_list.tokens(world, "D-1")
    assert tokens == ["ANN"]
    assert number > first
    # A charge point that is away for a week hears of it when it comes.
    clock.advance(NOW + timedelta(days=7))
    gone = await _settle(world, Rejected({"code": "NotSupported"}), "Y-1")
    assert [effect.kind for effect in gone] == ["ocpp.clear_cache"]
    assert datetime.fromisoformat(gone[0].request["expires_at"]) > world.now
    assert [a["code"] for a in await _anomalies(world)] == ["ocpp.clear_cache.refused"]

"""The API's door: times that can be, tokens that somebody pays for, an id that counts once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from sample_config import whole
from wattledger.config import parse, versions
from wattledger.db import versions as store
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.errors import BadInput
from wattledger.pipeline.billing.bill import bill
from wattledger.pipeline.importing.import_preview import Preview
from wattledger.pipeline.importing.imports import (
    ExternalIn,
    Item,
    Outcome,
    ReadingIn,
    SessionIn,
    take,
    take_all,
)
from wattledger.pipeline.world import World
from wattledger.sessions import sent

T0 = datetime(2026, 11, 1, 10, tzinfo=UTC)  # business time is 14 hours later
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
GOOD = SessionIn(
    "S-1", "D-1", 1, "Acme-1", T0, T0 + HOUR, (ReadingIn(T0, 0), ReadingIn(T0 + HOUR, 9_000))
)
TAKEN = ExternalIn("R-1", 360, "USD")


def _but(**changes: Any) -> SessionIn:
    return msgspec.structs.replace(GOOD, **changes)


def _from(start: datetime, stop: datetime) -> SessionIn:
    readings = (ReadingIn(start, 0), ReadingIn(stop, 9_000))
    return _but(started_at=start, stopped_at=stop, readings=readings)


def _between(*minutes: int) -> SessionIn:
    return _but(readings=tuple(ReadingIn(T0 + m * MINUTE, 100 + m) for m in minutes))


async def _sessions(world: World) -> int:
    async with world.work.pool.connection() as conn:
        return len(await (await conn.execute("SELECT FROM session")).fetchall())


WRONG = {
    "in the future": (_from(T0, T0 + 14 * HOUR + 6 * MINUTE), "$.stopped_at"),
    "before 2015": (_from(datetime(2014, 12, 31, tzinfo=UTC), T0), "$.started_at"),
    "31 days": (_from(T0 - timedelta(days=31), T0), "$.stopped_at"),
    "first reading late": (_between(6, 60), "$.readings[0].at"),
    "last reading early": (_between(0, 54), "$.readings[1].at"),
    "between, before": (_between(-4, -3, 60), "$.readings[1].at"),
    "between, after": (_between(0, 62, 64), "$.readings[1].at"),
    "unplugged": (
        msgspec.structs.replace(
            _from(T0 - 30 * HOUR, T0 - 29 * HOUR), unplugged_at=T0 - 5 * HOUR + MINUTE
        ),
        "$.unplugged_at",
    ),
}


async def test_a_time_that_can_not_be_is_refused_and_said_where(world: World) -> None:
    for case, (session, path) in WRONG.items():
        with pytest.raises(BadInput) as caught:
            await take(world, "api", session)
        assert caught.value.path == path, case
    assert await _sessions(world) == 0


async def test_readings_up_to_five_minutes_off_are_taken(world: World) -> None:
    assert (await take(world, "api", _between(-5, 0, 60, 65)))["new"]


@pytest.mark.parametrize(
    ("token", "point", "why"), [("NOBODY", "D-1", "unknown_token"), ("LOST", "D-1", "blocked"),
                                ("ANN", "Y-1", "no_payment_method")],
)  # fmt: skip
async def test_a_token_nobody_pays_for_is_refused_and_can_be_sent_again(
    world: World, token: str, point: str, why: str
) -> None:
    session = _but(token=token, charge_point_id=point)
    with pytest.raises(BadInput, match=f"{why}.*apply --valid-from.*external") as caught:
        await take(world, "api", session)
    assert caught.value.path == "$.token"
    assert await _sessions(world) == 0
    paid = msgspec.structs.replace(session, external=TAKEN)
    assert (await take(world, "api", paid))["new"]


async def test_the_same_moment_in_another_zone_is_the_same_session(world: World) -> None:
    first = await take(world, "api", GOOD)
    zone = timezone(timedelta(hours=-8))
    moved = _but(
        started_at=T0.astimezone(zone),
        readings=tuple(ReadingIn(r.at.astimezone(zone), r.register_wh) for r in GOOD.readings),
    )
    assert await take(world, "api", moved) == {**first, "new": False}


def _told(outcome: Outcome) -> tuple[str, str | None, bool, str]:
    error = outcome.error
    what = error.path if isinstance(error, BadInput) else type(error).__name__
    return outcome.id, outcome.session_id, outcome.new, what


async def test_a_preview_says_what_the_step_then_does(world: World, database: Database) -> None:
    """Each in the order given, and what is wrong with one stops no other."""
    await take(world, "import", _but(id="old"))
    await take(world, "api", _but(id="api", connector_id=2))
    items = [
        Item(session, f"$[{i}]")
        for i, session in enumerate(
            (
                _but(id="z"), _but(id="old"), _but(id="a", token="NOBODY"),
                _but(id="paid", external=TAKEN), _but(id="old", token="Acme-2"),
                _but(id="paid-2", external=TAKEN), _but(id="z"), _but(id="z", token="Acme-2"),
                _but(id="two-doors", connector_id=2), _but(id="b", readings=()),
                _but(id="c", stopped_at=T0.replace(tzinfo=None)),
            )
        )
    ]  # fmt: skip
    async with await database.connect(Role.READER) as conn:
        preview = Preview(world.snapshot, world.now, "import", conn)
        looked = await preview.look(items)
    assert await _sessions(world) == 2
    taken = await take_all(world, "import", items)
    assert [_told(outcome) for outcome in looked] == [_told(outcome) for outcome in taken]
    assert [(o.id, o.new, _told(o)[3]) for o in taken] == [
        ("z", True, "NoneType"), ("old", False, "NoneType"), ("a", False, "$[2].token"),
        ("paid", True, "NoneType"), ("old", False, "AnotherContent"), ("paid-2", False, "Conflict"),
        ("z", False, "NoneType"), ("z", False, "AnotherContent"), ("two-doors", False, "Conflict"),
        ("b", False, "$[9].readings"), ("c", False, "$[10].stopped_at"),
    ]  # fmt: skip
    assert await _sessions(world) == 4
    async with world.work.pool.connection() as conn:
        # What was refused left nothing behind: it can be sent again.
        rows = await (await conn.execute("SELECT external_id FROM inbox")).fetchall()
        assert {row["external_id"] for row in rows} == {"old", "api", "z", "paid"}
        cursor = await conn.execute("SELECT count(*) AS n FROM decision")
        assert await cursor.fetchone() == {"n": 4}
        # A second record of a session is a person's to decide on, once however often it comes.
        await take_all(world, "import", items)
        cursor = await conn.execute("SELECT code, subject, detail FROM anomaly ORDER BY id")
        shown = [tuple(row.values()) for row in await cursor.fetchall()]
    by_id = {outcome.id: outcome.session_id for outcome in taken if outcome.new}
    by_id["old"] = taken[1].session_id
    assert [(code, subject) for code, subject, _ in shown] == [
        ("record.differs", by_id["old"]), ("record.differs", by_id["z"]),
    ]  # fmt: skip
    assert '"token":"Acme-2"' in shown[0][2]["record"]


async def test_the_power_of_a_reading_is_kept(world: World) -> None:
    middle = ReadingIn(T0 + 30 * MINUTE, 5_000, 9_000_000)
    await take(world, "api", _but(readings=(*GOOD.readings, middle)))
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT register_wh, power_mw FROM session_fact WHERE kind = 'meter'"
        )
        assert await cursor.fetchall() == [{"register_wh": 5_000, "power_mw": 9_000_000}]


async def test_a_reservation_and_the_kind_of_the_evse_are_priced(world: World) -> None:
    """10 min at 0.10 and, at DC only, 9 kWh at 0.50: 1.00 + 4.50, less the fleet's 10 %."""
    elements = [
        {"name": "kept", "restrictions": {"reservation": "used"}, "components": [
            {"dimension": "reservation_time", "price": "0.10", "unit": "minute"}]},
        {"name": "dc", "restrictions": {"evse_kind": "DC"}, "components": [
            {"dimension": "energy", "price": "0.50", "unit": "kWh"}]},
    ]  # fmt: skip
    dear = whole(tariff__1__elements=elements, site__0__tax_percent="0")
    async with world.work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(dear)), T0 - 2 * HOUR)
    await world.refresh()
    raw = {
        "session_id": "R", "token": "Acme-1", "evse": {"id": "D-1", "kind": "DC"},
        "started_at": T0.isoformat(), "ended_at": (T0 + HOUR).isoformat(),
        "readings": [{"at": T0.isoformat(), "energy_wh": 0},
                     {"at": (T0 + HOUR).isoformat(), "energy_wh": 9_000}],
        "reservation": {"from": (T0 - 10 * MINUTE).isoformat()},
    }  # fmt: skip
    taken = await take(world, "api", sent.read(raw, "$"))
    assert await bill(world, taken["session_id"]) == "billed"
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute("SELECT net_minor FROM charge")
        assert await cursor.fetchone() == {"net_minor": 495}

"""The API's door: times that can be, tokens that somebody pays for, an id that counts once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from wattledger.errors import BadInput
from wattledger.pipeline.imports import ExternalIn, ReadingIn, SessionIn, take
from wattledger.pipeline.world import World

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


@pytest.mark.parametrize("case", WRONG)
async def test_a_time_that_can_not_be_is_refused_and_said_where(world: World, case: str) -> None:
    session, path = WRONG[case]
    with pytest.raises(BadInput) as caught:
        await take(world, "api", session)
    assert caught.value.path == path
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

"""Holding more while a session charges; the ceiling is what is held now.

25.00 are held. What it can come to, if it is stopped now, is said by each test.
"""

from __future__ import annotations

from typing import Any

import pytest
from till_rig import Till, terms, till

from wattledger.entitlements.model import Policies
from wattledger.pipeline.collecting import ceiling
from wattledger.sessions import store as sessions

__all__ = ["till"]

AT_80 = terms(increment_at_percent=80)
CARD = {"can_increment": True}


class Meter:
    """A reading, and what the session can come to by it."""

    def __init__(self, till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
        self._till = till
        self.worst = 0

        async def worst(*_: object) -> int:
            return self.worst

        monkeypatch.setattr(ceiling, "_worst", worst)

    async def reads(self, worst: int) -> None:
        self.worst = worst
        async with self._till.world.work.transaction("x") as tx:
            row = await sessions.get(tx.conn, "ses_1")
            assert row is not None
            await ceiling.mind_the_money(tx, self._till.world, Policies(), row, 1)

    async def stops(self) -> list[str]:
        rows = await self._till.rows(
            "SELECT request->>'why' FROM effect WHERE kind = 'ocpp.remote_stop'"
        )
        return [why for (why,) in rows]


@pytest.fixture
def meter(till: Till, monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(till, monkeypatch)


def _charging(till: Till, **more: Any) -> None:
    till.add(state="open", **{"terms": AT_80, "payment": CARD, **more})


@pytest.mark.parametrize(("worst", "asked"), [(1_999, []), (2_000, [5_000]), (2_500, [5_000])])
async def test_near_the_hold_more_is_held(
    till: Till, meter: Meter, worst: int, asked: list[int]
) -> None:
    """80 % of 25.00 are 20.00; a step is as much as the first hold."""
    _charging(till)
    await meter.reads(worst)
    assert [amount for _, amount in await till.asked()] == asked
    assert await meter.stops() == []


async def test_its_answer_raises_the_ceiling(till: Till, meter: Meter) -> None:
    _charging(till)
    await meter.reads(3_000)
    effect = await till.says("stripe.increment", held_minor=5_000, capturable_minor=5_000)
    assert effect.key == "north:pay_1:increment1:1"
    assert await till.rows("SELECT authorized_minor, increments FROM payment") == [(5_000, 1)]
    assert await meter.stops() == []
    await meter.reads(3_999)
    assert await till.asked() == []
    await meter.reads(4_000)
    assert await till.asked() == [("stripe.increment", 7_500)]


async def test_what_is_asked_for_covers_what_it_can_come_to(till: Till, meter: Meter) -> None:
    """61.00: two steps of 25.00 more are 75.00, and that is three times the first hold."""
    _charging(till)
    await meter.reads(6_100)
    assert await till.asked() == [("stripe.increment", 7_500)]


async def test_a_decline_leaves_the_hold_and_is_the_last_try(till: Till, meter: Meter) -> None:
    _charging(till)
    await meter.reads(2_100)
    await till.refuses("stripe.increment", "card_declined")
    assert await till.payments() == [("hold", "held", 0)]
    assert await till.shown() == ["increment.declined"]
    await meter.reads(2_500)
    assert (await till.asked(), await meter.stops()) == ([], [])
    await meter.reads(2_501)
    assert (await till.asked(), await meter.stops()) == ([], ["ceiling"])


async def test_a_decline_above_the_ceiling_stops_at_once(till: Till, meter: Meter) -> None:
    _charging(till)
    await meter.reads(2_600)
    assert await meter.stops() == []
    await till.refuses("stripe.increment", "card_declined")
    assert await meter.stops() == ["ceiling"]


async def test_one_is_asked_at_a_time_and_what_passes_the_ceiling_meanwhile_stops(
    till: Till, meter: Meter
) -> None:
    _charging(till)
    await meter.reads(2_100)
    await meter.reads(2_200)
    assert len(await till.asked()) == 1
    assert await meter.stops() == []
    await meter.reads(2_501)
    assert await meter.stops() == ["ceiling"]


@pytest.mark.parametrize(
    "more",
    [
        {"payment": {"can_increment": False}},
        {"payment": {"can_increment": True, "increments": 10}},
        {"terms": terms()},
        {"terms": terms(increment_at_percent=80, increment_to_minor=2_500)},
    ],
)
async def test_where_no_more_can_be_held_it_stops_at_the_ceiling(
    till: Till, meter: Meter, more: dict[str, Any]
) -> None:
    _charging(till, **more)
    await meter.reads(2_500)
    assert (await till.asked(), await meter.stops()) == ([], [])
    await meter.reads(2_501)
    assert (await till.asked(), await meter.stops()) == ([], ["ceiling"])


async def test_no_more_is_held_than_the_safety_bound(till: Till, meter: Meter) -> None:
    """500.00, whatever the contract allows."""
    _charging(till, terms=terms(increment_at_percent=80, increment_to_minor=90_000),
              payment={"can_increment": True, "authorized_minor": 49_000})  # fmt: skip
    await meter.reads(60_000)
    assert await till.asked() == [("stripe.increment", 50_000)]


async def test_it_goes_on_where_that_is_agreed(till: Till, meter: Meter) -> None:
    _charging(till, terms=terms(stop_at_ceiling=False), payment={})
    await meter.reads(9_999)
    assert await meter.stops() == []


async def test_a_card_that_holds_less_has_a_lower_ceiling(till: Till, meter: Meter) -> None:
    _charging(till, terms=terms(), payment={"authorized_minor": 1_000})
    await meter.reads(1_001)
    assert await meter.stops() == ["ceiling"]


async def test_overcapture_that_was_agreed_lifts_the_ceiling(till: Till, meter: Meter) -> None:
    _charging(till, terms=terms(overcapture=True), payment={"capturable_minor": 2_875})
    await meter.reads(2_875)
    assert await meter.stops() == []
    await meter.reads(2_876)
    assert await meter.stops() == ["ceiling"]

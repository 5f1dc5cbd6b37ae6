"""A hold of a start that is above a bound waits for a person; its driver does not."""

from __future__ import annotations

import pytest

from starts_yard import Yard, of
from wattledger.clock import DrivenClock
from wattledger.db.work import Work
from wattledger.errors import Conflict
from wattledger.pipeline.collecting import bounds
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import Asked


@pytest.fixture
async def yard(work: Work, clock: DrivenClock, monkeypatch: pytest.MonkeyPatch) -> Yard:
    async def above(*_: object, **__: object) -> str:
        return "above a bound"

    monkeypatch.setattr(bounds, "exceeded", above)
    return await Yard.open(work, clock)


async def _let_go(yard: Yard) -> None:
    (row,) = await yard.rows("SELECT id FROM payment")
    asked = Asked(row["id"], "page:bea", "known", key="k1")
    await money_desk.do(yard.world, "payment.release", asked)


async def test_while_its_driver_waits_it_is_sent(yard: Yard) -> None:
    of(await yard.ask())
    assert await yard.payments() == [("parked", 2500, False)]
    await _let_go(yard)
    assert await yard.payments() == [("holding", 2500, False)]
    assert len(await yard.asked_of("stripe.hold")) == 1


async def test_once_its_start_is_over_it_is_refused(yard: Yard) -> None:
    start = of(await yard.ask())
    await yard.pass_time(3_600)
    assert (await yard.start(start.id))["state"] == "expired"
    with pytest.raises(Conflict, match=r"is over \(no_card\): nothing is held for it"):
        await _let_go(yard)
    assert await yard.payments() == [("declined", 2500, False)]
    assert await yard.asked_of("stripe.hold") == []
    assert await yard.rows("SELECT act, actor FROM money_act") == [
        {"act": "payment.refuse", "actor": "page:bea"}
    ]
    assert await yard.rows("SELECT FROM anomaly WHERE resolved_at IS NULL") == []
    with pytest.raises(Conflict, match="is declined, not parked"):
        await _let_go(yard)

"""A charge for late data that was announced to its driver, and is stopped before it is sent.

10 kWh cost 4.40; 12 kWh are told later: 0.88 more, charged a day after the notice.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from returns_desk import ReturnsDesk

from wattledger.clock import DrivenClock
from wattledger.contract import PaymentTerms
from wattledger.db import effects
from wattledger.db.connect import Database
from wattledger.errors import Conflict, NotFound
from wattledger.pipeline.collecting import announced
from wattledger.pipeline.world import World


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> ReturnsDesk:
    return ReturnsDesk(world, clock, database)


async def _announced(desk: ReturnsDesk, shortfall: str) -> str:
    await desk.paid(
        account_id="ann", consent=True, processor_id="stripe", payment_method="pm_1",
        customer="cus_1", shortfall=shortfall,
        payment=PaymentTerms(more="charge", more_least_minor=50, more_notice_hours=24),
    )  # fmt: skip
    await desk.late(12_000)
    [(payment_id,)] = await desk.rows("SELECT id FROM payment WHERE leg = 'more'")
    return str(payment_id)


async def _stop(desk: ReturnsDesk, payment_id: str) -> None:
    await announced.stop(desk.world, payment_id, actor="page:Ann", reason="they called")


@pytest.mark.parametrize(("shortfall", "state"), [("debt", "debt"), ("waive", "waived")])
async def test_it_is_not_sent_and_owed_or_waived(
    desk: ReturnsDesk, shortfall: str, state: str
) -> None:
    payment_id = await _announced(desk, shortfall)
    await _stop(desk, payment_id)
    assert (await desk.parts())[-1] == (3, state, 88)
    assert await desk.rows(
        "SELECT p.state, p.decline_code, e.state AS sent FROM payment p"
        " JOIN effect e ON e.subject = p.id WHERE p.leg = 'more'"
    ) == [("declined", "stopped_by_us", "rejected")]
    assert await desk.rows("SELECT actor, act, subject FROM money_act") == [
        ("page:Ann", "payment.stop", payment_id)
    ]
    await desk.holds()
    with pytest.raises(Conflict, match="is declined: no charge that was announced"):
        await _stop(desk, payment_id)


async def test_what_was_sent_is_not_stopped(desk: ReturnsDesk) -> None:
    payment_id = await _announced(desk, "debt")
    desk.clock.advance(desk.world.now + timedelta(hours=24))
    async with desk.world.work.transaction("x") as tx:
        assert await effects.claim(
            tx.conn, worker=1, now=tx.now, kinds=["stripe.charge"], lanes=[], limit=1, lease_s=60
        )
    with pytest.raises(Conflict, match="has been sent"):
        await _stop(desk, payment_id)
    assert (await desk.parts())[-1] == (3, "pending", 88)


async def test_nothing_else_is_stopped(desk: ReturnsDesk) -> None:
    await desk.paid()
    with pytest.raises(Conflict, match=r"\(hold\) is captured"):
        await _stop(desk, "pay_1")
    with pytest.raises(NotFound):
        await _stop(desk, "pay_9")

"""A dispute that was prevented, and whose line comes late: what was refused for it has gone back by
it, and nobody has to send it again.

The session cost 4.40, captured; 1.10 of it were refunded while its payment was disputed.
"""

from __future__ import annotations

import pytest
from returns_desk import item
from test_disputes import DISPUTED, LOST, DisputeDesk
from test_refunds import OWED

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.effects import Rejected
from wattledger.errors import Conflict
from wattledger.pipeline.returning import money_back
from wattledger.pipeline.world import World

# 1.10 are withdrawn, and what the processor takes for it.
LINE = item("txn_5", "dispute", -110, 1_500, source="du_1", charge="ch_1")


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> DisputeDesk:
    found = DisputeDesk(world, clock, database)
    await found.paid()
    await found.charge_read()
    await found.ask(amount_minor=110)
    return found


async def _refused(desk: DisputeDesk, why: str) -> None:
    """Refused for the dispute: heard of while the refund waited, or only after it was refused."""
    if why == "dispute_prevented":
        await desk.seen("needs_response")
    await desk.answer("stripe.refund", Rejected({"code": "charge_disputed"}))
    await desk.seen("prevented")
    assert await desk.sent() == [(110, "refund", "refused", why)]
    assert "refund.refused" in await desk.codes()


@pytest.mark.parametrize("why", ["dispute_prevented", "charge_disputed"])
async def test_the_line_of_a_prevented_dispute_that_comes_late_settles_what_was_refused_for_it(
    desk: DisputeDesk, why: str
) -> None:
    await _refused(desk, why)
    for _ in range(2):
        await desk.read(LINE)
        await desk.seen("prevented")
    assert await desk.sent() == [(110, "refund", "otherwise", "dispute_lost")]
    assert ("refund.refused", "the dispute is prevented") in await desk.settled()
    books = await desk.books()
    # The 1.10 were the driver's by the refund: nothing of them is a loss, and nothing is owed.
    assert (books.get(DISPUTED, 0), books.get(LOST, 0), books.get(OWED["back"], 0)) == (0, 0, 0)
    await desk.identity()


async def test_a_late_line_of_less_than_what_was_refused_is_left_to_a_person(
    desk: DisputeDesk,
) -> None:
    """1.00 of 1.10 were withdrawn: sent again, 0.10 go to the card."""
    await _refused(desk, "dispute_prevented")
    await desk.read(item("txn_5", "dispute", -100, source="du_1", charge="ch_1"))
    assert await desk.sent() == [(110, "refund", "refused", "dispute_prevented")]
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    await money_back.again(desk.world, row_id, actor="page:Ann", reason="the rest")
    assert sorted(await desk.sent(), key=str)[:2] == [
        (10, "refund", "sending", None), (100, "refund", "otherwise", "dispute_lost"),
    ]  # fmt: skip


async def test_what_a_person_paid_meanwhile_is_not_paid_by_the_late_line_again(
    desk: DisputeDesk,
) -> None:
    await _refused(desk, "dispute_prevented")
    [(row_id,)] = await desk.rows("SELECT id FROM payment_refund")
    await money_back.paid_otherwise(desk.world, row_id, actor="page:Ann", reason="by transfer")
    await desk.read(LINE)
    assert await desk.sent() == [(110, "refund", "otherwise", "by_hand")]
    assert (await desk.books())[LOST] == 110
    with pytest.raises(Conflict):
        await money_back.again(desk.world, row_id, actor="page:Ann", reason="again")
    await desk.identity()

"""Starts that anybody may ask for: one at a time at a connector, so many unpaid, and the next
driver's at once when the one before has closed the page."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from starts_yard import T0, Yard, of
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.errors import TooMany
from wattledger.payments import starts_store
from wattledger.payments.starts_store import StartRequest
from wattledger.pipeline.starting import starts


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    return await Yard.open(work, clock, site__0__charge_points__1__connectors=2)


async def guest(yard: Yard, reference: str, point: str = "D-1", connector: int = 1) -> StartRequest:
    """By the page at a charge point."""
    return of(await yard.ask(reference, Route.CHECKOUT, charge_point_id=point,
                             connector_id=connector, page=True))  # fmt: skip


async def refused(yard: Yard, reference: str, point: str = "D-1", connector: int = 1) -> TooMany:
    with pytest.raises(TooMany) as error:
        await guest(yard, reference, point, connector)
    return error.value


async def as_it_is(yard: Yard, start: StartRequest) -> StartRequest:
    async with yard.world.work.pool.connection() as conn:
        found = await starts_store.get(conn, start.id)
    assert found is not None
    return found


async def left(yard: Yard, start: StartRequest) -> None:
    await starts.page_left(yard.world, await as_it_is(yard, start))


async def made(yard: Yard, intent: str = "pi_1") -> None:
    await yard.answer("stripe.intent", Done({"intent_id": intent, "status": "x"}))


async def test_one_at_a_time_at_a_connector(yard: Yard) -> None:
    first = await guest(yard, "1", "D-2")
    error = await refused(yard, "2", "D-2")
    assert (error.reason, error.retry_after_s) == ("connector_taken", 90)
    assert of(await yard.ask("1", Route.CHECKOUT, charge_point_id="D-2")).id == first.id
    await guest(yard, "3", "D-2", connector=2)
    assert len(await yard.asked_of("stripe.intent")) == 2, "nothing was asked for whom it refuses"
    assert (await yard.rows("SELECT count(*) AS n FROM start_request"))[0]["n"] == 2


async def test_of_many_at_the_same_moment_one_has_the_connector(yard: Yard) -> None:
    asked = [guest(yard, f"{n}") for n in range(8)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, StartRequest) for each in found) == 1
    assert sum(isinstance(each, TooMany) for each in found) == 7


async def test_without_a_connector_there_are_as_many_as_it_has(yard: Yard) -> None:
    for name in ("1", "2"):
        of(await yard.ask(name, Route.CHECKOUT, charge_point_id="D-2", connector_id=None))
    assert (await refused(yard, "3", "D-2", connector=1)).reason == "connector_taken"


async def test_whoever_is_being_started_keeps_the_connector(yard: Yard) -> None:
    """Paid, and the page closed: the hold stands, and the charge point was told."""
    first = await guest(yard, "1")
    await made(yard)
    await yard.seen("requires_capture", fingerprint="fp_1")
    await left(yard, first)
    assert (await refused(yard, "2")).reason == "connector_taken"
    await yard.told()
    await yard.begin(first.token)
    await guest(yard, "3")


async def test_a_closed_page_leaves_the_connector_to_the_next_driver_at_once(yard: Yard) -> None:
    first = await guest(yard, "1")
    await made(yard)
    await left(yard, first)
    await guest(yard, "2")
    found = await as_it_is(yard, first)
    assert (found.state, found.why) == ("expired", "left")
    assert sorted(state for state, _, _ in await yard.payments()) == ["releasing", "waiting"]
    (cancelled,) = await yard.asked_of("stripe.release")
    assert cancelled["intent_id"] == "pi_1"


async def test_a_closed_page_is_given_up_although_nobody_comes(yard: Yard) -> None:
    first = await guest(yard, "1")
    await made(yard)
    await left(yard, first)
    await yard.pass_time(14)
    assert (await as_it_is(yard, first)).live
    await yard.pass_time(1)
    assert (await as_it_is(yard, first)).why == "left"
    assert len(await yard.asked_of("stripe.release")) == 1


async def test_a_page_that_is_loaded_again_goes_on(yard: Yard) -> None:
    """It says that it is closed, and is back after 2 s."""
    first = await guest(yard, "1")
    await left(yard, first)
    yard.clock.advance(T0 + timedelta(seconds=2))
    await starts.seen(yard.world, await as_it_is(yard, first))
    await yard.pass_time(60)
    assert (await as_it_is(yard, first)).live
    assert (await refused(yard, "2")).retry_after_s == 90 - 60


async def test_a_page_that_is_silent_keeps_it_a_minute_and_a_half(yard: Yard) -> None:
    """A telephone without power says nothing any more."""
    first = await guest(yard, "1")
    yard.clock.advance(T0 + timedelta(seconds=89))
    assert (await refused(yard, "2")).retry_after_s == 1
    yard.clock.advance(T0 + timedelta(seconds=90))
    await guest(yard, "3")
    assert (await as_it_is(yard, first)).why == "left"


async def test_a_page_that_is_heard_of_keeps_it_until_the_card_is_waited_for_no_longer(
    yard: Yard,
) -> None:
    first = await guest(yard, "1")
    for _ in range(20):
        await starts.seen(yard.world, await as_it_is(yard, first))
        assert (await refused(yard, "2")).reason == "connector_taken"
        await yard.pass_time(29)
    await yard.pass_time(20)  # 20 x 29 + 20 = 600 s, pay_within_s
    assert (await as_it_is(yard, first)).why == "no_card"
    await guest(yard, "3")


async def test_an_app_knows_its_drivers_and_is_not_held_up(yard: Yard) -> None:
    await guest(yard, "1")
    of(await yard.ask("2"))
    assert (await refused(yard, "3")).reason == "connector_taken"


async def test_so_many_go_unpaid_in_an_hour(work: Work, clock: DrivenClock) -> None:
    yard = await Yard.open(work, clock, policies={"unpaid_starts_per_hour": 3})
    for n in range(3):
        start = await guest(yard, f"{n}")
        await left(yard, start)
        await yard.pass_time(600)
    error = await refused(yard, "3")
    # The first was asked for at 0:00, it is 0:30, and it counts until 1:00.
    assert (error.reason, error.retry_after_s) == ("unpaid_starts", 1800)
    await guest(yard, "4", point="D-2")
    yard.clock.advance(T0 + timedelta(hours=1))
    await guest(yard, "5")


async def test_whoever_pays_is_not_counted_and_goes_on_with_the_hold(
    work: Work, clock: DrivenClock
) -> None:
    yard = await Yard.open(work, clock, policies={"unpaid_starts_per_hour": 1})
    first = await guest(yard, "1")
    await made(yard)
    await yard.seen("requires_capture", fingerprint="fp_1")
    await yard.not_told()
    second = await guest(yard, "2")
    await made(yard, "pi_2")
    await left(yard, second)
    await yard.pass_time(15)
    assert (await refused(yard, "3")).reason == "unpaid_starts"
    goes_on = of(await yard.ask("4", Route.CHECKOUT, retry_of=first.id, page=True))
    assert (goes_on.state, goes_on.payment_id) == ("starting", first.payment_id)


async def test_so_many_wait_for_their_cards_in_all(work: Work, clock: DrivenClock) -> None:
    yard = await Yard.open(work, clock, policies={"unpaid_starts_max": 2},
                           site__0__charge_points__1__connectors=2)  # fmt: skip
    places = [("D-1", 1), ("D-2", 1), ("D-2", 2)]
    asked = [guest(yard, f"{n}", *place) for n, place in enumerate(places)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    (error,) = [each for each in found if isinstance(each, TooMany)]
    assert (error.reason, error.retry_after_s) == ("too_many_open", 60)
    (over,) = [each for each in found if isinstance(each, StartRequest)][:1]
    await left(yard, over)
    await yard.pass_time(15)
    begun = {(one.charge_point_id, one.connector_id) for one in found
             if isinstance(one, StartRequest)}  # fmt: skip
    (place,) = [each for each in places if each not in begun]
    await guest(yard, "9", *place)


@pytest.mark.parametrize("first_known", ["paid", "left"])
async def test_paid_in_the_second_in_which_the_page_was_closed(
    yard: Yard, first_known: str
) -> None:
    """Whichever is known first counts: it starts, or all is given back. Never both."""
    start = await guest(yard, "1")
    await made(yard)
    await left(yard, start)
    if first_known == "paid":
        await yard.seen("requires_capture", fingerprint="fp_1")
        await yard.pass_time(15)
        assert (await as_it_is(yard, start)).state == "starting"
        assert await yard.payments() == [("held", 2500, False)]
        assert await yard.asked_of("stripe.release") == []
        return
    await yard.pass_time(15)
    await yard.seen("requires_capture", fingerprint="fp_1")
    assert (await as_it_is(yard, start)).why == "left"
    assert await yard.asked_of("ocpp.remote_start") == []
    assert await yard.payments() == [("releasing", 2500, False)]
    await yard.answer("stripe.release", Done({"status": "canceled"}))
    assert await yard.payments() == [("released", 2500, False)]


async def test_both_at_the_same_moment(yard: Yard) -> None:
    for n in range(6):
        start = await guest(yard, f"{n}")
        await made(yard, f"pi_{n}")
        await left(yard, start)

        async def give_up(start_id: str = start.id) -> None:
            async with yard.world.work.transaction("due") as tx:
                await starts.leave(tx, start_id)

        await asyncio.gather(give_up(), yard.seen("requires_capture", fingerprint=f"fp_{n}"))
        found = await as_it_is(yard, start)
        states = await yard.rows("SELECT state FROM payment WHERE id = %s", start.payment_id)
        both = (found.state, states[0]["state"])
        assert both in (("starting", "held"), ("expired", "releasing"))
        await yard.pass_time(200)

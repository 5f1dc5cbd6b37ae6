"""A start that is paid for at one of Stripe's readers, which we drive: shown, declined, away, busy,
withdrawn. payments.md 1.8."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from terminal_yard import MINUTE, T0, Yard

from sample_config import whole
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.effects import Done, NotSent, Rejected, Unknown
from wattledger.db.work import Work
from wattledger.errors import BadInput, Conflict
from wattledger.pipeline import outcomes
from wattledger.pipeline.collecting import hints
from wattledger.pipeline.starting import ask_start
from wattledger.pipeline.terminals import readers

GUESTS = {"id": "guest", "name": "Guests", "route": "terminal", "ad_hoc": True}
READER = {"id": "door", "site": "depot", "provider": "stripe", "serves": ["D-1"],
          "reader": "tmr_1", "tokens": ["CARD"]}  # fmt: skip
INTENT = {"intent_id": "pi_1", "status": "requires_payment_method"}
SECOND = timedelta(seconds=1)


def _config(**changes: Any) -> dict[str, Any]:
    found = whole()
    found["plan"].append(GUESTS)
    found["terminal"] = [READER | changes]
    return found


@pytest.fixture
async def yard(work: Work, clock: DrivenClock) -> Yard:
    """The depot with an unattended reader."""
    return await Yard.made(work, clock, _config())


async def _asked(yard: Yard) -> str:
    """Somebody wants to start at D-1 and pay at the reader, which shows it now; the start."""
    wanted = ask_start.Wanted(Route.TERMINAL, "D-1", "r1", nonce="n", reader_id="tmr_1")
    asked = await ask_start.ask(yard.world, wanted)
    assert asked.start is not None, asked.reason
    await yard.answer("stripe.intent", Done(INTENT))
    return asked.start.id


async def _reader_says(yard: Yard, status: str, code: str | None = None) -> None:
    """What the reader's webhook hints at is fetched."""
    now = yard.world.now
    async with yard.world.work.transaction("x", now=now) as tx:
        await hints.plan_fetch(tx, "stripe", "reader", "tmr_1", f"evt:{now}:{status}")
    action = {"type": "process_payment_intent", "status": status, "failure_code": code,
              "intent_id": "pi_1"}  # fmt: skip
    found = {"id": "tmr_1", "status": "online", "action": action}
    await _fetched(yard, "reader", found)


async def _fetched(yard: Yard, kind: str, found: dict[str, Any]) -> None:
    for effect in await yard.claim("stripe.fetch"):
        if effect.request["object"] == kind:
            await outcomes.take(yard.world, effect, Done({"object": kind, "found": found}))


async def _state(yard: Yard) -> tuple[str, str]:
    """Of the start, and of its payment."""
    [row] = await yard.rows("SELECT r.state AS start, p.state AS payment FROM start_request r"
                            " JOIN payment p ON p.id = r.payment_id")  # fmt: skip
    return row["start"], row["payment"]


async def _kinds(yard: Yard) -> list[str]:
    """What is still to be sent."""
    query = "SELECT kind FROM effect WHERE state = 'pending' ORDER BY kind"
    return [r["kind"] for r in await yard.rows(query) if r["kind"].startswith("stripe.")]


async def test_the_intent_is_shown_at_the_reader_in_its_lane(yard: Yard) -> None:
    await _asked(yard)
    (effect,) = await yard.claim("stripe.reader")
    assert effect.request == {"processor_id": "stripe", "reader_id": "tmr_1", "intent_id": "pi_1"}
    # A reader does one thing at a time.
    assert effect.lane == "reader:tmr_1"
    assert effect.key.endswith(":reader1:1")


async def test_success_at_the_reader_is_not_what_counts_but_the_intent(yard: Yard) -> None:
    await _asked(yard)
    await yard.answer("stripe.reader", Done({"action_status": "in_progress"}))
    await _reader_says(yard, "succeeded")
    assert await _state(yard) == ("paying", "waiting")
    held = {"id": "pi_1", "status": "requires_capture", "currency": "USD", "amount_minor": 2_500,
            "held_minor": 2_500, "capturable_minor": 2_500, "charge_id": "ch_1",
            "capture_before": None, "metadata": {}}  # fmt: skip
    await _fetched(yard, "payment_intent", held)
    assert await _state(yard) == ("starting", "held")


async def test_after_a_decline_the_same_intent_is_shown_again_three_cards_in_all(
    yard: Yard,
) -> None:
    await _asked(yard)
    for number in (1, 2, 3):
        yard.clock.advance(yard.world.now + SECOND)
        effect = await yard.answer("stripe.reader", Done({"action_status": "in_progress"}))
        assert effect.request["intent_id"] == "pi_1"
        assert effect.key.endswith(f":reader{number}:1")
        await _reader_says(yard, "failed", "card_declined")
    assert await _state(yard) == ("declined", "releasing")
    assert await yard.one("SELECT why FROM start_request") == "card_declined"
    assert await yard.claim("stripe.reader") == []


async def test_whoever_goes_away_is_not_asked_for_another_card(yard: Yard) -> None:
    await _asked(yard)
    await yard.answer("stripe.reader", Done({"action_status": "in_progress"}))
    await _reader_says(yard, "failed", "customer_canceled")
    assert await _state(yard) == ("declined", "releasing")


async def test_where_somebody_stands_beside_it_it_is_they_who_show_it_again(
    work: Work, clock: DrivenClock
) -> None:
    yard = await Yard.made(work, clock, _config(attended=True))
    start_id = await _asked(yard)
    await yard.answer("stripe.reader", Done({"action_status": "in_progress"}))
    await _reader_says(yard, "failed", "card_declined")
    assert await _state(yard) == ("paying", "waiting")
    assert await yard.claim("stripe.reader") == []
    async with yard.world.work.transaction("x") as tx:
        await readers.present_again(tx, start_id)
    async with yard.world.work.transaction("x") as tx:
        with pytest.raises(Conflict, match="already"):
            await readers.present_again(tx, start_id)
    (effect,) = await yard.claim("stripe.reader")
    assert effect.key.endswith(":reader2:1")


@pytest.mark.parametrize("code", ["terminal_reader_offline", "terminal_reader_busy"])
async def test_a_reader_that_is_away_or_busy_is_asked_again_until_the_start_is_over(
    yard: Yard, code: str
) -> None:
    await _asked(yard)
    waits = []
    while (await _state(yard))[0] == "paying":
        before = yard.world.now
        while not (due := await yard.claim("stripe.reader")):
            yard.clock.advance(yard.world.now + SECOND)
        waits.append((yard.world.now - before).seconds)
        await outcomes.take(yard.world, due[0], Rejected({"code": code}))
    # 2 seconds, 4, 8, 15, then each half a minute, for the ten minutes that a start lives.
    assert waits[:6] == [0, 2, 4, 8, 15, 30]
    assert yard.world.now < T0 + 10 * MINUTE
    assert await yard.one("SELECT why FROM start_request") == code
    assert await _state(yard) == ("declined", "releasing")


async def test_a_time_out_is_looked_up_and_never_shown_again_blindly(yard: Yard) -> None:
    """payments.md 1.8: terminal_reader_timeout may be a false negative."""
    await _asked(yard)
    (effect,) = await yard.claim("stripe.reader")
    await outcomes.take(yard.world, effect, Unknown("the reader did not answer in time"))
    [row] = await yard.rows("SELECT state FROM effect WHERE kind = 'stripe.reader'")
    assert row["state"] == "unknown"  # resolved by the gate, not repeated


async def test_a_lost_webhook_is_made_up_for_by_asking_the_reader(yard: Yard) -> None:
    await _asked(yard)
    await yard.answer("stripe.reader", Done({"action_status": "in_progress"}))
    yard.clock.advance(yard.world.now + readers.POLL_EVERY)
    await yard.answer("money.due", Done({}))
    assert await _kinds(yard) == ["stripe.fetch"]
    action = {"status": "succeeded", "intent_id": "pi_1"}
    await _fetched(yard, "reader", {"id": "tmr_1", "action": action})
    (effect,) = await yard.claim("stripe.fetch")
    assert effect.request["id"] == "pi_1"


async def test_when_a_start_is_over_its_reader_is_freed(yard: Yard) -> None:
    start_id = await _asked(yard)
    await yard.answer("stripe.reader", Done({"action_status": "in_progress"}))
    async with yard.world.work.transaction("x") as tx:
        await tx.conn.execute(
            "UPDATE start_request SET state = 'expired' WHERE id = %s", (start_id,)
        )
    await _reader_says(yard, "in_progress")
    effect = await yard.answer("stripe.reader_cancel", Done({}))
    assert (effect.lane, effect.request["reader_id"]) == ("reader:tmr_1", "tmr_1")
    # A card may have come in the same moment: the intent says.
    (fetch,) = await yard.claim("stripe.fetch")
    assert fetch.request["object"] == "payment_intent"


async def test_what_was_not_sent_is_sent_again(yard: Yard) -> None:
    await _asked(yard)
    (effect,) = await yard.claim("stripe.reader")
    await outcomes.take(yard.world, effect, NotSent("no connection"))
    assert await _kinds(yard) == ["stripe.reader"]


async def test_a_card_that_somebody_else_read_at_our_reader_pays_the_session_it_fits(
    yard: Yard,
) -> None:
    """An intent of a till on our account: matched, captured to the cent."""
    async with yard.world.work.transaction("x", now=yard.world.now) as tx:
        await hints.plan_fetch(tx, "stripe", "payment_intent", "pi_till", "evt")
    held = {"id": "pi_till", "status": "requires_capture", "currency": "USD",
            "amount_minor": 5_000, "held_minor": 5_000, "capturable_minor": 5_000,
            "charge_id": "ch_9", "capture_before": None, "metadata": {}, "reader_id": "tmr_1",
            "created_at": T0.isoformat(), "brand": "visa", "last4": "4242"}  # fmt: skip
    await _fetched(yard, "payment_intent", held)
    [row] = await yard.rows("SELECT t.mode, t.state, p.state AS payment, p.method FROM"
                            " terminal_payment t JOIN payment p ON p.id = payment_id")  # fmt: skip
    assert row == {"mode": "we_capture", "state": "open", "payment": "held",
                   "method": "card_present"}  # fmt: skip
    session_id = await yard.charge(MINUTE, 10_000, at="D-1")
    assert await yard.bill(session_id) == "billed"
    # 10 kWh at 0.40 and 8.875 % tax: 4.355.
    (effect,) = await yard.claim("stripe.capture")
    assert effect.request["intent_id"] == "pi_till"
    assert effect.request["amount_minor"] == 436


async def test_a_start_names_a_reader_that_serves_its_charge_point(yard: Yard) -> None:
    for name in ("door", "tmr_1"):  # our name for it, or Stripe's
        wanted = ask_start.Wanted(Route.TERMINAL, "D-1", name, nonce="n", reader_id=name)
        asked = await ask_start.ask(yard.world, wanted)
        assert asked.start is not None
        assert asked.start.reader_id == "tmr_1"
    elsewhere = ask_start.Wanted(Route.TERMINAL, "D-2", "r", nonce="n", reader_id="door")
    with pytest.raises(BadInput) as error:
        await ask_start.ask(yard.world, elsewhere)
    assert error.value.path == "$.reader"

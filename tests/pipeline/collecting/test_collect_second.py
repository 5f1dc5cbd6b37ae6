"""What a hold does not pay: overcapture, a second charge, a debt or a waiver, and holds that are
gone. A session of 30.00 on a card of which 25.00 are held, unless a test says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from till_rig import GUEST, Till, terms, till

from wattledger.contract import Route
from wattledger.db import effects
from wattledger.payments import store as payments
from wattledger.pipeline.collecting import collect
from wattledger.pipeline.handlers import Settled

__all__ = ["till"]

SECOND = terms(second_charge=True)


async def _collected(till: Till, total: int = 3_000, **more: Any) -> None:
    till.add(total, **more)
    await till.collect()


async def test_the_rest_is_charged_again_where_the_driver_agreed(till: Till) -> None:
    await _collected(till, terms=SECOND)
    assert await till.asked() == [("stripe.charge", 500), ("stripe.capture", 2_500)]
    await till.says("stripe.capture", status="succeeded", captured_minor=2_500)
    effect = await till.charges(500)
    assert effect.request["params"] == {
        "amount": 500, "currency": "usd", "confirm": True, "off_session": True,
        "customer": "cus_ann", "payment_method": "pm_ann",
        "allowed_payment_method_types": ["card"], "error_on_requires_action": True,
        "description": "EV charging ses_1",
        "metadata": {"payment_id": effect.subject, "session_id": "ses_1", "leg": "second",
                     "attempt": "1"},
    }  # fmt: skip
    assert effect.key == f"north:{effect.subject}:charge:1"
    assert await till.parts() == [("captured", 2_500, "hold"), ("captured", 500, "second")]
    assert await till.payments() == [("hold", "captured", 2_500), ("second", "captured", 500)]
    assert await till.unproved() == []


@pytest.mark.parametrize("code", ["card_declined", "authentication_required"])
async def test_a_second_charge_that_is_refused_is_a_debt(till: Till, code: str) -> None:
    await _collected(till, terms=SECOND)
    await till.says("stripe.capture", status="succeeded", captured_minor=2_500)
    await till.refuses("stripe.charge", code, intent_id="pi_again")
    assert await till.parts() == [("captured", 2_500, "hold"), ("debt", 500, None)]
    assert await till.debts() == [("open", 500, code)]
    assert await till.balance("receivable.debt") == 500
    assert await till.unproved() == []


async def test_a_second_charge_that_is_refused_is_waived_where_nobody_owes(till: Till) -> None:
    await _collected(till, terms=SECOND, shortfall="waive")
    await till.says("stripe.capture", status="succeeded", captured_minor=2_500)
    await till.refuses("stripe.charge", "card_declined", decline_code="insufficient_funds")
    assert await till.parts() == [("captured", 2_500, "hold"), ("waived", 500, None)]
    assert await till.rows("SELECT decline_code FROM payment WHERE leg = 'second'") == [
        ("insufficient_funds",)
    ]


@pytest.mark.parametrize(
    ("promised", "payment"),
    [
        ({"consent": False}, {}),
        # A phone at a terminal: what it tapped with works once.
        (GUEST, {"method": "card_present", "wallet": "apple_pay", "customer": "cus_g",
                 "reusable_method": "pm_g"}),
        # A guest's card that can't be used again.
        (GUEST, {"method": "card_present"}),
    ],
)  # fmt: skip
async def test_who_did_not_agree_or_has_no_card_for_it_owes(
    till: Till, promised: dict[str, Any], payment: dict[str, Any]
) -> None:
    await _collected(till, terms=SECOND, payment=payment or None, **promised)
    assert await till.asked() == [("stripe.capture", 2_500)]
    assert await till.debts() == [("open", 500, "above_hold")]


async def test_a_guests_card_at_a_terminal_is_charged_again(till: Till) -> None:
    card = {"method": "card_present", "customer": "cus_g", "reusable_method": "pm_g"}
    await _collected(till, terms=SECOND, route=Route.TERMINAL, payment=card, **GUEST)
    assert await till.asked() == [("stripe.charge", 500), ("stripe.capture", 2_500)]


async def test_overcapture_goes_first_as_far_as_the_card_lets(till: Till) -> None:
    """15 % of 25.00 more: 28.75; the rest, 1.25, is charged again."""
    await _collected(
        till, terms=terms(overcapture=True, second_charge=True),
        payment={"capturable_minor": 2_875},
    )  # fmt: skip
    assert await till.asked() == [("stripe.charge", 125), ("stripe.capture", 2_875)]
    await till.says("stripe.capture", status="succeeded", captured_minor=2_875)
    await till.charges(125)
    assert await till.parts() == [("captured", 2_875, "hold"), ("captured", 125, "second")]
    assert await till.shown() == []


async def test_no_overcapture_that_was_not_agreed(till: Till) -> None:
    await _collected(till, payment={"capturable_minor": 2_875})
    assert await till.asked() == [("stripe.capture", 2_500)]
    assert await till.debts() == [("open", 500, "above_hold")]


@pytest.mark.parametrize(
    ("below", "state"), [("waive", ("waived", 49, None)), ("carry", ("debt", 49, None))]
)
async def test_less_than_can_be_charged_is_waived_or_carried(
    till: Till, below: str, state: tuple[Any, ...]
) -> None:
    """25.49: 0.49 are one cent below the least."""
    await _collected(till, 2_549, terms=terms(second_charge=True, below_minimum=below))
    assert await till.asked() == [("stripe.capture", 2_500)]
    assert (await till.parts())[1] == state
    carried = await till.rows("SELECT carried FROM debt")
    assert carried == ([(True,)] if below == "carry" else [])
    assert await till.rows("SELECT FROM token_block") == []


async def test_a_capture_below_the_least_is_carried_where_that_is_agreed(till: Till) -> None:
    await _collected(till, 22, terms=terms(below_minimum="carry"))
    await till.refuses("stripe.capture", "amount_too_small")
    assert await till.parts() == [("debt", 22, None)]
    assert await till.debts() == [("open", 22, "below_minimum")]


async def test_a_card_that_holds_less_pays_as_much(till: Till) -> None:
    """A partial approval of 10.00; the session comes to 11.00."""
    till.add(1_100, payment={"state": "holding", "intent_id": None, "authorized_minor": None})
    await till.collect()
    assert await till.parts() == [("pending", 1_100, "hold")]
    async with till.world.work.transaction("x") as tx:
        await effects.add(
            tx.conn, kind="stripe.hold", subject="pay_1", lane="pay_1", key="north:pay_1:hold:1",
            request={}, due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    await till.says(
        "stripe.hold", intent_id="pi_1", charge_id="ch_1", held_minor=1_000,
        capturable_minor=1_000, brand="visa", last4="4242", fingerprint="fp_1", customer="cus_2",
        reusable_method="pm_2", can_increment=True, capture_before="2026-11-09T00:00:00+00:00",
    )  # fmt: skip
    assert await till.asked() == [("stripe.capture", 1_000)]
    assert await till.debts() == [("open", 100, "above_hold")]
    assert await till.rows(
        "SELECT authorized_minor, capturable_minor, brand, last4, driver, customer,"
        " reusable_method, can_increment FROM payment"
    ) == [(1_000, 1_000, "visa", "4242", "ann", "cus_2", "pm_2", True)]
    assert await till.shown() == []


async def test_a_card_that_holds_far_less_is_as_good_as_declined(till: Till) -> None:
    till.add(
        state="open", terms=terms(least_hold_minor=1_500),
        payment={"state": "holding", "intent_id": None, "authorized_minor": None},
    )  # fmt: skip
    async with till.world.work.transaction("x") as tx:
        await effects.add(
            tx.conn, kind="stripe.hold", subject="pay_1", lane="pay_1", key="north:pay_1:hold:1",
            request={}, due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    await till.says("stripe.hold", intent_id="pi_1", charge_id="ch_1", held_minor=1_499)
    assert await till.payments() == [("hold", "held", 0)]
    assert await till.rows(
        "SELECT request->>'why' FROM effect WHERE kind = 'ocpp.remote_stop'"
    ) == [("hold_too_small",)]


# --- gone ------------------------------------------------------------------------------------


async def test_a_hold_that_is_gone_is_charged_again(till: Till) -> None:
    await _collected(till, 1_000)
    await till.refuses("stripe.capture", "charge_expired_for_capture")
    assert await till.asked() == [("stripe.charge", 1_000)]
    assert await till.shown() == ["hold.gone_charged"]
    await till.charges(1_000)
    assert await till.parts() == [("captured", 1_000, "second")]
    assert await till.payments() == [("hold", "released", 0), ("second", "captured", 1_000)]
    assert await till.unproved() == []


@pytest.mark.parametrize(
    ("gone", "state", "code"),
    [("debt", "debt", "hold.gone_owed"), ("waive", "waived", "hold.gone_waived")],
)
async def test_a_hold_that_is_gone_is_owed_or_waived(
    till: Till, gone: str, state: str, code: str
) -> None:
    await _collected(till, 1_000, terms=terms(gone=gone))
    await till.refuses("stripe.capture", "canceled")
    assert await till.parts() == [(state, 1_000, None)]
    assert await till.shown() == [code]


async def _seen(till: Till, **found: Any) -> None:
    """The processor's own word of the intent of pay_1, as a webhook hinted at it."""
    async with till.world.work.transaction("x") as tx:
        await effects.add(
            tx.conn, kind="stripe.fetch", subject="pi_1", lane="fetch:pi_1", key="fetch:1",
            request={}, due_at=tx.now, caused_at=tx.now,
        )  # fmt: skip
    claimed = await till.claim("stripe.fetch")
    snapshot = await till.world.snapshot(till.world.now)
    async with till.world.work.transaction("x") as tx:
        settled = Settled(tx, till.world, snapshot, claimed, {})
        await collect.intent_seen(settled, await payments.get(tx.conn, "pay_1"), found)


async def test_a_hold_that_lapsed_outside_is_known_when_the_session_is_billed(till: Till) -> None:
    till.add(1_000, terms=terms(gone="debt"))
    await _seen(till, status="canceled", cancellation_reason="automatic")
    assert await till.payments() == [("hold", "released", 0)]
    await till.collect()
    assert await till.debts() == [("open", 1_000, "hold_gone")]
    assert await till.shown() == ["hold.gone", "hold.gone_owed"]


async def test_a_hold_that_lapsed_under_a_session_stops_it(till: Till) -> None:
    till.add(state="open", consent=False)
    await _seen(till, status="canceled")
    assert await till.rows("SELECT request->>'why' FROM effect WHERE kind = 'ocpp.remote_stop'")


async def test_a_hold_captured_outside_pays_its_session(till: Till) -> None:
    """Somebody captured 12.00 at the processor; the session comes to 10.00."""
    till.add(1_000)
    await _seen(till, status="succeeded", captured_minor=1_200)
    await till.collect()
    assert await till.parts() == [("captured", 1_000, "hold")]
    assert await till.payments() == [("hold", "captured", 1_200)]
    assert await till.shown() == ["capture.outside"]
    # The 2.00 too much are no mistake of ours: test_excess.
    assert await till.unproved() == []


async def test_what_is_seen_of_a_payment_that_a_call_is_about_changes_nothing(till: Till) -> None:
    await _collected(till, 1_000)
    await _seen(till, status="canceled")
    assert await till.payments() == [("hold", "capturing", 0)]


async def test_a_capture_that_was_refused_and_had_its_effect_pays_what_is_owed(till: Till) -> None:
    """Its key had run out, and nobody could know; giving the hold back finds it taken."""
    await _collected(till, 1_000)
    await till.refuses("stripe.capture", "attempts_exhausted")
    assert await till.debts() == [("open", 1_000, "attempts_exhausted")]
    await till.refuses("stripe.release", "captured", status="succeeded", captured_minor=1_000)
    assert await till.payments() == [("hold", "captured", 1_000)]
    assert await till.parts() == [("captured", 1_000, "hold")]
    assert await till.debts() == [("paid", 1_000, "attempts_exhausted")]
    assert await till.shown() == ["capture.refused", "capture.outside"]
    assert await till.unproved() == []


async def test_an_increment_that_finds_its_hold_gone(till: Till) -> None:
    till.add(state="open", consent=False)
    async with till.world.work.transaction("x") as tx:
        await effects.add(
            tx.conn, kind="stripe.increment", subject="pay_1", lane="pay_1",
            key="north:pay_1:increment1:1", request={"amount_minor": 5_000}, due_at=tx.now,
            caused_at=tx.now,
        )  # fmt: skip
    await till.refuses("stripe.increment", "canceled", why="automatic")
    assert await till.rows("SELECT state, gone_why FROM payment") == [("released", "automatic")]
    assert await till.shown() == ["hold.gone"]

"""Stripe's objects as we keep them: what a card, a reader or an inquiry says, in our words."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from wattledger.payments.stripe import objects

# 2 November 2026, 08:00 UTC, and a week later.
CREATED, BEFORE = 1_793_606_400, 1_794_211_200


def _intent(card: dict[str, Any], kind: str = "card", **more: Any) -> Any:
    """A hold of 25.00 on a card."""
    charge = {
        "id": "ch_1", "object": "charge",
        "payment_method_details": {"type": kind, kind: {"brand": "visa", "last4": "4242", **card}},
    }  # fmt: skip
    body = {
        "id": "pi_1", "object": "payment_intent", "status": "requires_capture", "currency": "usd",
        "amount": 2_500, "amount_capturable": 2_500, "amount_received": 0, "created": CREATED,
        "metadata": {"payment_id": "pay_1"}, "latest_charge": charge, "customer": None,
        "payment_method": None, "payment_method_types": [kind], **more,
    }  # fmt: skip
    return stripe.PaymentIntent.construct_from(body, "key")


def _method(customer: str | None) -> dict[str, Any]:
    return {"id": "pm_1", "object": "payment_method", "customer": customer}


def test_a_plain_hold() -> None:
    found = objects.payment_intent(_intent({"capture_before": BEFORE, "wallet": None}))
    assert found == {
        "id": "pi_1", "status": "requires_capture", "currency": "USD", "amount_minor": 2_500,
        "held_minor": 2_500, "capturable_minor": 2_500, "captured_minor": 0,
        "metadata": {"payment_id": "pay_1"}, "charge_id": "ch_1", "decline_code": None,
        "cancellation_reason": None, "created_at": "2026-11-02T08:00:00+00:00",
        "capture_before": "2026-11-09T08:00:00+00:00", "brand": "visa", "last4": "4242",
        "wallet": None, "fingerprint": None, "can_increment": False, "customer": None,
        "reusable_method": None, "reader_id": None, "method": "card",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["card", "card_present"])
def test_what_may_be_captured_is_read_from_the_charge_alike_online_and_at_a_reader(
    kind: str,
) -> None:
    over = {"overcapture": {"status": "available", "maximum_amount_capturable": 2_875}}
    found = objects.payment_intent(_intent(over, kind))
    assert (found["held_minor"], found["capturable_minor"]) == (2_500, 2_875)
    refused = {"overcapture": {"status": "unavailable", "maximum_amount_capturable": 2_875}}
    assert objects.payment_intent(_intent(refused, kind))["capturable_minor"] == 2_500
    assert objects.payment_intent(_intent(over, kind))["method"] == kind


@pytest.mark.parametrize("kind", ["card", "card_present"])
def test_a_partial_approval_holds_what_was_approved(kind: str) -> None:
    found = objects.payment_intent(_intent({"amount_authorized": 1_800}, kind))
    assert (found["amount_minor"], found["held_minor"], found["capturable_minor"]) == (
        2_500, 1_800, 1_800,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("card", "can"),
    [
        ({"incremental_authorization": {"status": "available"}}, True),
        ({"incremental_authorization": {"status": "unavailable"}}, False),
        ({"incremental_authorization_supported": True}, True),
        ({"incremental_authorization_supported": False}, False),
        ({}, False),
    ],
)
def test_whether_a_hold_can_grow(card: dict[str, Any], can: bool) -> None:
    assert objects.payment_intent(_intent(card))["can_increment"] is can


def test_a_card_may_be_charged_again_when_it_is_saved_with_its_customer() -> None:
    saved = _intent({}, customer="cus_1", payment_method=_method("cus_1"))
    assert objects.payment_intent(saved)["reusable_method"] == "pm_1"
    for other in (
        _intent({}, customer="cus_1", payment_method=_method(None)),
        _intent({}, customer=None, payment_method=_method(None)),
        _intent({}, customer="cus_1", payment_method="pm_1"),
    ):
        assert objects.payment_intent(other)["reusable_method"] is None
    named = _intent({}, customer="cus_1", payment_method="pm_1", setup_future_usage="off_session")
    assert objects.payment_intent(named)["reusable_method"] == "pm_1"


def test_at_a_reader_the_card_made_of_it_may_be_charged_again_and_a_phones_wallet_never() -> None:
    method = {"payment_method": _method(None), "customer": "cus_1"}
    card = {"generated_card": "pm_made", "reader": "tmr_1"}
    found = objects.payment_intent(_intent(card, "card_present", **method))
    assert (found["reusable_method"], found["reader_id"]) == ("pm_made", "tmr_1")
    phone = {**card, "wallet": {"type": "apple_pay"}}
    found = objects.payment_intent(_intent(phone, "card_present", **method))
    assert (found["reusable_method"], found["wallet"]) == (None, "apple_pay")


def test_a_declined_intent_says_why_and_holds_nothing() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds"}
    intent = _intent({}, status="requires_payment_method", last_payment_error=error,
                     amount_capturable=0, latest_charge=None)  # fmt: skip
    found = objects.payment_intent(intent)
    assert (found["decline_code"], found["held_minor"], found["charge_id"]) == (
        "insufficient_funds", 0, None,
    )  # fmt: skip


def test_amounts_are_in_our_units() -> None:
    """ISK has no decimals, and Stripe says it with two zeros."""
    intent = _intent({"overcapture": {"status": "available", "maximum_amount_capturable": 300_000}},
                     currency="isk", amount=250_000, amount_capturable=250_000)  # fmt: skip
    found = objects.payment_intent(intent)
    assert (found["held_minor"], found["capturable_minor"]) == (2_500, 3_000)


@pytest.mark.parametrize(
    ("status", "inquiry"),
    [
        ("warning_needs_response", True),
        ("warning_closed", True),
        ("needs_response", False),
        ("lost", False),
    ],
)
def test_an_inquiry_is_no_dispute_yet(status: str, inquiry: bool) -> None:
    row = stripe.Dispute.construct_from(
        {"id": "du_1", "status": status, "amount": 440, "currency": "usd", "charge": "ch_1",
         "payment_intent": "pi_1", "reason": "fraudulent", "created": CREATED,
         "evidence_details": {"due_by": BEFORE}}, "key",
    )  # fmt: skip
    assert objects.dispute(row) == {
        "id": "du_1", "status": status, "amount_minor": 440, "currency": "USD",
        "charge_id": "ch_1", "intent_id": "pi_1", "reason": "fraudulent",
        "evidence_due_at": "2026-11-09T08:00:00+00:00", "inquiry": inquiry,
        "created_at": "2026-11-02T08:00:00+00:00",
    }  # fmt: skip


def test_a_reader_and_its_one_action() -> None:
    action = {"type": "process_payment_intent", "status": "failed", "failure_code": "card_declined",
              "process_payment_intent": {"payment_intent": "pi_1"}}  # fmt: skip
    row = stripe.terminal.Reader.construct_from(
        {"id": "tmr_1", "status": "online", "action": action}, "key"
    )
    assert objects.reader(row) == {
        "id": "tmr_1", "status": "online",
        "action": {"type": "process_payment_intent", "status": "failed",
                   "failure_code": "card_declined", "intent_id": "pi_1"},
    }  # fmt: skip
    idle = {"id": "tmr_1", "status": "offline", "action": None}
    row = stripe.terminal.Reader.construct_from(idle, "key")
    assert objects.reader(row) == idle


def test_a_fraud_warning() -> None:
    row = stripe.radar.EarlyFraudWarning.construct_from(
        {"id": "issfr_1", "charge": "ch_1", "payment_intent": "pi_1", "fraud_type": "misc",
         "actionable": True, "created": CREATED}, "key",
    )  # fmt: skip
    assert objects.fraud_warning(row) == {
        "id": "issfr_1", "charge_id": "ch_1", "intent_id": "pi_1", "fraud_type": "misc",
        "actionable": True, "created_at": "2026-11-02T08:00:00+00:00",
    }  # fmt: skip


def test_what_may_be_captured_is_said_as_far_as_it_can_be() -> None:
    """Whole krónur, said with two decimals: 15 % above 2,505 kr. are 2,880.75."""
    over = {"overcapture": {"status": "available", "maximum_amount_capturable": 288_075}}
    found = objects.payment_intent(
        _intent(over, currency="isk", amount=250_500, amount_capturable=250_500)
    )
    assert (found["held_minor"], found["capturable_minor"]) == (2_505, 2_880)

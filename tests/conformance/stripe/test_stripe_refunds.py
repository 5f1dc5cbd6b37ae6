"""Refunds: rules of docs.stripe.com/refunds and of the test cards for them."""

from __future__ import annotations

import pytest
import stripe


def _refund(money, charge, **more):
    return money.v1.refunds.create({"charge": charge.id, "expand": ["balance_transaction"], **more})


def _look(money, refund):
    expand = ["balance_transaction", "failure_balance_transaction"]
    return money.v1.refunds.retrieve(refund.id, {"expand": expand})


def _charge(money, charge):
    return money.v1.charges.retrieve(charge.id)


def test_a_refund_takes_the_amount_and_gives_no_fee_back(money):
    charge = money.paid(5000).latest_charge
    refund = _refund(money, charge, amount=1200)
    entry = refund.balance_transaction
    assert (refund.status, refund.amount) == ("succeeded", 1200)
    assert (entry.type, entry.reporting_category) == ("refund", "refund")
    assert (entry.amount, entry.fee, entry.source) == (-1200, 0, refund.id)
    seen = _charge(money, charge)
    assert (seen.amount_refunded, seen.refunded) == (1200, False)
    _refund(money, charge)  # without an amount: the rest
    seen = _charge(money, charge)
    assert (seen.amount_refunded, seen.refunded) == (5000, True)


def test_no_more_than_was_captured_is_refunded(money):
    hold = money.paid(5000, capture_method="manual")
    money.v1.payment_intents.capture(hold.id, {"amount_to_capture": 3000})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        _refund(money, hold.latest_charge, amount=3001)
    assert _refund(money, hold.latest_charge, amount=3000).amount == 3000
    with pytest.raises(stripe.InvalidRequestError) as again:
        _refund(money, hold.latest_charge, amount=1)
    assert again.value.code == "charge_already_refunded"


def test_rule_1_10_each_refund_is_told_of_and_the_charge_lists_none(money):
    charge = money.paid(5000).latest_charge
    refund = _refund(money, charge, amount=500)
    assert money.eventually(lambda: money.events("refund.created", refund.id))
    assert money.eventually(lambda: money.events("charge.refunded", charge.id))
    event = money.v1.events.list({"type": "charge.refunded", "limit": 1}).data[0]
    assert "refunds" not in event.data.object


def test_a_refund_carries_metadata_and_a_reason(money):
    charge = money.paid(5000).latest_charge
    refund = _refund(
        money, charge, amount=1, reason="requested_by_customer", metadata={"ours": "r1"}
    )
    changed = money.v1.refunds.update(refund.id, {"metadata": {"line": "energy"}})
    assert changed.metadata.to_dict() == {"ours": "r1", "line": "energy"}
    assert changed.reason == "requested_by_customer"


def test_a_refund_may_be_pending_and_succeed_later(money):
    refund = _refund(money, money.paid(5000, "pm_card_pendingRefund").latest_charge)
    assert refund.status == "pending"
    money.eventually(lambda: _look(money, refund).status == "succeeded")
    assert _look(money, refund).status == "succeeded"
    assert money.events("refund.updated", refund.id)


def test_a_refund_may_fail_after_it_seemed_to_succeed(money):
    charge = money.paid(5000, "pm_card_refundFail").latest_charge
    refund = _refund(money, charge, amount=2000)
    assert refund.status == "succeeded"
    money.eventually(lambda: _look(money, refund).status == "failed")
    failed = _look(money, refund)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    back = failed.failure_balance_transaction
    assert (back.amount, back.fee, back.reporting_category) == (2000, 0, "refund_failure")
    assert money.events("refund.failed", refund.id) == ["refund.failed"]
    assert money.events("charge.refund.updated", refund.id)


def test_what_failed_to_be_refunded_is_not_refunded(money):
    charge = money.paid(5000, "pm_card_refundFail").latest_charge
    refund = _refund(money, charge)
    assert _charge(money, charge).refunded
    money.eventually(lambda: _look(money, refund).status == "failed")
    seen = _charge(money, charge)
    assert (seen.amount_refunded, seen.refunded) == (0, False)


def test_a_refund_to_a_card_cannot_be_canceled(money):
    refund = _refund(money, money.paid(5000, "pm_card_pendingRefund").latest_charge)
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.refunds.cancel(refund.id)


def test_a_refund_that_the_balance_does_not_cover_waits_for_it(money):
    money.later(days=8)  # what was taken before is paid out
    money.sim("account", refunds_wait=True)
    try:
        # Nothing is available yet: what was taken is pending for two business days.
        refund = _refund(money, money.paid(5000).latest_charge, amount=2000)
        assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
        assert refund.balance_transaction is None
        money.later(days=4)
        refund = _look(money, refund)
        assert refund.status == "succeeded"
        assert refund.balance_transaction.amount == -2000
    finally:
        money.sim("account", refunds_wait=False)


def test_an_authorization_is_not_refunded(money):
    hold = money.paid(5000, capture_method="manual")
    money.only_here("refuse it: it cancels the hold instead")
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.refunds.create({"payment_intent": hold.id})


def test_refunds_are_listed_by_charge_and_intent(money):
    intent = money.paid(5000)
    made = [_refund(money, intent.latest_charge, amount=n).id for n in (1, 2)]
    by_charge = money.v1.refunds.list({"charge": intent.latest_charge.id}).data
    by_intent = money.v1.refunds.list({"payment_intent": intent.id}).data
    assert [r.id for r in by_charge] == [r.id for r in by_intent] == made[::-1]

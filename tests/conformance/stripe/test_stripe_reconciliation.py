"""Rule 1.11: balance transactions and payouts, what an account is reconciled by: as
docs.stripe.com/payouts and /reports/reporting-categories have them. Only the sandbox passes
time."""

from __future__ import annotations

import pytest
import stripe


def _entry(money, entry_id):
    return money.v1.balance_transactions.retrieve(entry_id)


def _available(money, currency="usd"):
    found = money.v1.balance.retrieve().available
    return {line.currency: line.amount for line in found}.get(currency, 0)


def _pending(money, currency="usd"):
    found = money.v1.balance.retrieve().pending
    return {line.currency: line.amount for line in found}.get(currency, 0)


def _paid_out(money):
    """Everything taken so far is paid out: the next payout is the test's own."""
    money.later(days=8)
    return money.v1.payouts.list({"limit": 1}).data


def _next_payout(money):
    money.later(days=5)
    return money.v1.payouts.list({"limit": 1}).data[0]


@pytest.fixture
def habit(money):
    """Change how the account behaves, for one test."""
    changed = {}

    def change(**wanted):
        before = money.told("account")
        changed.update({name: before[name] for name in wanted})
        money.sim("account", **wanted)

    yield change
    if changed:
        money.sim("account", **changed)


def test_rule_1_11_a_partial_capture_is_two_transactions_that_sum_to_the_part(money):
    hold = money.paid(5000, capture_method="manual")
    before = {e.id for e in money.v1.balance_transactions.list({"limit": 100}).data}
    money.v1.payment_intents.capture(hold.id, {"amount_to_capture": 1234})
    found = money.eventually(
        lambda: [
            e for e in money.v1.balance_transactions.list({"limit": 20}).data if e.id not in before
        ]
    )
    by_category = {e.reporting_category: e for e in found}
    whole, back = by_category["charge"], by_category["partial_capture_reversal"]
    assert (whole.type, back.type) == ("charge", "refund")
    assert (whole.amount, back.amount) == (5000, 1234 - 5000)
    assert back.fee < 0
    if money.account.is_sandbox:
        # 2.9 % of 12.34 is 0.36, and 0.30.
        assert whole.fee + back.fee == 36 + 30


def test_rule_1_11_the_fee_stands_on_the_transaction_with_its_kind(money):
    charge = money.paid(5000).latest_charge
    named = money.eventually(lambda: money.v1.charges.retrieve(charge.id).balance_transaction)
    entry = _entry(money, named)
    assert entry.net == entry.amount - entry.fee
    assert sum(detail.amount for detail in entry.fee_details) == entry.fee
    assert {detail.type for detail in entry.fee_details} == {"stripe_fee"}
    assert (entry.source, entry.status) == (charge.id, "pending")


def test_rule_1_11_a_captured_charge_may_name_its_transaction_only_later(money, habit):
    habit(capture_delay_s=90)
    charge = money.paid(5000).latest_charge
    assert charge.balance_transaction is None
    money.later(seconds=90)
    assert money.v1.charges.retrieve(charge.id).balance_transaction
    assert "charge.updated" in money.events("charge.updated", charge.id)


def test_rule_1_11_an_automatic_payout_is_the_sum_of_its_transactions(money):
    _paid_out(money)
    made = [money.paid(n).latest_charge.balance_transaction for n in (5000, 3000)]
    payout = _next_payout(money)
    listed = money.v1.balance_transactions.list({"payout": payout.id, "expand": ["data.source"]})
    own = [e for e in listed.data if e.type == "payout"]
    others = [e for e in listed.data if e.type != "payout"]
    assert {e.id for e in others} == set(made)
    # 50.00 − 1.75 and 30.00 − 1.17.
    assert sum(e.net for e in others) == payout.amount == 4825 + 2883
    assert [(e.amount, e.fee, e.source.id) for e in own] == [(-payout.amount, 0, payout.id)]
    assert {e.source.object for e in others} == {"charge"}


def test_rule_1_11_the_transactions_of_a_payout_are_listed_once_it_is_reconciled(money, habit):
    _paid_out(money)
    habit(reconciliation_delay_s=7200)
    money.paid(5000)
    payout_id = None
    for _ in range(6):
        money.later(days=1)
        latest = money.v1.payouts.list({"limit": 1}).data[0]
        if latest.reconciliation_status == "in_progress":
            payout_id = latest.id
            break
        # The day began at midnight, which is longer ago than the two hours: look at it then.
        midnight_s = (money.now_s // 86_400 + 1) * 86_400
        money.later(seconds=midnight_s - money.now_s)
        latest = money.v1.payouts.list({"limit": 1}).data[0]
        if latest.reconciliation_status == "in_progress":
            payout_id = latest.id
            break
    assert payout_id
    with pytest.raises(stripe.InvalidRequestError) as early:
        money.v1.balance_transactions.list({"payout": payout_id})
    assert early.value.code == "payout_reconciliation_not_ready"
    assert money.events("payout.reconciliation_completed", payout_id) == []
    money.later(seconds=7200)
    done = "payout.reconciliation_completed"
    assert money.events(done, payout_id) == [done]
    assert money.v1.payouts.retrieve(payout_id).reconciliation_status == "completed"
    assert money.v1.balance_transactions.list({"payout": payout_id}).data


def test_rule_1_11_a_manual_payout_has_no_transactions_of_its_own(money, habit):
    habit(payouts="manual")
    money.paid(5000)
    money.later(days=5)
    assert _available(money) >= 4825
    payout = money.v1.payouts.create({"amount": 1000, "currency": "usd"})
    assert (payout.status, payout.automatic) == ("pending", False)
    assert payout.reconciliation_status == "not_applicable"
    assert _entry(money, payout.balance_transaction).amount == -1000
    with pytest.raises(stripe.InvalidRequestError, match="automatic"):
        money.v1.balance_transactions.list({"payout": payout.id})
    money.later(days=5)
    assert money.v1.payouts.retrieve(payout.id).status == "paid"


def test_rule_1_11_no_more_than_is_available_is_paid_out(money, habit):
    habit(payouts="manual")
    amount = max(_available(money), 0) + 1
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        money.v1.payouts.create({"amount": amount, "currency": "usd"})
    assert refusal.value.code == "balance_insufficient"


def test_rule_1_11_a_payout_is_canceled_before_the_bank_has_it(money, habit):
    habit(payouts="manual")
    money.paid(5000)
    money.later(days=5)
    before = _available(money)
    payout = money.v1.payouts.create({"amount": 1000, "currency": "usd"})
    assert _available(money) == before - 1000
    canceled = money.v1.payouts.cancel(payout.id)
    assert canceled.status == "canceled"
    back = _entry(money, canceled.failure_balance_transaction)
    assert (back.type, back.reporting_category) == ("payout_cancel", "payout_reversal")
    assert _available(money) == before
    assert money.events("payout.canceled", payout.id) == ["payout.canceled"]
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.payouts.cancel(payout.id)


def test_rule_1_11_a_payout_that_was_paid_can_still_fail(money):
    _paid_out(money)
    money.paid(5000)
    payout = _next_payout(money)
    money.later(days=4)
    assert money.v1.payouts.retrieve(payout.id).status == "paid"
    money.sim(f"payouts/{payout.id}/fail")
    failed = money.v1.payouts.retrieve(payout.id)
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    back = _entry(money, failed.failure_balance_transaction)
    assert (back.type, back.reporting_category) == ("payout_failure", "payout_reversal")
    assert back.amount == payout.amount
    assert money.events("payout.failed", payout.id) == ["payout.failed"]


def test_rule_1_11_a_negative_balance_waits_or_is_collected_from_the_bank(money, habit):
    _paid_out(money)
    charge = money.paid(5000).latest_charge
    _next_payout(money)
    money.v1.refunds.create({"charge": charge.id})
    before = money.v1.payouts.list({"limit": 1}).data[0].id
    money.later(days=5)
    assert _available(money) == -5000
    assert money.v1.payouts.list({"limit": 1}).data[0].id == before
    habit(negative="debits")
    money.v1.refunds.create({"charge": money.paid(1000).latest_charge.id})  # what opens a day
    payout = _next_payout(money)
    # 50.00, and the fee of 0.59 on the 10.00 that were given back.
    assert payout.amount == -5000 - 59
    assert _available(money) == 0
    items = money.v1.balance_transactions.list({"payout": payout.id}).data
    assert sum(e.net for e in items if e.type != "payout") == payout.amount


def test_rule_1_11_with_separate_pricing_the_costs_are_lines_of_their_own(money, habit):
    habit(fees="apart")
    charge = money.paid(5000).latest_charge
    assert _entry(money, charge.balance_transaction).fee == 0
    for category, amount in (("fee", 25), ("network_cost", 61)):
        line = money.sim("fee", amount=amount, category=category, currency="usd")
        entry = _entry(money, line["id"])
        assert (entry.type, entry.reporting_category) == ("stripe_fee", category)
        assert (entry.amount, entry.fee, entry.net, entry.source) == (-amount, 0, -amount, None)


def test_rule_1_11_opening_and_the_nets_of_a_day_are_its_closing(money):
    def balance():
        return _available(money) + _pending(money)

    opening, since = balance(), money.account.now.timestamp()
    known = {e.id for e in money.v1.balance_transactions.list({"limit": 100}).auto_paging_iter()}
    hold = money.paid(5000, capture_method="manual")
    money.v1.payment_intents.capture(hold.id, {"amount_to_capture": 1500})
    money.v1.refunds.create({"payment_intent": hold.id, "amount": 300})
    money.paid(2000, "pm_card_createDispute")

    def nets():
        """By category; nothing until the dispute is there, which takes its time at Stripe."""
        by_category = {}
        found = money.v1.balance_transactions.list({"created": {"gte": int(since)}, "limit": 100})
        for entry in found.auto_paging_iter():
            if entry.id not in known and entry.currency == "usd":
                by_category.setdefault(entry.reporting_category, []).append(entry.net)
        return by_category if "dispute" in by_category else {}

    made = money.eventually(nets)
    assert {"charge", "partial_capture_reversal", "refund", "dispute"} <= set(made)
    assert balance() == opening + sum(sum(of_one) for of_one in made.values())


def test_rule_1_11_payouts_are_listed_by_status_and_arrival(money):
    latest = _paid_out(money)[0]
    listed = money.v1.payouts.list({"status": "paid", "arrival_date": latest.arrival_date}).data
    assert latest.id in {p.id for p in listed}
    later = money.v1.payouts.list({"arrival_date": {"gt": latest.arrival_date}}).data
    assert latest.id not in {p.id for p in later}


def test_rule_1_11_a_card_that_passes_the_pending_balance_by_is_available_at_once(money):
    before = _available(money)
    charge = money.paid(5000, "pm_card_bypassPending").latest_charge
    named = money.eventually(lambda: money.v1.charges.retrieve(charge.id).balance_transaction)
    entry = _entry(money, named)
    assert entry.status == "available"
    assert _available(money) == before + entry.net

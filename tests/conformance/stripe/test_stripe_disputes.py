"""Rule 1.10: disputes, inquiries and early fraud warnings, as docs.stripe.com/disputes has them."""

from __future__ import annotations

import pytest
import stripe

WON, LOST = "winning_evidence", "losing_evidence"


def _disputed(money, token="pm_card_createDispute", amount=6000):
    """A paid charge and its dispute."""
    charge = money.paid(amount, token).latest_charge
    found = money.eventually(lambda: money.v1.disputes.list({"charge": charge.id}).data)
    return charge, found[0]


def _look(money, dispute):
    return money.v1.disputes.retrieve(dispute.id)


def _answer(money, dispute, text, **more):
    return money.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}, **more})


def _closed(money, dispute, status):
    money.eventually(lambda: _look(money, dispute).status == status)
    seen = _look(money, dispute)
    assert seen.status == status
    return seen


def test_rule_1_10_a_chargeback_withdraws_the_amount_and_a_fee(money):
    charge, dispute = _disputed(money)
    assert (dispute.status, dispute.reason) == ("needs_response", "fraudulent")
    assert (dispute.amount, dispute.charge) == (6000, charge.id)
    (entry,) = dispute.balance_transactions
    assert (entry.type, entry.reporting_category) == ("adjustment", "dispute")
    # 60.00 and the fee of 15.00.
    assert (entry.amount, entry.fee, entry.net) == (-6000, 1500, -7500)
    assert entry.source == dispute.id
    assert money.v1.charges.retrieve(charge.id).disputed
    assert money.eventually(lambda: money.events("charge.dispute.created", dispute.id))
    assert money.eventually(lambda: money.events("charge.dispute.funds_withdrawn", dispute.id))


def test_rule_1_10_a_hold_is_disputed_only_once_it_is_captured(money):
    hold = money.paid(4400, "pm_card_createDispute", capture_method="manual")
    charge_id = hold.latest_charge.id
    assert money.v1.disputes.list({"charge": charge_id}).data == []
    money.v1.payment_intents.capture(hold.id, {"amount_to_capture": 1000})
    listed = money.eventually(lambda: money.v1.disputes.list({"charge": charge_id}).data)
    assert [d.amount for d in listed] == [1000]


def test_rule_1_10_an_inquiry_moves_no_money(money):
    charge, inquiry = _disputed(money, "pm_card_createDisputeInquiry", 1700)
    assert inquiry.status == "warning_needs_response"
    assert inquiry.payment_method_details.card.case_type == "inquiry"
    assert (inquiry.balance_transactions, inquiry.is_charge_refundable) == ([], True)
    assert money.events("charge.dispute.funds_withdrawn", inquiry.id) == []
    assert money.v1.refunds.create({"charge": charge.id, "amount": 100}).status == "succeeded"


def test_rule_1_10_a_disputed_charge_is_not_refunded(money):
    charge, dispute = _disputed(money)
    assert dispute.is_charge_refundable is False
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        money.v1.refunds.create({"charge": charge.id})
    assert refusal.value.code == "charge_disputed"


def test_rule_1_10_a_won_dispute_gives_the_money_back(money):
    charge, dispute = _disputed(money)
    _answer(money, dispute, WON)
    won = _closed(money, dispute, "won")
    withdrawn, reinstated = won.balance_transactions
    assert reinstated.reporting_category == "dispute_reversal"
    assert (reinstated.amount, withdrawn.amount) == (6000, -6000)
    assert money.events("charge.dispute.funds_reinstated", dispute.id)
    assert money.events("charge.dispute.closed", dispute.id) == ["charge.dispute.closed"]
    refunded = money.v1.refunds.create({"charge": charge.id, "amount": 100})
    assert refunded.status == "succeeded"


def test_rule_1_10_a_lost_dispute_gives_nothing_back(money):
    charge, dispute = _disputed(money)
    _answer(money, dispute, LOST)
    lost = _closed(money, dispute, "lost")
    assert len(lost.balance_transactions) == 1
    assert money.events("charge.dispute.closed", dispute.id) == ["charge.dispute.closed"]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        money.v1.refunds.create({"charge": charge.id})
    assert refusal.value.code == "charge_disputed"


def test_rule_1_10_evidence_is_staged_until_it_is_submitted(money):
    _, dispute = _disputed(money, "pm_card_createDisputeProductNotReceived")
    assert dispute.reason == "product_not_received"
    staged = money.v1.disputes.update(
        dispute.id, {"evidence": {"service_date": "2026-11-23"}, "submit": False}
    )
    assert staged.status == "needs_response"
    assert (staged.evidence_details.has_evidence, staged.evidence_details.submission_count) == (
        True,
        0,
    )
    sent = money.v1.disputes.update(
        dispute.id, {"evidence": {"product_description": "12.3 kWh, signed"}}
    )
    assert sent.status == "under_review"
    assert sent.evidence_details.submission_count == 1
    assert sent.evidence.service_date == "2026-11-23"
    assert money.eventually(lambda: money.events("charge.dispute.updated", dispute.id))


def test_rule_1_10_closing_a_dispute_accepts_it(money):
    _, dispute = _disputed(money)
    assert money.v1.disputes.close(dispute.id).status == "lost"
    for act in (money.v1.disputes.close, money.v1.disputes.update):
        with pytest.raises(stripe.InvalidRequestError, match="already closed"):
            act(dispute.id, {"metadata": {"a": "b"}} if act == money.v1.disputes.update else {})


def test_rule_1_10_metadata_alone_submits_nothing(money):
    _, dispute = _disputed(money)
    changed = money.v1.disputes.update(dispute.id, {"metadata": {"ours": "d1"}})
    assert changed.status == "needs_response"
    assert changed.evidence_details.submission_count == 0


def test_rule_1_10_who_lets_the_time_for_evidence_pass_has_lost(money):
    charge = money.paid(3000).latest_charge
    made = money.sim("dispute", charge=charge.id, reason="general", evidence_due_days=3)
    # Due at the end of the third day after today.
    due = money.v1.disputes.retrieve(made["id"]).evidence_details.due_by
    day = money.now_s // 86_400
    assert due == (day + 4) * 86_400 - 1
    money.later(seconds=due - 1 - money.now_s)
    assert money.v1.disputes.retrieve(made["id"]).status == "needs_response"
    money.later(seconds=1)
    lost = money.v1.disputes.retrieve(made["id"])
    assert (lost.status, lost.evidence_details.past_due) == ("lost", True)


@pytest.mark.parametrize("amount", [2500, 3100])
def test_rule_1_10_less_or_more_than_the_charge_may_be_disputed(money, amount):
    charge = money.paid(3000).latest_charge
    made = money.sim("dispute", charge=charge.id, reason="fraudulent", amount=amount)
    assert made["amount"] == amount
    assert made["balance_transactions"][0]["net"] == -amount - 1500


def test_rule_1_10_an_inquiry_may_become_a_chargeback(money):
    charge, inquiry = _disputed(money, "pm_card_createDisputeInquiry")
    _answer(money, inquiry, "escalate_inquiry_evidence")
    escalated = _closed(money, inquiry, "needs_response")
    assert [e.reporting_category for e in escalated.balance_transactions] == ["dispute"]
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.refunds.create({"charge": charge.id})


def test_rule_1_10_an_inquiry_that_comes_to_nothing_is_closed_after_120_days(money):
    _, inquiry = _disputed(money, "pm_card_createDisputeInquiry")
    money.later(days=119)
    assert _look(money, inquiry).status == "warning_needs_response"
    money.later(days=1)
    assert _look(money, inquiry).status == "warning_closed"
    assert money.events("charge.dispute.closed", inquiry.id) == ["charge.dispute.closed"]


def test_rule_1_10_the_control_closes_a_dispute_either_way(money):
    for outcome, net in (("won", 0), ("lost", -4500)):
        charge = money.paid(3000).latest_charge
        made = money.sim("dispute", charge=charge.id)
        closed = money.sim(f"dispute/{made['id']}/close", outcome=outcome)
        assert closed["status"] == outcome
        assert sum(e["net"] for e in closed["balance_transactions"]) == net


def test_rule_1_10_a_charge_may_be_disputed_more_than_once(money):
    charge = money.paid(6000, "pm_card_createMultipleDisputes").latest_charge
    listed = money.eventually(lambda: money.v1.disputes.list({"charge": charge.id}).data)
    assert len(listed) >= 2


def test_rule_1_10_an_early_fraud_warning_can_be_acted_on_by_refunding(money):
    charge = money.paid(5000, "pm_card_createIssuerFraudRecord").latest_charge
    warnings = money.v1.radar.early_fraud_warnings
    listed = money.eventually(lambda: warnings.list({"charge": charge.id}).data)
    (warning,) = listed
    assert (warning.charge, warning.actionable) == (charge.id, True)
    created = "radar.early_fraud_warning.created"
    assert money.eventually(lambda: money.events(created, warning.id)) == [created]
    assert warnings.retrieve(warning.id).fraud_type
    money.v1.refunds.create({"charge": charge.id})
    assert money.eventually(lambda: not warnings.retrieve(warning.id).actionable)


def test_rule_1_10_a_warning_asks_for_nothing_once_there_is_a_dispute(money):
    charge = money.paid(5000).latest_charge
    warned = money.sim("fraud_warning", charge=charge.id, fraud_type="misc")
    assert warned["actionable"]
    money.sim("dispute", charge=charge.id)
    again = money.v1.radar.early_fraud_warnings.retrieve(warned["id"])
    assert again.actionable is False


def test_rule_1_10_evidence_has_a_length_and_files_are_named_by_their_ids(money):
    _, dispute = _disputed(money)
    fits = "x" * 20_000
    for wrong in ({"uncategorized_text": fits + "x"}, {"receipt": "a text, and no file"}):
        with pytest.raises(stripe.InvalidRequestError):
            money.v1.disputes.update(dispute.id, {"evidence": wrong, "submit": False})
    staged = money.v1.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": fits}, "submit": False}
    )
    assert staged.evidence.uncategorized_text == fits


def test_rule_1_10_evidence_is_sent_once(money):
    money.only_here("say what becomes of evidence that is sent twice")
    _, dispute = _disputed(money)
    sent = {"evidence": {"product_description": "12.3 kWh"}, "submit": True}
    assert money.v1.disputes.update(dispute.id, sent).status == "under_review"
    with pytest.raises(stripe.InvalidRequestError):
        money.v1.disputes.update(dispute.id, sent)

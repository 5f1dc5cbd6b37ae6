"""Rule 1.5: a hold is incremented while it is used."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe
from stripe_account import PREVIEW, window

OK = "pm_card_debit_incrementalAuthAuthorized"
DECLINES = "pm_card_credit_disableEnterpriseCardFeatures"
ASKED = {"card": {"request_incremental_authorization": "if_available"}}


@pytest.fixture
def held(account):
    """A hold of 50.00 that can grow."""
    intent = account.hold(5000, OK, payment_method_options=ASKED)
    status = account.card(intent).incremental_authorization.status
    account.needs_ic_plus(status == "available", "incremental authorization")
    return intent


def _increment(account, intent, amount, **more):
    given = {"amount": amount, "expand": ["latest_charge"], **more}
    return account.v1.payment_intents.increment_authorization(intent.id, given)


def test_rule_1_5_increment_is_the_new_total(account, held):
    grown = _increment(account, held, 7500)
    assert (grown.status, grown.amount, grown.amount_capturable) == (
        "requires_capture",
        7500,
        7500,
    )
    assert grown.latest_charge.id == held.latest_charge.id
    assert grown.latest_charge.amount == 7500
    assert account.card(grown).amount_authorized == 7500
    assert account.v1.payment_intents.capture(held.id).amount_received == 7500


@pytest.mark.parametrize("amount", [5000, 4999])
def test_rule_1_5_the_new_total_is_above_the_present_one(account, held, amount):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        _increment(account, held, amount)
    assert refusal.value.param == "amount"
    assert account.v1.payment_intents.retrieve(held.id).amount == 5000


def test_rule_1_5_ten_attempts(account, held):
    for i in range(1, 11):
        assert _increment(account, held, 5000 + i * 100).amount == 5000 + i * 100
    with pytest.raises(stripe.InvalidRequestError):
        _increment(account, held, 7000)
    assert account.v1.payment_intents.retrieve(held.id).amount_capturable == 6000


def test_rule_1_5_ten_attempts_with_those_declined(account):
    intent = account.hold(5000, DECLINES, payment_method_options=ASKED)
    status = account.card(intent).incremental_authorization.status
    account.needs_ic_plus(status == "available", "incremental authorization")
    for _ in range(10):
        with pytest.raises(stripe.CardError):
            _increment(account, intent, 6000)
    with pytest.raises(stripe.InvalidRequestError):
        _increment(account, intent, 6000)


@pytest.mark.parametrize(
    ("amount", "most"),
    # The higher of 500.00 more (50.00 + 500.00) and 500 % more (200.00 + 1,000.00).
    [(5000, 55_000), (20_000, 120_000)],
)
def test_rule_1_5_one_step_is_capped(account, amount, most):
    intent = account.hold(amount, OK, payment_method_options=ASKED)
    status = account.card(intent).incremental_authorization.status
    account.needs_ic_plus(status == "available", "incremental authorization")
    with pytest.raises(stripe.InvalidRequestError):
        _increment(account, intent, most + 1)
    assert _increment(account, intent, most).amount_capturable == most


def test_rule_1_5_a_decline_leaves_the_hold_as_it_was(account):
    intent = account.hold(5000, DECLINES, payment_method_options=ASKED, metadata={"a": "1"})
    status = account.card(intent).incremental_authorization.status
    account.needs_ic_plus(status == "available", "incremental authorization")
    with pytest.raises(stripe.CardError) as refusal:
        _increment(account, intent, 6000, metadata={"a": "2"}, description="more")
    assert (refusal.value.http_status, refusal.value.code) == (402, "card_declined")
    after = account.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (after.status, after.amount, after.amount_capturable) == (
        "requires_capture",
        5000,
        5000,
    )
    # No other field was saved.
    assert (after.metadata["a"], after.description) == ("1", None)
    assert after.latest_charge.amount == 5000
    assert account.v1.payment_intents.capture(intent.id).amount_received == 5000


def test_rule_1_5_the_window_stays_what_it_was(account, held):
    account.pass_time(days=3)
    grown = _increment(account, held, 6000)
    assert window(grown, account.card(grown)) == timedelta(days=7)
    account.pass_time(days=4)
    assert account.v1.payment_intents.retrieve(held.id).status == "canceled"


def test_rule_1_5_not_unless_it_was_asked_for(account):
    intent = account.hold(5000, OK)
    assert account.card(intent).incremental_authorization.status == "unavailable"
    with pytest.raises(stripe.InvalidRequestError):
        _increment(account, intent, 6000)


@pytest.mark.parametrize(
    "card", ["pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_discover"]
)
def test_rule_1_5_the_networks_allow_it_for_charging(account, card):
    account.only_here("choose the merchant's category")
    intent = account.hold(card=card, payment_method_options=ASKED)
    assert account.card(intent).incremental_authorization.status == "available"


@pytest.mark.parametrize("card", ["pm_card_diners", "pm_card_jcb", "pm_card_unionpay"])
def test_rule_1_5_the_networks_of_the_beta_do_not(account, card):
    intent = account.hold(card=card, payment_method_options=ASKED)
    assert account.card(intent).incremental_authorization.status == "unavailable"


def test_rule_1_5_only_what_is_held_grows(account, held):
    account.v1.payment_intents.capture(held.id)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        _increment(account, held, 6000)
    assert refusal.value.code == "payment_intent_unexpected_state"


def test_rule_1_5_an_increment_may_be_approved_in_part(account):
    asked = {"card": {**ASKED["card"], "request_partial_authorization": "if_available"}}
    try:
        intent = account.hold(
            10_000,
            "pm_card_debit_partialIncrement",
            payment_method_options=asked,
            options={"stripe_version": PREVIEW},
        )
    except stripe.InvalidRequestError as refusal:
        if account.is_sandbox:
            raise
        pytest.skip(f"no partial authorization for this account: {refusal.user_message}")
    assert intent.amount == 10_000
    # 70 % of the 50.00 more: 100.00 + 35.00.
    assert _increment(account, intent, 15_000).amount_capturable == 13_500

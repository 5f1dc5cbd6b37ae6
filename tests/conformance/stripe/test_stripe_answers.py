"""Every answer of the sandbox has the form that Stripe's OpenAPI document gives it."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import stripe
from later_fields import LATER_FIELDS
from stripe_account import pdf
from stripe_schema import object_problems, problems

HERE = Path(__file__).parent


def test_the_document_is_the_one_that_the_readme_names():
    found = hashlib.sha256((HERE / "stripe.oas.json.gz").read_bytes()).hexdigest()
    assert found in (HERE / "README.md").read_text(encoding="utf-8")


def _declared(path: str) -> set[str]:
    """The fields of a class of the SDK, by its dotted name."""
    found: Any = stripe
    for name in path.split("."):
        found = getattr(found, name)
    return set(found.__annotations__)


@pytest.mark.parametrize("schema", sorted(LATER_FIELDS))
def test_a_later_field_is_declared_by_the_installed_sdk(schema):
    path, fields = LATER_FIELDS[schema]
    public = {name for name, reason in fields.items() if not reason.startswith("preview")}
    assert public <= _declared(path)


def test_the_check_refuses_what_is_not_in_the_document(account):
    account.only_here("tell the pinned version")
    intent = account.v1.payment_intents.retrieve(account.hold().id)
    right = intent.to_dict(recursive=True) if hasattr(intent, "to_dict") else dict(intent)
    assert object_problems("payment_intent", right) == []
    for change in ({"status": "captured"}, {"amount": "5000"}, {"bogus": 1}, {"id": None}):
        assert object_problems("payment_intent", {**copy.deepcopy(right), **change}), change
    missing = {name: value for name, value in right.items() if name != "amount"}
    assert object_problems("payment_intent", missing)
    assert problems("GET", "/v1/payment_intents/pi_1", 404, {"error": {"no": "type"}})
    assert problems("GET", "/v1/made_up", 200, {})


def _refused(act: Any, *given: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as refusal:
        act(*given)
    return refusal.value


def _cards(account, customer):
    v1 = account.v1
    made = v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    v1.payment_methods.attach(made.id, {"customer": customer})
    v1.payment_methods.update(made.id, {"metadata": {"a": "b"}})
    v1.payment_methods.list({"customer": customer})
    v1.customers.payment_methods.list(customer)
    v1.payment_methods.retrieve(made.id)
    v1.payment_methods.detach(made.id)


def _setups(account, customer):
    intents = account.v1.setup_intents
    card = {"customer": customer, "allowed_payment_method_types": ["card"]}
    for token in ("pm_card_visa", "pm_card_authenticationRequiredOnSetup"):
        intents.create({**card, "payment_method": token, "confirm": True})
    assert (
        _refused(
            intents.create,
            {**card, "payment_method": "pm_card_visa_chargeDeclined", "confirm": True},
        ).http_status
        == 402
    )
    later = intents.create(card)
    intents.confirm(later.id, {"payment_method": "pm_card_mastercard"})
    intents.cancel(intents.create(card).id)
    intents.retrieve(later.id)
    intents.list({"customer": customer})


def _payments(account, customer):
    v1 = account.v1
    for options in ({}, {"request_extended_authorization": "if_available"}):
        account.hold(payment_method_options={"card": options})
    for token in ("pm_card_authenticationRequired", "pm_card_amex", "pm_card_createDispute"):
        account.hold(card=token, customer=customer)
    account.hold(card="pm_card_authenticationRequired", return_url="https://e.example/back")
    for token in ("pm_card_radarBlock", "pm_card_visa_chargeDeclinedInsufficientFunds"):
        assert _refused(account.hold, 5000, token).http_status == 402
    held = account.hold(
        payment_method_options={"card": {"request_incremental_authorization": "if_available"}}
    )
    v1.payment_intents.increment_authorization(held.id, {"amount": 6000})
    v1.payment_intents.update(held.id, {"metadata": {"a": "b"}})
    v1.payment_intents.capture(held.id, {"amount_to_capture": 1234, "expand": ["customer"]})
    v1.payment_intents.cancel(account.hold().id)
    v1.payment_intents.retrieve(held.id, {"expand": ["latest_charge.balance_transaction"]})
    v1.payment_intents.list({"limit": 100, "expand": ["data.latest_charge"]})
    v1.charges.list({"limit": 100})
    account.pass_time(seconds=61)
    v1.payment_intents.search({"query": "status:'succeeded'"})
    v1.charges.search({"query": "currency:'usd'"})
    v1.customers.search({"query": "email:'driver@example.org'"})
    return held.id


def test_every_operation_answers_in_the_form_of_the_document(account):
    """The fixture checks each answer as it comes; this makes one of each."""
    account.only_here("tell the pinned version")
    v1 = account.v1
    customer, _ = account.customer()
    v1.customers.update(customer, {"name": "D", "metadata": {"a": "b"}})
    v1.customers.list()
    _cards(account, customer)
    _setups(account, customer)
    paid = _payments(account, customer)
    refund = v1.refunds.create({"payment_intent": paid, "amount": 100})
    v1.refunds.retrieve(refund.id)
    v1.refunds.list()
    v1.balance.retrieve()
    account.pass_time(days=9)
    for payout in v1.payouts.list().data:
        v1.payouts.retrieve(payout.id)
        v1.balance_transactions.list({"payout": payout.id, "expand": ["data.source"]})
    v1.balance_transactions.list({"limit": 100})
    file = v1.files.create({"purpose": "dispute_evidence", "file": pdf("receipt.pdf")})
    v1.files.retrieve(file.id)
    v1.files.list({"purpose": "dispute_evidence"})
    for dispute in v1.disputes.list().data:
        v1.disputes.retrieve(dispute.id)
    event = v1.events.list({"limit": 100}).data[0]
    v1.events.retrieve(event.id)
    v1.customers.delete(customer)
    assert v1.customers.retrieve(customer).deleted
    assert _refused(v1.payment_intents.retrieve, "pi_none").http_status == 404
    assert _refused(v1.payment_intents.create, {"amount": 1}).http_status == 400


def test_the_object_of_every_event_has_the_form_of_the_document(account):
    account.only_here("tell the pinned version")
    account.v1.payment_intents.capture(account.hold().id)
    account.v1.payment_intents.cancel(account.hold().id)
    _refused(account.hold, 5000, "pm_card_visa_chargeDeclined")
    events = account.v1.events.list({"limit": 100}).data
    assert {"charge.captured", "payment_intent.canceled", "charge.failed"} <= {
        event.type for event in events
    }
    *_, answer = account.recording.answers[-1]
    for event in answer["data"]:
        found = event["data"]["object"]
        assert object_problems(found["object"], found) == [], event["type"]

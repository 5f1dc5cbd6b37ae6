"""The test cards do what the documentation says of each."""

from __future__ import annotations

import pytest
import stripe

from wattledger.sandbox import tokens
from wattledger.sandbox.tokens import TEST_CARDS

DECLINED = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": (
        "card_declined",
        "card_velocity_exceeded",
    ),
}


def _customer(sandbox) -> str:
    return sandbox.stripe.v1.customers.create({}).id


def _saved(sandbox, token: str) -> tuple[str, str]:
    customer = _customer(sandbox)
    method = sandbox.stripe.v1.payment_methods.attach(token, {"customer": customer})
    return customer, method.id


def _authenticate(sandbox, intent, outcome: str = "passed"):
    answer = sandbox.http.post(f"/_sim/authenticate/{intent.id}", data={"outcome": outcome})
    assert answer.status_code == 200, answer.text
    return sandbox.stripe.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})


def _setup(sandbox, customer: str, token: str, **more):
    return sandbox.stripe.v1.setup_intents.create(
        {"customer": customer, "payment_method": token, "confirm": True, **more}
    )


@pytest.mark.parametrize(
    ("token", "brand", "funding", "last4"),
    [
        ("pm_card_visa", "visa", "credit", "4242"),
        ("pm_card_visa_debit", "visa", "debit", "5556"),
        ("pm_card_mastercard", "mastercard", "credit", "4444"),
        ("pm_card_mastercard_debit", "mastercard", "debit", "8210"),
        ("pm_card_mastercard_prepaid", "mastercard", "prepaid", "5100"),
        ("pm_card_amex", "amex", "credit", "0005"),
        ("pm_card_discover", "discover", "credit", "1117"),
        ("pm_card_diners", "diners", "credit", "0004"),
        ("pm_card_jcb", "jcb", "credit", "0505"),
        ("pm_card_unionpay", "unionpay", "credit", "0005"),
    ],
)
def test_a_card_of_each_network(sandbox, token, brand, funding, last4):
    held = sandbox.hold(payment_method=token, expand=["latest_charge", "payment_method"])
    card = held.latest_charge.payment_method_details.card
    assert (card.brand, card.funding, card.last4) == (brand, funding, last4)
    assert held.payment_method.card.fingerprint == card.fingerprint


@pytest.mark.parametrize("token", DECLINED)
def test_a_card_that_is_declined(sandbox, token):
    code, decline_code = DECLINED[token]
    with pytest.raises(stripe.CardError) as refusal:
        sandbox.hold(payment_method=token)
    assert (refusal.value.code, refusal.value.error.decline_code) == (code, decline_code)
    # It can't be saved either.
    with pytest.raises(stripe.CardError) as unsaved:
        sandbox.stripe.v1.payment_methods.attach(token, {"customer": _customer(sandbox)})
    assert unsaved.value.code == code
    with pytest.raises(stripe.CardError):
        _setup(sandbox, _customer(sandbox), token)


def test_a_card_that_is_saved_and_declined_later(sandbox):
    customer, method = _saved(sandbox, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError) as refusal:
        sandbox.hold(customer=customer, payment_method=method)
    assert refusal.value.code == "card_declined"


def test_radar_blocks_before_the_network_is_asked(sandbox):
    with pytest.raises(stripe.CardError) as refusal:
        sandbox.hold(payment_method="pm_card_radarBlock")
    charge = sandbox.stripe.v1.charges.retrieve(refusal.value.error.charge)
    assert (charge.outcome.type, charge.outcome.risk_level) == ("blocked", "highest")
    assert charge.outcome.network_status == "not_sent_to_network"


@pytest.mark.parametrize(
    ("token", "on_session", "off_session", "after_setup"),
    [
        ("pm_card_authenticationRequiredOnSetup", "requires_action", "refused", "held"),
        ("pm_card_authenticationRequired", "requires_action", "refused", "refused"),
        ("pm_card_authenticationRequiredSetupForOffSession", "requires_action", "held", "held"),
        ("pm_card_visa", "held", "held", "held"),
    ],
)
def test_when_a_card_asks_its_bank(sandbox, token, on_session, off_session, after_setup):
    def attempt(**given):
        try:
            return sandbox.hold(**given).status.replace("requires_capture", "held")
        except stripe.CardError as refusal:
            return str(refusal.error.code).replace("authentication_required", "refused")

    assert attempt(payment_method=token) == on_session
    customer, method = _saved(sandbox, token)
    later = {"customer": customer, "payment_method": method, "off_session": True}
    assert attempt(**later) == off_session
    setup = sandbox.stripe.v1.setup_intents.create(
        {"customer": customer, "payment_method": method, "confirm": True}
    )
    if setup.status == "requires_action":
        sandbox.http.post(f"/_sim/authenticate/{setup.id}", data={"outcome": "passed"})
    assert sandbox.stripe.v1.setup_intents.retrieve(setup.id).status == "succeeded"
    assert attempt(**later) == after_setup


def test_the_bank_is_asked_and_says_yes_or_no(sandbox):
    asked = sandbox.hold(payment_method="pm_card_authenticationRequired")
    assert asked.next_action.type == "use_stripe_sdk"
    held = _authenticate(sandbox, asked)
    assert (held.status, held.amount_capturable) == ("requires_capture", 5000)
    secure = held.latest_charge.payment_method_details.card.three_d_secure
    assert secure.result == "authenticated"

    refused = _authenticate(
        sandbox, sandbox.hold(payment_method="pm_card_authenticationRequired"), "failed"
    )
    assert (refused.status, refused.latest_charge) == ("requires_payment_method", None)
    assert refused.last_payment_error.code == "payment_intent_authentication_failure"


def test_authenticated_and_declined_all_the_same(sandbox):
    token = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    refused = _authenticate(sandbox, sandbox.hold(payment_method=token))
    assert refused.status == "requires_payment_method"
    assert refused.last_payment_error.decline_code == "insufficient_funds"


def test_who_does_not_handle_actions_is_declined(sandbox):
    with pytest.raises(stripe.CardError) as refusal:
        sandbox.hold(payment_method="pm_card_authenticationRequired", error_on_requires_action=True)
    assert refusal.value.code == "authentication_required"
    assert refusal.value.error.payment_intent.status == "requires_payment_method"


def test_with_a_return_url_the_bank_has_a_page(sandbox):
    asked = sandbox.hold(
        payment_method="pm_card_authenticationRequired", return_url="https://shop.example/back?a=b"
    )
    page = asked.next_action.redirect_to_url.url
    assert page.startswith(sandbox.url)
    assert "The bank asks" in sandbox.http.get(page).text
    back = sandbox.http.post(page, data={"outcome": "passed"}, headers={"accept": "text/html"})
    assert back.status_code == 303
    assert back.headers["location"] == f"https://shop.example/back?a=b&payment_intent={asked.id}"


def test_three_d_secure_on_request(sandbox):
    options = {"card": {"request_three_d_secure": "any"}}
    assert sandbox.hold(payment_method_options=options).status == "requires_action"
    amex = sandbox.hold(payment_method="pm_card_amex", payment_method_options=options)
    assert amex.status == "requires_capture"


@pytest.mark.parametrize(
    ("token", "fields"),
    [
        ("pm_card_createDispute", {"disputes": ("fraudulent",)}),
        ("pm_card_createDisputeProductNotReceived", {"disputes": ("product_not_received",)}),
        ("pm_card_createDisputeInquiry", {"disputes": ("inquiry",)}),
        ("pm_card_createIssuerFraudRecord", {"warns": True}),
        ("pm_card_pendingRefund", {"refund": "pending"}),
        ("pm_card_refundFail", {"refund": "fails"}),
        ("pm_card_bypassPending", {"bypasses_pending": True}),
        ("pm_card_bypassPendingInternational", {"bypasses_pending": True, "country": "IE"}),
    ],
)
def test_what_comes_after_the_charge_is_told_by_the_card(token, fields):
    card = TEST_CARDS[token]
    assert {name: getattr(card, name) for name in fields} == fields


def test_every_number_of_a_card_passes_the_check_digit():
    def checks(number: str) -> bool:
        digits = [int(digit) for digit in reversed(number)]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
        return (sum(digits[::2]) + sum(doubled)) % 10 == 0

    assert [token for token, card in TEST_CARDS.items() if not checks(card.number)] == []


def test_a_card_by_its_token_of_old_or_its_number(sandbox):
    create = sandbox.stripe.v1.payment_methods.create
    assert create({"type": "card", "card": {"token": "tok_mastercard"}}).card.last4 == "4444"
    number = {"number": "4000000000009995", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    assert create({"type": "card", "card": number}).card.last4 == "9995"
    assert tokens.by_number("4242424242424242") == TEST_CARDS["pm_card_visa"]
    with pytest.raises(stripe.CardError) as real:
        create({"type": "card", "card": {"number": "4111111111111111"}})
    assert real.value.error.decline_code == "test_mode_live_card"


def test_cards_of_a_customer_are_listed_and_detached_for_good(sandbox):
    v1 = sandbox.stripe.v1
    customer, method = _saved(sandbox, "pm_card_visa")
    other = v1.payment_methods.attach("pm_card_amex", {"customer": customer})
    assert [m.id for m in v1.payment_methods.list({"customer": customer})] == [other.id, method]
    assert len(v1.customers.payment_methods.list(customer, {"type": "card"}).data) == 2
    gone = v1.payment_methods.detach(method)
    assert gone.customer is None
    assert [m.id for m in v1.payment_methods.list({"customer": customer})] == [other.id]
    with pytest.raises(stripe.InvalidRequestError, match="detached from a Customer"):
        v1.payment_methods.attach(method, {"customer": customer})
    with pytest.raises(stripe.InvalidRequestError, match="not attached"):
        v1.payment_methods.detach(method)


def test_a_customer_is_changed_found_and_deleted_with_their_cards(sandbox):
    v1 = sandbox.stripe.v1
    customer, method = _saved(sandbox, "pm_card_visa")
    changed = v1.customers.update(
        customer,
        {
            "email": "new@example.org",
            "metadata": {"driver": "d1"},
            "invoice_settings": {"default_payment_method": method},
        },
    )
    assert (changed.email, changed.metadata["driver"]) == ("new@example.org", "d1")
    assert [c.id for c in v1.customers.list({"email": "new@example.org"})] == [customer]
    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        v1.customers.update(
            _customer(sandbox), {"invoice_settings": {"default_payment_method": method}}
        )
    assert v1.customers.delete(customer).deleted
    assert v1.customers.retrieve(customer).deleted
    assert v1.payment_methods.retrieve(method).customer is None
    with pytest.raises(stripe.InvalidRequestError) as missing:
        sandbox.hold(customer=customer)
    assert missing.value.code == "resource_missing"


def test_a_setup_intent_saves_the_card(sandbox):
    v1 = sandbox.stripe.v1
    customer = _customer(sandbox)
    done = _setup(sandbox, customer, "pm_card_visa")
    assert (done.status, done.usage) == ("succeeded", "off_session")
    assert v1.payment_methods.retrieve(done.payment_method).customer == customer
    charged = sandbox.hold(customer=customer, payment_method=done.payment_method, off_session=True)
    assert charged.status == "requires_capture"
    with pytest.raises(stripe.InvalidRequestError) as late:
        v1.setup_intents.cancel(done.id)
    assert late.value.code == "setup_intent_unexpected_state"


def test_a_setup_intent_may_be_refused_and_tried_again(sandbox):
    v1 = sandbox.stripe.v1
    asked = _setup(sandbox, _customer(sandbox), "pm_card_authenticationRequiredOnSetup")
    sandbox.http.post(f"/_sim/authenticate/{asked.id}", data={"outcome": "failed"})
    refused = v1.setup_intents.retrieve(asked.id)
    assert refused.status == "requires_payment_method"
    assert refused.last_setup_error.code == "setup_intent_authentication_failure"
    again = v1.setup_intents.confirm(asked.id, {"payment_method": "pm_card_mastercard"})
    assert again.status == "succeeded"


def test_a_saved_card_needs_its_customer(sandbox):
    _, method = _saved(sandbox, "pm_card_visa")
    with pytest.raises(stripe.InvalidRequestError, match="another Customer"):
        sandbox.hold(payment_method=method)


def test_a_card_used_with_the_wish_to_save_it_can_be_attached_later(sandbox):
    held = sandbox.hold(setup_future_usage="off_session")
    saved = sandbox.stripe.v1.payment_methods.attach(
        held.payment_method, {"customer": _customer(sandbox)}
    )
    assert saved.id == held.payment_method


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"off_session": True}, "off_session"),
        ({"error_on_requires_action": True}, "error_on_requires_action"),
        ({"return_url": "https://e.example"}, "return_url"),
        ({"mandate": "mandate_1"}, "mandate"),
    ],
)
def test_what_belongs_to_the_attempt_is_given_with_it(sandbox, change, param):
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        sandbox.stripe.v1.payment_intents.create({"amount": 500, "currency": "usd", **change})
    assert refusal.value.param == param


def test_an_intent_is_updated_before_it_is_paid(sandbox):
    v1 = sandbox.stripe.v1
    intent = v1.payment_intents.create({"amount": 500, "currency": "usd"})
    changed = v1.payment_intents.update(
        intent.id, {"amount": 700, "payment_method": "pm_card_visa", "metadata": {"a": "b"}}
    )
    assert (changed.amount, changed.status) == (700, "requires_confirmation")
    paid = v1.payment_intents.confirm(intent.id)
    assert paid.amount_received == 700
    with pytest.raises(stripe.InvalidRequestError) as late:
        v1.payment_intents.update(intent.id, {"amount": 800})
    assert late.value.code == "payment_intent_unexpected_state"
    assert v1.payment_intents.update(intent.id, {"metadata": {"a": ""}}).metadata.to_dict() == {}


def test_only_the_types_allowed_pay(sandbox):
    create = sandbox.stripe.v1.payment_intents.create
    reader_only = {
        "amount": 500,
        "currency": "usd",
        "allowed_payment_method_types": ["card_present"],
    }
    intent = create({**reader_only, "capture_method": "manual"})
    assert intent.payment_method_types == ["card_present"]
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.stripe.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        create({**reader_only, "payment_method": "pm_card_visa", "confirm": True})
    assert refusal.value.param == "confirm"
    # The name that the parameter had before 2026-10-28.
    with pytest.raises(stripe.InvalidRequestError) as old:
        create({"amount": 500, "currency": "usd", "payment_method_types": ["card"]})
    assert old.value.code == "parameter_unknown"

"""Holds, captures, declines, cancels, refunds and lists, as the official SDK sees them."""

import httpx
import pytest
import stripe


def _entries(sandbox, source_ids):
    found = sandbox.stripe.v1.balance_transactions.list({"limit": 100})
    return {e.source: e for e in found.auto_paging_iter() if e.source in source_ids}


def test_partial_capture_makes_two_balance_transactions_whose_fees_net(sandbox):
    intent = sandbox.hold(5000, metadata={"session": "s1"}, description="Session s1")
    assert intent.status == "requires_capture"
    assert (intent.amount_capturable, intent.amount_received) == (5000, 0)

    intent = sandbox.stripe.v1.payment_intents.capture(
        intent.id,
        {"amount_to_capture": 1234, "expand": ["latest_charge.balance_transaction"]},
    )
    assert (intent.status, intent.amount, intent.amount_received) == ("succeeded", 5000, 1234)
    assert (intent.amount_capturable, intent.metadata["session"]) == (0, "s1")
    charge = intent.latest_charge
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (5000, 1234, 3766)
    assert (charge.captured, charge.refunded, charge.description) == (True, False, "Session s1")

    # 2.9 % of 50.00 = 1.45, + 0.30 = 1.75; 2.9 % of 12.34 = 0.35786 -> 0.36, + 0.30 = 0.66.
    whole = charge.balance_transaction
    assert (whole.type, whole.reporting_category) == ("charge", "charge")
    assert (whole.amount, whole.fee, whole.net) == (5000, 175, 4825)
    assert whole.fee_details[0].amount == 175

    listed = sandbox.stripe.v1.balance_transactions.list(
        {"limit": 2, "type": "refund", "expand": ["data.source"]}
    )
    release = next(e for e in listed.data if e.source.charge == charge.id)
    # The reversal gives 1.75 − 0.66 = 1.09 of fee back: −37.66 + 1.09 = −36.57.
    assert (release.amount, release.fee, release.net) == (-3766, -109, -3657)
    assert release.reporting_category == "partial_capture_reversal"
    assert whole.net + release.net == 1234 - 66


def test_full_capture_makes_one_balance_transaction(sandbox):
    intent = sandbox.hold(2000)
    intent = sandbox.stripe.v1.payment_intents.capture(intent.id)
    entries = _entries(sandbox, {intent.latest_charge})
    # 2.9 % of 20.00 = 0.58, + 0.30 = 0.88.
    assert [(e.amount, e.fee, e.net) for e in entries.values()] == [(2000, 88, 1912)]
    assert intent.amount_received == 2000


def test_automatic_capture_and_the_half_cent_rounds_up(sandbox):
    # 2.9 % of 2.50 = 0.0725, + 0.30 = 0.3725 -> 0.37; of 5.00 = 0.145 -> 0.15, + 0.30 = 0.45.
    for amount, fee in ((250, 37), (500, 45)):
        intent = sandbox.stripe.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": "eur",
                "payment_method": "pm_card_mastercard",
                "confirm": True,
                "expand": ["latest_charge.balance_transaction"],
            }
        )
        assert intent.status == "succeeded"
        assert intent.latest_charge.balance_transaction.fee == fee
        card = intent.latest_charge.payment_method_details.card
        assert (card.brand, card.last4, card.funding) == ("mastercard", "4444", "credit")


def test_capture_more_than_held_or_twice_is_refused(sandbox):
    intent = sandbox.hold(1000)
    with pytest.raises(stripe.InvalidRequestError) as too_much:
        sandbox.stripe.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1001})
    assert (too_much.value.code, too_much.value.param) == ("amount_too_large", "amount_to_capture")
    sandbox.stripe.v1.payment_intents.capture(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as twice:
        sandbox.stripe.v1.payment_intents.capture(intent.id)
    assert twice.value.code == "payment_intent_unexpected_state"
    assert twice.value.error.payment_intent.status == "succeeded"


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_decline(sandbox, token, code, decline_code):
    with pytest.raises(stripe.CardError) as declined:
        sandbox.hold(5000, payment_method=token)
    assert declined.value.http_status == 402
    assert declined.value.code == code
    error = declined.value.error
    assert (error.type, error.decline_code) == ("card_error", decline_code)
    assert error.payment_intent.status == "requires_payment_method"
    intent = sandbox.stripe.v1.payment_intents.retrieve(
        error.payment_intent.id, {"expand": ["latest_charge"]}
    )
    assert intent.last_payment_error.decline_code == decline_code
    assert (intent.latest_charge.status, intent.latest_charge.captured) == ("failed", False)
    # The same intent takes another card.
    intent = sandbox.stripe.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa"}
    )
    assert (intent.status, intent.last_payment_error) == ("requires_capture", None)


def test_a_saved_card_is_charged_off_session(sandbox):
    customer = sandbox.stripe.v1.customers.create({"email": "d@example.org", "name": "D"})
    assert sandbox.stripe.v1.customers.retrieve(customer.id).email == "d@example.org"
    method = sandbox.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    assert sandbox.stripe.v1.payment_methods.retrieve(method.id).customer == customer.id
    for _ in range(2):
        intent = sandbox.hold(
            customer=customer.id,
            payment_method=method.id,
            off_session=True,
            expand=["latest_charge"],
        )
        card = intent.latest_charge.payment_method_details.card
        # Visa, initiated by the merchant: 4 days 18 hours.
        assert card.capture_before - intent.created == (4 * 24 + 18) * 3600
        assert card.fingerprint == method.card.fingerprint
    on_session = sandbox.hold(expand=["latest_charge"])
    window = on_session.latest_charge.payment_method_details.card.capture_before
    assert window - on_session.created == 7 * 86_400
    with pytest.raises(stripe.InvalidRequestError, match="previously used"):
        sandbox.hold(payment_method=on_session.payment_method)
    failing = sandbox.stripe.v1.payment_methods.attach(
        "pm_card_chargeCustomerFail", {"customer": customer.id}
    )
    with pytest.raises(stripe.CardError):
        sandbox.hold(customer=customer.id, payment_method=failing.id, off_session=True)
    with pytest.raises(stripe.CardError) as wants_person:
        sandbox.hold(payment_method="pm_card_authenticationRequired", off_session=True)
    assert wants_person.value.code == "authentication_required"


def test_cancel_costs_nothing(sandbox):
    before = sandbox.state()
    intent = sandbox.hold(3000)
    intent = sandbox.stripe.v1.payment_intents.cancel(
        intent.id, {"cancellation_reason": "abandoned", "expand": ["latest_charge"]}
    )
    assert (intent.status, intent.cancellation_reason) == ("canceled", "abandoned")
    assert (intent.amount_capturable, intent.latest_charge.amount_captured) == (0, 0)
    assert intent.latest_charge.balance_transaction is None
    assert sandbox.state()["totals"] == before["totals"]
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.stripe.v1.payment_intents.cancel(intent.id)
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.stripe.v1.payment_intents.capture(intent.id)


def test_refund_whole_and_in_parts(sandbox):
    intent = sandbox.hold(4000)
    sandbox.stripe.v1.payment_intents.capture(intent.id, {"amount_to_capture": 3000})
    first = sandbox.stripe.v1.refunds.create(
        {
            "payment_intent": intent.id,
            "amount": 1000,
            "reason": "requested_by_customer",
            "expand": ["balance_transaction", "charge"],
        }
    )
    entry = first.balance_transaction
    assert (entry.amount, entry.fee, entry.net, entry.type) == (-1000, 0, -1000, "refund")
    assert (entry.reporting_category, entry.source) == ("refund", first.id)
    assert first.charge.amount_refunded == 1000 + 1000  # the released part and the refund
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        sandbox.stripe.v1.refunds.create({"charge": first.charge.id, "amount": 2001})
    rest = sandbox.stripe.v1.refunds.create({"charge": first.charge.id})
    assert rest.amount == 2000
    with pytest.raises(stripe.InvalidRequestError) as again:
        sandbox.stripe.v1.refunds.create({"payment_intent": intent.id})
    assert again.value.code == "charge_already_refunded"


def test_list_by_customer_time_and_page(sandbox):
    customer = sandbox.stripe.v1.customers.create().id
    sandbox.clock("2026-11-23T11:00:00Z")
    early = [sandbox.hold(customer=customer).id for _ in range(3)]
    sandbox.clock("2026-11-23T11:00:10Z")
    late = [sandbox.hold(customer=customer).id for _ in range(3)]
    intents = sandbox.stripe.v1.payment_intents
    newest_first = [*reversed(late), *reversed(early)]
    first = intents.list({"customer": customer, "limit": 2})
    assert ([i.id for i in first.data], first.has_more) == (newest_first[:2], True)
    assert [i.id for i in first.auto_paging_iter()] == newest_first
    before = intents.list({"customer": customer, "limit": 2, "ending_before": newest_first[5]})
    assert ([i.id for i in before.data], before.has_more) == (newest_first[3:5], True)
    boundary = intents.retrieve(late[0]).created
    since = intents.list({"customer": customer, "created": {"gte": boundary}})
    assert [i.id for i in since.data] == newest_first[:3]
    until = intents.list({"customer": customer, "created": {"lte": boundary - 10}})
    assert [i.id for i in until.data] == newest_first[3:]
    with pytest.raises(stripe.InvalidRequestError):
        intents.list({"limit": 101})


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 100, "currency": "usd", "bogus": 1}, "parameter_unknown", "bogus"),
        ({"amount": 100}, "parameter_missing", "currency"),
        ({"amount": "ten", "currency": "usd"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100, "currency": "usd", "capture_method": "manuall"}, None, "capture_method"),
        (
            {
                "amount": 100,
                "currency": "usd",
                "payment_method_options": {"card": {"request_overcapture": "if_available", "x": 1}},
            },
            "parameter_unknown",
            "payment_method_options[card][x]",
        ),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 100, "currency": "usd", "metadata": {"k" * 41: "v"}}, None, None),
    ],
)
def test_requests_are_checked(sandbox, params, code, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe.v1.payment_intents.create(params)
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert param in (None, refused.value.param)


def test_keys_unknown_objects_and_urls(sandbox):
    with pytest.raises(stripe.AuthenticationError):
        sandbox.client("sk_test_other").v1.balance.retrieve()
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        sandbox.stripe.v1.payment_intents.retrieve("pi_none")
    assert (unknown.value.http_status, unknown.value.code) == (404, "resource_missing")
    assert sandbox.http.get("/v1/balance").status_code == 401
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        sandbox.stripe.v1.products.list()
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        sandbox.hold(expand=["status"])


async def test_the_async_client_over_httpx(sandbox):
    client = sandbox.client(http_client=stripe.HTTPXClient())
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 700,
            "currency": "usd",
            "capture_method": "manual",
            "payment_method": "pm_card_amex",
            "confirm": True,
        }
    )
    intent = await client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 600})
    assert (intent.status, intent.amount_received) == ("succeeded", 600)


def test_only_loopback_listens(sandbox):
    assert sandbox.url.startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.url.replace("127.0.0.1", "127.0.0.2"), trust_env=False)


def test_every_field_is_one_the_sdk_declares_and_none_it_needs_is_missing(sandbox):
    v1 = sandbox.stripe.v1
    customer = v1.customers.create()
    v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    intent = sandbox.hold(customer=customer.id)
    v1.payment_intents.capture(intent.id, {"amount_to_capture": 4000})
    v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    sandbox.clock("2026-12-01T00:00:00Z")
    objects = [
        customer,
        v1.payment_methods.retrieve(intent.payment_method),
        v1.payment_intents.retrieve(intent.id),
        v1.charges.list({"limit": 1}).data[0],
        v1.refunds.list({"limit": 1}).data[0],
        v1.balance_transactions.list({"limit": 1}).data[0],
        v1.payouts.list({"limit": 1}).data[0],
        v1.balance.retrieve(),
        v1.events.list({"limit": 1}).data[0],
    ]
    card = objects[3].payment_method_details.card
    declared_by = [(type(obj), obj) for obj in objects]
    declared_by.append((stripe.Charge.PaymentMethodDetails.Card, card))
    for kind, obj in declared_by:
        declared = kind.__annotations__
        sent = set(obj.to_dict())
        assert sent <= set(declared), (kind, sent - set(declared))
        needed = {name for name, hint in declared.items() if not _may_be_absent(hint)}
        assert needed <= sent, (kind, needed - sent)


def _may_be_absent(hint):
    return any(word in str(hint) for word in ("Optional", "NoneType", "ClassVar"))

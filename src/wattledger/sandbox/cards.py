"""Payment methods: cards behind Stripe's test tokens, with customers or on their own."""

from __future__ import annotations

import hashlib

from wattledger.sandbox import tokens, views
from wattledger.sandbox.store import Store
from wattledger.sandbox.tokens import TEST_CARDS, TestCard
from wattledger.sandbox.wire import Obj, StripeError, invalid, merged

__all__ = ["TEST_CARDS", "TestCard"]

_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": (
        "Your card was declined. This transaction requires authentication."
    ),
    "card_velocity_exceeded": (
        "Your card was declined for making repeated attempts too frequently or exceeding its "
        "amount limit."
    ),
}


def decline_message(decline_code: str | None) -> str:
    return _MESSAGES.get(decline_code or "", "Your card was declined.")


def create(store: Store, _: Obj, p: Obj) -> Obj:
    """POST /v1/payment_methods: a card by its ``tok_…`` or its (test) number."""
    if p.get("type") != "card":
        raise invalid("The sandbox creates payment methods of type card.", "type")
    given = p.get("card") or {}
    name = given.get("token") or given.get("number") or ""
    if tokens.token_of(name) is None:
        raise StripeError(
            402,
            type="card_error",
            code="card_declined",
            decline_code="test_mode_live_card",
            message="Your card was declined. Your request was in test mode, but used a non test "
            "card. For a list of valid test cards, visit: https://stripe.com/docs/testing.",
        )
    method = method_for(store, name)
    method["billing_details"] |= p.get("billing_details") or {}
    method["metadata"] = merged({}, p.get("metadata"))
    return method


def retrieve(store: Store, path: Obj, _: Obj) -> Obj:
    return method_for(store, path["id"])


def update(store: Store, path: Obj, p: Obj) -> Obj:
    """Billing details, metadata, the expiry: only once the card is with a customer."""
    method = store.get("payment_method", path["id"])
    if method["customer"] is None:
        raise invalid(
            "You must save this PaymentMethod to a customer before you can update it.",
            "payment_method",
        )
    method["billing_details"] |= p.get("billing_details") or {}
    method["metadata"] = merged(method["metadata"], p.get("metadata"))
    method["card"] |= {
        key: value for key, value in (p.get("card") or {}).items() if key.startswith("exp_")
    }
    store.emit("payment_method.updated", method)
    return method


def listed(store: Store, path: Obj, p: Obj) -> Obj:
    """Those of one customer: by the path, or by the parameter, which Stripe asks for."""
    customer_id = path.get("id") or p.get("customer")
    if customer_id:
        store.get("customer", customer_id, "customer")
        p = {**p, "customer": customer_id}
    rows = reversed(store.tables["payment_method"].values())
    url = f"/v1/customers/{path['id']}/payment_methods" if path else "/v1/payment_methods"
    return views.page(store, (row for row in rows if row["customer"]), p, url)


def attach(store: Store, path: Obj, p: Obj) -> Obj:
    """Save the card with the customer; a card that is always declined is declined here too."""
    if not p.get("customer"):
        raise invalid("Missing required param: customer.", "customer", "parameter_missing")
    customer = store.get("customer", p["customer"], "customer")
    method = method_for(store, path["id"])
    refuse_declining(store, method)
    if method["customer"] not in (None, customer["id"]):
        raise invalid("The payment method is already attached to another customer.")
    refuse_used_up(store, method)
    method["customer"] = customer["id"]
    store.emit("payment_method.attached", method)
    return method


def detach(store: Store, path: Obj, _: Obj) -> Obj:
    """Take the card from its customer: for good."""
    method = store.get("payment_method", path["id"], "payment_method")
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            "payment_method",
        )
    let_go(store, method)
    return method


def let_go(store: Store, method: Obj) -> None:
    method["customer"] = None
    store.used_cards.add(method["id"])
    store.emit("payment_method.detached", method)


def refuse_declining(store: Store, method: Obj) -> None:
    card = card_of(store, method)
    if not card.attaches:
        raise StripeError(
            402,
            type="card_error",
            code=card.code,
            decline_code=card.decline_code,
            message=decline_message(card.decline_code),
        )


def refuse_used_up(store: Store, method: Obj) -> None:
    """A card charged without a customer, or detached, can't be used again: Stripe's rule."""
    if method["id"] in store.used_cards and method["customer"] is None:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without "
            "Customer attachment, shared with a connected account without Customer attachment, "
            "or was detached from a Customer. It may not be used again. To use a PaymentMethod "
            "multiple times, you must attach it to a Customer first.",
            "payment_method",
        )


def card_of(store: Store, method: Obj) -> TestCard:
    return TEST_CARDS[store.cards[method["id"]]]


def method_for(store: Store, token_or_id: str, param: str = "payment_method") -> Obj:
    """The PaymentMethod; a test token becomes a new one each time it is named, as at Stripe."""
    token = tokens.token_of(token_or_id)
    if token is None:
        return store.get("payment_method", token_or_id, param)
    return new_method(store, token)


def new_method(store: Store, token: str) -> Obj:
    """A payment method of type card for the card behind ``token``."""
    card = TEST_CARDS[token]
    method = store.add(
        {
            **_frame(store, "card"),
            "card": {
                "brand": card.brand,
                "checks": card_checks(card),
                "country": card.country,
                "display_brand": _display_brand(card.brand),
                "exp_month": 11,
                "exp_year": store.clock.now().year + 1,
                "fingerprint": fingerprint(card),
                "funding": card.funding,
                "generated_from": None,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": card.authentication != "never"},
                "wallet": None,
            },
        }
    )
    store.cards[method["id"]] = token
    return method


def new_presented(store: Store, details: Obj) -> Obj:
    """The payment method of a card that was held to a reader; it can't be charged again."""
    kept = (
        "brand",
        "brand_product",
        "cardholder_name",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "issuer",
        "last4",
        "offline",
        "preferred_locales",
        "read_method",
        "wallet",
    )
    method = store.add(
        {
            **_frame(store, "card_present"),
            "card_present": {
                **{key: details[key] for key in kept},
                "networks": {"available": [details["brand"]], "preferred": None},
            },
        }
    )
    store.used_cards.add(method["id"])
    return method


def _frame(store: Store, kind: str) -> Obj:
    return {
        "id": store.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(),
        "created": store.now_s,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def billing_details() -> Obj:
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def card_checks(card: TestCard | None = None) -> Obj:
    checks: Obj = {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": "pass",
    }
    return checks | dict.fromkeys(card.fails_checks if card else (), "fail")


def fingerprint(card: TestCard) -> str:
    """The same for the same card number: how a repeat customer is recognised."""
    return hashlib.sha256(card.number.encode()).hexdigest()[:16]


def _display_brand(brand: str) -> str:
    return "american_express" if brand == "amex" else brand

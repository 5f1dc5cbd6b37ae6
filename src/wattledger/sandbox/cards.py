"""Customers and cards: Stripe's well-known test tokens and what each of them does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError, invalid


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card behind a test token. ``code``/``decline_code`` say how a charge is declined."""

    brand: str
    number: str
    funding: str = "credit"
    code: str | None = None
    decline_code: str | None = None
    attaches: bool = True
    needs_authentication: bool = False


def _declining(number: str, decline_code: str, code: str = "card_declined") -> TestCard:
    return TestCard("visa", number, code=code, decline_code=decline_code, attaches=False)


TEST_CARDS = {
    "pm_card_visa": TestCard("visa", "4242424242424242"),
    "pm_card_visa_debit": TestCard("visa", "4000056655665556", "debit"),
    "pm_card_mastercard": TestCard("mastercard", "5555555555554444"),
    "pm_card_mastercard_debit": TestCard("mastercard", "5200828282828210", "debit"),
    "pm_card_mastercard_prepaid": TestCard("mastercard", "5105105105105100", "prepaid"),
    "pm_card_amex": TestCard("amex", "378282246310005"),
    "pm_card_discover": TestCard("discover", "6011111111111117"),
    "pm_card_diners": TestCard("diners", "3056930009020004"),
    "pm_card_jcb": TestCard("jcb", "3566002020360505"),
    "pm_card_unionpay": TestCard("unionpay", "6200000000000005"),
    "pm_card_chargeDeclined": _declining("4000000000000002", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": _declining("4000000000009995", "insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": _declining("4000000000009987", "lost_card"),
    "pm_card_chargeDeclinedStolenCard": _declining("4000000000009979", "stolen_card"),
    "pm_card_chargeDeclinedFraudulent": _declining("4100000000000019", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": _declining(
        "4000000000000069", "expired_card", "expired_card"
    ),
    "pm_card_chargeDeclinedIncorrectCvc": _declining(
        "4000000000000127", "incorrect_cvc", "incorrect_cvc"
    ),
    "pm_card_chargeDeclinedProcessingError": _declining(
        "4000000000000119", "processing_error", "processing_error"
    ),
    # The card that can be saved and is declined only when it is charged.
    "pm_card_chargeCustomerFail": TestCard(
        "visa", "4000000000000341", code="card_declined", decline_code="generic_decline"
    ),
    "pm_card_authenticationRequired": TestCard(
        "visa", "4000002760003184", needs_authentication=True
    ),
}
_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": (
        "Your card was declined. This transaction requires authentication."
    ),
}


def decline_message(decline_code: str | None) -> str:
    return _MESSAGES.get(decline_code or "", "Your card was declined.")


def create_customer(store: Store, _: Obj, p: Obj) -> Obj:
    method = method_for(store, p["payment_method"]) if p.get("payment_method") else None
    if method:
        _refuse_declining(store, method)
    customer = store.add(
        {
            "id": store.new_id("cus"),
            "object": "customer",
            "address": p.get("address") or None,
            "balance": 0,
            "created": store.now_s,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": p.get("description"),
            "discount": None,
            "email": p.get("email"),
            "invoice_prefix": None,
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": p.get("metadata") or {},
            "name": p.get("name"),
            "phone": p.get("phone"),
            "preferred_locales": p.get("preferred_locales", []),
            "shipping": p.get("shipping") or None,
            "tax_exempt": p.get("tax_exempt") or "none",
            "test_clock": None,
        }
    )
    store.emit("customer.created", customer)
    if method:
        attach(store, {"id": method["id"]}, {"customer": customer["id"]})
    return customer


def retrieve_method(store: Store, path: Obj, _: Obj) -> Obj:
    return method_for(store, path["id"])


def attach(store: Store, path: Obj, p: Obj) -> Obj:
    """Save the card with the customer; a card that is always declined is declined here too."""
    if not p.get("customer"):
        raise invalid("Missing required param: customer.", "customer", "parameter_missing")
    customer = store.get("customer", p["customer"], "customer")
    method = method_for(store, path["id"])
    _refuse_declining(store, method)
    if method["customer"] not in (None, customer["id"]):
        raise invalid("The payment method is already attached to another customer.")
    refuse_used_up(store, method)
    method["customer"] = customer["id"]
    store.emit("payment_method.attached", method)
    return method


def _refuse_declining(store: Store, method: Obj) -> None:
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
    """A card charged without a customer can't be used again: Stripe's rule."""
    if method["id"] in store.used_cards and method["customer"] is None:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without "
            "Customer attachment, and may not be used again.",
            "payment_method",
        )


def card_of(store: Store, method: Obj) -> TestCard:
    return TEST_CARDS[store.cards[method["id"]]]


def method_for(store: Store, token_or_id: str, param: str = "payment_method") -> Obj:
    """The PaymentMethod; a test token becomes a new one each time it is named, as at Stripe."""
    card = TEST_CARDS.get(token_or_id)
    if card is None:
        return store.get("payment_method", token_or_id, param)
    method = store.add(
        {
            "id": store.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": billing_details(),
            "card": {
                "brand": card.brand,
                "checks": card_checks(),
                "country": "US",
                "display_brand": _display_brand(card.brand),
                "exp_month": 11,
                "exp_year": store.clock.now().year + 1,
                "fingerprint": fingerprint(card),
                "funding": card.funding,
                "generated_from": None,
                "last4": card.number[-4:],
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": store.now_s,
            "customer": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
        }
    )
    store.cards[method["id"]] = token_or_id
    return method


def billing_details() -> Obj:
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def card_checks() -> Obj:
    return {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": "pass",
    }


def fingerprint(card: TestCard) -> str:
    """The same for the same card number: how a repeat customer is recognised."""
    return hashlib.sha256(card.number.encode()).hexdigest()[:16]


def _display_brand(brand: str) -> str:
    return "american_express" if brand == "amex" else brand

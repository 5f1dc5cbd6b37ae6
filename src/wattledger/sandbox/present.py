"""A card held to a reader: the attempt, what the reader and the chip said of it, and the
reusable card that comes of it where the driver agreed to later charges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wattledger.sandbox import cards, charges, features, tokens
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj, invalid

if TYPE_CHECKING:
    from wattledger.sandbox.attempts import Attempts

WALLETS = frozenset({"apple_pay", "google_pay", "samsung_pay"})
# Application identifier and name of the chip application, by brand.
_CHIP = {
    "visa": ("A0000000031010", "Visa Credit"),
    "mastercard": ("A0000000041010", "MASTERCARD"),
    "amex": ("A000000025010402", "AMERICAN EXPRESS"),
    "discover": ("A0000001523010", "DISCOVER"),
}


def check_create(p: Obj) -> None:
    """What a PaymentIntent for a reader can't be created with."""
    if p.get("confirm") or p.get("payment_method"):
        raise invalid(
            "A PaymentIntent of type card_present is confirmed by a reader, with the card "
            "presented there.",
            "confirm" if p.get("confirm") else "payment_method",
        )
    method = p.get("capture_method", "automatic")
    if method not in ("manual", "automatic", "automatic_async"):
        raise invalid(f"Invalid capture_method: {method}", "capture_method")


def attempt(
    attempts: Attempts,
    intent: Obj,
    card: TestCard,
    reader: Obj,
    *,
    wallet: str | None = None,
) -> Obj:
    """Ask the issuer; the intent is held or paid after it. StripeError 402 when it declines."""
    if "card_present" not in intent["payment_method_types"]:
        raise invalid(
            "This PaymentIntent does not accept card_present: create it with "
            "allowed_payment_method_types[]=card_present.",
            "payment_intent",
        )
    if wallet is not None and wallet not in WALLETS:
        raise invalid(f"Invalid wallet: must be one of {', '.join(sorted(WALLETS))}", "wallet")
    store = attempts.store
    asked = intent["payment_method_options"].get("card_present") or {}
    hold = (asked.get("capture_method") or intent["capture_method"]) in (
        "manual",
        "manual_preferred",
    )
    facts = _facts(attempts, intent, card, reader, asked, wallet=wallet)
    if not hold:
        del facts["capture_before"]
    method = cards.new_presented(store, facts)
    store.cards[method["id"]] = tokens.token_of(card.number) or "pm_card_visa"
    intent["payment_method"] = method["id"]
    charge = charges.new_present_charge(store, intent, method, card, facts)
    if card.code and card.decline_code:
        attempts.decline(intent, charge, card.code, card.decline_code, blocked=card.blocked)
    if intent["setup_future_usage"] and wallet is None:
        facts["generated_card"] = _generated(attempts, intent, charge, card)
    attempts.approve(intent, charge, hold=hold)
    return intent


def _facts(
    attempts: Attempts, intent: Obj, card: TestCard, reader: Obj, asked: Obj, *, wallet: str | None
) -> Obj:
    """``payment_method_details.card_present``."""
    store = attempts.store
    aid, name = _CHIP.get(card.brand, ("A0000000031010", "Visa Credit"))
    # A phone shows the network a number of its own, another one on each device.
    shown = cards.fingerprint(card)
    if wallet:
        shown = shown[8:] + shown[:8]
    return {
        "amount_authorized": intent["amount"],
        "brand": card.brand,
        "brand_product": None,
        "capture_before": store.now_s + features.present_window_s(attempts.habits, card, asked),
        "cardholder_name": None,
        "country": card.country,
        "emv_auth_data": "8A023030",
        "exp_month": 11,
        "exp_year": store.clock.now().year + 1,
        "fingerprint": shown,
        "funding": card.funding,
        "generated_card": None,
        # Stripe has these two, and tells them to few.
        "iin": None,
        "incremental_authorization_supported": features.present_increments(card, asked),
        "issuer": None,
        "last4": card.last4,
        "location": reader.get("location"),
        "network": card.brand,
        "network_transaction_id": charges.network_transaction_id(intent),
        "offline": {"stored_at": None, "type": None},
        "overcapture_supported": False,
        "preferred_locales": ["en"],
        "read_method": "contactless_emv",
        "reader": reader["id"],
        "receipt": {
            "account_type": "checking" if card.funding == "debit" else card.funding,
            "application_cryptogram": "DBA2D6A4F3B2E7C1",
            "application_preferred_name": name,
            "authorization_code": charges.authorization_code(intent),
            "authorization_response_code": "3030",
            "cardholder_verification_method": "approval",
            "dedicated_file_name": aid,
            "terminal_verification_results": "0000000000",
            "transaction_status_information": "0000",
        },
        "wallet": {"type": wallet} if wallet else None,
    }


def _generated(attempts: Attempts, intent: Obj, charge: Obj, card: TestCard) -> str:
    """A card of type ``card`` for the same number, which can be charged without the reader."""
    store = attempts.store
    token = tokens.token_of(card.number) or "pm_card_visa"
    method = cards.new_method(store, token)
    method["card"]["generated_from"] = {
        "charge": charge["id"],
        "payment_method_details": {
            "card_present": dict(charges.details(charge)),
            "type": "card_present",
        },
        "setup_attempt": None,
    }
    if intent["customer"]:
        method["customer"] = intent["customer"]
        store.emit("payment_method.attached", method)
    if intent["setup_future_usage"] == "off_session":
        attempts.set_up.add(method["id"])  # the chip and its reader were the authentication
    return str(method["id"])

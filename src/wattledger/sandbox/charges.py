"""Charges: one per attempt to take money from a card, with what the network said."""

from __future__ import annotations

from datetime import timedelta

from wattledger.sandbox import cards
from wattledger.sandbox.cards import TestCard
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj

_DAY_S = 86_400
_WINDOW_S = int(timedelta(days=7).total_seconds())
_VISA_OFF_SESSION_S = int(timedelta(days=4, hours=18).total_seconds())
_EXTENDED_S = {
    "visa": int(timedelta(days=29, hours=18).total_seconds()),
    "mastercard": 30 * _DAY_S,
}


def new_charge(store: Store, intent: Obj, method: Obj, *, off_session: bool, held: bool) -> Obj:
    """A successful, uncaptured charge of the whole amount."""
    card = cards.card_of(store, method)
    return store.add(
        {
            "id": store.new_id("ch"),
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": intent["statement_descriptor"] or "WATTLEDGER SBX",
            "captured": False,
            "created": store.now_s,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "fraud_details": {},
            "livemode": False,
            "metadata": dict(intent["metadata"]),
            "on_behalf_of": None,
            "outcome": _approved(),
            "paid": True,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {
                "card": _card_details(store, intent, card, off_session=off_session, held=held),
                "type": "card",
            },
            "radar_options": {},
            "receipt_email": intent["receipt_email"],
            "receipt_number": None,
            "receipt_url": None,
            "refunded": False,
            "review": None,
            "shipping": intent["shipping"],
            "source": None,
            "source_transfer": None,
            "statement_descriptor": intent["statement_descriptor"],
            "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
            "status": "succeeded",
            "transfer_data": None,
            "transfer_group": intent["transfer_group"],
        }
    )


def _approved() -> Obj:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }


def _card_details(
    store: Store, intent: Obj, card: TestCard, *, off_session: bool, held: bool
) -> Obj:
    asked = intent["payment_method_options"].get("card", {})
    extended_s = None
    # Extended windows are for payments the cardholder initiates.
    if asked.get("request_extended_authorization") == "if_available" and not off_session:
        extended_s = _EXTENDED_S.get(card.brand)
    window_s = _VISA_OFF_SESSION_S if off_session and card.brand == "visa" else _WINDOW_S
    details: Obj = {
        "amount_authorized": intent["amount"],
        "authorization_code": f"{int(intent['id'].rsplit('_', 1)[1]) % 1_000_000:06d}",
        "brand": card.brand,
        "checks": cards.card_checks(),
        "country": "US",
        "exp_month": 11,
        "exp_year": store.clock.now().year + 1,
        "extended_authorization": {"status": "enabled" if extended_s else "disabled"},
        "fingerprint": cards.fingerprint(card),
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.number[-4:],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": "1000000000" + intent["id"].rpartition("_")[2],
        "overcapture": {
            "maximum_amount_capturable": intent["amount"],
            "status": "unavailable",
        },
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "wallet": None,
    }
    if held:
        details["capture_before"] = store.now_s + (extended_s or window_s)
    return details


def fail(charge: Obj, code: str, decline_code: str) -> None:
    """The network declined: no money was held."""
    charge |= {
        "status": "failed",
        "paid": False,
        "failure_code": code,
        "failure_message": cards.decline_message(decline_code),
    }
    charge["outcome"] |= {
        "network_advice_code": None,
        "network_decline_code": "05",
        "network_status": "declined_by_network",
        "reason": decline_code,
        "seller_message": "The bank did not approve this payment.",
        "type": "issuer_declined",
    }
    charge["payment_method_details"]["card"].pop("capture_before", None)


def release(charge: Obj) -> None:
    """The hold ends uncaptured: no money moved, no balance transaction."""
    charge |= {"amount_refunded": charge["amount"], "refunded": True}

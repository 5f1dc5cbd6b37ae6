"""Charges: one per attempt to take money from a card, with what the network said."""

from __future__ import annotations

from dataclasses import dataclass, field

from wattledger.sandbox import cards, features
from wattledger.sandbox.habits import Habits
from wattledger.sandbox.store import Store
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a card is asked: by whom, for how much, to hold it or to take it."""

    off_session: bool = False
    held: bool = False
    approved_minor: int | None = None
    """What the issuer approved; None: all of it."""
    authenticated: bool = False
    asked: Obj = field(default_factory=dict)


def new_charge(store: Store, habits: Habits, intent: Obj, method: Obj, attempt: Attempt) -> Obj:
    """A successful, uncaptured charge of what was approved."""
    card = cards.card_of(store, method)
    charge = _frame(store, intent, method, card)
    charge["payment_method_details"] = {
        "card": _card_details(store, habits, intent, card, attempt),
        "type": "card",
    }
    if attempt.approved_minor is not None:
        charge["amount"] = attempt.approved_minor
    return store.add(charge)


def new_present_charge(store: Store, intent: Obj, method: Obj, card: TestCard, facts: Obj) -> Obj:
    """A successful, uncaptured charge of a card held to a reader, which said ``facts``."""
    charge = _frame(store, intent, method, card)
    charge["payment_method_details"] = {"card_present": facts, "type": "card_present"}
    return store.add(charge)


def details(charge: Obj) -> Obj:
    """What the charge says of its card, online or at a reader."""
    inner: Obj = charge["payment_method_details"][charge["payment_method_details"]["type"]]
    return inner


def _frame(store: Store, intent: Obj, method: Obj, card: TestCard) -> Obj:
    return {
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
        "outcome": _approved(card),
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
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


def _approved(card: TestCard) -> Obj:
    scores = {"normal": 20, "elevated": 66, "highest": 90}
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": card.risk,
        "risk_score": scores[card.risk],
        "seller_message": "Payment complete.",
        "type": "authorized",
    }


def _card_details(
    store: Store, habits: Habits, intent: Obj, card: TestCard, attempt: Attempt
) -> Obj:
    asked_minor = intent["amount"]
    approved_minor = asked_minor if attempt.approved_minor is None else attempt.approved_minor
    partial = features.partial(habits, card, attempt.asked)
    # The networks forbid to take more than a hold that was itself less than asked.
    wished = attempt.asked
    if approved_minor < asked_minor:
        wished = {**wished, "request_overcapture": "never"}
    can = features.online(habits, card, approved_minor, wished, off_session=attempt.off_session)
    window_s = can.pop("window_s")
    facts: Obj = {
        "amount_authorized": approved_minor,
        "authorization_code": authorization_code(intent),
        "brand": card.brand,
        "checks": cards.card_checks(card),
        "country": card.country,
        "exp_month": 11,
        "exp_year": store.clock.now().year + 1,
        "fingerprint": cards.fingerprint(card),
        "funding": card.funding,
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": network_transaction_id(intent),
        "regulated_status": "unregulated",
        "three_d_secure": _three_d_secure() if attempt.authenticated else None,
        "wallet": None,
        **can,
    }
    if "request_partial_authorization" in attempt.asked:  # a preview: no field for others
        facts |= {
            "amount_requested": asked_minor,
            "partial_authorization": {
                "status": _partial_status(partial, approved_minor, asked_minor)
            },
        }
    if attempt.held:
        facts["capture_before"] = store.now_s + window_s
    return facts


def _partial_status(requested: bool, approved_minor: int, asked_minor: int) -> str:
    if not requested:
        return "not_requested"
    return "partially_authorized" if approved_minor < asked_minor else "fully_authorized"


def _three_d_secure() -> Obj:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }


def authorization_code(intent: Obj) -> str:
    """Six digits of the issuer's, the same in every run."""
    return f"{int(intent['id'].rsplit('_', 1)[1]) % 1_000_000:06d}"


def network_transaction_id(intent: Obj) -> str:
    return "1000000000" + str(intent["id"].rpartition("_")[2])


def grow(charge: Obj, total_minor: int, asked_minor: int, *, partial: bool) -> None:
    """The hold now stands at ``total_minor``; its window stays what it was."""
    facts = details(charge)
    charge["amount"] = total_minor
    facts["amount_authorized"] = total_minor
    if charge["payment_method_details"]["type"] != "card":
        return
    if partial:
        facts |= {
            "amount_requested": asked_minor,
            "partial_authorization": {"status": _partial_status(True, total_minor, asked_minor)},
        }
    facts["overcapture"] = features.overcapture(
        total_minor, available=facts["overcapture"]["status"] == "available"
    )


def fail(charge: Obj, code: str, decline_code: str, *, blocked: bool = False) -> None:
    """The network declined, or Radar never asked it: no money was held."""
    charge |= {
        "status": "failed",
        "paid": False,
        "failure_code": code,
        "failure_message": cards.decline_message(decline_code),
    }
    if blocked:
        charge["outcome"] |= {
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "seller_message": "Stripe blocked this payment as too risky.",
            "type": "blocked",
        }
    else:
        charge["outcome"] |= {
            "network_decline_code": "05",
            "network_status": "declined_by_network",
            "reason": decline_code,
            "seller_message": "The bank did not approve this payment.",
            "type": "issuer_declined",
        }
    facts = details(charge)
    facts["amount_authorized"] = None
    facts.pop("capture_before", None)
    if "partial_authorization" in facts and facts["partial_authorization"]["status"] != (
        "not_requested"
    ):
        facts["partial_authorization"]["status"] = "declined"


def release(charge: Obj) -> None:
    """The hold ends uncaptured: no money moved, no balance transaction."""
    charge |= {"amount_refunded": charge["amount"], "refunded": True}

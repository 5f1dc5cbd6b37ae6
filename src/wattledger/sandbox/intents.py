"""PaymentIntents: create, confirm, capture, cancel, and the end of a hold by the clock."""

from __future__ import annotations

from typing import Any

from wattledger.ids import derive
from wattledger.sandbox import cards, charges, views
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError, invalid, unexpected_state

_MINIMUM_MINOR = {"gbp": 30, "mxn": 1000, "jpy": 50, "huf": 17500, "czk": 1500, "hkd": 400}
_DEFAULT_MINIMUM_MINOR = 50
_LARGEST_MINOR = 99_999_999
_CANCELABLE = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)
_CONFIRMABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
# Taken over from the request as they are.
_PLAIN_FIELDS = (
    "description",
    "on_behalf_of",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


class Intents:
    """The state machine of Stripe's PaymentIntent for cards."""

    def __init__(self, store: Store, balance: Balance) -> None:
        self.store = store
        self.balance = balance

    def create(self, store: Store, _: Obj, p: Obj) -> Obj:
        currency = p["currency"].lower()
        if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
            raise invalid(f"Invalid currency: {p['currency']}", "currency")
        _check_amount(p["amount"], currency)
        if "off_session" in p and not p.get("confirm"):
            raise invalid("off_session can only be used when confirm is true.", "off_session")
        if p.get("confirm") and not p.get("payment_method"):
            raise invalid(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                "payment_method",
            )
        if p.get("customer"):
            store.get("customer", p["customer"], "customer")
        method = self._method(p, p.get("customer"))
        intent = store.add(_intent_object(store, p, currency))
        store.emit("payment_intent.created", intent)
        if method is not None:
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
            if p.get("confirm"):
                self._attempt(intent, method, bool(p.get("off_session")))
        return intent

    def retrieve(self, store: Store, path: Obj, _: Obj) -> Obj:
        return store.get("payment_intent", path["id"], "intent")

    def list(self, store: Store, _: Obj, p: Obj) -> Obj:
        rows = reversed(store.tables["payment_intent"].values())
        return views.page(store, rows, p, "/v1/payment_intents")

    def confirm(self, store: Store, path: Obj, p: Obj) -> Obj:
        intent = store.get("payment_intent", path["id"], "intent")
        if intent["status"] not in _CONFIRMABLE:
            raise unexpected_state(
                f"You cannot confirm this PaymentIntent because it has a status of "
                f"{intent['status']}.",
                intent,
            )
        method = self._method(p, intent["customer"])
        if method is None and intent["payment_method"]:
            method = store.get("payment_method", intent["payment_method"])
        if method is None:
            raise unexpected_state(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                intent,
            )
        for field in ("capture_method", "receipt_email", "setup_future_usage"):
            if field in p:
                intent[field] = p[field] or None
        intent["payment_method_options"] |= p.get("payment_method_options") or {}
        intent["payment_method"] = method["id"]
        self._attempt(intent, method, bool(p.get("off_session")))
        return intent

    def capture(self, store: Store, path: Obj, p: Obj) -> Obj:
        """Take ``amount_to_capture`` of the hold and release the rest."""
        intent = store.get("payment_intent", path["id"], "intent")
        if intent["status"] != "requires_capture":
            raise unexpected_state(
                f"This PaymentIntent could not be captured because it has a status of "
                f"{intent['status']}. Only a PaymentIntent with one of the following statuses "
                f"may be captured: requires_capture.",
                intent,
            )
        p = {"amount_to_capture": intent["amount_capturable"], **p}
        amount_minor: int = p["amount_to_capture"]
        if amount_minor <= 0:
            raise invalid(
                "This value must be greater than or equal to 1.",
                "amount_to_capture",
                "parameter_invalid_integer",
            )
        if amount_minor > intent["amount_capturable"]:
            raise invalid(
                f"The amount you are trying to capture ({amount_minor}) is greater than the "
                f"amount capturable ({intent['amount_capturable']}).",
                "amount_to_capture",
                "amount_too_large",
            )
        if p.get("final_capture") is False:
            raise invalid("Multicapture is not available for this PaymentIntent.", "final_capture")
        intent["metadata"] = _merged(intent["metadata"], p.get("metadata"))
        charge = store.get("charge", intent["latest_charge"])
        self._take(intent, charge, amount_minor)
        store.emit("charge.captured", charge)
        store.emit("payment_intent.succeeded", intent)
        return intent

    def cancel(self, store: Store, path: Obj, p: Obj) -> Obj:
        """End the intent; a hold is released and costs nothing."""
        intent = store.get("payment_intent", path["id"], "intent")
        if intent["status"] not in _CANCELABLE:
            raise unexpected_state(
                f"You cannot cancel this PaymentIntent because it has a status of "
                f"{intent['status']}.",
                intent,
            )
        held = intent["status"] == "requires_capture"
        self._end(intent, p.get("cancellation_reason"))
        if held:
            charge = store.get("charge", intent["latest_charge"])
            charges.release(charge)
            store.emit("charge.refunded", charge)
        store.emit("payment_intent.canceled", intent)
        return intent

    def _method(self, p: Obj, customer_id: str | None) -> Obj | None:
        if not p.get("payment_method"):
            return None
        method = cards.method_for(self.store, p["payment_method"])
        if method["customer"] not in (None, customer_id):
            raise invalid(
                "The provided PaymentMethod belongs to another Customer than this PaymentIntent.",
                "payment_method",
            )
        cards.refuse_used_up(self.store, method)
        return method

    def _attempt(self, intent: Obj, method: Obj, off_session: bool) -> None:
        """Ask the card's issuer; StripeError 402 when it declines."""
        store = self.store
        card = cards.card_of(store, method)
        if card.needs_authentication and not off_session:
            intent |= {
                "status": "requires_action",
                "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}},
            }
            store.emit("payment_intent.requires_action", intent)
            return
        asked = intent["payment_method_options"].get("card", {})
        held = "manual" in (intent["capture_method"], asked.get("capture_method"))
        charge = charges.new_charge(store, intent, method, off_session=off_session, held=held)
        intent |= {"latest_charge": charge["id"], "next_action": None}
        if card.needs_authentication:
            self._decline(intent, charge, "authentication_required", "authentication_required")
        if card.code and card.decline_code:
            self._decline(intent, charge, card.code, card.decline_code)
        self._keep_method(intent, method)
        intent["last_payment_error"] = None
        if held:
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            store.schedule(
                charge["payment_method_details"]["card"]["capture_before"],
                lambda: self._expire(intent, charge),
            )
            store.emit("charge.succeeded", charge)
            store.emit("payment_intent.amount_capturable_updated", intent)
        else:
            self._take(intent, charge, intent["amount"])
            store.emit("charge.succeeded", charge)
            store.emit("payment_intent.succeeded", intent)
            store.emit("charge.updated", charge)

    def _keep_method(self, intent: Obj, method: Obj) -> None:
        self.store.used_cards.add(method["id"])
        wanted = intent["setup_future_usage"]
        if wanted in ("off_session", "on_session") and intent["customer"]:
            method["customer"] = intent["customer"]

    def _decline(self, intent: Obj, charge: Obj, code: str, decline_code: str) -> None:
        charges.fail(charge, code, decline_code)
        error = {
            "charge": charge["id"],
            "code": code,
            "decline_code": decline_code,
            "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
            "message": cards.decline_message(decline_code),
            "payment_method": self.store.get("payment_method", intent["payment_method"]),
            "type": "card_error",
        }
        intent |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_payment_error": error,
        }
        self.store.emit("charge.failed", charge)
        self.store.emit("payment_intent.payment_failed", intent)
        raise StripeError(402, payment_intent=dict(intent), **error)

    def _take(self, intent: Obj, charge: Obj, amount_minor: int) -> None:
        charge |= {"captured": True, "amount_captured": amount_minor}
        intent |= {
            "status": "succeeded",
            "amount_capturable": 0,
            "amount_received": amount_minor,
        }
        self.balance.capture(charge, amount_minor)

    def _expire(self, intent: Obj, charge: Obj) -> None:
        """The hold's window closed; nothing happens when it was captured or canceled."""
        if intent["status"] != "requires_capture":
            return
        charges.release(charge)
        self._end(intent, "automatic")
        self.store.emit("charge.expired", charge)
        self.store.emit("payment_intent.canceled", intent)

    def _end(self, intent: Obj, reason: str | None) -> None:
        intent |= {
            "status": "canceled",
            "amount_capturable": 0,
            "canceled_at": self.store.now_s,
            "cancellation_reason": reason,
            "next_action": None,
        }


def _check_amount(amount_minor: int, currency: str) -> None:
    minimum_minor = _MINIMUM_MINOR.get(currency, _DEFAULT_MINIMUM_MINOR)
    if amount_minor < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer"
        )
    if amount_minor < minimum_minor:
        raise invalid(
            f"Amount must be at least {minimum_minor} {currency}", "amount", "amount_too_small"
        )
    if amount_minor > _LARGEST_MINOR:
        raise invalid("Amount must be no more than 999,999.99", "amount", "amount_too_large")


def _merged(old: Obj, new: Any) -> Obj:
    """Metadata: an empty value unsets its key, an empty whole unsets all."""
    if new is None:
        return old
    merged = {**old, **new} if new else {}
    return {key: value for key, value in merged.items() if value != ""}


def _intent_object(store: Store, p: Obj, currency: str) -> Obj:
    intent_id = store.new_id("pi")
    automatic = p.get("automatic_payment_methods")
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": p["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic or None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": p.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_{derive('secret', intent_id)}",
        "confirmation_method": p.get("confirmation_method", "automatic"),
        "created": store.now_s,
        "currency": currency,
        "customer": p.get("customer") or None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": _merged({}, p.get("metadata")),
        "next_action": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": p.get("payment_method_options") or {"card": {}},
        "payment_method_types": p.get("payment_method_types", ["card"]),
        "processing": None,
        "review": None,
        "shipping": p.get("shipping") or None,
        "source": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        **{field: p.get(field) or None for field in _PLAIN_FIELDS},
    }

"""PaymentIntents: create, update, confirm, capture, cancel, increment."""

from __future__ import annotations

from wattledger.ids import derive
from wattledger.sandbox import cards, charges, increments, present, views
from wattledger.sandbox.attempts import Attempts, minimum_minor
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.store import Store
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj, invalid, merged, unexpected_state

_LARGEST_MINOR = 99_999_999
_CANCELABLE = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)
_OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
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
# What makes no sense before the payment is attempted.
_ONLY_WITH_CONFIRM = (
    "off_session",
    "error_on_requires_action",
    "mandate",
    "mandate_data",
    "return_url",
)
# After the hold only what describes the payment can change.
_ALWAYS_UPDATABLE = frozenset({"description", "metadata", "receipt_email", "transfer_group"})


class Intents:
    """The state machine of Stripe's PaymentIntent for cards."""

    def __init__(self, store: Store, balance: Balance) -> None:
        self.store = store
        self.attempts = Attempts(balance)
        self.increments = increments.Increments(store, balance.habits)

    def create(self, store: Store, _: Obj, p: Obj) -> Obj:
        currency = p["currency"].lower()
        if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
            raise invalid(f"Invalid currency: {p['currency']}", "currency")
        _check_amount(p["amount"], currency)
        for param in _ONLY_WITH_CONFIRM:
            if param in p and not p.get("confirm"):
                raise invalid(f"{param} can only be used when confirm is true.", param)
        if p.get("confirm") and not p.get("payment_method"):
            raise invalid(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                "payment_method",
            )
        if p.get("customer"):
            store.get("customer", p["customer"], "customer")
        _check_off_session(p)
        if "card_present" in p.get("allowed_payment_method_types", []):
            present.check_create(p)
        method = self._method(p, p.get("customer"))
        intent = _intent_object(store, p, currency)
        if method is not None:
            _check_type(intent, method, p)
        store.add(intent)
        store.emit("payment_intent.created", intent)
        if method is not None:
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
            if p.get("confirm"):
                self.attempts.start(intent, method, p)
        return intent

    def retrieve(self, store: Store, path: Obj, _: Obj) -> Obj:
        return store.get("payment_intent", path["id"], "intent")

    def list(self, store: Store, _: Obj, p: Obj) -> Obj:
        rows = reversed(store.tables["payment_intent"].values())
        return views.page(store, rows, p, "/v1/payment_intents")

    def update(self, store: Store, path: Obj, p: Obj) -> Obj:
        intent = store.get("payment_intent", path["id"], "intent")
        fixed = sorted(set(p) - _ALWAYS_UPDATABLE)
        if fixed and intent["status"] not in _OPEN:
            raise unexpected_state(
                f"This PaymentIntent's {fixed[0]} could not be updated because it has a status "
                f"of {intent['status']}. You may only update the {fixed[0]} of a PaymentIntent "
                "with one of the following statuses: requires_payment_method, "
                "requires_confirmation, requires_action.",
                intent,
            )
        currency = str(p.get("currency", intent["currency"])).lower()
        if "amount" in p or "currency" in p:
            _check_amount({**intent, **p}["amount"], currency)
        if p.get("customer"):
            store.get("customer", p["customer"], "customer")
        method = self._method(p, p.get("customer", intent["customer"]))
        if method is not None:
            _check_type(intent, method, p)
            intent["payment_method"] = method["id"]
        for field in (*_PLAIN_FIELDS, "customer", "shipping"):
            if field in p:
                intent[field] = p[field] or None
        for field in ("amount", "capture_method", "allowed_payment_method_types"):
            if p.get(field):
                intent[field] = p[field]
        intent["payment_method_types"] = _compatible(intent)
        intent["currency"] = currency
        intent["payment_method_options"] |= _options(p, intent["payment_method_options"])
        intent["metadata"] = merged(intent["metadata"], p.get("metadata"))
        if method is not None or (fixed and intent["status"] == "requires_action"):
            self.attempts.forget(intent)
            intent |= {"status": "requires_confirmation", "next_action": None}
        store.touch(intent)
        return intent

    def confirm(self, store: Store, path: Obj, p: Obj) -> Obj:
        intent = store.get("payment_intent", path["id"], "intent")
        if intent["status"] not in _OPEN:
            raise unexpected_state(
                f"You cannot confirm this PaymentIntent because it has a status of "
                f"{intent['status']}.",
                intent,
            )
        if "card_present" in intent["payment_method_types"]:
            raise invalid("PaymentIntents of type card_present are confirmed by a reader.")
        _check_off_session(p)
        method = self._method(p, intent["customer"])
        if method is None and intent["payment_method"]:
            method = store.get("payment_method", intent["payment_method"])
        if method is None:
            raise unexpected_state(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                intent,
            )
        _check_type(intent, method, p)
        for field in ("capture_method", "receipt_email", "setup_future_usage"):
            if field in p:
                intent[field] = p[field] or None
        intent["payment_method_options"] |= _options(p, intent["payment_method_options"])
        intent["payment_method"] = method["id"]
        self.attempts.start(intent, method, p)
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
        charge = store.get("charge", intent["latest_charge"])
        amount_minor: int = {"amount_to_capture": intent["amount_capturable"], **p}[
            "amount_to_capture"
        ]
        most_minor = _most_capturable_minor(intent, charge)
        if amount_minor <= 0:
            raise invalid(
                "This value must be greater than or equal to 1.",
                "amount_to_capture",
                "parameter_invalid_integer",
            )
        if amount_minor > most_minor:
            raise invalid(
                f"The amount you are trying to capture ({amount_minor}) is greater than the "
                f"amount capturable ({most_minor}).",
                "amount_to_capture",
                "amount_too_large",
            )
        if p.get("final_capture") is False:
            raise invalid("Multicapture is not available for this PaymentIntent.", "final_capture")
        intent["metadata"] = merged(intent["metadata"], p.get("metadata"))
        self.attempts.take(intent, charge, amount_minor)
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
        was_held = intent["status"] == "requires_capture"
        self.attempts.end(intent, p.get("cancellation_reason"))
        if was_held:
            charge = store.get("charge", intent["latest_charge"])
            charges.release(charge)
            store.emit("charge.refunded", charge)
        store.emit("payment_intent.canceled", intent)
        return intent

    def increment(self, store: Store, path: Obj, p: Obj) -> Obj:
        """Ask for a higher hold: ``amount`` is the new total."""
        return self.increments.increment(store.get("payment_intent", path["id"], "intent"), p)

    def present(
        self, intent: Obj, card: TestCard, reader: Obj, *, wallet: str | None = None
    ) -> Obj:
        """A card, or a phone as ``wallet``, is held to ``reader``; StripeError 402 when the
        issuer declines. The intent may be tried again after that."""
        if intent["status"] != "requires_payment_method":
            raise unexpected_state(
                f"You cannot process this PaymentIntent because it has a status of "
                f"{intent['status']}.",
                intent,
            )
        return present.attempt(self.attempts, intent, card, reader, wallet=wallet)

    def authenticate(self, intent_id: str, *, passed: bool) -> Obj:
        """The cardholder passed or failed the bank's challenge; StripeError on a refusal."""
        intent = self.store.get("payment_intent", intent_id, "intent")
        self.attempts.authenticated(intent, passed=passed)
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


def _most_capturable_minor(intent: Obj, charge: Obj) -> int:
    """The hold, or more where the network allows an overcapture."""
    over = charges.details(charge).get("overcapture") or {}
    held_minor: int = intent["amount_capturable"]
    most_minor: int = over.get("maximum_amount_capturable", 0)
    return max(held_minor, most_minor)


def _check_off_session(p: Obj) -> None:
    """A payment without its cardholder can't ask for the cardholder."""
    if p.get("off_session") and p.get("mandate_data"):
        raise invalid(
            "You cannot provide mandate_data for an off_session payment: the mandate was "
            "accepted before.",
            "mandate_data",
        )
    if p.get("mandate"):
        raise invalid(f"No such mandate: '{p['mandate']}'", "mandate", "resource_missing")


def _compatible(intent: Obj) -> list[str]:
    """The types that can pay it: those allowed, else what the Dashboard has: cards."""
    return list(intent["allowed_payment_method_types"] or ["card"])


def _check_type(intent: Obj, method: Obj, p: Obj) -> None:
    allowed = p.get("allowed_payment_method_types") or intent["payment_method_types"]
    if method["type"] not in allowed:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this "
            "PaymentIntent. Please attach a PaymentMethod of one of the following types: "
            f"{', '.join(allowed)}.",
            "payment_method",
            "payment_intent_incompatible_payment_method",
        )


def _check_amount(amount_minor: int, currency: str) -> None:
    least_minor = minimum_minor(currency)
    if amount_minor < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer"
        )
    if amount_minor < least_minor:
        raise invalid(
            f"Amount must be at least {least_minor} {currency}", "amount", "amount_too_small"
        )
    if amount_minor > _LARGEST_MINOR:
        raise invalid("Amount must be no more than 999,999.99", "amount", "amount_too_large")


def _options(p: Obj, before: Obj) -> Obj:
    """The options of each method with what the request changes of them."""
    given = p.get("payment_method_options") or {}
    return {kind: (before.get(kind) or {}) | (of or {}) for kind, of in given.items()}


def _default_options(types: list[str]) -> Obj:
    card = {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    }
    at_reader = {
        "request_extended_authorization": False,
        "request_incremental_authorization_support": False,
    }
    by_type = {"card": card, "card_present": at_reader}
    return {kind: by_type.get(kind, {}) for kind in types}


def _intent_object(store: Store, p: Obj, currency: str) -> Obj:
    intent_id = store.new_id("pi")
    allowed = p.get("allowed_payment_method_types") or None
    types = allowed or ["card"]
    default = {"allow_redirects": "always", "enabled": True}
    automatic = p.get("automatic_payment_methods") or (None if allowed else default)
    options = _default_options(types)
    return {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": allowed,
        "amount": p["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic,
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
        "metadata": merged({}, p.get("metadata")),
        "next_action": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": options | _options(p, options),
        "payment_method_types": types,
        "processing": None,
        "review": None,
        "shipping": p.get("shipping") or None,
        "source": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        **{field: p.get(field) or None for field in _PLAIN_FIELDS},
    }

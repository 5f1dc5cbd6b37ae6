"""Incremental authorization: a hold grows while it is used, if its issuer agrees.

The rules are Stripe's: the amount is the new total, above the present one; ten tries, those
declined included; each at most 500 (of the currency's whole units) or 500 % above what was
authorized before, whichever is more; the window stays what it was; and a decline leaves
everything as it stood.
"""

from __future__ import annotations

from collections import defaultdict

from wattledger.sandbox import cards, charges, features
from wattledger.sandbox.habits import Habits
from wattledger.sandbox.store import Store
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj, StripeError, invalid, merged, unexpected_state

_TRIES = 10
# "500 USD or the local equivalent", roughly, where a unit is far from a dollar's worth.
_STEP_MINOR = {"jpy": 75_000, "huf": 18_000_000, "czk": 1_150_000, "mxn": 900_000}
_DEFAULT_STEP_MINOR = 50_000


class Increments:
    """Counts the tries of every intent."""

    def __init__(self, store: Store, habits: Habits) -> None:
        self.store = store
        self.habits = habits
        self._tries: defaultdict[str, int] = defaultdict(int)

    def increment(self, intent: Obj, p: Obj) -> Obj:
        total_minor: int = p["amount"]
        charge = self._check(intent, total_minor)
        kind = charge["payment_method_details"]["type"]
        asked = {**(intent["payment_method_options"].get(kind) or {})}
        asked |= (p.get("payment_method_options") or {}).get(kind) or {}
        method = self.store.get("payment_method", charge["payment_method"])
        card = cards.card_of(self.store, method)
        partial = features.partial(self.habits, card, asked)
        self._tries[intent["id"]] += 1
        approved_minor = self._approved_minor(intent, card, total_minor, partial=partial)
        charges.grow(charge, approved_minor, total_minor, partial=partial)
        intent |= {"amount": approved_minor, "amount_capturable": approved_minor}
        for field in ("description", "statement_descriptor"):
            if field in p:
                intent[field] = charge[field] = p[field] or None
        intent["metadata"] = merged(intent["metadata"], p.get("metadata"))
        self.store.emit("charge.updated", charge)
        self.store.emit("payment_intent.amount_capturable_updated", intent)
        return intent

    def _check(self, intent: Obj, total_minor: int) -> Obj:
        """The charge whose hold can grow to ``total_minor``, as far as Stripe itself knows."""
        if intent["status"] != "requires_capture":
            raise unexpected_state(
                "This PaymentIntent's authorization could not be incremented because it has a "
                f"status of {intent['status']}. Only a PaymentIntent with one of the following "
                "statuses may have its authorization incremented: requires_capture.",
                intent,
            )
        charge = self.store.get("charge", intent["latest_charge"])
        if not _supported(charge):
            raise invalid(
                "This PaymentIntent does not support incremental authorization: it was not "
                "requested when the PaymentIntent was confirmed, or is not available for this "
                "payment.",
            )
        before_minor: int = intent["amount"]
        if total_minor <= before_minor:
            raise invalid(
                f"Amount must be greater than the currently authorized amount ({before_minor}).",
                "amount",
                "parameter_invalid_integer",
            )
        if self._tries[intent["id"]] >= _TRIES:
            raise invalid(
                f"You have reached the maximum number of {_TRIES} incremental authorization "
                "attempts for this PaymentIntent."
            )
        step_minor = _STEP_MINOR.get(intent["currency"], _DEFAULT_STEP_MINOR)
        most_minor = before_minor + max(step_minor, before_minor * 5)
        if total_minor > most_minor:
            raise invalid(
                f"The amount ({total_minor}) is greater than the maximum this authorization can "
                f"be incremented to ({most_minor}).",
                "amount",
                "amount_too_large",
            )
        return charge

    def _approved_minor(
        self, intent: Obj, card: TestCard, total_minor: int, *, partial: bool
    ) -> int:
        """What the issuer lets the hold grow to; StripeError 402 when it declines."""
        if not card.increments:
            raise _declined(intent, "generic_decline")
        if card.partial_increment_percent == 100:
            return total_minor
        # 70 % of the increment asked for: 100.00 to 150.00 becomes 135.00.
        more_minor = total_minor - intent["amount"]
        approved_minor: int = intent["amount"]
        approved_minor += more_minor * card.partial_increment_percent // 100
        if not partial or approved_minor == intent["amount"]:
            raise _declined(intent, "insufficient_funds")
        return approved_minor


def _supported(charge: Obj) -> bool:
    facts = charges.details(charge)
    if charge["payment_method_details"]["type"] == "card_present":
        return bool(facts["incremental_authorization_supported"])
    return bool(facts["incremental_authorization"]["status"] == "available")


def _declined(intent: Obj, decline_code: str) -> StripeError:
    """402, and nothing of the intent or its charge changes."""
    return StripeError(
        402,
        type="card_error",
        code="card_declined",
        decline_code=decline_code,
        doc_url="https://docs.stripe.com/error-codes/card-declined",
        message=cards.decline_message(decline_code),
        charge=intent["latest_charge"],
        payment_intent=dict(intent),
    )

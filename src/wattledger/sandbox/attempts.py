"""What happens between a PaymentIntent and the card's issuer: authentication, yes or no,
the hold or the money, and the end of a hold by the clock."""

from __future__ import annotations

from typing import Any

from wattledger.sandbox import cards, charges, features
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.charges import Attempt
from wattledger.sandbox.habits import Habits
from wattledger.sandbox.store import Store
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj, StripeError, invalid

_MINIMUM_MINOR = {"gbp": 30, "mxn": 1000, "jpy": 50, "huf": 17500, "czk": 1500, "hkd": 400}
_DEFAULT_MINIMUM_MINOR = 50


def minimum_minor(currency: str) -> int:
    """Below it Stripe takes no charge."""
    return _MINIMUM_MINOR.get(currency, _DEFAULT_MINIMUM_MINOR)


class Attempts:
    """Asks the issuer on behalf of an intent, and books what it said."""

    def __init__(self, balance: Balance) -> None:
        self.store: Store = balance.store
        self.balance = balance
        self.habits: Habits = balance.habits
        self.set_up: set[str] = set()
        """Payment methods whose cardholder agreed, authenticated, to be charged later."""
        self._waiting: dict[str, Attempt] = {}

    def start(self, intent: Obj, method: Obj, p: Obj) -> None:
        """Ask the card's issuer; StripeError 402 when it declines."""
        off_session = bool(p.get("off_session"))
        card = cards.card_of(self.store, method)
        asked = intent["payment_method_options"].get("card") or {}
        attempt = Attempt(off_session=off_session, held=held(intent, asked), asked=asked)
        if not self.wants_authentication(card, method, asked, off_session=off_session):
            self._authorize(intent, method, attempt)
        elif off_session:
            charge = charges.new_charge(self.store, self.habits, intent, method, attempt)
            self.decline(intent, charge, "authentication_required", "authentication_required")
        elif p.get("error_on_requires_action"):
            self.decline(intent, None, "authentication_required", "authentication_required")
        else:
            self._waiting[intent["id"]] = attempt
            intent |= {
                "status": "requires_action",
                "next_action": next_action(self.store, intent, p.get("return_url")),
            }
            self.store.emit("payment_intent.requires_action", intent)

    def wants_authentication(
        self, card: TestCard, method: Obj, asked: Obj, *, off_session: bool
    ) -> bool:
        """Whether the cardholder must be asked before this payment."""
        if card.authentication == "always":
            return True
        if card.authentication == "unless_set_up":
            return not (off_session and method["id"] in self.set_up)
        if card.authentication == "on_session":
            return not off_session
        wished = asked.get("request_three_d_secure") in ("any", "challenge")
        return wished and card.authentication == "on_request" and not off_session

    def authenticated(self, intent: Obj, *, passed: bool) -> None:
        """The cardholder answered the bank; StripeError 402 when it then declines."""
        attempt = self._waiting.pop(intent["id"], None)
        if attempt is None or intent["status"] != "requires_action":
            raise invalid(f"This PaymentIntent waits for no action: {intent['status']}.")
        method = self.store.get("payment_method", intent["payment_method"])
        if not passed:
            self._refuse(
                intent,
                {
                    "code": "payment_intent_authentication_failure",
                    "doc_url": "https://docs.stripe.com/error-codes"
                    "/payment-intent-authentication-failure",
                    "message": "The provided PaymentMethod has failed authentication. You can "
                    "provide payment_method_data or a new PaymentMethod to attempt to fulfill "
                    "this PaymentIntent again.",
                    "payment_method": dict(method),
                    "type": "invalid_request_error",
                },
                402,
            )
        waited = Attempt(held=attempt.held, asked=attempt.asked, authenticated=True)
        self._authorize(intent, method, waited)

    def forget(self, intent: Obj) -> None:
        """The intent waits for nobody any more."""
        self._waiting.pop(intent["id"], None)

    def _authorize(self, intent: Obj, method: Obj, attempt: Attempt) -> None:
        store = self.store
        card = cards.card_of(store, method)
        approved_minor, refused = self._approved_minor(intent, card, attempt)
        if approved_minor != intent["amount"]:
            attempt = Attempt(
                off_session=attempt.off_session,
                held=attempt.held,
                approved_minor=approved_minor,
                authenticated=attempt.authenticated,
                asked=attempt.asked,
            )
        charge = charges.new_charge(store, self.habits, intent, method, attempt)
        if refused:
            self.decline(intent, charge, "card_declined", refused)
        if card.code and card.decline_code:
            self.decline(intent, charge, card.code, card.decline_code, blocked=card.blocked)
        intent["amount"] = approved_minor
        self._keep_method(intent, method, authenticated=attempt.authenticated)
        self.approve(intent, charge, hold=attempt.held)

    def _approved_minor(
        self, intent: Obj, card: TestCard, attempt: Attempt
    ) -> tuple[int, str | None]:
        """How much the issuer approves, and why it declines where it does."""
        asked_minor: int = intent["amount"]
        if card.partial_percent == 100:
            return asked_minor, None
        if not features.partial(self.habits, card, attempt.asked):
            return asked_minor, "insufficient_funds"
        approved_minor = asked_minor * card.partial_percent // 100
        if approved_minor < minimum_minor(intent["currency"]):
            return asked_minor, "insufficient_funds"
        return approved_minor, None

    def approve(self, intent: Obj, charge: Obj, *, hold: bool) -> None:
        """The issuer said yes: the money is held, or taken at once."""
        store = self.store
        intent |= {
            "latest_charge": charge["id"],
            "next_action": None,
            "last_payment_error": None,
        }
        if not hold:
            self.take(intent, charge, charge["amount"])
            store.emit("charge.succeeded", charge)
            store.emit("payment_intent.succeeded", intent)
            store.emit("charge.updated", charge)
            return
        intent |= {"status": "requires_capture", "amount_capturable": charge["amount"]}
        store.schedule(
            charges.details(charge)["capture_before"], lambda: self._expire(intent, charge)
        )
        store.emit("charge.succeeded", charge)
        store.emit("payment_intent.amount_capturable_updated", intent)

    def _keep_method(self, intent: Obj, method: Obj, *, authenticated: bool) -> None:
        """Save the card as ``setup_future_usage`` says; else it is used up, if nobody's."""
        wanted = intent["setup_future_usage"]
        if wanted is None:
            self.store.used_cards.add(method["id"])
            return
        if intent["customer"] and method["customer"] is None:
            method["customer"] = intent["customer"]
            self.store.emit("payment_method.attached", method)
        if wanted == "off_session" and authenticated:
            self.set_up.add(method["id"])

    def decline(
        self,
        intent: Obj,
        charge: Obj | None,
        code: str,
        decline_code: str,
        *,
        blocked: bool = False,
    ) -> None:
        """The answer is no: StripeError 402, and the intent waits for another card."""
        error: Obj = {
            "code": code,
            "decline_code": decline_code,
            "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
            "message": cards.decline_message(decline_code),
            "type": "card_error",
        }
        method_id = intent["payment_method"]
        if charge:
            charges.fail(charge, code, decline_code, blocked=blocked)
            error["charge"] = charge["id"]
            method_id = charge["payment_method"]
            intent["latest_charge"] = charge["id"]
            self.store.emit("charge.failed", charge)
        error["payment_method"] = dict(self.store.get("payment_method", method_id))
        self._refuse(intent, error, 402)

    def _refuse(self, intent: Obj, error: Obj, status: int) -> Any:
        intent |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "next_action": None,
            "last_payment_error": error,
        }
        self.store.emit("payment_intent.payment_failed", intent)
        raise StripeError(status, payment_intent=dict(intent), **error)

    def take(self, intent: Obj, charge: Obj, amount_minor: int) -> None:
        """The money is ours; above the hold it becomes the amount of both (overcapture)."""
        if amount_minor > charge["amount"]:
            charge["amount"] = intent["amount"] = amount_minor
        charge |= {"captured": True, "amount_captured": amount_minor}
        intent |= {
            "status": "succeeded",
            "amount_capturable": 0,
            "amount_received": amount_minor,
        }
        self.balance.capture(charge, amount_minor)

    def _expire(self, intent: Obj, charge: Obj) -> None:
        """The hold's window closed; nothing happens when it was captured or canceled."""
        if intent["status"] != "requires_capture" or intent["latest_charge"] != charge["id"]:
            return
        charges.release(charge)
        self.end(intent, "automatic")
        self.store.emit("charge.expired", charge)
        self.store.emit("payment_intent.canceled", intent)

    def end(self, intent: Obj, reason: str | None) -> None:
        intent |= {
            "status": "canceled",
            "amount_capturable": 0,
            "canceled_at": self.store.now_s,
            "cancellation_reason": reason,
            "next_action": None,
        }
        self.forget(intent)


def held(intent: Obj, asked: Obj) -> bool:
    """Whether the money is held first: as the intent says, or the method's option over it."""
    method: str = asked.get("capture_method") or intent["capture_method"]
    return method == "manual"


def next_action(store: Store, intent: Obj, return_url: str | None) -> Obj:
    """Where the cardholder goes: the bank's page, or what Stripe.js shows in ours."""
    if return_url:
        page = f"{store.base_url}_sim/authenticate/{intent['id']}"
        return {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": page},
        }
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {}}

"""SetupIntents: a card is saved for later without being charged now."""

from __future__ import annotations

from wattledger.ids import derive
from wattledger.sandbox import cards
from wattledger.sandbox.attempts import Attempts, next_action
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError, invalid, merged

_OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


class Setups:
    """The state machine of Stripe's SetupIntent for cards."""

    def __init__(self, store: Store, attempts: Attempts) -> None:
        self.store = store
        self.attempts = attempts

    def create(self, store: Store, _: Obj, p: Obj) -> Obj:
        for param in ("mandate_data", "return_url"):
            if param in p and not p.get("confirm"):
                raise invalid(f"{param} can only be used when confirm is true.", param)
        if p.get("confirm") and not p.get("payment_method"):
            raise invalid(
                "You cannot confirm this SetupIntent because it's missing a payment method.",
                "payment_method",
            )
        if p.get("customer"):
            store.get("customer", p["customer"], "customer")
        method = cards.method_for(store, p["payment_method"]) if p.get("payment_method") else None
        setup = store.add(_setup_object(store, p))
        store.emit("setup_intent.created", setup)
        if method is not None:
            setup |= {"payment_method": method["id"], "status": "requires_confirmation"}
            if p.get("confirm"):
                self._attempt(setup, method, p)
        return setup

    def confirm(self, store: Store, path: Obj, p: Obj) -> Obj:
        setup = self._open(path["id"], "confirm")
        name = p.get("payment_method") or setup["payment_method"]
        if not name:
            raise invalid(
                "You cannot confirm this SetupIntent because it's missing a payment method.",
                "payment_method",
            )
        self._attempt(setup, cards.method_for(store, name), p)
        return setup

    def cancel(self, store: Store, path: Obj, p: Obj) -> Obj:
        setup = self._open(path["id"], "cancel")
        setup |= {
            "status": "canceled",
            "cancellation_reason": p.get("cancellation_reason"),
            "next_action": None,
        }
        store.emit("setup_intent.canceled", setup)
        return setup

    def authenticate(self, setup_id: str, *, passed: bool) -> Obj:
        """The cardholder passed or failed the bank's challenge."""
        setup = self.store.get("setup_intent", setup_id, "intent")
        if setup["status"] != "requires_action":
            raise invalid(f"This SetupIntent waits for no action: {setup['status']}.")
        method = self.store.get("payment_method", setup["payment_method"])
        if passed:
            self._succeed(setup, method)
        else:
            self._fail(setup, method, "setup_intent_authentication_failure", None)
        return setup

    def _open(self, setup_id: str, verb: str) -> Obj:
        setup = self.store.get("setup_intent", setup_id, "intent")
        if setup["status"] not in _OPEN:
            raise StripeError(
                400,
                type="invalid_request_error",
                code="setup_intent_unexpected_state",
                message=f"You cannot {verb} this SetupIntent because it has a status of "
                f"{setup['status']}.",
                setup_intent=dict(setup),
            )
        return setup

    def _attempt(self, setup: Obj, method: Obj, p: Obj) -> None:
        if method["customer"] not in (None, setup["customer"]):
            raise invalid(
                "The provided PaymentMethod belongs to another Customer than this SetupIntent.",
                "payment_method",
            )
        cards.refuse_used_up(self.store, method)
        card = cards.card_of(self.store, method)
        setup["payment_method"] = method["id"]
        if not card.attaches:
            self._fail(setup, method, card.code or "card_declined", card.decline_code)
        # A card that is charged off session later is authenticated now.
        if card.authentication in ("always", "unless_set_up"):
            setup |= {
                "status": "requires_action",
                "next_action": next_action(self.store, setup, p.get("return_url")),
            }
            self.store.emit("setup_intent.requires_action", setup)
            return
        self._succeed(setup, method)

    def _succeed(self, setup: Obj, method: Obj) -> None:
        if setup["customer"] and method["customer"] is None:
            method["customer"] = setup["customer"]
            self.store.emit("payment_method.attached", method)
        if setup["usage"] == "off_session":
            self.attempts.set_up.add(method["id"])
        setup |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
        self.store.emit("setup_intent.succeeded", setup)

    def _fail(self, setup: Obj, method: Obj, code: str, decline_code: str | None) -> None:
        declined = decline_code is not None
        error: Obj = {
            "code": code,
            "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
            "message": cards.decline_message(decline_code)
            if declined
            else "The latest attempt to set up the payment method has failed because "
            "authentication failed.",
            "payment_method": dict(method),
            "type": "card_error" if declined else "invalid_request_error",
        }
        if declined:
            error["decline_code"] = decline_code
        setup |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "next_action": None,
            "last_setup_error": error,
        }
        self.store.emit("setup_intent.setup_failed", setup)
        raise StripeError(402, setup_intent=dict(setup), **error)


def _setup_object(store: Store, p: Obj) -> Obj:
    setup_id = store.new_id("seti")
    allowed = p.get("allowed_payment_method_types") or None
    automatic = p.get("automatic_payment_methods")
    return {
        "id": setup_id,
        "object": "setup_intent",
        "allowed_payment_method_types": allowed,
        "application": None,
        "automatic_payment_methods": automatic
        or (None if allowed else {"allow_redirects": "always", "enabled": True}),
        "cancellation_reason": None,
        "client_secret": f"{setup_id}_{derive('secret', setup_id)}",
        "created": store.now_s,
        "customer": p.get("customer") or None,
        "description": p.get("description"),
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": merged({}, p.get("metadata")),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": allowed or ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": p.get("usage", "off_session"),
    }

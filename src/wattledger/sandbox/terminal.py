"""Terminal readers, driven by the server: what they show, and what is held to them.

A reader has one action at a time. Until a card is presented a new action takes the place of
the one before; while the issuer is being asked, the reader is busy. What the reader reports
is only its own view: the PaymentIntent's status is what counts.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Protocol

from wattledger.sandbox import fleet, tokens, views
from wattledger.sandbox.store import Store
from wattledger.sandbox.tokens import TestCard
from wattledger.sandbox.wire import Obj, StripeError, invalid, missing

_SILENCE_S = 120
"""A reader that sent nothing for that long counts as offline."""
_GUIDE = (
    "https://stripe.com/docs/terminal/payments/collect-card-payment"
    "?terminal-sdk-platform=server-driven#handle-errors"
)
_MESSAGES = {
    "terminal_reader_offline": "Reader is currently offline, please ensure the reader is powered "
    f"on and connected to the internet before retrying your request. See {_GUIDE}.",
    "terminal_reader_busy": "Reader is currently busy processing another request. Please "
    f"reference the integration guide at {_GUIDE} for details on how to handle this error.",
    "terminal_reader_timeout": "There was a timeout when sending this command to the reader. "
    f"Please reference the integration guide at {_GUIDE} for details on how to handle this error.",
    "intent_invalid_state": "Payment intent must be in the requires_payment_method state to be "
    "processed by a reader.",
}
_FAILURES = {
    "connection_error": "Could not connect to Stripe.",
    "customer_canceled": "This action could not be completed due to an error on the card reader.",
}
OUTCOMES = frozenset({"reported", "lost", "connection_error"})


class Presents(Protocol):
    """Who asks the issuer for a card held to a reader; StripeError 402 when it declines."""

    def present(
        self, intent: Obj, card: TestCard, reader: Obj, *, wallet: str | None = None
    ) -> Obj: ...


class Terminal:
    """``/v1/terminal`` and its test helpers; the rest is what ``/_sim/reader`` makes happen."""

    def __init__(self, store: Store, intents: Presents) -> None:
        self.store = store
        self._intents = intents
        self._silent_since_s: dict[str, int] = {}
        self._busy: set[str] = set()
        self._timeouts: defaultdict[str, deque[bool]] = defaultdict(deque)

    def retrieve(self, store: Store, path: Obj, _: Obj) -> Obj:
        if gone := fleet.deleted(store, path["id"]):
            return gone
        return self._seen(store.get("terminal.reader", path["id"], "reader"))

    def list(self, store: Store, _: Obj, p: Obj) -> Obj:
        rows = [self._seen(row) for row in reversed(store.tables["terminal.reader"].values())]
        return views.page(store, rows, p, "/v1/terminal/readers")

    def process(self, store: Store, path: Obj, p: Obj) -> Obj:
        """Show the payment on the reader and wait there for a card."""
        reader = store.get("terminal.reader", path["id"], "reader")
        intent = store.get("payment_intent", p["payment_intent"], "payment_intent")
        if "card_present" not in intent["payment_method_types"]:
            raise invalid(
                "The PaymentIntent's payment_method_types must include card_present.",
                "payment_intent",
                "payment_intent_incompatible_payment_method",
            )
        if intent["status"] != "requires_payment_method":
            raise _refused("intent_invalid_state")
        received = self._reach(reader)
        about = {"payment_intent": intent["id"]}
        if p.get("process_config"):
            about["process_config"] = p["process_config"]
        if received is not False:
            reader["action"] = _action("process_payment_intent", about)
        if received is not None:
            raise _refused("terminal_reader_timeout")
        return reader

    def cancel(self, store: Store, path: Obj, _: Obj) -> Obj:
        """Reset the reader. The PaymentIntent stays as it is, and no event tells of it."""
        return self._command(store, path, None)

    def display(self, store: Store, path: Obj, p: Obj) -> Obj:
        """Show a cart: the action slot is taken by it, until the next action."""
        about = {"cart": {"tax": None, **p["cart"]} if p.get("cart") else None, "type": p["type"]}
        return self._command(store, path, _action("set_reader_display", about))

    def _command(self, store: Store, path: Obj, action: Obj | None) -> Obj:
        reader = store.get("terminal.reader", path["id"], "reader")
        received = self._reach(reader)
        if received is not False:
            reader["action"] = action
        if received is not None:
            raise _refused("terminal_reader_timeout")
        return reader

    def _reach(self, reader: Obj) -> bool | None:
        """None: the reader got the command and said so. Else there is no word of it, and the
        value tells whether it got it all the same."""
        self._seen(reader)
        if reader["status"] == "offline":
            raise _refused("terminal_reader_offline")
        if reader["id"] in self._silent_since_s:
            return False
        if reader["id"] in self._busy:
            raise _refused("terminal_reader_busy")
        ordered = self._timeouts[reader["id"]]
        return ordered.popleft() if ordered else None

    def _seen(self, reader: Obj) -> Obj:
        if reader["id"] not in self._silent_since_s:
            reader["last_seen_at"] = self.store.now_s * 1000
        return reader

    def present(self, store: Store, path: Obj, p: Obj) -> Obj:
        """The test helper: a card is held to the simulated reader."""
        if p.get("amount_tip") or p.get("interac_present"):
            raise invalid("Tips and Interac are not simulated here.")
        given = p.get(p.get("type", "card_present")) or {}
        return self.hold_card(path["id"], given.get("number") or "4242424242424242")

    def hold_card(
        self,
        reader_id: str,
        number: str,
        *,
        wallet: str | None = None,
        outcome: str = "reported",
        processing_s: int = 0,
    ) -> Obj:
        """Someone holds a card (or the phone with it) to the reader, which is waiting for one.

        ``outcome``: the reader ``reported`` it; it was ``lost``, so that the action stays in
        progress; or the reader saw a ``connection_error`` though the issuer was asked.
        """
        reader = self.store.get("terminal.reader", reader_id, "reader")
        card = tokens.by_number(number)
        if card is None:
            raise invalid(f"No test card has the number {number}.", "card_present[number]")
        action = reader["action"]
        waits = action and action["type"] == "process_payment_intent"
        if not waits or action["status"] != "in_progress" or reader_id in self._busy:
            raise invalid(f"Reader {reader_id} is not waiting for a card.", "reader")

        def ask() -> None:
            self._busy.discard(reader_id)
            self._ask(reader, action, card, wallet, outcome)

        if processing_s:
            self._busy.add(reader_id)
            self.store.schedule(self.store.now_s + processing_s, ask)
        else:
            ask()
        return reader

    def _ask(
        self, reader: Obj, action: Obj, card: TestCard, wallet: str | None, outcome: str
    ) -> None:
        intent_id = action["process_payment_intent"]["payment_intent"]
        intent = self.store.get("payment_intent", intent_id)
        if intent["status"] != "requires_payment_method":  # canceled while the reader waited
            self._failed(reader, "intent_invalid_state", _MESSAGES["intent_invalid_state"])
            return
        try:
            self._intents.present(intent, card, reader, wallet=wallet)
        except StripeError as declined:
            if outcome == "reported":
                error = declined.error
                self._failed(reader, str(error["code"]), str(error["message"]), error)
                return
        if outcome == "connection_error":
            self._failed(reader, outcome, _FAILURES[outcome])
        elif outcome == "reported":
            action["status"] = "succeeded"
            self.store.emit("terminal.reader.action_succeeded", reader)

    def _failed(self, reader: Obj, code: str, message: str, error: Obj | None = None) -> None:
        kept = ("charge", "code", "decline_code", "doc_url", "message", "type")
        reader["action"] |= {
            "status": "failed",
            "failure_code": code,
            "failure_message": message,
            "api_error": {key: error.get(key) for key in kept} if error else None,
        }
        self.store.emit("terminal.reader.action_failed", reader)

    def fail(self, reader_id: str, code: str) -> Obj:
        """The action ends without a card: ``customer_canceled`` or ``connection_error``."""
        reader = self.store.get("terminal.reader", reader_id, "reader")
        action = reader["action"]
        if not action or action["status"] != "in_progress" or reader_id in self._busy:
            raise invalid(f"Reader {reader_id} has no action that could fail.", "reader")
        if code not in _FAILURES:
            raise missing("failure", code, "code")
        self._failed(reader, code, _FAILURES[code])
        return reader

    def time_out(self, reader_id: str, *, received: bool, times: int = 1) -> Obj:
        """The next commands are answered with a time-out; ``received``: the reader got them."""
        reader = self.store.get("terminal.reader", reader_id, "reader")
        self._timeouts[reader_id] += [received] * times
        return reader

    def occupy(self, reader_id: str, *, busy: bool) -> Obj:
        """It updates itself, or a card is still in it: no command is taken."""
        reader = self.store.get("terminal.reader", reader_id, "reader")
        (self._busy.add if busy else self._busy.discard)(reader_id)
        return reader

    def silence(self, reader_id: str) -> Obj:
        """The reader goes dark: offline in two minutes, deaf from now on."""
        reader = self.store.get("terminal.reader", reader_id, "reader")
        self._seen(reader)
        since_s = self._silent_since_s.setdefault(reader_id, self.store.now_s)

        def notice() -> None:
            if self._silent_since_s.get(reader_id) == since_s:
                reader["status"] = "offline"

        self.store.schedule(since_s + _SILENCE_S, notice)
        return reader

    def wake(self, reader_id: str) -> Obj:
        reader = self.store.get("terminal.reader", reader_id, "reader")
        self._silent_since_s.pop(reader_id, None)
        reader["status"] = "online"
        return self._seen(reader)


def _action(kind: str, about: Obj) -> Obj:
    return {
        "api_error": None,
        "failure_code": None,
        "failure_message": None,
        "status": "in_progress",
        "type": kind,
        kind: about,
    }


def _refused(code: str) -> StripeError:
    return StripeError(
        400,
        type="invalid_request_error",
        code=code,
        doc_url=f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
        message=_MESSAGES[code],
    )

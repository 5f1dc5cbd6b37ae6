"""Refunds: whole and in parts, at once, pending, and failed afterwards. Stripe keeps its fee.

A refund that fails gives the money back to the balance by a transaction of its own, and the
charge counts as not refunded to that extent: it can be refunded again.
"""

from __future__ import annotations

from collections.abc import Callable

from wattledger.sandbox import objects
from wattledger.sandbox.balance import Balance, card_behind
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, StripeError, invalid, merged


class Refunds:
    """``/v1/refunds`` and what becomes of them."""

    def __init__(self, balance: Balance) -> None:
        self.store = balance.store
        self.balance = balance
        self.given_back: list[Callable[[Obj], None]] = []
        """What happens when a charge was refunded whole."""
        self._waiting: list[Obj] = []
        balance.opened.insert(0, self._try_waiting)

    def create(self, store: Store, _: Obj, p: Obj) -> Obj:
        """By charge or PaymentIntent; the whole rest unless ``amount`` says otherwise."""
        charge = self._charge(p)
        left_minor = charge["amount"] - charge["amount_refunded"]
        if charge["disputed"]:
            _refuse_disputed(store, charge)
        if left_minor <= 0:
            raise invalid(
                f"Charge {charge['id']} has already been refunded.",
                code="charge_already_refunded",
            )
        amount_minor = p.get("amount", left_minor)
        if amount_minor <= 0:
            raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
        if amount_minor > left_minor:
            raise invalid(
                f"Refund amount ({amount_minor}) is greater than unrefunded amount on charge "
                f"({left_minor})",
                "amount",
            )
        return self._make(charge, amount_minor, p.get("reason"), merged({}, p.get("metadata")))

    def update(self, store: Store, path: Obj, p: Obj) -> Obj:
        refund = store.get("refund", path["id"], "refund")
        refund["metadata"] = merged(refund["metadata"], p.get("metadata"))
        self._updated(refund)
        return refund

    def cancel(self, store: Store, path: Obj, _: Obj) -> Obj:
        """Only a refund that asks the customer for something can be canceled: none of a card."""
        refund = store.get("refund", path["id"], "refund")
        raise invalid(
            f"Refund {refund['id']} has a status of {refund['status']}: only a refund with a "
            "status of requires_action can be canceled."
        )

    def _charge(self, p: Obj) -> Obj:
        store = self.store
        if p.get("payment_intent") and p.get("charge"):
            raise invalid("You may only specify one of these parameters: charge, payment_intent.")
        if p.get("payment_intent"):
            intent = store.get("payment_intent", p["payment_intent"], "payment_intent")
            charge_id = intent["latest_charge"]
        else:
            charge_id = p.get("charge")
        if not charge_id:
            raise invalid("One of charge or payment_intent with a successful charge is required.")
        charge = store.get("charge", charge_id, "charge")
        if not charge["captured"] or charge["status"] != "succeeded":
            raise invalid(f"Charge {charge_id} was not captured and can't be refunded.", "charge")
        return charge

    def _make(self, charge: Obj, amount_minor: int, reason: str | None, metadata: Obj) -> Obj:
        store, habits = self.store, self.balance.habits
        charge["amount_refunded"] += amount_minor
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        refund = store.add(objects.refund_object(store, charge, amount_minor, reason, metadata))
        card = card_behind(store, charge)
        how = card.refund if card else "succeeds"
        available_minor = self.balance.available_minor[charge["currency"]]
        if habits.refunds_wait and available_minor < amount_minor:
            refund |= {"status": "pending", "pending_reason": "insufficient_funds"}
            self._waiting.append(refund)
        else:
            self._book(refund, charge)
            if how == "pending":
                refund |= {"status": "pending", "pending_reason": "processing"}
                store.schedule(store.now_s + habits.later_s, lambda: self.succeed(refund))
            elif how == "fails":
                store.schedule(
                    store.now_s + habits.later_s,
                    lambda: self.fail(refund, "expired_or_canceled_card"),
                )
        store.emit("refund.created", refund)
        store.emit("charge.refunded", charge)
        if charge["refunded"]:
            for then in self.given_back:
                then(charge)
        return refund

    def _book(self, refund: Obj, charge: Obj) -> None:
        waits = self.balance.habits.refunds_wait
        entry = self.balance.book(
            refund,
            amount_minor=-refund["amount"],
            kind="refund",
            category="refund",
            description=f"REFUND FOR CHARGE ({charge['description'] or charge['id']})",
            # Where refunds need it, they take what is available.
            available=waits,
        )
        refund["balance_transaction"] = entry["id"]

    def _try_waiting(self) -> None:
        """The balance grew: what it covers now goes out, the oldest first."""
        waiting, self._waiting = self._waiting, []
        for refund in waiting:
            if self.balance.available_minor[refund["currency"]] < refund["amount"]:
                self._waiting.append(refund)
                continue
            self._book(refund, self.store.get("charge", refund["charge"]))
            self.succeed(refund)

    def succeed(self, refund: Obj) -> None:
        """A pending refund arrives."""
        if refund["status"] == "pending":
            refund["status"] = "succeeded"
            refund.pop("pending_reason", None)
            self._updated(refund)

    def fail(self, refund: Obj, reason: str) -> None:
        """The card's bank sends the money back, after it seemed to have arrived."""
        if refund["status"] not in ("pending", "succeeded"):
            raise StripeError(400, message=f"Refund {refund['id']} is {refund['status']}.")
        charge = self.store.get("charge", refund["charge"])
        if refund["balance_transaction"]:
            entry = self.balance.book(
                refund,
                amount_minor=refund["amount"],
                kind="refund_failure",
                category="refund_failure",
                description=f"REFUND FAILURE FOR CHARGE ({charge['description'] or charge['id']})",
            )
            refund["failure_balance_transaction"] = entry["id"]
        else:
            self._waiting.remove(refund)
        refund.pop("pending_reason", None)
        refund |= {"status": "failed", "failure_reason": reason}
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        self._updated(refund)
        self.store.emit("refund.failed", refund)

    def _updated(self, refund: Obj) -> None:
        self.store.emit("refund.updated", refund)
        self.store.emit("charge.refund.updated", refund)


def _refuse_disputed(store: Store, charge: Obj) -> None:
    """While a dispute holds the money, and after it was lost, there is nothing to refund."""
    for dispute in store.tables["dispute"].values():
        if dispute["charge"] == charge["id"] and not dispute["is_charge_refundable"]:
            raise invalid(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                code="charge_disputed",
            )

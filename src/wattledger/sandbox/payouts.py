"""Payouts: the daily automatic ones with their transactions, and those asked for.

An automatic payout takes everything available, and which transactions that is can be listed
once it is reconciled. A manual one takes an amount, and no transaction belongs to it.
"""

from __future__ import annotations

from wattledger.sandbox import objects, views
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.store import Store, business_days_later
from wattledger.sandbox.wire import Obj, invalid


class Payouts:
    """``/v1/payouts`` and the bank's side of them."""

    def __init__(self, balance: Balance, arrival_business_days: int = 1) -> None:
        self.store = balance.store
        self.balance = balance
        self.items: dict[str, list[Obj]] = {}
        self._arrival_business_days = arrival_business_days
        balance.opened.append(self._daily)

    def _daily(self) -> None:
        if self.balance.habits.payouts != "daily":
            return
        for currency in sorted(self.balance.unpaid):
            available_minor = self.balance.available_minor[currency]
            # Less than nothing waits and lessens a later payout, or is collected from the bank.
            if available_minor > 0 or (
                available_minor < 0 and self.balance.habits.negative == "debits"
            ):
                self._pay_out(currency, available_minor)

    def _pay_out(self, currency: str, amount_minor: int) -> None:
        store = self.store
        arrival_s = business_days_later(store.now_s, self._arrival_business_days)
        payout = store.add(objects.payout_object(store, amount_minor, currency, arrival_s))
        self._take(payout)
        self.items[payout["id"]] = self.balance.unpaid.pop(currency)
        store.emit("payout.created", payout)
        delay_s = self.balance.habits.reconciliation_delay_s
        if delay_s:
            store.schedule(store.now_s + delay_s, lambda: self._reconciled(payout))
        else:
            self._reconciled(payout)
        store.schedule(max(arrival_s, store.now_s), lambda: self._arrive(payout))

    def _take(self, payout: Obj) -> None:
        entry = self.balance.book(
            payout,
            amount_minor=-payout["amount"],
            kind="payout",
            category="payout",
            description="STRIPE PAYOUT",
            available=True,
        )
        payout["balance_transaction"] = entry["id"]

    def _reconciled(self, payout: Obj) -> None:
        payout["reconciliation_status"] = "completed"
        self.store.emit("payout.reconciliation_completed", payout)

    def _arrive(self, payout: Obj) -> None:
        if payout["status"] != "in_transit":
            return  # it failed on its way
        payout["status"] = "paid"
        self.store.emit("payout.paid", payout)

    def create(self, store: Store, _: Obj, p: Obj) -> Obj:
        """A manual payout: pending until the next day, when the bank gets it."""
        currency = p["currency"].lower()
        if p["amount"] <= 0:
            raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
        if p["amount"] > self.balance.available_minor[currency]:
            raise invalid(
                "You have insufficient funds in your Stripe account for this transfer.",
                "amount",
                "balance_insufficient",
            )
        sent_s = (store.now_s // 86_400 + 1) * 86_400
        arrival_s = business_days_later(sent_s, self._arrival_business_days)
        payout = objects.payout_object(store, p["amount"], currency, arrival_s)
        payout |= {
            "automatic": False,
            "description": p.get("description"),
            "metadata": p.get("metadata") or {},
            "method": p.get("method", "standard"),
            "reconciliation_status": "not_applicable",
            "statement_descriptor": p.get("statement_descriptor"),
            "status": "pending",
        }
        self._take(store.add(payout))
        store.emit("payout.created", payout)
        store.schedule(sent_s, lambda: self._send(payout))
        return payout

    def _send(self, payout: Obj) -> None:
        if payout["status"] != "pending":
            return
        payout["status"] = "in_transit"
        self.store.emit("payout.updated", payout)
        self.store.schedule(payout["arrival_date"], lambda: self._arrive(payout))

    def cancel(self, store: Store, path: Obj, _: Obj) -> Obj:
        """Before the bank has it."""
        payout = store.get("payout", path["id"], "payout")
        if payout["status"] != "pending":
            raise invalid(f"Payouts with a status of {payout['status']} can't be canceled.")
        self._back(payout, "payout_cancel", "STRIPE PAYOUT CANCEL")
        payout["status"] = "canceled"
        store.emit("payout.canceled", payout)
        return payout

    def fail(self, payout_id: str) -> Obj:
        """The bank sends a payout back, be it paid already: its money is available again, and
        goes out with the next one."""
        payout = self.store.get("payout", payout_id, "payout")
        if payout["status"] in ("failed", "canceled"):
            raise invalid(f"Payout {payout_id} is {payout['status']} already.", "payout")
        self._back(payout, "payout_failure", "STRIPE PAYOUT FAILURE")
        payout |= {
            "status": "failed",
            "failure_code": "account_closed",
            "failure_message": "The bank account has been closed.",
        }
        self.store.emit("payout.failed", payout)
        return payout

    def _back(self, payout: Obj, kind: str, description: str) -> None:
        entry = self.balance.book(
            payout,
            amount_minor=payout["amount"],
            kind=kind,
            category="payout_reversal",
            description=description,
            available=True,
        )
        payout["failure_balance_transaction"] = entry["id"]

    def list_transactions(self, store: Store, _: Obj, p: Obj) -> Obj:
        """``payout`` filters where there is an answer: automatic, and put together already."""
        rows = list(store.tables["balance_transaction"].values())
        if payout_id := p.pop("payout", None):
            payout = store.get("payout", payout_id, "payout")
            if not payout["automatic"]:
                raise invalid(
                    "Balance transaction history can only be filtered on automatic transfers, "
                    "not manual.",
                    "payout",
                )
            if payout["reconciliation_status"] != "completed":
                raise invalid(
                    f"The transactions of payout {payout_id} are not available yet. Wait for "
                    "payout.reconciliation_completed.",
                    "payout",
                    "payout_reconciliation_not_ready",
                )
            rows = self.items[payout_id]
        return views.page(store, reversed(rows), p, "/v1/balance_transactions")

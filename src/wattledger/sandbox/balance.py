"""The account's money: balance transactions, fees, refunds, the daily automatic payout.

The blended price: 2.9 % + 30 of the smallest unit per charge, rounded half up. A net is
pending until 00:00 UTC two business days after it was made.
"""

from __future__ import annotations

from collections import defaultdict

from wattledger.money import divide
from wattledger.sandbox import views
from wattledger.sandbox.store import Store, business_days_later
from wattledger.sandbox.wire import Obj, invalid

_PENDING_BUSINESS_DAYS = 2


def fee_minor(amount_minor: int) -> int:
    """What Stripe keeps of a charge: 50.00 costs 1.75."""
    return divide(amount_minor * 29, 1000) + 30


class Balance:
    """The balance per currency; every change of it is a balance transaction.

    Per currency and at any time: pending + available == the sum of all nets.
    """

    def __init__(self, store: Store, payout_arrival_business_days: int = 1) -> None:
        self.store = store
        self.pending_minor: defaultdict[str, int] = defaultdict(int)
        self.available_minor: defaultdict[str, int] = defaultdict(int)
        self.payout_items: dict[str, list[Obj]] = {}
        self._arrival_business_days = payout_arrival_business_days
        self._becoming: defaultdict[int, list[Obj]] = defaultdict(list)
        self._unpaid: defaultdict[str, list[Obj]] = defaultdict(list)

    def book(
        self,
        *,
        source: Obj,
        amount_minor: int,
        fee: int,
        kind: str,
        category: str,
        description: str | None,
    ) -> Obj:
        """Add the balance transaction and the time it becomes available."""
        available_on_s = business_days_later(self.store.now_s, _PENDING_BUSINESS_DAYS)
        entry = self._entry(
            source=source,
            amount_minor=amount_minor,
            fee=fee,
            kind=kind,
            category=category,
            description=description,
        )
        entry |= {"available_on": available_on_s, "status": "pending"}
        self.pending_minor[entry["currency"]] += entry["net"]
        if available_on_s not in self._becoming:
            self.store.schedule(available_on_s, lambda: self._open_day(available_on_s))
        self._becoming[available_on_s].append(entry)
        return entry

    def _entry(
        self,
        *,
        source: Obj,
        amount_minor: int,
        fee: int,
        kind: str,
        category: str,
        description: str | None,
    ) -> Obj:
        detail = {
            "amount": fee,
            "application": None,
            "currency": source["currency"],
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
        return self.store.add(
            {
                "id": self.store.new_id("txn"),
                "object": "balance_transaction",
                "amount": amount_minor,
                "available_on": self.store.now_s,
                "balance_type": "payments",
                "created": self.store.now_s,
                "currency": source["currency"],
                "description": description,
                "exchange_rate": None,
                "fee": fee,
                "fee_details": [detail] if fee else [],
                "net": amount_minor - fee,
                "reporting_category": category,
                "source": source["id"],
                "status": "available",
                "type": kind,
            }
        )

    def _open_day(self, available_on_s: int) -> None:
        """What was pending until now becomes available, and is paid out."""
        for entry in self._becoming.pop(available_on_s):
            entry["status"] = "available"
            self.pending_minor[entry["currency"]] -= entry["net"]
            self.available_minor[entry["currency"]] += entry["net"]
            self._unpaid[entry["currency"]].append(entry)
        self.store.emit("balance.available", balance_object(self))
        for currency in sorted(self._unpaid):
            # Less than nothing is not paid out: it waits and lessens a later payout.
            if self.available_minor[currency] > 0:
                self._pay_out(currency)

    def _pay_out(self, currency: str) -> None:
        store = self.store
        amount_minor = self.available_minor[currency]
        arrival_s = business_days_later(store.now_s, self._arrival_business_days)
        payout = store.add(_payout_object(store, amount_minor, currency, arrival_s))
        entry = self._entry(
            source=payout,
            amount_minor=-amount_minor,
            fee=0,
            kind="payout",
            category="payout",
            description="STRIPE PAYOUT",
        )
        payout["balance_transaction"] = entry["id"]
        self.payout_items[payout["id"]] = [*self._unpaid.pop(currency), entry]
        self.available_minor[currency] -= amount_minor
        store.emit("payout.created", payout)
        payout["reconciliation_status"] = "completed"
        store.emit("payout.reconciliation_completed", payout)
        store.schedule(max(arrival_s, store.now_s), lambda: self._arrive(payout))

    def fail_payout(self, payout_id: str) -> Obj:
        """The bank sends a payout back, be it paid already: its money is available again, and
        goes out with the next one."""
        payout = self.store.get("payout", payout_id, "payout")
        if payout["status"] in ("failed", "canceled"):
            raise invalid(f"Payout {payout_id} is {payout['status']} already.", "payout")
        entry = self._entry(
            source=payout,
            amount_minor=payout["amount"],
            fee=0,
            kind="payout_failure",
            category="payout_reversal",
            description="STRIPE PAYOUT FAILURE",
        )
        payout |= {
            "status": "failed",
            "failure_balance_transaction": entry["id"],
            "failure_code": "account_closed",
            "failure_message": "The bank account has been closed.",
        }
        self.available_minor[payout["currency"]] += payout["amount"]
        self._unpaid[payout["currency"]].append(entry)
        self.store.emit("payout.failed", payout)
        return payout

    def _arrive(self, payout: Obj) -> None:
        if payout["status"] != "in_transit":
            return  # it failed on its way
        payout["status"] = "paid"
        self.store.emit("payout.paid", payout)

    def capture(self, charge: Obj, captured_minor: int) -> None:
        """Book a capture: the whole charge and, if less was captured, the reversal of the rest.

        The reversal's fee is negative, so that the two fees net to the captured part's.
        """
        whole_minor = charge["amount"]
        entry = self.book(
            source=charge,
            amount_minor=whole_minor,
            fee=fee_minor(whole_minor),
            kind="charge",
            category="charge",
            description=charge["description"],
        )
        charge["balance_transaction"] = entry["id"]
        rest_minor = whole_minor - captured_minor
        if rest_minor:
            release = self._refund(charge, rest_minor, None, {})
            entry = self.book(
                source=release,
                amount_minor=-rest_minor,
                fee=fee_minor(captured_minor) - fee_minor(whole_minor),
                kind="refund",
                category="partial_capture_reversal",
                description=None,
            )
            release["balance_transaction"] = entry["id"]

    def refund(self, charge: Obj, amount_minor: int, reason: str | None, metadata: Obj) -> Obj:
        """Give captured money back. Stripe keeps its fee."""
        refund = self._refund(charge, amount_minor, reason, metadata)
        entry = self.book(
            source=refund,
            amount_minor=-amount_minor,
            fee=0,
            kind="refund",
            category="refund",
            description=f"REFUND FOR CHARGE ({charge['description'] or charge['id']})",
        )
        refund["balance_transaction"] = entry["id"]
        self.store.emit("refund.created", refund)
        self.store.emit("charge.refunded", charge)
        return refund

    def _refund(self, charge: Obj, amount_minor: int, reason: str | None, metadata: Obj) -> Obj:
        charge["amount_refunded"] += amount_minor
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        return self.store.add(
            {
                "id": self.store.new_id("re"),
                "object": "refund",
                "amount": amount_minor,
                "balance_transaction": None,
                "charge": charge["id"],
                "created": self.store.now_s,
                "currency": charge["currency"],
                "destination_details": {
                    "card": {
                        "reference_status": "pending",
                        "reference_type": "acquirer_reference_number",
                        "type": "refund",
                    },
                    "type": "card",
                },
                "metadata": metadata,
                "payment_intent": charge["payment_intent"],
                "reason": reason,
                "receipt_number": None,
                "source_transfer_reversal": None,
                "status": "succeeded",
                "transfer_reversal": None,
            }
        )

    def retrieve(self, _: Store, __: Obj, ___: Obj) -> Obj:
        return balance_object(self)

    def create_refund(self, store: Store, _: Obj, p: Obj) -> Obj:
        """POST /v1/refunds: by charge or PaymentIntent; the whole rest unless ``amount`` says."""
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
        left_minor = charge["amount"] - charge["amount_refunded"]
        if left_minor == 0:
            raise invalid(
                f"Charge {charge_id} has already been refunded.", None, "charge_already_refunded"
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
        return self.refund(charge, amount_minor, p.get("reason"), p.get("metadata") or {})

    def list_transactions(self, store: Store, _: Obj, p: Obj) -> Obj:
        rows = list(store.tables["balance_transaction"].values())
        if payout_id := p.pop("payout", None):
            store.get("payout", payout_id, "payout")
            rows = self.payout_items[payout_id]
        return views.page(store, reversed(rows), p, "/v1/balance_transactions")


def balance_object(balance: Balance) -> Obj:
    currencies = sorted({*balance.pending_minor, *balance.available_minor}) or ["usd"]

    def lines(by_currency: dict[str, int]) -> list[Obj]:
        return [
            {
                "amount": by_currency.get(currency, 0),
                "currency": currency,
                "source_types": {"card": by_currency.get(currency, 0)},
            }
            for currency in currencies
        ]

    return {
        "object": "balance",
        "available": lines(balance.available_minor),
        "livemode": False,
        "pending": lines(balance.pending_minor),
    }


def _payout_object(store: Store, amount_minor: int, currency: str, arrival_s: int) -> Obj:
    return {
        "id": store.new_id("po"),
        "object": "payout",
        "amount": amount_minor,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": arrival_s,
        "automatic": True,
        "balance_transaction": None,
        "created": store.now_s,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": "ba_sbx_000001",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": None,
        "type": "bank_account",
    }

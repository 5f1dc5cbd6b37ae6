"""The account's balance per currency; every change of it is a balance transaction.

The blended price: 2.9 % + 30 of the smallest unit per charge, rounded half up. A net is
pending until 00:00 UTC two business days after it was made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from wattledger.money import divide
from wattledger.sandbox import objects
from wattledger.sandbox.habits import Habits
from wattledger.sandbox.store import Store, business_days_later
from wattledger.sandbox.tokens import TEST_CARDS, TestCard
from wattledger.sandbox.wire import Obj

_PENDING_BUSINESS_DAYS = 2


def fee_minor(amount_minor: int) -> int:
    """What Stripe keeps of a charge: 50.00 costs 1.75."""
    return divide(amount_minor * 29, 1000) + 30


class Balance:
    """What is pending and what is available.

    Per currency and at any time: pending + available == the sum of all nets.
    """

    def __init__(self, store: Store, habits: Habits) -> None:
        self.store = store
        self.habits = habits
        self.pending_minor: defaultdict[str, int] = defaultdict(int)
        self.available_minor: defaultdict[str, int] = defaultdict(int)
        self.unpaid: defaultdict[str, list[Obj]] = defaultdict(list)
        """What became available and is in no payout yet."""
        self.opened: list[Callable[[], None]] = []
        """What happens when something became available, in this order."""
        self.captured: list[Callable[[Obj], None]] = []
        """What happens when a charge was captured: the deeds of the test cards."""
        self._becoming: defaultdict[int, list[Obj]] = defaultdict(list)

    def book(
        self,
        source: Obj,
        *,
        amount_minor: int,
        kind: str,
        category: str,
        fee: int = 0,
        description: str | None = None,
        fee_name: str = "Stripe processing fees",
        available: bool = False,
    ) -> Obj:
        """Add a balance transaction: to what is available now, or with the time it will be."""
        entry = self.store.add(
            objects.entry_object(
                self.store,
                source,
                amount_minor=amount_minor,
                fee=fee,
                kind=kind,
                category=category,
                description=description,
                fee_name=fee_name,
            )
        )
        if available:
            self.available_minor[entry["currency"]] += entry["net"]
            self.unpaid[entry["currency"]].append(entry)
            return entry
        available_on_s = business_days_later(self.store.now_s, _PENDING_BUSINESS_DAYS)
        entry |= {"available_on": available_on_s, "status": "pending"}
        self.pending_minor[entry["currency"]] += entry["net"]
        if available_on_s not in self._becoming:
            self.store.schedule(available_on_s, lambda: self._open_day(available_on_s))
        self._becoming[available_on_s].append(entry)
        return entry

    def _open_day(self, available_on_s: int) -> None:
        """What was pending until now becomes available."""
        for entry in self._becoming.pop(available_on_s):
            entry["status"] = "available"
            self.pending_minor[entry["currency"]] -= entry["net"]
            self.available_minor[entry["currency"]] += entry["net"]
            self.unpaid[entry["currency"]].append(entry)
        self.store.emit("balance.available", balance_object(self))
        for then in self.opened:
            then()

    def capture(self, charge: Obj, captured_minor: int) -> None:
        """Book a capture: the whole charge and, if less was captured, the reversal of the rest.

        The reversal's fee is negative, so that the two fees net to the captured part's. More
        than was authorized (overcapture) is one transaction of what was captured.
        """
        card = card_behind(self.store, charge)
        at_once = card is not None and card.bypasses_pending
        whole_minor = max(charge["amount"], captured_minor)
        entry = self.book(
            charge,
            amount_minor=whole_minor,
            fee=self._fee_minor(whole_minor),
            kind="charge",
            category="charge",
            description=charge["description"],
            available=at_once,
        )
        self._name(charge, entry)
        rest_minor = whole_minor - captured_minor
        if rest_minor:
            charge["amount_refunded"] += rest_minor
            release = objects.refund_object(self.store, charge, rest_minor, None, {})
            self.store.add(release)
            entry = self.book(
                release,
                amount_minor=-rest_minor,
                fee=self._fee_minor(captured_minor) - self._fee_minor(whole_minor),
                kind="refund",
                category="partial_capture_reversal",
                available=at_once,
            )
            release["balance_transaction"] = entry["id"]
        for then in self.captured:
            then(charge)

    def _name(self, charge: Obj, entry: Obj) -> None:
        """The charge names its transaction, at once or when an asynchronous capture is done."""
        delay_s = self.habits.capture_delay_s

        def done() -> None:
            charge["balance_transaction"] = entry["id"]
            if delay_s:
                self.store.emit("charge.updated", charge)

        if delay_s:
            self.store.schedule(self.store.now_s + delay_s, done)
        else:
            done()

    def _fee_minor(self, amount_minor: int) -> int:
        return fee_minor(amount_minor) if self.habits.fees == "on_charges" else 0

    def charge_fee(self, currency: str, amount_minor: int, category: str, description: str) -> Obj:
        """A cost that belongs to no charge: ``fee``, or the ``network_cost`` of IC+ pricing."""
        return self.book(
            {"currency": currency},
            amount_minor=-amount_minor,
            kind="stripe_fee",
            category=category,
            description=description,
            available=True,
        )

    def retrieve(self, _: Store, __: Obj, ___: Obj) -> Obj:
        return balance_object(self)

    def totals(self) -> dict[str, dict[str, int]]:
        """Per currency: captured − refunded − disputed − fees == balance + paid out.

        Refunds that failed and disputes that were won are taken off again; among the fees
        are those of disputes and the lines that stand alone.
        """
        names = ("captured", "refunded", "disputed", "fees", "paid_out")
        totals: defaultdict[str, dict[str, int]] = defaultdict(
            lambda: {f"{name}_minor": 0 for name in names}
        )
        for entry in self.store.tables["balance_transaction"].values():
            of_currency = totals[entry["currency"]]
            of_currency["fees_minor"] += entry["fee"]
            name, sign = _COUNTED_AS[entry["reporting_category"]]
            of_currency[name] += sign * entry["amount"]
        return dict(totals)


_COUNTED_AS = {
    "charge": ("captured_minor", 1),
    "partial_capture_reversal": ("captured_minor", 1),
    "refund": ("refunded_minor", -1),
    "refund_failure": ("refunded_minor", -1),
    "dispute": ("disputed_minor", -1),
    "dispute_reversal": ("disputed_minor", -1),
    "fee": ("fees_minor", -1),
    "network_cost": ("fees_minor", -1),
    "payout": ("paid_out_minor", -1),
    "payout_reversal": ("paid_out_minor", -1),
}


def card_behind(store: Store, charge: Obj) -> TestCard | None:
    """The test card that the charge was made with."""
    return TEST_CARDS.get(store.cards.get(charge["payment_method"], ""))


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

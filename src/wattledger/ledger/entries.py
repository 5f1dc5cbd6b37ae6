"""Every canonical entry, on one page. Pure: a fact in, an entry out.

Holds, intents and webhooks post nothing. Billing debits a receivable; only the processor's own
lines (balance transactions) touch clearing, so that clearing is the processor's balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from wattledger.contract import Route
from wattledger.errors import CantPrice
from wattledger.ledger.accounts import Code


class Posting(msgspec.Struct, frozen=True):
    """Debit one account, credit another, by one positive amount: it can't be unbalanced."""

    debit: Code
    credit: Code
    amount_minor: int


class Entry(msgspec.Struct, frozen=True):
    """What one cause books. (cause, cause_id) is unique: nothing is booked twice."""

    entity_id: str
    cause: str
    cause_id: str
    effective_on: date
    currency: str
    postings: tuple[Posting, ...]


_RECEIVABLE = {
    Route.INVOICE: Code.RECEIVABLE_ACCOUNT,
    Route.ROAMING: Code.RECEIVABLE_ACCOUNT,
    Route.EXTERNAL: Code.RECEIVABLE_EXTERNAL,
}
_STREAM = {
    "energy": Code.REVENUE_ENERGY,
    "time": Code.REVENUE_TIME,
    "idle": Code.REVENUE_IDLE,
    "fee": Code.REVENUE_FEE,
}


def receivable(route: Route) -> Code:
    """Who owes a session that is paid by ``route``."""
    return _RECEIVABLE.get(route, Code.RECEIVABLE_DRIVER)


def posting(debit: Code, credit: Code, amount_minor: int) -> Posting | None:
    """Debit/credit; a negative amount turns it round, zero is no posting at all."""
    if amount_minor < 0:
        return Posting(credit, debit, -amount_minor)
    return Posting(debit, credit, amount_minor) if amount_minor else None


def entry(
    entity_id: str,
    cause: str,
    cause_id: str,
    effective_on: date,
    currency: str,
    postings: Sequence[Posting | None],
) -> Entry | None:
    """The entry of the postings that are any, or None when nothing is to be booked."""
    real = tuple(p for p in postings if p is not None)
    return Entry(entity_id, cause, cause_id, effective_on, currency, real) if real else None


def charge_issued(
    entity_id: str,
    charge_id: str,
    effective_on: date,
    currency: str,
    route: Route,
    streams: Sequence[tuple[str, int]],
    tax_minor: int,
) -> Entry | None:
    """Dr receivable / Cr revenue by stream and tax."""
    unknown = [stream for stream, _ in streams if stream not in _STREAM]
    if unknown:
        raise CantPrice("stream.unknown", f"no revenue account for {unknown}")
    owed = receivable(route)
    postings = [posting(owed, _STREAM[stream], net) for stream, net in streams]
    postings.append(posting(owed, Code.TAX_SALES, tax_minor))
    return entry(entity_id, "charge", charge_id, effective_on, currency, postings)


def credit_issued(charged: Entry, credit_id: str, effective_on: date) -> Entry:
    """The exact reversal of the entry of the charge that is credited, on the day of the credit:
    Dr revenue by stream and tax / Cr receivable."""
    back = tuple(Posting(p.credit, p.debit, p.amount_minor) for p in charged.postings)
    return msgspec.structs.replace(
        charged, cause="credit", cause_id=credit_id, effective_on=effective_on, postings=back
    )


def debt(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """What could not be collected is owed by the driver; of a credit (below zero): no more."""
    moved = posting(Code.RECEIVABLE_DEBT, receivable(route), amount_minor)
    return entry(entity_id, "debt", part_id, on, currency, [moved])


def waiver(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """What is not collected by decision is an expense with a name; of a credit: no more."""
    moved = posting(Code.EXPENSE_WAIVED, receivable(route), amount_minor)
    return entry(entity_id, "waiver", part_id, on, currency, [moved])


def refund_due(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """Dr receivable / Cr payable for what a credit makes due back to the driver (below zero); the
    reverse for what a new charge is paid out of that."""
    moved = posting(Code.PAYABLE_DRIVER, receivable(route), amount_minor)
    return entry(entity_id, "refund_due", part_id, on, currency, [moved])


# What each of Stripe's reporting categories is about, seen from clearing. What is not here is
# money that moved for a reason we do not know: it goes to suspense and shows as a break. So does a
# refund, as long as none is ours: those that are will settle PAYABLE_DRIVER.
_COUNTERPART = {
    "charge": Code.RECEIVABLE_DRIVER,
    "partial_capture_reversal": Code.RECEIVABLE_DRIVER,
    "fee": Code.EXPENSE_PROCESSING,
    "network_cost": Code.EXPENSE_PROCESSING,
    "payout": Code.PAYOUTS_IN_TRANSIT,
    # A payout that failed or was called back: the money is the processor's again.
    "payout_reversal": Code.PAYOUTS_IN_TRANSIT,
    "payout_failure": Code.PAYOUTS_IN_TRANSIT,
}


def processor_item(
    entity_id: str,
    item_id: str,
    on: date,
    currency: str,
    category: str,
    amount_minor: int,
    fee_minor: int,
    *,
    known: bool,
) -> Entry | None:
    """Dr clearing / Cr receivable for a charge, Dr fees / Cr clearing, Dr in transit / Cr
    clearing for a payout; signs turn it round. ``known``: a payment of ours stands behind it."""
    counterpart = _COUNTERPART.get(category, Code.SUSPENSE)
    if counterpart is Code.RECEIVABLE_DRIVER and not known:
        counterpart = Code.SUSPENSE
    moved = posting(Code.CLEARING_STRIPE, counterpart, amount_minor)
    fee = posting(Code.EXPENSE_PROCESSING, Code.CLEARING_STRIPE, fee_minor)
    return entry(entity_id, "processor_item", item_id, on, currency, [moved, fee])


def payout_paid(
    entity_id: str, payout_id: str, on: date, currency: str, amount_minor: int
) -> Entry | None:
    """Dr bank / Cr payouts in transit."""
    moved = posting(Code.BANK, Code.PAYOUTS_IN_TRANSIT, amount_minor)
    return entry(entity_id, "payout", payout_id, on, currency, [moved])


def payout_failed(
    entity_id: str, payout_id: str, on: date, currency: str, amount_minor: int
) -> Entry | None:
    """Dr payouts in transit / Cr bank: what was paid did not arrive after all."""
    moved = posting(Code.PAYOUTS_IN_TRANSIT, Code.BANK, amount_minor)
    return entry(entity_id, "payout_failed", payout_id, on, currency, [moved])

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
    # Below zero: what was given without being owed is an expense, and the revenue stands.
    "goodwill": Code.EXPENSE_GOODWILL,
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


def paid_outside(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """What a terminal's vendor takes is owed by the vendor, and no more by the driver; where the
    route says so from the start nothing moves."""
    moved = None
    if route is not Route.EXTERNAL:
        moved = posting(Code.RECEIVABLE_EXTERNAL, receivable(route), amount_minor)
    return entry(entity_id, "paid_outside", part_id, on, currency, [moved])


def unpaid(
    entity_id: str,
    part_id: str,
    on: date,
    currency: str,
    route: Route,
    amount_minor: int,
    *,
    wallet: bool,
) -> Entry | None:
    """The reverse of what paid a part: Dr receivable / Cr payable.wallet, or the vendor's. It was
    taken back, and is owed by the driver again."""
    paid_by = Code.PAYABLE_WALLET if wallet else Code.RECEIVABLE_EXTERNAL
    owed = receivable(route)
    moved = None if owed is paid_by else posting(owed, paid_by, amount_minor)
    return entry(entity_id, "unpaid", part_id, on, currency, [moved])


def kept(
    entity_id: str, payment_id: str, on: date, currency: str, amount_minor: int
) -> Entry | None:
    """Dr receivable.external / Cr payable.unapplied: a terminal's vendor has taken it for no
    session that we know, and owes it to us; we owe it to whoever paid."""
    moved = posting(Code.RECEIVABLE_EXTERNAL, Code.PAYABLE_UNAPPLIED, amount_minor)
    return entry(entity_id, "kept", payment_id, on, currency, [moved])


def unkept(
    entity_id: str, payment_id: str, on: date, currency: str, amount_minor: int
) -> Entry | None:
    """The reverse of ``kept``: its session was found, or it went back to whoever paid."""
    moved = posting(Code.PAYABLE_UNAPPLIED, Code.RECEIVABLE_EXTERNAL, amount_minor)
    return entry(entity_id, "unkept", payment_id, on, currency, [moved])


def refund_due(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """Dr receivable / Cr payable for what a credit makes due back to the driver (below zero); the
    reverse for what a new charge is paid out of that."""
    moved = posting(Code.PAYABLE_DRIVER, receivable(route), amount_minor)
    return entry(entity_id, "refund_due", part_id, on, currency, [moved])


def debt_paid(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """Dr receivable / Cr receivable.debt: a card has paid it after all, and the processor's own
    line settles the receivable."""
    moved = posting(receivable(route), Code.RECEIVABLE_DEBT, amount_minor)
    return entry(entity_id, "debt_paid", part_id, on, currency, [moved])


def written_off(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """Dr waived / Cr receivable.debt: by a person's decision nobody is asked for it any more."""
    moved = posting(Code.EXPENSE_WAIVED, Code.RECEIVABLE_DEBT, amount_minor)
    return entry(entity_id, "written_off", part_id, on, currency, [moved])


def wallet_drawn(
    entity_id: str, part_id: str, on: date, currency: str, route: Route, amount_minor: int
) -> Entry | None:
    """Dr payable.wallet / Cr receivable for what a wallet pays; of a credit: given back to it."""
    moved = posting(Code.PAYABLE_WALLET, receivable(route), amount_minor)
    return entry(entity_id, "wallet", part_id, on, currency, [moved])


def wallet_filled(
    entity_id: str, cause_id: str, on: date, currency: str, amount_minor: int, *, by_card: bool
) -> Entry | None:
    """Dr receivable / Cr payable.wallet: paid in advance, by a card (whose money the processor's
    own line brings) or to somebody else."""
    owed = Code.RECEIVABLE_DRIVER if by_card else Code.RECEIVABLE_EXTERNAL
    moved = posting(owed, Code.PAYABLE_WALLET, amount_minor)
    return entry(entity_id, "topup", cause_id, on, currency, [moved])


# What each of Stripe's reporting categories is about, seen from clearing. What is not here
# (transfer, other_adjustment, …) is money that moved for a reason we do not know: it goes to
# suspense and shows as a break. So does what is about a driver's money that is not ours.
_COUNTERPART = {
    "charge": Code.RECEIVABLE_DRIVER,
    "partial_capture_reversal": Code.RECEIVABLE_DRIVER,
    "charge_failure": Code.RECEIVABLE_DRIVER,
    "refund": Code.PAYABLE_DRIVER,
    "refund_failure": Code.PAYABLE_DRIVER,
    "dispute": Code.RECEIVABLE_DISPUTE,
    "dispute_reversal": Code.RECEIVABLE_DISPUTE,
    "fee": Code.EXPENSE_PROCESSING,
    "network_cost": Code.EXPENSE_PROCESSING,
    # The tax on the processor's own fees.
    "tax": Code.EXPENSE_PROCESSING,
    "risk_reserved_funds": Code.RESERVED_STRIPE,
    "payout_minimum_balance_hold": Code.RESERVED_STRIPE,
    "payout_minimum_balance_release": Code.RESERVED_STRIPE,
    # The operator's own money, to and from the same bank account that payouts go to.
    "topup": Code.BANK,
    "topup_reversal": Code.BANK,
    "payout": Code.PAYOUTS_IN_TRANSIT,
    # A payout that failed or was called back: the money is the processor's again.
    "payout_reversal": Code.PAYOUTS_IN_TRANSIT,
    "payout_failure": Code.PAYOUTS_IN_TRANSIT,
}
_DRIVERS = frozenset({Code.RECEIVABLE_DRIVER, Code.PAYABLE_DRIVER, Code.RECEIVABLE_DISPUTE})


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
    beyond_minor: int = 0,
) -> Entry | None:
    """Dr clearing / Cr receivable for a charge, Dr payable / Cr clearing for a refund, Dr
    receivable.dispute / Cr clearing for what a dispute withdraws, Dr fees / Cr clearing, Dr in
    transit / Cr clearing for a payout; signs turn it round.

    ``known``: a payment, or a refund, of ours stands behind it. What no bill owes of a refund
    (``beyond_minor`` of the amount) was taken for nothing: it is taken out of what that was booked
    as.
    """
    counterpart = _COUNTERPART.get(category, Code.SUSPENSE)
    if counterpart in _DRIVERS and not known:
        counterpart = Code.SUSPENSE
    moved = posting(Code.CLEARING_STRIPE, counterpart, amount_minor - beyond_minor)
    beyond = posting(Code.CLEARING_STRIPE, Code.RECEIVABLE_DRIVER, beyond_minor)
    fee = posting(Code.EXPENSE_PROCESSING, Code.CLEARING_STRIPE, fee_minor)
    return entry(entity_id, "processor_item", item_id, on, currency, [moved, beyond, fee])


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


def dispute_lost(
    entity_id: str, item_id: str, on: date, currency: str, amount_minor: int
) -> Entry | None:
    """Dr disputes / Cr receivable.dispute: what a lost dispute withdrew does not come back. One
    entry for each of the processor's lines of it."""
    moved = posting(Code.EXPENSE_DISPUTES, Code.RECEIVABLE_DISPUTE, amount_minor)
    return entry(entity_id, "dispute_lost", item_id, on, currency, [moved])


def refund_otherwise(
    entity_id: str,
    refund_id: str,
    on: date,
    currency: str,
    amount_minor: int,
    *,
    disputed: bool,
    owed: bool = True,
) -> Entry | None:
    """Dr payable / Cr suspense.refunds: the driver has it, and not by the processor. Where a lost
    dispute gave it to the driver the loss is that much smaller: / Cr disputes. What is not ``owed``
    by a bill is taken out of what was booked when it was taken: Dr receivable."""
    source = Code.EXPENSE_DISPUTES if disputed else Code.SUSPENSE_REFUNDS
    target = Code.PAYABLE_DRIVER if owed else Code.RECEIVABLE_DRIVER
    moved = posting(target, source, amount_minor)
    return entry(entity_id, "refund_otherwise", refund_id, on, currency, [moved])


def topup_taken_back(
    entity_id: str, item_id: str, on: date, currency: str, amount_minor: int, *, disputed: bool
) -> Entry | None:
    """Dr payable.wallet / Cr suspense: what was given back of a top-up at the processor is not in
    the wallet any more. Where a lost dispute took it the loss is smaller: / Cr disputes."""
    source = Code.EXPENSE_DISPUTES if disputed else Code.SUSPENSE
    moved = posting(Code.PAYABLE_WALLET, source, amount_minor)
    return entry(entity_id, "topup_taken_back", item_id, on, currency, [moved])


def refund_taken_over(
    entity_id: str,
    item_id: str,
    on: date,
    currency: str,
    amount_minor: int,
    beyond_minor: int = 0,
) -> Entry | None:
    """Dr payable / Cr suspense: what was given back at the processor was due by refunds. What of it
    no bill had asked for (``beyond_minor``) is taken out of what that was booked as: Dr receivable.
    """
    owed = posting(Code.PAYABLE_DRIVER, Code.SUSPENSE, amount_minor)
    beyond = posting(Code.RECEIVABLE_DRIVER, Code.SUSPENSE, beyond_minor)
    return entry(entity_id, "refund_taken_over", item_id, on, currency, [owed, beyond])

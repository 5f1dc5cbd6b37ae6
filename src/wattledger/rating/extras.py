"""What comes on top of the lines: the least and the most a session costs, fees of the way of
paying, excise on the energy.
"""

from __future__ import annotations

from fractions import Fraction

from wattledger.money import allocate, exponent
from wattledger.rating.assembly import FEE, Bill
from wattledger.rating.compiled import limit_minor
from wattledger.rating.model import LineKind
from wattledger.rating.sums import Exact
from wattledger.rating.taxes import factor, parts
from wattledger.rating.terms import Fee, Tax
from wattledger.tariffs.model import PriceLimit, TaxIncluded
from wattledger.tariffs.policies import LimitTax, PaymentFee


def limit(bill: Bill) -> None:
    """The least and the most a session costs, each side of tax on its own, as a line."""
    tariff = bill.tariff
    if tariff.min_price is None and tariff.max_price is None:
        return
    old = (bill.before, bill.after)
    low, high = _bounds(bill, tariff.min_price), _bounds(bill, tariff.max_price)
    new: list[Exact] = []
    bounded = []
    for value, least, most in zip(old, low, high, strict=True):
        held: Exact = value
        if most is not None and held > most:
            held = most
        if least is not None and held < least:
            held = least
        new.append(held)
        bounded.append(least is not None or most is not None)
    if not bounded[1]:
        new[1] = _other_side(bill, new[0], old[0], old[1])
    elif not bounded[0]:
        new[0] = _other_side(bill, new[1], old[1], old[0], inverse=True)
    before, after = new[0] - old[0], new[1] - old[1]
    if before or after:
        _hold(bill, before, after)


def _hold(bill: Bill, before: Exact, after: Exact) -> None:
    tax = bill.after - bill.before
    if tax:
        # The taxes of the lines become what is left of them, in proportion.
        ratio = Fraction(tax + after - before) / tax
        for key in bill.taxes:
            bill.taxes[key] *= ratio
    up = (after, before) > (0, 0)
    weights = list(bill.streams)
    bill.adjust(
        LineKind.MINIMUM if up else LineKind.MAXIMUM,
        "Minimum price" if up else "Maximum price", before, after, due=bill.sums.text(bill.before),
    )  # fmt: skip
    if any(weights) and min(weights) >= 0:
        # What a limit changes belongs to all streams alike, not to the fees.
        moved = bill.streams[FEE] - weights[FEE]
        bill.streams = [
            weight + part for weight, part in zip(weights, allocate(moved, weights), strict=True)
        ]


def _bounds(bill: Bill, given: PriceLimit | None) -> list[Fraction | None]:
    both = limit_minor(given, bill.tariff.currency)
    return [None if side is None else side * bill.sums.whole for side in both]


def _other_side(
    bill: Bill, new: Exact, old: Exact, other: Exact, *, inverse: bool = False
) -> Exact:
    """The side of tax that a limit says nothing of."""
    if new == old:
        return other
    if bill.policies.limit_tax is LimitTax.UNTAXED:
        return other + new - old
    if old:
        return other * Fraction(new) / old
    ratios = {
        Fraction(rate.after, rate.before)
        for table in bill.main.tables.values()
        for cell in table
        for rate in cell
        if rate.before
    }
    if len(ratios) != 1:
        bill.warnings.append(
            "$.min_price: it is stated on one side of tax only and the tariff has several "
            "rates: what it adds to a session that costs nothing is untaxed"
        )
        return other + new - old
    (ratio,) = ratios
    return new / ratio if inverse else new * ratio


def fees(bill: Bill) -> None:
    """What the way of paying adds, and the excise on the energy."""
    terms = bill.main.terms
    if bill.policies.payment_fee is PaymentFee.LINE:
        for fee in terms.fees:
            _fee(bill, fee)
    if bill.tariff.tax_included is not TaxIncluded.NOT_APPLICABLE and terms.assessed is None:
        for tax in terms.taxes:
            if tax.per_kwh is not None and bill.header.energy > 0:
                _excise(bill, tax, tax.per_kwh)


def _fee(bill: Bill, fee: Fee) -> None:
    some = parts(bill.tariff, bill.main.terms, None, fee.taxes)
    amount = _minor(bill, fee.amount) * bill.sums.whole
    before = amount
    if bill.tariff.tax_included is TaxIncluded.YES:
        before = amount / factor(some)
    for part in some:
        key = (part.name, part.percent)
        bill.taxes[key] = bill.taxes.get(key, 0) + before * part.share
    taxes = tuple((part.name, part.percent) for part in some)
    bill.adjust(LineKind.FEE, fee.text, before, before * factor(some), taxes=taxes)


def _excise(bill: Bill, tax: Tax, per_kwh: str) -> None:
    energy = bill.header.energy
    # Energy is over the scale already, as the whole is.
    whole = bill.sums.whole // bill.header.scale
    amount = _minor(bill, per_kwh) * energy * whole / 1000
    key = (tax.name, f"{per_kwh}/kWh")
    if tax.exempt:
        amount, bill.exempt[key] = Fraction(0), tax.exempt
    bill.taxes[key] = bill.taxes.get(key, 0) + amount
    # Prices that contain their tax contain this one: it is taken out of them.
    included = bill.tariff.tax_included is TaxIncluded.YES
    before, after = (-amount, Fraction(0)) if included else (Fraction(0), amount)
    bill.adjust(
        LineKind.EXCISE, tax.name, before, after, taxes=(key,), stream=0, energy=energy,
        price=per_kwh,
    )  # fmt: skip


def _minor(bill: Bill, text: str) -> Fraction:
    scale: int = 10 ** exponent(bill.tariff.currency)
    return Fraction(text) * scale

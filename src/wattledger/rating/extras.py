"""What comes on top of the lines: the least and the most a session costs, fees of the way of
paying, excise on the energy.
"""

from __future__ import annotations

from fractions import Fraction

from wattledger.money import allocate, exponent
from wattledger.rating.assembly import FEE, Bill
from wattledger.rating.compiled import limit_minor
from wattledger.rating.model import LineKind
from wattledger.rating.sums import Exact, decimal_text
from wattledger.rating.taxes import around, factor, parts
from wattledger.rating.terms import Fee, Tax
from wattledger.tariffs.model import Dimension, PriceLimit, TaxIncluded
from wattledger.tariffs.policies import LimitTax, PaymentFee


def limit(bill: Bill, *, least: bool = True) -> None:
    """The least and the most a session costs, each side of tax on its own, as a line; without
    ``least`` only the most."""
    tariff = bill.tariff
    old = (bill.before, bill.after)
    low = _bounds(bill, tariff.min_price if least else None)
    high = _bounds(bill, tariff.max_price)
    if bill.terms.assessed is not None:
        _forget_unknown_side(bill, low, high)
    held = [_held(*each) for each in zip(old, low, high, strict=True)]
    new = list(held)
    for side, other in ((0, 1), (1, 0)):
        limit_ = low if held[side] > old[side] else high
        if held[side] != old[side] and limit_[other] is None and held[other] == old[other]:
            # The limit that moved this side says nothing of the other one: that follows.
            follows = _other_side(bill, held[side], old[side], old[other], inverse=side == 1)
            new[other] = _held(follows, low[other], high[other])
    before, after = new[0] - old[0], new[1] - old[1]
    if before or after:
        _hold(bill, before, after)


def _forget_unknown_side(
    bill: Bill, low: list[Fraction | None], high: list[Fraction | None]
) -> None:
    """What a tax engine outside adds, or takes out, is not known yet."""
    included = bill.tariff.tax_included is TaxIncluded.YES
    unknown = 0 if included else 1
    if low[unknown] is not None or high[unknown] is not None:
        side = "before" if included else "after"
        bill.warnings.append(
            f"$.terms.assessed: the tariff's limits {side} taxes do not hold, because the taxes "
            "are assessed outside"
        )
    low[unknown] = high[unknown] = None


def _held(value: Exact, least: Fraction | None, most: Fraction | None) -> Exact:
    if most is not None and value > most:
        value = most
    return least if least is not None and value < least else value


def _hold(bill: Bill, before: Exact, after: Exact) -> None:
    tax = bill.after - bill.before
    if tax:
        # The taxes of the lines become what is left of them, in proportion.
        ratio = Fraction(tax + after - before) / tax
        for key in bill.taxes:
            bill.taxes[key] *= ratio
    elif after != before:
        # Limits that state both sides make a tax where nothing was taxed: it has no name.
        bill.taxes["Tax", "", None] = after - before
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
    rates = [rate for table in bill.main.tables.values() for cell in table for rate in cell]
    # What costs something says more of the tax than what costs nothing.
    ratios = {rate.factor for rate in rates if rate.before} or {rate.factor for rate in rates}
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
    terms = bill.terms
    if bill.policies.payment_fee is PaymentFee.LINE:
        for fee in terms.fees:
            _fee(bill, fee)
    if bill.tariff.tax_included is not TaxIncluded.NOT_APPLICABLE and terms.assessed is None:
        for tax in terms.taxes:
            if tax.per_kwh is not None and bill.header.energy > 0:
                _excise(bill, tax, tax.per_kwh)


def _fee(bill: Bill, fee: Fee) -> None:
    some = parts(bill.tariff, bill.terms, None, fee.taxes)
    amount = _minor(bill, fee.amount) * bill.sums.whole
    before = amount
    if bill.tariff.tax_included is TaxIncluded.YES:
        before = amount / factor(some)
    for part in some:
        bill.taxes[part.key] = bill.taxes.get(part.key, 0) + before * part.share
    taxes = tuple((part.name, part.percent) for part in some)
    bill.adjust(LineKind.FEE, fee.text, before, before * factor(some), taxes=taxes)


def _excise(bill: Bill, tax: Tax, per_kwh: str) -> None:
    energy = bill.header.energy
    # Energy is over the scale already, as the whole is.
    whole = bill.sums.whole // bill.header.scale
    amount = _minor(bill, per_kwh) * energy * whole / 1000
    text = tax.name
    if tax.unit_kwh != 1:
        amount *= Fraction(1, tax.unit_kwh)
        text = f"{text}, {per_kwh} per {tax.unit_kwh} kWh"
        each = Fraction(per_kwh) * Fraction(1, tax.unit_kwh)
        per_kwh = decimal_text(each.numerator, each.denominator)
    key = (tax.name, f"{per_kwh}/kWh", tax.exempt)
    if tax.exempt:
        amount = Fraction(0)
    low, high = around(bill.terms, Dimension.ENERGY, tax.stack)
    before: Exact = 0
    after = amount * factor(high)
    own = {key: amount, **{part.key: amount * part.share for part in high}}
    if bill.tariff.tax_included is TaxIncluded.YES:
        # Prices that contain their tax contain this one: what was taken for the price before
        # taxes has it in it, and the taxes of higher stacks were taken from both.
        before, after = -amount / factor(low), Fraction(0)
        own = {key: amount, **{part.key: before * part.share for part in low}}
    for own_key, part_of in own.items():
        bill.taxes[own_key] = bill.taxes.get(own_key, 0) + part_of
    bill.adjust(
        LineKind.EXCISE, text, before, after, taxes=(key[:2],), stream=0, energy=energy,
        price=per_kwh,
    )  # fmt: skip


def _minor(bill: Bill, text: str) -> Fraction:
    scale: int = 10 ** exponent(bill.tariff.currency)
    return Fraction(text) * scale

"""The end of a bill: everything rounded, and the line that closes what rounding opened."""

from __future__ import annotations

from fractions import Fraction

from wattledger.rating.assembly import FEE, Bill
from wattledger.rating.model import ENGINE, Charge, Line, LineKind, Period, TaxAmount
from wattledger.rating.rates import STREAMS
from wattledger.rating.sections import SECOND, Section
from wattledger.rating.sums import Sides, spread
from wattledger.sessions.model import Activity
from wattledger.tariffs.policies import RoundingLevel

# Bound once: looking a member up on its enumeration costs Python 3.11 as much as a call.
_CHARGER_PAUSE = Activity.CHARGER_PAUSE
_TOTAL = RoundingLevel.TOTAL
_ROUNDING = LineKind.ROUNDING


def close(bill: Bill, free_reason: str | None = None) -> Charge:
    """The charge."""
    net, tax, total = _rounded(bill)
    gap, gap_total = net - bill.net, total - bill.total
    if gap or gap_total:
        bill.lines.append(Line(_ROUNDING, "Rounding", gap, gap_total - gap, gap_total))
    charging = idle = pause = 0
    for section in bill.sections:
        charging += section.charging or 0
        idle += section.idle or 0
        if section.activity == _CHARGER_PAUSE:
            pause += (section.to_at - section.from_at) // SECOND * bill.header.scale
    header, sums = bill.header, bill.sums
    return Charge(
        session_id=header.session_id,
        engine=ENGINE,
        currency=bill.tariff.currency,
        time_zone=header.time_zone,
        started_at=header.started_at,
        ended_at=header.ended_at,
        tariffs=tuple([compiled.ref for compiled in bill.compiled]),
        lines=tuple(bill.lines),
        periods=tuple([_period(section) for section in bill.sections]),
        net_minor=net,
        tax_minor=tax,
        total_minor=total,
        exact=sums.exact(bill.before, bill.after),
        taxes=_tax_amounts(bill, tax),
        streams=tuple(zip(STREAMS, spread(net, bill.streams, FEE), strict=True)),
        policies=bill.policies,
        terms=bill.terms,
        energy=header.energy,
        charging=charging,
        idle=idle,
        pause=pause,
        quantity_scale=header.scale,
        free_reason=free_reason,
        warnings=tuple(bill.warnings),
    )


def _rounded(bill: Bill) -> Sides:
    level = bill.policies.rounding_level
    before, after = bill.before, bill.after
    if level is _TOTAL:
        if type(before) is int and type(after) is int:
            return bill.sums.whole_sides(before, after)
        return bill.sums.sides(before, after)
    if level is RoundingLevel.LINE:
        return bill.net, bill.total - bill.net, bill.total
    by_rate = bill.by_rate or {}
    groups = [bill.sums.sides(before, after) for before, after in by_rate.values()]
    net = sum(group[0] for group in groups)
    total = sum(group[2] for group in groups)
    return net, total - net, total


def _tax_amounts(bill: Bill, tax_minor: int) -> tuple[TaxAmount, ...]:
    if not bill.taxes:
        return ()
    exact = list(bill.taxes.values())
    amounts = [bill.sums.round(each) for each in exact]
    if sum(amounts) != tax_minor:
        largest = max(range(len(amounts)), key=lambda i: abs(Fraction(exact[i])))
        amounts = spread(tax_minor, amounts, largest)
    found = []
    for (name, percent, exempt), amount in zip(bill.taxes, amounts, strict=True):
        shown = None if not percent or percent.endswith("/kWh") else percent
        found.append(TaxAmount(name, amount, shown, exempt))
    return tuple(found)


def _period(section: Section) -> Period:
    return Period(
        section.from_at,
        section.to_at,
        section.activity,
        section.energy or 0,
        section.source,
        section.tariff,
        section.from_register_wh,
        section.to_register_wh,
        section.from_error_wh,
        section.to_error_wh,
        section.from_segment,
        section.to_segment,
    )

"""The charges of one month, each as lines with an exact amount."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec

from wattledger.errors import CantPrice
from wattledger.tariffs.utility.exact import ratio
from wattledger.tariffs.utility.load import Piece, energies_wh
from wattledger.tariffs.utility.model import (
    DayCount,
    EnergyCharge,
    MinimumCharge,
    Per,
    RatePeriod,
    Tier,
    TierScope,
    UtilityTariff,
)
from wattledger.tariffs.utility.schedule import (
    midnight_us,
    moment_of,
    next_month,
    spans,
    us_of,
    windows,
)
from wattledger.tariffs.utility.series import PriceSeries

_HOUR_US = 3_600_000_000


class LineKind(StrEnum):
    """What a line of the utility's bill is."""

    ENERGY = "energy"
    """Energy in one tier of one period of the tariff."""
    MARKET_ENERGY = "market_energy"
    """Energy bought at the prices of a series."""
    FLAT_DEMAND = "flat_demand"
    """The month's highest demand, in one tier."""
    TOU_DEMAND = "tou_demand"
    """The month's highest demand within one period, in one tier."""
    FIXED = "fixed"
    MINIMUM = "minimum"
    """What is missing to the least a month or a year costs."""


class BillLine(msgspec.Struct, frozen=True):
    """``exact`` = ``quantity`` x ``price``, in major units, unrounded.

    ``quantity`` is in ``unit`` (kWh, kW, month, day, year). ``tier`` counts from 1; ``period``
    is that of the tariff. A line of demand says when its peak was, in UTC.
    """

    kind: LineKind
    period: str
    tier: int
    quantity: Fraction
    unit: str
    price: Fraction
    exact: Fraction
    amount_minor: int = 0
    peak_from: datetime | None = None
    peak_to: datetime | None = None


def price_of(tier: Tier) -> Fraction:
    """Rate and adjustment together, per kWh or kW."""
    return Fraction(tier.rate) + Fraction(tier.adj)


def energy_lines(
    charge: EnergyCharge,
    load: Sequence[Piece],
    holidays: frozenset[date],
    first: date,
    zone: ZoneInfo,
) -> Iterator[BillLine]:
    """A line for each period and tier in which energy was drawn."""
    cells = spans(charge.schedule, holidays, zone, first, next_month(first))
    drawn = energies_wh(load, [(cell.from_us, cell.to_us) for cell in cells])
    kwh = {period.name: Fraction(0) for period in charge.periods}
    for cell, energy_wh in zip(cells, drawn, strict=True):
        kwh[cell.period] += energy_wh * Fraction(1, 1000)
    total = sum(kwh.values(), Fraction(0))
    for period in charge.periods:
        whole = total if charge.tier_scope is TierScope.MONTH_TOTAL_PRORATA else kwh[period.name]
        yield from _tier_lines(LineKind.ENERGY, period, kwh[period.name], whole, "kWh")


def market_line(
    prices: PriceSeries, load: Sequence[Piece], first: date, zone: ZoneInfo
) -> BillLine:
    """All the month's energy at the prices of a series; ``price`` is what it came to on average.

    Raises CantPrice where the series says nothing of a time in which energy was drawn.
    """
    start, end = midnight_us(first, zone), midnight_us(next_month(first), zone)
    cells: list[tuple[int, int]] = []
    each: list[Fraction] = []
    for interval in prices.intervals:
        from_us, to_us = max(us_of(interval.from_at), start), min(us_of(interval.to_at), end)
        if from_us < to_us:
            cells.append((from_us, to_us))
            each.append(interval.price)
    drawn = energies_wh(load, cells)
    total = energies_wh(load, [(start, end)])[0]
    if sum(drawn, Fraction(0)) != total:
        raise CantPrice(
            "cost.no_price",
            f"the price series does not cover all times in {first:%Y-%m} when energy was drawn",
        )
    kwh = total * Fraction(1, 1000)
    exact = sum((wh * price for wh, price in zip(drawn, each, strict=True)), Fraction(0))
    exact *= Fraction(1, 1000)
    average = ratio(exact, kwh) if kwh else Fraction(0)
    return BillLine(LineKind.MARKET_ENERGY, "market", 1, kwh, "kWh", average, exact)


def demand_lines(
    tariff: UtilityTariff,
    load: Sequence[Piece],
    holidays: frozenset[date],
    first: date,
    zone: ZoneInfo,
) -> Iterator[BillLine]:
    """The month's peak over all windows, and within each period that the month has.

    A window counts in the period in which it begins; of equal windows the first is the peak.
    """
    minutes = tariff.demand_window_min
    if minutes is None or (tariff.flat_demand is None and tariff.tou_demand is None):
        return
    cells = windows(minutes, zone, first, next_month(first))
    # kW = Wh / 1000 / h
    powers = [
        Fraction(energy_wh.numerator * _HOUR_US, energy_wh.denominator * 1000 * (to_us - from_us))
        for (from_us, to_us), energy_wh in zip(cells, energies_wh(load, cells), strict=True)
    ]
    if tariff.flat_demand is not None:
        charge = tariff.flat_demand
        name = charge.months[first.month - 1]
        (period,) = [period for period in charge.periods if period.name == name]
        yield from _peak_lines(LineKind.FLAT_DEMAND, period, cells, powers)
    if tariff.tou_demand is not None:
        schedule = tariff.tou_demand.schedule
        held = spans(schedule, holidays, zone, first, next_month(first))
        belongs: list[str] = []
        i = 0
        for from_us, _ in cells:
            while held[i].to_us <= from_us:
                i += 1
            belongs.append(held[i].period)
        for period in tariff.tou_demand.periods:
            own = [n for n, name in enumerate(belongs) if name == period.name]
            if own:
                inside = [cells[n] for n in own]
                yield from _peak_lines(
                    LineKind.TOU_DEMAND, period, inside, [powers[n] for n in own]
                )


def fixed_lines(tariff: UtilityTariff, first: date) -> Iterator[BillLine]:
    """The fixed charges of the month."""
    for charge in tariff.fixed:
        quantity = _times(charge.per, tariff.day_count, first)
        price = Fraction(charge.amount)
        yield BillLine(
            LineKind.FIXED, charge.name, 1, quantity, charge.per.value, price, quantity * price
        )


def minimum_line(
    minimum: MinimumCharge, spent: Fraction, day_count: DayCount, first: date
) -> Iterator[BillLine]:
    """What ``spent`` is short of the minimum, if it is."""
    times = Fraction(1) if minimum.per is Per.YEAR else _times(minimum.per, day_count, first)
    short = Fraction(minimum.amount) * times - spent
    if short > 0:
        yield BillLine(LineKind.MINIMUM, "minimum", 1, Fraction(1), minimum.per.value, short, short)


def _times(per: Per, day_count: DayCount, first: date) -> Fraction:
    """How many days, months or years a month is."""
    if per is Per.MONTH:
        return Fraction(1)
    if per is Per.YEAR:
        return Fraction(1, 12)
    if day_count is DayCount.YEAR_OVER_12:
        return Fraction(365, 12)
    return Fraction((next_month(first) - first).days)


def _peak_lines(
    kind: LineKind,
    period: RatePeriod,
    cells: Sequence[tuple[int, int]],
    powers: Sequence[Fraction],
) -> Iterator[BillLine]:
    peak = max(range(len(powers)), key=lambda n: (powers[n], -n))
    from_us, to_us = cells[peak]
    for line in _tier_lines(kind, period, powers[peak], powers[peak], "kW"):
        yield msgspec.structs.replace(line, peak_from=moment_of(from_us), peak_to=moment_of(to_us))


def _tier_lines(
    kind: LineKind, period: RatePeriod, quantity: Fraction, whole: Fraction, unit: str
) -> Iterator[BillLine]:
    """``whole`` fills the tiers from below; ``quantity`` is the period's share of each."""
    low = Fraction(0)
    for number, tier in enumerate(period.tiers, 1):
        high = whole if tier.ceiling is None else min(whole, Fraction(tier.ceiling))
        if high > low:
            share = ratio((high - low) * quantity, whole)
            price = price_of(tier)
            if share:
                yield BillLine(kind, period.name, number, share, unit, price, share * price)
            low = high

"""The energy prices of a utility tariff as a series, so that a session can be costed with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from wattledger.errors import BadInput, CantPrice
from wattledger.tariffs.utility.bill import MonthBill
from wattledger.tariffs.utility.charges import LineKind, price_of
from wattledger.tariffs.utility.exact import ratio
from wattledger.tariffs.utility.load import check_instant
from wattledger.tariffs.utility.model import EnergyCharge, UtilityTariff
from wattledger.tariffs.utility.reader import check_utility_tariff
from wattledger.tariffs.utility.schedule import Span, midnight_us, moment_of, month_of, spans
from wattledger.tariffs.utility.series import PriceInterval, PriceSeries


def energy_prices(
    tariff: UtilityTariff,
    from_at: datetime,
    to_at: datetime,
    months: Sequence[MonthBill] = (),
) -> PriceSeries:
    """What a kWh costs from ``from_at`` to ``to_at``, without demand and fixed charges.

    With tiers the price of a kWh depends on the whole month: ``months`` are then the bills of
    the months in question, and each period costs what it came to on average in its month; a
    period that drew nothing costs its first tier. Raises BadInput for times that are naive or
    in the wrong order; CantPrice where there is no energy charge, or no bill for a tiered month.
    """
    check_utility_tariff(tariff, "tariff")
    start, end = check_instant(from_at, "from_at"), check_instant(to_at, "to_at")
    if end <= start:
        raise BadInput("to_at", to_at.isoformat(), "a time after from_at")
    if tariff.energy is None:
        raise CantPrice("cost.no_energy_charge", f"{tariff.name} has no price for energy")
    zone = ZoneInfo(tariff.time_zone)
    bills = {bill.month: bill for bill in months}
    holidays = frozenset(date.fromisoformat(day) for day in tariff.holidays)
    first = moment_of(start).astimezone(zone).date()
    last = moment_of(end - 1).astimezone(zone).date()
    found: list[PriceInterval] = []
    for span in spans(tariff.energy.schedule, holidays, zone, first, last + timedelta(days=1)):
        for low, high in _by_month(span, zone):
            inside = max(low, start), min(high, end)
            if inside[0] < inside[1]:
                price = _price(tariff.energy, span.period, month_of(low, zone), bills)
                found.append(PriceInterval(moment_of(inside[0]), moment_of(inside[1]), price))
    return PriceSeries(tariff.currency, tuple(found))


def _by_month(span: Span, zone: ZoneInfo) -> list[tuple[int, int]]:
    """The span cut where months begin: an average is that of one month."""
    cuts = [span.from_us]
    day = moment_of(span.from_us).astimezone(zone).date().replace(day=1)
    while cuts[-1] < span.to_us:
        day = (day + timedelta(days=31)).replace(day=1)
        cuts.append(min(midnight_us(day, zone), span.to_us))
    return list(pairwise(cuts))


def _price(charge: EnergyCharge, name: str, month: str, bills: dict[str, MonthBill]) -> Fraction:
    (period,) = [period for period in charge.periods if period.name == name]
    if not charge.tiered:
        return price_of(period.tiers[0])
    if month not in bills:
        raise CantPrice(
            "cost.tiers_need_the_month",
            f"the price of a kWh in {name} depends on all of {month}: pass the bill of that month",
        )
    lines = [x for x in bills[month].lines if x.kind is LineKind.ENERGY and x.period == name]
    kwh = sum((line.quantity for line in lines), Fraction(0))
    if not kwh:
        return price_of(period.tiers[0])
    return ratio(sum((line.exact for line in lines), Fraction(0)), kwh)

"""A utility's bill over a load profile: exact lines, rounded once each and once in total."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec

from wattledger.errors import BadInput
from wattledger.money import Rounding
from wattledger.tariffs.utility.charges import (
    BillLine,
    LineKind,
    demand_lines,
    energy_lines,
    fixed_lines,
    market_line,
    minimum_line,
)
from wattledger.tariffs.utility.exact import minor
from wattledger.tariffs.utility.load import LoadInterval, Piece, energies_wh, first_gap, pieces
from wattledger.tariffs.utility.model import MinimumCharge, Per, Remark, UtilityTariff
from wattledger.tariffs.utility.reader import check_utility_tariff
from wattledger.tariffs.utility.schedule import (
    MINUTE_US,
    midnight_us,
    moment_of,
    month_first,
    month_of,
    next_month,
)
from wattledger.tariffs.utility.series import PriceSeries


class Gaps(StrEnum):
    """What a time means of which the load profile says nothing."""

    REFUSE = "refuse"
    """A measurement is missing: no bill."""
    ZERO = "zero"
    """Nothing was drawn: right where the load is that of charging sessions alone."""


class MonthBill(msgspec.Struct, frozen=True):
    """One calendar month of the meter's zone.

    Σ line.exact = ``exact``; Σ line.amount_minor + ``rounding_minor`` = ``total_minor``, which is
    ``exact`` rounded once.
    """

    month: str
    currency: str
    from_at: datetime
    to_at: datetime
    energy_wh: Fraction
    lines: tuple[BillLine, ...]
    exact: Fraction
    total_minor: int
    rounding_minor: int

    def exact_of(self, *kinds: LineKind) -> Fraction:
        """The unrounded sum of the lines of these kinds."""
        return sum((line.exact for line in self.lines if line.kind in kinds), Fraction(0))

    def minor_of(self, *kinds: LineKind) -> int:
        """The sum of the rounded lines of these kinds."""
        return sum(line.amount_minor for line in self.lines if line.kind in kinds)


class Bill(msgspec.Struct, frozen=True):
    """The months in order, with what should be known about them."""

    months: tuple[MonthBill, ...]
    remarks: tuple[Remark, ...]

    @property
    def exact(self) -> Fraction:
        """All months, unrounded."""
        return sum((month.exact for month in self.months), Fraction(0))

    @property
    def total_minor(self) -> int:
        """The sum of the months as they are paid."""
        return sum(month.total_minor for month in self.months)


def utility_bill(
    tariff: UtilityTariff,
    load: Sequence[LoadInterval],
    *,
    gaps: Gaps = Gaps.REFUSE,
    first_month: str | None = None,
    last_month: str | None = None,
    prices: PriceSeries | None = None,
    rounding: Rounding = Rounding.HALF_UP,
) -> Bill:
    """What ``load`` costs, month by month ('YYYY-MM' of the tariff's zone).

    Months are those the load touches, or from ``first_month`` to ``last_month``; load outside
    of them is left out. ``prices`` adds a line for energy bought at a market, beside whatever
    the tariff charges for it. A minimum per year is settled with December, when all twelve
    months of that year are billed.

    Raises BadInput for a tariff or a load that is not sound, or with a gap where ``gaps``
    refuses one; CantPrice where ``prices`` say nothing of a time in which energy was drawn.
    """
    check_utility_tariff(tariff, "tariff")
    if prices is not None and prices.currency != tariff.currency:
        raise BadInput("prices.currency", prices.currency, f"{tariff.currency}, the tariff's")
    zone = ZoneInfo(tariff.time_zone)
    drawn = pieces(load)
    firsts = _months(drawn, zone, first_month, last_month)
    bills: list[MonthBill] = []
    for first in firsts:
        inside = _inside(drawn, first, zone, gaps)
        lines = _month_lines(tariff, inside, first, zone, prices)
        so_far = [bill.exact for bill in bills if bill.month[:4] == f"{first:%Y}"]
        yearly = [minimum for minimum in tariff.minimums if minimum.per is Per.YEAR]
        if first.month == 12 and len(so_far) == 11 and yearly:
            spent = sum(so_far, Fraction(0)) + _sum(lines)
            lines.extend(minimum_line(yearly[0], spent, tariff.day_count, first))
        bills.append(_rounded(lines, inside, first, zone, tariff.currency, rounding))
    return Bill(tuple(bills), tuple(_remarks(tariff, drawn, firsts)))


def _months(
    load: list[Piece], zone: ZoneInfo, first_month: str | None, last_month: str | None
) -> list[date]:
    if not load and (first_month is None or last_month is None):
        raise BadInput("load", [], "at least one interval, or first_month and last_month")
    first = month_first(first_month or month_of(load[0].from_us, zone), "first_month")
    last = month_first(last_month or month_of(load[-1].to_us - 1, zone), "last_month")
    if last < first:
        raise BadInput("last_month", f"{last:%Y-%m}", f"a month not before {first:%Y-%m}")
    found = [first]
    while found[-1] < last:
        found.append(next_month(found[-1]))
    return found


def _inside(load: list[Piece], first: date, zone: ZoneInfo, gaps: Gaps) -> list[Piece]:
    """The intervals that touch the month; raises BadInput for a gap that is refused."""
    start, end = midnight_us(first, zone), midnight_us(next_month(first), zone)
    found = [piece for piece in load if piece.to_us > start and piece.from_us < end]
    missing = first_gap(found, start, end)
    if gaps is Gaps.REFUSE and missing is not None:
        expected = (
            f"a load that covers all of {first:%Y-%m}; where nothing was drawn, pass Gaps.ZERO"
        )
        raise BadInput("load", f"nothing at {moment_of(missing).isoformat()}", expected)
    return found


def _month_lines(
    tariff: UtilityTariff,
    load: list[Piece],
    first: date,
    zone: ZoneInfo,
    prices: PriceSeries | None,
) -> list[BillLine]:
    holidays = frozenset(date.fromisoformat(day) for day in tariff.holidays)
    lines: list[BillLine] = []
    if tariff.energy is not None:
        lines.extend(energy_lines(tariff.energy, load, holidays, first, zone))
    if prices is not None:
        lines.append(market_line(prices, load, first, zone))
    lines.extend(demand_lines(tariff, load, holidays, first, zone))
    lines.extend(fixed_lines(tariff, first))
    for minimum in tariff.minimums:
        if minimum.per is not Per.YEAR:
            lines.extend(minimum_line(minimum, _sum(lines), tariff.day_count, first))
    return lines


def _rounded(
    lines: list[BillLine],
    load: list[Piece],
    first: date,
    zone: ZoneInfo,
    currency: str,
    rounding: Rounding,
) -> MonthBill:
    start, end = midnight_us(first, zone), midnight_us(next_month(first), zone)
    exact = _sum(lines)
    paid = tuple(
        msgspec.structs.replace(line, amount_minor=minor(line.exact, currency, rounding))
        for line in lines
    )
    total_minor = minor(exact, currency, rounding)
    return MonthBill(
        month=f"{first:%Y-%m}",
        currency=currency,
        from_at=moment_of(start).astimezone(UTC),
        to_at=moment_of(end).astimezone(UTC),
        energy_wh=energies_wh(load, [(start, end)])[0],
        lines=paid,
        exact=exact,
        total_minor=total_minor,
        rounding_minor=total_minor - sum(line.amount_minor for line in paid),
    )


def _remarks(tariff: UtilityTariff, load: list[Piece], firsts: list[date]) -> list[Remark]:
    found: list[Remark] = []
    minutes = tariff.demand_window_min
    if minutes is not None and (tariff.flat_demand or tariff.tou_demand):
        long = [i for i, p in enumerate(load) if p.to_us - p.from_us > minutes * MINUTE_US]
        if long:
            text = (
                f"{len(long)} intervals are longer than the demand window of {minutes} minutes: "
                "a peak within one can't be seen"
            )
            found.append(Remark(f"load[{long[0]}]", text))
    if any(minimum.per is Per.YEAR for minimum in tariff.minimums):
        found.extend(_unsettled(tariff.minimums, firsts))
    return found


def _unsettled(minimums: tuple[MinimumCharge, ...], firsts: list[date]) -> list[Remark]:
    at = next(i for i, minimum in enumerate(minimums) if minimum.per is Per.YEAR)
    years = sorted({first.year for first in firsts})
    return [
        Remark(f"tariff.minimums[{at}]", f"not settled for {year}: not all its months are billed")
        for year in years
        if sum(first.year == year for first in firsts) < 12
    ]


def _sum(lines: list[BillLine]) -> Fraction:
    return sum((line.exact for line in lines), Fraction(0))

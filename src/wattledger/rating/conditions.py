"""Restrictions that are more than a bound on a whole number: seasons, holidays, spans of dates,
power and current, how somebody pays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction
from functools import partial

from wattledger.errors import CantPrice
from wattledger.rating import weekly
from wattledger.rating.moments import (
    BRAND,
    CURRENT_UA,
    DAY,
    EVSE_KIND,
    NEVER,
    POWER_MW,
    RECOGNITION,
    SEASON,
    WEEK_SECOND,
    Moment,
)
from wattledger.tariffs.model import Restrictions, Tariff
from wattledger.tariffs.policies import MissingMeasurement, RangeMatch

Special = Callable[[Moment], bool]


def specials(tariff: Tariff, given: Restrictions) -> tuple[Special, ...]:
    """What has to hold beside the whole numbers."""
    return tuple(_specials(tariff, given))


def _specials(tariff: Tariff, given: Restrictions) -> Iterator[Special]:
    if weekly.is_continuous(given, tariff.policies):
        yield partial(_in_span, *_span(given))
    if given.start_season is not None and given.end_season is not None:
        yield partial(_in_season, _season(given.start_season), _season(given.end_season))
    if given.holiday is not None:
        days = frozenset(date.fromisoformat(day).toordinal() for day in tariff.holidays)
        yield partial(_on_holiday, days, given.holiday)
    measured = (
        (POWER_MW, given.min_power_kw, given.max_power_kw, "power"),
        (CURRENT_UA, given.min_current_a, given.max_current_a, "current"),
    )
    for index, low, high, what in measured:
        if low is not None or high is not None:
            yield partial(_measured, tariff, index, _micro(low, 0), _micro(high, NEVER), what)
    fixed = (
        (EVSE_KIND, given.evse_kind, "the kind of the EVSE"),
        (BRAND, given.payment_brand, "the payment brand"),
        (RECOGNITION, given.payment_recognition, "the payment recognition"),
    )
    for index, wanted, what in fixed:
        if wanted is not None:
            yield partial(_known, tariff, index, wanted, what)


def _in_season(start: int, end: int, at: Moment) -> bool:
    season: int = at[SEASON]
    return start <= season < end if start < end else season >= start or season < end


def _on_holiday(days: frozenset[int], wanted: bool, at: Moment) -> bool:
    return (at[DAY] in days) is wanted


def _in_span(start: int, end: int, at: Moment) -> bool:
    second: int = at[DAY] * weekly.DAY_S + at[WEEK_SECOND] % weekly.DAY_S
    return start <= second < end


def _measured(tariff: Tariff, index: int, low: int, high: int, what: str, at: Moment) -> bool:
    measured = at[index]
    if measured is None:
        return _missing(tariff, what)
    least, most = measured
    if tariff.policies.range_match is RangeMatch.REACHED:
        least, most = most, least
    matches: bool = low <= least and most < high
    return matches


def _known(tariff: Tariff, index: int, wanted: str, what: str, at: Moment) -> bool:
    if at[index] is None:
        return _missing(tariff, what)
    matches: bool = at[index].casefold() == wanted.casefold()
    return matches


def _missing(tariff: Tariff, what: str) -> bool:
    policy = tariff.policies.missing_measurement
    if policy is MissingMeasurement.REFUSE:
        raise CantPrice(
            "missing_measurement",
            f"tariff {tariff.id!r} asks for {what}, and the session does not say it: give it, or "
            "set the policy missing_measurement to match or no_match",
        )
    return policy is MissingMeasurement.MATCH


def _span(given: Restrictions) -> tuple[int, int]:
    start, end = weekly.hours(given)
    first, last = 0, NEVER
    if given.start_date:
        first = date.fromisoformat(given.start_date).toordinal() * weekly.DAY_S + start
    if given.end_date:
        last = date.fromisoformat(given.end_date).toordinal() * weekly.DAY_S
        last += end if given.end_time else 0
    return first, last


def _season(day: str) -> int:
    return int(day[:2]) * 100 + int(day[3:])


def _micro(text: str | None, missing: int) -> int:
    """kW in milliwatts, A in microampere: the reader lets through six places at most."""
    return missing if text is None else int(Fraction(text) * 1_000_000)

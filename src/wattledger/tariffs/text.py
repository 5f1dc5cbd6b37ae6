"""A tariff in one line, as a driver reads it before charging: the prices in force at a moment.

``$0.40/kWh + $1.00 start, idle $0.20/min after 10 min, until 21:00, then $0.25/kWh, plus tax``

Exact: prices as the operator wrote them, and each condition that can change them. What only
applies to a reservation is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from wattledger.money import signed_text
from wattledger.tariffs.model import (
    Component,
    Day,
    Dimension,
    PriceLimit,
    PriceLock,
    Restrictions,
    Tariff,
    TaxIncluded,
    Unit,
)
from wattledger.tariffs.policies import DateWindow, WrapWeekday

_DAYS = list(Day)
_UNITS = {Unit.KWH: "/kWh", Unit.MINUTE: "/min", Unit.HOUR: "/h", Unit.SESSION: ""}
# How far a change of price is looked ahead.
_AHEAD = timedelta(hours=24)


def price_text(tariff: Tariff, at: datetime, zone: str) -> str:
    """What a session that starts at ``at`` at a site in ``zone`` (IANA) costs, in words.

    A change by the clock within the next 24 hours is told with its local time, unless the tariff
    locks the price of the start.
    """
    place = ZoneInfo(zone)
    now = _prices(tariff, at.astimezone(place))
    parts = [now.words or "free of charge"]
    following = None if tariff.price_lock is PriceLock.SESSION_START else _next(tariff, at, place)
    if following is not None:
        until, then = following
        parts += [f"until {until:%H:%M}", f"then {_changed(now, then)}"]
    if now.words or following is not None:
        parts += _limits(tariff)
        parts += _TAX[tariff.tax_included]
    return ", ".join(parts)


_TAX = {
    TaxIncluded.YES: ["tax included"],
    TaxIncluded.NO: ["plus tax"],
    TaxIncluded.NOT_APPLICABLE: [],
}


class _Prices(NamedTuple):
    """What applies at a moment, dimension by dimension."""

    energy: str
    charging: str
    flat: str
    idle: str

    @property
    def words(self) -> str:
        used = " + ".join(filter(None, (self.energy, self.charging)))
        start = f"{self.flat} start" if self.flat else ""
        idle = f"idle {self.idle}" if self.idle else ""
        return ", ".join(filter(None, (" + ".join(filter(None, (used, start))), idle)))


def _changed(now: _Prices, then: _Prices) -> str:
    """What is new of it, or all of it where something becomes free."""
    if any(before and not after for before, after in zip(now, then, strict=True)):
        return then.words or "free of charge"
    pairs = zip(now, then, strict=True)
    return _Prices(*("" if before == after else after for before, after in pairs)).words


def _prices(tariff: Tariff, local: datetime) -> _Prices:
    def of(dimension: Dimension) -> str:
        return _dimension(tariff, dimension, local)

    charging = of(Dimension.CHARGING_TIME)
    return _Prices(
        of(Dimension.ENERGY), f"{charging} of charging" if charging else "", of(Dimension.FLAT),
        of(Dimension.IDLE_TIME),
    )  # fmt: skip


def _dimension(tariff: Tariff, dimension: Dimension, local: datetime) -> str:
    """The elements that can set this price, first to last: the first that matches counts, so
    that what follows one without conditions never does."""
    steps: list[tuple[str, str]] = []
    priced = False
    for element in tariff.elements:
        component = element.component(dimension)
        given = element.restrictions
        if component is None or given.reservation is not None:
            continue
        if not _on_the_clock(given, tariff, local):
            continue
        conditions = _conditions(given)
        free = Decimal(component.price) == 0
        priced = priced or not free
        steps.append((conditions, "free" if free else _price(component, tariff.currency)))
        if not conditions:
            break
    if not priced:
        return ""
    told = [f"{price} {conditions}".strip() for conditions, price in steps]
    if len(steps) > 1 and not steps[-1][0]:
        told[-1] = f"otherwise {told[-1]}"
    return f"{'; '.join(told)}{_cap(tariff, dimension)}"


def _price(component: Component, currency: str) -> str:
    price = f"{signed_text(component.price, currency)}{_UNITS[component.unit]}"
    if component.step <= 1 or component.unit is Unit.SESSION:
        return price
    if component.unit is Unit.KWH:
        return f"{price} (in steps of {_plain(Decimal(component.step).scaleb(-3))} kWh)"
    return f"{price} (in steps of {_duration(component.step)})"


def _cap(tariff: Tariff, dimension: Dimension) -> str:
    amounts = [cap.amount for cap in tariff.caps if cap.dimension is dimension]
    return f" (at most {signed_text(amounts[0], tariff.currency)})" if amounts else ""


def _limits(tariff: Tariff) -> Iterator[str]:
    for limit, word in ((tariff.min_price, "at least"), (tariff.max_price, "at most")):
        if limit is not None:
            yield f"{word} {_limit(limit, tariff.currency)} in all"


def _limit(limit: PriceLimit, currency: str) -> str:
    told = []
    if limit.before_taxes is not None:
        told.append(f"{signed_text(limit.before_taxes, currency)} before tax")
    if limit.after_taxes is not None:
        told.append(f"{signed_text(limit.after_taxes, currency)} with tax")
    return " and ".join(told)


def _conditions(given: Restrictions) -> str:
    """All that is not decided by the clock: ``after 10 min``, ``from 20 kWh on``."""
    parts = [
        *_from_to(given.min_kwh, given.max_kwh, "kWh"),
        *_from_to(given.min_power_kw, given.max_power_kw, "kW"),
        *_from_to(given.min_current_a, given.max_current_a, "A"),
        *_after(given.min_idle_s, given.max_idle_s, ""),
        *_after(given.min_charging_s, given.max_charging_s, " of charging"),
        *_after(given.min_duration_s, given.max_duration_s, " since the start"),
    ]
    if given.evse_kind is not None:
        parts.append(f"at {given.evse_kind.value} charge points")
    if given.payment_brand is not None:
        parts.append(f"paid by {given.payment_brand}")
    if given.payment_recognition is not None:
        parts.append(f"identified by {given.payment_recognition}")
    return ", ".join(parts)


def _from_to(low: str | None, high: str | None, unit: str) -> Iterator[str]:
    if low is not None and Decimal(low) > 0:
        yield f"from {low} {unit} to {high} {unit}" if high else f"from {low} {unit} on"
    elif high is not None:
        yield f"up to {high} {unit}"


def _after(low: int | None, high: int | None, what: str) -> Iterator[str]:
    if low:
        until = f" until {_duration(high)}" if high else ""
        yield f"after {_duration(low)}{until}{what}"
    elif high is not None:
        yield f"for the first {_duration(high)}{what}"


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (left, "s")) if n]
    return " ".join(parts) or "0 min"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _next(tariff: Tariff, at: datetime, place: ZoneInfo) -> tuple[datetime, _Prices] | None:
    """When the clock changes the prices next, and to what."""
    now = _prices(tariff, at.astimezone(place))
    clocks = {"00:00"}
    for element in tariff.elements:
        given = element.restrictions
        clocks |= {clock for clock in (given.start_time, given.end_time) if clock}
    first = at.astimezone(place).date()
    moments = sorted(
        moment
        for day in (first, first + timedelta(days=1))
        for clock in clocks
        if at < (moment := _moment(day, clock, place)) <= at + _AHEAD
    )
    for moment in moments:
        then = _prices(tariff, moment.astimezone(place))
        if then != now:
            return moment.astimezone(place), then
    return None


def _moment(day: date, clock: str, place: ZoneInfo) -> datetime:
    """In UTC, so that moments are compared as such and not by the wall clock."""
    local = datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), place)  # noqa: DTZ007
    return local.astimezone(ZoneInfo("UTC"))


def _on_the_clock(given: Restrictions, tariff: Tariff, local: datetime) -> bool:
    """Whether hours, weekdays, dates, season and holidays are those of a local time."""
    if given.holiday is not None:
        on_holiday = local.date().isoformat() in tariff.holidays
        if on_holiday is not given.holiday:
            return False
    timed, dated = given.start_time or given.end_time, given.start_date or given.end_date
    if timed and dated and tariff.policies.date_window is DateWindow.CONTINUOUS:
        within = _in_span(given, local)
    else:
        within = _on_date(given, local) and _in_hours(given, tariff, local)
    return within and _in_season(given, local)


def _in_season(given: Restrictions, local: datetime) -> bool:
    start, end, day = given.start_season, given.end_season, f"{local:%m-%d}"
    if start is None or end is None:
        return True
    return start <= day < end if start < end else day >= start or day < end


def _in_span(given: Restrictions, local: datetime) -> bool:
    """From a time of one day to a time of another."""
    moment = f"{local:%Y-%m-%d %H:%M}"
    from_at = f"{given.start_date} {given.start_time or '00:00'}" if given.start_date else ""
    to_at = f"{given.end_date} {given.end_time or '00:00'}" if given.end_date else "9999"
    return _on_day(given, local) and from_at <= moment < to_at


def _on_date(given: Restrictions, local: datetime) -> bool:
    today = local.date().isoformat()
    return (given.start_date or "") <= today < (given.end_date or "9999")


def _in_hours(given: Restrictions, tariff: Tariff, local: datetime) -> bool:
    clock, low, high = f"{local:%H:%M}", given.start_time or "00:00", given.end_time or "00:00"
    high = "24:00" if high == "00:00" else high
    if low < high:
        return _on_day(given, local) and low <= clock < high
    if clock >= low:
        return _on_day(given, local)
    began = tariff.policies.wrap_weekday is WrapWeekday.START_DAY
    return clock < high and _on_day(given, local - timedelta(days=1) if began else local)


def _on_day(given: Restrictions, local: datetime) -> bool:
    return not given.days or _DAYS[local.weekday()] in given.days

"""A utility tariff in our own form, strictly: what is not understood is an error with its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec

from wattledger.clock import zone_named
from wattledger.errors import BadInput
from wattledger.money import exponent
from wattledger.tariffs.model import Day
from wattledger.tariffs.utility.exact import plain_decimal
from wattledger.tariffs.utility.model import (
    DayRule,
    EnergyCharge,
    FlatDemand,
    Per,
    RatePeriod,
    Schedule,
    Season,
    Slot,
    TouDemand,
    UtilityTariff,
)
from wattledger.tariffs.utility.schedule import DAY_MINUTES, calendar_days, minutes_of

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_YEAR_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<at>\$[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"(unknown|required) field `([^`]+)`")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[([0-9]+)\]")


def read_utility_tariff(raw: object, path: str = "$") -> UtilityTariff:
    """A tariff out of decoded JSON or TOML in the shape of ``UtilityTariff``, checked.

    Rates and amounts are quoted decimals. Raises BadInput with the path of the first value it
    can't take: unknown keys, wrong types, and schedules with a gap or an overlap among them.
    """
    try:
        tariff = msgspec.convert(raw, UtilityTariff)
    except msgspec.ValidationError as error:
        raise _told(str(error), raw, path) from None
    check_utility_tariff(tariff, path)
    return tariff


def check_utility_tariff(tariff: UtilityTariff, path: str = "$") -> None:
    """Raises BadInput for the first thing in ``tariff`` that no bill can be made from."""
    for key, text in (("id", tariff.id), ("name", tariff.name)):
        if not text.strip() or len(text) > 200:
            raise BadInput(f"{path}.{key}", text, "a text of 1 to 200 characters")
    exponent(tariff.currency)
    zone_of(tariff.time_zone, f"{path}.time_zone")
    for i, day in enumerate(tariff.holidays):
        _date(day, f"{path}.holidays[{i}]")
    holidays = bool(tariff.holidays)
    if tariff.energy is not None:
        _energy(tariff.energy, f"{path}.energy", holidays)
    if tariff.flat_demand is not None:
        _flat(tariff.flat_demand, f"{path}.flat_demand")
    if tariff.tou_demand is not None:
        _tou(tariff.tou_demand, f"{path}.tou_demand", holidays, tariff.demand_window_min)
    _window(tariff, path)
    for i, fixed in enumerate(tariff.fixed):
        plain_decimal(fixed.amount, f"{path}.fixed[{i}].amount")
    yearly = [minimum.per is Per.YEAR for minimum in tariff.minimums]
    for i, minimum in enumerate(tariff.minimums):
        plain_decimal(minimum.amount, f"{path}.minimums[{i}].amount", negative=False)
        if yearly[i] in yearly[:i]:
            expected = "one minimum for the month and one for the year at most"
            raise BadInput(f"{path}.minimums[{i}].per", minimum.per.value, expected)


def zone_of(name: object, path: str) -> ZoneInfo:
    """The IANA zone of that name; raises BadInput."""
    zone = zone_named(name) if isinstance(name, str) else None
    if zone is not None:
        return zone
    raise BadInput(path, name, "an IANA time zone such as America/Los_Angeles")


def check_tiers(tiers: tuple[tuple[str | None, str], ...]) -> None:
    """Raises BadInput unless the ceilings, each with its path, rise and only the last is None."""
    low = Fraction(0)
    for i, (ceiling, path) in enumerate(tiers):
        last = i == len(tiers) - 1
        if ceiling is None and not last:
            raise BadInput(path, None, "the cumulative ceiling of a tier that has another above")
        if ceiling is not None:
            if last:
                raise BadInput(path, ceiling, "no ceiling on the last tier")
            if Fraction(plain_decimal(ceiling, path)) <= low:
                raise BadInput(path, ceiling, f"more than {low}: ceilings are cumulative")
            low = Fraction(ceiling)


def _energy(charge: EnergyCharge, path: str, holidays: bool) -> None:
    names = _periods(charge.periods, path)
    _schedule(charge.schedule, f"{path}.schedule", names, holidays)
    if charge.needs_scope and charge.tier_scope is None:
        expected = "month_total_prorata or per_period: several tiers meet several periods"
        raise BadInput(f"{path}.tier_scope", None, expected)


def _flat(charge: FlatDemand, path: str) -> None:
    names = _periods(charge.periods, path)
    if len(charge.months) != 12:
        raise BadInput(f"{path}.months", list(charge.months), "12 periods, January first")
    for i, name in enumerate(charge.months):
        _known(name, f"{path}.months[{i}]", names)


def _tou(charge: TouDemand, path: str, holidays: bool, window_min: int | None) -> None:
    names = _periods(charge.periods, path)
    _schedule(charge.schedule, f"{path}.schedule", names, holidays)
    for i, season in enumerate(charge.schedule.seasons):
        for j, rule in enumerate(season.day_rules):
            for k, slot in enumerate(rule.slots):
                if window_min and minutes_of(slot.start) % window_min:
                    at = f"{path}.schedule.seasons[{i}].day_rules[{j}].slots[{k}].start"
                    raise BadInput(at, slot.start, f"a multiple of the {window_min} min window")


def _window(tariff: UtilityTariff, path: str) -> None:
    minutes = tariff.demand_window_min
    demand = tariff.flat_demand is not None or tariff.tou_demand is not None
    if (minutes is None and demand) or (
        minutes is not None and (not 1 <= minutes <= 60 or 60 % minutes)
    ):
        expected = "the minutes demand is averaged over, a divisor of 60 such as 15"
        raise BadInput(f"{path}.demand_window_min", minutes, expected)


def _periods(periods: tuple[RatePeriod, ...], path: str) -> tuple[str, ...]:
    if not periods:
        raise BadInput(f"{path}.periods", [], "at least one period")
    names: list[str] = []
    for i, period in enumerate(periods):
        at = f"{path}.periods[{i}]"
        if not period.name.strip() or period.name in names:
            raise BadInput(f"{at}.name", period.name, "a name of its own")
        names.append(period.name)
        if not period.tiers:
            raise BadInput(f"{at}.tiers", [], "at least one tier")
        for j, tier in enumerate(period.tiers):
            plain_decimal(tier.rate, f"{at}.tiers[{j}].rate")
            plain_decimal(tier.adj, f"{at}.tiers[{j}].adj")
        check_tiers(
            tuple((t.ceiling, f"{at}.tiers[{j}].ceiling") for j, t in enumerate(period.tiers))
        )
    return tuple(names)


def _schedule(schedule: Schedule, path: str, names: tuple[str, ...], holidays: bool) -> None:
    times: dict[tuple[int, int], int] = dict.fromkeys(calendar_days("01-01", "12-31"), 0)
    for i, season in enumerate(schedule.seasons):
        at = f"{path}.seasons[{i}]"
        for key, text in (("first_day", season.first_day), ("last_day", season.last_day)):
            _year_day(text, f"{at}.{key}")
        for day in calendar_days(season.first_day, season.last_day):
            times[day] += 1
        _day_rules(season, at, names, holidays)
    for (month, number), count in times.items():
        if count != 1:
            expected = f"each day of the year in one season: this one is in {count}"
            raise BadInput(f"{path}.seasons", f"{month:02d}-{number:02d}", expected)


def _day_rules(season: Season, path: str, names: tuple[str, ...], holidays: bool) -> None:
    at = f"{path}.day_rules"
    for day in Day:
        count = sum(rule.days.count(day) for rule in season.day_rules)
        if count != 1:
            raise BadInput(at, day.value, f"each weekday in one rule: this one is in {count}")
    count = sum(rule.holidays for rule in season.day_rules)
    if count > 1 or (holidays and count == 0):
        raise BadInput(at, "holidays", f"one rule for the holidays: they are in {count}")
    for i, rule in enumerate(season.day_rules):
        _slots(rule, f"{at}[{i}].slots", names)


def _slots(rule: DayRule, path: str, names: tuple[str, ...]) -> None:
    due = 0
    for i, slot in enumerate(rule.slots):
        at = f"{path}[{i}]"
        for key, text in (("start", slot.start), ("end", slot.end)):
            if not _TIME.fullmatch(text):
                raise BadInput(f"{at}.{key}", text, "a local time from '00:00' to '24:00'")
        _known(slot.period, f"{at}.period", names)
        if minutes_of(slot.start) != due:
            expected = f"{_hours(due)}, where the day or the slot before leaves off"
            raise BadInput(f"{at}.start", slot.start, f"{expected}: no gap and no overlap")
        due = _later(slot, at)
    if due != DAY_MINUTES:
        got = rule.slots[-1].end if rule.slots else None
        raise BadInput(path, got, "slots that reach from 00:00 to 24:00")


def _later(slot: Slot, path: str) -> int:
    end = minutes_of(slot.end)
    if end <= minutes_of(slot.start):
        expected = f"a time after {slot.start}: a slot over midnight is two"
        raise BadInput(f"{path}.end", slot.end, expected)
    return end


def _hours(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _known(name: str, path: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise BadInput(path, name, "one of the periods " + ", ".join(names))


def _year_day(text: str, path: str) -> None:
    # 2024 has a 29 February, as a schedule has.
    if not _YEAR_DAY.fullmatch(text) or not _is_date(f"2024-{text}"):
        raise BadInput(path, text, "a day of the year such as '06-01'")


def _date(text: str, path: str) -> None:
    if not _DATE.fullmatch(text) or not _is_date(text):
        raise BadInput(path, text, "a date such as '2026-07-04'")


def _is_date(text: str) -> bool:
    with suppress(ValueError):
        date.fromisoformat(text)
        return True
    return False


def _told(message: str, raw: object, path: str) -> BadInput:
    """What the decoder says, with our path and the value that came."""
    match = _AT.match(message)
    what, at = (match["what"], match["at"] or "$") if match else (message, "$")
    value: object = raw
    for key, index in _STEP.findall(at):
        if isinstance(value, Mapping) and key:
            value = value.get(key)
        elif isinstance(value, list | tuple) and index:
            value = value[int(index)]
    field = _FIELD.search(what)
    if field:
        at = f"{at}.{field[2]}"
        value = value.get(field[2]) if isinstance(value, Mapping) else value
    return BadInput(path + at.removeprefix("$"), value, f"another value ({what})")

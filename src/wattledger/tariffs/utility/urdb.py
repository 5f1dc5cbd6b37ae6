"""Utility tariffs out of the U.S. Utility Rate Database (OpenEI URDB), versions 3 to 8 of its API.

A number with a fraction is never a float here: give the text of the file, or what
``wattledger.wire.numbers.decode_json`` made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

import msgspec

from wattledger.errors import BadInput
from wattledger.tariffs.model import Day
from wattledger.tariffs.utility.exact import plain_decimal
from wattledger.tariffs.utility.model import (
    DayCount,
    DayRule,
    EnergyCharge,
    FixedCharge,
    FlatDemand,
    MinimumCharge,
    Per,
    RatePeriod,
    Remark,
    Schedule,
    Season,
    Slot,
    Tier,
    TierScope,
    TouDemand,
    UtilityTariff,
)
from wattledger.tariffs.utility.reader import check_tiers, check_utility_tariff, zone_of
from wattledger.tariffs.utility.schedule import moment_of
from wattledger.tariffs.utility.urdb_fields import remarks_on_fields
from wattledger.wire.numbers import decode_json, parse_time

_UNITS = {"$/month": Per.MONTH, "$/day": Per.DAY, "$/year": Per.YEAR}
_LAST_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAYS = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY)
_WEEKEND = (Day.SATURDAY, Day.SUNDAY)
# 1900 to 2200, in seconds since 1970.
_DATE_S = range(-2_208_988_800, 7_258_118_400)


class UrdbRate(msgspec.Struct, frozen=True):
    """A record as a tariff, when it was in force by its own word, and what is not billed of it."""

    tariff: UtilityTariff
    valid_from: datetime | None
    valid_to: datetime | None
    remarks: tuple[Remark, ...]


def read_urdb(
    raw: bytes | str | Mapping[str, object] | Sequence[Mapping[str, object]],
    *,
    time_zone: str,
    tier_scope: TierScope | None = None,
    demand_window_min: int | None = None,
    holidays: Sequence[str] = (),
    day_count: DayCount = DayCount.ACTUAL,
    currency: str | None = None,
    label: str | None = None,
) -> UrdbRate:
    """One rate, bare, in a list, or in the wrapper ``{"items": [...]}``.

    ``label`` picks one of several.

    URDB leaves open, and the caller says: the site's IANA ``time_zone``; ``tier_scope``,
    required where several tiers meet several periods; ``demand_window_min``, required where
    there is a demand charge and no ``demandwindow``; ``holidays`` ('YYYY-MM-DD', treated as
    weekend); ``day_count`` for amounts per day; ``currency`` for a rate from outside the USA.

    Raises BadInput with the path of the first field that is wrong, or that would change the
    bill and is not supported: coincident demand, ratchets, reactive power, other units than kWh
    and kW. What is not billed and need not be stands in ``remarks``.
    """
    record, path = _record(raw, label)
    remarks = list(remarks_on_fields(record, path))
    reader = _Reader(record, path, remarks)
    zone_of(time_zone, "time_zone")
    window = reader.window(demand_window_min)
    tariff = UtilityTariff(
        id=reader.text("label", "urdb"),
        name=reader.text("name", reader.text("label", "URDB rate")),
        currency=reader.currency(currency),
        time_zone=time_zone,
        energy=reader.energy(tier_scope, bool(holidays)),
        flat_demand=reader.flat_demand(),
        tou_demand=reader.tou_demand(bool(holidays)),
        demand_window_min=window,
        fixed=reader.fixed(),
        minimums=reader.minimums(),
        holidays=tuple(holidays),
        day_count=day_count,
    )
    if window is None and (tariff.flat_demand is not None or tariff.tou_demand is not None):
        expected = "demand_window_min: the record does not say over how many minutes"
        raise BadInput(f"{path}.demandwindow", None, expected)
    check_utility_tariff(tariff, "urdb")
    return UrdbRate(tariff, reader.day("startdate"), reader.day("enddate"), tuple(remarks))


def _record(
    raw: bytes | str | Mapping[str, object] | Sequence[object], label: str | None
) -> tuple[Mapping[str, object], str]:
    value = decode_json(raw, "$") if isinstance(raw, bytes | str) else raw
    if isinstance(value, Mapping) and "items" not in value:
        return value, "$"
    path, items = ("$.items", value["items"]) if isinstance(value, Mapping) else ("$", value)
    if not isinstance(items, list):
        raise BadInput(path, items, "a URDB record, or a list of them ({'items': [...]})")
    for i, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise BadInput(f"{path}[{i}]", item, "a URDB record")
    fitting = [i for i, item in enumerate(items) if label is None or item.get("label") == label]
    if len(fitting) != 1:
        labels = [item.get("label") for item in items]
        raise BadInput(path, labels, "one record; name its label where there are several")
    return items[fitting[0]], f"{path}[{fitting[0]}]"


class _Reader:
    """One record, field by field."""

    def __init__(self, record: Mapping[str, object], path: str, remarks: list[Remark]) -> None:
        self.record, self.path, self.remarks = record, path, remarks

    def at(self, key: str) -> str:
        return f"{self.path}.{key}"

    def has(self, key: str) -> bool:
        """Whether the field is there and not null, empty text or an empty list."""
        return self.record.get(key) not in (None, "", [])

    def text(self, key: str, default: str) -> str:
        value = self.record.get(key)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            raise BadInput(self.at(key), value, "a text")
        return value

    def amount(self, key: str) -> str | None:
        """A decimal; None where there is none, or it is zero."""
        if not self.has(key):
            return None
        text = plain_decimal(self.record[key], self.at(key), negative=False)
        return text if Fraction(text) else None

    def currency(self, given: str | None) -> str:
        country = self.text("country", "USA")
        if given is None and country not in ("USA", "US", "United States"):
            raise BadInput(self.at("country"), country, "USA, or the currency as an argument")
        return given or "USD"

    def day(self, key: str) -> datetime | None:
        if not self.has(key):
            return None
        value = self.record[key]
        if isinstance(value, str):
            return parse_time(value, self.at(key))
        if isinstance(value, bool) or not isinstance(value, int) or value not in _DATE_S:
            raise BadInput(self.at(key), value, "whole seconds since 1970")
        return moment_of(0) + timedelta(seconds=value)

    def window(self, given: int | None) -> int | None:
        if not self.has("demandwindow"):
            return given
        text = plain_decimal(self.record["demandwindow"], self.at("demandwindow"))
        minutes = Fraction(text)
        if minutes.denominator != 1 or not 1 <= minutes <= 60 or 60 % int(minutes):
            raise BadInput(self.at("demandwindow"), text, "minutes, a divisor of 60")
        if given is not None and given != minutes:
            raise BadInput("demand_window_min", given, f"{minutes}, as the record's demandwindow")
        return int(minutes)

    def energy(self, tier_scope: TierScope | None, holidays: bool) -> EnergyCharge | None:
        key = "energyratestructure"
        if not self.has(key):
            self.remarks.append(Remark(self.at(key), "no charge for energy in this record"))
            return None
        periods = self.structure(key, "kWh")
        charge = EnergyCharge(periods, self.schedule("energy", len(periods), holidays), tier_scope)
        if charge.needs_scope and tier_scope is None:
            expected = (
                "the argument tier_scope (month_total_prorata or per_period): "
                "several tiers meet several periods, and URDB does not say which energy fills them"
            )
            raise BadInput(self.at(key), None, expected)
        return charge

    def flat_demand(self) -> FlatDemand | None:
        key = "flatdemandstructure"
        if not self.has(key):
            return None
        self.kilowatts("flatdemandunit")
        periods = self.structure(key, "kW")
        months = self.indices(
            self.record.get("flatdemandmonths"), self.at("flatdemandmonths"), 12, len(periods)
        )
        return FlatDemand(periods, tuple(periods[n].name for n in months))

    def tou_demand(self, holidays: bool) -> TouDemand | None:
        key = "demandratestructure"
        if not self.has(key):
            return None
        self.kilowatts("demandrateunit")
        periods = self.structure(key, "kW")
        return TouDemand(periods, self.schedule("demand", len(periods), holidays))

    def kilowatts(self, key: str) -> None:
        value = self.text(key, "")
        if value == "":
            self.remarks.append(Remark(self.at(key), "no unit given: taken as kW"))
        elif value != "kW":
            raise BadInput(self.at(key), value, "kW: no other unit of demand is supported")
        if key == "demandrateunit" and self.text("demandunits", "kW") != "kW":
            raise BadInput(self.at("demandunits"), self.record["demandunits"], "kW")

    def structure(self, key: str, unit: str) -> tuple[RatePeriod, ...]:
        raw, path = self.record[key], self.at(key)
        if not isinstance(raw, list):
            raise BadInput(path, raw, "a list of periods")
        found: list[RatePeriod] = []
        for i, tiers in enumerate(raw):
            if not isinstance(tiers, list) or not tiers:
                raise BadInput(f"{path}[{i}]", tiers, "a list of tiers")
            read = tuple(self.tier(t, f"{path}[{i}][{j}]", unit) for j, t in enumerate(tiers))
            if read[-1].ceiling is not None:
                at = f"{path}[{i}][{len(read) - 1}].max"
                self.remarks.append(Remark(at, "the last tier's ceiling: what is above costs it"))
                read = (*read[:-1], msgspec.structs.replace(read[-1], ceiling=None))
            check_tiers(tuple((t.ceiling, f"{path}[{i}][{j}].max") for j, t in enumerate(read)))
            found.append(RatePeriod(f"period {i}", read))
        return tuple(found)

    def tier(self, raw: object, path: str, unit: str) -> Tier:
        if not isinstance(raw, Mapping):
            raise BadInput(path, raw, "a tier {rate, adj, max, unit}")
        given = {key: value for key, value in raw.items() if value not in (None, "")}
        if "rate" not in given and "adj" not in given:
            raise BadInput(f"{path}.rate", None, "a rate")
        if unit == "kWh" and "unit" not in given:
            self.remarks.append(Remark(f"{path}.unit", "no unit given: taken as kWh"))
        elif given.get("unit", unit) != unit:
            raise BadInput(f"{path}.unit", given["unit"], f"{unit}: no other is supported")
        for key, value in given.items():
            if key == "sell":
                if not Fraction(plain_decimal(value, f"{path}.sell")):
                    continue
                self.remarks.append(Remark(f"{path}.sell", "energy that is fed in is not billed"))
            elif key not in ("rate", "adj", "max", "unit"):
                self.remarks.append(Remark(f"{path}.{key}", "not known, and not used"))
        return Tier(
            rate=plain_decimal(given.get("rate", 0), f"{path}.rate"),
            adj=plain_decimal(given.get("adj", 0), f"{path}.adj"),
            ceiling=plain_decimal(given["max"], f"{path}.max") if "max" in given else None,
        )

    def schedule(self, kind: str, periods: int, holidays: bool) -> Schedule:
        """Twelve seasons of one month each."""
        halves = [self.matrix(f"{kind}{half}schedule", periods) for half in ("weekday", "weekend")]
        return Schedule(
            tuple(
                Season(
                    name=f"month {month}",
                    first_day=f"{month:02d}-01",
                    last_day=f"{month:02d}-{last:02d}",
                    day_rules=(
                        DayRule(_slots(weekday), _WEEKDAYS),
                        DayRule(_slots(weekend), _WEEKEND, holidays),
                    ),
                )
                for month, last, weekday, weekend in zip(
                    range(1, 13), _LAST_DAYS, *halves, strict=True
                )
            )
        )

    def matrix(self, key: str, periods: int) -> list[list[int]]:
        raw, path = self.record.get(key), self.at(key)
        if not isinstance(raw, list) or len(raw) != 12:
            raise BadInput(path, raw, "12 rows of 24 periods, January first")
        return [self.indices(row, f"{path}[{i}]", 24, periods) for i, row in enumerate(raw)]

    def indices(self, raw: object, path: str, count: int, periods: int) -> list[int]:
        if not isinstance(raw, list) or len(raw) != count:
            raise BadInput(path, raw, f"{count} period numbers")
        for i, value in enumerate(raw):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < periods:
                raise BadInput(f"{path}[{i}]", value, f"a period from 0 to {periods - 1}")
        return raw

    def fixed(self) -> tuple[FixedCharge, ...]:
        new, old = self.amount("fixedchargefirstmeter"), self.amount("fixedmonthlycharge")
        if new is not None and old is not None:
            expected = "one of fixedchargefirstmeter and fixedmonthlycharge"
            raise BadInput(self.at("fixedmonthlycharge"), old, expected)
        if old is not None:
            return (FixedCharge("fixed charge", old, Per.MONTH),)
        if new is not None:
            return (FixedCharge("fixed charge", new, self.per("fixedchargeunits")),)
        return ()

    def minimums(self) -> tuple[MinimumCharge, ...]:
        found = {}
        new = self.amount("mincharge")
        if new is not None:
            found["mincharge"] = MinimumCharge(new, self.per("minchargeunits"))
        for key, per in (("minmonthlycharge", Per.MONTH), ("annualmincharge", Per.YEAR)):
            amount = self.amount(key)
            if amount is not None:
                if any((m.per is Per.YEAR) == (per is Per.YEAR) for m in found.values()):
                    raise BadInput(self.at(key), amount, f"one of mincharge and {key}")
                found[key] = MinimumCharge(amount, per)
        return tuple(found.values())

    def per(self, key: str) -> Per:
        value = self.record.get(key)
        if not isinstance(value, str) or value not in _UNITS:
            raise BadInput(self.at(key), value, "$/month, $/day or $/year")
        return _UNITS[value]


def _slots(hours: Sequence[int]) -> tuple[Slot, ...]:
    """The 24 hours of a day, neighbours of one period together."""
    starts = [hour for hour in range(24) if hour == 0 or hours[hour] != hours[hour - 1]]
    return tuple(
        Slot(f"{start:02d}:00", f"{end:02d}:00", f"period {hours[start]}")
        for start, end in zip(starts, [*starts[1:], 24], strict=True)
    )

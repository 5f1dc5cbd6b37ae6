"""Small utility tariffs and loads for the tests of what energy costs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from wattledger.tariffs import Day
from wattledger.tariffs.utility import (
    DayRule,
    EnergyCharge,
    LoadInterval,
    PriceInterval,
    PriceSeries,
    RatePeriod,
    Schedule,
    Season,
    Slot,
    Tier,
    UtilityTariff,
)


def at(text: str) -> datetime:
    """``2026-07-01 15:30`` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def drawn(from_text: str, to_text: str, energy_wh: int) -> LoadInterval:
    return LoadInterval(at(from_text), at(to_text), energy_wh)


def hourly(first: datetime, hours: int, wh: int = 1000) -> list[LoadInterval]:
    """Constant power."""
    return [
        LoadInterval(first + timedelta(hours=h), first + timedelta(hours=h + 1), wh)
        for h in range(hours)
    ]


def every_day(*slots: tuple[str, str, str]) -> Schedule:
    """One season, the same slots on every day."""
    rule = DayRule(tuple(Slot(*slot) for slot in slots), tuple(Day), holidays=True)
    return Schedule((Season("year", "01-01", "12-31", (rule,)),))


def flat(name: str, rate: str) -> RatePeriod:
    return RatePeriod(name, (Tier(rate),))


def by_time(zone: str = "UTC", *, split: str = "06:00", **more: Any) -> UtilityTariff:
    """0.10 per kWh from midnight to ``split``, 0.30 after it."""
    return UtilityTariff(
        id="t",
        name="By time",
        currency="USD",
        time_zone=zone,
        energy=EnergyCharge(
            (flat("night", "0.10"), flat("day", "0.30")),
            every_day(("00:00", split, "night"), (split, "24:00", "day")),
        ),
        **more,
    )


def bare(**more: Any) -> UtilityTariff:
    """Without any charge for energy."""
    return UtilityTariff(id="t", name="Bare", currency="USD", time_zone="UTC", **more)


def series(*rows: tuple[str, str, str], currency: str = "USD") -> PriceSeries:
    return PriceSeries(
        currency,
        tuple(PriceInterval(at(start), at(end), Fraction(price)) for start, end, price in rows),
    )


def urdb(**changes: Any) -> dict[str, Any]:
    """A rate with peak from 16 to 21 on weekdays, flat demand and a fixed charge."""
    weekday = [0] * 16 + [1] * 5 + [0] * 3
    record: dict[str, Any] = {
        "label": "5f0000000000000000000001",
        "utility": "A Utility",
        "name": "TOU-1",
        "sector": "Commercial",
        "energyratestructure": [
            [{"unit": "kWh", "rate": "0.10", "adj": "0.02"}],
            [{"unit": "kWh", "rate": "0.40"}],
        ],
        "energyweekdayschedule": [weekday] * 12,
        "energyweekendschedule": [[0] * 24] * 12,
        "flatdemandunit": "kW",
        "flatdemandstructure": [[{"rate": 5}], [{"rate": 8}]],
        "flatdemandmonths": [0] * 5 + [1] * 4 + [0] * 3,
        "demandwindow": 15,
        "fixedchargefirstmeter": "12.50",
        "fixedchargeunits": "$/month",
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not ...}


# The load against which NREL's SAM was run: kW by the hour of the day.
SAM_BASE_KW: Sequence[int] = (
    5, 3, 2, 2, 2, 4, 8, 15, 25, 30, 32, 35, 40, 42, 45, 50, 60, 75, 80, 65, 40, 25, 15, 8,
)  # fmt: skip


def sam_load() -> list[LoadInterval]:
    """8760 hours from a Monday, 1 January, without a change of the clocks: 2018 in UTC."""
    start = at("2018-01-01 00:00")
    return [
        LoadInterval(
            start + timedelta(hours=h),
            start + timedelta(hours=h + 1),
            1000 * (SAM_BASE_KW[h % 24] + 2 * (h // 24 % 7) + (10 if 150 <= h // 24 < 240 else 0)),
        )
        for h in range(8760)
    ]

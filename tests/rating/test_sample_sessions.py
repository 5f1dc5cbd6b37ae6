"""A week of real sessions under four tariffs, each against arithmetic of its own.

The sample has plug-in, plug-out and energy. The rest is derived: 6.6 kW (150 kW DC), or the
lowest power that fits the stay, until the energy is delivered, then idle until the plug-out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rating_samples import charging, element, energy, flat, idle
from record_samples import component, ocpi_tariff, part, sums

from wattledger.rating import Charge, Discount, Draw, Tax, Terms, decode, encode, price
from wattledger.sessions.model import Delivery, Reading
from wattledger.tariffs import Dimension, Tariff, read_tariff
from wattledger.tariffs.ocpi import read_ocpi
from wattledger.wire import exact

SAMPLE = Path(__file__).parents[2] / "examples" / "sample_sessions.csv"
ZONE = "America/Los_Angeles"


@dataclass(frozen=True)
class Stay:
    """In whole seconds."""

    delivery: Delivery
    charged_s: int
    idle_s: int
    wh: int

    def register(self, second: int) -> int:
        """On the line between the two readings, rounded down."""
        return self.wh * min(second, self.charged_s) // self.charged_s


@cache
def stays() -> tuple[Stay, ...]:
    with SAMPLE.open(encoding="utf-8") as file:
        return tuple(read(i, row) for i, row in enumerate(csv.DictReader(file)))


def read(i: int, row: dict[str, str]) -> Stay:
    start, end = (datetime.fromisoformat(row[key]).astimezone(UTC)
                  for key in ("arrival", "departure"))  # fmt: skip
    wh = int(row["delivered_wh"])
    stay_s = (end - start) // timedelta(seconds=1)
    charged_s = min(-(-wh * 3600 // (150_000 if row["made_up"] == "true" else 6_600)), stay_s)
    stop = start + timedelta(seconds=charged_s)
    delivery = Delivery(
        session_id=f"ses_{i}", time_zone=ZONE, started_at=start, ended_at=end,
        readings=(Reading(start, 1_000), Reading(stop, 1_000 + wh)), changes=(),
    )  # fmt: skip
    return Stay(delivery, charged_s, stay_s - charged_s, wh)


def native(*elements: dict[str, object], **head: Any) -> Tariff:
    return read_tariff({"id": "t", "currency": "USD", "elements": list(elements), **head}, "$")


# --- Four tariffs, and what each comes to, in the smallest unit before tax --------------------

PER_KWH = native(
    element("", energy("0.35"), flat("0.50")),
    element("", idle("0.40"), min_idle_s=600),
    caps=[{"dimension": "idle_time", "amount": "12"}],
)


def per_kwh(stay: Stay) -> Fraction:
    """0.50 + 0.35 a kWh; idle at 0.40 a minute after ten, at most 12.00."""
    idle_ = min(Fraction(1200), Fraction(max(0, stay.idle_s - 600) * 40, 60))
    return 50 + Fraction(stay.wh * 35, 1000) + idle_


PER_MINUTE = native(element("", charging("0.05", step=60)), policies={"idle_after_stop": False})
EXCISE = Terms(taxes=(Tax("Excise", per_kwh="0.026"),))


def per_minute(stay: Stay) -> Fraction:
    """Begun minutes at 0.05."""
    return Fraction(-(-stay.charged_s // 60) * 5)


BY_TIME = native(
    element("", energy("0.52"), start_time="16:00", end_time="21:00",
            days=["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]),
    element("", energy("0.28"), start_time="08:00", end_time="16:00"),
    element("", energy("0.19")),
)  # fmt: skip
MEMBER = Terms(
    taxes=(Tax("Sales tax", "9.5"),),
    discounts=(Discount("25", (Dimension.ENERGY,)),),
    draws=(Draw(Dimension.ENERGY, 10_000, "10 kWh a day"),),
    plan="Members",
)


def by_time(stay: Stay) -> Fraction:
    """Peak, day and night, hour by hour; ten kWh are given, and a quarter off the rest."""
    left, sum_ = 10_000, Fraction(0)
    for since, until, wall in hours(stay):
        wh = stay.register(until) - stay.register(since)
        given = min(left, wh)
        left -= given
        price_ = 19
        if 16 <= wall.hour < 21 and wall.weekday() < 5:
            price_ = 52
        elif 8 <= wall.hour < 16:
            price_ = 28
        sum_ += Fraction((wh - given) * price_ * 75, 1000 * 100)
    return sum_


def hours(stay: Stay) -> Iterator[tuple[int, int, datetime]]:
    """Seconds from one full hour to the next, with the local time. Only at 8, 16, 21 and midnight
    is the register read, as there only a price changes."""
    start, zone = stay.delivery.started_at, ZoneInfo(ZONE)
    whole = (stay.delivery.ended_at - start) // timedelta(seconds=1)
    since = 0
    while since < whole:
        wall = (start + timedelta(seconds=since)).astimezone(zone)
        until = since
        while True:
            at = (start + timedelta(seconds=until)).astimezone(zone)
            until += 3600 - at.minute * 60 - at.second
            if until >= whole or (start + timedelta(seconds=until)).astimezone(zone).hour in (
                0, 8, 16, 21,
            ):  # fmt: skip
                break
        yield since, min(until, whole), wall
        since = until


BY_OCPI, _ = read_ocpi(
    exact.dump(
        ocpi_tariff(
            part(component("TIME", "2.40", 900, "20"), component("PARKING_TIME", "0.60", 1800)),
            part(component("ENERGY", "0.20", 500, "10")),
            currency="USD",
            min_price={"excl_vat": 2, "incl_vat": 2},
            max_price={"excl_vat": 20, "incl_vat": 22},
        )
    )
)


def by_ocpi(stay: Stay) -> Fraction:
    """Half kWh at 0.20; half hours idle at 0.60 an hour, or quarters charging at 2.40; 2 to 20."""
    sum_ = Fraction(-(-stay.wh // 500) * 500 * 20, 1000)
    charged = stay.charged_s if stay.idle_s else -(-stay.charged_s // 900) * 900
    sum_ += Fraction(charged * 240, 3600) + Fraction(-(-stay.idle_s // 1800) * 30)
    return min(max(sum_, Fraction(200)), Fraction(2000))


TARIFFS = {
    "per kWh": (PER_KWH, Terms.simple("Sales tax", "9.5"), per_kwh),
    "per minute": (PER_MINUTE, EXCISE, per_minute),
    "by time": (BY_TIME, MEMBER, by_time),
    "OCPI": (BY_OCPI, Terms(), by_ocpi),
}


@pytest.mark.parametrize("name", TARIFFS)
def test_a_week(name: str) -> None:
    tariff, terms, net = TARIFFS[name]
    assert len(stays()) == 599
    for stay in stays():
        charge = price(stay.delivery, tariff, terms)
        check(charge, stay)
        before, _, whole = (int(part_) for part_ in charge.exact)
        assert Fraction(before * 100, whole) == net(stay), stay.delivery.session_id
        assert charge.net_minor == (2 * net(stay) + 1) // 2
        if name == "per minute":
            assert charge.tax_minor == (2 * Fraction(stay.wh * 26, 10_000) + 1) // 2


def check(charge: Charge, stay: Stay) -> None:
    sums(charge)
    assert charge.energy_wh == stay.wh
    assert (charge.charging_s, charge.idle_s) == (stay.charged_s, stay.idle_s)
    assert sum(period.energy for period in charge.periods) == stay.wh
    assert decode(encode(charge)) == charge
    assert charge.net_minor >= 0
    assert charge.tax_minor >= 0

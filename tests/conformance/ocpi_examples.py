"""The worked examples of the OCPI specification, each with the edition whose figures it has.

Times are of one day in UTC, minutes are minutes. ``before`` and ``after`` are exact, before and
after taxes; None where the example can't know them. ``printed`` is what the text prints, where
that is the rounded amount. ``billed`` are the quantities that the text (or the arithmetic under
``note``) bills, in Wh and seconds, by the kind of line, in the order of the bill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

SINCE_22 = "2.2 to 2.3.0-ed2"
WEEK = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]


@dataclass(frozen=True)
class Period:
    """What a charging period lists. ``hours`` are the text's own, where it prints them."""

    start: str
    kwh: str | None = None
    charging: int | None = None
    parked: int | None = None
    reserved: int | None = None
    amps: int | None = None
    kw: int | None = None
    hours: str | None = None


@dataclass(frozen=True)
class Example:
    id: str
    source: str
    edition: str
    elements: list[dict[str, Any]]
    periods: list[Period]
    end: str
    before: str | None
    after: str | None
    printed: tuple[str | None, str | None] = (None, None)
    billed: dict[str, list[str]] = field(default_factory=dict)
    note: str = ""
    head: dict[str, Any] = field(default_factory=dict)
    day: str = "2019-03-04"  # a Monday
    currency: str = "EUR"

    def at(self, clock: str) -> datetime:
        return datetime.fromisoformat(f"{self.day}T{clock}Z")

    def bounds(self) -> list[tuple[Period, datetime, datetime]]:
        """Every period with its start and its end."""
        starts = [self.at(period.start) for period in self.periods]
        ends = [*starts[1:], self.at(self.end)]
        return list(zip(self.periods, starts, ends, strict=True))

    def tariff(self) -> dict[str, Any]:
        """As OCPI 2.2.1 has it (2.3.0 where it says whether prices have their tax in them)."""
        return {
            "country_code": "DE", "party_id": "ALL", "id": self.id, "currency": self.currency,
            **self.head, "elements": self.elements, "last_updated": "2018-12-17T11:16:55Z",
        }  # fmt: skip

    def cdr(self, tariff: dict[str, Any], *, places: int) -> dict[str, Any]:
        """As OCPI 2.2.1 has it, hours with so many places. Iceland has one time, which is UTC."""
        return {
            "id": self.id, "country_code": "DE", "party_id": "ALL",
            "start_date_time": self.at(self.periods[0].start), "end_date_time": self.at(self.end),
            "currency": self.currency, "tariffs": [tariff], "cdr_location": {"country": "ISL"},
            "charging_periods": [
                {
                    "start_date_time": start,
                    "dimensions": _dimensions(period, places),
                    "tariff_id": self.id,
                }
                for period, start, _ in self.bounds()
            ],
            "last_updated": "2022-01-01T00:00:00Z",
        }  # fmt: skip

    def session(self) -> dict[str, Any]:
        """The same as a meter would have it: registers, measurements, states."""
        readings: list[dict[str, Any]] = []
        states, reservation = [], None
        register, used = Decimal(0), [each for each in self.bounds() if each[0].reserved is None]
        for period, start, end in self.bounds():
            if period.reserved is not None:
                reservation = {"from": start, "to": end, "expired": not used}
                continue
            state = "charging" if period.parked is None else "suspended_ev"
            states.append({"at": start, "state": state})
            reading: dict[str, Any] = {"at": start, "energy_wh": register}
            if period.amps is not None:
                reading["current_a"] = period.amps
            if period.kw is not None:
                reading["power_w"] = period.kw * 1000
            readings.append(reading)
            register += Decimal(period.kwh or 0) * 1000
        end = self.at(self.end)
        if readings:
            readings.append({"at": end, "energy_wh": register})
        return {
            "session_id": self.id, "location": {"time_zone": "UTC"},
            "started_at": used[0][1] if used else end, "ended_at": end, "readings": readings,
            "states": states, "reservation": reservation,
        }  # fmt: skip


def _dimensions(period: Period, places: int) -> list[dict[str, Any]]:
    found = []
    if period.kwh is not None:
        found.append({"type": "ENERGY", "volume": Decimal(period.kwh)})
    for kind, minutes in (
        ("TIME", period.charging),
        ("PARKING_TIME", period.parked),
        ("RESERVATION_TIME", period.reserved),
    ):
        if minutes is not None:
            hours = Decimal(period.hours or minutes) / (1 if period.hours else 60)
            found.append({"type": kind, "volume": round(hours, places)})
    for kind, value in (("CURRENT", period.amps), ("POWER", period.kw)):
        if value is not None:
            found += [{"type": f"MIN_{kind}", "volume": value},
                      {"type": f"MAX_{kind}", "volume": value}]  # fmt: skip
    return found


def el(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"price_components": list(components)}
    return made | ({"restrictions": restrictions} if restrictions else {})


def _component(kind: str, price: str, vat: str | None, step: int) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind, "price": Decimal(price), "step_size": step}
    return made if vat is None else made | {"vat": Decimal(vat)}


def energy(price: str, vat: str | None = None, step: int = 1) -> dict[str, Any]:
    return _component("ENERGY", price, vat, step)


def time(price: str, vat: str | None = None, step: int = 1) -> dict[str, Any]:
    return _component("TIME", price, vat, step)


def parking(price: str, vat: str | None = None, step: int = 1) -> dict[str, Any]:
    return _component("PARKING_TIME", price, vat, step)


def flat(price: str, vat: str | None = None, step: int = 1) -> dict[str, Any]:
    return _component("FLAT", price, vat, step)


def both(excl: str, incl: str) -> dict[str, Decimal]:
    return {"excl_vat": Decimal(excl), "incl_vat": Decimal(incl)}


def minutes(*values: int) -> list[str]:
    return [str(60 * value) for value in values]


START_AND_ENERGY = [el(flat("0.50", "20"), energy("0.25", "10"))]
MAX_10 = {"max_price": both("10.00", "11.00"), "end_date_time": "2019-06-30T23:59:59Z"}
MIN_050 = {"min_price": both("0.50", "0.55")}
COMPLEX = [
    el(flat("2.50", "15")),
    el(time("1.00", "20", 900), max_current=32),
    el(time("2.00", "20", 600), min_current=32, day_of_week=WEEK),
    el(time("1.25", "20", 600), min_current=32, day_of_week=["SATURDAY", "SUNDAY"]),
    el(parking("5.00", "10", 300), start_time="09:00", end_time="18:00", day_of_week=WEEK),
    el(parking("6.00", "10", 300), start_time="10:00", end_time="17:00", day_of_week=["SATURDAY"]),
]
RESERVE_USED = "RESERVATION"
RESERVE_EXPIRES = "RESERVATION_EXPIRES"
TARIFF_17 = [
    el(flat("4.00", "20"), reservation=RESERVE_EXPIRES),
    el(time("2.00", "20", 600), reservation=RESERVE_USED),
    *START_AND_ENERGY,
]
TARIFF_18 = [
    el(time("6.00", "20", 600), reservation=RESERVE_EXPIRES),
    el(time("3.00", "20", 600), reservation=RESERVE_USED),
    *START_AND_ENERGY,
]
TARIFF_14 = [
    el(time("1.20", step=1800), parking("1.00", step=900), start_time="00:00", end_time="17:00"),
    el(time("2.40", step=900), parking("1.00", step=900), start_time="17:00", end_time="20:00"),
    el(time("2.40", step=900), start_time="20:00", end_time="00:00"),
]

EXAMPLES = [
    Example(
        "S01", "mod_tariffs, simple tariff 0.25 a kWh", SINCE_22, [el(energy("0.25", "10"))],
        [Period("10:00", kwh="20")], "11:00", "5", "5.50", billed={"energy": ["20000"]},
    ),
    Example(
        "S02", "mod_tariffs, 0.25 a kWh and a start fee", SINCE_22, START_AND_ENERGY,
        [Period("10:00", kwh="20")], "11:00", "5.50", "6.10",
    ),
    Example(
        "S03", "mod_tariffs, minimum price, 20 kWh", SINCE_22, [el(energy("0.25", "10"))],
        [Period("10:00", kwh="20")], "11:00", "5", "5.50", head=MIN_050,
    ),
    Example(
        "S04", "mod_tariffs, minimum price, less than 2 kWh", SINCE_22,
        [el(energy("0.25", "10"))], [Period("10:00", kwh="1.2")], "11:00", "0.50", "0.55",
        head=MIN_050, note="1.2 x 0.25 = 0.30, below the minimum",
    ),
    Example(
        "S05", "mod_tariffs, start fee, energy, parking by the quarter hour", SINCE_22,
        [el(flat("0.50", "20"), energy("0.25", "10"), parking("2.00", "20", 900))],
        [Period("10:00", kwh="20"), Period("11:00", parked=40)], "11:40", "7", "7.90",
        billed={"idle_time": minutes(45)},
    ),
    Example(
        "S06", "mod_tariffs, maximum price, 50 kWh", SINCE_22, START_AND_ENERGY,
        [Period("10:00", kwh="50")], "11:00", "10", "11", head=MAX_10,
        note="0.50 + 12.50 = 13.00 is above it; 0.60 + 13.75 = 14.35 too",
    ),
    Example(
        "S07", "mod_tariffs, maximum price, 30 kWh", SINCE_22, START_AND_ENERGY,
        [Period("10:00", kwh="30")], "11:00", "8", "8.85", head=MAX_10,
    ),
    Example(
        "S08", "mod_tariffs, 2 an hour", SINCE_22, [el(time("2.00", "10", 60))],
        [Period("10:00", charging=150)], "12:30", "5", "5.50",
    ),
    Example(
        "S09", "mod_tariffs, CAD, tax not included", "2.3.0 to 2.3.0-ed2", [el(time("2.00"))],
        [Period("10:00", charging=150)], "12:30", "5", "5", currency="CAD",
        head={"tax_included": "NO"}, note="the tax is computed elsewhere and added: none here",
    ),
    Example(
        "S10", "mod_tariffs, CAD, tax included", "2.3.0 to 2.3.0-ed2", [el(time("2.10"))],
        [Period("10:00", charging=150)], "12:30", None, "5.25", currency="CAD",
        head={"tax_included": "YES"}, note="without a rate what is before tax is not known",
    ),
    Example(
        "S11", "mod_tariffs, 3 an hour and 5 an hour parked", SINCE_22,
        [el(time("3.00", "10", 60), parking("5.00", "20", 300))],
        [Period("10:00", charging=150), Period("12:30", parked=42)], "13:12", "11.25", "12.75",
        billed={"charging_time": minutes(150), "idle_time": minutes(45)},
    ),
    Example(
        "S12", "mod_tariffs, 1.90 an hour and 5.2 % VAT", SINCE_22, [el(time("1.90", "5.2", 300))],
        [Period("10:00", charging=150)], "12:30", "4.75", "4.997", printed=("4.75", "5.00"),
    ),
    Example(
        "S13", "mod_tariffs, steps of 100 Wh", "2.2 to 2.3.0-ed2, the prose",
        [el(flat("0.50", "20"), energy("0.25", "10", 100))], [Period("10:00", kwh="20.45")],
        "11:00", "5.625", "6.2375", printed=("5.63", "6.24"), billed={"energy": ["20500"]},
        note="the table of 2.3.0 has 5.61 and 6.22, as if there were no step: not followed",
    ),
    Example(
        "S13b", "mod_tariffs, steps of 100 Wh, the price that was", "2.2 to 2.3.0-ed2",
        [el(flat("0.50", "20"), energy("0.22", "10", 100))], [Period("10:00", kwh="20.45")],
        "11:00", "5.01", "5.561", printed=("5.01", "5.56"), billed={"energy": ["20500"]},
    ),
    Example(
        "S14", "mod_tariffs, complex tariff, Monday 09:30 at 16 A", SINCE_22, COMPLEX,
        [Period("09:30", charging=165, amps=16), Period("12:15", parked=42)], "12:57", "9",
        "10.30", billed={"charging_time": minutes(165), "idle_time": minutes(45)},
    ),
    Example(
        "S15", "mod_tariffs, complex tariff, Saturday 13:30 at 43 A", "2.2.1 of 2021", COMPLEX,
        [Period("13:30", charging=114, amps=43), Period("15:24", parked=71)], "16:35", "12.375",
        "13.975", day="2019-03-09",
        billed={"charging_time": minutes(114), "idle_time": minutes(75)},
        note="114 min at 1.25 an hour are 2.375; the editions from 2.2.1-d2 on print 2.28 and with "
        "it 12.28 and 13.861, which no rule gives: not followed",
    ),
    Example(
        "S16", "mod_tariffs, free of charge", SINCE_22, [el(flat("0.00", step=0))],
        [Period("10:00", kwh="20")], "11:00", "0", "0",
    ),
    Example(
        "S17", "mod_tariffs, reservation of 15 minutes", SINCE_22,
        [el(time("5.00", "20", 60), reservation=RESERVE_USED), *START_AND_ENERGY],
        [Period("10:00", reserved=15), Period("10:15", kwh="20")], "11:15", "6.75", "7.60",
    ),
    Example(
        "S18", "mod_tariffs, reservation with a fee, 13 minutes", SINCE_22,
        [
            el(flat("2.00", "20"), time("5.00", "20", 300), reservation=RESERVE_USED),
            *START_AND_ENERGY,
        ],
        [Period("10:00", reserved=13), Period("10:13", kwh="20")], "11:13", "8.75", "10",
        billed={"reservation_time": minutes(15), "reservation_flat": ["1"], "flat": ["1"]},
    ),
    Example(
        "S19", "mod_tariffs, tariff_17, reservation of 22 minutes", SINCE_22, TARIFF_17,
        [Period("10:00", reserved=22), Period("10:22", kwh="20")], "11:22", "6.50", "7.30",
        billed={"reservation_time": minutes(30)},
    ),
    Example(
        "S20", "mod_tariffs, tariff_17, expired after an hour", SINCE_22, TARIFF_17,
        [Period("10:00", reserved=60)], "11:00", "6", "7.20",
        billed={"reservation_time": minutes(60), "reservation_flat": ["1"]},
        note="the fee of the expired one, the time of the other",
    ),
    Example(
        "S21", "mod_tariffs, tariff_18, reservation of 22 minutes", SINCE_22, TARIFF_18,
        [Period("10:00", reserved=22), Period("10:22", kwh="20")], "11:22", "7", "7.90",
        billed={"reservation_time": minutes(30)},
    ),
    Example(
        "S22", "mod_tariffs, tariff_18, expired after 90 minutes", SINCE_22, TARIFF_18,
        [Period("10:00", reserved=90)], "11:30", "9", "10.80",
        billed={"reservation_time": minutes(90)},
    ),
    Example(
        "S23", "mod_tariffs, step sizes, #1", "2.2.1-d2 to 2.3.0-ed2", TARIFF_14,
        [Period("16:55", charging=5), Period("17:00", charging=5), Period("17:05", parked=2)],
        "17:07", "0.55", "0.55",
        billed={"charging_time": minutes(5, 5), "idle_time": minutes(15)},
        note="0.10 + 0.20 + 0.25; 2.2.1 of 2021 rounds 12 minutes together to 15, 0.383",
    ),
    Example(
        "S24", "mod_tariffs, step sizes, #2", SINCE_22, TARIFF_14,
        [Period("16:35", charging=25), Period("17:00", charging=10)], "17:10", "1.30", "1.30",
        billed={"charging_time": minutes(25, 20)},
        note="35 minutes to 45, the ten at the later price: 0.50 + 0.80",
    ),
    Example(
        "S25", "mod_tariffs, step sizes, #3", "2.2.1-bugfixes and 2.3.0-ed2", TARIFF_14,
        [Period("19:40", charging=12), Period("19:52", parked=8), Period("20:00", parked=12)],
        "20:12", "0.73", "0.73",
        billed={"charging_time": minutes(12), "idle_time": minutes(15)},
        note="0.48 + 0.25: parking is free after 20:00, and 8 minutes are rounded; 2.2.1 of 2021 "
        "prints 0.78, 2.2.1-d2 to 2.3.0-ed1 0.80: not followed",
    ),
    Example(
        "S26", "mod_tariffs, max_power", SINCE_22,
        [
            el(energy("0.20", "20"), max_power=16),
            el(energy("0.35", "20"), max_power=32),
            el(energy("0.50", "20")),
        ],
        [
            Period("10:00", kwh="1", kw=6),
            Period("10:10", kwh="40", kw=48),
            Period("11:00", kwh="0.5", kw=4),
        ],
        "11:08", "20.30", "24.36", billed={"energy": ["1500", "40000"]},
        note="0.20 + 20.00 + 0.10; after tax is ours, it is not printed",
    ),
    Example(
        "S27", "mod_tariffs, max_duration", SINCE_22,
        [
            el(energy("0.00", "20"), max_duration=1800),
            el(energy("0.25", "20"), max_duration=3600),
            el(energy("0.40", "20")),
        ],
        [Period("10:00", kwh="5"), Period("10:30", kwh="1.2")], "10:40", "0.30", "0.36",
        note="after tax is ours, it is not printed",
    ),
    Example(
        "S28", "mod_cdrs step_size, 21 minutes of charging and 7 parked", SINCE_22,
        [el(time("60", step=300), parking("60", step=300))],
        [Period("10:00", charging=21), Period("10:21", parked=7)], "10:28", "31", "31",
        billed={"charging_time": minutes(21), "idle_time": minutes(10)},
        note="the text has quantities only; at 60 an hour they are the price",
    ),
    Example(
        "S29", "mod_cdrs step_size, 4.3 and 1.1 kWh", SINCE_22,
        [
            el(energy("0.20", step=500), start_time="00:00", end_time="17:00"),
            el(energy("0.27", step=500), start_time="17:00", end_time="00:00"),
        ],
        [Period("16:00", kwh="4.3"), Period("17:00", kwh="1.1")], "18:00", "1.184", "1.184",
        billed={"energy": ["4300", "1200"]},
        note="5.5 kWh is the text's; 0.86 + 1.2 x 0.27 = 0.324",
    ),
    Example(
        "S30", "mod_cdrs step_size, 6 and 22 minutes", SINCE_22,
        [
            el(time("5", step=600), start_time="00:00", end_time="17:00"),
            el(time("7", step=600), start_time="17:00", end_time="00:00"),
        ],
        [Period("16:54", charging=6), Period("17:00", charging=22)], "17:22", "3.30", "3.30",
        billed={"charging_time": minutes(6, 24)}, note="0.50 + 24 min at 7 an hour = 2.80",
    ),
    Example(
        "S31", "mod_cdrs step_size, 21 minutes of charging and 16 parked", SINCE_22,
        [el(time("1", step=600), parking("2", step=600))],
        [Period("10:00", charging=21), Period("10:21", parked=16)], "10:37", "61/60", "61/60",
        billed={"charging_time": minutes(21), "idle_time": minutes(20)},
        note="41 minutes is the text's; 21/60 + 2 x 20/60",
    ),
    Example(
        "S32a", "PriceComponent, 115.2 Wh, step 1", SINCE_22, [el(energy("0.25", step=1))],
        [Period("10:00", kwh="0.1152")], "10:10", "0.029", "0.029", printed=("0.03", "0.03"),
        billed={"energy": ["116"]},
    ),
    Example(
        "S32b", "PriceComponent, 115.2 Wh, step 25", SINCE_22, [el(energy("0.25", step=25))],
        [Period("10:00", kwh="0.1152")], "10:10", "0.03125", "0.03125", printed=("0.03", "0.03"),
        billed={"energy": ["125"]},
    ),
    Example(
        "S32c", "PriceComponent, 115.2 Wh, step 500", SINCE_22, [el(energy("0.25", step=500))],
        [Period("10:00", kwh="0.1152")], "10:10", "0.125", "0.125", printed=("0.13", "0.13"),
        billed={"energy": ["500"]},
    ),
    Example(
        "S33", "PriceComponent, 8 minutes parked, step 300", SINCE_22,
        [el(parking("60", step=300))], [Period("10:00", parked=8)], "10:08", "10", "10",
        billed={"idle_time": minutes(10)}, note="the text has the quantity; 60 an hour is ours",
    ),
    Example(
        "S34", "mod_cdrs, the example of a CDR", SINCE_22, [el(time("2", "10", 300))],
        [Period("17:39:09", charging=118, hours="1.973")], "19:37:31", "4", "4.40",
        billed={"charging_time": minutes(120)},
    ),
    Example(
        "S35", "mod_tariffs, a dimension that no element prices", SINCE_22, [el(time("3"))],
        [Period("10:00", parked=60)], "11:00", "0", "0",
    ),
]  # fmt: skip

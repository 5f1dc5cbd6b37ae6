"""CDRs and their tariffs, as OCPI's JSON with times and decimals still as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

MINUTE = timedelta(minutes=1)
STARTS = [
    datetime(2026, 7, 3, 20, tzinfo=UTC),  # a Friday
    datetime(2026, 3, 29, 0, tzinfo=UTC),  # the change to summer time in Berlin
    datetime(2026, 10, 24, 22, tzinfo=UTC),  # and back
    datetime(2026, 12, 31, 20, tzinfo=UTC),
]
DATES = ["2026-03-29", "2026-07-03", "2026-07-04", "2026-10-25", "2027-01-01"]
DAYS = ["FRIDAY", "SATURDAY", "SUNDAY", "THURSDAY"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
VAT = st.sampled_from([None, "0", "7", "20", "5.2"])
CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 30, 45]))
STEPS = {"ENERGY": [0, 1, 100, 500], "TIME": [0, 1, 60, 300, 900], "FLAT": [0, 1]}


def decimals(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    scale = 10**places
    return st.integers(low * scale, high * scale).map(lambda n: Decimal(n).scaleb(-places))


@st.composite
def elements(draw: st.DrawFn, *, credit: bool, reservation: str | None = None) -> dict[str, Any]:
    known = ["ENERGY", "TIME", "PARKING_TIME", "FLAT"] if reservation is None else ["TIME", "FLAT"]
    components = []
    for kind in draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)):
        made = {
            "type": kind,
            "price": draw(decimals(-1 if credit else 0, 3, 4)),
            "step_size": draw(st.sampled_from(STEPS.get(kind, STEPS["TIME"]))),
        }
        vat = draw(VAT)
        components.append(made if vat is None else made | {"vat": Decimal(vat)})
    limits = draw(restrictions()) if draw(st.booleans()) else {}
    if reservation is not None:
        limits = {name: limits[name] for name in limits if name in ("start_time", "end_time")}
        limits["reservation"] = reservation
    found: dict[str, Any] = {"price_components": components}
    return found | ({"restrictions": limits} if limits else {})


@st.composite
def restrictions(draw: st.DrawFn) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for kind in draw(st.lists(st.sampled_from(
        ["hours", "days", "dates", "kwh", "duration", "power", "current"]
    ), min_size=1, max_size=2, unique=True)):  # fmt: skip
        if kind == "hours":
            start, end = draw(CLOCKS), draw(CLOCKS)
            if start != end:
                limits |= {"start_time": start, "end_time": end}
        elif kind == "days":
            limits["day_of_week"] = draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True))
        elif kind == "dates":
            low, high = sorted(draw(st.lists(st.sampled_from(DATES), min_size=2, max_size=2,
                                             unique=True)))  # fmt: skip
            limits |= {"start_date": low, "end_date": high}
        elif kind == "duration":
            limits[draw(st.sampled_from(["min_duration", "max_duration"]))] = 60 * draw(
                st.integers(1, 300)
            )
        else:
            most = {"kwh": 40, "power": 50, "current": 40}[kind]
            limits[draw(st.sampled_from([f"min_{kind}", f"max_{kind}"]))] = draw(
                st.integers(1, most).map(Decimal)
            )
    return limits


@st.composite
def tariffs(draw: st.DrawFn, *, credit: bool = True) -> dict[str, Any]:
    made = draw(st.lists(elements(credit=credit), min_size=1, max_size=4))
    for kind in ("RESERVATION_EXPIRES", "RESERVATION"):
        if draw(st.integers(0, 3)) == 0:
            made.insert(0, draw(elements(credit=credit, reservation=kind)))
    found: dict[str, Any] = {
        "country_code": "DE", "party_id": "ALL", "id": "t", "currency": "EUR",
        "elements": made, "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    kind = draw(st.sampled_from(["2.2.1", "2.2.1", "NO", "YES", "N/A"]))
    names = ("excl_vat", "incl_vat") if kind == "2.2.1" else ("before_taxes", "after_taxes")
    if kind != "2.2.1":
        found["tax_included"] = kind
    if draw(st.integers(0, 3)) == 0:
        low = draw(decimals(0, 10, 2))
        found["min_price"] = {names[0]: low, names[1]: low + draw(decimals(0, 2, 2))}
    if draw(st.integers(0, 3)) == 0:
        high = draw(decimals(10, 30, 2))
        found["max_price"] = {names[0]: high, names[1]: high + draw(decimals(0, 5, 2))}
    return found


@st.composite
def records(draw: st.DrawFn, *, negative: bool = True) -> dict[str, Any]:
    start = draw(st.sampled_from(STARTS)) + MINUTE * draw(st.integers(0, 300))
    periods = []
    at = start
    if draw(st.integers(0, 3)) == 0:
        minutes = draw(st.integers(0, 90))
        periods.append(_period(at, [("RESERVATION_TIME", _hours(minutes))]))
        at += MINUTE * minutes
    least = 0 if periods else 1
    for _ in range(draw(st.integers(least, 5))):
        minutes = draw(st.integers(0, 180))
        kinds: list[tuple[str, Decimal]] = []
        time = draw(st.sampled_from(["TIME", "PARKING_TIME", None, "BOTH"]))
        if time is None or draw(st.booleans()):
            low = -5 if negative and draw(st.integers(0, 7)) == 0 else 0
            kinds.append(("ENERGY", draw(decimals(low, 25, 4))))
        if time is not None:
            first = draw(st.integers(0, minutes)) if time == "BOTH" else minutes
            hours = _hours(first) if draw(st.integers(0, 3)) else draw(decimals(0, 3, 3))
            kinds.append((("TIME" if time == "BOTH" else time), hours))
            if time == "BOTH":
                kinds.append(("PARKING_TIME", _hours(minutes - first)))
        power, current = (draw(st.integers(0, most)) for most in (60, 50))
        for kind, low in (("POWER", power), ("CURRENT", current)):
            kinds += [(f"MIN_{kind}", Decimal(low)),
                      (f"MAX_{kind}", Decimal(low + draw(st.integers(0, 9))))]  # fmt: skip
        periods.append(_period(at, kinds))
        at += MINUTE * minutes
    return {
        "id": "c", "country_code": "DE", "party_id": "ALL", "start_date_time": start,
        "end_date_time": at, "currency": "EUR", "charging_periods": periods,
        "last_updated": "2027-02-01T00:00:00Z",
    }  # fmt: skip


def _hours(minutes: int) -> Decimal:
    return round(Decimal(minutes) / 60, 4)


def _period(at: datetime, kinds: list[tuple[str, Decimal]]) -> dict[str, Any]:
    return {
        "start_date_time": at,
        "dimensions": [{"type": kind, "volume": volume} for kind, volume in kinds],
    }

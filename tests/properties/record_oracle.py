"""An oracle that prices a CDR period by period, in fractions, from the words of OCPI alone.

It reads the JSON itself and shares nothing with the engine: restrictions at each period's start,
steps by the rules of the section on step_size, both sides of tax, limits.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

ZERO = Fraction(0)
SECONDS = {"TIME": 3600, "PARKING_TIME": 3600, "RESERVATION_TIME": 3600, "ENERGY": 1000}
# What the periods count, as the components call it.
PRICED = {"ENERGY": "ENERGY", "TIME": "TIME", "PARKING_TIME": "PARKING_TIME"}

Component = dict[str, Any]


class Walk:
    """A record's periods in order, with what was used of which component."""

    def __init__(self, record: dict[str, Any], tariff: dict[str, Any], zone: str) -> None:
        self.tariff, self.zone = tariff, ZoneInfo(zone)
        self.uses: dict[str, list[tuple[Component, Fraction]]] = {}
        self.flat: Component | None = None
        self.energy = ZERO
        self.applies = False
        periods = record["charging_periods"]
        ends = [period["start_date_time"] for period in periods[1:]] + [record["end_date_time"]]
        # A reservation after which nothing at all was counted has expired.
        charged = any(each.get(kind) for each in map(volumes, periods) for kind in PRICED)
        self.expired = not charged
        starts = [p["start_date_time"] for p in periods if "RESERVATION_TIME" not in volumes(p)]
        first = starts[0] if starts else None
        for period, end in zip(periods, ends, strict=True):
            start = period["start_date_time"]
            elapsed = 0 if first is None or start < first else seconds(first, start)
            self.period(period, start, seconds(start, end), elapsed)

    def period(
        self, period: dict[str, Any], start: datetime, length: Fraction, elapsed: Fraction | int
    ) -> None:
        found = volumes(period)
        at = {"at": start.astimezone(self.zone), "elapsed": elapsed, "kwh": self.energy / 1000}
        for kind in ("POWER", "CURRENT"):
            at[kind] = (found.get(f"MIN_{kind}"), found.get(f"MAX_{kind}"))
        if "RESERVATION_TIME" in found:
            quantity = close(Fraction(found["RESERVATION_TIME"]) * 3600, length)
            for kind, used in (("FLAT", Fraction(1)), ("TIME", quantity)):
                component = self.reserved(kind, at)
                if component is not None:
                    self.use(f"RESERVED {kind}", component, used)
            return
        if self.flat is None:
            self.flat = self.chosen("FLAT", at)
            if self.flat is not None:
                self.use("FLAT", self.flat, Fraction(1))
        for kind in PRICED:
            component = self.chosen(kind, at)
            if kind in found:
                quantity = Fraction(found[kind]) * SECONDS[kind]
                if kind != "ENERGY":
                    quantity = close(quantity, length)
                if component is not None:
                    self.use(kind, component, quantity)
        self.energy += Fraction(found.get("ENERGY", 0)) * 1000

    def use(self, kind: str, component: Component, quantity: Fraction) -> None:
        self.uses.setdefault(kind, []).append((component, quantity))

    def chosen(self, kind: str, at: dict[str, Any]) -> Component | None:
        """The first whose restrictions all match; none of a reservation."""
        return self.first(kind, at, lambda reservation: reservation is None)

    def reserved(self, kind: str, at: dict[str, Any]) -> Component | None:
        if self.expired:
            own = self.first(kind, at, lambda r: r == "RESERVATION_EXPIRES")
            if own is not None:
                return own
        return self.first(kind, at, lambda r: r == "RESERVATION")

    def first(self, kind: str, at: dict[str, Any], fits: Any) -> Component | None:
        for element in self.tariff["elements"]:
            limits = element.get("restrictions", {})
            if not fits(limits.get("reservation")) or not matches(limits, at):
                continue
            for component in element["price_components"]:
                if component["type"] == kind:
                    return component
        return None


def volumes(period: dict[str, Any]) -> dict[str, Any]:
    return {dimension["type"]: dimension["volume"] for dimension in period["dimensions"]}


def seconds(one: datetime, other: datetime) -> Fraction:
    apart = other - one
    return Fraction(apart.days * 86_400 + apart.seconds)


def close(quantity: Fraction, length: Fraction) -> Fraction:
    """A volume within 0.0001 h of the period's length is that length with four decimals."""
    return length if abs(quantity - length) <= Fraction(36, 100) else quantity


def matches(limits: dict[str, Any], at: dict[str, Any]) -> bool:
    wall: datetime = at["at"]
    clock, today = wall.strftime("%H:%M:%S"), wall.date().isoformat()
    start, end = limits.get("start_time", "00:00"), limits.get("end_time", "00:00")
    end = "24:00" if end == "00:00" else end
    in_hours = start <= clock < end if start < end else clock >= start or clock < end
    days = limits.get("day_of_week", [])
    kwh, elapsed = at["kwh"], at["elapsed"]
    return (
        in_hours
        and (not days or wall.strftime("%A").upper() in days)
        and limits.get("start_date", "") <= today < limits.get("end_date", "9999")
        and ("min_kwh" not in limits or kwh >= Fraction(limits["min_kwh"]))
        and ("max_kwh" not in limits or kwh < Fraction(limits["max_kwh"]))
        and limits.get("min_duration", 0) <= elapsed
        and ("max_duration" not in limits or elapsed < limits["max_duration"])
        and measured(limits, at, "POWER", "power")
        and measured(limits, at, "CURRENT", "current")
    )


def measured(limits: dict[str, Any], at: dict[str, Any], kind: str, name: str) -> bool:
    """All of the period: the least against the minimum, the most against the maximum."""
    least, most = at[kind]
    low, high = limits.get(f"min_{name}"), limits.get(f"max_{name}")
    return (low is None or least >= low) and (high is None or most < high)


def rounded_up(uses: list[tuple[Component, Fraction]]) -> list[tuple[Component, Fraction]]:
    """Once a session, by the step of the last one in use, at its price."""
    used = [(component, quantity) for component, quantity in uses if quantity]
    total = sum((quantity for _, quantity in used), ZERO)
    if not used or total < 0:
        return uses
    last = used[-1][0]
    step = last["step_size"] or 1
    if not last["step_size"]:
        return uses
    return [*uses, (last, ceil(total / step) * step - total)]


def record_oracle(
    record: dict[str, Any], tariff: dict[str, Any], zone: str
) -> tuple[Fraction, Fraction]:
    """What it costs before and after taxes, unrounded, in major units."""
    uses = Walk(record, tariff, zone).uses
    if "ENERGY" in uses:
        uses["ENERGY"] = rounded_up(uses["ENERGY"])
    if any(quantity for _, quantity in uses.get("PARKING_TIME", ())):
        uses["PARKING_TIME"] = rounded_up(uses["PARKING_TIME"])
    elif "TIME" in uses:
        uses["TIME"] = rounded_up(uses["TIME"])
    if "RESERVED TIME" in uses:
        uses["RESERVED TIME"] = rounded_up(uses["RESERVED TIME"])
    before = after = ZERO
    for kind, each in uses.items():
        per = SECONDS.get(kind.replace("RESERVED TIME", "TIME"), 1)
        for component, quantity in each:
            stated = quantity / per * Fraction(component["price"])
            tax = 1 + Fraction(component.get("vat", 0)) / 100
            included = tariff.get("tax_included") == "YES"
            untaxed = tariff.get("tax_included") == "N/A"
            net = stated / tax if included else stated
            before += net
            after += net if untaxed else net * tax
    return limited(tariff, before, after)


def limited(tariff: dict[str, Any], before: Fraction, after: Fraction) -> tuple[Fraction, Fraction]:
    """Each side by its own bound."""
    most, least = tariff.get("max_price", {}), tariff.get("min_price", {})
    for limit, hold in ((most, min), (least, max)):
        if limit:
            before = hold(before, Fraction(next(iter(limit.values()))))
            after = hold(after, Fraction(list(limit.values())[1]))
    return before, after

"""The words on a bill: what a line is called, and full sentences that say why."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from wattledger.energy import kwh_text
from wattledger.rating.compiled import Compiled
from wattledger.rating.drafts import Draft, Notice
from wattledger.rating.model import Evidence, Source
from wattledger.tariffs.model import Day, Dimension, Restrictions

_NAMES = {
    Dimension.ENERGY: "Energy",
    Dimension.CHARGING_TIME: "Charging time",
    Dimension.IDLE_TIME: "Idle",
    Dimension.FLAT: "Session fee",
}
_CAPS = {
    Dimension.ENERGY: "Energy cap",
    Dimension.CHARGING_TIME: "Charging time cap",
    Dimension.IDLE_TIME: "Idle fee cap",
    Dimension.FLAT: "Session fee cap",
}
_NOTICES = {
    Notice.FREE_ENERGY: ("Energy, free", "The tariff has no price for energy at this time."),
    Notice.GRACE: ("Idle, grace period", "Idle time in the grace period is never billed."),
    Notice.FREE_IDLE: ("Idle, free", "The tariff has no price for idle time at this time."),
    Notice.IDLE_AFTER_STOP: (
        "Idle after the stop, not billed",
        "The tariff bills no idle time after the transaction stopped.",
    ),
    Notice.PAUSE: (
        "Charger pause",
        "The charger offered no power; this time is never billed to the driver.",
    ),
}
_DAYS = list(Day)


def line_text(draft: Draft, compiled: Compiled) -> str:
    """``Energy, peak``; without the element's name where it only repeats the dimension."""
    if isinstance(draft.kind, Notice):
        return _NOTICES[draft.kind][0]
    base = _NAMES[draft.kind]
    name = compiled.tariff.elements[draft.element].name
    said = {"", base.casefold(), draft.kind.value.replace("_", " "), draft.kind.value}
    return base if name.casefold() in said else f"{base}, {name}"


def cap_text(dimension: Dimension) -> str:
    return _CAPS[dimension]


def why(draft: Draft, compiled: Compiled, evidence: tuple[Evidence, ...]) -> tuple[str, ...]:
    """Why this quantity, at this price: one sentence each."""
    if isinstance(draft.kind, Notice):
        return (_NOTICES[draft.kind][1],)
    element = compiled.tariff.elements[draft.element]
    component = compiled.rates[draft.element][draft.kind].component
    said = [
        f"{component.price} {compiled.tariff.currency} per {component.unit.value}, "
        f"{applies(element.restrictions)}."
    ]
    between = [e for e in evidence if e.source is Source.INTERPOLATED]
    if between:
        error = max(e.error_wh for e in between)
        said.append(
            "The register was not read at every change of price; there it lies on the straight "
            f"line between two readings, which differ by {error} Wh at most."
        )
    if draft.step_quantity:
        unit = "Wh" if component.dimension is Dimension.ENERGY else "s"
        way = "up" if draft.step_quantity > 0 else "down"
        change = "added" if draft.step_quantity > 0 else "taken off"
        said.append(
            f"The session's {draft.step_total} {unit} are rounded {way} to whole steps: "
            f"{abs(draft.step_quantity)} {unit} {change} here."
        )
    if compiled.terms.discount_percent.strip("0.") != "":
        plan = f" ({compiled.terms.plan})" if compiled.terms.plan else ""
        said.append(f"A discount of {compiled.terms.discount_percent} %{plan} is taken off.")
    return tuple(said)


def applies(given: Restrictions) -> str:
    """``from 16:00 to 21:00 local time on MONDAY and FRIDAY``, or ``at any time``."""
    parts = [
        *_clock_words(given),
        *_bounds("energy so far", given.min_kwh, given.max_kwh, "kWh"),
        *_bounds("idle so far", given.min_idle_s, given.max_idle_s, "s"),
        *_bounds("session so far", given.min_duration_s, given.max_duration_s, "s"),
    ]
    return ", ".join(parts) or "at any time"


def duration_text(seconds: int) -> str:
    """``1 h 05 min 07 s``, without what is nothing."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if not seconds:
        return "0 min"
    parts = [f"{hours} h"] if hours else []
    if minutes:
        parts.append(f"{minutes:02d} min" if hours else f"{minutes} min")
    if left:
        parts.append(f"{left} s")
    return " ".join(parts)


def quantity_text(quantity: int, unit: str) -> str:
    """``34.021 kWh``, ``10 min``, or ``1`` of a fee."""
    if unit == "Wh":
        return f"{kwh_text(quantity)} kWh"
    return duration_text(quantity) if unit == "s" else str(quantity)


def span_text(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """``2026-07-01 15:30 to 18:00``; the second date only where it is another."""
    one, other = start.astimezone(zone), end.astimezone(zone)
    day = "" if one.date() == other.date() else f"{other.date()} "
    return f"{one.date()} {_clock_text(one)} to {day}{_clock_text(other)}"


def _clock_words(given: Restrictions) -> list[str]:
    parts = []
    if given.start_time or given.end_time:
        end = "24:00" if (given.end_time or "00:00") == "00:00" else given.end_time
        parts.append(f"from {given.start_time or '00:00'} to {end} local time")
    if given.days:
        parts.append("on " + " ".join(d.value for d in sorted(given.days, key=_DAYS.index)))
    if given.start_date:
        parts.append(f"from {given.start_date} on")
    if given.end_date:
        parts.append(f"before {given.end_date}")
    return parts


def _bounds(what: str, low: object, high: object, unit: str) -> list[str]:
    least = [] if low is None else [f"{what} at least {low} {unit}"]
    return least if high is None else [*least, f"{what} below {high} {unit}"]


def _clock_text(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")

"""The words on a bill: what a line is called, and full sentences that say why."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from wattledger.energy import kwh_text
from wattledger.tariffs.model import Day, Dimension, Restrictions

_NAMES = {
    Dimension.ENERGY: "Energy",
    Dimension.CHARGING_TIME: "Charging time",
    Dimension.IDLE_TIME: "Idle",
    Dimension.FLAT: "Session fee",
    Dimension.RESERVATION_TIME: "Reservation",
    Dimension.RESERVATION_FLAT: "Reservation fee",
}
_CAPS = {
    Dimension.ENERGY: "Energy cap",
    Dimension.CHARGING_TIME: "Charging time cap",
    Dimension.IDLE_TIME: "Idle fee cap",
    Dimension.FLAT: "Session fee cap",
    Dimension.RESERVATION_TIME: "Reservation cap",
    Dimension.RESERVATION_FLAT: "Reservation fee cap",
}
CAPPED = {text: dimension for dimension, text in _CAPS.items()}
"""What a cap's line caps, by what it is called."""
_DAYS = list(Day)


def line_text(dimension: Dimension, name: str) -> str:
    """``Energy, peak``; without the element's name where it only repeats the dimension."""
    base = _NAMES[dimension]
    said = ("", base.casefold(), dimension.value.replace("_", " "), dimension.value)
    return base if name.casefold() in said else f"{base}, {name}"


def included_text(dimension: Dimension, source: str) -> str:
    """``Energy, included: 50 kWh a month``."""
    return f"{_NAMES[dimension]}, included: {source}"


def cap_text(dimension: Dimension) -> str:
    return _CAPS[dimension]


def applies(given: Restrictions) -> str:
    """``from 16:00 to 21:00 local time on MONDAY and FRIDAY``, or ``at any time``."""
    parts = [
        *_clock_words(given),
        *_payment_words(given),
        *_bounds("energy so far", given.min_kwh, given.max_kwh, "kWh"),
        *_bounds("power", given.min_power_kw, given.max_power_kw, "kW"),
        *_bounds("current", given.min_current_a, given.max_current_a, "A"),
        *_bounds("charging so far", given.min_charging_s, given.max_charging_s, "s"),
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


def quantity_text(quantity: int, unit: str, scale: int = 1) -> str:
    """``34.021 kWh``, ``10 min``, or ``1`` of a fee. A finer record keeps its places."""
    if unit == "Wh":
        if scale == 1:
            return f"{kwh_text(quantity)} kWh"
        digits = str(abs(quantity)).rjust(len(str(scale)) + 3, "0")
        places = len(str(scale)) + 2
        text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0")
        whole, _, rest = text.partition(".")
        return f"{'-' if quantity < 0 else ''}{whole}.{rest.ljust(3, '0')} kWh"
    return duration_text(quantity // scale) if unit == "s" else str(quantity // scale)


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


def _payment_words(given: Restrictions) -> list[str]:
    parts = []
    if given.start_season:
        parts.append(f"from {given.start_season} to before {given.end_season} of every year")
    if given.holiday is not None:
        parts.append("on holidays" if given.holiday else "not on holidays")
    if given.reservation is not None:
        parts.append(f"for a reservation that was {given.reservation.value}")
    if given.evse_kind is not None:
        parts.append(f"at {given.evse_kind.value} charge points")
    if given.payment_brand:
        parts.append(f"paid by {given.payment_brand}")
    if given.payment_recognition:
        parts.append(f"identified by {given.payment_recognition}")
    return parts


def _bounds(what: str, low: object, high: object, unit: str) -> list[str]:
    least = [] if low is None else [f"{what} at least {low} {unit}"]
    return least if high is None else [*least, f"{what} below {high} {unit}"]


def _clock_text(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")

"""How figures are written on the page.

The currency sign and the decimals of kWh step back in an ``<i>``; the plain value stands in
``<data value>``, so that a figure can be read by a machine whatever it looks like. All of it is
integer arithmetic.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

from wattledger import money as amounts
from wattledger.energy import kwh_text
from wattledger.rating.words import quantity_text

_PARTS = re.compile(r"(−?)([^0-9]*)([0-9].*)")


def money(amount_minor: int, currency: str, *, signed: bool = False) -> Markup:
    """``−<i>€</i>12.00`` in its ``data``; with ``signed`` a plus stands before what is above 0."""
    found = _PARTS.fullmatch(amounts.format_minor(amount_minor, currency))
    if found is None:
        raise ValueError(f"{amount_minor} {currency} has no digits")
    minus, before, digits = found.groups()
    return Markup('<data class="m" value="{}">{}<i>{}</i>{}</data>').format(
        amounts.major_text(amount_minor, currency),
        minus or ("+" if signed and amount_minor > 0 else ""),
        before,
        digits,
    )


def sign(currency: str) -> str:
    """What stands before an amount: ``€``, ``KWD ``."""
    found = _PARTS.fullmatch(amounts.format_minor(0, currency))
    return str(found.group(2)) if found else currency


def plain_price(price: str, currency: str) -> str:
    """The price as the operator wrote it, with the currency's sign: ``€0.67``, ``−€0.10``."""
    return f"{'−' if price.startswith('-') else ''}{sign(currency)}{price.removeprefix('-')}"


def price(text: str, currency: str) -> Markup:
    """The same with the sign of the currency muted."""
    return Markup('<data class="m" value="{}">{}<i>{}</i>{}</data>').format(
        text, "−" if text.startswith("-") else "", sign(currency), text.removeprefix("-")
    )


def money_or_dash(amount_minor: int, currency: str) -> Markup:
    """An ageing table writes nothing as a dash."""
    return money(amount_minor, currency) if amount_minor else Markup('<span class="muted">–</span>')


def plain_money(amount_minor: int, currency: str) -> str:
    """As text, for labels of charts and of screen readers."""
    return amounts.format_minor(amount_minor, currency)


def kwh(energy_wh: int, unit: str = " kWh") -> Markup:
    """All three places, the decimals muted: ``34<i>.021 kWh</i>``."""
    whole, _, places = kwh_text(abs(energy_wh)).partition(".")
    return Markup('<data class="q" value="{}">{}{:,}<i>.{}{}</i></data>').format(
        kwh_text(energy_wh), "−" if energy_wh < 0 else "", int(whole), places, unit
    )


def plain_kwh(energy_wh: int) -> str:
    """As text, grouped: ``2,941.162 kWh``."""
    whole, _, places = kwh_text(abs(energy_wh)).partition(".")
    return f"{'−' if energy_wh < 0 else ''}{int(whole):,}.{places} kWh"


def per_kwh(amount_minor: int, energy_wh: int, currency: str) -> Markup:
    """The average price of a kWh with two places more than money has; a dash without energy."""
    if energy_wh <= 0:
        return Markup('<span class="muted">–</span>')
    places = amounts.exponent(currency) + 2
    scaled = amounts.divide(amount_minor * 100_000, energy_wh)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}"
    return Markup('<data class="m" value="{}{}">{}<i>{}</i>{}</data>').format(
        "-" if scaled < 0 else "",
        text,
        "−" if scaled < 0 else "",
        sign(currency),
        text,
    )


def percent(part: int, whole: int, *, signed: bool = False) -> str:
    """One place: ``14.0%``. ``whole`` is above zero."""
    permille = amounts.divide(part * 1000, whole)
    before = "−" if permille < 0 else "+" if signed and permille > 0 else ""
    return f"{before}{abs(permille) // 10}.{abs(permille) % 10}%"


def share(part: int, whole: int) -> str:
    """The width of a bar for an SVG: at least a hair for what is there, nothing for nothing."""
    if part <= 0 or whole <= 0:
        return "0%"
    permille = max(4, min(1000, amounts.divide(part * 1000, whole)))
    return f"{permille // 10}.{permille % 10}%"


def local(moment: datetime, zone: str) -> datetime:
    """The wall clock of ``zone``; UTC where the zone is not known here."""
    try:
        return moment.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        return moment.astimezone(UTC)


def clock(moment: datetime, zone: str, *, seconds: bool = False) -> Markup:
    """``16:42`` or ``16:42:08``, the instant itself in ``datetime``."""
    here = local(moment, zone)
    return _time(moment, f"{here:%H:%M:%S}" if seconds else f"{here:%H:%M}")


def stamp(moment: datetime, zone: str) -> Markup:
    """Where the day is not obvious: ``3 Nov 16:42``."""
    here = local(moment, zone)
    return _time(moment, f"{short_day(here.date())} {here:%H:%M}")


def long_day(day: date) -> str:
    """``3 November 2026``."""
    return f"{day.day} {day:%B %Y}"


def weekday(day: date) -> str:
    """``Tuesday 3 November 2026``."""
    return f"{day:%A} {long_day(day)}"


def short_day(day: date) -> str:
    """For tables: ``3 Nov``."""
    return f"{day.day} {day:%b}"


def quantity(amount: int, unit: str, scale: int = 1) -> Markup | str:
    """What a line counts, over ``scale``: energy, time, or how often."""
    if scale != 1:
        return quantity_text(amount, unit, scale)
    if unit == "Wh":
        return kwh(amount)
    return duration(amount) if unit == "s" else str(amount or "")


def duration(seconds: int) -> str:
    """``9 s``, ``19 min 23 s``, ``1 h 46 min``."""
    minutes, rest = divmod(max(seconds, 0), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 break``, ``7 breaks``, ``1,204 sessions``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def short_digest(digest: str) -> str:
    """Enough of a digest to compare by eye: ``9f3c71d0…a2e8``."""
    return f"{digest[:8]}…{digest[-4:]}" if len(digest) > 16 else digest


def _time(moment: datetime, text: str) -> Markup:
    iso = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{}</time>').format(iso, text)

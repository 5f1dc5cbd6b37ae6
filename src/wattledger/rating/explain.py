"""A charge as plain text, for the support desk and for a driver who asks."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from wattledger.energy import kwh_text
from wattledger.money import format_minor
from wattledger.rating.model import Charge, Line, LineKind
from wattledger.rating.words import duration_text, quantity_text, span_text

_INDENT = "    "


def driver_text(charge: Charge, *, why: bool = False) -> str:
    """The bill, amounts aligned; with ``why``, each line's reasons and times below it."""
    zone = ZoneInfo(charge.time_zone)
    rows = [(line.text, _quantity(line, charge), line.net_minor) for line in charge.lines]
    tax = f"{charge.tax_name} {charge.tax_percent} %"
    sums = [
        ("Net", "", charge.net_minor),
        (tax, "", charge.tax_minor),
        ("Total", "", charge.total_minor),
    ]
    shown = [(a, b, format_minor(c, charge.currency)) for a, b, c in [*rows, *sums]]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    out = [
        f"Session {charge.session_id}",
        f"{charge.tariff_name} (tariff {charge.tariff_id})",
        f"{span_text(charge.started_at, charge.ended_at, zone)} ({charge.time_zone})",
        _facts(charge),
        "",
    ]
    for i, (text, quantity, amount) in enumerate(shown):
        if i == len(rows):
            out.append("-" * (sum(widths) + 4))
        row = f"{text:<{widths[0]}}  {quantity:<{widths[1]}}  {amount:>{widths[2]}}"
        out.append(row)
        if why and i < len(rows):
            out += _reasons(charge.lines[i], zone)
    if charge.free_reason:
        out += ["", f"Not charged: {charge.free_reason}."]
    return "\n".join(out) + "\n"


def _quantity(line: Line, charge: Charge) -> str:
    if not line.quantity_unit:
        return ""
    if line.kind is LineKind.NOTICE:
        return quantity_text(line.quantity, line.quantity_unit)
    at = f" at {line.unit_price} {charge.currency}/{line.unit}"
    off = f" less {line.discount_percent} %" if line.discount_percent.strip("0.") else ""
    return quantity_text(line.billed_quantity, line.quantity_unit) + at + off


def _facts(charge: Charge) -> str:
    times = [("charging", charge.charging_s), ("idle", charge.idle_s), ("paused", charge.pause_s)]
    spent = [f"{duration_text(seconds)} {what}" for what, seconds in times if seconds]
    return ", ".join([f"{kwh_text(charge.energy_wh)} kWh", *spent])


def _reasons(line: Line, zone: ZoneInfo) -> list[str]:
    out = [_INDENT + sentence for sentence in line.why]
    for part in line.evidence:
        text = f"{span_text(part.from_at, part.to_at, zone)}"
        if part.from_register_wh is not None:
            text += f", register {part.from_register_wh} to {part.to_register_wh} Wh, {part.source}"
            text += f" within {part.error_wh} Wh" if part.error_wh else ""
        out.append(_INDENT + text)
    return out

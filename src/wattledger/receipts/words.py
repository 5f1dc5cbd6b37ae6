"""How a receipt writes times, amounts and names: the same in HTML and PDF."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wattledger.energy import kwh_text
from wattledger.ids import content_digest
from wattledger.money import format_minor, signed_text
from wattledger.rating.words import duration_text
from wattledger.receipts.model import Receipt, Signed, TaxLine

SOFTWARE = "https://www.safe-ev.de"


def moment(at: datetime, zone: str, *, seconds: bool = True) -> str:
    """``3 Nov 2026, 14:21:08``"""
    here = at.astimezone(ZoneInfo(zone))
    return f"{here.day} {here:%b %Y, %H:%M:%S}" if seconds else f"{here.day} {here:%b %Y, %H:%M}"


def day(at: datetime, zone: str) -> str:
    """``3 Nov 2026``"""
    here = at.astimezone(ZoneInfo(zone))
    return f"{here.day} {here:%b %Y}"


def clock(at: datetime, zone: str) -> str:
    """``14:21:08``"""
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M:%S}"


def offset(at: datetime, zone: str) -> str:
    """``CET, UTC+01:00``: which hour it was, where the clock showed one twice."""
    here = at.astimezone(ZoneInfo(zone))
    behind = here.utcoffset() or timedelta()
    minutes = int(behind.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    apart = f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    name = here.tzname() or ""
    return f"{name}, {apart}" if name.isalpha() else apart


def kwh(energy_wh: int) -> str:
    """``34.021 kWh``"""
    return f"{'−' if energy_wh < 0 else ''}{kwh_text(abs(energy_wh))} kWh"


def duration(seconds: int) -> str:
    """``1 h 46 min``"""
    return duration_text(max(seconds, 0))


def amount(amount_minor: int, currency: str) -> str:
    """``€12.00``"""
    return format_minor(amount_minor, currency)


def price(text: str, unit: str, currency: str) -> str:
    """``€0.67 / kWh``"""
    return f"{signed_text(text, currency)} / {unit}" if text else ""


def power(power_w: int) -> str:
    """``150 kW``"""
    return f"{kwh_text(power_w).rstrip('0').rstrip('.')} kW"


def tax_name(tax: TaxLine) -> str:
    """``VAT 21%``, and what it is on."""
    return f"{tax.name} {tax.percent}%" if tax.percent else tax.name


def fingerprint(key: str) -> str:
    """Enough of a public key's digest to tell it from others."""
    digest = content_digest("".join(key.split()).encode())
    return " ".join(digest[i : i + 4] for i in range(0, 16, 4))


def verdict(receipt: Receipt) -> str:
    """What is known of the signatures, in a sentence; empty where nothing was signed."""
    records = receipt.records
    if not records:
        return ""
    if all(each.verified for each in records):
        return "Signed by the meter; the signatures were verified with the meter’s key."
    if any(each.verified for each in records):
        return "Signed by the meter; not every signature could be verified."
    if any(each.key for each in records):
        return "Signed by the meter; the signatures were not verified with a key known to us."
    return "Signed by the meter; its key is not known to us."


def context(record: Signed) -> str:
    """``Begin``, ``End``, or as the charge point calls it."""
    known = {"Transaction.Begin": "At the start", "Transaction.End": "At the end"}
    return known.get(record.context, record.context)


def prices_are(receipt: Receipt) -> str:
    """What the unit prices have in them."""
    if receipt.tax_included == "yes":
        return "Prices include tax."
    return "" if receipt.tax_included == "not_applicable" else "Prices are without tax."


def last_line(receipt: Receipt) -> str:
    """What is still to be done about the money."""
    open_minor = receipt.open_minor
    if open_minor > 0:
        return f"Still open: {amount(open_minor, receipt.currency)}"
    if open_minor < 0:
        return f"Still to be given back: {amount(-open_minor, receipt.currency)}"
    return "Settled in full"


def title(receipt: Receipt) -> str:
    """For a mail's subject and a page's title."""
    on = day(receipt.started_at, receipt.time_zone)
    return f"{receipt.title}: {receipt.place.name}, {on}"

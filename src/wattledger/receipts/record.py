"""The record of a session on paper: what was told and when, what was signed, what it cost, and what
its driver was sent. For whoever decides a dispute, so it is in English.

It is made of the evidence as plain data (``pipeline.returning.evidence``): nothing is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reportlab.platypus import Flowable, Spacer, Table, TableStyle

from wattledger.energy import kwh_text
from wattledger.money import format_minor
from wattledger.receipts.sheet import INK, RULE, TIGHT, Sheet, heading, p, rows

Pack = dict[str, Any]
# Of one signed record, so that a bank gets pages and no book.
_TEXT_MAX = 4_000


def pdf(pack: Pack) -> bytes:
    """The document."""
    session, dispute = pack["session"], pack["dispute"]
    title = f"Record of charging session {session['id']}"
    sheet = Sheet(dispute["currency"], session["id"], title=title, author="", language="en")
    story = [
        p("Record of a charging session", 16, bold=True), Spacer(1, 8),
        *_session(pack, sheet.width), *_timeline(pack, sheet.width), *_notices(pack, sheet.width),
        *_bill(pack, sheet.width), *_refunds(pack, sheet.width), *_signed(pack),
    ]  # fmt: skip
    return sheet.made(story)


def _session(pack: Pack, width: float) -> list[Flowable]:
    session, dispute = pack["session"], pack["dispute"]
    amount = format_minor(dispute["amount_minor"], dispute["currency"])
    facts = [
        ("Dispute", f"{dispute['id']}, {amount}, {dispute['reason']}"),
        ("Session", session["id"]),
        ("Transaction at the charge point", session["transaction"]),
        ("Charge point", f"{session['charge_point_id']}, connector {session['connector_id']}"),
        ("Site", f"{session['site_id']} ({session['time_zone']})"),
        ("Started", session["started_at"]), ("Stopped", session["stopped_at"]),
        ("Left", session["ended_at"]),
        ("Meter at the start", _kwh(session["meter_start_wh"])),
        ("Meter at the end", _kwh(session["meter_stop_wh"])),
        ("Agreed to be charged again", "yes" if session["consent"] else None),
    ]  # fmt: skip
    shown = [(name, str(value)) for name, value in facts if value]
    said = [p(f"Price: {text}", 8, muted=True) for text in session["price_shown"]]
    note = "A vehicle takes energy only while it is plugged in there and then. All times are UTC."
    return [p(note, 8, muted=True), Spacer(1, 6), rows(shown, width, 0.3), *said, Spacer(1, 10)]


def _timeline(pack: Pack, width: float) -> list[Flowable]:
    """As the charge point told it, in order."""
    found: list[tuple[str, str, str]] = []
    decision = pack["authorization"]
    if decision:
        found.append((decision["decided_at"], f"authorized: {decision['reason']}", ""))
    for fact in pack["readings"]:
        what = " ".join(filter(None, (fact["kind"].replace("_", " "), fact["activity"])))
        found.append((fact["at"], what, _kwh(fact["register_wh"])))
    table = _table([("Time", "What", "Register"), *found], width, (0.32, 0.46, 0.22))
    return [heading("What was told, and when"), table, Spacer(1, 10)]


def _notices(pack: Pack, width: float) -> list[Flowable]:
    if not pack["notices"]:
        return []
    found = [
        (each["sent_at"], f"{each['what']}, by {each['by']}",
         each["acknowledged_at"] or "not acknowledged")
        for each in pack["notices"]
    ]  # fmt: skip
    head = ("Sent", "What", "Taken")
    return [heading("What the driver was sent"), _table([head, *found], width, (0.3, 0.4, 0.3)),
            Spacer(1, 10)]  # fmt: skip


def _bill(pack: Pack, width: float) -> list[Flowable]:
    bill = pack["bill"]
    if not bill:
        return []

    def money(amount_minor: int) -> str:
        return format_minor(amount_minor, bill["currency"])

    lines = [(line["text"], money(line["net_minor"]), money(line["tax_minor"]),
              money(line["total_minor"])) for line in bill["lines"]]  # fmt: skip
    total = ("Total", money(bill["net_minor"]), money(bill["tax_minor"]),
             money(bill["total_minor"]))  # fmt: skip
    head = ("What", "Net", "Tax", "With tax")
    issued = f"{bill['charge_id']}, issued {bill['issued_at']}, SHA-256 {bill['document_digest']}"
    return [heading("The bill"), p(bill["summary"], 8), p(issued, 7, muted=True), Spacer(1, 3),
            _table([head, *lines, total], width, (0.52, 0.16, 0.16, 0.16)),
            Spacer(1, 10)]  # fmt: skip


def _refunds(pack: Pack, width: float) -> list[Flowable]:
    if not pack["refunds"]:
        return []
    currency = pack["dispute"]["currency"]
    given = [(f"{each['at']}, {each['state']}", format_minor(each["amount_minor"], currency))
             for each in pack["refunds"]]  # fmt: skip
    return [heading("Given back"), rows(given, width), Spacer(1, 10)]


def _signed(pack: Pack) -> list[Flowable]:
    if not pack["signed_values"]:
        return []
    found: list[Flowable] = [heading("Signed by the meter")]
    for value in pack["signed_values"]:
        verdict = "verified" if value["verified"] else "not verified"
        said = f"{value['context']}, {value['at']}: {verdict} ({value['reason']})"
        keys = ", ".join(value["keys"]) or "none configured"
        more = "…" if len(value["data"]) > _TEXT_MAX else ""
        found += [Spacer(1, 4), p(said, 8, bold=True)]
        found.append(p(f"Keys: {keys[:_TEXT_MAX]}", 6, muted=True))
        found.append(p(value["data"][:_TEXT_MAX] + more, 6, muted=True))
    return found


def _table(lines: Sequence[tuple[str, ...]], width: float, shares: tuple[float, ...]) -> Table:
    head, *rest = lines
    cells = [[p(text, 7, muted=True) for text in head]]
    cells += [[p(text, 7) for text in line] for line in rest]
    table = Table(cells, colWidths=[width * share for share in shares], repeatRows=1)
    table.setStyle(TableStyle([*TIGHT, ("LINEBELOW", (0, 0), (-1, 0), 0.6, INK),
                               ("LINEBELOW", (0, 1), (-1, -1), 0.25, RULE)]))  # fmt: skip
    return table


def _kwh(register_wh: int | None) -> str:
    return "" if register_wh is None else f"{kwh_text(register_wh)} kWh"

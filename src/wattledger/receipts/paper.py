"""The receipt on paper."""

from __future__ import annotations

from typing import Any

import msgspec
from reportlab.platypus import Flowable, HRFlowable, KeepTogether, Spacer, Table, TableStyle

from wattledger.receipts import letters
from wattledger.receipts.model import Receipt
from wattledger.receipts.sheet import INK, RULE, TIGHT, Sheet, heading, p, small
from wattledger.receipts.sheet import rows as rows_of
from wattledger.receipts.words import Words, fingerprint, words

RECORD_MAX = 4_000
"""Of a signed record on paper: the whole of it is behind the link."""


def pdf(receipt: Receipt) -> bytes:
    """The document."""
    w = words(receipt.language)
    sheet = Sheet(receipt.currency, receipt.number, title=w.heading(receipt),
                  author=receipt.seller.name, language=w.language)  # fmt: skip
    width = sheet.width
    story = [*_head(receipt, w, width), *_where(receipt, w, width), *_lines(receipt, w, width)]
    story += [*_paid(receipt, w, width), *_documents(receipt, w, width)]
    return sheet.made([*story, *_foot(receipt, w), *_proof(receipt, w)])


def _head(r: Receipt, w: Words, width: float) -> list[Flowable]:
    seller: list[Flowable] = [p(r.seller.name, 11, bold=True)]
    seller += [p(line) for line in r.seller.address]
    seller += [p(line, 8, muted=True) for line in r.seller.tax_ids]
    names: list[Flowable] = [p(w.title(r), 16, bold=True, right=True), p(r.number, 8, right=True)]
    if r.document:
        issued = w.day(r.document.issued_at, r.time_zone)
        names.append(p(f"{w.say('issued')} {issued}", 8, right=True))
    top = Table([[seller, names]], colWidths=[width * 0.55, width * 0.45])
    top.setStyle(TableStyle(TIGHT))
    total = Table([[p(w.total(r), 11),
                    p(w.amount(r.total_minor, r.currency), 18, bold=True, right=True)]],
                  colWidths=[width * 0.5, width * 0.5])  # fmt: skip
    total.setStyle(TableStyle([*TIGHT, ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                               ("LINEABOVE", (0, 0), (-1, 0), 1.2, INK),
                               ("LINEBELOW", (0, 0), (-1, 0), 1.2, INK),
                               ("TOPPADDING", (0, 0), (-1, -1), 8),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 10)]))  # fmt: skip
    say = [Spacer(1, 8), p(w.about(r))] if w.about(r) else []
    return [top, *say, Spacer(1, 14), total, Spacer(1, 14)]


def _where(r: Receipt, w: Words, width: float) -> list[Flowable]:
    zone, place = r.time_zone, r.place
    where: list[Flowable] = [heading(w.say("where")), p(place.name, bold=True)]
    where += [p(line) for line in place.address]
    at = w.say("charge_point", id=place.charge_point_id, connector=place.connector_id)
    where.append(p(at))
    if place.power_w:
        kind = f" {place.current_kind}" if place.current_kind else ""
        where.append(p(w.say("up_to", power=w.power(place.power_w)) + kind, 8, muted=True))
    half = width * 0.5 - 12
    when: list[Flowable] = [
        heading(w.say("when")),
        rows_of([(w.say("start"), w.moment(r.started_at, zone)),
               (w.say("end"), w.moment(r.ended_at, zone)),
               (w.say("duration"), w.duration(r.duration_s))], half, 0.35),
        p(w.zone(r), 8, muted=True),
    ]  # fmt: skip
    both = Table([[where, "", when]], colWidths=[half, 24, half])
    both.setStyle(TableStyle(TIGHT))
    delivered = p(w.kwh(r.energy_wh), bold=True, right=True)
    energy: list[tuple[Any, Any]] = [(w.say("delivered"), delivered)]
    for key, register in (("meter_start", r.start), ("meter_end", r.stop)):
        if register:
            sign = f" ({w.say('signed')})" if register.signed else ""
            energy.append((w.say(key) + sign, w.kwh(register.register_wh)))
    if r.not_billed_wh and r.start and r.stop and not r.is_credit:
        energy.append((w.say("not_billed"), w.kwh(r.not_billed_wh)))
    if r.price_per_kwh:
        each = w.price(r.price_per_kwh, "kWh", r.currency)
        energy.append((w.say("per_kwh"), each))
    proof = [p(w.verdict(r), 8, muted=True)] if w.verdict(r) else []
    return [
        both,
        Spacer(1, 12),
        heading(w.say("energy")),
        rows_of(energy, width),
        *proof,
        Spacer(1, 12),
    ]


def _lines(r: Receipt, w: Words, width: float) -> list[Flowable]:
    if not r.lines:
        return [heading(w.say("cost")), p(w.nothing(r)), Spacer(1, 12)]
    cur, zone = r.currency, r.time_zone
    head = [w.say(key) for key in ("what", "quantity", "price", "net", "tax", "line_total")]
    rows: list[list[Any]] = [[p(h, 8, muted=True, right=i > 0) for i, h in enumerate(head)]]
    for line in r.lines:
        span = ""
        if line.from_at and line.to_at:
            span = f"{w.clock(line.from_at, zone)}–{w.clock(line.to_at, zone)}"
        price = w.price(line.unit_price, line.unit, cur)
        if line.discount_percent:
            price += f", {w.say('less', percent=w.percent(line.discount_percent))}"
        rates = " + ".join(w.percent(each) for each in line.tax_percents)
        rows.append([
            small(w.known(line.text), span), p(w.quantity(line.quantity), 8, right=True),
            p(price, 8, right=True), p(w.amount(line.net_minor, cur), 8, right=True),
            p(w.amount(line.tax_minor, cur) + (f" ({rates})" if rates else ""), 8, right=True),
            p(w.amount(line.total_minor, cur), 8, bold=True, right=True),
        ])  # fmt: skip
    shares = (0.3, 0.14, 0.18, 0.12, 0.14, 0.12)
    table = Table(rows, colWidths=[width * share for share in shares], repeatRows=1)
    table.setStyle(TableStyle([*TIGHT, ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
                               ("LINEBELOW", (0, 1), (-1, -2), 0.4, RULE),
                               ("TOPPADDING", (0, 0), (-1, -1), 3),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 3)]))  # fmt: skip
    sums: list[tuple[Any, Any]] = [(w.say("net"), w.amount(r.net_minor, cur))]
    for tax in r.taxes:
        named = f"{w.tax_name(tax)} {w.tax_on(tax, cur)}".strip()
        sums.append((named, w.amount(tax.tax_minor, cur)))
    sums.append((p(w.total(r), bold=True), p(w.amount(r.total_minor, cur), bold=True, right=True)))
    return [
        heading(w.say("cost")), Spacer(1, 3), table,
        HRFlowable(width="100%", thickness=0.8, color=INK, spaceBefore=0, spaceAfter=3),
        rows_of(sums, width), p(w.prices_are(r), 8, muted=True), Spacer(1, 12),
    ]  # fmt: skip


def _paid(r: Receipt, w: Words, width: float) -> list[Flowable]:
    if not r.paid:
        return []
    rows: list[tuple[Any, Any]] = []
    for part in r.paid:
        when = w.day(part.at, r.time_zone) if part.at else ""
        below = ", ".join(text for text in (when, w.known(part.note)) if text)
        rows.append((small(w.known(part.what), below), w.amount(part.amount_minor, r.currency)))
    end = p(f"{w.last_line(r)}.", 8, muted=True)
    return [KeepTogether([heading(w.say("paid")), rows_of(rows, width), end]), Spacer(1, 12)]


def _documents(r: Receipt, w: Words, width: float) -> list[Flowable]:
    if len(r.documents) < 2:
        return []
    rows: list[tuple[Any, Any]] = []
    for d in r.documents:
        when = w.day(d.issued_at, r.time_zone)
        below = f"{when}: {w.known(d.reason)}" if d.reason else when
        rows.append((small(w.name(d), below), w.amount(d.total_minor, r.currency)))
    total = w.amount(r.charged_minor, r.currency)
    rows.append((p(w.say("charged"), bold=True), p(total, bold=True, right=True)))
    head = heading(w.say("documents"))
    return [KeepTogether([head, rows_of(rows, width)]), Spacer(1, 12)]


def _proof(r: Receipt, w: Words) -> list[Flowable]:
    if not r.records:
        return []
    found: list[Flowable] = [
        heading(w.say("check")),
        p(w.say("check_how", records=w.say("records_below"), site="safe-ev.de"), 8),
    ]
    for record in r.records:
        when = w.moment(record.at, r.time_zone)
        said = f", {w.say('verified')}" if record.verified else ""
        found += [Spacer(1, 5), p(f"{w.context(record)}, {when}{said}", 8, bold=True)]
        if record.key:
            found.append(
                p(
                    f"{w.say('key', fingerprint=fingerprint(record.key))}: {record.key}",
                    6,
                    muted=True,
                )
            )
        more = "…" if len(record.data) > RECORD_MAX else ""
        found.append(p(record.data[:RECORD_MAX] + more, 6, muted=True))
    return [Spacer(1, 12), *found]


def _foot(r: Receipt, w: Words) -> list[Flowable]:
    found: list[Flowable] = [HRFlowable(width="100%", thickness=0.4, color=RULE, spaceAfter=6)]
    if r.seller.support:
        found.append(p(w.say("questions", support=r.seller.support)))
    if r.seller.note:
        found.append(p(r.seller.note))
    if letters.lacks(msgspec.json.encode(r).decode()):
        found.append(p(w.say("numbered"), 7, muted=True))
    found.append(p(w.session(r), 7, muted=True))
    return found

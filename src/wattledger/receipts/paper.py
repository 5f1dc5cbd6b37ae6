"""The receipt on paper. The same receipt gives the same bytes: no date of making, no random id."""

from __future__ import annotations

import io
from html import escape
from typing import Any

import msgspec
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    HRFlowable,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from wattledger.receipts import letters
from wattledger.receipts.letters import REGULAR, printable
from wattledger.receipts.model import Receipt
from wattledger.receipts.words import Words, fingerprint, words

_LETTER_MONEY = ("USD", "CAD", "MXN", "PHP")
_INK, _MUTED, _RULE = (colors.HexColor(c) for c in ("#16201e", "#5a6561", "#d5d2c8"))
_MARGIN = 48
_BREAKS_MAX = 12
_RECORD_MAX = 4_000  # of a signed record on paper: the whole of it is behind the link


def pdf(receipt: Receipt) -> bytes:
    """The document."""
    letters.load()
    w = words(receipt.language)
    size = LETTER if receipt.currency in _LETTER_MONEY else A4
    out = io.BytesIO()
    document = BaseDocTemplate(
        out, pagesize=size, title=w.heading(receipt), author=receipt.seller.name,
        subject=receipt.number, creator="Wattledger", invariant=1, pageCompression=1,
    )  # fmt: skip
    width, height = size[0] - 2 * _MARGIN, size[1] - 2 * _MARGIN
    frame = Frame(_MARGIN, _MARGIN, width, height, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=_numbered(receipt)))
    story = [*_head(receipt, w, width), *_where(receipt, w, width), *_lines(receipt, w, width)]
    story += [*_paid(receipt, w, width), *_documents(receipt, w, width)]
    story += [*_foot(receipt, w), *_proof(receipt, w)]
    document.build(story)
    return out.getvalue()


def _text(value: str) -> str:
    """What the font has letters for, as markup."""
    # A cell of a table is never parted: no text may be as high as a page.
    if value.count("\n") > _BREAKS_MAX:
        value = " ".join(value.split())
    return escape(printable(value), quote=False).replace("\n", "<br/>")


def _style(size: int = 9, *, muted: bool = False, right: bool = False) -> ParagraphStyle:
    return ParagraphStyle(
        "s", fontName=REGULAR, fontSize=size, leading=size * 1.35, splitLongWords=1,
        textColor=_MUTED if muted else _INK, alignment=TA_RIGHT if right else 0,
    )  # fmt: skip


def _p(text: str, size: int = 9, *, bold: bool = False, muted: bool = False,
       right: bool = False) -> Paragraph:  # fmt: skip
    inner = _text(text)
    return Paragraph(f"<b>{inner}</b>" if bold else inner, _style(size, muted=muted, right=right))


def _small(text: str, small: str) -> Paragraph:
    more = f'<br/><font size="7" color="#5a6561">{_text(small)}</font>' if small else ""
    return Paragraph(_text(text) + more, _style())


def _heading(text: str) -> Flowable:
    return _p(text.upper(), 8, bold=True, muted=True)


def _rows(rows: list[tuple[Any, Any]], width: float, share: float = 0.7) -> Table:
    """Words to the left, figures to the right."""
    table = Table(
        [[left if isinstance(left, Flowable) else _p(left),
          right if isinstance(right, Flowable) else _p(right, right=True)] for left, right in rows],
        colWidths=[width * share, width * (1 - share)],
    )  # fmt: skip
    table.setStyle(TableStyle(_TIGHT))
    return table


_TIGHT = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]  # fmt: skip


def _head(r: Receipt, w: Words, width: float) -> list[Flowable]:
    seller: list[Flowable] = [_p(r.seller.name, 11, bold=True)]
    seller += [_p(line) for line in r.seller.address]
    seller += [_p(line, 8, muted=True) for line in r.seller.tax_ids]
    names: list[Flowable] = [_p(w.title(r), 16, bold=True, right=True), _p(r.number, 8, right=True)]
    if r.document:
        issued = w.day(r.document.issued_at, r.time_zone)
        names.append(_p(f"{w.say('issued')} {issued}", 8, right=True))
    top = Table([[seller, names]], colWidths=[width * 0.55, width * 0.45])
    top.setStyle(TableStyle(_TIGHT))
    total = Table([[_p(w.total(r), 11),
                    _p(w.amount(r.total_minor, r.currency), 18, bold=True, right=True)]],
                  colWidths=[width * 0.5, width * 0.5])  # fmt: skip
    total.setStyle(TableStyle([*_TIGHT, ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                               ("LINEABOVE", (0, 0), (-1, 0), 1.2, _INK),
                               ("LINEBELOW", (0, 0), (-1, 0), 1.2, _INK),
                               ("TOPPADDING", (0, 0), (-1, -1), 8),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 10)]))  # fmt: skip
    say = [Spacer(1, 8), _p(w.about(r))] if w.about(r) else []
    return [top, *say, Spacer(1, 14), total, Spacer(1, 14)]


def _where(r: Receipt, w: Words, width: float) -> list[Flowable]:
    zone, place = r.time_zone, r.place
    where: list[Flowable] = [_heading(w.say("where")), _p(place.name, bold=True)]
    where += [_p(line) for line in place.address]
    at = w.say("charge_point", id=place.charge_point_id, connector=place.connector_id)
    where.append(_p(at))
    if place.power_w:
        kind = f" {place.current_kind}" if place.current_kind else ""
        where.append(_p(w.say("up_to", power=w.power(place.power_w)) + kind, 8, muted=True))
    half = width * 0.5 - 12
    when: list[Flowable] = [
        _heading(w.say("when")),
        _rows([(w.say("start"), w.moment(r.started_at, zone)),
               (w.say("end"), w.moment(r.ended_at, zone)),
               (w.say("duration"), w.duration(r.duration_s))], half, 0.35),
        _p(w.zone(r), 8, muted=True),
    ]  # fmt: skip
    both = Table([[where, "", when]], colWidths=[half, 24, half])
    both.setStyle(TableStyle(_TIGHT))
    delivered = _p(w.kwh(r.energy_wh), bold=True, right=True)
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
    proof = [_p(w.verdict(r), 8, muted=True)] if w.verdict(r) else []
    return [
        both,
        Spacer(1, 12),
        _heading(w.say("energy")),
        _rows(energy, width),
        *proof,
        Spacer(1, 12),
    ]


def _lines(r: Receipt, w: Words, width: float) -> list[Flowable]:
    if not r.lines:
        return [_heading(w.say("cost")), _p(w.nothing(r)), Spacer(1, 12)]
    cur, zone = r.currency, r.time_zone
    head = [w.say(key) for key in ("what", "quantity", "price", "net", "tax", "line_total")]
    rows: list[list[Any]] = [[_p(h, 8, muted=True, right=i > 0) for i, h in enumerate(head)]]
    for line in r.lines:
        span = ""
        if line.from_at and line.to_at:
            span = f"{w.clock(line.from_at, zone)}–{w.clock(line.to_at, zone)}"
        price = w.price(line.unit_price, line.unit, cur)
        if line.discount_percent:
            price += f", {w.say('less', percent=w.percent(line.discount_percent))}"
        rates = " + ".join(w.percent(each) for each in line.tax_percents)
        rows.append([
            _small(w.known(line.text), span), _p(w.quantity(line.quantity), 8, right=True),
            _p(price, 8, right=True), _p(w.amount(line.net_minor, cur), 8, right=True),
            _p(w.amount(line.tax_minor, cur) + (f" ({rates})" if rates else ""), 8, right=True),
            _p(w.amount(line.total_minor, cur), 8, bold=True, right=True),
        ])  # fmt: skip
    shares = (0.3, 0.14, 0.18, 0.12, 0.14, 0.12)
    table = Table(rows, colWidths=[width * share for share in shares], repeatRows=1)
    table.setStyle(TableStyle([*_TIGHT, ("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK),
                               ("LINEBELOW", (0, 1), (-1, -2), 0.4, _RULE),
                               ("TOPPADDING", (0, 0), (-1, -1), 3),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 3)]))  # fmt: skip
    sums: list[tuple[Any, Any]] = [(w.say("net"), w.amount(r.net_minor, cur))]
    for tax in r.taxes:
        named = f"{w.tax_name(tax)} {w.tax_on(tax, cur)}".strip()
        sums.append((named, w.amount(tax.tax_minor, cur)))
    sums.append(
        (_p(w.total(r), bold=True), _p(w.amount(r.total_minor, cur), bold=True, right=True))
    )
    return [
        _heading(w.say("cost")), Spacer(1, 3), table,
        HRFlowable(width="100%", thickness=0.8, color=_INK, spaceBefore=0, spaceAfter=3),
        _rows(sums, width), _p(w.prices_are(r), 8, muted=True), Spacer(1, 12),
    ]  # fmt: skip


def _paid(r: Receipt, w: Words, width: float) -> list[Flowable]:
    if not r.paid:
        return []
    rows: list[tuple[Any, Any]] = []
    for part in r.paid:
        when = w.day(part.at, r.time_zone) if part.at else ""
        small = ", ".join(text for text in (when, w.known(part.note)) if text)
        rows.append((_small(w.known(part.what), small), w.amount(part.amount_minor, r.currency)))
    end = _p(f"{w.last_line(r)}.", 8, muted=True)
    return [KeepTogether([_heading(w.say("paid")), _rows(rows, width), end]), Spacer(1, 12)]


def _documents(r: Receipt, w: Words, width: float) -> list[Flowable]:
    if len(r.documents) < 2:
        return []
    rows: list[tuple[Any, Any]] = []
    for d in r.documents:
        when = w.day(d.issued_at, r.time_zone)
        small = f"{when}: {w.known(d.reason)}" if d.reason else when
        rows.append((_small(w.name(d), small), w.amount(d.total_minor, r.currency)))
    total = w.amount(r.charged_minor, r.currency)
    rows.append((_p(w.say("charged"), bold=True), _p(total, bold=True, right=True)))
    head = _heading(w.say("documents"))
    return [KeepTogether([head, _rows(rows, width)]), Spacer(1, 12)]


def _proof(r: Receipt, w: Words) -> list[Flowable]:
    if not r.records:
        return []
    found: list[Flowable] = [
        _heading(w.say("check")),
        _p(w.say("check_how", records=w.say("records_below"), site="safe-ev.de"), 8),
    ]
    for record in r.records:
        when = w.moment(record.at, r.time_zone)
        said = f", {w.say('verified')}" if record.verified else ""
        found += [Spacer(1, 5), _p(f"{w.context(record)}, {when}{said}", 8, bold=True)]
        if record.key:
            found.append(
                _p(
                    f"{w.say('key', fingerprint=fingerprint(record.key))}: {record.key}",
                    6,
                    muted=True,
                )
            )
        more = "…" if len(record.data) > _RECORD_MAX else ""
        found.append(_p(record.data[:_RECORD_MAX] + more, 6, muted=True))
    return [Spacer(1, 12), *found]


def _foot(r: Receipt, w: Words) -> list[Flowable]:
    found: list[Flowable] = [HRFlowable(width="100%", thickness=0.4, color=_RULE, spaceAfter=6)]
    if r.seller.support:
        found.append(_p(w.say("questions", support=r.seller.support)))
    if r.seller.note:
        found.append(_p(r.seller.note))
    if letters.lacks(msgspec.json.encode(r).decode()):
        found.append(_p(w.say("numbered"), 7, muted=True))
    found.append(_p(w.session(r), 7, muted=True))
    return found


def _numbered(r: Receipt) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(REGULAR, 7)
        canvas.setFillColor(_MUTED)
        canvas.drawRightString(document.pagesize[0] - _MARGIN, 28, f"{r.number} · {document.page}")
        canvas.restoreState()

    return draw

"""The receipt on paper. The same receipt gives the same bytes: no date of making, no random id."""

from __future__ import annotations

import io
import unicodedata
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import reportlab
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
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

from wattledger.receipts import words as w
from wattledger.receipts.model import Receipt

REGULAR, BOLD = "Wattledger", "Wattledger-Bold"
_LETTER_MONEY = ("USD", "CAD", "MXN", "PHP")
_INK, _MUTED, _RULE = (colors.HexColor(c) for c in ("#16201e", "#5a6561", "#d5d2c8"))
_MARGIN = 48
_BREAKS_MAX = 12
_RECORD_MAX = 4_000  # of a signed record on paper: the whole of it is behind the link


def pdf(receipt: Receipt) -> bytes:
    """The document."""
    _fonts()
    size = LETTER if receipt.currency in _LETTER_MONEY else A4
    out = io.BytesIO()
    document = BaseDocTemplate(
        out, pagesize=size, title=w.title(receipt), author=receipt.seller.name,
        subject=receipt.number, creator="Wattledger", invariant=1, pageCompression=1,
    )  # fmt: skip
    width, height = size[0] - 2 * _MARGIN, size[1] - 2 * _MARGIN
    frame = Frame(_MARGIN, _MARGIN, width, height, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=_numbered(receipt)))
    story = [*_head(receipt, width), *_where(receipt, width), *_lines(receipt, width)]
    story += [*_paid(receipt, width), *_documents(receipt, width)]
    document.build([*story, *_foot(receipt), *_proof(receipt)])
    return out.getvalue()


@cache
def _fonts() -> None:
    folder = Path(reportlab.__file__).parent / "fonts"
    for name, file in ((REGULAR, "Vera.ttf"), (BOLD, "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR,
                                  boldItalic=BOLD)  # fmt: skip


@cache
def _known() -> frozenset[int]:
    return frozenset(pdfmetrics.getFont(REGULAR).face.charToGlyph)


def _text(value: str) -> str:
    """What the font has letters for: an accent that it lacks is left off its letter."""
    # A cell of a table is never parted: no text may be as high as a page.
    if value.count("\n") > _BREAKS_MAX:
        value = " ".join(value.split())
    found = []
    for letter in value:
        if ord(letter) in _known() or letter == "\n":
            found.append(letter)
            continue
        base = unicodedata.normalize("NFKD", letter)[0]
        found.append(base if ord(base) in _known() else "?")
    return escape("".join(found), quote=False).replace("\n", "<br/>")


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
    return _p(text, 8, bold=True, muted=True)


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


def _head(r: Receipt, width: float) -> list[Flowable]:
    seller: list[Flowable] = [_p(r.seller.name, 11, bold=True)]
    seller += [_p(line) for line in r.seller.address]
    seller += [_p(line, 8, muted=True) for line in r.seller.tax_ids]
    names: list[Flowable] = [_p(r.title, 16, bold=True, right=True), _p(r.number, 8, right=True)]
    if r.document:
        names.append(_p(f"Issued {w.day(r.document.issued_at, r.time_zone)}", 8, right=True))
    top = Table([[seller, names]], colWidths=[width * 0.55, width * 0.45])
    top.setStyle(TableStyle(_TIGHT))
    total = Table([[_p("Credited" if r.is_credit else "Total", 11),
                    _p(w.amount(r.total_minor, r.currency), 18, bold=True, right=True)]],
                  colWidths=[width * 0.5, width * 0.5])  # fmt: skip
    total.setStyle(TableStyle([*_TIGHT, ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                               ("LINEABOVE", (0, 0), (-1, 0), 1.2, _INK),
                               ("LINEBELOW", (0, 0), (-1, 0), 1.2, _INK),
                               ("TOPPADDING", (0, 0), (-1, -1), 8),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 10)]))  # fmt: skip
    say: list[Flowable] = []
    if r.document and r.is_credit:
        why = f": {r.document.reason}" if r.document.reason else ""
        say = [Spacer(1, 8), _p(f"This takes back {r.document.reverses}{why}.")]
    elif r.document and r.document.reason:
        say = [Spacer(1, 8), _p(f"This bill replaces an earlier one: {r.document.reason}.")]
    return [top, *say, Spacer(1, 14), total, Spacer(1, 14)]


def _where(r: Receipt, width: float) -> list[Flowable]:
    zone, place = r.time_zone, r.place
    where: list[Flowable] = [_heading("WHERE"), _p(place.name, bold=True)]
    where += [_p(line) for line in place.address]
    where.append(_p(f"Charge point {place.charge_point_id}, connector {place.connector_id}"))
    if place.power_w:
        kind = f" {place.current_kind}" if place.current_kind else ""
        where.append(_p(f"up to {w.power(place.power_w)}{kind}", 8, muted=True))
    half = width * 0.5 - 12
    start = w.offset(r.started_at, zone)
    end = w.offset(r.ended_at, zone)
    when: list[Flowable] = [
        _heading("WHEN"),
        _rows([("Start", w.moment(r.started_at, zone)), ("End", w.moment(r.ended_at, zone)),
               ("Duration", w.duration(r.duration_s))], half, 0.35),
        _p(f"{zone} ({start}{'' if end == start else f'; at the end {end}'})", 8, muted=True),
    ]  # fmt: skip
    both = Table([[where, "", when]], colWidths=[half, 24, half])
    both.setStyle(TableStyle(_TIGHT))
    energy: list[tuple[Any, Any]] = [("Delivered", _p(w.kwh(r.energy_wh), bold=True, right=True))]
    for word, register in (("start", r.start), ("end", r.stop)):
        if register:
            sign = " (signed)" if register.signed else ""
            energy.append((f"Meter at the {word}{sign}", w.kwh(register.register_wh)))
    if r.not_billed_wh and r.start and r.stop and not r.is_credit:
        energy.append(("Of that not billed", w.kwh(r.not_billed_wh)))
    if r.price_per_kwh:
        each = w.price(r.price_per_kwh, "kWh", r.currency)
        energy.append(("All in all, for each kWh", each))
    proof = [_p(w.verdict(r), 8, muted=True)] if w.verdict(r) else []
    return [both, Spacer(1, 12), _heading("ENERGY"), _rows(energy, width), *proof, Spacer(1, 12)]


def _lines(r: Receipt, width: float) -> list[Flowable]:
    if not r.lines:
        free = f" {r.free_reason}" if r.free_reason else ""
        return [_heading("WHAT IT COST"), _p(f"Nothing was charged.{free}"), Spacer(1, 12)]
    cur, zone = r.currency, r.time_zone
    head = ["What", "Quantity", "Price", "Net", "Tax", "Total"]
    rows: list[list[Any]] = [[_p(h, 8, muted=True, right=i > 0) for i, h in enumerate(head)]]
    for line in r.lines:
        span = ""
        if line.from_at and line.to_at:
            span = f"{w.clock(line.from_at, zone)}–{w.clock(line.to_at, zone)}"
        price = w.price(line.unit_price, line.unit, cur)
        less = f", less {line.discount_percent}%" if line.discount_percent else ""
        rate = f" ({' + '.join(line.tax_percents)}%)" if line.tax_percents else ""
        rows.append([
            _small(line.text, span), _p(line.quantity, 8, right=True),
            _p(price + less, 8, right=True), _p(w.amount(line.net_minor, cur), 8, right=True),
            _p(w.amount(line.tax_minor, cur) + rate, 8, right=True),
            _p(w.amount(line.total_minor, cur), 8, bold=True, right=True),
        ])  # fmt: skip
    shares = (0.3, 0.14, 0.18, 0.12, 0.14, 0.12)
    table = Table(rows, colWidths=[width * share for share in shares], repeatRows=1)
    table.setStyle(TableStyle([*_TIGHT, ("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK),
                               ("LINEBELOW", (0, 1), (-1, -2), 0.4, _RULE),
                               ("TOPPADDING", (0, 0), (-1, -1), 3),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 3)]))  # fmt: skip
    sums: list[tuple[Any, Any]] = [("Net", w.amount(r.net_minor, cur))]
    for tax in r.taxes:
        on = "" if tax.net_minor is None else f" of {w.amount(tax.net_minor, cur)}"
        exempt = f", not charged: {tax.exempt}" if tax.exempt else ""
        sums.append((w.tax_name(tax) + on + exempt, w.amount(tax.tax_minor, cur)))
    word = "Credited" if r.is_credit else "Total"
    sums.append((_p(word, bold=True), _p(w.amount(r.total_minor, cur), bold=True, right=True)))
    tariff = f"Tariff {r.tariff}. " if r.tariff else ""
    return [
        _heading("WHAT IT COST"), Spacer(1, 3), table,
        HRFlowable(width="100%", thickness=0.8, color=_INK, spaceBefore=0, spaceAfter=3),
        _rows(sums, width), _p(tariff + w.prices_are(r), 8, muted=True), Spacer(1, 12),
    ]  # fmt: skip


def _paid(r: Receipt, width: float) -> list[Flowable]:
    if not r.paid:
        return []
    rows: list[tuple[Any, Any]] = []
    for part in r.paid:
        when = w.day(part.at, r.time_zone) if part.at else ""
        small = ", ".join(text for text in (when, part.note) if text)
        rows.append((_small(part.what, small), w.amount(part.amount_minor, r.currency)))
    end = _p(f"{w.last_line(r)}.", 8, muted=True)
    return [KeepTogether([_heading("HOW IT WAS PAID"), _rows(rows, width), end]), Spacer(1, 12)]


def _documents(r: Receipt, width: float) -> list[Flowable]:
    if len(r.documents) < 2:
        return []
    rows: list[tuple[Any, Any]] = []
    for d in r.documents:
        name = "Credit note" if d.kind == "credit" else "Receipt"
        when = w.day(d.issued_at, r.time_zone)
        small = f"{when}: {d.reason}" if d.reason else when
        rows.append((_small(f"{name} {d.number}/{d.revision}", small),
                     w.amount(d.total_minor, r.currency)))  # fmt: skip
    total = w.amount(r.charged_minor, r.currency)
    rows.append((_p("Charged in all", bold=True), _p(total, bold=True, right=True)))
    head = _heading("ALL DOCUMENTS OF THIS SESSION")
    return [KeepTogether([head, _rows(rows, width)]), Spacer(1, 12)]


def _proof(r: Receipt) -> list[Flowable]:
    if not r.records:
        return []
    found: list[Flowable] = [
        _heading("CHECK THE METER YOURSELF"),
        _p("The records below are signed by the meter. Open them with the transparency software of"
           " S.A.F.E. e.V. (safe-ev.de): it must say that they are verified, and show the registers"
           " above. Compare the key with the one on the charge point.", 8),
    ]  # fmt: skip
    for record in r.records:
        when = w.moment(record.at, r.time_zone)
        said = ", verified" if record.verified else ""
        found += [Spacer(1, 5), _p(f"{w.context(record)}, {when}{said}", 8, bold=True)]
        if record.key:
            found.append(_p(f"Key {w.fingerprint(record.key)}: {record.key}", 6, muted=True))
        more = "…" if len(record.data) > _RECORD_MAX else ""
        found.append(_p(record.data[:_RECORD_MAX] + more, 6, muted=True))
    return [Spacer(1, 12), *found]


def _foot(r: Receipt) -> list[Flowable]:
    found: list[Flowable] = [HRFlowable(width="100%", thickness=0.4, color=_RULE, spaceAfter=6)]
    if r.seller.support:
        found.append(_p(f"Questions: {r.seller.support}"))
    if r.seller.note:
        found.append(_p(r.seller.note))
    token = f" · started with …{r.token}" if r.token else ""
    found.append(_p(f"Session {r.session_id}{token}", 7, muted=True))
    return found


def _numbered(r: Receipt) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(REGULAR, 7)
        canvas.setFillColor(_MUTED)
        canvas.drawRightString(document.pagesize[0] - _MARGIN, 28, f"{r.number} · {document.page}")
        canvas.restoreState()

    return draw

"""Paper: a sheet with its words and figures. The same content gives the same bytes: no date of
making, no random id.
"""

from __future__ import annotations

import io
from html import escape
from typing import Any

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Table,
    TableStyle,
)

from wattledger.receipts import letters
from wattledger.receipts.letters import REGULAR, printable

INK, MUTED, RULE = (colors.HexColor(c) for c in ("#16201e", "#5a6561", "#d5d2c8"))
_LETTER_MONEY = ("USD", "CAD", "MXN", "PHP")
_MARGIN = 48
_BREAKS_MAX = 12
TIGHT = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]  # fmt: skip
"""A table without room around its cells."""


class Sheet:
    """Where a document is put together: ``width`` is what its lines have."""

    def __init__(self, currency: str, number: str, *, title: str, author: str,
                 language: str) -> None:  # fmt: skip
        letters.load()
        size = LETTER if currency in _LETTER_MONEY else A4
        self.width = size[0] - 2 * _MARGIN
        self._out = io.BytesIO()
        self._document = BaseDocTemplate(
            self._out, pagesize=size, title=title, author=author, subject=number,
            creator="Wattledger", lang=language, invariant=1, pageCompression=1,
        )  # fmt: skip
        frame = Frame(_MARGIN, _MARGIN, self.width, size[1] - 2 * _MARGIN, 0, 0, 0, 0)
        page = PageTemplate(frames=[frame], onPage=_numbered(number))
        self._document.addPageTemplates(page)

    def made(self, story: list[Flowable]) -> bytes:
        """The PDF with that on it."""
        self._document.build(story)
        return self._out.getvalue()


def _text(value: str) -> str:
    """What the font has letters for, as markup."""
    # A cell of a table is never parted: no text may be as high as a page.
    if value.count("\n") > _BREAKS_MAX:
        value = " ".join(value.split())
    return escape(printable(value), quote=False).replace("\n", "<br/>")


def _style(size: int = 9, *, muted: bool = False, right: bool = False) -> ParagraphStyle:
    return ParagraphStyle(
        "s", fontName=REGULAR, fontSize=size, leading=size * 1.35, splitLongWords=1,
        textColor=MUTED if muted else INK, alignment=TA_RIGHT if right else 0,
    )  # fmt: skip


def p(text: str, size: int = 9, *, bold: bool = False, muted: bool = False,
      right: bool = False) -> Paragraph:  # fmt: skip
    """A piece of text."""
    inner = _text(text)
    return Paragraph(f"<b>{inner}</b>" if bold else inner, _style(size, muted=muted, right=right))


def small(text: str, below: str) -> Paragraph:
    """A text with a smaller one below it."""
    more = f'<br/><font size="7" color="#5a6561">{_text(below)}</font>' if below else ""
    return Paragraph(_text(text) + more, _style())


def heading(text: str) -> Flowable:
    """What stands above a part."""
    return p(text.upper(), 8, bold=True, muted=True)


def rows(each: list[tuple[Any, Any]], width: float, share: float = 0.7) -> Table:
    """Words to the left, figures to the right."""
    table = Table(
        [[left if isinstance(left, Flowable) else p(left),
          right if isinstance(right, Flowable) else p(right, right=True)] for left, right in each],
        colWidths=[width * share, width * (1 - share)],
    )  # fmt: skip
    table.setStyle(TableStyle(TIGHT))
    return table


def _numbered(number: str) -> Any:
    def draw(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(REGULAR, 7)
        canvas.setFillColor(MUTED)
        canvas.drawRightString(
            document.pagesize[0] - _MARGIN, 28, f"{printable(number)} · {document.page}"
        )
        canvas.restoreState()

    return draw

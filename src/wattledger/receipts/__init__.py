"""Receipts: what a driver gets to see of a bill, as a page, on paper, by link and by mail.

Guarantees: everything on a receipt is a figure of an issued document or a stored fact, nothing is
priced or rounded here; the same receipt gives the same bytes; a link can't be guessed. Does not
guarantee that a receipt has what the law of a place asks for: what is known to be missing is named
in ``Receipt.missing``.
"""

from __future__ import annotations

from wattledger.receipts.links import link
from wattledger.receipts.model import Receipt
from wattledger.receipts.page import html
from wattledger.receipts.paper import pdf
from wattledger.receipts.records import xml

__all__ = ["Receipt", "html", "link", "pdf", "xml"]

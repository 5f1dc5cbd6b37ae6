"""What the rules of a place ask of a receipt, and of that what nobody has told us."""

from __future__ import annotations

from collections.abc import Callable

from wattledger.receipts.model import Receipt
from wattledger.tariffs.jurisdictions import ReceiptField

# Everything else stands on every receipt, as far as it applies: what is delivered is metered, and
# what is charged has its lines.
_KNOWN: dict[ReceiptField, Callable[[Receipt], bool]] = {
    ReceiptField.MAX_POWER: lambda r: r.place.power_w > 0,
    ReceiptField.CURRENT_KIND: lambda r: bool(r.place.current_kind),
    ReceiptField.LOCATION: lambda r: bool(r.place.address),
    ReceiptField.BUSINESS_NAME: lambda r: bool(r.seller.name),
    ReceiptField.SELLER_ADDRESS: lambda r: bool(r.seller.address),
    ReceiptField.SELLER_TAX_ID: lambda r: bool(r.seller.tax_ids),
    ReceiptField.SIGNED_RECORD: lambda r: bool(r.signed) and all(s.key for s in r.records),
}
SAYS = {
    ReceiptField.MAX_POWER: "the charge point's power_w",
    ReceiptField.CURRENT_KIND: 'the charge point\'s current_kind, "AC" or "DC"',
    ReceiptField.LOCATION: "the site's address",
    ReceiptField.BUSINESS_NAME: "the legal entity's name",
    ReceiptField.SELLER_ADDRESS: "the legal entity's address",
    ReceiptField.SELLER_TAX_ID: "the legal entity's tax_ids",
    ReceiptField.SIGNED_RECORD: "meter values that are signed, with the key of the meter",
}
"""What is to be configured, or delivered, for a field that is asked for."""


def words(name: str) -> str:
    """What is to be configured for a field."""
    return SAYS.get(ReceiptField(name), name)


def missing(receipt: Receipt) -> tuple[str, ...]:
    """The fields that the place asks for and this receipt can't show."""
    asked = [ReceiptField(name) for name in receipt.asked]
    return tuple(f.value for f in asked if f in _KNOWN and not _KNOWN[f](receipt))

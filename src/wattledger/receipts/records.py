"""The signed records of a session as the XML that the transparency software opens."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from wattledger.receipts.model import Receipt, Signed

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def xml(receipt: Receipt) -> str:
    """All of them, to the letter."""
    values = "".join(_value(record, receipt.session_id) for record in receipt.records)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<values>\n{values}</values>\n'


def _value(record: Signed, session_id: str) -> str:
    form = "OCMF" if record.data.startswith("OCMF|") else record.encoding or "OCMF"
    key = ""
    if record.key:
        compact = "".join(record.key.split())
        encoding = "hex" if _HEX.fullmatch(compact) else "base64"
        key = f'    <publicKey encoding="{encoding}">{escape(compact)}</publicKey>\n'
    return (
        f"  <value transactionId={quoteattr(session_id)} context={quoteattr(record.context)}>\n"
        f'    <signedData format={quoteattr(form)} encoding="plain">{escape(record.data)}'
        f"</signedData>\n{key}  </value>\n"
    )

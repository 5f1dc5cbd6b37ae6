"""A signed record out of what it is wrapped in.

OCMF is text; chargers send it plain, in hex, in base64 (2.0.1 SignedMeterValueType), or as JSON in
the text of a 1.6 sample, with the fields of 2.0.1's type (an application note of the OCA).
What is no OCMF stays as it came, with no encoding, for a person to look at.
"""

from __future__ import annotations

from typing import Any

from wattledger.errors import BadInput, Malformed
from wattledger.wire import ocmf
from wattledger.wire.numbers import decode_json
from wattledger.wire.ocpp.reading import text_of
from wattledger.wire.ocpp.samples import Signed


def in_text(text: str) -> Signed:
    """The record in the value of a 1.6 sample of format SignedData."""
    if text.lstrip().startswith("{"):
        try:
            held = decode_json(text, "signed")
        except Malformed:
            held = None
        if isinstance(held, dict) and isinstance(held.get("signedMeterData"), str):
            return in_object(held) or _verbatim(text)
    found = _record(text)
    return _verbatim(text) if found is None else Signed(_plain(found))


def in_object(held: object) -> Signed | None:
    """The record in a SignedMeterValueType; a bare text in its place is one too."""
    if isinstance(held, str):
        return in_text(held) if held else None
    if not isinstance(held, dict):
        return None if held is None else _verbatim(text_of(held) or "")
    data = held.get("signedMeterData")
    if not isinstance(data, str):
        return _verbatim(text_of(held) or "")
    found = _record(data)
    method, key = _text(held, "signingMethod"), _text(held, "publicKey") or None
    if found is None:
        return Signed(_plain(data), "", method, key)
    return Signed(_plain(found), "OCMF", method, key)


def is_record(text: str) -> bool:
    """Whether a text is an OCMF record, whatever it was called."""
    return text.lstrip().startswith(ocmf.HEADER)


def _record(data: str) -> str | None:
    """OCMF text, out of whatever it is in; None where it is in nothing we know."""
    try:
        return ocmf.unwrap(data).text
    except BadInput:
        return None


def _verbatim(text: str) -> Signed:
    return Signed(_plain(text), "")


def _plain(text: str) -> str:
    return text_of(text) or ""


def _text(held: dict[str, Any], key: str) -> str:
    found = held.get(key)
    return _plain(found) if isinstance(found, str) else ""

"""The XML in which signed meter values are handed to drivers: the transparency software's format.

``<values><value transactionId="" context=""><signedData format="OCMF" encoding="plain">…
</signedData><publicKey encoding="hex">…</publicKey></value></values>``. It comes from anywhere,
so it is read without a DTD, without entities and without a look outside, within bounds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.parsers import expat

import msgspec

from wattledger.errors import Malformed
from wattledger.wire.ocmf import HEADER, Record, Verdict, as_text, join, plain_line, verify
from wattledger.wire.ocmf_keys import decode
from wattledger.wire.ocmf_readings import between

SIZE_MAX = 10_000_000
DEPTH_MAX = 32
EXPECTED = "an OCMF record, or the XML of the transparency software"
_RECORD = re.compile(r"^[ \t]*(?=OCMF\|)", re.MULTILINE)
# The names under which the transparency software knows what is not OCMF.
_STARTS = {"AP;": "ALFEN", "<?xml": "EDL in XML", "<signedMeterValue": "EDL in XML"}


class Signed(msgspec.Struct, frozen=True):
    """One signed value as it stands in a file. ``text`` is None where it is not OCMF, and
    ``refusal`` says what it is."""

    text: str | None
    key: str | None = None
    transaction_id: str | None = None
    context: str | None = None
    refusal: str = ""


def read_file(raw: bytes) -> list[Signed]:
    """Every record in a file, which is the XML or holds OCMF records one after the other.

    Raises BadInput for anything else.
    """
    if len(raw) > SIZE_MAX:
        raise Malformed("$", f"{len(raw)} bytes", f"{SIZE_MAX} at most")
    plain = as_text(raw).strip()
    if plain.startswith("<") or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return read_xml(raw)
    if not plain.startswith(HEADER):
        # Hex, base64 or the JSON of OCPP: whether it is a record is the verdict's to say.
        if not plain or not (plain.startswith("{") or decode(plain)):
            raise Malformed("$", plain, EXPECTED)
        return [Signed(plain)]
    return [Signed(one.strip()) for one in _RECORD.split(plain) if one.strip()]


def read_xml(raw: bytes) -> list[Signed]:
    """Every ``value`` in it, in its order. Raises Malformed for what is no such XML."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Without a DTD there are no entities but the five of XML, and nothing to fetch.
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise Malformed("$", f"broken XML ({error})", EXPECTED) from None
    if reader.root != "values":
        raise Malformed("$", f"an XML of <{reader.root}>", EXPECTED)
    return reader.found


class _Element(msgspec.Struct):
    """What is known of ``signedData``, ``encodedData`` or ``publicKey``."""

    attributes: dict[str, str]
    parts: list[str] = []


class _Reader:
    """Takes the parser's events; keeps nothing but the values."""

    def __init__(self) -> None:
        self.root = ""
        self.found: list[Signed] = []
        self._path: list[str] = []
        self._value: dict[str, str] = {}
        self._elements: dict[str, _Element] = {}

    def doctype(self, *_: object) -> None:
        raise Malformed("$", "an XML with a document type", "one without")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        self.root = self.root or name
        self._path.append(name)
        if len(self._path) > DEPTH_MAX:
            raise Malformed("$", "deeper nesting", f"{DEPTH_MAX} levels at most")
        if self._path == ["values", "value"]:
            self._value, self._elements = attributes, {}
        elif len(self._path) == 3:
            self._elements[name] = _Element(attributes)

    def text(self, text: str) -> None:
        if len(self._path) == 3 and self._path[-1] in self._elements:
            self._elements[self._path[-1]].parts.append(text)

    def end(self, _: str) -> None:
        if self._path == ["values", "value"]:
            self.found.append(_signed(self._value, self._elements))
            self._elements = {}
        self._path.pop()


def _signed(value: dict[str, str], elements: dict[str, _Element]) -> Signed:
    key = elements.get("publicKey")
    data = elements.get("signedData")
    text, refusal = None, "no signedData"
    if data is not None:
        text, refusal = _data(data)
    elif "encodedData" in elements:
        refusal = "format not supported: encrypted data (encodedData)"
    return Signed(
        text=text,
        key=("".join(key.parts).strip() or None) if key is not None else None,
        transaction_id=value.get("transactionId") or None,
        context=value.get("context") or None,
        refusal=refusal,
    )


def _data(data: _Element) -> tuple[str | None, str]:
    """(record, nothing) or (None, why not)."""
    text = "".join(data.parts).strip()
    form = data.attributes.get("format", "").strip()
    if form and form.upper() != "OCMF":
        return None, f"format not supported: {_shown(form)}"
    if not text.startswith(HEADER):
        raw = decode(text)
        if raw is not None and raw.lstrip().startswith(HEADER.encode()):
            text = as_text(raw).strip()
        elif not form:
            known = next((name for start, name in _STARTS.items() if text.startswith(start)), None)
            return None, f"format not supported: {known or 'not OCMF'}"
    return text, ""


def _shown(text: str) -> str:
    return plain_line(text[:40])


class Judged(msgspec.Struct, frozen=True):
    """A value, its verdict, and for the end of a transaction the place of the record with its
    begin: then the verdict's energy is that of both."""

    signed: Signed
    verdict: Verdict
    begun_in: int | None = None


def judge(values: Sequence[Signed], public_key: str | None = None) -> list[Judged]:
    """A verdict on each, and the energy where begin and end stand in two records.

    An end belongs to the last begin before it that has the same transaction id and no end yet.
    """
    found: list[Judged] = []
    begun: dict[str | None, list[int]] = {}
    for i, signed in enumerate(values):
        one = Judged(signed, _verdict(signed, public_key))
        record = one.verdict.record
        if record is not None:
            stated = between(record.readings)
            waiting = begun.setdefault(signed.transaction_id, [])
            if stated.begin is not None and stated.end is None:
                waiting.append(i)
            elif stated.end is not None and stated.begin is None and waiting:
                one = _joined(one, record, found, waiting.pop())
        found.append(one)
    return found


def _verdict(signed: Signed, public_key: str | None) -> Verdict:
    if signed.text is None:
        return Verdict(False, signed.refusal)
    return verify(signed.text, public_key, beside=signed.key)


def _joined(one: Judged, record: Record, before: Sequence[Judged], at: int) -> Judged:
    begin = before[at].verdict
    if not one.verdict.verified:
        return one
    if not begin.verified or begin.record is None:
        reason = f"{one.verdict.reason}; its begin, record {at + 1}, is not verified"
        return msgspec.structs.replace(
            one, verdict=msgspec.structs.replace(one.verdict, reason=reason)
        )
    both = msgspec.structs.replace(
        one.verdict,
        reason=f"{one.verdict.reason}; begin in record {at + 1}",
        transaction=join(begin.record, record),
    )
    return Judged(one.signed, both, at)

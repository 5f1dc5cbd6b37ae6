"""Public keys of meters, in the forms in which they are passed on.

They come out of band (OCMF specification, "Relation of Serial Numbers, Charge Point and Public
Key"): printed on the meter, in a register, in the transparency software's XML, or in OCPP 2.x
beside the signed value. Text is hex (with or without spaces and colons), base64, PEM, or what the
Open Charge Alliance writes into OCPP (``oca:base16:asn1:...``); inside is a DER
SubjectPublicKeyInfo or the bare point.
"""

from __future__ import annotations

import base64
import binascii
import re
from itertools import islice

import msgspec

from wattledger.errors import BadInput
from wattledger.wire.ecdsa import BY_OID, SEQUENCE, Curve, Header, read_header

EXPECTED = "a public key: DER or a point of the curve, in hex or base64, or PEM"
TEXT_MAX = 10_000
_ID_EC_PUBLIC_KEY = bytes.fromhex("2A8648CE3D0201")
_OBJECT_ID, _BIT_STRING = 0x06, 0x03
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_OCA = re.compile(r"oca:(base16|base64):[a-z0-9]+:(.*)", re.DOTALL | re.IGNORECASE)
_HEX = re.compile(r"(0[xX])?((?:[0-9a-fA-F]{2})+)")
_BETWEEN = re.compile(r"[\s:]+")
_TOLD_MAX = 24


class PublicKey(msgspec.Struct, frozen=True):
    """A point; ``curve`` is None where the key does not say on which curve it lies."""

    point: bytes
    curve: Curve | None = None

    @property
    def x(self) -> bytes:
        """The first coordinate, however the point is written."""
        if len(self.point) % 2 == 0:
            return self.point[: len(self.point) >> 1]
        size = len(self.point) - 1
        return self.point[1 : 1 + (size >> 1 if self.point[0] == 4 else size)]


def read_key(text: str, path: str = "public key") -> PublicKey:
    """The key in the text. Raises BadInput that says what is wrong with it."""
    if len(text) > TEXT_MAX:
        raise BadInput(path, f"{len(text)} characters", EXPECTED)
    raw = _raw(text, path)
    if raw.lower().startswith(b"oca:"):
        # In OCPP 2.x the whole of it stands in base64 once more.
        raw = _raw(raw.decode("ascii", "replace"), path)
    if raw[:1] == bytes([SEQUENCE]) and read_header(raw, 0) is not None:
        found = _subject_public_key(raw, path)
        if found is not None:
            return found
    # A point is 04 x y, or 02/03 x: an odd number of bytes. Some meters leave out the 04, and an
    # even number remains; which of them fits, the curve decides.
    if not 25 <= len(raw) <= 133 or (len(raw) % 2 and raw[0] not in (2, 3, 4)):
        raise BadInput(path, _told(text), EXPECTED)
    return PublicKey(raw)


def _raw(text: str, path: str) -> bytes:
    text = text.strip()
    if pem := _PEM.search(text):
        if pem[1] != "PUBLIC KEY":
            raise BadInput(path, f"PEM of a {pem[1]}", EXPECTED)
        text = pem[2]
    if oca := _OCA.fullmatch(text):
        text = oca[2]
    raw = decode(text)
    if not raw:
        raise BadInput(path, _told(text) or "nothing", EXPECTED)
    return raw


def decode(text: str) -> bytes | None:
    """Bytes out of hex or base64, whichever it is; None for neither.

    What could be both is hex: no key or signature in base64 has digits and A to F alone.
    """
    plain = _BETWEEN.sub("", text)
    if found := _HEX.fullmatch(plain):
        return bytes.fromhex(found[2])
    standard = plain.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _subject_public_key(raw: bytes, path: str) -> PublicKey | None:
    """SEQUENCE { SEQUENCE { id-ecPublicKey, named curve }, BIT STRING point } (RFC 5480).

    None where it is something else, for instance a bare x that begins with the same byte.
    """
    whole = read_header(raw, 0)
    algorithm = read_header(raw, whole.start) if whole is not None else None
    if algorithm is None or algorithm.tag != SEQUENCE:
        return None
    kind = read_header(raw, algorithm.start)
    if kind is None or kind.tag != _OBJECT_ID:
        return None
    if _content(raw, kind) != _ID_EC_PUBLIC_KEY:
        raise BadInput(path, "a key of another kind (RSA, for instance)",
                       "a key for ECDSA, as OCMF signs")  # fmt: skip
    name = read_header(raw, kind.end)
    bits = read_header(raw, algorithm.end)
    if name is None or name.tag != _OBJECT_ID:
        raise BadInput(path, "a curve by its parameters", "a curve by its name")
    curve = BY_OID.get(_content(raw, name))
    if curve is None:
        raise BadInput(path, f"a curve with the identifier {_dotted(_content(raw, name))}",
                       "a curve of the OCMF specification")  # fmt: skip
    if bits is None or bits.tag != _BIT_STRING or bits.end > len(raw):
        raise BadInput(path, "a DER key without its point, or cut off", EXPECTED)
    return PublicKey(_content(raw, bits)[1:], curve)


def _content(raw: bytes, header: Header) -> bytes:
    return raw[header.start : header.end]


def _dotted(content: bytes) -> str:
    """An object identifier as people write it (X.690, §8.19), its first few numbers."""
    numbers, value = [], 0
    for byte in content[:40]:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(value)
            value = 0
    first = numbers[0] if numbers else 0
    top = min(first // 40, 2)
    return ".".join(str(n) for n in (top, first - 40 * top, *islice(numbers, 1, 16)))


def _told(text: str) -> str:
    return text if len(text) <= _TOLD_MAX else f"{text[:_TOLD_MAX]}… ({len(text)} characters)"

"""ECDSA as meters sign: the curves of the OCMF specification, signatures as they really come.

``cryptography`` verifies where it knows the curve. It has no secp192k1, and neither has the
``ecdsa`` package; for that one curve the few lines of arithmetic are here. Nothing secret is
handled, so the time they take tells nobody anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from wattledger.errors import BadInput

_HASHES: dict[str, tuple[type[hashes.HashAlgorithm], str]] = {
    "SHA256": (hashes.SHA256, "sha256"),
    "SHA384": (hashes.SHA384, "sha384"),
    "SHA512": (hashes.SHA512, "sha512"),
}
HASHES = frozenset(_HASHES)
SEQUENCE, INTEGER = 0x30, 0x02
_UNCOMPRESSED = b"\x04"

Point = tuple[int, int] | None
"""Affine coordinates; None is the point at infinity."""


class Weierstrass(msgspec.Struct, frozen=True):
    """y² = x³ + ax + b over the integers modulo the prime p, p = 3 mod 4; the base point (gx, gy)
    has the order n. Source: SEC 2, RFC 5639."""

    p: int
    a: int
    b: int
    n: int
    gx: int
    gy: int


class Curve(msgspec.Struct, frozen=True):
    """``size`` is a coordinate's length in bytes, ``oid`` the content of its DER identifier."""

    name: str
    size: int
    oid: bytes
    known: type[ec.EllipticCurve] | None = None
    own: Weierstrass | None = None


SECP192K1 = Weierstrass(
    p=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFEE37,
    a=0,
    b=3,
    n=0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D,
    gx=0xDB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D,
    gy=0x9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D,
)
_ALL = (
    Curve("secp192k1", 24, bytes.fromhex("2B8104001F"), own=SECP192K1),
    Curve("secp192r1", 24, bytes.fromhex("2A8648CE3D030101"), ec.SECP192R1),
    Curve("secp256k1", 32, bytes.fromhex("2B8104000A"), ec.SECP256K1),
    Curve("secp256r1", 32, bytes.fromhex("2A8648CE3D030107"), ec.SECP256R1),
    Curve("secp384r1", 48, bytes.fromhex("2B81040022"), ec.SECP384R1),
    Curve("secp521r1", 66, bytes.fromhex("2B81040023"), ec.SECP521R1),
    Curve("brainpoolP256r1", 32, bytes.fromhex("2B2403030208010107"), ec.BrainpoolP256R1),
    Curve("brainpoolP384r1", 48, bytes.fromhex("2B240303020801010B"), ec.BrainpoolP384R1),
    Curve("brainpoolP512r1", 64, bytes.fromhex("2B240303020801010D"), ec.BrainpoolP512R1),
)
BY_OID = {curve.oid: curve for curve in _ALL}
# The specification writes brainpool256r1 where meters write brainpoolP256r1; both are meant.
BY_NAME = {
    **{curve.name.lower(): curve for curve in _ALL},
    **{curve.name.lower().replace("poolp", "pool"): curve for curve in _ALL},
}


def verify(curve: Curve, hash_name: str, point: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the key ``point`` signed ``data``. Raises ValueError for no point of the curve,
    BadInput for a curve that the installed OpenSSL was built without."""
    if len(point) == 2 * curve.size:
        point = _UNCOMPRESSED + point
    found = candidates(signature, curve.size)
    if curve.known is None:
        assert curve.own is not None
        key = decode_point(curve.own, curve.size, point)
        digest = hashlib.new(_HASHES[hash_name][1], data).digest()
        return any(verify_plain(curve.own, key, digest, r, s) for r, s in found)
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(curve.known(), point)
    except UnsupportedAlgorithm:
        raise BadInput(
            "signature", curve.name, "a curve that this installation's OpenSSL has"
        ) from None
    return any(_verify_known(public, hash_name, data, r, s) for r, s in found)


def _verify_known(
    public: ec.EllipticCurvePublicKey, hash_name: str, data: bytes, r: int, s: int
) -> bool:
    # Written anew: the library takes canonical DER alone, and meters send what they like.
    canonical = utils.encode_dss_signature(r, s)
    try:
        public.verify(canonical, data, ec.ECDSA(_HASHES[hash_name][0]()))
    except InvalidSignature:
        return False
    return True


def candidates(signature: bytes, size: int) -> Iterator[tuple[int, int]]:
    """(r, s) as the bytes can be read: as DER, and as r and s side by side when the length fits.

    DER is read loosely: any length form, leading zeros or none where the sign asks for one,
    bytes left over, a sequence whose own length is off. Which r and s come out is all that
    counts: a wrong pair verifies nothing.
    """
    whole = read_header(signature, 0)
    if whole is not None and whole.tag == SEQUENCE:
        r = read_header(signature, whole.start)
        s = read_header(signature, r.end) if r is not None else None
        if r is not None and s is not None and r.tag == s.tag == INTEGER:
            yield (
                int.from_bytes(signature[r.start : r.end]),
                int.from_bytes(signature[s.start : s.end]),
            )
    if len(signature) == 2 * size:
        yield int.from_bytes(signature[:size]), int.from_bytes(signature[size:])


class Header(msgspec.Struct, frozen=True):
    """A DER element's tag, and where its content begins and should end."""

    tag: int
    start: int
    end: int


def read_header(data: bytes, at: int) -> Header | None:
    """The element that begins there; None where there is none. Its end may lie beyond the data."""
    if at + 2 > len(data):
        return None
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= 0x80:
        more = length - 0x80
        if not 1 <= more <= 4 or start + more > len(data):
            return None
        length, start = int.from_bytes(data[start : start + more]), start + more
    return Header(tag, start, start + length)


def decode_point(curve: Weierstrass, size: int, point: bytes) -> tuple[int, int]:
    """04 x y, or 02/03 x. Raises ValueError for what is no point of the curve."""
    kind, x = point[:1], int.from_bytes(point[1 : 1 + size])
    square = (x**3 + curve.a * x + curve.b) % curve.p
    if kind == _UNCOMPRESSED and len(point) == 1 + 2 * size:
        y = int.from_bytes(point[1 + size :])
    elif kind in (b"\x02", b"\x03") and len(point) == 1 + size:
        y = pow(square, (curve.p + 1) >> 2, curve.p)
        if y & 1 != kind[0] & 1:
            y = curve.p - y
    else:
        raise ValueError("no point")
    if not (x < curve.p and y < curve.p and y * y % curve.p == square):
        raise ValueError("a point that is not on the curve")
    return x, y


def verify_plain(curve: Weierstrass, key: tuple[int, int], digest: bytes, r: int, s: int) -> bool:
    """ECDSA verification by the book (SEC 1, §4.1.4)."""
    if not (0 < r < curve.n and 0 < s < curve.n):
        return False
    e = int.from_bytes(digest) >> max(0, len(digest) * 8 - curve.n.bit_length())
    inverse = pow(s, -1, curve.n)
    u1, u2 = e * inverse % curve.n, r * inverse % curve.n
    base = (curve.gx, curve.gy)
    found = add(curve, multiply(curve, u1, base), multiply(curve, u2, key))
    return found is not None and found[0] % curve.n == r


def multiply(curve: Weierstrass, times: int, point: Point) -> Point:
    """``times`` · ``point``, by doubling and adding."""
    found: Point = None
    while times:
        if times & 1:
            found = add(curve, found, point)
        point = add(curve, point, point)
        times >>= 1
    return found


def add(curve: Weierstrass, one: Point, other: Point) -> Point:
    """The sum of two points."""
    if one is None:
        return other
    if other is None:
        return one
    (x1, y1), (x2, y2) = one, other
    if x1 != x2:
        slope = (y2 - y1) * pow(x2 - x1, -1, curve.p)
    elif (y1 + y2) % curve.p == 0:
        return None
    else:
        slope = (3 * x1 * x1 + curve.a) * pow(2 * y1, -1, curve.p)
    x3 = (slope * slope - x1 - x2) % curve.p
    return x3, (slope * (x1 - x3) - y1) % curve.p

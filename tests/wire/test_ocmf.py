"""OCMF: records signed here with ``cryptography``, which shares nothing with our reading."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wattledger.errors import BadInput
from wattledger.wire import ecdsa, ocmf, transparency
from wattledger.wire.ocmf import Verdict, join, read, readings, verify
from wattledger.wire.ocmf_keys import read_key

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1, "secp256k1": ec.SECP256K1, "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1, "secp521r1": ec.SECP521R1,
    "brainpool256r1": ec.BrainpoolP256R1, "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1, "brainpoolP512r1": ec.BrainpoolP512R1,
}  # fmt: skip
BEGIN = {
    "TM": "2026-06-24T13:22:04,000+0200 S", "TX": "B", "RV": 2935.6, "RI": "1-b:1.8.0",
    "RU": "kWh", "RT": "AC", "EF": "", "ST": "G",
}  # fmt: skip
END = {**BEGIN, "TM": "2026-06-24T15:10:31,250+0200 S", "TX": "E", "RV": 2949.204}
KEY = ec.derive_private_key(11, ec.SECP256R1())


def _payload(*rd: dict[str, Any], **more: Any) -> str:
    return json.dumps({
        "FV": "1.2", "GI": "GW", "GS": "G-1", "PG": "T7", "MS": "M-1", "IS": True,
        "ID": "ä", "RD": list(rd or (BEGIN, END)), **more,
    })  # fmt: skip


def _key(private: ec.EllipticCurvePrivateKey = KEY) -> str:
    return _der(private).hex()


def _der(private: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _sign(
    payload: str,
    private: ec.EllipticCurvePrivateKey = KEY,
    hashed: hashes.HashAlgorithm | None = None,
) -> bytes:
    return private.sign(payload.encode(), ec.ECDSA(hashed or hashes.SHA256()))


def _record(payload: str, signature: bytes | None = None, **section: str) -> str:
    signature = _sign(payload) if signature is None else signature
    return f"OCMF|{payload}|{json.dumps({'SD': signature.hex().upper()} | section)}"


@pytest.mark.parametrize("hashed", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()],
                         ids=lambda h: h.name)  # fmt: skip
@pytest.mark.parametrize("name", CURVES)
def test_every_curve_and_hash(name: str, hashed: hashes.HashAlgorithm) -> None:
    private = ec.derive_private_key(5, CURVES[name]())
    payload = _payload()
    algorithm = f"ECDSA-{name}-{hashed.name.upper()}"
    record = _record(payload, _sign(payload, private, hashed), SA=algorithm)
    assert verify(record, _key(private)) == Verdict(
        True, f"signed ({algorithm})", read(record), readings(record)
    )
    assert not verify(record.replace('"T7"', '"T8"'), _key(private)).verified
    other = ec.derive_private_key(6, CURVES[name]())
    assert not verify(record, _key(other)).verified


def test_energy_is_end_less_begin_exactly() -> None:
    verdict = verify(_record(_payload()), _key())
    found = verdict.transaction
    # 2949.204 − 2935.6 kWh
    assert found.energy_wh == Decimal("13604")
    assert found.begin is not None
    assert found.end is not None
    assert (found.begin.register_wh, found.end.register_wh) == (Decimal(2935600), Decimal(2949204))
    assert found.end.at == datetime(2026, 6, 24, 13, 10, 31, 250000, tzinfo=UTC)
    assert (found.begin.tx, found.begin.unit, found.end.tx, found.end.sync) == (
        "B", "kWh", "E", "S",
    )  # fmt: skip
    assert verdict.record is not None
    assert (verdict.record.pagination, verdict.record.serial) == ("T7", "M-1")


def test_every_byte_of_payload_and_signature_counts() -> None:
    payload = _payload()
    signature = _sign(payload)
    r, s = utils.decode_dss_signature(signature)
    for at in range(0, len(payload), 7):
        c = payload[at]
        if c.isdigit():
            changed = payload[:at] + str((int(c) + 1) % 10) + payload[at + 1 :]
            assert not verify(_record(changed, signature), _key()).verified
    for bit in range(0, 256, 8):
        for wrong in (utils.encode_dss_signature(r ^ 1 << bit, s),
                      utils.encode_dss_signature(r, s ^ 1 << bit)):  # fmt: skip
            assert not verify(_record(payload, wrong), _key()).verified
    for wrong in (
        b"\x30\x06\x02\x01\x00\x02\x01\x00",
        b"\x30\x06\x02\x01\x01\x02\x01\x01",
        b"\x30",
    ):
        assert not verify(_record(payload, wrong), _key()).verified
    assert verify(_record(payload, signature), _key()).verified


def test_the_payload_is_taken_verbatim() -> None:
    """White space, the order of the keys and the digits of a number are what was signed."""
    payload = ' {\n "RD" : [{"TX":"B","RV":1.500,"RI":"1-b:1.8.0","RU":"Wh"}],\t"FV":1.0 } '
    assert verify(_record(payload), _key()).verified
    assert not verify(_record(payload.strip(), _sign(payload)), _key()).verified
    assert read(_record(payload)).payload == payload
    assert str(read(_record(payload)).readings[0].value) == "1.500"
    # No section may hold a bar; one inside a text is still no end of it.
    assert verify(_record(_payload(TT="a|b")), _key()).verified


def _tlv(tag: int, content: bytes, long: int = 0) -> bytes:
    size = len(content)
    head = bytes([size]) if not long else bytes([0x80 + long]) + size.to_bytes(long)
    return bytes([tag]) + head + content


def _signed_with_top_bits() -> tuple[str, int, int]:
    """A payload whose r and s both have their first bit set, so that DER wants a zero before."""
    for i in range(200):
        payload = _payload(PG=f"T{i}")
        r, s = utils.decode_dss_signature(_sign(payload))
        if r >> 255 and s >> 255:
            return payload, r, s
    raise AssertionError


def test_signatures_as_meters_send_them() -> None:
    payload, r, s = _signed_with_top_bits()
    bare = [_tlv(2, n.to_bytes(32)) for n in (r, s)]
    zeros = [_tlv(2, b"\0" * 5 + n.to_bytes(32)) for n in (r, s)]
    for signature in (
        _tlv(0x30, b"".join(bare)),  # negative, read strictly
        _tlv(0x30, b"".join(zeros)),
        _tlv(0x30, _tlv(2, b"\0" + r.to_bytes(32), 1) + _tlv(2, s.to_bytes(32), 2), 2),
        _tlv(0x30, b"".join(bare)) + b"\xff\x00 left over",
        _tlv(0x30, b"".join(bare) + b"\x05\x00"),
        b"\x30\x7f" + b"".join(bare),  # a length that is none
        r.to_bytes(32) + s.to_bytes(32),
    ):
        assert verify(_record(payload, signature), _key()).verified, signature.hex()
        coded = base64.b64encode(signature).decode()
        assert verify(_record(payload, SE="base64", SD=coded), _key()).verified
    huge = _tlv(0x30, _tlv(2, b"\x01" * 60_000, 3) + _tlv(2, s.to_bytes(32)), 3)
    assert not verify(_record(payload, huge), _key()).verified
    for cut in range(70):
        assert not verify(_record(payload, _tlv(0x30, b"".join(bare))[:cut]), _key()).verified
    assert verify(_record(payload, SM="application/x-der"), _key()).verified


def _forms() -> list[str | bytes]:
    der = _der()
    public = KEY.public_key()
    point, compressed = (
        public.public_bytes(serialization.Encoding.X962, form)
        for form in (serialization.PublicFormat.UncompressedPoint,
                     serialization.PublicFormat.CompressedPoint)
    )  # fmt: skip
    spaced = " ".join(der.hex().upper()[i : i + 4] for i in range(0, len(der) * 2, 4))
    oca = f"oca:base16:asn1:{der.hex()}"
    return [
        der.hex(), spaced, ":".join(f"{b:02x}" for b in der), "0x" + der.hex(),
        base64.b64encode(der).decode(), base64.urlsafe_b64encode(der).decode().rstrip("="),
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode(),
        point.hex(), point[1:].hex(), compressed.hex(), base64.b64encode(point).decode(),
        oca, base64.b64encode(oca.encode()).decode(),
        f"oca:base64:asn1:{base64.b64encode(der).decode()}", (der + b"\0\0").hex(),
    ]  # fmt: skip


@pytest.mark.parametrize("form", _forms())
def test_public_keys_as_they_are_passed_on(form: str) -> None:
    assert verify(_record(_payload()), form).verified
    assert read_key(form).x == read_key(_key()).x


RSA = "30820122300D06092A864886F70D01010105000382010F003082010A0282010100AFB7132688B62CD01B240B9B21"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "no public key: none was given, and none came with the record"),
        ("", "no public key"),
        ("hello world", "expected a public key"),
        ("00" * 64, "no point of the curve"),
        ("04" + "11" * 64, "no point of the curve"),
        ("11" * 30, "no point of the curve"),
        (_key(ec.derive_private_key(3, ec.SECP384R1())),
         "the key is on secp384r1, the record was signed on secp256r1"),
        (_key(ec.derive_private_key(3, ec.SECP224R1())), "the identifier 1.3.132.0.33"),
        (RSA, "a key of another kind"),
        (_der()[:40].hex(), "cut off"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----", "EC PRIVATE KEY"),
        ("A" * 20_000, "20000 characters"),
    ],
)  # fmt: skip
def test_a_key_that_can_not_verify_says_why(key: str | None, reason: str) -> None:
    verdict = verify(_record(_payload()), key)
    assert not verdict.verified
    assert reason in verdict.reason
    assert verdict.record is not None
    assert verdict.transaction.energy_wh is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("", "expected an OCMF record"),
        ("OCMF", "expected an OCMF record"),
        ("OCMF|", "payload"),
        ("OCMF|{}", "no signature section"),
        ("OCMF|{}|", "signature"),
        ("OCMF|{}|{}", "payload.RD: got None, expected a list of readings"),
        ("OCMF|[]|{}", "a JSON object"),
        ("OCMF|{broken|{}", "payload"),
        (_record(_payload()) + " and more", "expected an OCMF record"),
        (_record('{"PG":"T1","PG":"T2","RD":[]}'), "the same key twice"),
        (_record('{"RD":[1]}'), "payload.RD[0]"),
        (_record('{"RD":[{"RV":"12,5"}]}'), "payload.RD[0].RV"),
        (_record('{"RD":[{"RV":1e999}]}'), "RV"),
        (_record('{"RD":[{"RV":NaN}]}'), "payload"),
        (_record('{"RD":[{"RU":["kWh"]}]}'), "payload.RD[0].RU"),
        (_record(_payload(FV="2.0")), "payload.FV: got '2.0'"),
        (_record(_payload(FV="0.3")), "a format version from 0.4 to 1.x"),
        (_record(_payload(), SA="ECDSA-secp224r1-SHA256"), "does not name: ECDSA-secp224r1"),
        (_record(_payload(), SA="ECDSA-secp256r1-MD5"), "does not name"),
        (_record(_payload(), SA="RSA-SHA256"), "does not name"),
        (_record(_payload(), SM="application/pgp"), "signature.SM"),
        (_record(_payload(), SD=""), "no signature"),
        (_record(_payload(), SD="not in hex!"), "no signature"),
        (_record(_payload(SA="ECDSA-secp256k1-SHA256"), SA="ECDSA-secp256r1-SHA256"),
         "signature.SA"),
        (_record(_payload()) + "\n" + _record(_payload()), "2 records"),
        ("OCMF|" + "[" * 100_000 + "|{}", "payload"),
        ("OCMF|{\"a\":\"\ud800\"}|{}", "characters that can be written"),
        ("OCMF|" + " " * 2_000_000, "2000005 characters"),
    ],
)  # fmt: skip
def test_a_record_that_can_not_be_taken_says_why(record: str, reason: str) -> None:
    verdict = verify(record, _key())
    assert not verdict.verified
    assert reason in verdict.reason
    assert verdict.line.isprintable()


def test_the_algorithm_of_version_0_4_stands_in_the_payload() -> None:
    private = ec.derive_private_key(5, ec.SECP256K1())
    payload = _payload(FV="0.4", SA="ECDSA-secp256k1-SHA256")
    assert verify(_record(payload, _sign(payload, private)), _key(private)).verified


def test_as_ocpp_carries_it() -> None:
    """1.6: SignedData in hex, or the type of 2.x as JSON in the value; 2.x: base64."""
    plain = _record(_payload())
    coded = base64.b64encode(plain.encode()).decode()
    key = base64.b64encode(f"oca:base16:asn1:{_key()}".encode()).decode()
    inside = json.dumps({"signedMeterData": coded, "encodingMethod": "OCMF", "publicKey": key})
    for carried in (plain, plain.encode().hex(), coded, inside, f"\n {plain}\r\n"):
        assert verify(carried, _key()).verified
        assert read(carried).payload == _payload()
    assert verify(inside).reason == "signed (ECDSA-secp256r1-SHA256) by the key that came with it"
    # The transparency software also takes a key as a fourth section.
    assert verify(f"{plain}|{_key()}").verified
    # A key that is known goes before the one that came along, and a difference is told.
    other = _key(ec.derive_private_key(12, ec.SECP256R1()))
    assert not verify(inside, other).verified
    told = verify(inside.replace(key, other), _key())
    assert told.verified
    assert told.reason.endswith("; the record comes with another key than the one given")
    assert verify(plain, _key(), beside="?").reason.endswith(
        "can't be read, the one given was used"
    )


def test_bytes_in_latin_1_are_those_that_were_signed() -> None:
    payload = _payload().replace("\\u00e4", "ä")
    signature = KEY.sign(payload.encode("latin-1"), ec.ECDSA(hashes.SHA256()))
    raw = _record(payload, signature).encode("latin-1")
    (signed,) = transparency.read_file(raw)
    assert signed.text is not None
    assert verify(signed.text, _key()).verified
    assert verify(_record(payload), _key()).verified


@pytest.mark.parametrize(
    ("rd", "energy_wh", "faults"),
    [
        # Left out: time, reason, register, unit, flags and state are those of the reading before.
        ([BEGIN, {"TX": "E", "RV": 2935.7}], "100", ()),
        ([BEGIN, {"TX": "C", "RV": 2936}, {"RV": 2937}, {"TX": "L", "RV": 2938}], "2400", ()),
        # A value is never taken over: what has none reports an event.
        ([BEGIN, {"TX": "E"}], None, ("end: no value in Wh or kWh",)),
        ([BEGIN, END | {"RU": "sec"}], None, ("end: no value in Wh or kWh",)),
        ([BEGIN | {"RU": "Wh", "RV": "   5.25"}, {"TX": "R", "RV": "0007.5"}], "2.25", ()),
        ([BEGIN, END | {"EF": "E"}], None, ("end: energy not usable (EF)",)),
        ([BEGIN, END | {"EF": "t"}], "13604", ()),
        ([BEGIN, END | {"ST": "T"}], None, ("end: the meter did not answer in time (ST T)",)),
        ([BEGIN | {"ST": None}, END], None,
         ("begin: the meter does not say that it is well (ST missing)",)),
        ([BEGIN, {"TX": "C", "RV": 2936, "EF": "E"}, END], None,
         ("in between: energy not usable (EF)",)),
        ([BEGIN, {"TX": "X", "RV": 2936}, END], None,
         ("exception: not usable from here on (TX X)",)),
        ([BEGIN, {"TX": "X", "RV": 2936, "EF": "t"}, END], "13604", ()),
        ([BEGIN, END | {"RV": 2935.5}], None, ("the register went back",)),
        ([BEGIN | {"RV": -1}, END], None, ("begin: a register below zero",)),
        ([END, BEGIN], None, ("the end stands before the begin",)),
        # Export, reactive energy, a code that nobody knows, none at all: nothing to bill.
        *(
            ([BEGIN | {"RI": obis}, END | {"RI": obis}], None,
             ("no reading of an import register",))
            for obis in ("1-b:2.8.0", "01-00:C2.08.00*FF", "1-b:1.9.0", "1-0:98.8.0.FF", "1-b", "")
        ),
        *(
            ([BEGIN | {"RI": obis}, END | {"RI": obis}], "13604", ())
            for obis in ("1-0:1.8.0*198", "01-00:01.08.00.FF", "1-b:1.8.e", "01-00:B2.08.00*FF",
                         "01-00:b0.08.00*ff")
        ),
        # Of two registers the one at the vehicle, behind the cable's loss: 12.5 of 13.604 kWh.
        ([BEGIN | {"RI": "01-00:B2.08.00*FF"}, BEGIN | {"RI": "01-00:B3.08.00*FF"},
          END | {"RI": "01-00:B2.08.00*FF"}, END | {"RI": "01-00:B3.08.00*FF", "RV": 2948.1}],
         "12500", ()),
        ([BEGIN | {"RI": "01-00:B2.08.00*FF"}, BEGIN,
          END | {"RI": "01-00:B2.08.00*FF"}, END | {"RV": 2948.1}],
         None, ("two import registers disagree",)),
        ([], None, ()),
        # Fiscal metering: a reading without a transaction.
        ([{"TM": "x", "RV": 1, "RU": "kWh", "RI": "1-b:1.8.0", "ST": "G"}], None, ()),
    ],
)  # fmt: skip
def test_what_may_be_billed(
    rd: list[dict[str, Any]], energy_wh: str | None, faults: tuple[str, ...]
) -> None:
    found = verify(_record(_payload(RD=rd)), _key())
    assert found.verified
    assert found.transaction.energy_wh == (None if energy_wh is None else Decimal(energy_wh))
    assert found.transaction.faults == faults


@pytest.mark.parametrize(
    ("written", "at", "sync"),
    [
        ("2018-07-24T13:22:04,000+0200 S", datetime(2018, 7, 24, 11, 22, 4, tzinfo=UTC), "S"),
        ("2018-07-24T13:22:04,5-0330 R",
         datetime(2018, 7, 24, 16, 52, 4, 500000, tzinfo=UTC), "R"),
        ("2018-07-24T13:22:04Z I", datetime(2018, 7, 24, 13, 22, 4, tzinfo=UTC), "I"),
        ("1970-01-01T01:21:45,000+0100 U", datetime(1970, 1, 1, 0, 21, 45, tzinfo=UTC), "U"),
        ("2018-07-24T13:22:04,000 S", None, "S"),
        ("2018-02-30T13:22:04,000+0200 S", None, "S"),
        ("yesterday", None, ""),
    ],
)  # fmt: skip
def test_times(written: str, at: datetime | None, sync: str) -> None:
    (found,) = read(_record(_payload({"TM": written}))).readings
    assert (found.at, found.sync) == (at, sync)


def test_begin_and_end_in_two_records() -> None:
    begin, end = read(_record(_payload(BEGIN, PG="T7"))), read(_record(_payload(END, PG="T8")))
    assert join(begin, end).energy_wh == Decimal(13604)
    for other, fault in (
        (_payload(END, PG="T7"), "the pagination does not rise: T7, T7"),
        (_payload(END, PG="T8", MS="M-2"), "begin and end come from two meters"),
    ):
        found = join(begin, read(_record(other)))
        assert (found.energy_wh, found.faults) == (None, (fault,))
    assert readings(_record(_payload(END))).begin is None
    with pytest.raises(BadInput):
        readings("OCMF|")


# SEC 2 and RFC 5639: what our own arithmetic does is held against the library's.
KNOWN = {
    "secp256k1": ecdsa.Weierstrass(
        p=2**256 - 2**32 - 977, a=0, b=7,
        n=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
        gx=0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
        gy=0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    ),
    "secp256r1": ecdsa.Weierstrass(
        p=2**256 - 2**224 + 2**192 + 2**96 - 1, a=-3,
        b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        gx=0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        gy=0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("hashed", [hashes.SHA256(), hashes.SHA512()], ids=lambda h: h.name)
def test_our_own_arithmetic_agrees_with_the_library(
    name: str, hashed: hashes.HashAlgorithm
) -> None:
    curve = KNOWN[name]
    for secret in (1, 2, 12345, curve.n - 1):
        private = ec.derive_private_key(secret, CURVES[name]())
        r, s = utils.decode_dss_signature(private.sign(b"data", ec.ECDSA(hashed)))
        hasher = hashes.Hash(hashed)
        hasher.update(b"data")
        digest = hasher.finalize()
        for form in (serialization.PublicFormat.UncompressedPoint,
                     serialization.PublicFormat.CompressedPoint):  # fmt: skip
            point = private.public_key().public_bytes(serialization.Encoding.X962, form)
            key = ecdsa.decode_point(curve, 32, point)
            assert key == ecdsa.multiply(curve, secret, (curve.gx, curve.gy))
        assert ecdsa.verify_plain(curve, key, digest, r, s)
        assert ecdsa.verify_plain(curve, key, digest, r, curve.n - s)  # as any ECDSA does
        for wrong in ((r ^ 1, s), (r, s ^ 1), (0, s), (r, 0), (curve.n + r, s), (s, r)):
            assert not ecdsa.verify_plain(curve, key, digest, *wrong)
        assert not ecdsa.verify_plain(curve, key, bytes(32), r, s)


def test_a_curve_that_openssl_was_built_without_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise UnsupportedAlgorithm("no such curve")

    monkeypatch.setattr(ec.EllipticCurvePublicKey, "from_encoded_point", missing)
    verdict = verify(_record(_payload()), _key())
    assert not verdict.verified
    assert "a curve that this installation's OpenSSL has" in verdict.reason


def test_secp192k1_is_the_curve_of_the_standard() -> None:
    curve = ecdsa.SECP192K1
    assert curve.p == 2**192 - 2**32 - 2**12 - 2**8 - 2**7 - 2**6 - 2**3 - 1
    base = (curve.gx, curve.gy)
    assert (curve.gy**2 - curve.gx**3 - curve.b) % curve.p == 0
    assert ecdsa.multiply(curve, curve.n, base) is None
    for bad in (b"\x04" + bytes(48), b"\x05" + bytes(24), b"\x04" + b"\xff" * 48, b"\x02"):
        with pytest.raises(ValueError):
            ecdsa.decode_point(curve, 24, bad)
    x, y = curve.gx.to_bytes(24), curve.gy.to_bytes(24)
    odd = b"\x03" if curve.gy & 1 else b"\x02"
    assert ecdsa.decode_point(curve, 24, b"\x04" + x + y) == base
    assert ecdsa.decode_point(curve, 24, odd + x) == base


VALUE = '<value transactionId="1"><signedData format="OCMF" encoding="{}">{}</signedData>{}</value>'


def _xml(*values: str, before: str = "", root: str = "values") -> bytes:
    return f'<?xml version="1.0"?>{before}<{root}>{"".join(values)}</{root}>'.encode()


def test_the_container() -> None:
    plain = _record(_payload())
    key = f"<publicKey>{_key()}</publicKey>"
    escaped = plain.replace("<", "&lt;")
    raw = _xml(
        VALUE.format("plain", f"\n  {escaped}\n", key),
        VALUE.format("hex", plain.encode().hex(), key),
        VALUE.format("base64", base64.b64encode(plain.encode()).decode(), key),
        VALUE.format("plain", f"<![CDATA[{plain}]]>", key),
        VALUE.format("plain", escaped, ""),
        '<value><signedData format="ALFEN">AP;0;3</signedData></value>',
        "<value><signedData>AP;0;3</signedData></value>",
        "<value><signedData>what</signedData></value>",
        '<value><encodedData format="OCMF">30</encodedData></value>',
        "<value/>",
    )
    for made in (raw, raw.decode().replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16")):
        found = transparency.judge(transparency.read_file(made))
        assert [one.verdict.verified for one in found] == [True] * 4 + [False] * 6
        assert [one.verdict.reason for one in found[4:]] == [
            "no public key: none was given, and none came with the record",
            "format not supported: ALFEN",
            "format not supported: ALFEN",
            "format not supported: not OCMF",
            "format not supported: encrypted data (encodedData)",
            "no signedData",
        ]
    assert transparency.read_file(_xml()) == []


BOMB = '<!DOCTYPE values [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE values SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize(
    "raw",
    [
        _xml(VALUE.format("plain", "&b;", ""), before=BOMB),
        _xml(VALUE.format("plain", "x", ""), before=OUTSIDE),
        _xml(VALUE.format("plain", "&undefined;", "")),
        _xml(root="other"),
        b"<values>",
        b"<values/><more/>",
        b'<?xml version="1.0" encoding="klingon"?><values/>',
        b"<values>" + b"<a>" * 100_000,
        b"<values>\xff\xfe</values>",
        b"",
        b"\0\1\2",
        b"hello, not a record",
        b" " * (transparency.SIZE_MAX + 1),
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_a_file_that_is_no_container_is_refused(raw: bytes) -> None:
    with pytest.raises(BadInput):
        transparency.read_file(raw)


def test_records_in_a_container_pair_up() -> None:
    def value(transaction: str, payload: str) -> str:
        key = f"<publicKey>{_key()}</publicKey>"
        return VALUE.format("plain", _record(payload), key).replace('"1"', f'"{transaction}"', 1)

    found = transparency.judge(transparency.read_file(_xml(
        value("1", _payload(BEGIN, PG="T1")),
        value("2", _payload(BEGIN | {"RV": 10}, PG="T2")),
        value("1", _payload(END, PG="T3")),
        value("2", _payload(END | {"RV": 10.0625}, PG="T4")),
        value("3", _payload(END, PG="T5")),
        value("4", _payload(BEGIN, PG="T6")).replace("2935.6", "2935.7"),
        value("4", _payload(END, PG="T7")),
        value("5", _payload(BEGIN, PG="T8")),  # its end never came: the next begin counts
        value("5", _payload(BEGIN | {"RV": 2940}, PG="T9")),
        value("5", _payload(END, PG="T10")),
    )))  # fmt: skip
    assert [(one.verdict.verified, one.verdict.transaction.energy_wh, one.begun_in)
            for one in found] == [
        (True, None, None), (True, None, None), (True, Decimal(13604), 0),
        (True, Decimal("62.5"), 1), (True, None, None), (False, None, None), (True, None, None),
        (True, None, None), (True, None, None), (True, Decimal(9204), 8),
    ]  # fmt: skip
    assert found[2].verdict.reason.endswith("; begin in record 1")
    assert found[6].verdict.reason.endswith("; its begin, record 6, is not verified")


GOOD = _record(_payload())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["RD", "TM", "TX", "RV", "RI", "RU", "EF", "ST", "SA", "SD"]),
                      inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def _read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadInput):
        transparency.judge(transparency.read_file(raw))


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(GOOD)), st.text(max_size=60))
@example(b"\x30\x80", 0, "OCMF|")
def test_nothing_that_comes_makes_it_fail(noise: bytes, at: int, words: str) -> None:
    spliced = GOOD[:at] + words + GOOD[at + len(noise) :]
    for text in (words, "OCMF|" + words, spliced, noise.hex(), noise.decode("latin-1")):
        assert isinstance(verify(text, _key()), Verdict)
    assert isinstance(verify(GOOD, words), Verdict)
    assert isinstance(verify(GOOD, noise.hex()), Verdict)
    assert isinstance(verify(GOOD, "3059" + noise.hex()), Verdict)
    assert not verify(_record(_payload(), noise), _key()).verified
    for raw in (noise, b"<values>" + noise, b"OCMF|" + noise, words.encode()):
        _read_or_refused(raw)


@settings(max_examples=80, deadline=None)
@given(JSON, JSON)
def test_no_json_makes_it_fail(payload: object, signature: object) -> None:
    text = f"OCMF|{json.dumps(payload)}|{json.dumps(signature)}"
    assert not verify(text, _key()).verified
    if isinstance(payload, dict):
        signed = verify(_record(json.dumps(payload)), _key())
        assert isinstance(signed, Verdict)
        assert signed.line.isprintable()
    assert ocmf.plain_line("a\x1b[31m\nb").isprintable()

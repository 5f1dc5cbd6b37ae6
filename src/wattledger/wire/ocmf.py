"""Signed meter values in the Open Charge Metering Format (OCMF), versions 0.4 to 1.x.

``OCMF|<payload>|<signature>``: the signature is over the payload's bytes exactly as they were
sent, so a record is kept and passed on verbatim and never written anew. ``verify`` says whether
the meter's key signed it and what energy it states; ``readings`` gives begin and end. Neither
does any I/O, and neither fails over what a meter sends: a verdict has its reason.

Source: OCMF specification 1.2 (S.A.F.E. e.V.), https://github.com/SAFE-eV; what meters really
send: the test records of the transparency software.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from wattledger.errors import BadInput, Malformed
from wattledger.wire import exact
from wattledger.wire.ecdsa import BY_NAME, HASHES, Curve
from wattledger.wire.ecdsa import verify as verify_signature
from wattledger.wire.ocmf_keys import decode, read_key
from wattledger.wire.ocmf_readings import Reading, Transaction, between, read_all, text

HEADER = "OCMF|"
TEXT_MAX = 1_000_000
RECORD = "an OCMF record: OCMF|{...}|{...}"
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"
_ALGORITHM = re.compile(r"ECDSA-([a-z0-9]+)-(SHA[0-9]+)", re.IGNORECASE)
_VERSION = re.compile(r"(?:0\.[4-9]|1(?:\.[0-9]+)*)")
_PAGINATION = re.compile(r"([A-Z])([0-9]{1,20})")
_DER = "application/x-der"
_SCANNER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record as it was sent (``payload`` verbatim), and what it says.

    Identification is empty where the record leaves it out. ``key`` is a public key that stands
    in or beside the record; it proves no more than whoever wrote it there.
    """

    payload: str
    algorithm: str
    signature: str
    version: str = ""
    gateway: str = ""
    gateway_serial: str = ""
    gateway_version: str = ""
    pagination: str = ""
    meter_vendor: str = ""
    meter_model: str = ""
    meter_serial: str = ""
    meter_firmware: str = ""
    identified: bool | None = None
    identification_level: str = ""
    identification_flags: tuple[str, ...] = ()
    identification_type: str = ""
    identification: str = ""
    charge_point_type: str = ""
    charge_point: str = ""
    tariff_text: str = ""
    readings: tuple[Reading, ...] = ()
    key: str | None = None

    @property
    def serial(self) -> str:
        """Of the meter, or of the gateway that signs for it."""
        return self.meter_serial or self.gateway_serial


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the key signed the record; ``reason`` says why not, or by which algorithm.

    ``record`` is None where it can't be read. ``transaction`` has the energy, and is empty
    unless ``verified``: nothing that was not signed is billed.
    """

    verified: bool
    reason: str
    record: Record | None = None
    transaction: Transaction = Transaction()

    @property
    def line(self) -> str:
        """The reason, and why its energy may not be billed."""
        faults = "; ".join(self.transaction.faults)
        return plain_line(f"{self.reason}; not billable: {faults}" if faults else self.reason)


def verify(signed: str, public_key: str | None = None, *, beside: str | None = None) -> Verdict:
    """The verdict on one record, plain or as OCPP wraps it (see ``unwrap``).

    ``public_key`` is the one that is known to be the meter's. It goes before a key in the record
    or ``beside`` it, which proves less; a difference of the two is told.
    """
    try:
        record = read(signed)
        if beside is not None:
            record = msgspec.structs.replace(record, key=beside)
    except BadInput as error:
        return Verdict(False, plain_line(str(error)))
    try:
        reason, verified = _check(record, public_key)
    except BadInput as error:
        return Verdict(False, plain_line(str(error)), record)
    if not verified:
        return Verdict(False, reason, record)
    return Verdict(True, reason, record, between(record.readings))


def readings(signed: str) -> Transaction:
    """Begin, end and energy as the record states them, whoever signed it.

    Raises BadInput for what is no record.
    """
    return between(read(signed).readings)


def join(begin: Record, end: Record) -> Transaction:
    """The transaction of a record with its begin and another with its end (SingleReading)."""
    found = between((*begin.readings, *end.readings))
    faults = list(found.faults)
    if begin.serial != end.serial:
        faults.append("begin and end come from two meters")
    first, last = _page(begin.pagination), _page(end.pagination)
    if first and last and (first[0] != last[0] or last[1] <= first[1]):
        faults.append(f"the pagination does not rise: {begin.pagination}, {end.pagination}")
    return msgspec.structs.replace(
        found, faults=tuple(faults), energy_wh=None if faults else found.energy_wh
    )


def _check(record: Record, given: str | None) -> tuple[str, bool]:
    match = _ALGORITHM.fullmatch(record.algorithm)
    curve = BY_NAME.get(match[1].lower()) if match else None
    if match is None or curve is None or match[2].upper() not in HASHES:
        return f"an algorithm that the specification does not name: {record.algorithm[:60]}", False
    text = given or record.key
    if not text:
        return "no public key: none was given, and none came with the record", False
    key = read_key(text)
    if key.curve is not None and key.curve is not curve:
        return f"the key is on {key.curve.name}, the record was signed on {curve.name}", False
    signature = decode(record.signature)
    if not signature:
        return "no signature: SD is neither hex nor base64", False
    other = _differs(given, record.key)
    if _signed(record.payload, curve, match[2].upper(), key.point, signature):
        whose = "" if given else " by the key that came with it"
        return f"signed ({record.algorithm}){whose}{other}", True
    return f"the signature does not match payload and key{other}", False


def _signed(payload: str, curve: Curve, hashed: str, point: bytes, signature: bytes) -> bool:
    try:
        if verify_signature(curve, hashed, point, payload.encode(), signature):
            return True
        # Where it came through an XML or a file in Latin-1, the meter's bytes were those.
        return not payload.isascii() and verify_signature(
            curve, hashed, point, payload.encode("latin-1"), signature
        )
    except UnicodeEncodeError:
        return False
    except ValueError:
        raise BadInput("public key", "no point of the curve", f"a key on {curve.name}") from None


def _differs(given: str | None, beside: str | None) -> str:
    if not given or not beside:
        return ""
    try:
        same = read_key(given).x == read_key(beside).x
    except BadInput:
        return "; the key with the record can't be read, the one given was used"
    return "" if same else "; the record comes with another key than the one given"


def read(signed: str) -> Record:
    """The record, of one text. Raises BadInput, with the path in its payload."""
    found = unwrap(signed)
    parts = list(split(found.text))
    if len(parts) != 1:
        raise Malformed("record", f"{len(parts)} records", "one OCMF record")
    payload, rest, key = parts[0]
    fields = _object(payload, "payload")
    signature = _object(rest, "signature")
    version = text(fields, "FV", "payload").strip()
    if version and not _VERSION.fullmatch(version):
        raise BadInput("payload.FV", version, "a format version from 0.4 to 1.x")
    media = text(signature, "SM", "signature") or _DER
    if media.lower() != _DER:
        raise BadInput("signature.SM", media, _DER)
    # Version 0.4 has the algorithm among the signed data, later ones beside the signature.
    inside, beside = text(fields, "SA", "payload"), text(signature, "SA", "signature")
    if inside and beside and inside != beside:
        raise BadInput("signature.SA", beside, f"{inside}, as in the payload")
    return _record(fields, Record(
        payload=payload, algorithm=beside or inside or DEFAULT_ALGORITHM,
        signature=text(signature, "SD", "signature"), version=version, key=found.key or key,
    ))  # fmt: skip


def _record(fields: dict[str, Any], record: Record) -> Record:
    def of(key: str) -> str:
        return text(fields, key, "payload")

    flags = fields.get("IF")
    identified = fields.get("IS")
    return msgspec.structs.replace(
        record,
        gateway=of("GI"), gateway_serial=of("GS"), gateway_version=of("GV"),
        pagination=of("PG"),
        meter_vendor=of("MV"), meter_model=of("MM"), meter_serial=of("MS"),
        meter_firmware=of("MF"),
        identified=identified if isinstance(identified, bool) else None,
        identification_level=of("IL"),
        identification_flags=tuple(
            flag for flag in (flags if isinstance(flags, list) else []) if isinstance(flag, str)
        ),
        identification_type=of("IT"), identification=of("ID"),
        charge_point_type=of("CT"), charge_point=of("CI"), tariff_text=of("TT"),
        readings=read_all(fields.get("RD"), "payload.RD"),
    )  # fmt: skip


def _object(raw: str, path: str) -> dict[str, Any]:
    value = exact.parse(raw.encode(), path)
    exact.check_plain(value, path)
    if not isinstance(value, dict):
        raise Malformed(path, value, "a JSON object")
    return value


class Unwrapped(msgspec.Struct, frozen=True):
    """The plain text of a record, and a public key that came in the same wrapping."""

    text: str
    key: str | None = None


def unwrap(signed: str) -> Unwrapped:
    """A record out of what OCPP carries it in: plain, in hex (1.6), in base64 (2.x), or the
    SignedMeterValueType as JSON inside a 1.6 ``value``. Raises Malformed for anything else."""
    if len(signed) > TEXT_MAX:
        raise Malformed("record", f"{len(signed)} characters", f"{TEXT_MAX} at most")
    try:
        signed.encode()
    except UnicodeEncodeError:
        raise Malformed("record", signed.strip(), "characters that can be written") from None
    plain, key = signed.strip(), None
    if plain.startswith("{"):
        wrapped = _object(plain, "record")
        plain = text(wrapped, "signedMeterData", "record").strip()
        key = text(wrapped, "publicKey", "record") or None
    if not plain.startswith(HEADER):
        raw = decode(plain)
        if raw is None or not raw.lstrip().startswith(HEADER.encode()):
            raise Malformed("record", signed.strip(), RECORD)
        plain = as_text(raw).strip()
    return Unwrapped(plain, key)


def as_text(raw: bytes) -> str:
    """UTF-8, as OCMF is JSON; Latin-1 where it is not, so that no byte is lost."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def split(plain: str) -> Iterator[tuple[str, str, str | None]]:
    """(payload, signature section, key) of each record in a text that holds them one after the
    other. The specification forbids ``|`` within a section; where a meter has one within a JSON
    text all the same, it does not end the section. Raises Malformed."""
    at = 0
    while at < len(plain):
        if not plain.startswith(HEADER, at):
            raise Malformed("record", plain[at : at + 80], RECORD)
        start = at + len(HEADER)
        bar = _section_end(plain, start, "payload")
        if plain[bar : bar + 1] != "|":
            raise Malformed("record", "no signature section", RECORD)
        end = _section_end(plain, bar + 1, "signature")
        key = None
        at = end
        if plain[end : end + 1] == "|":
            at = _next_record(plain, end)
            key = plain[end + 1 : at].strip() or None
        yield plain[start:bar], plain[bar + 1 : end], key


def _section_end(plain: str, start: int, name: str) -> int:
    begin = _skip_space(plain, start)
    try:
        _, end = _SCANNER.raw_decode(plain, begin)
    except (ValueError, RecursionError) as error:
        raise Malformed(name, plain[begin : begin + 80], f"a JSON object ({error})") from None
    return _skip_space(plain, end)


def _skip_space(plain: str, at: int) -> int:
    while at < len(plain) and plain[at] in " \t\r\n":
        at += 1
    return at


def _next_record(plain: str, at: int) -> int:
    found = plain.find(HEADER, at)
    return len(plain) if found < 0 else found


def _page(pagination: str) -> tuple[str, int] | None:
    match = _PAGINATION.fullmatch(pagination.strip())
    return (match[1], int(match[2])) if match else None


def plain_line(text: str) -> str:
    """One line that does nothing to a terminal: what a record holds may be anything."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))

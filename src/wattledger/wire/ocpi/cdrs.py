"""Reading a CDR of any version: fast where all is as it should be, else slowly and in full.

The fast way decodes straight into the version's record and then looks at every number and time.
Whatever it stumbles over (an unknown field, null, a wrong value, a key that stands twice, a
number in quotes) sends the record the slow way, which reads it field by field and says where and
what. Of keys that stand twice the fast way notices all in the periods and the list of periods
itself; of others in the CDR (``currency``, its location) it takes the last. The tariffs in a CDR
stay as their bytes, and are read key by key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from decimal import DecimalException
from typing import Any

import msgspec

from wattledger.errors import BadInput, Malformed
from wattledger.wire import exact, records
from wattledger.wire.ocpi import v211, v221, v230
from wattledger.wire.ocpi.common import NOTHING, VERSIONS, Version

Cdr = v211.Cdr | v221.Cdr | v230.Cdr

_RECORDS: dict[Version, type[Cdr]] = {"2.1.1": v211.Cdr, "2.2.1": v221.Cdr, "2.3.0": v230.Cdr}
_DECODERS: dict[Version, msgspec.json.Decoder[Any]] = {
    version: msgspec.json.Decoder(record) for version, record in _RECORDS.items()
}


class _Answer(msgspec.Struct):
    data: msgspec.Raw = NOTHING


_UTC = {UTC}
_PERIODS = b'"charging_periods"'
# A NUL, or a letter of a key written so that it is not counted.
_ESCAPED = re.compile(rb"\\u00[0-7]")


def decode_cdr(
    raw: bytes, version: str | None = None, path: str = "$"
) -> tuple[Version, Cdr, list[str]]:
    """The record in ``raw``, with its version and a warning for everything that was not read.

    Raises Malformed for what is no JSON, BadInput for a value that can't be taken.
    """
    known = check_version(version) if version is not None else _likely_version(raw)
    try:
        cdr = _DECODERS[known].decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _slow(raw, version, path)
    if not _is_sound(cdr, raw):
        return _slow(raw, version, path)
    return known, _in_utc(cdr, path), []


def each_cdr(raw: bytes, path: str = "$") -> list[tuple[str, bytes]]:
    """The records of a file, each with its path: one, a list, or an answer with ``data``."""
    try:
        if raw.lstrip()[:1] != b"[":
            found = msgspec.json.decode(raw, type=_Answer).data
            if not bytes(found):
                return [(path, raw)]
            raw, path = bytes(found), f"{path}.data"
        if raw.lstrip()[:1] != b"[":
            return [(path, raw)]
        listed = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(path, raw[:80].decode("utf-8", "replace"), f"JSON ({error})") from None
    return [(f"{path}[{i}]", bytes(item)) for i, item in enumerate(listed)]


class _Numbered(msgspec.Struct):
    id: str | None = None


def number_of(raw: bytes) -> str | None:
    """The id of a record that may not be one, to speak of it."""
    try:
        return msgspec.json.decode(raw, type=_Numbered).id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def check_version(version: str) -> Version:
    """Raises BadInput when it is none of ours."""
    for known in VERSIONS:
        if version == known:
            return known
    raise BadInput("version", version, "one of " + ", ".join(VERSIONS))


def version_of(found: Mapping[str, Any]) -> Version:
    """The version of a parsed CDR, by what only one of them has."""
    total = found.get("total_cost")
    if "stop_date_time" in found or "auth_id" in found:
        return "2.1.1"
    if total is not None and not isinstance(total, Mapping):
        return "2.1.1"
    if isinstance(total, Mapping) and "before_taxes" in total:
        return "2.3.0"
    tariffs = found.get("tariffs")
    if not isinstance(total, Mapping) and isinstance(tariffs, list):
        taxed = any(isinstance(t, Mapping) and "tax_included" in t for t in tariffs)
        return "2.3.0" if taxed else "2.2.1"
    return "2.2.1"


def _likely_version(raw: bytes) -> Version:
    """A guess from the bytes; a wrong one fails to decode, and the slow way asks the fields."""
    # The totals stand at the end, so that the periods need not be searched.
    if raw.rfind(b'"excl_vat"') >= 0:
        return "2.2.1"
    if b'"stop_date_time"' in raw:
        return "2.1.1"
    return "2.3.0" if b'"before_taxes"' in raw or b'"tax_included"' in raw else "2.2.1"


def _slow(raw: bytes, version: str | None, path: str) -> tuple[Version, Cdr, list[str]]:
    found = exact.parse(raw, path)
    if isinstance(found, exact.Twice):
        raise exact.twice(found, path)
    if not isinstance(found, dict):
        raise BadInput(path, found, "a CDR: a JSON object")
    known = check_version(version) if version is not None else version_of(found)
    warnings: list[str] = []
    return known, records.read(found, _RECORDS[known], path, warnings), warnings


def _is_sound(cdr: Cdr, raw: bytes) -> bool:
    """Every number bounded, every clock sane, and in the periods every key there once.

    The quotes between the first period and the last are counted: a key that stands twice has two
    more than what was decoded, and so has a volume in quotes.
    """
    quotes = 0
    check_bounded = exact.check_bounded
    try:
        for period in cdr.charging_periods:
            if not 1970 <= period.start_date_time.year < 2200:
                return False
            # "start_date_time": "…", "dimensions", and "tariff_id": "…" where there is one.
            quotes += 6 if period.tariff_id is None else 10
            for dimension in period.dimensions:
                quotes += 6  # "type": "…", "volume"
                # JSON has no NaN: only a quoted volume could be one.
                check_bounded(dimension.volume)
        for number in cdr.numbers:
            if number is not None and not check_bounded(number).is_finite():
                return False
    except DecimalException:
        return False
    since = raw.find(_PERIODS) + len(_PERIODS)
    until = raw.find(b"}", raw.find(b"]", raw.rfind(b'"volume"')))
    return (
        1970 <= cdr.start_date_time.year < 2200
        and 1970 <= cdr.end_date_time.year < 2200
        and (cdr.last_updated is None or 1970 <= cdr.last_updated.year < 2200)
        and raw.count(b'"', since, until) == quotes
        and not (b"\\" in raw and _ESCAPED.search(raw))
    )


def _in_utc(cdr: Cdr, path: str) -> Cdr:
    """With each of its times in UTC; most often they are already, and nothing is done."""
    zones = {period.start_date_time.tzinfo for period in cdr.charging_periods}
    zones |= {cdr.start_date_time.tzinfo, cdr.end_date_time.tzinfo}
    if zones == _UTC and (cdr.last_updated is None or cdr.last_updated.tzinfo is UTC):
        return cdr
    changed: dict[str, Any] = {
        name: exact.in_utc(at, f"{path}.{name}")
        for name in ("start_date_time", "end_date_time", "last_updated")
        if (at := getattr(cdr, name)) is not None
    }
    changed["charging_periods"] = tuple(
        msgspec.structs.replace(
            period,
            start_date_time=exact.in_utc(
                period.start_date_time, f"{path}.charging_periods[{i}].start_date_time"
            ),
        )
        for i, period in enumerate(cdr.charging_periods)
    )
    return msgspec.structs.replace(cdr, **changed)

"""Any tariff there is, out of a file and into one: what format it is, reading it, converting it.

A file is JSON or, for our own form, TOML. It holds one tariff, a list of them, an OCPI answer
(``{"data": …, "status_code": …}``), an OCPP request (``{"tariff": …}``) or a configuration with
``[[tariff]]`` tables.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from wattledger.errors import BadInput, Malformed
from wattledger.tariffs import ocpi_writer, ocpp21_writer
from wattledger.tariffs.model import Tariff
from wattledger.tariffs.ocpi import read_ocpi, version_of
from wattledger.tariffs.ocpi_writer import write_ocpi
from wattledger.tariffs.ocpp21 import read_ocpp21
from wattledger.tariffs.ocpp21_writer import write_ocpp21
from wattledger.tariffs.reader import read_tariff, to_body
from wattledger.wire import exact
from wattledger.wire.ocpi.common import Version

Format = Literal["ocpi-2.1.1", "ocpi-2.2.1", "ocpi-2.3.0", "ocpp-2.1", "wattledger"]
FORMATS: tuple[Format, ...] = (
    "ocpi-2.1.1", "ocpi-2.2.1", "ocpi-2.3.0", "ocpp-2.1", "wattledger",
)  # fmt: skip
_OCPI: dict[Version, Format] = {
    "2.1.1": "ocpi-2.1.1", "2.2.1": "ocpi-2.2.1", "2.3.0": "ocpi-2.3.0",
}  # fmt: skip
_VERSIONS: dict[Format, Version] = {name: version for version, name in _OCPI.items()}

Found = tuple[Tariff, list[str], Format]


def detect(raw: bytes | Mapping[str, Any], path: str = "$") -> Format:
    """The format of a tariff, or of the first in a file; raises BadInput for none of ours."""
    value = _items(raw, path)[0][1] if isinstance(raw, bytes) else raw
    return _format(value, path)


def read_any(raw: bytes, path: str = "$", form: str | None = None) -> Found:
    """The one tariff in a file, its warnings and its format.

    ``form`` says the format where its own fields shall not. Raises Malformed and BadInput.
    """
    items = _items(raw, path)
    if len(items) != 1:
        raise BadInput(path, f"{len(items)} tariffs", "one")
    return _read(items[0][1], items[0][0], form)


def read_any_list(raw: bytes, path: str = "$", form: str | None = None) -> list[Found]:
    """Every tariff in a file, at least one."""
    return [_read(value, where, form) for where, value in _items(raw, path)]


def convert(
    tariff: Tariff,
    target: str,
    *,
    country_code: str | None = None,
    party_id: str | None = None,
    last_updated: datetime | None = None,
) -> bytes:
    """The tariff in another format, as JSON for people to read.

    The three are what OCPI requires and a tariff may go without. Raises CantSay with every loss.
    """
    form = check_format(target)
    body: dict[str, Any]
    if form == "wattledger":
        body = {key: value for key, value in to_body(tariff).items() if value not in (None, [])}
    elif form == "ocpp-2.1":
        body = write_ocpp21(tariff)
    else:
        body = write_ocpi(
            tariff,
            _VERSIONS[form],
            country_code=country_code,
            party_id=party_id,
            last_updated=last_updated,
        )
    return msgspec.json.format(exact.dump(body), indent=2) + b"\n"


def left_behind(tariff: Tariff, target: str) -> list[str]:
    """The paths of what ``convert`` leaves out without a word: none of it prices anything."""
    form = check_format(target)
    if form == "wattledger":
        return []
    if form == "ocpp-2.1":
        return ocpp21_writer.left_behind(tariff)
    return ocpi_writer.left_behind(tariff, _VERSIONS[form])


def check_format(form: str) -> Format:
    """Raises BadInput when it is none of ours."""
    for known in FORMATS:
        if form == known:
            return known
    raise BadInput("format", form, "one of " + ", ".join(FORMATS))


def _read(value: Any, path: str, form: str | None) -> Found:
    known = check_format(form) if form is not None else _format(value, path)
    if known == "ocpp-2.1":
        tariff, warnings = read_ocpp21(value, path)
    elif known == "wattledger":
        exact.check_plain(value, path)
        tariff, warnings = read_tariff(value, path), []
    else:
        tariff, warnings = read_ocpi(value, _VERSIONS[known], path)
    return tariff, warnings, known


def _format(value: Any, path: str) -> Format:
    if isinstance(value, Mapping):
        if "tariffId" in value:
            return "ocpp-2.1"
        elements = value.get("elements")
        for element in elements if isinstance(elements, list) else ():
            if isinstance(element, Mapping) and "price_components" in element:
                return _OCPI[version_of(value)]
            if isinstance(element, Mapping) and "components" in element:
                return "wattledger"
    raise BadInput(
        path, value, "a tariff: OCPI's elements with price_components, OCPP 2.1's tariffId, or "
        "our own elements with components",
    )  # fmt: skip


def _items(raw: bytes, path: str) -> list[tuple[str, Any]]:
    """Each tariff in a file with its path; at least one."""
    value = _parse(raw, path)
    if isinstance(value, exact.Twice):
        raise exact.twice(value, path)
    if isinstance(value, dict) and "elements" not in value:
        for key in ("tariff", "data"):
            if key in value:
                value, path = value[key], f"{path}.{key}"
                break
    if not isinstance(value, list):
        return [(path, value)]
    if not value:
        raise BadInput(path, value, "at least one tariff")
    return [(f"{path}[{i}]", item) for i, item in enumerate(value)]


def _parse(raw: bytes, path: str) -> Any:
    readers: list[Callable[[bytes, str], Any]] = [exact.parse, _toml]
    # A TOML file may begin as a JSON list does, so the other way is tried too.
    if not raw.lstrip().startswith((b"{", b"[{", b"[ ", b"[\n", b"[\r", b"[\t", b"[]")):
        readers.reverse()
    first: Malformed | None = None
    for read in readers:
        try:
            return read(raw, path)
        except Malformed as error:
            first = first or error
    assert first is not None, "both have failed"
    raise first


def _toml(raw: bytes, path: str) -> Any:
    try:
        value = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Malformed(path, raw[:80].decode("utf-8", "replace"), f"TOML ({error})") from None
    exact.check_depth(value, path)
    return value

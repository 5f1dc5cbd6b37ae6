"""What a terminal's vendor reports of its payments: one form, by whichever door it comes.

A report is an authorization, a settlement or a reversal. Amounts are decimals in major units, as
text or as a number that is exactly one; times have a zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, DecimalException
from typing import Any, Literal

import msgspec

from wattledger import money
from wattledger.errors import BadInput
from wattledger.wire import exact

Kind = Literal["authorization", "settlement", "reversal"]
KINDS = ("authorization", "settlement", "reversal")
NAMES = ("kind", "reference", "terminal", "at", "amount", "currency", "charge_point_id",
         "connector_id", "session", "authorized_at", "brand", "last4")  # fmt: skip
"""What a report may have; the first four it needs, and an amount unless it is a reversal."""
_REFERENCE_MAX = 255
_TEXT_MAX = 255


class Report(msgspec.Struct, frozen=True):
    """One report. ``terminal`` is ours, or the vendor's own name for it; ``session`` is what it
    says it is for: our id, or the charge point's transaction id."""

    kind: Kind
    reference: str
    terminal: str
    at: datetime
    amount: str | None = None
    currency: str | None = None
    charge_point_id: str | None = None
    connector_id: int | None = None
    session: str | None = None
    authorized_at: datetime | None = None
    brand: str | None = None
    last4: str | None = None

    def amount_minor(self, currency: str, path: str) -> int:
        """In the smallest unit of the entity's currency. Raises BadInput for another currency, or
        for what is finer."""
        if self.currency is not None and self.currency.upper() != currency:
            raise BadInput(f"{path}.currency", self.currency, f"{currency}, as its legal entity")
        return money.parse_minor(self.amount or "", currency, f"{path}.amount")

    def raw(self) -> bytes:
        """By which a repetition is known: the same whatever form it came in."""
        return msgspec.json.encode(self, order="deterministic")


def read(found: object, path: str) -> Report:
    """The report in a JSON object. Raises BadInput with the path, what came, what was expected."""
    if isinstance(found, exact.Twice):
        raise exact.twice(found, path)
    if not isinstance(found, dict):
        raise BadInput(path, found, "an object with " + ", ".join(NAMES))
    for name in found:
        if name not in NAMES:
            raise BadInput(f"{path}.{name}", found[name], "one of " + ", ".join(NAMES))
    given = {name: value for name, value in found.items() if value not in (None, "")}
    kind = given.get("kind")
    if kind not in KINDS:
        raise BadInput(f"{path}.kind", kind, "one of " + ", ".join(KINDS))
    if kind != "reversal" and "amount" not in given:
        raise BadInput(f"{path}.amount", None, "a decimal such as 12.00")
    return Report(
        kind=kind,
        reference=_text(given, path, "reference", _REFERENCE_MAX, needed=True),
        terminal=_text(given, path, "terminal", _TEXT_MAX, needed=True),
        at=_time(given, path, "at"),
        amount=_amount(given, path),
        currency=_text(given, path, "currency", 3) or None,
        charge_point_id=_text(given, path, "charge_point_id", _TEXT_MAX) or None,
        connector_id=_connector(given, path),
        session=_text(given, path, "session", _TEXT_MAX) or None,
        authorized_at=_time(given, path, "authorized_at") if "authorized_at" in given else None,
        brand=_text(given, path, "brand", 40) or None,
        last4=_last4(given, path),
    )


def _text(
    given: Mapping[str, Any], path: str, name: str, most: int, *, needed: bool = False
) -> str:
    value = given.get(name, "")
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise BadInput(f"{path}.{name}", value, f"text, {most} characters at most")
    value = value.strip()
    if needed and not value:
        raise BadInput(f"{path}.{name}", None, f"text, 1 to {most} characters")
    return value


def _time(given: Mapping[str, Any], path: str, name: str) -> datetime:
    value = given.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{path}.{name}", value, "a time such as 2026-11-24T10:15:00Z")
    return exact.moment(value, f"{path}.{name}")


def _amount(given: Mapping[str, Any], path: str) -> str | None:
    value = given.get("amount")
    if value is None:
        return None
    text = _written(value, f"{path}.amount")
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise BadInput(f"{path}.amount", value, "a decimal such as 12.00")
    if text.startswith("-"):
        raise BadInput(f"{path}.amount", text, "zero or more: what goes back is a reversal")
    return text


def _written(value: object, path: str) -> str:
    """A number in full; never one so far from 1 that it would fill the memory."""
    if not isinstance(value, Decimal):
        return str(value)
    try:
        exact.check_bounded(value)
    except DecimalException:
        raise BadInput(path, value, "a number that can be") from None
    return format(value, "f")


def _connector(given: Mapping[str, Any], path: str) -> int | None:
    value = given.get("connector_id")
    if value is None:
        return None
    text = _written(value, f"{path}.connector_id")
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:5]) <= 9_999:
        raise BadInput(f"{path}.connector_id", value, "a connector's number, from 1 on")
    if "charge_point_id" not in given:
        raise BadInput(f"{path}.charge_point_id", None, "the connector's charge point")
    return int(text)


def _last4(given: Mapping[str, Any], path: str) -> str | None:
    """Never more than four digits of a card: whoever sends all of it is refused, not quoted."""
    value = given.get("last4")
    if value is None:
        return None
    text = str(value)
    if len(text) > 4 or not text.isascii() or not text.isdecimal():
        raise BadInput(f"{path}.last4", "(not shown)", "the last four digits of the card, no more")
    return text


def read_lines(raw: bytes) -> Iterator[tuple[str, object | BadInput]]:
    """JSON lines: each with its place, or with what is wrong with it."""
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", exact.parse(line)
        except BadInput as error:
            yield f"line {number}", error

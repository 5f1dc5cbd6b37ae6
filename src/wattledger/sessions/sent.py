"""A finished session as JSON: that of ``session_file``, with who charged, where, and what was paid.

``{…, "token", "charge_point_id", "connector_id"?, "external"?: {"reference", "amount_minor",
"currency"}}``

Instead of ``charge_point_id`` the ``evse.id`` may name it, alone or with the connector:
``DEPOT-01*2``. ``ended_at`` is required: a session that still runs is no session to bill. Unlike a
file for ``wattledger price`` a field that is not known is an error: here it decides who pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from wattledger.clock import utc_text
from wattledger.errors import BadInput
from wattledger.sessions.finished import READING_OFF_MAX, ChangeIn, ExternalIn, ReadingIn, SessionIn
from wattledger.sessions.session_file import (
    SessionJson,
    changes_of,
    reading_of,
    reserved_of,
    time_of,
)
from wattledger.wire import records

NAMES = {
    "id": "session_id",
    "stopped_at": "ended_at",
    "unplugged_at": "ended_at",
    "register_wh": "energy_wh",
    "changes": "states",
    "reserved": "reservation",
    "site_id": "location.id",
    "time_zone": "location.time_zone",
}
"""What ``SessionIn`` calls otherwise than this form does."""
_UNKNOWN = ": unknown field, not read"


class External(msgspec.Struct, frozen=True):
    """What somebody else has taken for it."""

    reference: str
    amount_minor: int
    currency: str


class Sent(SessionJson, frozen=True, kw_only=True):
    """The form."""

    token: str
    charge_point_id: str | None = None
    connector_id: int | None = None
    external: External | None = None


def read(found: object, path: str, *, relative: bool = False) -> SessionIn:
    """The session in parsed JSON (``exact.parse``). Raises BadInput with the path."""
    warnings: list[str] = []
    sent = records.read(found, Sent, path, warnings)
    for warning in warnings:
        if warning.endswith(_UNKNOWN):
            fields = ", ".join(sorted(Sent.__struct_fields__))
            raise BadInput(warning.removesuffix(_UNKNOWN), "a field that is not known",
                           f"no others than: {fields}, and theirs")  # fmt: skip
    if sent.ended_at is None:
        raise BadInput(f"{path}.ended_at", None, "the end: only finished sessions are taken")
    started_at = time_of(sent.started_at, f"{path}.started_at")
    ended_at = time_of(sent.ended_at, f"{path}.ended_at")
    if ended_at < started_at:
        expected = f"a time not before {utc_text(started_at)}"
        raise BadInput(f"{path}.ended_at", sent.ended_at, expected)
    changes, finished_at = changes_of(sent.states, f"{path}.states")
    stopped_at = ended_at if finished_at is None else min(finished_at, ended_at)
    charge_point_id, connector_id = _place(sent, path)
    return SessionIn(
        id=sent.session_id,
        charge_point_id=charge_point_id,
        connector_id=connector_id,
        token=sent.token,
        started_at=started_at,
        stopped_at=stopped_at,
        readings=_readings(sent, stopped_at, ended_at, path),
        unplugged_at=ended_at if ended_at > stopped_at else None,
        changes=tuple(ChangeIn(c.at, c.activity) for c in changes),
        external=_external(sent.external),
        relative=relative,
        reserved=reserved_of(sent.reservation, started_at, f"{path}.reservation"),
        evse_kind=sent.evse.kind,
        site_id=sent.location.id,
        time_zone=sent.location.time_zone,
    )


def _external(sent: External | None) -> ExternalIn | None:
    return ExternalIn(sent.reference, sent.amount_minor, sent.currency) if sent else None


def split_evse(text: str) -> tuple[str, int | None]:
    """``DEPOT-01*2`` is connector 2 of DEPOT-01: no id of a charge point has a star in it."""
    point, star, connector = text.rpartition("*")
    if star and point and connector.isascii() and connector.isdecimal() and len(connector) <= 4:
        return point, int(connector)
    return text, None


def place(
    charge_point_id: str | None, connector_id: int | None, evse_id: str | None, path: str
) -> tuple[str, int | None]:
    """The charge point and its connector, whichever way they were named. Raises BadInput where
    nothing is named, or two things are."""
    point, connector = split_evse(evse_id) if evse_id is not None else (None, None)
    if charge_point_id is not None and point is not None and charge_point_id != point:
        raise BadInput(f"{path}.evse.id", evse_id, f"an EVSE of {charge_point_id}, or none")
    if connector_id is not None and connector is not None and connector_id != connector:
        raise BadInput(f"{path}.evse.id", evse_id, f"connector {connector_id}, or none")
    found = charge_point_id or point
    if not found:
        raise BadInput(f"{path}.charge_point_id", charge_point_id, "the id of a charge point")
    return found, connector if connector_id is None else connector_id


def _place(sent: Sent, path: str) -> tuple[str, int]:
    point, connector = place(sent.charge_point_id, sent.connector_id, sent.evse.id, path)
    return point, 1 if connector is None else connector


def _readings(
    sent: Sent, stopped_at: datetime, ended_at: datetime, path: str
) -> tuple[ReadingIn, ...]:
    """As they were sent. Of those after the stop one is left, at the stop: nothing is delivered
    any more, so that the last register is that of the stop."""
    found = []
    for i, each in enumerate(sent.readings):
        where = f"{path}.readings[{i}]"
        reading = reading_of(each, where)
        if stopped_at < ended_at < reading.at:
            raise BadInput(f"{where}.at", utc_text(reading.at), "a time not after ended_at")
        found.append(ReadingIn(reading.at, reading.register_wh, reading.power_mw))
    if stopped_at == ended_at:
        return tuple(found)
    _check_stands(found, stopped_at, path)
    kept = [r for r in found if r.at <= stopped_at]
    later = [r for r in found if r.at > stopped_at]
    if later:
        kept.append(ReadingIn(stopped_at, max(r.register_wh for r in later)))
    return tuple(kept)


def _check_stands(found: Sequence[ReadingIn], stopped_at: datetime, path: str) -> None:
    """Raises BadInput where the register moved after the transaction was over."""
    before = [r for r in found if stopped_at - READING_OFF_MAX <= r.at <= stopped_at]
    if not before:
        return
    at_stop = max(before, key=lambda r: (r.at, r.register_wh)).register_wh
    for i, reading in enumerate(found):
        if reading.at > stopped_at and reading.register_wh != at_stop:
            raise BadInput(
                f"{path}.readings[{i}].energy_wh", reading.register_wh,
                f"{at_stop}, the register when it was finished ({utc_text(stopped_at)})",
            )  # fmt: skip

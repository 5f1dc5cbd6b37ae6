"""A session as a file: documented JSON, for the command line, for tests, for another system.

``{"session_id", "location": {"id"?, "country"?, "time_zone"?}, "evse": {"id"?, "max_power_w"?,
"kind"?}, "started_at", "ended_at"?, "readings": [{"at", "energy_wh", "power_w"?, "current_a"?}],
"states"?: [{"at", "state"}], "reservation"?: {"from", "to"?, "expired"?}}``

``energy_wh`` is the cumulative register. A state (``charging``, ``suspended_ev``,
``suspended_evse``, ``finished``) holds until the next one; before the first the car charges. From
``finished`` on the transaction is over and the car only stays. Without ``ended_at`` the session
still runs, and what it costs so far is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Literal

import msgspec

from wattledger.clock import utc_text, zone_named
from wattledger.energy import REGISTER_MAX_WH
from wattledger.errors import BadInput
from wattledger.sessions.model import Activity, Change, Delivery, Reading, Reserved
from wattledger.wire import exact, records
from wattledger.wire.numbers import parse_time

UNKNOWN_ZONE = ""
"""The time zone of a delivery that nobody gave one."""
_MILLION = 1_000_000
# Whatever the caller's own context is.
_EXACT = Context(prec=100)
_STATES = {
    "charging": Activity.CHARGING,
    "suspended_ev": Activity.VEHICLE_IDLE,
    "suspended_evse": Activity.CHARGER_PAUSE,
    "finished": Activity.VEHICLE_IDLE,
}


class _Location(msgspec.Struct, frozen=True):
    id: str | None = None
    country: str | None = None
    time_zone: str | None = None


class _Evse(msgspec.Struct, frozen=True):
    id: str | None = None
    max_power_w: Decimal | None = None
    kind: Literal["AC", "DC"] | None = None


class ReadingJson(msgspec.Struct, frozen=True):
    """A reading as it is sent."""

    at: str
    energy_wh: Decimal
    power_w: Decimal | None = None
    current_a: Decimal | None = None


class _State(msgspec.Struct, frozen=True):
    at: str
    state: Literal["charging", "suspended_ev", "suspended_evse", "finished"]


class _Reservation(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    from_: str
    to: str | None = None
    expired: bool = False


class SessionJson(msgspec.Struct, frozen=True):
    """The file. The API's door takes the same with more (``sessions.sent``)."""

    session_id: records.Id
    started_at: str
    readings: tuple[ReadingJson, ...]
    location: _Location = _Location()
    evse: _Evse = _Evse()
    ended_at: str | None = None
    states: tuple[_State, ...] = ()
    reservation: _Reservation | None = None


class SessionFile(msgspec.Struct, frozen=True):
    """What the file says. Where it names no time zone the delivery's is ``UNKNOWN_ZONE``."""

    delivery: Delivery
    country: str | None
    warnings: tuple[str, ...]


def read_session(raw: bytes, path: str = "$") -> SessionFile:
    """The session in ``raw``. Readings may come in any order and more than once; of two registers
    at one moment the higher counts. Raises Malformed for what is no JSON, BadInput with the path
    for a value that can't be taken.
    """
    found = exact.parse(raw, path)
    warnings: list[str] = []
    session = records.read(found, SessionJson, path, warnings)
    started_at = time_of(session.started_at, f"{path}.started_at")
    readings = _readings(session.readings, f"{path}.readings")
    changes, finished_at = changes_of(session.states, f"{path}.states")
    if session.ended_at is not None:
        ended_at = time_of(session.ended_at, f"{path}.ended_at")
    else:
        ended_at = max([started_at, *(r.at for r in readings), *(c.at for c in changes)])
    if ended_at < started_at:
        raise BadInput(
            f"{path}.ended_at", session.ended_at, f"a time not before {utc_text(started_at)}"
        )
    delivery = Delivery(
        session_id=session.session_id,
        time_zone=_zone(session.location.time_zone, f"{path}.location.time_zone"),
        started_at=started_at,
        ended_at=ended_at,
        readings=readings,
        changes=changes,
        stopped_at=min(finished_at or ended_at, ended_at),
        max_power_w=_whole(session.evse.max_power_w, 1, f"{path}.evse.max_power_w"),
        evse_kind=session.evse.kind,
        reserved=reserved_of(session.reservation, started_at, f"{path}.reservation"),
    )
    return SessionFile(delivery, session.location.country, tuple(warnings))


def _zone(name: str | None, path: str) -> str:
    if name is None:
        return UNKNOWN_ZONE
    if zone_named(name) is None:
        raise BadInput(path, name, "an IANA time zone such as Europe/Berlin")
    return name


def _readings(given: Iterable[ReadingJson], path: str) -> tuple[Reading, ...]:
    found: dict[datetime, Reading] = {}
    for i, each in enumerate(given):
        reading = reading_of(each, f"{path}[{i}]")
        known = found.get(reading.at)
        if known is None or reading.register_wh >= known.register_wh:
            found[reading.at] = reading
    return tuple(found[at] for at in sorted(found))


def reading_of(each: ReadingJson, path: str) -> Reading:
    """One reading, its register in whole Wh. Raises BadInput."""
    if not 0 <= each.energy_wh <= REGISTER_MAX_WH:
        expected = f"a register from 0 to {REGISTER_MAX_WH} Wh"
        raise BadInput(f"{path}.energy_wh", each.energy_wh, expected)
    return Reading(
        time_of(each.at, f"{path}.at"),
        _rounded(each.energy_wh),
        _whole(each.power_w, 1000, f"{path}.power_w"),
        _whole(each.current_a, _MILLION, f"{path}.current_a"),
    )


def changes_of(given: Sequence[_State], path: str) -> tuple[tuple[Change, ...], datetime | None]:
    """What car and charger did, and when the transaction was over, if it says so."""
    timed = [(time_of(each.at, f"{path}[{i}].at"), i, each.state) for i, each in enumerate(given)]
    timed.sort()
    found: list[Change] = []
    finished_at: datetime | None = None
    for at, i, state in timed:
        if finished_at is not None and state == "charging":
            raise BadInput(
                f"{path}[{i}].state", state, f"nothing that charges after finished at "
                f"{utc_text(finished_at)}",
            )  # fmt: skip
        if state == "finished" and finished_at is None:
            finished_at = at
        found.append(Change(at, _STATES[state]))
    return tuple(found), finished_at


def reserved_of(given: _Reservation | None, started_at: datetime, path: str) -> Reserved | None:
    """The reservation, which ended with the start of the session unless it says otherwise."""
    if given is None:
        return None
    from_at = time_of(given.from_, f"{path}.from")
    to_at = started_at if given.to is None else time_of(given.to, f"{path}.to")
    if to_at < from_at:
        raise BadInput(f"{path}.to", utc_text(to_at), f"a time not before {utc_text(from_at)}")
    return Reserved(from_at, to_at, given.expired)


def time_of(text: str, path: str) -> datetime:
    """A zone is required here: this format is ours, and a naive time is a guess."""
    return exact.in_utc(parse_time(text, path), path)


def _whole(value: Decimal | None, factor: int, path: str) -> int | None:
    if value is None:
        return None
    if value < 0:
        raise BadInput(path, value, "a number, not negative")
    return _rounded(_EXACT.multiply(value, Decimal(factor)))


def _rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))

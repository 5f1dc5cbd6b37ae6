"""A finished session as another system tells it, whichever door it came through.

Pure: the values, what contradicts itself, and the facts they are made into. The doors (JSON,
a mapped file, an OCPI CDR) each read their own form into ``SessionIn``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.energy import REGISTER_MAX_WH
from wattledger.errors import BadInput
from wattledger.ids import derive
from wattledger.section import Section
from wattledger.sessions.assemble import Fact
from wattledger.sessions.model import Activity, Reserved
from wattledger.wire.numbers import CLOCK_AHEAD_MAX, OLDEST

READINGS_MAX = 20_000
CONNECTOR_MAX = 1_000
MINOR_MAX = 10**15
# The first reading stands at the start and the last at the stop, or this close to it.
READING_OFF_MAX = timedelta(minutes=5)


class ReadingIn(Section, frozen=True):
    """A register reading, with the power where it was measured."""

    at: datetime
    register_wh: int
    power_mw: int | None = None


class ChangeIn(Section, frozen=True):
    """From ``at`` on, what car and charger did."""

    at: datetime
    activity: Activity


class ExternalIn(Section, frozen=True):
    """What was taken elsewhere. ``without_tax``: the sender named no more than the net."""

    reference: str
    amount_minor: int
    currency: str
    without_tax: bool = False


class SessionIn(Section, frozen=True):
    """A finished session. ``id`` is the sender's; sent again it changes nothing.

    ``external`` makes the route external, unless ``by_plan``: then it is only compared.
    ``relative``: the sender knew the energy and no register, so it counts from 0.
    ``site_id`` and ``time_zone`` are what the sender holds for true of the place.
    """

    id: str
    charge_point_id: str
    connector_id: int
    token: str
    started_at: datetime
    stopped_at: datetime
    readings: tuple[ReadingIn, ...]
    unplugged_at: datetime | None = None
    changes: tuple[ChangeIn, ...] = ()
    external: ExternalIn | None = None
    by_plan: bool = False
    relative: bool = False
    reserved: Reserved | None = None
    evse_kind: str | None = None
    site_id: str | None = None
    time_zone: str | None = None

    @property
    def in_order(self) -> list[ReadingIn]:
        """The readings by time, whatever order the sender wrote them in."""
        return sorted(self.readings, key=lambda r: (r.at, r.register_wh))

    @property
    def told(self) -> dict[str, Any]:
        """What no fact says, and its price or its register rests on."""
        found: dict[str, Any] = {"register": "relative"} if self.relative else {}
        if self.reserved is not None:
            found["reserved"] = msgspec.to_builtins(self.reserved)
        if self.evse_kind is not None:
            found["evse_kind"] = self.evse_kind
        return found

    @property
    def energy_wh(self) -> int:
        """Last register minus first."""
        ordered = self.in_order
        return ordered[-1].register_wh - ordered[0].register_wh


def check(session: SessionIn, path: str) -> None:
    """Raises BadInput for what contradicts itself, whenever it is sent."""
    if session.stopped_at < session.started_at:
        raise BadInput(
            f"{path}.stopped_at", session.stopped_at.isoformat(), "a time after the start"
        )
    if not 2 <= len(session.readings) <= READINGS_MAX:
        raise BadInput(
            f"{path}.readings", len(session.readings),
            f"2 to {READINGS_MAX} readings: the register at the start, at the end, and between",
        )  # fmt: skip
    if session.unplugged_at is not None and session.unplugged_at < session.stopped_at:
        raise BadInput(
            f"{path}.unplugged_at", session.unplugged_at.isoformat(), "a time after the stop"
        )
    for i, reading in enumerate(session.readings):
        _whole(f"{path}.readings[{i}].register_wh", reading.register_wh, REGISTER_MAX_WH)
    _whole(f"{path}.connector_id", session.connector_id, CONNECTOR_MAX)
    _named(f"{path}.id", session.id, 64)
    _named(f"{path}.token", session.token, 36)
    if session.external is not None:
        _named(f"{path}.external.reference", session.external.reference, 255)
        _whole(f"{path}.external.amount_minor", session.external.amount_minor, MINOR_MAX)


def in_utc(session: SessionIn, path: str) -> SessionIn:
    """All times in UTC. Raises BadInput for one without a zone."""

    def utc(name: str, at: datetime) -> datetime:
        if at.tzinfo is UTC:
            return at
        if at.tzinfo is None:
            raise BadInput(f"{path}.{name}", at.isoformat(), "a time with a zone: append Z for UTC")
        try:
            return at.astimezone(UTC)
        except OverflowError:
            raise BadInput(f"{path}.{name}", str(at), "a time in the years 1 to 9999") from None

    replace = msgspec.structs.replace
    unplugged_at = session.unplugged_at
    return replace(
        session,
        started_at=utc("started_at", session.started_at),
        stopped_at=utc("stopped_at", session.stopped_at),
        unplugged_at=utc("unplugged_at", unplugged_at) if unplugged_at else None,
        readings=tuple(
            replace(r, at=utc(f"readings[{i}].at", r.at)) for i, r in enumerate(session.readings)
        ),
        changes=tuple(
            replace(c, at=utc(f"changes[{i}].at", c.at)) for i, c in enumerate(session.changes)
        ),
    )


def check_times(
    session: SessionIn, path: str, now: datetime, *, session_limit_s: int, idle_limit_s: int
) -> None:
    """Raises BadInput for a time that a wrong clock made, or a reading outside the session."""
    for name, at in _times(session):
        if not OLDEST <= at <= now + CLOCK_AHEAD_MAX:
            raise BadInput(
                f"{path}.{name}", utc_text(at),
                f"a time from {utc_text(OLDEST)} to now ({utc_text(now)})",
            )  # fmt: skip
    started_at, stopped_at = session.started_at, session.stopped_at
    if stopped_at - started_at > timedelta(seconds=session_limit_s):
        raise BadInput(
            f"{path}.stopped_at", utc_text(stopped_at),
            f"a session of {session_limit_s} s at most (session_limit_s)",
        )  # fmt: skip
    idle_limit = timedelta(seconds=idle_limit_s)
    if session.unplugged_at is not None and session.unplugged_at > stopped_at + idle_limit:
        raise BadInput(
            f"{path}.unplugged_at", utc_text(session.unplugged_at),
            f"a time within {idle_limit_s} s of the stop (idle_limit_s)",
        )  # fmt: skip
    ordered = sorted(
        (r.at, r.register_wh, f"{path}.readings[{i}].at") for i, r in enumerate(session.readings)
    )
    for (at, _, name), end, what in (
        (ordered[0], started_at, "start"),
        (ordered[-1], stopped_at, "stop"),
    ):
        if abs(at - end) > READING_OFF_MAX:
            raise BadInput(
                name, utc_text(at), f"a reading within 5 minutes of the {what} {utc_text(end)}"
            )
    for at, _, name in ordered[1:-1]:
        if not started_at <= at <= stopped_at:
            raise BadInput(name, utc_text(at), "a time from the start to the stop")


def _times(session: SessionIn) -> list[tuple[str, datetime]]:
    times = [("started_at", session.started_at), ("stopped_at", session.stopped_at)]
    times += [(f"readings[{i}].at", r.at) for i, r in enumerate(session.readings)]
    times += [(f"changes[{i}].at", c.at) for i, c in enumerate(session.changes)]
    if session.unplugged_at is not None:
        times.append(("unplugged_at", session.unplugged_at))
    if session.reserved is not None:
        times.append(("reserved.from", session.reserved.from_at))
        times.append(("reserved.to", session.reserved.to_at))
    return times


def _whole(path: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise BadInput(path, value, f"a whole number from 0 to {most}")


def _named(path: str, value: str, longest: int) -> None:
    if not 1 <= len(value) <= longest or not value.isprintable():
        raise BadInput(path, value, f"1 to {longest} printable characters")


def facts(session_id: str, session: SessionIn) -> list[tuple[Fact, str]]:
    """What the session is assembled from, each with its dedupe key."""

    def key(*parts: str | int) -> str:
        return derive("fct", session_id, *parts)

    ordered = session.in_order
    first, last = ordered[0], ordered[-1]
    found = [(Fact("start", session.started_at, first.register_wh), key("start"))]
    found += [
        (
            Fact("meter", r.at, r.register_wh, power_mw=r.power_mw),
            key("meter", r.at.isoformat(), r.register_wh),
        )
        for r in ordered[1:-1]
    ]
    found += [
        (Fact("status", c.at, activity=c.activity), key("status", c.at.isoformat(), c.activity))
        for c in session.changes
    ]
    found.append((Fact("stop", session.stopped_at, last.register_wh), key("stop")))
    if session.unplugged_at is not None:
        found.append((Fact("unplug", session.unplugged_at), key("unplug")))
    return found


_WORD = re.compile(r"[a-z_]+")


def renamed(error: BadInput, names: Mapping[str, str]) -> BadInput:
    """The error with its path in the words of the form that was read: ``$.stopped_at`` is
    ``$.ended_at`` in one and ``$.end_date_time`` in another. A name may be of two words."""
    path = error.path
    for name in names:
        if "." in name:
            path = path.replace(name, names[name])
    path = _WORD.sub(lambda found: names.get(found[0], found[0]), path)
    return type(error)(path, error.got, error.expected)

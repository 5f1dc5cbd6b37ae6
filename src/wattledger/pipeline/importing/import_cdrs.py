"""Step import, of OCPI CDRs: a record of another system becomes a session that we price.

The energy of a CDR has no register, so it counts from 0 at its start: the volumes of the periods
add up to a reading at each boundary, rounded once each, and the last one is ``total_energy``.
Parking time is idle time; in a period that has both it comes last. The record's own total is kept
and compared with our charge. Who pays is our contract's business: the plan of the token, or,
where nobody of ours can be billed, whoever took what the record says was paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

import msgspec

from wattledger import money
from wattledger.contract import Route
from wattledger.entitlements import Snapshot
from wattledger.errors import BadInput
from wattledger.pipeline.importing.imports import Item, Snapshots
from wattledger.sessions.finished import ChangeIn, ExternalIn, ReadingIn, SessionIn
from wattledger.sessions.model import Activity, Reserved
from wattledger.sessions.sent import split_evse
from wattledger.wire.ocpi import v211
from wattledger.wire.ocpi.cdrs import Cdr, decode_cdr
from wattledger.wire.ocpi.common import ChargingPeriod, DimensionType

_NAMES = {
    "started_at": "start_date_time",
    "at": "start_date_time",
    "readings": "charging_periods",
    "register_wh": "dimensions",
    "changes": "charging_periods",
    "external.currency": "currency",
    "external.amount_minor": "total_cost",
    "external.reference": "id",
}
_NAMES_211 = {
    **_NAMES,
    "stopped_at": "stop_date_time",
    "token": "auth_id",
    "charge_point_id": "location.evses[0].uid",
    "connector_id": "location.evses[0].connectors[0].id",
}
_NAMES_22 = {
    **_NAMES,
    "stopped_at": "end_date_time",
    "token": "cdr_token.uid",
    "charge_point_id": "cdr_location.evse_uid",
    "connector_id": "cdr_location.connector_id",
}
_EXACT = Context(prec=100)
# What rounding on the way may have made of a sum: 10 Wh, or a thousandth of it (R5).
_OFF_WH = Decimal(10)
_BY_PLAN = frozenset({Route.INVOICE, Route.WALLET, Route.ROAMING, Route.FREE})


class CdrItem(msgspec.Struct, frozen=True):
    """A CDR as a session; ``names`` are its version's words for the fields of one."""

    item: Item
    names: Mapping[str, str]
    warnings: tuple[str, ...]


async def read(snapshots: Snapshots, raw: bytes, path: str, version: str | None = None) -> CdrItem:
    """The session in one CDR; ``snapshots`` gives what was in force when.

    Raises Malformed and BadInput with the path.
    """
    _, cdr, warnings = decode_cdr(raw, version, path)
    start_at = _split(cdr, path)[0].start_date_time
    session = session_of(cdr, await snapshots(start_at), path, warnings)
    # To the letter, but for the white space between: a file written otherwise is the same record.
    compact = msgspec.json.format(raw, indent=-1)
    names = _NAMES_211 if isinstance(cdr, v211.Cdr) else _NAMES_22
    return CdrItem(Item(session, path, compact), names, tuple(warnings))


def session_of(cdr: Cdr, snapshot: Snapshot, path: str, warnings: list[str]) -> SessionIn:
    """The session; ``snapshot`` is that of its start. Adds to ``warnings``, raises BadInput."""
    if getattr(cdr, "credit", None):
        raise BadInput(f"{path}.credit", True,
                       "a CDR of a session; what takes one back is done by hand")  # fmt: skip
    cdr, reserved = _split(cdr, path)
    charge_point_id, connector_id = _place(cdr, snapshot, path)
    token = _token(cdr, snapshot, path)
    number = "*".join(
        filter(None, (getattr(cdr, "country_code", None), getattr(cdr, "party_id", None), cdr.id))
    )
    return SessionIn(
        id=number,
        charge_point_id=charge_point_id,
        connector_id=connector_id,
        token=token,
        started_at=cdr.start_date_time,
        stopped_at=cdr.end_date_time,
        readings=_readings(cdr, path, warnings),
        changes=_changes(cdr),
        external=_total(cdr, number, path, warnings),
        by_plan=_pays(snapshot, token),
        relative=True,
        reserved=reserved,
    )


def _split(cdr: Cdr, path: str) -> tuple[Cdr, Reserved | None]:
    """A CDR begins with its reservation, where there was one; the session begins after it."""
    periods = cdr.charging_periods
    kept = [i for i, p in enumerate(periods) if _volume(p, DimensionType.RESERVATION_TIME)]
    if not kept:
        return cdr, None
    if kept != list(range(len(kept))) or len(kept) == len(periods):
        raise BadInput(f"{path}.charging_periods[{kept[-1]}].dimensions", "RESERVATION_TIME",
                       "a reservation before charging, and charging after it")  # fmt: skip
    began = periods[len(kept)].start_date_time
    rest = msgspec.structs.replace(
        cdr, start_date_time=began, charging_periods=periods[len(kept) :]
    )
    return rest, Reserved(periods[0].start_date_time, began)


def _pays(snapshot: Snapshot, token: str) -> bool:
    """Whether its plan can be billed after the fact: a card can't without a hold."""
    account = snapshot.account_of(token)
    plan = snapshot.plan(account.plan) if account and not account.blocked else None
    return plan is not None and plan.route in _BY_PLAN


def _place(cdr: Cdr, snapshot: Snapshot, path: str) -> tuple[str, int]:
    """Ours is whichever of its ids is a charge point's: alone, with the connector after a star,
    or after a country and an operator."""
    connector: str | None = None
    if isinstance(cdr, v211.Cdr):
        evse = cdr.location.evses[0] if cdr.location and cdr.location.evses else None
        ids = (evse.uid, evse.evse_id) if evse else ()
        connector = evse.connectors[0].id if evse and evse.connectors else None
        where = f"{path}.location.evses[0].uid"
    else:
        at = cdr.cdr_location
        ids = (at.evse_uid, at.evse_id) if at else ()
        connector = at.connector_id if at else None
        where = f"{path}.cdr_location.evse_uid"
    for name in filter(None, ids):
        # DE*ABC*E1: after the country and the operator stands the operator's own name (eMI3).
        for own in (name, *name.split("*", 2)[2:]):
            for point, said in ((own, None), split_evse(own)):
                if snapshot.place_of(point) is not None:
                    return point, _connector(connector, said)
    raise BadInput(where, ", ".join(filter(None, ids)) or None,
                   "the id of a charge point of ours, as evse_uid or evse_id")  # fmt: skip


def _connector(text: str | None, said: int | None) -> int:
    if text is not None and text.isascii() and text.isdecimal() and len(text) <= 4:
        return int(text)
    return 1 if said is None else said


def _token(cdr: Cdr, snapshot: Snapshot, path: str) -> str:
    """The one that somebody of ours has, else the first that is there."""
    if isinstance(cdr, v211.Cdr):
        names, where = (cdr.auth_id,), f"{path}.auth_id"
    else:
        token = cdr.cdr_token
        names = (token.uid, token.contract_id) if token else ()  # type: ignore[assignment]
        where = f"{path}.cdr_token.uid"
    given = [name for name in names if name]
    if not given:
        raise BadInput(where, None, "the token that charged")
    return next((name for name in given if snapshot.account_of(name) is not None), given[0])


def _volume(period: ChargingPeriod, kind: DimensionType) -> Decimal | None:
    found = [d.volume for d in period.dimensions if d.type is kind]
    return sum(found, Decimal(0)) if found else None


def _kwh(cdr: Cdr, path: str, warnings: list[str]) -> tuple[list[Decimal], Decimal]:
    """The energy before each period, and in all."""
    before, so_far, counted = [], Decimal(0), False
    for i, period in enumerate(cdr.charging_periods):
        before.append(so_far)
        kwh = _volume(period, DimensionType.ENERGY)
        if kwh is None:
            continue
        if kwh < 0:
            raise BadInput(f"{path}.charging_periods[{i}].dimensions", kwh, "energy from 0 on")
        so_far, counted = _EXACT.add(so_far, kwh), True
    total = cdr.total_energy
    if total is None:
        if not counted:
            raise BadInput(f"{path}.total_energy", None, "the energy in kWh")
        return before, so_far
    off_wh = abs(_EXACT.subtract(total, so_far)).scaleb(3)
    if counted and off_wh > max(_OFF_WH, abs(total)):
        raise BadInput(f"{path}.total_energy", total, f"{so_far} kWh, the sum of its periods")
    if counted and off_wh:
        warnings.append(f"{path}.total_energy: is {total} kWh, its periods sum to {so_far} kWh")
    return before, total


def _readings(cdr: Cdr, path: str, warnings: list[str]) -> tuple[ReadingIn, ...]:
    before, total = _kwh(cdr, path, warnings)
    if total < 0:
        raise BadInput(f"{path}.total_energy", total, "energy from 0 on")
    found = [ReadingIn(cdr.start_date_time, 0)]
    found += [
        ReadingIn(period.start_date_time, _wh(min(kwh, total)))
        for period, kwh in zip(cdr.charging_periods, before, strict=True)
        if period.start_date_time != cdr.start_date_time
    ]
    return (*found, ReadingIn(cdr.end_date_time, _wh(total)))


def _wh(kwh: Decimal) -> int:
    """Each register is rounded on its own, so that the differences sum to the last one."""
    return int(kwh.scaleb(3).quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))


def _changes(cdr: Cdr) -> tuple[ChangeIn, ...]:
    found: list[ChangeIn] = []
    periods = cdr.charging_periods
    for i, period in enumerate(periods):
        start = period.start_date_time
        end = periods[i + 1].start_date_time if i + 1 < len(periods) else cdr.end_date_time
        parking = _volume(period, DimensionType.PARKING_TIME)
        idle_from = max(start, end - _hours(parking)) if parking else end
        others = (DimensionType.TIME, DimensionType.ENERGY)
        if not any(_volume(period, kind) for kind in others) and parking:
            idle_from = start
        if idle_from > start:
            found.append(ChangeIn(start, Activity.CHARGING))
        if idle_from < end:
            found.append(ChangeIn(idle_from, Activity.VEHICLE_IDLE))
    return tuple(found)


def _hours(hours: Decimal) -> timedelta:
    """To the second, which is what OCPI's four decimals of an hour can say."""
    seconds = _EXACT.multiply(min(hours, Decimal(100_000)), Decimal(3600))
    return timedelta(seconds=int(seconds.quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def _total(cdr: Cdr, number: str, path: str, warnings: list[str]) -> ExternalIn | None:
    """What the record says it cost, in whole minor units."""
    after, before = cdr.after_taxes, cdr.before_taxes
    total = before if after is None else after
    if total is None:
        return None
    where = f"{path}.total_cost"
    if total < 0:
        raise BadInput(where, total, "an amount from 0 on")
    exact = total.scaleb(money.exponent(cdr.currency))
    minor = exact.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT)
    if minor != exact:
        warnings.append(f"{where}: {total} {cdr.currency} is compared as it is paid, rounded")
    return ExternalIn(number, int(minor), cdr.currency, without_tax=after is None)

"""The names of 1.6 transactions on either side of the proxy, and their frames with the right one.

2.x has one name for both sides: the station's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from wattledger.ingest.relay import Named
from wattledger.wire.ocpp import patch
from wattledger.wire.ocpp.costmsg import VENDOR_ID
from wattledger.wire.ocpp.frames import Call

_REF = ("transactionId",)
_DIRECT = frozenset({"StopTransaction", "MeterValues", "RemoteStopTransaction"})


class Names:
    """Of one charge point. Most have none, and nothing is changed then."""

    def __init__(self, known: Iterable[Named] = ()) -> None:
        self._to_cpms: dict[int, int] = {}
        self._to_charge_point: dict[int, int] = {}
        self._to_session: dict[int, int] = {}
        # Transactions that the CPMS does not know, and those it never will.
        self._unknown: set[int] = set()
        self._lost: set[int] = set()
        self.load(known)

    def load(self, known: Iterable[Named]) -> None:
        """From the database, in whatever order."""
        # The same name on both sides last: where a number was another's before, it is not now.
        for named in sorted(known, key=lambda n: n.charge_point_ref == n.cpms_ref):
            self.add(named)

    def add(self, named: Named) -> None:
        """From now on."""
        ref = named.charge_point_ref
        self._to_session[ref] = named.session_ref
        self._unknown.discard(ref)
        if named.cpms_ref is None:
            (self._lost if named.lost else self._unknown).add(ref)
        elif named.cpms_ref == ref:
            self._to_charge_point.pop(ref, None)
            self._to_cpms.pop(ref, None)
        else:
            self._to_cpms[ref] = named.cpms_ref
            self._to_charge_point[named.cpms_ref] = ref

    def plain(self, ref: int) -> None:
        """All call a new transaction ``ref``, whatever that was before."""
        if ref in self._to_session or ref in self._to_charge_point:
            self.add(Named(ref, ref, ref))

    def called(self, ref: int, cpms_ref: int | None) -> None:
        """The CPMS's name for a transaction that began without it; None: it took it not."""
        self.add(Named(ref, self._to_session.get(ref, ref), cpms_ref, lost=cpms_ref is None))

    def has(self, ref: int | None) -> bool:
        """Whether it is called otherwise by somebody, or was."""
        return ref in self._to_session

    def is_unknown(self, ref: int | None) -> bool:
        """Whether the CPMS can't be told of it, or not yet."""
        return ref in self._unknown or ref in self._lost

    def is_lost(self, ref: int | None) -> bool:
        """Whether it can never be told of it."""
        return ref in self._lost

    def at_charge_point(self, session_ref: int) -> int:
        """What the charge point calls a session's transaction: the last name counts."""
        found = [ref for ref, session in self._to_session.items() if session == session_ref]
        return found[-1] if found else session_ref

    def for_cpms(self, call: Call, raw: str) -> str:
        """A frame of the charge point, as the CPMS is told it."""
        return _renamed(call, raw, self._to_cpms)

    def for_charge_point(self, call: Call, raw: str) -> str:
        """A frame of the CPMS, as the charge point is told it."""
        return _renamed(call, raw, self._to_charge_point)

    def for_session(self, call: Call) -> Call:
        """A message of the charge point, as our steps are told it."""
        ref = ref_of(call)
        other = self._to_session.get(ref, ref) if ref is not None else None
        if other is None or other == ref:
            return call
        if call.action == "DataTransfer":
            inner = {**json.loads(call.payload["data"]), "transactionId": other}
            payload = {**call.payload, "data": json.dumps(inner)}
        else:
            payload = {**call.payload, "transactionId": other}
        return msgspec.structs.replace(call, payload=payload)


def ref_of(call: Call) -> int | None:
    """The transaction of a 1.6 message of a charge point, if it names one."""
    if call.action in ("StopTransaction", "MeterValues"):
        return _whole(call.payload.get("transactionId"))
    if call.action == "DataTransfer" and call.payload.get("vendorId") == VENDOR_ID:
        inner = _inner(call.payload.get("data"))
        return _whole(inner.get("transactionId")) if inner is not None else None
    return None


def is_transactional(version: str, call: Call) -> bool:
    """Whether it is a message that a charge point keeps until it is answered (1.6 §3.7.1), and
    that its CPMS has to be told sooner or later."""
    if version != "ocpp1.6":
        return call.action == "TransactionEvent"
    if call.action == "DataTransfer":
        return call.payload.get("messageId") == "ConnectorUnplugged" and ref_of(call) is not None
    return call.action == "StartTransaction" or ref_of(call) is not None


def _renamed(call: Call, raw: str, names: Mapping[int, int]) -> str:
    if not names:
        return raw
    if call.action in _DIRECT:
        return patch.with_number(raw, patch.element(raw, 3), _REF, names)
    if call.action == "SetChargingProfile":
        path = ("csChargingProfiles", *_REF)
        return patch.with_number(raw, patch.element(raw, 3), path, names)
    if call.action == "DataTransfer" and call.payload.get("vendorId") == VENDOR_ID:
        path = ("data", *_REF)
        return patch.with_number_inside(raw, patch.element(raw, 3), path, names)
    return raw


def _inner(data: object) -> dict[str, Any] | None:
    try:
        found = json.loads(data) if isinstance(data, str) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str | Decimal):
        try:
            return int(value)
        except (ValueError, OverflowError):
            return None
    return None

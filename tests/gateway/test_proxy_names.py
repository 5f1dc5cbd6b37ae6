"""The names of a transaction at the charge point, at its CPMS and here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wattledger.gateway.proxy_names import Names, is_transactional, ref_of
from wattledger.ingest.relay import Named
from wattledger.wire.ocpp.frames import Call, decode

OWN = 2_100_000_000
COST = "org.openchargealliance.costmsg"
UNPLUGGED = {
    "vendorId": COST,
    "messageId": "ConnectorUnplugged",
    "data": json.dumps({"transactionId": OWN, "timestamp": "2026-11-02T00:00:00Z"}),
}


def frame(action: str, payload: dict[str, Any]) -> tuple[Call, str]:
    raw = json.dumps([2, "1", action, payload])
    found = decode(raw)
    assert isinstance(found, Call)
    return found, raw


def test_each_side_hears_its_own_number() -> None:
    names = Names([Named(OWN, OWN, 9)])
    for action, payload in (
        ("StopTransaction", {"transactionId": OWN, "meterStop": OWN}),
        ("MeterValues", {"transactionId": OWN, "connectorId": 1}),
        ("DataTransfer", UNPLUGGED),
    ):
        call, raw = frame(action, payload)
        assert names.for_cpms(call, raw) == raw.replace(f'nId": {OWN}', 'nId": 9').replace(
            f'nId\\": {OWN}', 'nId\\": 9')  # fmt: skip
        assert names.for_session(call) == call  # which is the session's too
    for action, payload in (
        ("RemoteStopTransaction", {"transactionId": 9}),
        ("SetChargingProfile", {"connectorId": 9, "csChargingProfiles": {"transactionId": 9}}),
        ("DataTransfer", {"vendorId": COST, "messageId": "RunningCost",
                          "data": '{"transactionId": 9, "cost": 9}'}),
    ):  # fmt: skip
        call, raw = frame(action, payload)
        told = names.for_charge_point(call, raw)
        assert told == raw.replace('nId": 9', f'nId": {OWN}').replace('nId\\": 9', f'nId\\": {OWN}')
        assert told != raw
    for action in ("ChangeConfiguration", "RemoteStopTransaction", "DataTransfer"):
        call, raw = frame(action, {"transactionId": 8, "connectorId": 9})
        assert names.for_charge_point(call, raw) == raw


def test_a_number_that_means_something_else_now() -> None:
    """The CPMS gave 8 to a transaction that began as 7; later 8 is another's, and so is 9."""
    names = Names([Named(8, 7, 8), Named(OWN, OWN, 9)])
    stop, _ = frame("StopTransaction", {"transactionId": 8})
    assert names.for_session(stop).payload["transactionId"] == 7
    assert names.at_charge_point(7) == 8
    remote, raw = frame("RemoteStopTransaction", {"transactionId": 9})
    assert names.for_charge_point(remote, raw) != raw
    names.plain(8)
    names.plain(9)
    assert names.for_session(stop).payload["transactionId"] == 8
    assert names.for_charge_point(remote, raw) == raw
    # The same from the database, in whatever order its rows come.
    again = Names([Named(9, 9, 9), Named(OWN, OWN, 9)])
    assert again.for_charge_point(remote, raw) == raw


def test_what_the_cpms_does_not_know_of() -> None:
    names = Names([Named(OWN, OWN), Named(OWN + 1, OWN + 1, lost=True)])
    assert [names.is_unknown(ref) for ref in (OWN, OWN + 1, 7, None)] == [True, True, False, False]
    assert [names.is_lost(ref) for ref in (OWN, OWN + 1)] == [False, True]
    names.called(OWN, 9)
    assert not names.is_unknown(OWN)


@pytest.mark.parametrize(
    ("action", "payload", "ref", "kept"),
    [
        ("StartTransaction", {"connectorId": 1}, None, True),
        ("StopTransaction", {"transactionId": 7}, 7, True),
        ("MeterValues", {"transactionId": "7"}, 7, True),
        ("MeterValues", {"connectorId": 0}, None, False),
        ("DataTransfer", UNPLUGGED, OWN, True),
        ("DataTransfer", {"vendorId": COST, "messageId": "ConnectorUnplugged", "data": "{"}, None,
         False),
        ("DataTransfer", {"vendorId": "x", "data": '{"transactionId":1}'}, None, False),
        ("StatusNotification", {"connectorId": 1}, None, False),
    ],
)  # fmt: skip
def test_what_is_kept_for_the_cpms(
    action: str, payload: dict[str, Any], ref: int | None, kept: bool
) -> None:
    call, _ = frame(action, payload)
    assert ref_of(call) == ref
    assert is_transactional("ocpp1.6", call) is kept
    assert is_transactional("ocpp2.0.1", call) is False

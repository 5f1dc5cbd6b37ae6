"""OCPP 1.6 messages as the standard writes them (edition 2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from wattledger.errors import BadInput
from wattledger.sessions import Activity, from_ocpp16, from_samples
from wattledger.wire.ocpp import v16
from wattledger.wire.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    decode,
    encode,
    message_id_of,
)  # fmt: skip

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
TIME = "2026-11-02T12:00:00Z"


def _sample(value: str = "1.5", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": "kWh", **more}


def _meter(*samples: dict[str, Any], time: str = TIME) -> v16.MeterValues:
    return v16.read(
        {"connectorId": 1, "transactionId": 7,
         "meterValue": [{"timestamp": time, "sampledValue": list(samples)}]},
        v16.MeterValues,
    )  # fmt: skip


def _registers(found: v16.MeterValues) -> list[tuple[datetime, int | None]]:
    samples = v16.samples(found.meter_value, "m")
    facts = from_samples.read("ses_1", samples, lambda at: at).facts
    return [(fact.at, fact.register_wh) for fact, _ in facts]


def test_frames_of_all_three_kinds() -> None:
    for frame, raw in (
        (Call("1", "Heartbeat", {}), '[2,"1","Heartbeat",{}]'),
        (CallResult("1", {"a": 1}), '[3,"1",{"a":1}]'),
        (CallError("1", "GenericError", "why", {}), '[4,"1","GenericError","why",{}]'),
    ):
        assert encode(frame) == raw
        assert decode(raw) == frame
    assert decode('[4,"1","GenericError","why"]') == CallError("1", "GenericError", "why", {})


@pytest.mark.parametrize(
    ("raw", "message_id"),
    [
        ('[2,"a-1","MeterValues",{"connectorId":1', "a-1"),
        (' [ 2 , "a-1" , ', "a-1"),
        ('[2,"a-1","MeterValues",{"x":NaN}]', "a-1"),
        ('[2,"a-1', None),  # perhaps not all of it
        ('[2,"' + "a" * 37 + '","MeterValues",{', None),
        ('[3,"a-1",{', None),  # an answer is not answered
        ("hello", None),
    ],
)
def test_a_call_that_is_torn_still_says_whom_to_answer(raw: str, message_id: str | None) -> None:
    assert message_id_of(raw) == message_id


def test_only_the_billing_register_is_read() -> None:
    """The outlet's whole import, raw: not a phase, not the inlet, not signed, not power."""
    found = _meter(
        _sample("1.5"), _sample("9", phase="L1"), _sample("9", location="Inlet"),
        _sample("9", format="SignedData"), _sample("9", measurand="Power.Active.Import"),
    )  # fmt: skip
    assert _registers(found) == [(AT, 1_500)]


def test_defaults_are_the_standards() -> None:
    """7.43: unit Wh, measurand Energy.Active.Import.Register, location Outlet, format Raw."""
    found = _meter({"value": "1500"})
    assert _registers(found) == [(AT, 1_500)]
    stop = v16.read({"meterStop": 5, "timestamp": TIME, "transactionId": 7}, v16.StopTransaction)
    assert stop.reason == "Local"


def test_unknown_fields_are_a_vendors() -> None:
    assert v16.read({"idTag": "A", "vendorX": 1}, v16.Authorize).id_tag == "A"


@pytest.mark.parametrize("meter_start", [-(10**11), 10**11, 10**30, "5x", True, None])
def test_a_start_whose_register_can_not_be(meter_start: object) -> None:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": meter_start, "timestamp": TIME}
    with pytest.raises(BadInput, match="meterStart"):
        v16.read(payload, v16.StartTransaction)


START = v16.StartTransaction(1, "Acme-1", 100, TIME)


def test_the_same_start_is_the_same_session_however_its_token_is_written() -> None:
    other = v16.StartTransaction(1, "ACME-1", 100, TIME)
    assert from_ocpp16.session_id("CP", START, AT) == from_ocpp16.session_id("CP", other, AT)
    later = v16.StartTransaction(1, "Acme-1", 101, TIME)
    assert from_ocpp16.session_id("CP", START, AT) != from_ocpp16.session_id("CP", later, AT)
    assert from_ocpp16.session_id("CQ", START, AT) != from_ocpp16.session_id("CP", START, AT)


@pytest.mark.parametrize(
    ("name", "activity"),
    [("Charging", Activity.CHARGING), ("SuspendedEV", Activity.VEHICLE_IDLE),
     ("SuspendedEVSE", Activity.CHARGER_PAUSE), ("Faulted", Activity.CHARGER_PAUSE),
     ("Available", None), ("Finishing", None), ("Nonsense", None)],
)  # fmt: skip
def test_what_a_status_says_about_a_session(name: str, activity: Activity | None) -> None:
    """A pause that the charger makes is never the driver's idle time."""
    found = from_ocpp16.status("ses_1", name, AT, stopped=False)
    assert (found[0].activity if found else None) is activity

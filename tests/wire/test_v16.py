"""OCPP 1.6 messages as the standard writes them (edition 2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from wattledger.energy import Reading
from wattledger.errors import BadInput
from wattledger.sessions import Activity, Fact, from_ocpp16
from wattledger.wire.ocpp import v16
from wattledger.wire.ocpp.frames import Call, CallError, CallResult, decode, encode

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


def test_frames_of_all_three_kinds() -> None:
    for frame, raw in (
        (Call("1", "Heartbeat", {}), '[2,"1","Heartbeat",{}]'),
        (CallResult("1", {"a": 1}), '[3,"1",{"a":1}]'),
        (CallError("1", "GenericError", "why", {}), '[4,"1","GenericError","why",{}]'),
    ):
        assert encode(frame) == raw
        assert decode(raw) == frame
    assert decode('[4,"1","GenericError","why"]') == CallError("1", "GenericError", "why", {})


def test_only_the_billing_register_is_read() -> None:
    """The outlet's whole import, raw: not a phase, not the inlet, not signed, not power."""
    found = _meter(
        _sample("1.5"), _sample("9", phase="L1"), _sample("9", location="Inlet"),
        _sample("9", format="SignedData"), _sample("9", measurand="Power.Active.Import"),
    )  # fmt: skip
    assert v16.registers(found.meter_value, "meterValue") == [Reading(AT, 1_500)]


def test_defaults_are_the_standards() -> None:
    """7.43: unit Wh, measurand Energy.Active.Import.Register, location Outlet, format Raw."""
    found = _meter({"value": "1500"})
    assert v16.registers(found.meter_value, "m") == [Reading(AT, 1_500)]
    stop = v16.read({"meterStop": 5, "timestamp": TIME, "transactionId": 7}, v16.StopTransaction)
    assert stop.reason == "Local"


def test_unknown_fields_are_a_vendors_and_no_samples_are_no_reading() -> None:
    assert v16.registers(_meter().meter_value, "m") == []
    assert v16.read({"idTag": "A", "vendorX": 1}, v16.Authorize).id_tag == "A"


@pytest.mark.parametrize(
    ("found", "path"),
    [
        (_meter(_sample("x")), r"m\[0\]\.sampledValue\[0\]"),
        (_meter(_sample(), _sample(unit="MWh")), r"m\[0\]\.sampledValue\[1\]"),
        (_meter(_sample(), time="2026-11-02T12:00:00"), r"m\[0\]\.timestamp"),
        (_meter(_sample(), time="noon"), r"m\[0\]\.timestamp"),
    ],
)
def test_what_can_not_be_read_names_its_place(found: v16.MeterValues, path: str) -> None:
    with pytest.raises(BadInput, match=path):
        v16.registers(found.meter_value, "m")


@pytest.mark.parametrize("meter_start", [-1, 10**11, 10**30, "5x", True, None])
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


def test_a_fact_has_one_key_however_often_it_is_told() -> None:
    first, again = (from_ocpp16.meters("ses_1", _meter(_sample()), AT) for _ in range(2))
    assert first == again
    assert first[0][0] == Fact("meter", AT, 1_500)
    data = [v16.MeterValue(TIME, [v16.SampledValue("1.5", unit="kWh")])]
    stop = v16.StopTransaction(900, TIME, 7, transaction_data=data)
    facts = from_ocpp16.stop("ses_1", stop, AT, AT)
    assert facts[0] == first[0], "a reading that comes again with the stop is the same fact"
    assert facts[1][0] == Fact("stop", AT, 900)


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

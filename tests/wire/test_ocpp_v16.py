"""OCPP 1.6 as chargers send it: samples of every kind, and numbers in the wrong clothes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from test_ocpp_v2 import OCMF, PACKED

from wattledger.errors import BadInput
from wattledger.wire.numbers import clock_is_wrong
from wattledger.wire.ocpp import v16
from wattledger.wire.ocpp.samples import Sample, Signed

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
TIME = "2026-11-02T12:00:00Z"


def _samples(*sampled: dict[str, Any]) -> list[Sample]:
    message = v16.read(
        {"connectorId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": list(sampled)}]},
        v16.MeterValues,
    )
    return v16.samples(message.meter_value, "m")


def test_samples_of_all_measurands_with_the_standards_defaults() -> None:
    """7.43: Wh is the default unit of energy; of another measurand none is."""
    path = "m[0].sampledValue"
    assert _samples(
        {"value": "1500"},
        {"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW", "phase": "L1"},
        {"value": "80", "measurand": "SoC", "location": "EV", "context": "Transaction.End"},
    ) == [
        Sample(AT, "1500", f"{path}[0]"),
        Sample(AT, "7.4", f"{path}[1]", "Power.Active.Import", "kW", phase="L1"),
        Sample(AT, "80", f"{path}[2]", "SoC", "", 0, "Transaction.End", location="EV"),
    ]  # fmt: skip
    assert _samples() == []


@pytest.mark.parametrize(
    ("sent", "text"),
    [("", ""), ("NaN", "NaN"), ("1,5", "1,5"), (None, None), (12, "12"), ("0x1F", "0x1F")],
)
def test_a_value_that_is_no_number_loses_no_other(sent: object, text: str | None) -> None:
    found = _samples({"value": sent, "unit": "furlong"}, {"value": "1", "unit": None})
    assert [(s.value, s.unit) for s in found] == [(text, "furlong"), ("1", "Wh")]


JSON_RECORD = json.dumps(
    {
        "signedMeterData": PACKED,
        "signingMethod": "ECDSA",
        "encodingMethod": "OCMF",
        "publicKey": "K",
    }
)


@pytest.mark.parametrize(
    ("value", "more", "signed"),
    [
        (OCMF, {"format": "SignedData"}, Signed(OCMF)),
        (OCMF, {}, Signed(OCMF)),
        (PACKED, {"format": "SignedData"}, Signed(OCMF)),
        (OCMF.encode().hex(), {"format": "SignedData"}, Signed(OCMF)),
        (JSON_RECORD, {"format": "SignedData"}, Signed(OCMF, "OCMF", "ECDSA", "K")),
        (json.dumps({"signedMeterData": OCMF}), {"format": "SignedData"}, Signed(OCMF)),
        ("<xml/>", {"format": "SignedData"}, Signed("<xml/>", "")),
        ('{"a":', {"format": "SignedData"}, Signed('{"a":', "")),
        ('{"a":1}', {"format": "SignedData"}, Signed('{"a":1}', "")),
    ],
)
def test_a_signed_record_stands_instead_of_a_value(
    value: str, more: dict[str, str], signed: Signed
) -> None:
    (found,) = _samples({"value": value, "context": "Transaction.End", **more})
    assert (found.value, found.signed, found.context) == (None, signed, "Transaction.End")


@pytest.mark.parametrize(
    ("sent", "wh"),
    [("123", 123), (123.0, 123), (" 123.00 ", 123), ("1.23e2", 123), (123.4, 123), (123.5, 124)],
)
def test_a_register_that_is_no_integer_is_one_rounded_half_up(sent: object, wh: int) -> None:
    """A float came as text out of the frame: frames.decode makes none."""
    text = str(sent) if isinstance(sent, float) else sent
    start = v16.read(
        {"connectorId": "1", "idTag": "A", "meterStart": text, "timestamp": TIME,
         "reservationId": None},
        v16.StartTransaction,
    )  # fmt: skip
    assert start == v16.StartTransaction(1, "A", wh, TIME)
    stop = v16.read({"transactionId": "7.0", "meterStop": text, "timestamp": TIME},
                    v16.StopTransaction)  # fmt: skip
    assert stop == v16.StopTransaction(wh, TIME, 7)


@pytest.mark.parametrize("sent", ["", "NaN", "1e99", "12 Wh", [1], False, "1" * 30])
def test_a_register_that_can_not_be_read(sent: object) -> None:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": sent, "timestamp": TIME}
    with pytest.raises(BadInput, match=r"StartTransaction\.meterStart"):
        v16.read(payload, v16.StartTransaction)


def test_only_a_register_may_have_a_fraction() -> None:
    payload = {"transactionId": "7.4", "meterStop": 1, "timestamp": TIME}
    with pytest.raises(BadInput, match=r"StopTransaction\.transactionId: got '7.4'"):
        v16.read(payload, v16.StopTransaction)


def test_what_else_the_messages_say() -> None:
    status = v16.read(
        {"connectorId": 1, "status": "Faulted", "errorCode": "OtherError", "info": "i",
         "vendorId": "v", "vendorErrorCode": "e"},
        v16.StatusNotification,
    )  # fmt: skip
    assert (status.info, status.vendor_id, status.vendor_error_code) == ("i", "v", "e")
    data = v16.read({"vendorId": "v", "messageId": "m", "data": '{"a":1}'}, v16.DataTransfer)
    assert data == v16.DataTransfer("v", "m", '{"a":1}')
    # A time that can't be placed loses nothing of its message: it stands where none is believed.
    sample = v16.SampledValue("1")
    (found,) = v16.samples([v16.MeterValue("2026-11-02T12:00:00", [sample])], "m")
    assert (found.value, clock_is_wrong(found.at, AT)) == ("1", True)


@pytest.mark.parametrize("number", [2**31, 2**63 - 1, 2**70, str(2**63 - 1)])
def test_a_number_that_no_session_has_is_a_number(number: object) -> None:
    """Seen in the field: 9223372036854775807 for none."""
    meter = {"connectorId": 1, "meterValue": [], "transactionId": number}
    assert v16.read(meter, v16.MeterValues).transaction_id == int(str(number))
    stop = {"transactionId": number, "meterStop": 5, "timestamp": TIME}
    assert v16.read(stop, v16.StopTransaction).transaction_id == int(str(number))


def test_what_is_not_billed_by_costs_no_message() -> None:
    start = {"connectorId": 1, "idTag": "A", "meterStart": 5, "timestamp": TIME}
    for reservation in (2**31, 2**70, "x", [1]):
        found = v16.read({**start, "reservationId": reservation}, v16.StartTransaction)
        assert found == v16.StartTransaction(1, "A", 5, TIME)
    stop = {"transactionId": 7, "meterStop": 5, "timestamp": TIME}
    for reason, text in (
        (5, "5"),
        ("a\x00b", "a\\u0000b"),
        (["Local"], '["Local"]'),
        (None, "Local"),
    ):
        assert v16.read({**stop, "reason": reason}, v16.StopTransaction).reason == text


@pytest.mark.parametrize("wrong", [{"sampledValue": [{"value": "9"}]}, None, "x", 7,
                                   {"timestamp": 5, "sampledValue": [{"value": "9"}]}])  # fmt: skip
def test_a_meter_value_that_is_none_costs_no_other(wrong: object) -> None:
    """Nor its stop; it stands, without a value, at the time of one beside it."""
    good = {"timestamp": TIME, "sampledValue": [{"value": "4"}]}
    stop = {"transactionId": 7, "meterStop": 5, "timestamp": TIME, "transactionData": [wrong, good]}
    found = v16.samples(v16.read(stop, v16.StopTransaction).transaction_data, "m")
    assert [(s.at, s.value, s.path) for s in found] == [
        (AT, "4", "m[1].sampledValue[0]"), (AT, None, "m[0]"),
    ]  # fmt: skip
    assert found[0].unread is None
    assert str(found[1].unread).startswith("m[0]")


def test_a_sample_that_is_none_costs_no_other() -> None:
    found = _samples({"value": "1", "phase": 1}, 7, {"value": "2"})  # type: ignore[arg-type]
    assert [(s.value, s.phase, s.unread is None) for s in found] == [
        ("1", "1", True), (None, None, False), ("2", None, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (None, []),
        ([], []),
        ([{"timestamp": TIME}], []),
        ([{"timestamp": TIME, "sampledValue": None}], []),
        # One that stands without its list.
        ({"timestamp": TIME, "sampledValue": {"value": "4"}}, ["4"]),
        ("x", [None]),
    ],
)
def test_meter_values_that_are_no_list(data: object, values: list[str | None]) -> None:
    stop = {"transactionId": 7, "meterStop": 5, "timestamp": TIME, "transactionData": data}
    message = v16.read(stop, v16.StopTransaction)
    assert [s.value for s in v16.samples(message.transaction_data, "m")] == values


def test_token_info_with_an_end_and_a_group() -> None:
    assert v16.id_tag_info("Accepted", expiry=AT, parent="FLEET") == {
        "idTagInfo": {"status": "Accepted", "expiryDate": TIME, "parentIdTag": "FLEET"}
    }
    assert v16.id_tag_info("Invalid") == {"idTagInfo": {"status": "Invalid"}}

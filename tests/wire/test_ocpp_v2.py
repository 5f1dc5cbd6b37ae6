"""OCPP 2.0.1 and 2.1: what is read, also from stations that do not keep to the letter."""

from __future__ import annotations

import base64
import copy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import ocpp_schemas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattledger.errors import BadInput, Malformed
from wattledger.wire.numbers import CLOCK_NEVER_SET
from wattledger.wire.ocpp import costmsg, frames, v2, v2_sent, v16, v21
from wattledger.wire.ocpp.reading import Message
from wattledger.wire.ocpp.samples import Sample, Signed

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
TIME = "2026-11-02T12:00:00Z"
OCMF = 'OCMF|{"FV":"1.0","PG":"T12","RD":[{"RV":1.5,"RU":"kWh"}]}|{"SD":"3045"}'
PACKED = base64.b64encode(OCMF.encode()).decode()

# An event with a value of all fields that both versions have.
EVENT: dict[str, Any] = {
    "eventType": "Ended", "timestamp": TIME, "triggerReason": "EVDeparted", "seqNo": 7,
    "offline": True, "numberOfPhasesUsed": 3, "cableMaxCurrent": 32, "reservationId": 5,
    "transactionInfo": {
        "transactionId": "6b2ab0c1-tx", "chargingState": "Idle", "timeSpentCharging": 1800,
        "stoppedReason": "EVDisconnected", "remoteStartId": 9,
    },
    "evse": {"id": 2, "connectorId": 1},
    "idToken": {
        "idToken": "04A1B2", "type": "ISO14443",
        "additionalInfo": [{"additionalIdToken": "DE-ABC", "type": "emaid"}],
    },
    "meterValue": [
        {
            "timestamp": TIME,
            "sampledValue": [
                {
                    "value": 1234.5, "context": "Transaction.End", "location": "Outlet",
                    "measurand": "Energy.Active.Import.Register",
                    "unitOfMeasure": {"unit": "kWh", "multiplier": -3},
                    "signedMeterValue": {
                        "signedMeterData": PACKED, "signingMethod": "ECDSA-secp256r1-SHA256",
                        "encodingMethod": "OCMF", "publicKey": "AAEC",
                    },
                },
                {"value": 11000, "measurand": "Power.Active.Import", "phase": "L1"},
                {"value": 3},
            ],
        }
    ],
    "customData": {"vendorId": "acme", "x": 1},
}  # fmt: skip
EVENT_21: dict[str, Any] = {
    **EVENT,
    "preconditioningStatus": "Ready",
    "evseSleep": False,
    "transactionInfo": {
        **EVENT["transactionInfo"], "operationMode": "ChargingOnly", "tariffId": "t1",
        "transactionLimit": {"maxCost": 10.50, "maxEnergy": 20000, "maxTime": 60, "maxSoC": 80},
    },
    "costDetails": {
        "totalCost": {
            "currency": "EUR", "typeOfCost": "NormalCost",
            "energy": {"exclTax": 4.10, "taxRates": [{"type": "VAT", "tax": 19}]},
            "total": {"exclTax": 4.10, "inclTax": 4.879},
        },
        "totalUsage": {"energy": 12.345, "chargingTime": 1800, "idleTime": 0},
        "chargingPeriods": [
            {"startPeriod": TIME, "tariffId": "t1",
             "dimensions": [{"type": "Energy", "volume": 12.345}]},
        ],
    },
}  # fmt: skip


def _received(payload: dict[str, Any], action: str = "TransactionEvent") -> dict[str, Any]:
    """A payload as the gateway has it: after the frame was decoded."""
    frame = frames.decode(frames.encode(frames.Call("1", action, payload)))
    assert isinstance(frame, frames.Call)
    return frame.payload


def _event(**changed: Any) -> v2.TransactionEvent:
    return v2.read(_received({**EVENT, **changed}), v2.TransactionEvent)


def test_an_event_of_both_versions_is_read_whole() -> None:
    ocpp_schemas.check("ocpp2.0.1", "TransactionEvent", EVENT)
    ocpp_schemas.check("ocpp2.1", "TransactionEvent", EVENT_21)
    found = _event()
    assert (found.event_type, found.seq_no, found.offline) == ("Ended", 7, True)
    assert found.transaction_info == v2.TransactionInfo("6b2ab0c1-tx", "Idle", "EVDisconnected")
    assert found.evse == v2.Evse(2, 1)
    assert found.id_token == v2.IdToken("04A1B2", "ISO14443")
    assert found.trigger_reason == "EVDeparted"
    later = v2.read(_received(EVENT_21), v2.TransactionEvent)
    assert later.transaction_info.tariff_id == "t1"
    limit = v21.read(later.transaction_info.transaction_limit, v21.TransactionLimit)
    assert limit == v21.TransactionLimit(Decimal("10.5"), Decimal(20000), 60, 80)
    cost = v21.read(later.cost_details, v21.CostDetails)
    assert cost.total_cost.total == v21.TotalPrice(Decimal("4.1"), Decimal("4.879"))
    assert cost.total_usage.energy == Decimal("12.345")


def test_samples_keep_what_was_sent() -> None:
    """1234.5 of 10^-3 kWh stays that; a record comes out of its base64; energy alone has Wh."""
    path = "m[0].sampledValue"
    assert v2.samples(_event().values, "m") == [
        Sample(
            AT, "1234.5", f"{path}[0]", unit="kWh", multiplier=-3, context="Transaction.End",
            signed=Signed(OCMF, "OCMF", "ECDSA-secp256r1-SHA256", "AAEC"),
        ),
        Sample(AT, "11000", f"{path}[1]", "Power.Active.Import", unit="", phase="L1"),
        Sample(AT, "3", f"{path}[2]"),
    ]  # fmt: skip
    assert v2.samples(_event(meterValue=[]).values, "m") == []
    noon, dusk = (v2.time_of(f"2026-11-02T{hour}:00:00") for hour in (12, 18))
    assert noon < dusk < CLOCK_NEVER_SET
    assert v2.time_of("noon") < noon


@pytest.mark.parametrize(
    ("sent", "text"),
    [("", ""), ("NaN", "NaN"), (None, None), (True, "true"), ("1,5", "1,5"), ("a\x00", "a\\u0000")],
)
def test_a_value_that_is_no_number_stays_a_sample(sent: object, text: str | None) -> None:
    event = _event(meterValue=[{"timestamp": TIME, "sampledValue": [{"value": sent}]}])
    assert [s.value for s in v2.samples(event.values, "m")] == [text]


def test_a_number_keeps_its_digits() -> None:
    """No float on the way: more digits than one holds, and the zeros at the end."""
    raw = (
        '[2,"1","MeterValues",{"evseId":1,"meterValue":[{"timestamp":"2026-11-02T12:00:00Z",'
        '"sampledValue":[{"value":12345678901234567890.10}]}]}]'
    )
    frame = frames.decode(raw)
    assert isinstance(frame, frames.Call)
    message = v2.read(frame.payload, v2.MeterValues)
    assert v2.samples(message.meter_value, "m")[0].value == "12345678901234567890.10"


@pytest.mark.parametrize(
    ("held", "signed"),
    [
        ({"signedMeterData": OCMF, "encodingMethod": "OCMF"}, Signed(OCMF)),
        ({"signedMeterData": PACKED.rstrip("="), "publicKey": ""}, Signed(OCMF)),
        ({"signedMeterData": PACKED[:40] + "\n" + PACKED[40:]}, Signed(OCMF)),
        (OCMF, Signed(OCMF)),
        ({"signedMeterData": "AAEC", "signingMethod": "m", "encodingMethod": "EDL"},
         Signed("AAEC", "", "m")),
        ({"signedMeterData": "no base64!"}, Signed("no base64!", "")),
        ({"other": 1}, Signed('{"other":1}', "")),
        (7, Signed("7", "")),
        (None, None),
    ],
)  # fmt: skip
def test_a_signed_record_is_unpacked_or_kept_to_the_letter(
    held: object, signed: Signed | None
) -> None:
    values = [{"timestamp": TIME, "sampledValue": [{"value": 1, "signedMeterValue": held}]}]
    assert v2.samples(_event(meterValue=values).values, "m")[0].signed == signed


@pytest.mark.parametrize(
    ("path", "sent", "field", "want"),
    [
        (("seqNo",), "12", "seq_no", 12),
        (("seqNo",), 12.0, "seq_no", 12),
        (("seqNo",), "1.2e1", "seq_no", 12),
        (("offline",), "True", "offline", True),
        (("evse",), None, "evse", None),
        (("idToken",), {"idToken": "A", "additionalInfo": None}, "id_token", v2.IdToken("A")),
        (("triggerReason",), "SomethingNew", "trigger_reason", "SomethingNew"),
        (("vendorX",), [1], "seq_no", 7),
    ],
)
def test_what_can_only_mean_one_thing_is_taken(
    path: tuple[str], sent: object, field: str, want: object
) -> None:
    assert getattr(_event(**{path[0]: sent}), field) == want


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"seqNo": "1.5"}, "TransactionEvent.seqNo: got '1.5'"),
        ({"seqNo": 2**63}, "TransactionEvent.seqNo"),
        ({"seqNo": True}, "TransactionEvent.seqNo: got True"),
        ({"eventType": "Paused"}, "TransactionEvent.eventType: got 'Paused'"),
        ({"eventType": None}, "TransactionEvent.eventType: got None"),
        ({"transactionInfo": {}}, "TransactionEvent.transactionInfo.transactionId: got None"),
        ({"transactionInfo": {"transactionId": ""}}, "transactionInfo.transactionId: got ''"),
        ({"transactionInfo": {"transactionId": "x" * 256}}, "transactionInfo.transactionId"),
        ({"evse": {"id": -1}}, "TransactionEvent.evse.id: got -1"),
        ({"idToken": {"idToken": "a\x00"}}, "TransactionEvent.idToken.idToken"),
    ],
)
def test_what_can_not_be_read_names_its_place(changed: dict[str, Any], path: str) -> None:
    with pytest.raises(BadInput, match=path):
        _event(**changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"numberOfPhasesUsed": "2.5"},
        {"cableMaxCurrent": 2**31},
        {"reservationId": 2**70},
        {"evseSleep": "x"},
        {"preconditioningStatus": 1},
        {"idToken": {**EVENT["idToken"], "additionalInfo": [{"type": "y"}]}},
        {"transactionInfo": {**EVENT["transactionInfo"], "timeSpentCharging": "12.5"}},
        {"transactionInfo": {**EVENT["transactionInfo"], "remoteStartId": -(2**40)}},
        {"transactionInfo": {**EVENT["transactionInfo"], "operationMode": []}},
        {"customData": 5},
    ],
)
def test_what_is_not_billed_by_costs_no_event(changed: dict[str, Any]) -> None:
    assert _event(**changed) == _event()


def test_what_stands_for_a_word_is_its_text() -> None:
    info = {"transactionId": "t", "stoppedReason": 5, "chargingState": {"a": 1}, "tariffId": 7}
    found = _event(triggerReason="a\x00", transactionInfo=info)
    assert found.trigger_reason == "a\\u0000"
    assert found.transaction_info == v2.TransactionInfo("t", '{"a":1}', "5", "7")


def test_a_meter_value_or_a_sample_that_is_none_costs_no_other() -> None:
    half = {"value": 2, "phase": "L1", "unitOfMeasure": {"unit": "kWh", "multiplier": "0.5"}}
    values = [
        {"sampledValue": [{"value": 1}]},
        {"timestamp": TIME, "sampledValue": [half, {"value": 3, "unitOfMeasure": "kWh"},
                                             {"value": 4, "unitOfMeasure": {"unit": None}}]},
    ]  # fmt: skip
    found = v2.samples(_event(meterValue=values).values, "m")
    assert [(s.at, s.path, s.phase) for s in found if s.unread] == [
        (AT, "m[1].sampledValue[0]", "L1"), (AT, "m[1].sampledValue[1]", None), (AT, "m[0]", None),
    ]  # fmt: skip
    assert [(s.value, s.unit) for s in found if not s.unread] == [("4", "Wh")]
    # Where none has a time there is none that could be believed.
    (alone,) = v2.samples(_event(meterValue=values[:1]).values, "m")
    assert alone.at < CLOCK_NEVER_SET


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "1e999999", "x", "1" * 40, True])
def test_a_stations_cost_is_a_number_and_its_event_stands_without(cost: object) -> None:
    details = copy.deepcopy(EVENT_21["costDetails"])
    details["totalCost"]["total"]["inclTax"] = cost
    event = v2.read(_received({**EVENT_21, "costDetails": details}), v2.TransactionEvent)
    assert event.seq_no == 7
    with pytest.raises(BadInput, match=r"CostDetails.totalCost.total"):
        v21.read(event.cost_details, v21.CostDetails)


def _reads(version: str, action: str, payload: dict[str, Any], message: type[Message]) -> Any:
    ocpp_schemas.check(version, action, payload)
    return v2.read(_received(payload, action), message)


def test_the_other_messages_of_both_versions() -> None:
    v = "ocpp2.0.1"
    token = {"idToken": "04A1", "type": "ISO14443"}
    found = _reads(v, "Authorize", {"idToken": token, "certificate": "-"}, v2.Authorize)
    assert found == v2.Authorize(v2.IdToken("04A1", "ISO14443"))
    station = {"vendorName": "Acme", "model": "X", "serialNumber": "7"}
    boot = _reads(v, "BootNotification", {"reason": "PowerUp", "chargingStation": station},
                  v2.BootNotification)  # fmt: skip
    assert boot == v2.BootNotification(v2.ChargingStation("Acme", "X", "7"), "PowerUp")
    status = _reads(v, "StatusNotification",
                    {"timestamp": TIME, "connectorStatus": "Occupied", "evseId": 1,
                     "connectorId": 2}, v2.StatusNotification)  # fmt: skip
    assert (status.connector_status, status.evse_id, status.connector_id) == ("Occupied", 1, 2)
    data = _reads(v, "DataTransfer", {"vendorId": "a", "data": {"x": [1]}}, v2.DataTransfer)
    assert data == v2.DataTransfer("a", None, {"x": [1]})
    update = _reads(v, "ReservationStatusUpdate",
                    {"reservationId": 3, "reservationUpdateStatus": "Expired"},
                    v2.ReservationStatusUpdate)  # fmt: skip
    assert update == v2.ReservationStatusUpdate(3, "Expired")
    assert v2.read({"messagesInQueue": True, "ongoingIndicator": False},
                   v2_sent.TransactionStatus) == v2_sent.TransactionStatus(True, False)  # fmt: skip
    assert v2.read({"status": "Accepted", "transactionId": "t"}, v2_sent.StartAnswer) == (
        v2_sent.StartAnswer("Accepted", None, "t")
    )


def _change(component: str, variable: str, value: str, **more: Any) -> dict[str, Any]:
    return {
        "eventId": 1, "timestamp": TIME, "trigger": "Delta", "actualValue": value,
        "component": {"name": component, "evse": {"id": 1, "connectorId": 2}},
        "variable": {"name": variable}, "eventNotificationType": "HardWiredNotification", **more,
    }  # fmt: skip


def test_only_a_connectors_state_is_read_of_the_device_model() -> None:
    events = [
        _change("Connector", "AvailabilityState", "Available"),
        _change("EVSE", "Problem", "true"),
        _change("EVSE", "Problem", "false"),
        _change("EVSE", "Problem", "true", cleared=True),
        _change("ConnectedEV", "AvailabilityState", "Available"),
        {**_change("Connector", "AvailabilityState", "Available"), "component": {"name": "EVSE"}},
    ]
    found = _reads("ocpp2.0.1", "NotifyEvent",
                   {"generatedAt": TIME, "seqNo": 0, "eventData": events},
                   v2.NotifyEvent)  # fmt: skip
    assert v2.connector_states(found) == [
        v2.ConnectorState(AT, "Available", 1, 2),
        v2.ConnectorState(AT, "Faulted", 1, 2),
    ]


def test_a_settlement_of_a_terminal() -> None:
    payload = {
        "transactionId": "t", "pspRef": "psp-1", "status": "Settled", "settlementAmount": 12.30,
        "settlementTime": TIME, "receiptId": "r", "receiptUrl": "https://r", "vatNumber": "DE1",
        "vatCompany": {"name": "A", "address1": "B", "city": "C", "country": "DE"},
    }  # fmt: skip
    ocpp_schemas.check("ocpp2.1", "NotifySettlement", payload)
    found = v21.read(_received(payload), v21.NotifySettlement)
    assert (found.psp_ref, found.status, found.settlement_amount) == (
        "psp-1", "Settled", Decimal("12.3"),
    )  # fmt: skip
    assert found.vat_company == v21.Address("A", "B", "C", "DE")
    with pytest.raises(BadInput, match="settlement_amount"):
        v21.read({**payload, "settlementAmount": "NaN"}, v21.NotifySettlement)


TOKEN = v2_sent.SentIdToken("04A1", "ISO14443")
INFO = v2_sent.IdTokenInfo(
    "Accepted", cache_expiry_date_time=TIME, charging_priority=1, group_id_token=TOKEN,
    language1="en", evse_id=[1], personal_message=v2_sent.words("0.49 a kWh", "en"),
)  # fmt: skip
ANSWER = v2_sent.TransactionEventResponse(
    Decimal("12.10"), 1, INFO, v2_sent.words("thank you"), custom_data={"vendorId": "a"}
)
LONG = Decimal("1234567890.12345678901230")
TARIFF = {"tariffId": "t", "currency": "EUR", "energy": {"prices": [{"priceKwh": Decimal("0.5")}]}}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AuthorizeResponse", v2_sent.AuthorizeResponse(INFO)),
        ("TransactionEventResponse", ANSWER),
        ("TransactionEventResponse", v2_sent.TransactionEventResponse()),
        ("BootNotificationResponse", v2_sent.BootNotificationResponse(TIME, 300, "Accepted")),
        ("CostUpdated", v2_sent.CostUpdated(Decimal("0.00"), "t", {"vendorId": "a"})),
        ("RequestStartTransaction", v2_sent.RequestStartTransaction(1, TOKEN, 1, TOKEN)),
        ("RequestStopTransaction", v2_sent.RequestStopTransaction("t")),
        ("GetTransactionStatus", v2_sent.GetTransactionStatus("t")),
        ("GetTransactionStatus", v2_sent.GetTransactionStatus()),
        ("SendLocalList",
         v2_sent.SendLocalList(1, "Full", [v2_sent.AuthorizationData(TOKEN, INFO)])),
        ("SendLocalList", v2_sent.SendLocalList(2, "Full")),
        ("ClearCache", v2_sent.ClearCache()),
        ("TriggerMessage", v2_sent.TriggerMessage("MeterValues", v2_sent.SentEvse(1, 1))),
        ("SetVariables", v2_sent.SetVariables([v2_sent.SetVariableData(
            "60", v2_sent.SentComponent("SampledDataCtrlr"),
            v2_sent.SentVariable("TxUpdatedInterval"))])),
        ("DataTransfer", v2_sent.SentDataTransfer("a", "b", {"c": Decimal("1.5")})),
    ],
)  # fmt: skip
def test_what_we_write_is_what_both_standards_say(name: str, message: v2_sent.Sent) -> None:
    for version in ("ocpp2.0.1", "ocpp2.1"):
        ocpp_schemas.check(version, name, v2_sent.write(message))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AuthorizeResponse", v2_sent.AuthorizeResponse(INFO, TARIFF)),
        ("TransactionEventResponse", v2_sent.TransactionEventResponse(
            transaction_limit=v2_sent.TransactionLimit(Decimal("9.5"), Decimal(100), 5, 80))),
        ("SetDefaultTariff", v21.SetDefaultTariff(0, TARIFF)),
        ("ChangeTransactionTariff", v21.ChangeTransactionTariff("t", TARIFF)),
        ("ClearTariffs", v21.ClearTariffs(["t"], 1)),
        ("NotifyWebPaymentStarted", v21.NotifyWebPaymentStarted(1, 60)),
        ("NotifySettlementResponse", v21.NotifySettlementResponse("https://r", "r")),
        ("VatNumberValidationResponse", v21.VatNumberValidationResponse(
            "DE1", "Accepted", 1, v21.SentAddress("A", "B", "C", "DE"))),
    ],
)  # fmt: skip
def test_what_we_write_of_2_1_alone(name: str, message: v2_sent.Sent) -> None:
    ocpp_schemas.check("ocpp2.1", name, v2_sent.write(message))


def test_amounts_are_written_as_numbers_digit_for_digit() -> None:
    for amount, digits in ((Decimal("0.00"), "0.00"), (LONG, str(LONG))):
        payload = v2_sent.write(v2_sent.CostUpdated(amount, "t"))
        raw = frames.encode(frames.Call("1", "CostUpdated", payload))
        assert raw == f'[2,"1","CostUpdated",{{"totalCost":{digits},"transactionId":"t"}}]'
    with pytest.raises(ValueError, match="NaN"):
        v2_sent.write(v2_sent.CostUpdated(Decimal("NaN"), "t"))
    assert len(v2_sent.words("x" * 600).content) == 512


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.sampled_from(["NaN", "1e99", "1e-99", "12", "12.50", "1e9999999999", TIME, "\x00"]),
    lambda held: st.lists(held, max_size=3)
    | st.dictionaries(st.text(max_size=5), held, max_size=3),
    max_leaves=8,
)  # fmt: skip
MESSAGES: tuple[type[Message], ...] = (
    v2.TransactionEvent, v2.NotifyEvent, v2.MeterValues, v21.NotifySettlement, v21.CostDetails,
    v16.StartTransaction, v16.StopTransaction, v16.MeterValues, costmsg.ConnectorUnplugged,
    v2_sent.SetVariablesAnswer,
)  # fmt: skip


def _holes(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items  # type: ignore[assignment]
    return [path] + [hole for key, item in items for hole in _holes(item, (*path, key))]


HOLES = _holes(EVENT_21)[1:]


@given(JSON, st.sampled_from(HOLES))
def test_no_payload_raises_anything_but_bad_input(junk: Any, hole: tuple[Any, ...]) -> None:
    """Any JSON as a message, and a good one with any JSON in the place of any of its values."""
    spoilt = copy.deepcopy(EVENT_21)
    at: Any = spoilt
    for key in hole[:-1]:
        at = at[key]
    at[hole[-1]] = junk
    for payload, messages in ((junk, MESSAGES), (spoilt, (v2.TransactionEvent,))):
        for message in messages:
            try:
                found = v2.read(payload, message)
                if isinstance(found, v2.TransactionEvent):
                    assert "\x00" not in str(v2.samples(found.values, "m"))
                    v21.read(found.cost_details, v21.CostDetails)
            except BadInput:
                continue


@given(JSON, st.sampled_from(["[2,", "", '[6,"1",']))
def test_no_frame_raises_anything_but_malformed(junk: Any, before: str) -> None:
    raw = msgspec.json.encode(junk).decode()
    for text in (raw, before + raw + "]"):
        frames.message_id_of(text)
        try:
            assert frames.decode(frames.encode(frames.decode(text)))
        except Malformed:
            continue

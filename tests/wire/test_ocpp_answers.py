"""Nothing that a charge point may send stays without an answer that its standard allows.

Who sends what was taken from the standards' tables of messages, by way of others who typed them
off for themselves; all of a version's schemas are on one side or the other.
"""

from __future__ import annotations

from typing import Any

import ocpp_schemas
import pytest

from wattledger.errors import BadInput, Malformed
from wattledger.wire.ocpp import answers, frames, v2_sent, v16
from wattledger.wire.ocpp.frames import Kind

# 1.6 edition 2 §4, and the security whitepaper's table of messages.
FROM_16 = """Authorize BootNotification DataTransfer DiagnosticsStatusNotification
    FirmwareStatusNotification Heartbeat LogStatusNotification MeterValues
    SecurityEventNotification SignCertificate SignedFirmwareStatusNotification StartTransaction
    StatusNotification StopTransaction"""
# 2.0.1 part 2, "Messages".
FROM_201 = """Authorize BootNotification ClearedChargingLimit DataTransfer
    FirmwareStatusNotification Get15118EVCertificate GetCertificateStatus Heartbeat
    LogStatusNotification MeterValues NotifyChargingLimit NotifyCustomerInformation
    NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent
    NotifyMonitoringReport NotifyReport PublishFirmwareStatusNotification ReportChargingProfiles
    ReservationStatusUpdate SecurityEventNotification SignCertificate StatusNotification
    TransactionEvent"""
# What 2.1 added: with 2.0.1's, the 36 requests and the one SEND of a charging station.
ADDED_21 = """BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm
    NotifyDERStartStop NotifyPeriodicEventStream NotifyPriorityCharging NotifySettlement
    OpenPeriodicEventStream PullDynamicScheduleUpdate ReportDERControl VatNumberValidation"""
FROM = {
    "ocpp1.6": frozenset(FROM_16.split()),
    "ocpp2.0.1": frozenset(FROM_201.split()),
    "ocpp2.1": frozenset([*FROM_201.split(), *ADDED_21.split()]),
}
# 1.6 §4.2.3 and 2.0.1 part 4 §4.3.
CODES_16 = {"NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError",
            "FormationViolation", "PropertyConstraintViolation", "OccurenceConstraintViolation",
            "TypeConstraintViolation", "GenericError"}  # fmt: skip
CODES_2 = {"FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported",
           "NotImplemented", "NotSupported", "OccurrenceConstraintViolation",
           "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError", "SecurityError",
           "TypeConstraintViolation"}  # fmt: skip
CODES = {"ocpp1.6": CODES_16, "ocpp2.0.1": CODES_2, "ocpp2.1": CODES_2}

HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
PAYLOADS: dict[str, dict[str, Any]] = {
    "VatNumberValidation": {"vatNumber": "DE123"},
    "GetCertificateChainStatus": {
        "certificateStatusRequests": [
            {"certificateHashData": HASH, "source": "OCSP", "urls": ["https://ocsp"]}
        ]
    },
}
TIME = "2026-11-02T12:00:00Z"
# Answers of those that need a handler, made of the parts that handlers have.
MADE: dict[str, dict[str, Any]] = {
    "Authorize": v16.id_tag_info("Invalid"),
    "BootNotification": {"status": "Accepted", "currentTime": TIME, "interval": 300},
    "Heartbeat": {"currentTime": TIME},
    "StartTransaction": {"transactionId": 1, **v16.id_tag_info("Blocked")},
}
UNKNOWN = v2_sent.IdTokenInfo("Unknown")


@pytest.mark.parametrize("version", FROM)
def test_every_action_of_a_charge_point_has_an_answer(version: str) -> None:
    assert answers.from_station(version) == FROM[version]
    both = ocpp_schemas.actions(version)
    assert both - FROM[version] == answers.TO_STATION[version]
    assert both == FROM[version] | answers.TO_STATION[version]
    made = {**MADE}
    if version != "ocpp1.6":
        made["Authorize"] = v2_sent.write(v2_sent.AuthorizeResponse(UNKNOWN))
        made["TransactionEvent"] = v2_sent.write(
            v2_sent.TransactionEventResponse(id_token_info=UNKNOWN)
        )
    for action in FROM[version] - answers.UNANSWERED[version]:
        answer = answers.default_answer(version, action, PAYLOADS.get(action, {}))
        assert (answer is None) == (action in answers.DECIDED[version])
        if answer is None:
            answer = made.get(action, {})
            code = frames.error_code(version, answers.refusal(version, action))
            assert code == "NotSupported", "an answer that would let it be forgotten"
        ocpp_schemas.check(version, f"{action}Response", answer)


def test_defaults_promise_nothing() -> None:
    for version in FROM:
        assert answers.default_answer(version, "SignCertificate", {}) == {"status": "Rejected"}
        assert answers.default_answer(version, "DataTransfer", {}) == {"status": "UnknownVendorId"}
    vat = answers.default_answer("ocpp2.1", "VatNumberValidation", PAYLOADS["VatNumberValidation"])
    assert vat == {"vatNumber": "DE123", "status": "Rejected"}
    for action in PAYLOADS:
        with pytest.raises(BadInput):
            answers.default_answer("ocpp2.1", action, {})


@pytest.mark.parametrize("version", FROM)
def test_what_nobody_may_send_is_refused_by_its_name(version: str) -> None:
    assert answers.default_answer(version, "Teleport", {}) is None
    assert answers.refusal(version, "Teleport") is Kind.UNKNOWN_ACTION
    assert answers.refusal(version, "ClearCache") is Kind.UNSUPPORTED
    other = "StartTransaction" if version != "ocpp1.6" else "TransactionEvent"
    assert answers.refusal(version, other) is Kind.UNKNOWN_ACTION
    assert answers.default_answer("ocpp2.0.1", "NotifyDERAlarm", {}) is None
    assert {frames.error_code(version, kind) for kind in Kind} == CODES[version]


def test_error_codes_are_spelt_as_each_version_does() -> None:
    assert frames.error_code("ocpp1.6", Kind.FORMAT) == "FormationViolation"
    assert frames.error_code("ocpp2.0.1", Kind.FORMAT) == "FormatViolation"
    assert frames.error_code("ocpp1.6", Kind.OCCURRENCE) == "OccurenceConstraintViolation"
    assert frames.error_code("ocpp2.1", Kind.OCCURRENCE) == "OccurrenceConstraintViolation"


def test_the_frames_that_2_1_added() -> None:
    for frame, raw in (
        (frames.Send("1", "NotifyPeriodicEventStream", {"id": 1}),
         '[6,"1","NotifyPeriodicEventStream",{"id":1}]'),
        (frames.ResultError("1", "FormatViolation", "why", {"a": 1}),
         '[5,"1","FormatViolation","why",{"a":1}]'),
    ):  # fmt: skip
        assert frames.encode(frame) == raw
        assert frames.decode(raw) == frame
        assert frames.message_id_of(raw) is None, "neither is answered"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("[7]", "frame[0]"), ("[true]", "frame[0]"), ("[2]", "frame"), ("{}", "frame"),
        ('["2","1","A",{}]', "frame"), ('[2,"","A",{}]', "frame[1]"), ('[2,1,"A",{}]', "frame[1]"),
        (f'[2,"{"x" * 37}","A",{{}}]', "frame[1]"), ('[2,"1",null,{}]', "frame[2]"),
        ('[2,"1","A",[]]', "frame[3]"), ('[2,"1","A",{},1]', "frame"), ('[3,"1",1]', "frame[2]"),
        ('[6,"1","A"]', "frame"), ('[5,"1","A",null]', "frame[3]"), ("[2,", "frame"),
    ],
)  # fmt: skip
def test_a_frame_that_is_none_names_its_element(raw: str, path: str) -> None:
    with pytest.raises(Malformed) as found:
        frames.decode(raw)
    assert found.value.path == path


def test_an_id_has_36_characters_and_a_description_255() -> None:
    call = frames.decode(f'[2,"{"x" * 36}","A",{{}}]')
    assert call == frames.Call("x" * 36, "A", {})
    cut = frames.decode(frames.encode(frames.CallError("1", "GenericError", "é" * 300)))
    assert isinstance(cut, frames.CallError)
    assert cut.description == "é" * 255


def test_a_frame_nested_beyond_reason_is_refused() -> None:
    """Who shows or stores its payload must not run out of stack."""
    for depth in (70, 900, 100_000):
        for raw in ('{"a":' * depth + "1" + "}" * depth, "[" * depth + "]" * depth):
            with pytest.raises(Malformed):
                frames.decode(f'[2,"1","A",{{"a":{raw}}}]')
    wide = ",".join(["[]"] * 100)
    assert isinstance(frames.decode(f'[2,"1","A",{{"a":[{wide}]}}]'), frames.Call)

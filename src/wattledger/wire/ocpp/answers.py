"""What a CSMS owes a charge point for each action: an answer, even where it does nothing with it.

Which side sends what is the standard's: 1.6 edition 2 §4 and the security extension (part of the
whitepaper "Improved security for OCPP 1.6-J", edition 3); 2.0.1 and 2.1, part 2. A default says as
much as it can without a decision: refused, failed, or merely received. What is to be decided or
kept has none: it needs a handler, and without one is answered with an error, so that the charge
point does not believe that it was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wattledger.wire.ocpp.frames import Kind
from wattledger.wire.ocpp.reading import Message, Name, Text, convert

Payload = dict[str, Any]
Default = Callable[[Payload], Payload]

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"


class _Vat(Message, frozen=True):
    vat_number: Name


class _HashData(Message, frozen=True):
    hash_algorithm: Text
    issuer_name_hash: Text
    issuer_key_hash: Text
    serial_number: Text


class _ChainRequest(Message, frozen=True):
    certificate_hash_data: _HashData
    source: Text


class _Chain(Message, frozen=True):
    certificate_status_requests: list[_ChainRequest]


def _says(**answer: str) -> Default:
    return lambda payload: dict(answer)


def _vat_refused(payload: Payload) -> Payload:
    """Nobody here can tell whether the number is one."""
    message = convert(payload, _Vat, "OCPP 2.1")
    return {"vatNumber": message.vat_number, "status": "Rejected"}


def _chain_failed(payload: Payload) -> Payload:
    """No status of any certificate; the next is due long since."""
    message = convert(payload, _Chain, "OCPP 2.1")
    return {
        "certificateStatus": [
            {
                "certificateHashData": {
                    "hashAlgorithm": asked.certificate_hash_data.hash_algorithm,
                    "issuerNameHash": asked.certificate_hash_data.issuer_name_hash,
                    "issuerKeyHash": asked.certificate_hash_data.issuer_key_hash,
                    "serialNumber": asked.certificate_hash_data.serial_number,
                },
                "source": asked.source,
                "status": "Failed",
                "nextUpdate": "1970-01-01T00:00:00Z",
            }
            for asked in message.certificate_status_requests
        ]
    }


_RECEIVED = _says()
_REJECTED = _says(status="Rejected")
_FAILED = _says(status="Failed")
# A vendor whose messages we read has a handler.
_UNKNOWN_VENDOR = _says(status="UnknownVendorId")

_DEFAULTS_16: Mapping[str, Default] = {
    "DataTransfer": _UNKNOWN_VENDOR,
    "DiagnosticsStatusNotification": _RECEIVED,
    "FirmwareStatusNotification": _RECEIVED,
    "LogStatusNotification": _RECEIVED,
    "SecurityEventNotification": _RECEIVED,
    "SignCertificate": _REJECTED,
    "SignedFirmwareStatusNotification": _RECEIVED,
}
_DEFAULTS_201: Mapping[str, Default] = {
    "ClearedChargingLimit": _RECEIVED,
    "DataTransfer": _UNKNOWN_VENDOR,
    "FirmwareStatusNotification": _RECEIVED,
    "Get15118EVCertificate": _says(status="Failed", exiResponse=""),
    "GetCertificateStatus": _FAILED,
    "LogStatusNotification": _RECEIVED,
    "NotifyChargingLimit": _RECEIVED,
    "NotifyCustomerInformation": _RECEIVED,
    "NotifyDisplayMessages": _RECEIVED,
    "NotifyEVChargingNeeds": _REJECTED,
    # Says that it was read, and approves of nothing.
    "NotifyEVChargingSchedule": _says(status="Accepted"),
    "NotifyEvent": _RECEIVED,
    "NotifyMonitoringReport": _RECEIVED,
    "NotifyReport": _RECEIVED,
    "PublishFirmwareStatusNotification": _RECEIVED,
    "ReportChargingProfiles": _RECEIVED,
    "ReservationStatusUpdate": _RECEIVED,
    "SecurityEventNotification": _RECEIVED,
    "SignCertificate": _REJECTED,
}
_DEFAULTS_21: Mapping[str, Default] = {
    **_DEFAULTS_201,
    "BatterySwap": _RECEIVED,
    "ClosePeriodicEventStream": _RECEIVED,
    "GetCertificateChainStatus": _chain_failed,
    "NotifyDERAlarm": _RECEIVED,
    "NotifyDERStartStop": _RECEIVED,
    "NotifyPriorityCharging": _RECEIVED,
    "OpenPeriodicEventStream": _REJECTED,
    "PullDynamicScheduleUpdate": _REJECTED,
    "ReportDERControl": _RECEIVED,
    "VatNumberValidation": _vat_refused,
}
_DEFAULTS = {V16: _DEFAULTS_16, V201: _DEFAULTS_201, V21: _DEFAULTS_21}

_ALWAYS = frozenset(
    {"Authorize", "BootNotification", "Heartbeat", "MeterValues", "StatusNotification"}
)
# What needs a handler.
DECIDED: Mapping[str, frozenset[str]] = {
    V16: _ALWAYS | {"StartTransaction", "StopTransaction"},
    V201: _ALWAYS | {"TransactionEvent"},
    V21: _ALWAYS | {"TransactionEvent", "NotifySettlement"},
}
# What is sent without waiting for an answer: there must be none (2.1 part 4 §4.2.5).
UNANSWERED: Mapping[str, frozenset[str]] = {
    V16: frozenset(),
    V201: frozenset(),
    V21: frozenset({"NotifyPeriodicEventStream"}),
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What only a CSMS sends. A charge point that does is known to be wrong: NotSupported.
_TO_16 = _names(
    "CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache "
    "ClearChargingProfile DeleteCertificate ExtendedTriggerMessage GetCompositeSchedule "
    "GetConfiguration GetDiagnostics GetInstalledCertificateIds GetLocalListVersion GetLog "
    "InstallCertificate RemoteStartTransaction RemoteStopTransaction ReserveNow Reset "
    "SendLocalList SetChargingProfile SignedUpdateFirmware TriggerMessage UnlockConnector "
    "UpdateFirmware"
)
_TO_201 = _names(
    "CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile "
    "ClearDisplayMessage ClearVariableMonitoring CostUpdated CustomerInformation "
    "DeleteCertificate GetBaseReport GetChargingProfiles GetCompositeSchedule "
    "GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion GetLog "
    "GetMonitoringReport GetReport GetTransactionStatus GetVariables InstallCertificate "
    "PublishFirmware RequestStartTransaction RequestStopTransaction ReserveNow Reset "
    "SendLocalList SetChargingProfile SetDisplayMessage SetMonitoringBase SetMonitoringLevel "
    "SetNetworkProfile SetVariableMonitoring SetVariables TriggerMessage UnlockConnector "
    "UnpublishFirmware UpdateFirmware"
)
_TO_21 = _TO_201 | _names(
    "AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs "
    "GetDERControl GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer "
    "NotifyWebPaymentStarted RequestBatterySwap SetDERControl SetDefaultTariff "
    "UpdateDynamicSchedule UsePriorityCharging"
)
TO_STATION: Mapping[str, frozenset[str]] = {V16: _TO_16, V201: _TO_201, V21: _TO_21}


def default_answer(version: str, action: str, payload: Payload) -> Payload | None:
    """The answer to an action that nobody handles, or None: then ``refusal`` says the error.

    Raises BadInput where the answer has to repeat something that the payload does not say.
    """
    made = _DEFAULTS[version].get(action)
    return None if made is None else made(payload)


def refusal(version: str, action: str) -> Kind:
    """The error for an action that has neither handler nor default."""
    known = action in DECIDED[version] or action in UNANSWERED[version]
    known = known or action in _DEFAULTS[version] or action in TO_STATION[version]
    return Kind.UNSUPPORTED if known else Kind.UNKNOWN_ACTION


def from_station(version: str) -> frozenset[str]:
    """Every action that a charge point of that version may send."""
    return frozenset(_DEFAULTS[version]) | DECIDED[version] | UNANSWERED[version]

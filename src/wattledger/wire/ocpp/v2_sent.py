"""What we send in OCPP 2.0.1 and 2.1: answers to a station's requests, and requests of our own.

``write`` makes a payload of one: amounts are exact Decimals, which ``frames.encode`` writes as JSON
numbers, digit for digit. What a station answers to a request is read with ``v2.read``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from wattledger.wire import exact
from wattledger.wire.ocpp.reading import Int, Message, Name, Text

# The shorter of the two: 2.0.1 allows 512 characters, 2.1 twice as many.
_CONTENT_MAX = 512


class Sent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message of ours, or a part of one: what is not set is not sent."""


class MessageContent(Sent, frozen=True):
    """Words for the driver."""

    format: Literal["ASCII", "HTML", "URI", "UTF8", "QRCODE"]
    content: str
    language: str | None = None


class SentIdToken(Sent, frozen=True):
    """A token: in 2.0.1 one of its types, in 2.1 any text of 20 characters."""

    id_token: str
    type: str


class IdTokenInfo(Sent, frozen=True):
    """``status`` is Accepted, Blocked, ConcurrentTx, Expired, Invalid, NoCredit,
    NotAllowedTypeEVSE, NotAtThisLocation, NotAtThisTime or Unknown."""

    status: str
    cache_expiry_date_time: str | None = None
    charging_priority: int | None = None
    group_id_token: SentIdToken | None = None
    language1: str | None = None
    evse_id: list[int] | None = None
    personal_message: MessageContent | None = None


class TransactionLimit(Sent, frozen=True):
    """2.1: money with tax, Wh, seconds and percent."""

    max_cost: Decimal | None = None
    max_energy: Decimal | None = None
    max_time: int | None = None
    max_soc: int | None = msgspec.field(default=None, name="maxSoC")


class AuthorizeResponse(Sent, frozen=True):
    """C01. ``tariff`` is of 2.1."""

    id_token_info: IdTokenInfo
    tariff: dict[str, Any] | None = None


class TransactionEventResponse(Sent, frozen=True):
    """``total_cost`` with tax: running in an Updated's, final in an Ended's answer; 0 is for free,
    absent is not known. The limit is of 2.1."""

    total_cost: Decimal | None = None
    charging_priority: int | None = None
    id_token_info: IdTokenInfo | None = None
    updated_personal_message: MessageContent | None = None
    transaction_limit: TransactionLimit | None = None
    custom_data: dict[str, Any] | None = None


class BootNotificationResponse(Sent, frozen=True):
    """``interval`` in seconds."""

    current_time: str
    interval: int
    status: Literal["Accepted", "Pending", "Rejected"]


class CostUpdated(Sent, frozen=True):
    """I02: running cost, with tax. ``custom_data`` with a vendorId is the way of 2.0.1 to say more
    (the pricing white paper)."""

    total_cost: Decimal
    transaction_id: str
    custom_data: dict[str, Any] | None = None


class RequestStartTransaction(Sent, frozen=True):
    """F01, F02"""

    remote_start_id: int
    id_token: SentIdToken
    evse_id: int | None = None
    group_id_token: SentIdToken | None = None


class RequestStopTransaction(Sent, frozen=True):
    """F03"""

    transaction_id: str


class GetTransactionStatus(Sent, frozen=True):
    """E14: whether it still runs, and whether events of it wait to be sent."""

    transaction_id: str | None = None


class AuthorizationData(Sent, frozen=True):
    """An entry of the local list; in a differential update, without info, its removal."""

    id_token: SentIdToken
    id_token_info: IdTokenInfo | None = None


class SendLocalList(Sent, frozen=True):
    """D01. An empty list must not be written: it is left out."""

    version_number: int
    update_type: Literal["Full", "Differential"]
    local_authorization_list: list[AuthorizationData] | None = None


class ClearCache(Sent, frozen=True):
    """C11"""


class SentEvse(Sent, frozen=True):
    """Which EVSE."""

    id: int
    connector_id: int | None = None


class TriggerMessage(Sent, frozen=True):
    """F06"""

    requested_message: str
    evse: SentEvse | None = None


class SentComponent(Sent, frozen=True):
    """A part of the station's device model."""

    name: str
    instance: str | None = None
    evse: SentEvse | None = None


class SentVariable(Sent, frozen=True):
    """A value of a component."""

    name: str
    instance: str | None = None


class SetVariableData(Sent, frozen=True):
    """A value to set."""

    attribute_value: str
    component: SentComponent
    variable: SentVariable


class SetVariables(Sent, frozen=True):
    """B05"""

    set_variable_data: list[SetVariableData]


class SentDataTransfer(Sent, frozen=True):
    """P01"""

    vendor_id: str
    message_id: str | None = None
    data: Any = None


def write(message: Sent) -> dict[str, Any]:
    """The payload of a message. A cost that is no finite number is a ValueError: a bug of ours."""
    found = msgspec.to_builtins(message, builtin_types=(Decimal,))
    assert isinstance(found, dict), "a struct is an object"
    _check(found)
    return found


def words(content: str, language: str | None = None) -> MessageContent:
    """Words for the driver, as much of them as every station has room for."""
    return MessageContent("UTF8", content[:_CONTENT_MAX], language)


def _check(value: object) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, Decimal) and not exact.bounded(value):
        raise ValueError(f"{value} is not {exact.NUMBER}")


# What a station answers.


class StatusInfo(Message, frozen=True):
    """Why."""

    reason_code: Text = ""
    additional_info: Text | None = None


class Answer(Message, frozen=True):
    """Of RequestStopTransaction, SendLocalList, ClearCache, TriggerMessage, SetDefaultTariff,
    ChangeTransactionTariff and DataTransfer: Accepted, or another word."""

    status: Text
    status_info: StatusInfo | None = None


class StartAnswer(Answer, frozen=True):
    """Of RequestStartTransaction; with an id where the transaction had begun before."""

    transaction_id: Name | None = None


class TransactionStatus(Message, frozen=True):
    """Of GetTransactionStatus; the first is absent where no transaction was asked for."""

    messages_in_queue: bool
    ongoing_indicator: bool | None = None


class VariableName(Message, frozen=True):
    """A component or a variable."""

    name: Text
    instance: Text | None = None


class SetVariableResult(Message, frozen=True):
    """Accepted, Rejected, UnknownComponent, UnknownVariable, NotSupportedAttributeType or
    RebootRequired."""

    attribute_status: Text
    component: VariableName
    variable: VariableName


class SetVariablesAnswer(Message, frozen=True):
    """One result a value, in any order."""

    set_variable_result: list[SetVariableResult]


class LocalListVersion(Message, frozen=True):
    """Of GetLocalListVersion: 0 is an empty list."""

    version_number: Int

"""How each version of OCPP says a command: the action and the payload of a CALL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from wattledger.ids import content_digest
from wattledger.wire import exact
from wattledger.wire.ocpp import v2_sent, v16_sent, v21
from wattledger.wire.ocpp.v2_sent import Sent, write

Request = Mapping[str, Any]

_ID_TOKEN_MAX = {"ocpp2.0.1": 36, "ocpp2.1": 255}
# Part 2, MessageTriggerEnumType; 2.1 may have more, but none that we ask for.
_TRIGGERS = frozenset(
    {
        "BootNotification", "LogStatusNotification", "FirmwareStatusNotification", "Heartbeat",
        "MeterValues", "StatusNotification", "TransactionEvent",
    }
)  # fmt: skip
# Of a card, which is what a local list is for; the configuration has no types of tokens.
_LIST_TOKEN_TYPE = "ISO14443"
_CENTRAL = "Central"


class NotSaid(Exception):
    """This version has no words for it."""


class Words(NamedTuple):
    """A CALL."""

    action: str
    payload: dict[str, Any]


def say(version: str, name: str, request: Request, key: str = "") -> Words:
    """The CALL of a command. ``key`` is the effect's, by which a remote start is known.

    Raises NotSaid where the version can't say it.
    """
    old = version == "ocpp1.6"
    if name == "set_tariff" and version != "ocpp2.1":
        raise NotSaid(f"{version} has no tariffs")
    maker = (_V16 if old else _V2).get(name)
    if maker is None:
        raise NotSaid(f"{version} has no {name}")
    if name == "remote_start":
        _check_length(request["token"], v16_sent.ID_TAG_MAX if old else _ID_TOKEN_MAX[version])
    message = maker({**request, "key": key})
    return Words(_ACTIONS.get(type(message), type(message).__name__), write(message))


def remote_start_id(key: str) -> int:
    """A positive int31 for a remote start, the same for the same key."""
    return int(content_digest(key.encode())[:8], 16) & 0x7FFF_FFFF or 1


def _check_length(token: str, most: int) -> None:
    if len(token) > most:
        raise NotSaid(f"a token of {len(token)} characters: this version allows {most}")


def _known(message: str, known: frozenset[str]) -> str:
    if message not in known:
        raise NotSaid(f"{message} can't be triggered in this version")
    return message


def _evse(request: Request) -> v2_sent.SentEvse | None:
    number = request.get("connector_id")
    return v2_sent.SentEvse(number) if number else None


def _remote_stop_16(request: Request) -> Sent:
    reference = str(request["transaction_id"])
    if not reference.isdecimal():
        raise NotSaid(f"a transaction {reference!r}: in this version it is a number")
    return v16_sent.RemoteStopTransaction(int(reference))


def _trigger_2(request: Request) -> Sent:
    return v2_sent.TriggerMessage(_known(request["message"], _TRIGGERS), _evse(request))


def _list_16(request: Request) -> Sent:
    accepted = v16_sent.IdTagInfo("Accepted")
    entries = [
        v16_sent.AuthorizationData(token, accepted)
        for token in request["tokens"] if len(token) <= v16_sent.ID_TAG_MAX
    ]  # fmt: skip
    return v16_sent.SendLocalList(request["version"], "Full", entries)


def _list_2(request: Request) -> Sent:
    accepted = v2_sent.IdTokenInfo("Accepted")
    entries = [
        v2_sent.AuthorizationData(v2_sent.SentIdToken(token, _LIST_TOKEN_TYPE), accepted)
        for token in request["tokens"]
    ]
    return v2_sent.SendLocalList(request["version"], "Full", entries or None)


def _data_16(request: Request) -> Sent:
    data = request.get("data")
    if data is not None and not isinstance(data, str):
        data = msgspec.json.encode(data).decode()
    return v16_sent.DataTransfer(request["vendor_id"], request.get("message_id"), data)


def _tariff(request: Request) -> Sent:
    tariff = _exactly(request["tariff"])
    if "transaction_id" in request:
        return v21.ChangeTransactionTariff(request["transaction_id"], tariff)
    return v21.SetDefaultTariff(request["evse_id"], tariff)


def _exactly(said: Any) -> Any:
    """An object that an effect keeps as JSON text, so that its numbers stay as they were."""
    return exact.parse(said.encode()) if isinstance(said, str) else said


_V16: dict[str, Callable[[Request], Sent]] = {
    "remote_start": lambda r: v16_sent.RemoteStartTransaction(
        r["token"], r.get("connector_id") or None
    ),
    "remote_stop": _remote_stop_16,
    "trigger_message": lambda r: v16_sent.TriggerMessage(
        _known(r["message"], v16_sent.MESSAGES), r.get("connector_id") or None
    ),
    "clear_cache": lambda r: v16_sent.ClearCache(),
    "send_local_list": _list_16,
    "data_transfer": _data_16,
    "default_price": lambda r: v16_sent.ChangeConfiguration("DefaultPrice", r["value"]),
}
_V2: dict[str, Callable[[Request], Sent]] = {
    "remote_start": lambda r: v2_sent.RequestStartTransaction(
        remote_start_id(r["key"]),
        v2_sent.SentIdToken(r["token"], r.get("token_type") or _CENTRAL),
        r.get("connector_id") or None,
    ),
    "remote_stop": lambda r: v2_sent.RequestStopTransaction(str(r["transaction_id"])),
    "get_transaction_status": lambda r: v2_sent.GetTransactionStatus(r["transaction_id"]),
    "trigger_message": _trigger_2,
    "clear_cache": lambda r: v2_sent.ClearCache(),
    "send_local_list": _list_2,
    "data_transfer": lambda r: v2_sent.SentDataTransfer(
        r["vendor_id"], r.get("message_id"), r.get("data")
    ),
    "cost_updated": lambda r: v2_sent.CostUpdated(
        Decimal(r["total_cost"]), r["transaction_id"], _exactly(r.get("custom_data"))
    ),
    "set_tariff": _tariff,
}
# Where a message's type has not the name of its action.
_ACTIONS: dict[type[Sent], str] = {v2_sent.SentDataTransfer: "DataTransfer"}

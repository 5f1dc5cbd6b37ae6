"""What we ask of a charge point in OCPP 1.6: the payloads of our CALLs.

``v2_sent.write`` makes a payload of one. Section numbers are those of the 1.6 specification.
"""

from __future__ import annotations

from typing import Literal

from wattledger.wire.ocpp.v2_sent import Sent

ID_TAG_MAX = 20
"""§7.28, idTag is a CiString20Type."""

MESSAGES = frozenset(
    {
        "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification",
        "Heartbeat", "MeterValues", "StatusNotification",
    }
)  # fmt: skip
"""What can be triggered (§7.35)."""


class RemoteStartTransaction(Sent, frozen=True):
    """§5.11"""

    id_tag: str
    connector_id: int | None = None


class RemoteStopTransaction(Sent, frozen=True):
    """§5.12"""

    transaction_id: int


class TriggerMessage(Sent, frozen=True):
    """§5.17"""

    requested_message: str
    connector_id: int | None = None


class ChangeConfiguration(Sent, frozen=True):
    """§5.3: one key at a time; a list is one text with commas."""

    key: str
    value: str


class ClearCache(Sent, frozen=True):
    """§5.4"""


class IdTagInfo(Sent, frozen=True):
    """§7.27"""

    status: Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]


class AuthorizationData(Sent, frozen=True):
    """An entry of the local list (§7.1)."""

    id_tag: str
    id_tag_info: IdTagInfo


class SendLocalList(Sent, frozen=True):
    """§5.15. Without a list a full update empties it."""

    list_version: int
    update_type: Literal["Full", "Differential"]
    local_authorization_list: list[AuthorizationData] | None = None


class DataTransfer(Sent, frozen=True):
    """§5.6: data is text."""

    vendor_id: str
    message_id: str | None = None
    data: str | None = None

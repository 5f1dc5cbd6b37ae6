"""OCPP 2.0.1 and 2.1: which step takes which message, and how its outcome is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from wattledger.clock import utc_text
from wattledger.contract import Reason
from wattledger.gateway import prices
from wattledger.gateway.protocol import Handler, Protocol
from wattledger.pipeline.charging.authorize import authorize as decide_now
from wattledger.pipeline.charging.events import take as event_step
from wattledger.pipeline.charging.running import booted as boot_step
from wattledger.pipeline.charging.running import connector_status
from wattledger.pipeline.stations.upkeep import booted as upkeep_step
from wattledger.pipeline.terminals.terminal_reports import notify_settlement as settlement_step
from wattledger.wire.ocpp import answers, v2, v2_sent, v21

if TYPE_CHECKING:
    from wattledger.gateway.connection import Peer

Payload = dict[str, Any]

HEARTBEAT_INTERVAL_S = 300
STATUS = {
    Reason.ACCEPTED: "Accepted",
    Reason.BLOCKED: "Blocked",
    Reason.EXPIRED: "Expired",
    Reason.IN_DEBT: "NoCredit",
    Reason.NO_PAYMENT_METHOD: "NoCredit",
    Reason.NO_ROUTE: "NotAtThisLocation",
    Reason.NO_TARIFF: "NotAtThisTime",
    Reason.UNKNOWN_LOCATION: "NotAtThisLocation",
    Reason.UNKNOWN_TOKEN: "Unknown",
}
"""AuthorizationStatusEnumType."""


async def authorize(peer: Peer, payload: Payload) -> Payload:
    """C01"""
    message = v2.read(payload, v2.Authorize)
    decision = await decide_now(
        peer.world, message.id_token.id_token, peer.charge_point_id,
        log=peer.journal, now=peer.heard_at, token_type=message.id_token.type,
    )  # fmt: skip
    info = v2_sent.IdTokenInfo(STATUS[decision.reason])
    tariff = None
    if peer.protocol.version == answers.V21:
        tariff = await prices.driver_tariff(peer.world, peer.charge_point_id, decision)
    return v2_sent.write(v2_sent.AuthorizeResponse(info, tariff))


async def boot(peer: Peer, payload: Payload) -> Payload:
    """B01"""
    message = v2.read(payload, v2.BootNotification)
    now = peer.world.now
    station = message.charging_station
    peer.booted(station.vendor_name, station.model, now)
    await boot_step(peer.world, peer.charge_point_id)
    await upkeep_step(peer.world, peer.charge_point_id)
    if peer.protocol.version == answers.V21:
        await prices.booted_21(peer.world, peer.charge_point_id)
    answer = v2_sent.BootNotificationResponse(utc_text(now), HEARTBEAT_INTERVAL_S, "Accepted")
    return v2_sent.write(answer)


async def heartbeat(peer: Peer, payload: Payload) -> Payload:
    """G02"""
    return {"currentTime": utc_text(peer.world.now)}


async def status(peer: Peer, payload: Payload) -> Payload:
    """G01"""
    message = v2.read(payload, v2.StatusNotification)
    at = v2.time_of(message.timestamp)
    state = v2.ConnectorState(at, message.connector_status, message.evse_id, message.connector_id)
    await connector_status(peer.world, peer.charge_point_id, state, live=True)
    return {}


async def notify_event(peer: Peer, payload: Payload) -> Payload:
    """N07: where a station says by it what others say by StatusNotification."""
    for state in v2.connector_states(v2.read(payload, v2.NotifyEvent)):
        await connector_status(peer.world, peer.charge_point_id, state, live=False)
    return {}


async def transaction_event(peer: Peer, payload: Payload) -> Payload:
    """E01 to E12: an event can't be refused; a token in it can."""
    message = v2.read(payload, v2.TransactionEvent)
    raw = msgspec.json.encode(payload, order="deterministic")
    told = await event_step(peer.world, peer.charge_point_id, peer.protocol.version, message, raw)
    info = v2_sent.IdTokenInfo(STATUS[told.reason]) if told.reason is not None else None
    answer = v2_sent.TransactionEventResponse(total_cost=told.total_cost, id_token_info=info)
    return v2_sent.write(answer)


async def meter_values(peer: Peer, payload: Payload) -> Payload:
    """J01: outside of a transaction nothing is billed by them."""
    v2.read(payload, v2.MeterValues)
    return {}


async def notify_settlement(peer: Peer, payload: Payload) -> Payload:
    """C18 to C23"""
    message = v21.read(payload, v21.NotifySettlement)
    return v2_sent.write(await settlement_step(peer.world, peer.charge_point_id, message))


_HANDLERS = {
    "Authorize": authorize,
    "BootNotification": boot,
    "Heartbeat": heartbeat,
    "MeterValues": meter_values,
    "NotifyEvent": notify_event,
    "StatusNotification": status,
    "TransactionEvent": transaction_event,
}


_KEPT = frozenset({"TransactionEvent", "MeterValues"})
# What only 2.1 has: a charge point with a payment terminal of its own.
_HANDLERS_21 = {**_HANDLERS, "NotifySettlement": notify_settlement}
_KEPT_21 = _KEPT | {"NotifySettlement"}


def _protocol(version: str, handlers: Mapping[str, Handler], kept: frozenset[str]) -> Protocol:
    return Protocol(
        version=version,
        handlers=handlers,
        durable_actions=kept,
        kept_actions=kept,
        default=lambda action, payload: answers.default_answer(version, action, payload),
    )


V201 = _protocol(answers.V201, _HANDLERS, _KEPT)
V21 = _protocol(answers.V21, _HANDLERS_21, _KEPT_21)

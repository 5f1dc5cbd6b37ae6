"""OCPP 1.6: which step takes which message, and how its outcome is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wattledger.clock import utc_text
from wattledger.contract import Reason
from wattledger.gateway import prices
from wattledger.gateway.protocol import Protocol
from wattledger.pipeline.charging.authorize import authorize as decide_now
from wattledger.pipeline.charging.departure import connector_unplugged as unplug_step
from wattledger.pipeline.charging.end import stop as stop_step
from wattledger.pipeline.charging.running import booted as boot_step
from wattledger.pipeline.charging.running import meter as meter_step
from wattledger.pipeline.charging.running import status as status_step
from wattledger.pipeline.charging.start import start as start_step
from wattledger.pipeline.stations.upkeep import booted as upkeep_step
from wattledger.wire.ocpp import answers, costmsg, v16

if TYPE_CHECKING:
    from wattledger.gateway.connection import Peer

Payload = dict[str, Any]

HEARTBEAT_INTERVAL_S = 300
# 1.6 has no word for most of our reasons (§7.2): what is not blocked or expired is invalid.
_STATUS = {Reason.ACCEPTED: "Accepted", Reason.BLOCKED: "Blocked", Reason.EXPIRED: "Expired"}


async def authorize(peer: Peer, payload: Payload) -> Payload:
    """§5.2"""
    token = payload.get("idTag")
    if type(token) is not str or "\0" in token:
        token = v16.read(payload, v16.Authorize).id_tag  # or what is wrong with it
    decision = await decide_now(
        peer.world, token, peer.charge_point_id, log=peer.journal, now=peer.heard_at
    )
    if decision.accepted and peer.journal is not None:
        prices.show_user(peer.world, peer.charge_point_id, decision)
    return v16.id_tag_info(_STATUS.get(decision.reason, "Invalid"))


async def boot(peer: Peer, payload: Payload) -> Payload:
    """§4.2"""
    message = v16.read(payload, v16.BootNotification)
    now = peer.world.now
    peer.booted(message.charge_point_vendor, message.charge_point_model, now)
    await boot_step(peer.world, peer.charge_point_id)
    await upkeep_step(peer.world, peer.charge_point_id)
    await prices.booted_16(peer.world, peer.charge_point_id)
    return {
        "status": "Accepted",
        "currentTime": utc_text(now),
        "interval": HEARTBEAT_INTERVAL_S,
    }


async def heartbeat(peer: Peer, payload: Payload) -> Payload:
    """§4.6"""
    return {"currentTime": utc_text(peer.world.now)}


async def status(peer: Peer, payload: Payload) -> Payload:
    """§4.9"""
    message = v16.read(payload, v16.StatusNotification)
    await status_step(peer.world, peer.charge_point_id, message, peer.world.now)
    return {}


async def start(peer: Peer, payload: Payload) -> Payload:
    """§4.8"""
    message = v16.read(payload, v16.StartTransaction)
    started = await start_step(peer.world, peer.charge_point_id, message)
    info = v16.id_tag_info(_STATUS.get(started.reason, "Invalid"))
    return {"transactionId": started.transaction_id, **info}


async def meter_values(peer: Peer, payload: Payload) -> Payload:
    """§4.7"""
    await meter_step(peer.world, peer.charge_point_id, v16.read(payload, v16.MeterValues))
    return {}


async def stop(peer: Peer, payload: Payload) -> Payload:
    """§4.10. idTagInfo is optional in the answer; a stop can't be refused."""
    message = v16.read(payload, v16.StopTransaction)
    await stop_step(peer.world, peer.charge_point_id, message)
    return {}


async def data_transfer(peer: Peer, payload: Payload) -> Payload:
    """§4.3: of vendors' messages only the pricing paper's says something that is billed."""
    message = v16.read(payload, v16.DataTransfer)
    if message.vendor_id != costmsg.VENDOR_ID:
        return {"status": "UnknownVendorId"}
    if message.message_id != "ConnectorUnplugged":
        return {"status": "UnknownMessageId"}
    await unplug_step(peer.world, peer.charge_point_id, costmsg.unplugged(message.data))
    return {"status": "Accepted"}


async def nothing(peer: Peer, payload: Payload) -> Payload:
    """An answer without content."""
    return {}


PROTOCOL = Protocol(
    version="ocpp1.6",
    handlers={
        "Authorize": authorize,
        "BootNotification": boot,
        "DataTransfer": data_transfer,
        "DiagnosticsStatusNotification": nothing,
        "FirmwareStatusNotification": nothing,
        "Heartbeat": heartbeat,
        "MeterValues": meter_values,
        "StartTransaction": start,
        "StatusNotification": status,
        "StopTransaction": stop,
    },
    durable_actions=frozenset(
        {"DataTransfer", "MeterValues", "StartTransaction", "StopTransaction"}
    ),
    kept_actions=frozenset({"StopTransaction", "MeterValues"}),
    default=lambda action, payload: answers.default_answer(answers.V16, action, payload),
)

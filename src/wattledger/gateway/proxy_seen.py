"""What passes between a charge point and its CPMS, into the steps of our own.

The same steps as for a charge point that is connected to us alone. What goes wrong in one is
shown as an anomaly and changes nothing of what passes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from wattledger.contract import Reason
from wattledger.entitlements import decide
from wattledger.errors import BadInput
from wattledger.gateway import v2
from wattledger.gateway.connection import Peer
from wattledger.gateway.protocol import Handler, Protocol
from wattledger.gateway.proxy_names import Names, ref_of
from wattledger.ingest.journal import Journal
from wattledger.pipeline import proxied
from wattledger.pipeline.charging.authorize import authorize, payer_of
from wattledger.pipeline.charging.events import take as event_step
from wattledger.pipeline.charging.running import booted as boot_step
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import patch, v2_sent
from wattledger.wire.ocpp import v2 as v2_messages
from wattledger.wire.ocpp import v16 as v16_messages
from wattledger.wire.ocpp.frames import Call, CallError, CallResult

Payload = dict[str, Any]

# What a passing message is to us, beside those that are handled here.
_AS_OURS = frozenset(
    {"DataTransfer", "MeterValues", "NotifyEvent", "StatusNotification", "StopTransaction"}
)
PROXIED = "proxy:"
"""Before the version, in the connection ids of frames that passed."""
_REASONS = {"Blocked": Reason.BLOCKED, "Expired": Reason.EXPIRED}
_STATUS_16 = {Reason.ACCEPTED: "Accepted", Reason.BLOCKED: "Blocked", Reason.EXPIRED: "Expired"}


class Observer(Peer):
    """Takes in what passed, one message after the other. ``refusing``: the CPMS's word on tokens
    counts."""

    __slots__ = ("_answer", "_booted", "names", "refusing")

    def __init__(
        self, world: World, charge_point_id: str, protocol: Protocol, journal: Journal | None,
        names: Names, *, refusing: bool, booted: Callable[[str, str, datetime], None],
    ) -> None:  # fmt: skip
        super().__init__(world, charge_point_id, _observing(protocol), journal)
        self.names = names
        self.refusing = refusing
        self._booted = booted
        self._answer: CallResult | CallError | None = None

    async def take(
        self, call: Call, answer: CallResult | CallError | None
    ) -> CallResult | CallError:
        """What we would have answered. ``answer`` is the CPMS's, where it is waited for."""
        self._answer, self.heard_at = answer, self.world.now
        return await self.answer(self.names.for_session(call))

    async def see(self, call: Call, answer: CallResult | CallError | None) -> None:
        """As it passes."""
        await self.take(call, answer)
        ref = ref_of(call)
        if call.action == "StopTransaction" and ref is not None and self.names.has(ref):
            await proxied.ended(self.world, self.charge_point_id, ref)

    def said(self) -> Payload:
        """The CPMS's answer to the message in hand."""
        return self._answer.payload if isinstance(self._answer, CallResult) else {}

    def booted(self, vendor: str, model: str, now: datetime) -> None:
        self._booted(vendor, model, now)


def waits_for_answer(call: Call) -> bool:
    """Whether what the CPMS answers is a part of what happened: a number, or no to a token."""
    return call.action == "StartTransaction" or (
        call.action == "TransactionEvent" and "idToken" in call.payload
    )


def is_seen(call: Call) -> bool:
    """Whether it is anything to us."""
    return call.action in _AS_OURS or call.action in (
        "BootNotification", "StartTransaction", "TransactionEvent",
    )  # fmt: skip


async def _start(peer: Peer, payload: Payload) -> Payload:
    """1.6 §4.8, with the CPMS's number. Where it has answered with an error nothing started."""
    observer = cast(Observer, peer)
    said = observer.said()
    if not said:
        return {}
    message = v16_messages.read(payload, v16_messages.StartTransaction)
    number = said.get("transactionId")
    ref = patch.number_of(str(number))
    if not ref and str(number) != "0":
        raise BadInput("StartTransaction.conf.transactionId", number, "a whole number")
    refused = refusal(said.get("idTagInfo")) if observer.refusing else None
    seen = await proxied.start(peer.world, peer.charge_point_id, message, ref, refused)
    if seen.named is not None:
        observer.names.add(seen.named)
    else:
        observer.names.plain(ref)
    return {}


async def event(peer: Peer, payload: Payload) -> Payload:
    """2.x E01 to E12. The answer is for a CPMS that is away."""
    message = v2_messages.read(payload, v2_messages.TransactionEvent)
    raw = msgspec.json.encode(payload, order="deterministic")
    refused = None
    if isinstance(peer, Observer) and peer.refusing:
        refused = refusal(peer.said().get("idTokenInfo"))
    told = await event_step(peer.world, peer.charge_point_id, proxied.SOURCE, message, raw, refused)
    info = v2_sent.IdTokenInfo(v2.STATUS[told.reason]) if told.reason is not None else None
    return v2_sent.write(v2_sent.TransactionEventResponse(id_token_info=info))


async def _boot(peer: Peer, payload: Payload) -> Payload:
    """Seen only: what a charge point of our own is then told to do, this one is not."""
    station: Mapping[str, Any] = payload.get("chargingStation") or payload
    vendor = station.get("vendorName") or station.get("chargePointVendor") or ""
    model = station.get("model") or station.get("chargePointModel") or ""
    peer.booted(str(vendor), str(model), peer.world.now)
    await boot_step(peer.world, peer.charge_point_id)
    return {}


_OBSERVING: dict[str, Protocol] = {}


def _observing(protocol: Protocol) -> Protocol:
    if protocol.version not in _OBSERVING:
        handlers: dict[str, Handler] = {
            name: handler for name, handler in protocol.handlers.items() if name in _AS_OURS
        }
        own: dict[str, Handler] = {
            "BootNotification": _boot, "StartTransaction": _start, "TransactionEvent": event,
        }  # fmt: skip
        _OBSERVING[protocol.version] = dataclasses.replace(protocol, handlers=handlers | own)
    return _OBSERVING[protocol.version]


def refusal(info: object) -> Reason | None:
    """Why the CPMS does not want a token; None where it does, or says nothing."""
    status = info.get("status") if isinstance(info, dict) else None
    if status is None or status == "Accepted":
        return None
    return _REASONS.get(str(status), Reason.UNKNOWN_TOKEN)


async def judged(peer: Peer, mode: str, call: Call, answer: CallResult, raw: str) -> str:
    """The CPMS's answer as the charge point is told it, where our own decision counts: its status
    of the token, and nothing else, is another then."""
    name, token, token_type = _token(call)
    if mode == "cpms" or token is None:
        return raw
    info = answer.payload.get(name)
    theirs = info.get("status") if isinstance(info, dict) else None
    if mode == "both" and theirs not in (None, "Accepted"):
        return raw
    ours = await _status(peer, call.action, token, token_type)
    if ours == (theirs or "Accepted"):
        return raw
    return patch.with_value(raw, patch.element(raw, 2), (name, "status"), ours)


def _token(call: Call) -> tuple[str, str | None, str]:
    """Where the answer speaks of it, the token, and its type where its version has one."""
    if call.action in ("Authorize", "StartTransaction") and "idTag" in call.payload:
        return "idTagInfo", str(call.payload["idTag"]), ""
    id_token = call.payload.get("idToken")
    if call.action in ("Authorize", "TransactionEvent") and isinstance(id_token, dict):
        return "idTokenInfo", str(id_token.get("idToken")), str(id_token.get("type", ""))
    return "", None, ""


async def _status(peer: Peer, action: str, token: str, token_type: str) -> str:
    """Our decision, as this version says it. That of an Authorize is logged here; a start's with
    its session."""
    world, now = peer.world, peer.world.now
    if action == "Authorize":
        decision = await authorize(
            world, token, peer.charge_point_id, log=peer.journal, token_type=token_type
        )
    else:
        snapshot, point_id = await world.snapshot(now), peer.charge_point_id
        paid = await payer_of(world, snapshot, token, point_id, token_type)
        decision = decide(snapshot, token, point_id, now, paid=paid, blocks=world.blocks)
    if peer.protocol.version == "ocpp1.6":
        return _STATUS_16.get(decision.reason, "Invalid")
    return v2.STATUS[decision.reason]


async def start_alone(peer: Peer, payload: Payload, raw: str) -> tuple[Payload, proxied.Seen]:
    """1.6 §4.8 while the CPMS is away: by our decision, with a number of ours."""
    message = v16_messages.read(payload, v16_messages.StartTransaction)
    seen = await proxied.start_alone(peer.world, peer.charge_point_id, message, raw)
    info = v16_messages.id_tag_info(_STATUS_16.get(seen.reason, "Invalid"))
    return {"transactionId": seen.ref, **info}, seen

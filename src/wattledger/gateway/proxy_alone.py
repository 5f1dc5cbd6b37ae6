"""The handlers of a proxied charge point while its CPMS is away."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from wattledger.gateway.protocol import Handler, Protocol
from wattledger.gateway.proxy_seen import event, start_alone

if TYPE_CHECKING:
    from wattledger.gateway.connection import Peer
    from wattledger.gateway.proxy import ProxyConnection

_ANSWERING: dict[str, Protocol] = {}


def answering(protocol: Protocol) -> Protocol:
    """The version's handlers, but with transactions that are called what the proxy calls them."""
    if protocol.version not in _ANSWERING:
        own: dict[str, Handler] = {"StartTransaction": _start, "TransactionEvent": event}
        handlers = {**protocol.handlers, **{k: v for k, v in own.items() if k in protocol.handlers}}
        _ANSWERING[protocol.version] = dataclasses.replace(protocol, handlers=handlers)
    return _ANSWERING[protocol.version]


async def _start(peer: Peer, payload: dict[str, Any]) -> dict[str, Any]:
    connection = cast("ProxyConnection", peer)
    answer, seen = await start_alone(peer, payload, connection.in_hand)
    if seen.named is not None:
        connection.names.add(seen.named)
    return answer

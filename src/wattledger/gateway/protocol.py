"""What a version of OCPP is to the gateway: its handlers and its default answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wattledger.wire.ocpp import frames
from wattledger.wire.ocpp.frames import Kind

if TYPE_CHECKING:
    from wattledger.gateway.connection import Peer

Handler = Callable[["Peer", dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One version. ``version`` is its WebSocket subprotocol, and the source of its sessions."""

    version: str
    handlers: Mapping[str, Handler]
    durable_actions: frozenset[str]
    """Actions whose answer means "you may forget it": their frame is committed before."""
    default: Callable[[str, dict[str, Any]], dict[str, Any] | None]
    """The standard's answer to an action that has no handler; None where it can't be answered."""
    counted_actions: frozenset[str] = frozenset({"Heartbeat"})
    """Nothing but a sign of life: counted, not kept."""
    passing_actions: frozenset[str] = frozenset({"Authorize", "BootNotification"})
    """Kept, but not replayed: what they did was for that moment only."""

    kept_actions: frozenset[str] = frozenset()
    """Durable ones that are answered without content: where a fault of ours keeps one from being
    taken, the charge point may still forget it, since its frame is kept and can be replayed."""

    def durable(self, action: str) -> bool:
        """Whether the frame has to be committed before it is answered."""
        return action in self.durable_actions

    def default_answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to an action that no handler takes, or None: NotImplemented."""
        return self.default(action, payload)

    def error_code(self, kind: Kind) -> str:
        """How this version says it."""
        return frames.error_code(self.version, kind)

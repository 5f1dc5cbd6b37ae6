"""How the outcome of an effect is taken in: by its kind, in one transaction with its settling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from wattledger.db.effects import Effect
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.pipeline.world import World


class Settled(msgspec.Struct, frozen=True):
    """An effect whose outcome is known, and the step that moves its subject on."""

    tx: Transaction
    world: World
    snapshot: Snapshot
    effect: Effect
    response: dict[str, Any]


class Handler(msgspec.Struct, frozen=True):
    """What an outcome does. ``step`` is the transaction's name. Without ``refused`` a refusal is
    shown to a person as ``<kind>.refused``."""

    step: str
    done: Callable[[Settled], Awaitable[None]]
    refused: Callable[[Settled], Awaitable[None]] | None = None

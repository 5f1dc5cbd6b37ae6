"""What the handlers of the API share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wattledger.api.keys import Keys
from wattledger.conductor import Conductor
from wattledger.db.connect import Pool
from wattledger.pipeline.world import World


@dataclass(frozen=True, slots=True)
class State:
    """One per process. ``conductor`` is there where the clock is driven."""

    world: World
    reader: Pool
    keys: Keys
    secrets: Callable[[str], str]
    wake: Callable[[], None]
    conductor: Conductor | None = None

"""Charge points as the simulation knows them, and what they say of themselves in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wattledger.demo.connected import Connected
from wattledger.demo.plan import Post, Session


@dataclass(slots=True)
class Running:
    """A session at a charge point, from its start until the car has left."""

    plan: Session
    ref: str
    """What the charge point calls the transaction."""
    start_register_wh: int
    stopped: bool = False


@dataclass(slots=True)
class State:
    """A charge point: its register lasts, whatever runs."""

    post: Post
    register_wh: int
    point: Connected | None = None
    running: Running | None = None
    waiting: bool = False
    """Somebody has paid at the terminal, and waits for the charge point to be told."""
    token: str | None = None
    """What it was told to start with."""


@dataclass(slots=True)
class Record:
    """What the charge points and the CPMS say themselves, for comparison with the bills."""

    delivered: list[dict[str, Any]] = field(default_factory=list)
    """Per session: key, charge_point_id, transaction_ref or external_id, energy_wh, and
    whether it was stopped from afar."""
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    done: int = 0


@dataclass(frozen=True, slots=True)
class FromAfar:
    """What commands to one charge point come to."""

    start: Callable[[str], bool]
    stop: Callable[[str], bool]

"""What is compared, and what comes of it: values only."""

from __future__ import annotations

import msgspec


class Item(msgspec.Struct, frozen=True):
    """One side's item in a leg. ``key`` is what the two sides have in common."""

    id: str
    key: str
    amount: int
    """Minor units of money, or Wh in the legs about energy."""
    entity_id: str
    currency: str | None = None
    what: str = ""
    """In words, for the person who reads a break."""


class Break(msgspec.Struct, frozen=True):
    """Something that does not match, with its cause as far as known and what to do."""

    leg: str
    code: str
    entity_id: str
    item_id: str
    cause: str
    proposal: str
    currency: str | None = None
    amount_minor: int | None = None
    energy_wh: int | None = None


class Match(msgspec.Struct, frozen=True):
    """Items of both sides that have a key in common and agree."""

    key: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    entity_id: str


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """A station of the chain: its name, how many items, their sum."""

    label: str
    count: int
    amount_minor: int | None = None
    energy_wh: int | None = None


class Leg(msgspec.Struct, frozen=True):
    """A leg with both its totals. ``tied``: no break among the ``compared``, which may be none."""

    leg: str
    title: str
    ours: Side
    theirs: Side
    matched: int
    breaks: int
    tied: bool
    sentence: str
    compared: int
    """Groups of items that were held against each other: matched and breaks."""

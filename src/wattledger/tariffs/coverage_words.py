"""Boxes of moments in words: "MONDAY to FRIDAY 21:00–24:00, from 10 kWh on"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from wattledger.tariffs.coverage import (
    AXES,
    COUNTED,
    DAY_MINUTES,
    Box,
    Space,
    season_of,
)
from wattledger.tariffs.model import Day

SHOWN_MAX = 3
_DAYS = list(Day)
_COUNTED = {"idle": "idle", "charging": "charging", "duration": "the session"}
_WHEN = {"kwh": "kWh", "power": "kW", "current": "A"}


def pieces_in_words(pieces: Sequence[Box], space: Space) -> str:
    """All of them, or the first few and how many more there are."""
    shown = [box_in_words(piece, space) for piece in pieces[:SHOWN_MAX]]
    more = len(pieces) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def box_in_words(box: Box, space: Space) -> str:
    """What sets the box apart from all moments there are."""
    parts = [
        _axis_in_words(axis, mask, space)
        for axis, mask, everything in zip(AXES, box, space.full, strict=True)
        if mask != everything
    ]
    return ", ".join(parts) or "always"


def _axis_in_words(axis: str, mask: int, space: Space) -> str:
    if axis == "week":
        return week_in_words(mask)
    if axis == "season":
        runs = _runs(mask, 366)
        return " and ".join(f"{season_of(a)} to {season_of(b - 1)} (inclusive)" for a, b in runs)
    if axis == "holiday":
        return "on holidays" if mask == 0b10 else "on days that are no holiday"
    if axis == "kind":
        return "at AC" if mask == 0b01 else "at DC"
    if axis in space.edges:
        edges = space.edges[axis]
        runs = _runs(mask, len(edges))
        return " and ".join(
            _between(axis, edges[a], edges[b] if b < len(edges) else None) for a, b in runs
        )
    names = space.brands if axis == "brand" else space.recognitions
    chosen = [name for i, name in enumerate(names) if mask >> (i + 1) & 1]
    others = ["otherwise"] if mask & 1 else []
    what = "paid with" if axis == "brand" else "recognized by"
    return f"{what} {' or '.join(chosen + others)}"


def week_in_words(mask: int) -> str:
    """``MONDAY to FRIDAY 21:00–24:00, SATURDAY all day``."""
    days = [
        _runs(mask >> (day * DAY_MINUTES) & ((1 << DAY_MINUTES) - 1), DAY_MINUTES)
        for day in range(7)
    ]
    found, first = [], 0
    while first < 7:
        last = first
        while last + 1 < 7 and days[last + 1] == days[first]:
            last += 1
        if days[first]:
            name = _DAYS[first].value if first == last else f"{_DAYS[first]} to {_DAYS[last]}"
            every = (first, last) == (0, 6)
            hours = " and ".join(f"{_clock(a)}–{_clock(b)}" for a, b in days[first])
            whole = days[first] == [(0, DAY_MINUTES)]
            found.append(
                hours if every and not whole else f"{name} {'all day' if whole else hours}"
            )
        first = last + 1
    return ", ".join(found)


def _between(axis: str, low: int, high: int | None) -> str:
    if axis == "date":
        start, end = (date.fromordinal(day).isoformat() if day else "" for day in (low, high))
        words = (f"from {start} on" if start else "", f"before {end}" if end else "")
        return f"from {start} to before {end}" if all(words) else "".join(words)
    shown: Callable[[int], str]
    if axis in COUNTED:
        shown, unit = str, f"s of {_COUNTED[axis]}"
    else:
        shown, unit = _plain, _WHEN[axis]
    if high is None:
        return f"from {shown(low)} {unit} on"
    if low <= 0:
        return f"below {shown(high)} {unit}"
    return f"from {shown(low)} to below {shown(high)} {unit}"


def _plain(scaled: int) -> str:
    return f"{Decimal(scaled).scaleb(-6).normalize():f}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _runs(mask: int, size: int) -> list[tuple[int, int]]:
    """The stretches of set bits, as (first, after the last)."""
    found, at = [], 0
    while at < size and mask >> at:
        rest = mask >> at
        at += (rest & -rest).bit_length() - 1
        length = (~(mask >> at) & ((mask >> at) + 1)).bit_length() - 1
        found.append((at, at + length))
        at += length
    return found

"""A load profile, and how much of it falls into given stretches of time: exactly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

import msgspec

from wattledger.errors import BadInput
from wattledger.tariffs.utility.schedule import us_of

# 10 GWh in one interval: a typing error for certain.
_ENERGY_MAX_WH = 10_000_000_000


class LoadInterval(msgspec.Struct, frozen=True):
    """``energy_wh`` drawn from ``from_at`` to ``to_at`` (exclusive), spread evenly over it."""

    from_at: datetime
    to_at: datetime
    energy_wh: int


class Piece(NamedTuple):
    """A load interval in microseconds since 1970."""

    from_us: int
    to_us: int
    energy_wh: int


def check_instant(value: object, path: str) -> int:
    """Microseconds since 1970; raises BadInput for a naive time or none at all."""
    if not isinstance(value, datetime):
        raise BadInput(path, value, "a datetime")
    if value.utcoffset() is None:
        raise BadInput(path, value.isoformat(), "a time with a zone")
    return us_of(value.astimezone(UTC))


def check_energy(value: object, path: str) -> int:
    """Whole Wh from 0 on; raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _ENERGY_MAX_WH:
        raise BadInput(path, value, f"whole Wh from 0 to {_ENERGY_MAX_WH}")
    return value


def pieces(load: Sequence[LoadInterval], path: str = "load") -> list[Piece]:
    """The load, checked: every interval takes time, and none begins before the last one ended.

    Raises BadInput.
    """
    found: list[Piece] = []
    for i, interval in enumerate(load):
        at = f"{path}[{i}]"
        piece = Piece(
            check_instant(interval.from_at, f"{at}.from_at"),
            check_instant(interval.to_at, f"{at}.to_at"),
            check_energy(interval.energy_wh, f"{at}.energy_wh"),
        )
        if piece.to_us <= piece.from_us:
            raise BadInput(f"{at}.to_at", interval.to_at.isoformat(), "a time after from_at")
        if found and piece.from_us < found[-1].to_us:
            expected = "a start not before the end of the interval before it"
            raise BadInput(f"{at}.from_at", interval.from_at.isoformat(), expected)
        found.append(piece)
    return found


def first_gap(load: Sequence[Piece], from_us: int, to_us: int) -> int | None:
    """The first instant of the stretch that no interval covers; None where all is covered."""
    due = from_us
    for piece in load:
        if piece.to_us <= due:
            continue
        if piece.from_us > due or due >= to_us:
            break
        due = piece.to_us
    return due if due < to_us else None


def energies_wh(load: Sequence[Piece], cells: Sequence[tuple[int, int]]) -> list[Fraction]:
    """The Wh in each cell; cells are in order and don't overlap, but may leave time out.

    Nothing is rounded: however intervals and cells are cut, the sums stay the same.
    """
    found: list[Fraction] = []
    i = 0
    for from_us, to_us in cells:
        whole, parts = 0, Fraction(0)
        while i < len(load) and load[i].to_us <= from_us:
            i += 1
        j = i
        while j < len(load) and load[j].from_us < to_us:
            piece = load[j]
            overlap = min(piece.to_us, to_us) - max(piece.from_us, from_us)
            length = piece.to_us - piece.from_us
            if overlap == length:
                whole += piece.energy_wh
            elif overlap > 0:
                parts += Fraction(piece.energy_wh * overlap, length)
            j += 1
        i = max(i, j - 1)
        found.append(whole + parts)
    return found


def cut_wh(energy_wh: int, from_us: int, to_us: int, at_us: int) -> int:
    """Of Wh spread evenly from ``from_us`` to ``to_us``, the whole Wh until ``at_us``, down.

    Differences of it telescope: the parts of an interval sum to it.
    """
    if at_us >= to_us:
        return energy_wh
    if at_us <= from_us:
        return 0
    return energy_wh * (at_us - from_us) // (to_us - from_us)

"""The cumulative register at any second of a session, and how far it can be off there.

A register that was not read at a cut lies on the straight line between the neighbouring readings,
rounded down to whole Wh: the parts telescope to last minus first. What the truth can be there is
bounded by the two readings, since registers never fall, and by the most that the EVSE can give.
Before the first reading and after the last one the register is taken to stand.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from wattledger.rating.sections import second_of
from wattledger.sessions.model import Delivery

METERED = -1
BEFORE, AFTER = -2, -3
"""Segments of what was not read: before the first reading, after the last."""


@dataclass(frozen=True, slots=True)
class Knot:
    """A moment between two periods. ``segment`` numbers the gap between two readings that the
    register was interpolated in; ``error_wh`` is how far it can be off, None without a bound.
    """

    at_s: int
    register_wh: int
    segment: int = METERED
    error_wh: int | None = 0


class Register:
    """Made of a delivery with at least one reading."""

    def __init__(self, delivery: Delivery) -> None:
        self.times = [second_of(reading.at) for reading in delivery.readings]
        self.values = [reading.register_wh for reading in delivery.readings]
        self.charged_until_s = second_of(delivery.charged_until)
        self.max_power_w = delivery.max_power_w

    def at(self, second: int) -> Knot:
        """The knot at ``second``."""
        i = bisect_right(self.times, second) - 1
        if i < 0:
            return Knot(second, self.values[0], BEFORE, self._most_wh(self.times[0] - second))
        low = self.values[i]
        if i + 1 == len(self.times):  # after the stop the register stands still
            unread_s = min(second, self.charged_until_s) - self.times[i]
            if unread_s <= 0:
                return Knot(second, low)
            return Knot(second, low, AFTER, self._most_wh(unread_s))
        high = self.values[i + 1]
        since = second - self.times[i]
        if since == 0 or high == low:
            return Knot(second, low)
        gap_s = self.times[i + 1] - self.times[i]
        value = low + since * (high - low) // gap_s
        return Knot(second, value, i, self._bound(value - low, high - low, since, gap_s))

    def reached(self, register_wh: int) -> Knot:
        """Where it stands at ``register_wh`` for the first time, above the first reading."""
        i = bisect_left(self.values, register_wh)
        low, high = self.values[i - 1], self.values[i]
        gap_s = self.times[i] - self.times[i - 1]
        since = (register_wh - low) * gap_s // (high - low)
        return Knot(self.times[i - 1] + since, register_wh)

    def first_energy_s(self) -> int:
        """The last reading before the register moved; the last of all where it never did."""
        for i, value in enumerate(self.values):
            if value > self.values[0]:
                return self.times[i - 1]
        return self.times[-1]

    def _most_wh(self, seconds: int) -> int | None:
        if self.max_power_w is None:
            return None if seconds else 0
        return -(-self.max_power_w * seconds // 3600)

    def _bound(self, part: int, whole: int, since: int, gap_s: int) -> int:
        """How far ``part`` of a gap's ``whole`` can be off, either way."""
        least, most = 0, whole
        if self.max_power_w is not None:
            fast = self._most_wh(since) or 0
            rest = self._most_wh(gap_s - since) or 0
            # A gap that took more than the EVSE can give is a wrong figure there, not here.
            if fast + rest >= whole:
                least, most = max(0, whole - rest), min(whole, fast)
        return max(part - least, most - part)

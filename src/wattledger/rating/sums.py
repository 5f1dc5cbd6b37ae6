"""Exact amounts, rounded by a tariff's policies.

An amount is a pair of exact numbers, before and after taxes, in parts of the smallest unit over
one ``whole``: integers as long as nothing but prices is in it, fractions where a cap or a limit
divided it.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

from wattledger.money import Rounding, divide, exponent
from wattledger.tariffs.policies import Policies, RoundingCloses

Exact = int | Fraction
Sides = tuple[int, int, int]
"""Net, tax and total in the smallest unit."""


class Sums:
    """Rounds amounts over ``whole`` as the policies say."""

    __slots__ = (
        "_closes", "_fast", "_increment", "_places", "_plain", "_unit", "rounding", "whole",
    )  # fmt: skip

    def __init__(self, whole: int, currency: str, policies: Policies) -> None:
        self.whole = whole
        self.rounding = policies.rounding
        self._places = 10 ** exponent(currency)
        self._increment = policies.rounding_increment
        self._unit = whole * policies.rounding_increment
        self._closes = policies.rounding_closes
        self._plain = policies.rounding is Rounding.HALF_UP and policies.rounding_increment == 1
        self._fast = self._plain and self._closes is RoundingCloses.TAXES

    def sides(self, before: Exact, after: Exact) -> Sides:
        """Two of the three are rounded from their exact values, the third is what is left."""
        total = self.round(after)
        if before == after:
            return total, 0, total
        if self._closes is RoundingCloses.BEFORE_TAXES:
            tax = self.round(after - before)
            return total - tax, tax, total
        net = self.round(before)
        if self._closes is RoundingCloses.TAXES:
            return net, total - net, total
        tax = self.round(after - before)
        return net, tax, net + tax

    def whole_sides(self, before: int, after: int) -> Sides:
        """``sides`` of integers: every line of every charge comes by here."""
        if not self._fast or before < 0 or after < 0:
            return self.sides(before, after)
        unit = self._unit
        total = (2 * after + unit) // (2 * unit)
        if before == after:
            return total, 0, total
        net = (2 * before + unit) // (2 * unit)
        return net, total - net, total

    def round(self, amount: Exact) -> int:
        """In the smallest unit, a multiple of the increment."""
        if type(amount) is int:
            if self._plain and amount >= 0:
                # What divide() does for the policies that nearly everybody has.
                return (2 * amount + self._unit) // (2 * self._unit)
            return divide(amount, self._unit, self.rounding) * self._increment
        unit = self._unit * amount.denominator
        return divide(amount.numerator, unit, self.rounding) * self._increment

    def exact(self, before: Exact, after: Exact) -> tuple[str, str, str]:
        """Numerators before and after taxes, and the denominator, in major units."""
        if type(before) is int and type(after) is int:
            return str(before), str(after), str(self.whole * self._places)
        common = lcm(before.denominator, after.denominator)
        return (
            str(before.numerator * (common // before.denominator)),
            str(after.numerator * (common // after.denominator)),
            str(self.whole * self._places * common),
        )

    def text(self, amount: Exact) -> str:
        """In major units to 12 places, half to even, for display."""
        return decimal_text(amount.numerator, self.whole * self._places * amount.denominator)


def decimal_text(numerator: int, denominator: int) -> str:
    """To 12 places, half to even, for display."""
    value = divide(numerator * 10**12, denominator, Rounding.HALF_EVEN)
    whole, rest = divmod(abs(value), 10**12)
    return f"{'-' if value < 0 else ''}{whole}.{rest:012d}"


def spread(total: int, parts: list[int], otherwise: int = 0) -> list[int]:
    """``parts``, each rounded on its own, with what is missing to ``total`` given (or taken)
    unit by unit to the largest of them; with no part at all it is ``otherwise``'s."""
    gap = total - sum(parts)
    if not gap:
        return parts
    parts = list(parts)
    largest = sorted(range(len(parts)), key=lambda i: -abs(parts[i]))
    largest = [i for i in largest if parts[i]] or [otherwise]
    each, rest = divmod(abs(gap), len(largest))
    sign = 1 if gap > 0 else -1
    for place, i in enumerate(largest):
        parts[i] += sign * (each + (place < rest))
    return parts

"""Money: integers of the smallest unit and an ISO 4217 code. No float comes near.

Rounding happens in one place, ``divide``; everything else is integer arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from wattledger.errors import BadInput

_CODE = re.compile(r"[A-Z]{3}")
# Bounded, so that every step after it is exact: no exponent, no other digits than ASCII's.
_PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")

# ISO 4217 exponents that differ from 2.
_EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CAD": "CA$", "AUD": "A$"}


class Rounding(StrEnum):
    """How an exact amount becomes a payable one."""

    HALF_UP = "half_up"
    """Half away from zero: what invoices and tax offices mostly mean."""
    HALF_EVEN = "half_even"
    """Half to the even neighbour: banker's rounding."""
    DOWN = "down"
    """Towards zero."""
    UP = "up"
    """Away from zero."""


@lru_cache(maxsize=512)
def exponent(currency: str) -> int:
    """Decimal places of the smallest unit: 2 for USD, 0 for JPY, 3 for KWD."""
    if not _CODE.fullmatch(currency):
        raise BadInput("currency", currency, "an ISO 4217 code such as USD")
    return _EXPONENTS.get(currency, 2)


def divide(numerator: int, denominator: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """``numerator / denominator`` as an integer, rounded once by ``rounding``.

    ``denominator`` is positive.
    """
    if denominator <= 0:
        raise ValueError(f"denominator must be positive, got {denominator}")
    sign = -1 if numerator < 0 else 1
    whole, rest = divmod(abs(numerator), denominator)
    if rounding is Rounding.UP:
        whole += rest > 0
    elif rounding is Rounding.HALF_UP:
        whole += 2 * rest >= denominator
    elif rounding is Rounding.HALF_EVEN:
        whole += 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    return sign * whole


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` in proportion to ``weights`` (none negative) so that the parts sum to it.

    Largest remainder; a tie goes to the earlier part. With no weight at all the first part
    takes everything.
    """
    if not weights:
        raise ValueError("allocate needs at least one weight")
    if any(weight < 0 for weight in weights):
        raise ValueError(f"weights must not be negative, got {list(weights)}")
    whole = sum(weights)
    if whole == 0:
        return [total] + [0] * (len(weights) - 1)
    sign = -1 if total < 0 else 1
    shares = [divmod(abs(total) * weight, whole) for weight in weights]
    parts = [share for share, _ in shares]
    left = abs(total) - sum(parts)
    if left:
        by_remainder = sorted(range(len(parts)), key=lambda i: (-shares[i][1], i))
        for i in by_remainder[:left]:
            parts[i] += 1
    return [sign * part for part in parts]


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in the smallest unit of ``currency``."""

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __str__(self) -> str:
        return format_minor(self.amount_minor, self.currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"can't add {self.currency} and {other.currency}")


def major_text(amount_minor: int, currency: str) -> str:
    """The plain decimal: ``-12.00``, ``1234.56``, ``500`` for yen."""
    places = exponent(currency)
    digits = str(abs(amount_minor)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if amount_minor < 0 else text


def format_minor(amount_minor: int, currency: str) -> str:
    """For people: ``$1,234.56``, ``−$12.00`` (U+2212), ``¥500``, ``KWD 1.500``."""
    whole, _, fraction = major_text(abs(amount_minor), currency).partition(".")
    text = f"{int(whole):,}" + (f".{fraction}" if fraction else "")
    sign = _SIGNS.get(currency, f"{currency} ")
    return f"{'−' if amount_minor < 0 else ''}{sign}{text}"


def signed_text(amount: str, currency: str) -> str:
    """A plain decimal as it was written, however many places it has: ``$0.405``, ``KWD 0.1``."""
    sign = _SIGNS.get(currency, f"{currency} ")
    return f"−{sign}{amount[1:]}" if amount.startswith("-") else f"{sign}{amount}"


def parse_minor(text: str, currency: str, path: str = "amount") -> int:
    """The minor units of a plain decimal (``"12.00"`` is 1200 in USD).

    Raises BadInput when ``text`` is no finite decimal or finer than the currency's unit.
    """
    if not _PLAIN.fullmatch(text):
        raise BadInput(path, text, "a decimal number such as 12.00")
    scaled = Decimal(text).scaleb(exponent(currency))
    if scaled != int(scaled):
        places = exponent(currency)
        most = f"with {places} decimal places at most" if places else "without decimal places"
        raise BadInput(path, text, f"an amount in {currency} {most}")
    return int(scaled)

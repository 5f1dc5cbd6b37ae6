"""Taxes on a price: which, how much, on what base. Exact.

A tariff's own taxes come before those of the terms. Rates of one stack are on the same base; the
next stack's base has them in it (OCPP 2.1 TaxRateType.stack).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from wattledger.errors import BadInput
from wattledger.rating.terms import Terms
from wattledger.tariffs.model import Component, Dimension, Tariff, TaxIncluded, TaxRate

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")


TaxKey = tuple[str, str, str | None]
"""Name, percent, and why it is not charged."""


@dataclass(frozen=True, slots=True)
class TaxPart:
    """One tax of a price: ``share`` of the price before taxes."""

    name: str
    percent: str
    share: Fraction
    exempt: str | None = None

    @property
    def key(self) -> TaxKey:
        """What its amounts are added up by."""
        return self.name, self.percent, self.exempt


def of_component(tariff: Tariff, terms: Terms, component: Component) -> tuple[TaxPart, ...]:
    """The taxes on a component's price."""
    return parts(tariff, terms, component.dimension, component.taxes)


def parts(
    tariff: Tariff, terms: Terms, dimension: Dimension | None, own: tuple[TaxRate, ...] | None
) -> tuple[TaxPart, ...]:
    """``own`` where the tariff states them, else the terms' on that dimension (None: on a fee)."""
    if tariff.tax_included is TaxIncluded.NOT_APPLICABLE or terms.assessed is not None:
        return ()
    if own is not None:
        return _stacked((rate.name, rate.percent, rate.stack, None) for rate in own)
    return _stacked(
        (tax.name, tax.percent, tax.stack, tax.exempt)
        for tax in terms.taxes
        if tax.percent is not None and (not tax.dimensions or dimension in tax.dimensions)
    )


def around(terms: Terms, dimension: Dimension, stack: int) -> tuple[list[TaxPart], list[TaxPart]]:
    """The terms' percentages beside a tax of an amount at ``stack``: those on the price alone, and
    those of a higher stack, which are on that amount too."""
    mine = [tax for tax in terms.taxes if tax.percent is not None
            and (not tax.dimensions or dimension in tax.dimensions)]  # fmt: skip
    low, high = (
        _stacked((tax.name, tax.percent or "0", tax.stack, tax.exempt) for tax in some)
        for some in (
            [tax for tax in mine if tax.stack <= stack],
            [tax for tax in mine if tax.stack > stack],
        )
    )
    return list(low), list(high)


def factor(some: Iterable[TaxPart]) -> Fraction:
    """What a price before taxes is multiplied by to have them in it."""
    return 1 + sum((part.share for part in some), Fraction(0))


def percent_of(text: str, path: str) -> Fraction:
    """A percentage as a fraction; raises BadInput for one out of 0 to 100."""
    if not _PERCENT.fullmatch(text) or Fraction(text) > 100:
        raise BadInput(path, text, 'a percentage from "0" to "100"')
    return Fraction(text) / 100


def _stacked(given: Iterable[tuple[str, str, int, str | None]]) -> tuple[TaxPart, ...]:
    found: list[TaxPart] = []
    base, stack = Fraction(1), None
    for name, percent, level, exempt in sorted(given, key=lambda rate: rate[2]):
        if level != stack:
            base, stack = factor(found), level
        share = Fraction(0) if exempt else base * percent_of(percent, "$.terms.tax_percent")
        found.append(TaxPart(name, percent, share, exempt))
    return tuple(found)

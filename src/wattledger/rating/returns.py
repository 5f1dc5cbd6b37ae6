"""What a tax on the energy comes to on the return, and what the bills took: not the same.

Every session's tax is rounded to the smallest unit; the return is filed on the total kWh. The
difference is a line with a name, for the books to have an account for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import msgspec

from wattledger.errors import BadInput
from wattledger.money import divide, exponent
from wattledger.rating.model import Charge, LineKind
from wattledger.rating.sums import decimal_text
from wattledger.rating.terms import Tax


class ReturnRate(msgspec.Struct, frozen=True):
    """The energy that one rate is on: ``energy_wh`` is exact text, a record's may have parts."""

    per_kwh: str
    unit_kwh: int
    sessions: int
    energy_wh: str
    due_minor: int


class TaxReturn(msgspec.Struct, frozen=True):
    """One tax over some charges; ``difference_minor`` is what was taken beyond what is due."""

    name: str
    currency: str
    sessions: int
    exempt_sessions: int
    rates: tuple[ReturnRate, ...]
    by_session_minor: int
    by_return_minor: int
    difference_minor: int
    difference_text: str


def tax_return(charges: Iterable[Charge], name: str) -> TaxReturn:
    """The return of the tax per kWh that the charges call ``name``.

    Charges that do not have it, were released or had no energy are none of its sessions; exempt
    ones are counted, and their energy is not. Raises BadInput where no charge has it per kWh, or
    the charges are in several currencies.
    """
    energy: dict[tuple[str, int], list[Fraction]] = {}
    currencies: set[str] = set()
    taken = exempt = 0
    for charge in charges:
        tax = _tax_of(charge, name)
        if tax is None or tax.per_kwh is None:
            continue
        currencies.add(charge.currency)
        if tax.exempt:
            exempt += 1
            continue
        taken += sum(each.tax_minor for each in charge.taxes
                     if each.name == name and each.percent is None)  # fmt: skip
        delivered = Fraction(charge.energy, charge.quantity_scale)
        energy.setdefault((tax.per_kwh, tax.unit_kwh), []).append(delivered)
    if not currencies:
        raise BadInput("$.name", name, "a tax per kWh that is on one of the charges")
    if len(currencies) > 1:
        raise BadInput("$.charges", sorted(currencies), "charges in one currency")
    (currency,) = currencies
    rates = tuple(_rate(currency, *rate, found) for rate, found in energy.items())
    due = sum(rate.due_minor for rate in rates)
    return TaxReturn(
        name=name,
        currency=currency,
        sessions=sum(rate.sessions for rate in rates),
        exempt_sessions=exempt,
        rates=rates,
        by_session_minor=taken,
        by_return_minor=due,
        difference_minor=taken - due,
        difference_text=f"{name}: rounding session by session",
    )


def _tax_of(charge: Charge, name: str) -> Tax | None:
    """The tax, where the bill has a line of it."""
    if not any(line.kind is LineKind.EXCISE for line in charge.lines):
        return None
    return next(
        (tax for tax in charge.terms.taxes if tax.name == name and tax.per_kwh is not None), None
    )


def _rate(currency: str, per_kwh: str, unit_kwh: int, energy: list[Fraction]) -> ReturnRate:
    total = sum(energy, Fraction(0))
    minor = Fraction(per_kwh) * total * 10 ** exponent(currency) * Fraction(1, 1000 * unit_kwh)
    return ReturnRate(
        per_kwh=per_kwh,
        unit_kwh=unit_kwh,
        sessions=len(energy),
        energy_wh=decimal_text(total.numerator, total.denominator).rstrip("0").rstrip("."),
        due_minor=divide(minor.numerator, minor.denominator),
    )

"""What another party's record says of its own totals, beside what came out here."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from wattledger.money import exponent
from wattledger.rating.model import Charge, Difference
from wattledger.wire.ocpi import v211, v230
from wattledger.wire.ocpi.cdrs import Cdr


def compare(cdr: Cdr, charge: Charge) -> tuple[Difference, ...]:
    """Where the record's totals are not ours, to half of the smallest unit (of money) or 0.0001
    (of energy and time, OCPI's places)."""
    before, after = cdr.before_taxes, cdr.after_taxes
    places = exponent(charge.currency)
    if (
        (before is None or before.scaleb(places) == charge.net_minor)
        and (after is None or after.scaleb(places) == charge.total_minor)
        and cdr.total_parking_time is None
        and _is_energy(cdr, charge)
    ):
        return ()
    return tuple(_found(cdr, charge))


def _is_energy(cdr: Cdr, charge: Charge) -> bool:
    if cdr.total_energy is None:
        return True
    numerator, denominator = cdr.total_energy.as_integer_ratio()
    return charge.energy * denominator == numerator * 1000 * charge.quantity_scale


def _found(cdr: Cdr, charge: Charge) -> Iterator[Difference]:
    places = exponent(charge.currency)
    for stated, rounded, after in (
        (cdr.before_taxes, charge.net_minor, False),
        (cdr.after_taxes, charge.total_minor, True),
    ):
        # Equal if it is our rounded amount, or the exact one to half of the smallest unit.
        if stated is None or stated.scaleb(places) == rounded:
            continue
        apart = Fraction(int(charge.exact[after]), int(charge.exact[2])) - Fraction(stated)
        if abs(apart) * 10**places * 2 > 1:
            ours = charge.exact_total if after else charge.exact_net
            yield Difference(_names(cdr)[after], _plain(stated), ours, _signed(apart))
    scale = charge.quantity_scale
    for stated, amount, per, path in (
        (cdr.total_energy, charge.energy, 1000 * scale, "$.total_energy"),
        (cdr.total_parking_time, charge.idle, 3600 * scale, "$.total_parking_time"),
    ):
        if stated is None:
            continue
        numerator, denominator = stated.as_integer_ratio()
        if amount * denominator != numerator * per:
            apart = Fraction(amount, per) - Fraction(stated)
            if abs(apart) * 10_000 > 1:
                ours = _signed(Fraction(amount, per)).lstrip("+")
                yield Difference(path, _plain(stated), ours, _signed(apart))


def _names(cdr: Cdr) -> tuple[str, str]:
    if isinstance(cdr, v211.Cdr):
        return "$.total_cost", "$.total_cost"
    if isinstance(cdr, v230.Cdr):
        return "$.total_cost.before_taxes", "$.total_cost.taxes"
    return "$.total_cost.excl_vat", "$.total_cost.incl_vat"


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def _signed(value: Fraction) -> str:
    """With 4 places, half to even, and its sign."""
    rounded = round(value * 10_000)
    digits = str(abs(rounded)).rjust(5, "0")
    return f"{'-' if rounded < 0 else '+'}{digits[:-4]}.{digits[-4:]}"

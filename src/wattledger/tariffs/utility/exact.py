"""Exact numbers: decimals come as text, are fractions in between, and are rounded once."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from wattledger.errors import BadInput
from wattledger.money import Rounding, divide, exponent

# Bounded, so that all that follows is exact: 1e999999 and a thousand digits are no price.
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?")
_PLAIN = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")


def plain_decimal(raw: object, path: str, *, negative: bool = True) -> str:
    """A finite decimal as plain text without an exponent; whole numbers and text are taken.

    Raises BadInput for anything else, a negative one among it unless ``negative``.
    """
    expected = "a decimal number" if negative else "a decimal number, not negative"
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise BadInput(path, raw, f"{expected}, as text or a whole number")
    text = str(raw) if isinstance(raw, str) or abs(raw) < 10**40 else ""
    plain = format(Decimal(text), "f") if _NUMBER.fullmatch(text) else ""
    if not _PLAIN.fullmatch(plain):
        raise BadInput(path, raw, f"{expected} of 40 digits on each side of the point at most")
    if not negative and Fraction(plain) < 0:
        raise BadInput(path, raw, expected)
    return plain


def ratio(numerator: Fraction | int, denominator: Fraction | int) -> Fraction:
    """The exact quotient."""
    return Fraction(Fraction(numerator), Fraction(denominator))


def minor(exact: Fraction, currency: str, rounding: Rounding = Rounding.HALF_UP) -> int:
    """An exact amount in major units as whole minor units, rounded once."""
    scaled = exact * 10 ** exponent(currency)
    return divide(scaled.numerator, scaled.denominator, rounding)


def decimal_text(exact: Fraction, places: int, rounding: Rounding = Rounding.HALF_UP) -> str:
    """``exact`` with that many decimal places: ``-0.0500``."""
    scaled = exact * 10**places
    units = divide(scaled.numerator, scaled.denominator, rounding)
    digits = str(abs(units)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if units < 0 else text

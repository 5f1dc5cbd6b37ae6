"""What a driver pays per kWh, derived from what energy costs: passed through, with a markup."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

import msgspec

from wattledger.errors import BadInput
from wattledger.money import Rounding
from wattledger.tariffs.utility.exact import decimal_text, plain_decimal
from wattledger.tariffs.utility.series import PriceSeries


class Markup(msgspec.Struct, frozen=True):
    """How cost becomes a price. All but ``places`` are decimals as text, per kWh.

    price = cost + ``percent`` of the cost + ``adder``, rounded to ``places``, then not below
    ``floor`` and not above ``ceiling``. Of a negative cost no percentage is taken: a markup
    never makes a price lower than the cost. Without a floor a price may be negative.
    """

    percent: str = "0"
    adder: str = "0"
    floor: str | None = None
    ceiling: str | None = None
    places: int = 4
    rounding: Rounding = Rounding.HALF_UP


class RetailPrice(NamedTuple):
    """``price_text`` per kWh, a plain decimal, from ``from_at`` to ``to_at`` in UTC."""

    from_at: datetime
    to_at: datetime
    price_text: str


def retail_prices(costs: PriceSeries, markup: Markup) -> list[RetailPrice]:
    """The retail price of each interval of ``costs``, in its currency, before tax.

    Raises BadInput for a markup that is no finite decimal, is negative, or whose floor is
    above its ceiling or finer than ``places``.
    """
    percent = Fraction(plain_decimal(markup.percent, "markup.percent", negative=False))
    adder = Fraction(plain_decimal(markup.adder, "markup.adder", negative=False))
    if isinstance(markup.places, bool) or not 0 <= markup.places <= 9:
        raise BadInput("markup.places", markup.places, "decimal places from 0 to 9")
    floor = _bound(markup.floor, "markup.floor", markup.places)
    ceiling = _bound(markup.ceiling, "markup.ceiling", markup.places)
    if floor is not None and ceiling is not None and floor > ceiling:
        raise BadInput("markup.floor", markup.floor, f"no more than the ceiling {markup.ceiling}")
    found: list[RetailPrice] = []
    for interval in costs.intervals:
        cost = interval.price
        exact = cost + max(cost, Fraction(0)) * percent * Fraction(1, 100) + adder
        rounded = Fraction(decimal_text(exact, markup.places, markup.rounding))
        if floor is not None:
            rounded = max(rounded, floor)
        if ceiling is not None:
            rounded = min(rounded, ceiling)
        text = decimal_text(rounded, markup.places)
        found.append(RetailPrice(interval.from_at, interval.to_at, text))
    return found


def _bound(text: str | None, path: str, places: int) -> Fraction | None:
    if text is None:
        return None
    value = Fraction(plain_decimal(text, path))
    if (value * 10**places).denominator != 1:
        raise BadInput(path, text, f"{places} decimal places at most")
    return value

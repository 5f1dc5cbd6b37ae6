"""A CDR's volumes as whole numbers over one scale, exact."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

from wattledger.wire.ocpi.common import CdrDimension, ChargingPeriod, DimensionType

# Enough for 34 digits and a million.
_EXACT = Context(prec=100)
# The standard's four decimals, then what rounding made of hours, then all that is let through.
_PLACES = (4, 12, 40, 80)


Volumes = tuple[int | None, int | None, int | None, int | None]
"""Energy in Wh, charging, idle and reserved time in s, over a scale; None is "not listed"."""


def volumes(periods: Sequence[ChargingPeriod]) -> tuple[int, list[Volumes]]:
    """The volumes of every period as whole numbers over a scale, a power of ten that all share."""
    for places in _PLACES:
        found = _at_scale(periods, 10**places)
        if found is not None:
            return 10**places, found
    raise AssertionError("a bounded number has 73 decimal places at most (34 digits from 1e-40 on)")


def _at_scale(periods: Sequence[ChargingPeriod], scale: int) -> list[Volumes] | None:
    found: list[Volumes] = []
    wh, seconds = 1000 * scale, 3600 * scale
    for period in periods:
        energy = charging = idle = reserved = None
        for dimension in period.dimensions:
            kind = dimension.type
            if kind is _ENERGY:
                numerator, denominator = dimension.volume.as_integer_ratio()
                whole, rest = divmod(numerator * wh, denominator)
                energy = whole if energy is None else energy + whole
            elif kind is _TIME or kind is _PARKING_TIME or kind is _RESERVATION_TIME:
                numerator, denominator = dimension.volume.as_integer_ratio()
                whole, rest = divmod(numerator * seconds, denominator)
                if kind is _TIME:
                    charging = (charging or 0) + whole
                elif kind is _PARKING_TIME:
                    idle = (idle or 0) + whole
                else:
                    reserved = (reserved or 0) + whole
            else:
                continue
            if rest:
                return None
        found.append((energy, charging, idle, reserved))
    return found


_ENERGY = DimensionType.ENERGY
_TIME = DimensionType.TIME
_PARKING_TIME = DimensionType.PARKING_TIME
_RESERVATION_TIME = DimensionType.RESERVATION_TIME


def measured_range(
    dimensions: Sequence[CdrDimension], low: DimensionType, high: DimensionType
) -> tuple[Decimal, Decimal] | None:
    """In millionths; one that is missing is the other."""
    measured = {dimension.type: dimension.volume for dimension in dimensions}
    least, most = measured.get(low), measured.get(high)
    least, most = most if least is None else least, least if most is None else most
    if least is None or most is None:
        return None
    return _EXACT.multiply(least, _MILLION), _EXACT.multiply(most, _MILLION)


_MILLION = Decimal(1_000_000)

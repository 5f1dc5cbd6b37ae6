"""Energy: cumulative register readings in whole watt-hours."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal

import msgspec

from wattledger.errors import BadInput

_FACTOR_WH = {"Wh": Decimal(1), "kWh": Decimal(1000)}
# 10 GWh: no single meter of a charge point counts further in its life.
REGISTER_MAX_WH = 10_000_000_000
# Bounded, so that all that follows is exact: 1e999999 and a thousand digits are no reading.
_READING = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?")
_EXACT = Context(prec=200)
_MULTIPLIER_MAX = 12
_POWER_MAX_MW = 10**12


def register_wh(value: str, unit: str = "Wh", path: str = "value", *, multiplier: int = 0) -> int:
    """A register reading as whole Wh, rounded half up. ``multiplier`` is a power of ten (2.0.1).

    Rounding the register, not the difference, keeps sums exact: the parts of a session
    telescope to last minus first. OCPP 1.6 sends ``value`` as a string, ``unit`` defaults
    to Wh (1.6 edition 2, §7.43).
    """
    factor = _FACTOR_WH.get(unit)
    if factor is None:
        raise BadInput(path, unit, "a unit of active energy: Wh or kWh")
    text = value.strip()
    if not _READING.fullmatch(text):
        raise BadInput(path, value, "a decimal number of 20 digits at most")
    if not -_MULTIPLIER_MAX <= multiplier <= _MULTIPLIER_MAX:
        raise BadInput(path, multiplier, "a multiplier from -12 to 12")
    reading_wh = _EXACT.scaleb(_EXACT.multiply(Decimal(text), factor), multiplier)
    if not 0 <= reading_wh <= REGISTER_MAX_WH:
        raise BadInput(path, value, f"a reading from 0 to {REGISTER_MAX_WH} Wh")
    return int(reading_wh.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))


def power_mw(value: str, unit: str = "W", path: str = "value", *, multiplier: int = 0) -> int:
    """A power as whole milliwatts, rounded half up; below zero where it flows out of the car."""
    factor = {"W": Decimal(1000), "kW": Decimal(1_000_000)}.get(unit)
    if factor is None:
        raise BadInput(path, unit, "a unit of active power: W or kW")
    text = value.strip()
    if not _READING.fullmatch(text) or not -_MULTIPLIER_MAX <= multiplier <= _MULTIPLIER_MAX:
        raise BadInput(path, value, "a decimal number of 20 digits at most")
    found_mw = _EXACT.scaleb(_EXACT.multiply(Decimal(text), factor), multiplier)
    if abs(found_mw) > _POWER_MAX_MW:
        raise BadInput(path, value, "a power of 1 GW at most")
    return int(found_mw.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))


def kwh_text(energy_wh: int) -> str:
    """All three places: 34021 Wh is ``34.021``."""
    sign = "-" if energy_wh < 0 else ""
    return f"{sign}{abs(energy_wh) // 1000}.{abs(energy_wh) % 1000:03d}"


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cumulative register at one moment. Source: meterStart/meterStop, MeterValues.

    Power in milliwatts and current in microampere are over all phases, where they were measured.
    """

    at: datetime
    register_wh: int
    power_mw: int | None = None
    current_ua: int | None = None

"""What ``price`` and ``explain`` are told beside their input: tariffs, policies, terms."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import msgspec

from wattledger.cli.files import STDIN, read_tariff_files
from wattledger.clock import zone_named
from wattledger.errors import BadInput
from wattledger.rating.records import with_policies
from wattledger.rating.terms import Discount, Draw, Fee, Tax, Terms
from wattledger.tariffs import fields
from wattledger.tariffs.model import Dimension, Tariff
from wattledger.tariffs.reader import policy_of_text

_QUANTITY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(Wh|kWh|s|min|h)")
_UNITS = {"Wh": 1, "kWh": 1000, "s": 1, "min": 60, "h": 3600}
_COUNTED = {
    Dimension.ENERGY: ("Wh", "kWh"),
    Dimension.CHARGING_TIME: ("s", "min", "h"),
    Dimension.IDLE_TIME: ("s", "min", "h"),
    Dimension.RESERVATION_TIME: ("s", "min", "h"),
}


class Asked(msgspec.Struct, frozen=True):
    """``policies`` are in ``tariffs`` already; they are there for those in a CDR."""

    tariffs: tuple[Tariff, ...]
    said: tuple[str, ...]
    time_zone: str | None
    policies: dict[str, Any]
    terms: Terms


def read_asked(options: argparse.Namespace) -> Asked:
    """Raises BadInput naming the option or the file of the first thing that can't be taken."""
    if [options.input, *options.tariff].count(STDIN) > 1:
        raise BadInput("--tariff", STDIN, "standard input for one file only")
    policies = _policies(options.policy)
    terms = Terms(
        taxes=tuple(_tax(text) for text in options.tax),
        discounts=tuple(_discount(text) for text in options.discount),
        draws=tuple(_draw(text) for text in options.allowance),
        fees=tuple(_fee(text) for text in options.fee),
    )
    if options.time_zone is not None:
        _check_zone(options.time_zone)
    tariffs, said = read_tariff_files(options.tariff)
    if policies:
        tariffs = [with_policies(tariff, policies) for tariff in tariffs]
    return Asked(tuple(tariffs), said, options.time_zone, policies, terms)


def _check_zone(name: str) -> None:
    if zone_named(name) is None:
        raise BadInput("--time-zone", name, "an IANA time zone such as America/New_York")


def _split(text: str, path: str, expected: str) -> tuple[str, str]:
    """Around the last ``=``: a name may have one."""
    name, _, value = text.rpartition("=")
    if not name or not value:
        raise BadInput(path, text, expected)
    return name, value


def _policies(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given:
        name, value = _split(text, "--policy", "NAME=VALUE, such as zero_energy=release")
        if name in found:
            raise BadInput("--policy", text, f"{name} once only")
        try:
            found[name] = policy_of_text(name, value, "--policy")
        except BadInput as error:
            raise BadInput("--policy", error.got, f"{_of(error, name)}{error.expected}") from None
    return found


def _of(error: BadInput, name: str) -> str:
    return f"for {name} " if error.path.endswith(f".{name}") else ""


def _tax(text: str) -> Tax:
    name, value = _split(text, "--tax", "NAME=PERCENT, such as VAT=19, or NAME=AMOUNT/kWh")
    fields.text(name, "--tax")
    if value.endswith("/kWh"):
        return Tax(name, per_kwh=fields.amount(value.removesuffix("/kWh"), "--tax"))
    return Tax(name, percent=fields.percent(value.removesuffix("%"), "--tax"))


def _discount(text: str) -> Discount:
    percent, _, listed = text.partition(":")
    found = fields.percent(percent.removesuffix("%"), "--discount")
    named = listed.split(",") if listed else []
    return Discount(found, tuple(fields.choice(n, "--discount", Dimension) for n in named))


def _draw(text: str) -> Draw:
    expected = "DIMENSION=QUANTITY, such as energy=20kWh or charging_time=60min"
    name, value = _split(text, "--allowance", expected)
    dimension = fields.choice(name, "--allowance", Dimension)
    match = _QUANTITY.fullmatch(value)
    units = _COUNTED.get(dimension, ())
    if match is None or match[2] not in units:
        wanted = f"a quantity in {' or '.join(units)}" if units else "a dimension that is counted"
        raise BadInput("--allowance", text, wanted)
    quantity = Fraction(match[1]) * _UNITS[match[2]]
    if quantity.denominator != 1:
        raise BadInput("--allowance", text, f"a whole number of {units[0]}")
    return Draw(dimension, int(quantity), f"{match[1]} {match[2]}")


def _fee(text: str) -> Fee:
    name, value = _split(text, "--fee", "TEXT=AMOUNT, such as 'Card fee=0.35'")
    return Fee(fields.text(name, "--fee"), fields.amount(value, "--fee"))

"""``--cost``: what the energy of a charge cost the operator, and what is left of its net."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from wattledger.cli.files import inside, read_file
from wattledger.errors import BadInput, Malformed
from wattledger.money import exponent, format_minor, major_text
from wattledger.rating.cost import EnergyPart, SessionCost, session_cost, session_margin
from wattledger.rating.model import Charge
from wattledger.rating.sums import decimal_text
from wattledger.sessions.session_file import read_session
from wattledger.tariffs.utility import (
    PerEnergy,
    PriceSeries,
    TierScope,
    UtilityTariff,
    energy_prices,
    read_price_series,
    read_urdb,
    read_utility_tariff,
)
from wattledger.wire.numbers import decode_json

_CSV = b"start,price"
_EXPECTED = "URDB (JSON), a utility tariff (TOML) or prices (CSV)"
_URDB = ("items", "label", "energyratestructure")


class Costs:
    """Prices of energy out of a file. ``said`` are its remarks, each with its file."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.name: str = options.cost
        self.said: tuple[str, ...] = ()
        self._series: PriceSeries | None = None
        self._tariff: UtilityTariff | None = None
        self._of_place = False
        raw = read_file(self.name, _EXPECTED)
        if self.name.lower().endswith(".csv") or raw.lstrip().startswith(_CSV):
            self._series = _series(raw, options)
            return
        with inside(self.name):
            self._read_tariff(raw)

    def _read_tariff(self, raw: bytes) -> None:
        value, is_toml = _parsed(raw)
        if is_toml or (isinstance(value, Mapping) and "time_zone" in value):
            self._tariff = read_utility_tariff(value)
            return
        if isinstance(value, Mapping) and not any(key in value for key in _URDB):
            raise BadInput("$", sorted(value)[:6], _EXPECTED)
        self._of_place = True
        # The zone is that of the site, put in when a session comes. Tiers and demand belong to
        # the month: they are read so that the rest is, and price no session.
        window = None if b'"demandwindow"' in raw else 15
        rate = read_urdb(
            value, time_zone="UTC", tier_scope=TierScope.PER_PERIOD, demand_window_min=window
        )
        self._tariff = rate.tariff
        self.said = tuple(f"{self.name}: {remark.path}: {remark.text}" for remark in rate.remarks)

    def of(self, charge: Charge, raw: bytes) -> Cost:
        """The cost of a charge for what stands in ``raw``. Raises BadInput for another currency,
        CantPrice where no price is known."""
        found = self._series or self._prices(charge)
        if found.currency != charge.currency:
            raise BadInput("--cost", found.currency, f"{charge.currency}, as the bill")
        cost = session_cost(charge.session_id, tuple(_parts(charge, raw)), found)
        return Cost(cost, session_margin(cost, charge.net_minor).margin_minor)

    def _prices(self, charge: Charge) -> PriceSeries:
        assert self._tariff is not None, "either a series or a tariff"
        tariff = self._tariff
        if self._of_place:
            tariff = msgspec.structs.replace(tariff, time_zone=charge.time_zone)
        start = min(period.from_at for period in charge.periods)
        end = max(period.to_at for period in charge.periods)
        if start == end:
            return PriceSeries(tariff.currency, ())
        return energy_prices(tariff, start, end)


class Cost(msgspec.Struct, frozen=True):
    """The cost of a charge's energy, and its net less that."""

    energy: SessionCost
    margin_minor: int

    def report(self) -> dict[str, Any]:
        """As JSON: decimals of the major unit."""
        exact_ = self.energy.exact
        return {
            "energy": major_text(self.energy.amount_minor, self.energy.currency),
            "energy_exact": decimal_text(exact_.numerator, exact_.denominator),
            "margin": major_text(self.margin_minor, self.energy.currency),
            "currency": self.energy.currency,
        }

    def rows(self) -> list[tuple[str, str]]:
        """For people."""
        currency = self.energy.currency
        return [
            ("cost of energy", format_minor(self.energy.amount_minor, currency)),
            ("margin, net less that", format_minor(self.margin_minor, currency)),
        ]


def _series(raw: bytes, options: argparse.Namespace) -> PriceSeries:
    currency, per = options.cost_currency, options.cost_per
    if currency is None:
        raise BadInput("--cost-currency", None, "the currency of the prices, such as EUR")
    units = {unit.value: unit for unit in PerEnergy}
    if per not in units:
        raise BadInput("--cost-per", per, " or ".join(units))
    try:
        exponent(currency)
    except BadInput as error:
        raise BadInput("--cost-currency", currency, error.expected) from None
    return read_price_series(raw, currency=currency, per=units[per], name=options.cost)


def _parsed(raw: bytes) -> tuple[Any, bool]:
    """JSON, or TOML where it begins like none; and whether it is that."""
    if raw.lstrip().startswith((b"{", b"[{", b"[\n", b"[ ")):
        return decode_json(raw, "$"), False
    try:
        found = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        text = raw[:80].decode("utf-8", "replace")
        raise Malformed("$", text, f"{_EXPECTED}: {error}") from None
    return found, True


def _parts(charge: Charge, raw: bytes) -> Iterator[EnergyPart]:
    """The energy from reading to reading, which is finer than from price to price; of a CDR, by
    its periods, in whole Wh: what was counted until their end, rounded down, so that the parts
    sum to the whole."""
    if b'"charging_periods"' not in raw:
        for one, other in pairwise(read_session(raw).delivery.readings):
            yield EnergyPart(one.at, other.at, other.register_wh - one.register_wh)
        return
    counted = before = 0
    for period in charge.periods:
        counted += period.energy
        now = counted // charge.quantity_scale
        yield EnergyPart(period.from_at, period.to_at, now - before)
        before = now

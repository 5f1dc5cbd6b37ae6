"""What goes on costing: the prices in force from a moment on, if nothing changes but the time.

For displays and messages to drivers. The rates are chosen by the same sections and the same
selection as those of a bill, so that what is shown and what is billed can't differ.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import msgspec

from wattledger.money import exponent
from wattledger.rating.checks import check
from wattledger.rating.compiled import Compiled, compile_tariff
from wattledger.rating.moments import LocalClock
from wattledger.rating.periods import sections
from wattledger.rating.rates import PER_UNIT, Rate
from wattledger.rating.sections import Section, second_of
from wattledger.rating.taxes import around, factor
from wattledger.rating.terms import Terms
from wattledger.sessions.model import Activity, Change, Delivery, Reading
from wattledger.tariffs.model import Dimension, Tariff, TaxIncluded, Unit
from wattledger.tariffs.policies import IdleGrace


class Price(msgspec.Struct, frozen=True):
    """Of a ``unit``, in major units and exact, discount taken off: before and after taxes."""

    unit: Unit
    net: Fraction
    gross: Fraction

    def gross_per(self, unit: Unit) -> Fraction:
        """The same price for another unit of time."""
        return self.gross * Fraction(PER_UNIT[unit], PER_UNIT[self.unit])


class Stretch(msgspec.Struct, frozen=True):
    """What holds from ``from_at`` until the next one; what is not priced is None."""

    from_at: datetime
    energy: Price | None = None
    charging: Price | None = None
    flat: Price | None = None
    idle: Price | None = None

    def same_as(self, other: Stretch) -> bool:
        """Whether the same prices hold."""
        return msgspec.structs.replace(other, from_at=self.from_at) == self


class Goes(msgspec.Struct, frozen=True):
    """How it goes on: with ``activity``, from ``at`` until ``until``. ``stopped``: the transaction
    is over, only the car is still there."""

    activity: Activity
    at: datetime
    until: datetime
    stopped: bool = False


def outlook(delivery: Delivery, tariff: Tariff, terms: Terms, goes: Goes) -> tuple[Stretch, ...]:
    """Stretches of one set of prices, in time order; the first holds at ``goes.at``.

    Prices that depend on energy still to come stay as they are now: no energy is assumed. Raises
    CantPrice like ``price``.
    """
    compiled = compile_tariff(tariff, terms)
    found: list[Stretch] = []
    for section in _sections(continued(delivery, goes), compiled, terms):
        if section.to_at <= goes.at and section.from_at < goes.at:
            continue
        stretch = _stretch(section, compiled, terms, max(section.from_at, goes.at))
        if found and found[-1].from_at == stretch.from_at:
            found.pop()
        if not found or not found[-1].same_as(stretch):
            found.append(stretch)
    return tuple(found)


def continued(delivery: Delivery, goes: Goes) -> Delivery:
    """The delivery as if it went on so, without any more energy."""
    readings, changes = delivery.readings, delivery.changes
    if not goes.stopped and readings[-1].at < goes.until:
        readings = (*readings, Reading(goes.until, readings[-1].register_wh))
    before = [change for change in changes if change.at < goes.at]
    if not before or before[-1].activity is not goes.activity:
        changes = (*before, Change(goes.at, goes.activity))
    return msgspec.structs.replace(
        delivery, readings=readings, changes=tuple(changes), ended_at=goes.until
    )


def idle_begins(
    stretches: tuple[Stretch, ...], tariff: Tariff, terms: Terms, since: datetime
) -> tuple[datetime, Price] | None:
    """When idle time that began at ``since`` begins to cost, and its price then; None where it
    never does as far as the stretches look."""
    compiled = compile_tariff(tariff, terms)
    first = next((s for s in stretches if s.idle is not None and s.idle.gross), None)
    if first is None or first.idle is None:
        return None
    if tariff.policies.idle_grace is IdleGrace.WAIVE_IF_WITHIN:
        # The price holds from the first second, once the car has stayed a second longer than this.
        return since + timedelta(seconds=compiled.first_idle_s - 1), first.idle
    return first.from_at, first.idle


def _sections(delivery: Delivery, compiled: Compiled, terms: Terms) -> list[Section]:
    zone = check(delivery)
    start, end = second_of(delivery.started_at), second_of(delivery.ended_at)
    clock = LocalClock(zone, compiled.tariff.policies.clock, start, end)
    return sections(delivery, compiled, clock, terms)


def _stretch(section: Section, compiled: Compiled, terms: Terms, from_at: datetime) -> Stretch:
    def of(dimension: Dimension) -> Price | None:
        rate = compiled.select(dimension, section.moment)
        return None if rate is None else _price(rate, compiled, terms)

    if section.idle is not None:
        billed = compiled.tariff.policies.idle_after_stop or not section.after_stop
        return Stretch(from_at, idle=of(Dimension.IDLE_TIME) if billed else None)
    return Stretch(
        from_at,
        energy=of(Dimension.ENERGY),
        charging=of(Dimension.CHARGING_TIME) if section.charging is not None else None,
        flat=of(Dimension.FLAT),
    )


def _price(rate: Rate, compiled: Compiled, terms: Terms) -> Price:
    unit = rate.component.unit
    whole = compiled.denominator * 10 ** exponent(compiled.tariff.currency)
    net = Fraction(rate.before * PER_UNIT[unit], whole)
    gross = Fraction(rate.after * PER_UNIT[unit], whole)
    if rate.dimension is Dimension.ENERGY and compiled.tariff.tax_included is TaxIncluded.NO:
        gross += _excises(terms)
    return Price(unit, net, gross)


def _excises(terms: Terms) -> Fraction:
    """Taxes of an amount per kWh, with the taxes on them."""
    total = Fraction(0)
    for tax in terms.taxes if terms.assessed is None else ():
        if tax.per_kwh is not None and not tax.exempt:
            _, high = around(terms, Dimension.ENERGY, tax.stack)
            total += Fraction(tax.per_kwh) * Fraction(1, tax.unit_kwh) * factor(high)
    return total

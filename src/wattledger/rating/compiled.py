"""A tariff and its terms, made ready for integer arithmetic.

Every price, after the discount, becomes two whole numbers, before and after taxes, of parts of
the smallest unit of money per Wh, second or session, over one denominator. From here on nothing
is divided until an amount is rounded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import lcm

from wattledger.errors import CantPrice
from wattledger.money import exponent
from wattledger.rating import weekly, words
from wattledger.rating.conditions import Special, specials
from wattledger.rating.model import LineKind
from wattledger.rating.moments import (
    CELL,
    CHARGING_S,
    DAY,
    ELAPSED_S,
    ENERGY_WH,
    IDLE_S,
    IDLE_WHOLE_S,
    NEVER,
    WEEK_SECOND,
    Moment,
)
from wattledger.rating.taxes import TaxPart, factor, of_component, percent_of
from wattledger.rating.terms import Terms
from wattledger.tariffs.model import (
    Component,
    Dimension,
    Element,
    PriceLimit,
    PriceLock,
    Reservation,
    Restrictions,
    Tariff,
    TaxIncluded,
    Unit,
)
from wattledger.tariffs.policies import IdleGrace, OneSidedTime, VatOmitted

# How many Wh, seconds or sessions are in a unit.
PER_UNIT = {Unit.KWH: 1000, Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.SESSION: 1}
_CACHE_MAX = 1024
STREAMS = ("energy", "time", "idle", "fee")
"""Where revenue goes: what the ledger books apart."""
STREAM_OF = {
    Dimension.ENERGY: 0,
    Dimension.CHARGING_TIME: 1,
    Dimension.RESERVATION_TIME: 1,
    Dimension.IDLE_TIME: 2,
    Dimension.FLAT: 3,
    Dimension.RESERVATION_FLAT: 3,
}
BASE_UNITS = {
    Dimension.ENERGY: "Wh",
    Dimension.CHARGING_TIME: "s",
    Dimension.IDLE_TIME: "s",
    Dimension.RESERVATION_TIME: "s",
    Dimension.FLAT: "session",
    Dimension.RESERVATION_FLAT: "session",
}
ORDER = {
    Dimension.RESERVATION_FLAT: 0,
    Dimension.RESERVATION_TIME: 1,
    Dimension.FLAT: 2,
    Dimension.ENERGY: 3,
    Dimension.CHARGING_TIME: 4,
    Dimension.IDLE_TIME: 5,
}
"""Reservation, fee, energy, charging time, idle."""


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """A component's price per Wh, second or session, over the tariff's denominator.

    It is in force where every check ``low <= moment[index] < high`` and every special holds.
    """

    element: int
    component: Component
    before: int
    after: int
    parts: tuple[tuple[TaxPart, int], ...]
    discount_percent: str
    checks: tuple[tuple[int, int, int], ...]
    specials: tuple[Special, ...]
    step: int
    taxes: tuple[tuple[str, str], ...]
    """Names and percents of ``parts``."""
    text: str
    """What the bill calls it."""
    kind: LineKind
    stream: int
    """Its place in ``STREAMS``."""
    unit: str
    unit_price: str
    base_unit: str
    order: int
    """Its place on a bill."""


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A tariff under terms."""

    tariff: Tariff
    terms: Terms
    denominator: int
    tables: dict[Dimension, tuple[tuple[Rate, ...], ...]]
    """For each dimension and cell of the week, the rates that may be in force, in order."""
    expired: tuple[dict[Dimension, tuple[Rate, ...]], dict[Dimension, tuple[Rate, ...]]]
    """For a reservation that expired: its own rates, then those of one that was used."""
    cells: tuple[int, ...]
    caps: dict[Dimension, int]
    """Over ``denominator``."""
    clock_seconds: tuple[int, ...]
    """Seconds of the local day at which something may begin or end; empty if nothing looks."""
    wh_limits: tuple[int, ...]
    elapsed_limits: tuple[int, ...]
    charging_limits: tuple[int, ...]
    idle_limits: tuple[int, ...]
    needs_power: bool
    needs_season: bool
    needs_kind: bool
    reads_clock: bool
    """Whether any price depends on the local clock, so that the time zone matters."""
    watches: bool
    """Whether a period of a record could run over a change of price."""
    looks_back: bool
    """Whether something has to know how long an idle stretch becomes in the end."""
    first_idle_s: int
    """The shortest idle time that some idle price waits for."""

    def place(self, at: Moment) -> None:
        """Puts the cell of the week that the moment lies in, which ``select`` reads."""
        at[CELL] = bisect_right(self.cells, at[WEEK_SECOND]) - 1 if len(self.cells) > 1 else 0

    def select(self, dimension: Dimension, at: Moment) -> Rate | None:
        """The first rate of ``dimension`` that is in force, if there is one.

        Raises CantPrice where one asks for a measurement that is not there.
        """
        table = self.tables.get(dimension)
        return None if table is None else first(table[at[CELL]], at)


def first(rates: Iterable[Rate], at: Moment) -> Rate | None:
    """The first of ``rates`` that is in force at that moment."""
    for rate in rates:
        for index, low, high in rate.checks:
            if not low <= at[index] < high:
                break
        else:
            for special in rate.specials:
                if not special(at):
                    break
            else:
                return rate
    return None


_compiled: OrderedDict[tuple[int, int], Compiled] = OrderedDict()


def compile_tariff(tariff: Tariff, terms: Terms) -> Compiled:
    """Compiled once for the same two objects: they are found again by their identity, since even
    the hash of a large tariff takes longer than pricing a session.

    Raises BadInput for a percentage out of 0 to 100 in the terms, CantPrice where a policy
    refuses what the tariff leaves open.
    """
    key = (id(tariff), id(terms))
    known = _compiled.get(key)
    if known is not None and known.tariff is tariff and known.terms is terms:
        return known
    made = _compile(tariff, terms)
    # The entry holds both objects, so their ids are not given to others while it is there.
    _compiled[key] = made
    if len(_compiled) > _CACHE_MAX:
        _compiled.popitem(last=False)
    return made


@dataclass(frozen=True, slots=True)
class _Exact:
    """A rate before it is brought to the common denominator."""

    element: int
    component: Component
    before: Fraction
    after: Fraction
    parts: tuple[tuple[TaxPart, Fraction], ...]
    discount_percent: str


def _compile(tariff: Tariff, terms: Terms) -> Compiled:
    scale = 10 ** exponent(tariff.currency)
    exact = [_exact(tariff, terms, i, c) for i, e in enumerate(tariff.elements)
             for c in e.components]  # fmt: skip
    caps = {cap.dimension: Fraction(cap.amount) * scale for cap in tariff.caps}
    denominator = lcm(
        *(value.denominator for rate in exact for value in (rate.before, rate.after)),
        *(share.denominator for rate in exact for _, share in rate.parts),
        *(cap.denominator for cap in caps.values()),
    )
    rates = [_rate(tariff, rate, denominator) for rate in exact]
    spans = [weekly.spans(e.restrictions, tariff.policies) for e in tariff.elements]
    cells = weekly.bounds(spans)
    restrictions = [element.restrictions for element in tariff.elements]
    checks = [check for rate in rates for check in rate.checks]
    return Compiled(
        tariff=tariff,
        terms=terms,
        denominator=denominator,
        tables=_tables(tariff.elements, rates, spans, cells),
        expired=_expired(tariff.elements, rates),
        cells=cells,
        caps={dimension: int(cap * denominator) for dimension, cap in caps.items()},
        clock_seconds=_clock_seconds(tariff),
        wh_limits=_limits(checks, ENERGY_WH),
        elapsed_limits=_limits(checks, ELAPSED_S),
        charging_limits=_limits(checks, CHARGING_S),
        idle_limits=_limits(checks, IDLE_S),
        needs_power=any(
            limit is not None
            for r in restrictions
            for limit in (r.min_power_kw, r.max_power_kw, r.min_current_a, r.max_current_a)
        ),
        needs_kind=any(r.evse_kind is not None for r in restrictions),
        needs_season=any(r.start_season is not None for r in restrictions),
        reads_clock=len(cells) > 1
        or any(
            r.start_date or r.end_date or r.start_season or r.holiday is not None
            for r in restrictions
        ),
        watches=len(cells) > 1
        or any(index in (ENERGY_WH, ELAPSED_S, CHARGING_S) for index, _, _ in checks),
        looks_back=any(index == IDLE_WHOLE_S for index, _, _ in checks),
        first_idle_s=min(
            (
                low
                for rate in rates
                if rate.component.dimension is Dimension.IDLE_TIME
                for index, low, _ in rate.checks
                if index in (IDLE_S, IDLE_WHOLE_S) and low
            ),
            default=0,
        ),
    )


def _exact(tariff: Tariff, terms: Terms, element: int, component: Component) -> _Exact:
    percent, keep = "", Fraction(1)
    for discount in terms.discounts:
        if not discount.dimensions or component.dimension in discount.dimensions:
            percent = discount.percent
            keep = 1 - percent_of(percent, "$.terms.discount_percent")
            break
    scale = 10 ** exponent(tariff.currency)
    price = Fraction(component.price) * scale * keep / PER_UNIT[component.unit]
    if (
        component.taxes is None
        and not terms.taxes
        and terms.assessed is None
        and tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
        and tariff.policies.vat_omitted is VatOmitted.REFUSE
    ):
        raise CantPrice(
            "tax_not_stated",
            f"tariff {tariff.id!r}: element {element} says nothing of tax on its "
            f"{component.dimension.value}, and neither do the terms: state a rate, 0 if there is "
            "none, or set the policy vat_omitted=terms",
        )
    parts = of_component(tariff, terms, component)
    whole = factor(parts)
    before = price / whole if tariff.tax_included is TaxIncluded.YES else price
    return _Exact(
        element=element,
        component=component,
        before=before,
        after=before * whole,
        parts=tuple((part, before * part.share) for part in parts),
        discount_percent=percent,
    )


def _rate(tariff: Tariff, exact: _Exact, denominator: int) -> Rate:
    given = tariff.elements[exact.element].restrictions
    dimension = exact.component.dimension
    return Rate(
        element=exact.element,
        component=exact.component,
        before=int(exact.before * denominator),
        after=int(exact.after * denominator),
        parts=tuple((part, int(share * denominator)) for part, share in exact.parts),
        discount_percent=exact.discount_percent,
        checks=tuple(_checks(tariff, exact.component, given)),
        specials=specials(tariff, given),
        step=exact.component.step,
        taxes=tuple((part.name, part.percent) for part, _ in exact.parts),
        text=words.line_text(dimension, tariff.elements[exact.element].name),
        kind=LineKind(dimension.value),
        stream=STREAM_OF[dimension],
        unit=exact.component.unit.value,
        unit_price=exact.component.price,
        base_unit=BASE_UNITS[dimension],
        order=ORDER[dimension],
    )


def _checks(
    tariff: Tariff, component: Component, given: Restrictions
) -> Iterator[tuple[int, int, int]]:
    """What is restricted, as bounds on a moment's whole numbers."""
    policies = tariff.policies
    one_sided = bool(given.start_time) != bool(given.end_time)
    if one_sided and policies.one_sided_time is OneSidedTime.REFUSE:
        raise CantPrice(
            "one_sided_time",
            f"tariff {tariff.id!r}: an element has a start_time without an end_time, or the other "
            "way round: give both, or set the policy one_sided_time=day_bounds",
        )
    if not weekly.is_continuous(given, policies) and (given.start_date or given.end_date):
        yield (
            DAY,
            date.fromisoformat(given.start_date).toordinal() if given.start_date else 0,
            date.fromisoformat(given.end_date).toordinal() if given.end_date else NEVER,
        )
    least_idle_s = given.min_idle_s or 0
    if component.dimension is Dimension.IDLE_TIME:
        least_idle_s = max(least_idle_s, policies.idle_grace_s)
    if least_idle_s and policies.idle_grace is IdleGrace.WAIVE_IF_WITHIN:
        yield IDLE_WHOLE_S, least_idle_s + 1, NEVER
        least_idle_s = 0
    limits = (
        (ENERGY_WH, _wh(given.min_kwh), _wh(given.max_kwh)),
        (ELAPSED_S, given.min_duration_s, given.max_duration_s),
        (CHARGING_S, given.min_charging_s, given.max_charging_s),
        (IDLE_S, least_idle_s, given.max_idle_s),
    )
    for index, low, high in limits:
        if low or high is not None:
            # Before anything was counted is still "below the maximum": V2G counts downwards.
            yield index, low or -NEVER, NEVER if high is None else high


def _wh(kwh: str | None) -> int | None:
    return None if kwh is None else int(Fraction(kwh) * 1000)


def _tables(
    elements: tuple[Element, ...],
    rates: list[Rate],
    spans: list[list[tuple[int, int]] | None],
    cells: tuple[int, ...],
) -> dict[Dimension, tuple[tuple[Rate, ...], ...]]:
    tables: dict[Dimension, tuple[tuple[Rate, ...], ...]] = {}
    for dimension in Dimension:
        mine = [
            rate
            for rate in rates
            if rate.component.dimension is dimension
            and elements[rate.element].restrictions.reservation is not Reservation.EXPIRED
        ]
        if mine:
            tables[dimension] = tuple(
                tuple(rate for rate in mine if weekly.holds(spans[rate.element], cell))
                for cell in cells
            )
    return tables


def _expired(
    elements: tuple[Element, ...], rates: list[Rate]
) -> tuple[dict[Dimension, tuple[Rate, ...]], dict[Dimension, tuple[Rate, ...]]]:
    """OCPI: an expired reservation is priced by RESERVATION_EXPIRES, and what that does not have
    by RESERVATION."""

    def of(accept: Callable[[Reservation | None], bool]) -> dict[Dimension, tuple[Rate, ...]]:
        found: dict[Dimension, tuple[Rate, ...]] = {}
        for rate in rates:
            dimension = rate.component.dimension
            if dimension in (Dimension.RESERVATION_TIME, Dimension.RESERVATION_FLAT) and accept(
                elements[rate.element].restrictions.reservation
            ):
                found[dimension] = (*found.get(dimension, ()), rate)
        return found

    return (
        of(lambda r: r is Reservation.EXPIRED),
        of(lambda r: r is not Reservation.EXPIRED),
    )


def _clock_seconds(tariff: Tariff) -> tuple[int, ...]:
    seconds: set[int] = set()
    if tariff.price_lock is PriceLock.SESSION_START:
        return ()
    for element in tariff.elements:
        given = element.restrictions
        if given.start_time or given.end_time:
            start, end = weekly.hours(given)
            seconds |= {start, end % weekly.DAY_S}
        if given.days or given.start_date or given.end_date or given.start_season:
            seconds.add(0)
        if given.holiday is not None:
            seconds.add(0)
    return tuple(sorted(seconds))


def _limits(checks: Iterable[tuple[int, int, int]], wanted: int) -> tuple[int, ...]:
    return tuple(
        sorted(
            {
                value
                for index, low, high in checks
                if index == wanted
                for value in (low, high)
                if 0 < value < NEVER
            }
        )
    )


def limit_minor(limit: PriceLimit | None, currency: str) -> tuple[Fraction | None, Fraction | None]:
    """Both sides of a price limit in the smallest unit, exact."""
    if limit is None:
        return None, None
    scale = 10 ** exponent(currency)
    before, after = (
        None if text is None else Fraction(text) * scale
        for text in (limit.before_taxes, limit.after_taxes)
    )
    return before, after

"""A tariff and its terms, made ready for integer arithmetic.

Every price, after the discount, becomes two whole numbers, before and after taxes, of parts of
the smallest unit of money per Wh, second or session, over one denominator. From here on nothing
is divided until an amount is rounded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from threading import Lock

from wattledger.errors import BadInput, CantPrice
from wattledger.money import exponent
from wattledger.rating import weekly
from wattledger.rating.model import TariffRef
from wattledger.rating.moments import (
    CELL,
    CHARGING_S,
    ELAPSED_S,
    ENERGY_WH,
    IDLE_S,
    IDLE_WHOLE_S,
    NEVER,
    WEEK_SECOND,
    Moment,
)
from wattledger.rating.rates import ExactRate, Rate, exact_rates, whole_rate
from wattledger.rating.sums import Sums
from wattledger.rating.terms import Discount, Tax, Terms, check_terms
from wattledger.tariffs.model import (
    Dimension,
    PriceLimit,
    PriceLock,
    Reservation,
    Tariff,
)

_CACHE_MAX = 1024
# What a hostile tariff may cost: prices of a week, and binary digits of the denominator.
_ENTRIES_MAX, _BITS_MAX = 300_000, 4096
_EXPIRED = Reservation.EXPIRED
Tables = dict[Dimension, tuple[tuple[Rate, ...], ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A tariff under terms."""

    tariff: Tariff
    denominator: int
    tables: Tables
    """For each dimension and cell of the week, the rates that may be in force, in order."""
    expired: tuple[Tables, Tables]
    """For a reservation that expired: its own rates, then those of one that was used."""
    cells: tuple[int, ...]
    cell_ends: tuple[int, ...]
    """Where each cell ends; beyond the week where there is only one."""
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
    by_date: bool
    """Whether a price depends on the date: dates, seasons, holidays."""
    reads_clock: bool
    """Whether any price depends on the local clock, so that the time zone matters."""
    counts: bool
    """Whether a price depends on what was counted so far: energy, time, charging time."""
    looks_back: bool
    """Whether something has to know how long an idle stretch becomes in the end."""
    ref: TariffRef
    sums: dict[int, Sums]
    """How amounts are rounded, by the scale of the quantities: made when first asked for."""
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
        if table is None:
            return None
        for rate in table[at[CELL]]:
            if rate.always or rate.matches(at):
                return rate
        return None


_Key = tuple[int, tuple[Tax, ...], tuple[Discount, ...], bool]
_compiled: dict[_Key, Compiled] = {}
_lock = Lock()


def compile_tariff(tariff: Tariff, terms: Terms) -> Compiled:
    """Compiled once for the same tariff object under equal taxes and discounts. The tariff is
    found again by its identity, since even the hash of a large one takes longer than pricing a
    session.

    Raises BadInput for terms that can't be taken, CantPrice where a policy refuses what the tariff
    leaves open, or the tariff is too large or too fine to be priced.
    """
    key = (id(tariff), terms.taxes, terms.discounts, terms.assessed is None)
    try:
        known = _compiled.get(key)
    except TypeError:
        came = type(terms.taxes).__name__
        raise BadInput("$.terms", came, "taxes and discounts as tuples") from None
    if known is not None and known.tariff is tariff:
        return known
    check_terms(terms)
    made = _compile(tariff, terms)
    with _lock:
        # The entry holds the tariff, so that its id is not given to another while it is there.
        _compiled[key] = made
        if len(_compiled) > _CACHE_MAX:
            del _compiled[next(iter(_compiled))]
    return made


def _compile(tariff: Tariff, terms: Terms) -> Compiled:
    scale = 10 ** exponent(tariff.currency)
    exact = exact_rates(tariff, terms)
    caps = {cap.dimension: Fraction(cap.amount) * scale for cap in tariff.caps}
    denominator = _denominator(tariff, exact, caps)
    rates = [whole_rate(tariff, rate, denominator) for rate in exact]
    spans = [weekly.spans(e.restrictions, tariff.policies) for e in tariff.elements]
    cells = weekly.bounds(spans)
    restrictions = [element.restrictions for element in tariff.elements]
    expired = [r for r in rates if restrictions[r.element].reservation is _EXPIRED]
    others = [r for r in rates if restrictions[r.element].reservation is not _EXPIRED]
    tables = _by_cell(others, spans, cells, tariff)
    checks = [check for rate in rates for check in rate.checks]
    by_date = any(
        r.start_date or r.end_date or r.start_season or r.holiday is not None for r in restrictions
    )
    counts = any(index in (ENERGY_WH, ELAPSED_S, CHARGING_S) for index, _, _ in checks)
    return Compiled(
        tariff=tariff,
        denominator=denominator,
        tables=tables,
        expired=(_by_cell(expired, spans, cells, tariff), tables),
        cells=cells,
        cell_ends=(*cells[1:], weekly.WEEK_S) if len(cells) > 1 else (NEVER,),
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
        by_date=by_date,
        reads_clock=by_date or len(cells) > 1,
        counts=counts,
        looks_back=any(index == IDLE_WHOLE_S for index, _, _ in checks),
        ref=TariffRef(tariff.id, tariff.name),
        sums={},
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


def _denominator(tariff: Tariff, exact: list[ExactRate], caps: dict[Dimension, Fraction]) -> int:
    """What all rates and caps are whole numbers over."""
    denominator = lcm(
        *(
            value.denominator
            for rate in exact
            for value in (rate.before, rate.before * rate.factor)
        ),
        *(share.denominator for rate in exact for _, share in rate.parts),
        *(cap.denominator for cap in caps.values()),
    )
    if denominator.bit_length() > _BITS_MAX:
        raise CantPrice(
            "too_fine",
            f"tariff {tariff.id!r}: its prices and taxes share no denominator of a reasonable "
            "size: it has too many different percentages",
        )
    return denominator


def _by_cell(
    rates: Iterable[Rate],
    spans: list[list[tuple[int, int]] | None],
    cells: tuple[int, ...],
    tariff: Tariff,
) -> Tables:
    tables: dict[Dimension, list[list[Rate]]] = {}
    entries = 0
    for rate in rates:
        if rate.dimension not in tables:
            tables[rate.dimension] = [[] for _ in cells]
        places = _places(spans[rate.element], cells)
        entries += len(places)
        if entries > _ENTRIES_MAX:
            raise CantPrice(
                "too_large",
                f"tariff {tariff.id!r}: its hours and elements make more than {_ENTRIES_MAX} "
                "prices of a week: split it",
            )
        for place in places:
            tables[rate.dimension][place].append(rate)
    return {dimension: tuple(map(tuple, table)) for dimension, table in tables.items()}


def _places(spans: list[tuple[int, int]] | None, cells: tuple[int, ...]) -> Sequence[int]:
    """The cells that lie in the spans: every span begins and ends with one."""
    if spans is None:
        return range(len(cells))
    return sorted(
        {
            place
            for low, high in spans
            for place in range(bisect_left(cells, low), bisect_left(cells, high))
        }
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

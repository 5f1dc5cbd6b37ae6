"""What sessions cost the operator, and what is left of what they brought in.

A session knows the price of its energy at once. Demand, fixed and minimum charges belong to the
site and its month: only there is demand shared out among sessions, by a named rule and to the
last cent, and what no session caused stays with the site.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

import msgspec

from wattledger.errors import BadInput, CantPrice
from wattledger.money import Rounding, allocate
from wattledger.tariffs.utility import BillLine, LineKind, MonthBill, PriceInterval, PriceSeries
from wattledger.tariffs.utility.exact import minor
from wattledger.tariffs.utility.load import check_energy, check_instant, cut_wh
from wattledger.tariffs.utility.schedule import moment_of, us_of

_DEMAND = (LineKind.FLAT_DEMAND, LineKind.TOU_DEMAND)
_ENERGY = (LineKind.ENERGY, LineKind.MARKET_ENERGY)


class EnergyPart(msgspec.Struct, frozen=True):
    """Energy of a session from ``from_at`` to ``to_at`` (UTC), spread evenly over that time.

    A part may take no time, where a limit was reached within a second.
    """

    from_at: datetime
    to_at: datetime
    energy_wh: int


class CostPart(msgspec.Struct, frozen=True):
    """``exact`` = ``energy_wh`` at ``price`` per kWh, in major units, unrounded."""

    from_at: datetime
    to_at: datetime
    energy_wh: int
    price: Fraction
    exact: Fraction


class SessionCost(msgspec.Struct, frozen=True):
    """What a session's energy cost. Its parts sum to ``energy_wh`` and to ``exact``."""

    session_id: str
    currency: str
    parts: tuple[CostPart, ...]
    energy_wh: int
    exact: Fraction
    amount_minor: int


class SessionMargin(msgspec.Struct, frozen=True):
    """What is left of a session: its retail net, less its energy, less its share of demand."""

    cost: SessionCost
    retail_net_minor: int
    demand_minor: int = 0

    @property
    def cost_minor(self) -> int:
        """Energy, and demand once the month has been shared out."""
        return self.cost.amount_minor + self.demand_minor

    @property
    def margin_minor(self) -> int:
        """Negative where it cost more than it brought in."""
        return self.retail_net_minor - self.cost_minor


class DemandRule(StrEnum):
    """Which sessions bear a demand charge."""

    PEAK_ENERGY = "peak_energy"
    """Those that drew energy in the window of the peak, by the Wh they drew in it."""
    MONTH_ENERGY = "month_energy"
    """All of the month, by their energy."""


class SiteMonth(msgspec.Struct, frozen=True):
    """A site's month: what the utility bills, what sessions brought in, what is left.

    ``energy_minor`` + ``demand_minor`` + ``fixed_minor`` = ``cost_minor``, where fixed has the
    minimum and the rounding; ``margin_minor`` = ``retail_net_minor`` - ``cost_minor``, and that
    is also Σ of the sessions' margins less ``unallocated_minor``: the cost no session bears.
    """

    month: str
    currency: str
    sessions: tuple[SessionMargin, ...]
    retail_net_minor: int
    energy_minor: int
    demand_minor: int
    fixed_minor: int
    cost_minor: int
    margin_minor: int
    unallocated_minor: int


def session_cost(
    session_id: str,
    parts: Sequence[EnergyPart],
    prices: PriceSeries,
    rounding: Rounding = Rounding.HALF_UP,
) -> SessionCost:
    """The cost of a session's energy at ``prices``; each part is split where they change.

    A cut lies on the straight line through its part, rounded down to whole Wh, so the pieces
    sum to the part. Rounded once, from the unrounded sum. Raises BadInput for parts with naive
    times, out of order, or without whole Wh; CantPrice where ``prices`` say nothing of a time
    in which energy was drawn.
    """
    found: list[CostPart] = []
    begins = [us_of(interval.from_at) for interval in prices.intervals]
    before_us: int | None = None
    for i, part in enumerate(parts):
        path = f"parts[{i}]"
        from_us = check_instant(part.from_at, f"{path}.from_at")
        to_us = check_instant(part.to_at, f"{path}.to_at")
        check_energy(part.energy_wh, f"{path}.energy_wh")
        if to_us < from_us:
            raise BadInput(f"{path}.to_at", part.to_at.isoformat(), "a time not before from_at")
        if before_us is not None and from_us < before_us:
            expected = "a start not before the end of the part before it"
            raise BadInput(f"{path}.from_at", part.from_at.isoformat(), expected)
        before_us = to_us
        found.extend(_split(part, from_us, to_us, prices.intervals, begins))
    exact = sum((part.exact for part in found), Fraction(0))
    return SessionCost(
        session_id=session_id,
        currency=prices.currency,
        parts=tuple(found),
        energy_wh=sum(part.energy_wh for part in found),
        exact=exact,
        amount_minor=minor(exact, prices.currency, rounding),
    )


def session_margin(cost: SessionCost, retail_net_minor: int) -> SessionMargin:
    """What a session leaves before demand: ``retail_net_minor`` is before tax, after discounts."""
    return SessionMargin(cost, retail_net_minor)


def site_month(
    bill: MonthBill,
    sessions: Sequence[SessionMargin],
    rule: DemandRule = DemandRule.PEAK_ENERGY,
) -> SiteMonth:
    """The month of ``bill`` with the sessions that count in it (by whatever day the caller has).

    Each line of demand is shared out by ``rule``, in whole minor units, by largest remainder;
    the energy of the meter that is no session's bears its part, which stays with the site.
    Energy is at each session's own cost. Raises BadInput for another currency or a session twice.
    """
    seen: set[str] = set()
    for i, session in enumerate(sessions):
        if session.cost.currency != bill.currency:
            path = f"sessions[{i}].cost.currency"
            raise BadInput(path, session.cost.currency, f"{bill.currency}, as on the bill")
        session_id = session.cost.session_id
        if session_id in seen:
            raise BadInput(f"sessions[{i}].cost.session_id", session_id, "each session once")
        seen.add(session_id)
    shares = [0] * len(sessions)
    for line in bill.lines:
        if line.kind in _DEMAND:
            for i, share in enumerate(_shared(line, bill, sessions, rule)):
                shares[i] += share
    costed = tuple(
        msgspec.structs.replace(session, demand_minor=share)
        for session, share in zip(sessions, shares, strict=True)
    )
    retail = sum(session.retail_net_minor for session in costed)
    return SiteMonth(
        month=bill.month,
        currency=bill.currency,
        sessions=costed,
        retail_net_minor=retail,
        energy_minor=bill.minor_of(*_ENERGY),
        demand_minor=bill.minor_of(*_DEMAND),
        fixed_minor=bill.minor_of(LineKind.FIXED, LineKind.MINIMUM) + bill.rounding_minor,
        cost_minor=bill.total_minor,
        margin_minor=retail - bill.total_minor,
        unallocated_minor=bill.total_minor - sum(session.cost_minor for session in costed),
    )


def _split(
    part: EnergyPart,
    from_us: int,
    to_us: int,
    intervals: tuple[PriceInterval, ...],
    begins: list[int],
) -> Iterator[CostPart]:
    i = max(bisect_right(begins, from_us) - 1, 0)
    done_wh, at_us = 0, from_us
    while done_wh < part.energy_wh:
        interval = intervals[i] if i < len(intervals) else None
        if interval is None or not us_of(interval.from_at) <= at_us < us_of(interval.to_at):
            raise CantPrice(
                "cost.no_price",
                f"no price of energy at {part.from_at.isoformat()} to {part.to_at.isoformat()}",
            )
        end_us = min(us_of(interval.to_at), to_us)
        until_wh = cut_wh(part.energy_wh, from_us, to_us, end_us)
        energy_wh = until_wh - done_wh
        if energy_wh:
            yield CostPart(
                from_at=moment_of(at_us),
                to_at=moment_of(end_us),
                energy_wh=energy_wh,
                price=interval.price,
                exact=energy_wh * interval.price * Fraction(1, 1000),
            )
        done_wh, at_us = until_wh, end_us
        i += 1


def _shared(
    line: BillLine, bill: MonthBill, sessions: Sequence[SessionMargin], rule: DemandRule
) -> list[int]:
    """The share of each session in a line of demand; the site's own is left out."""
    if rule is DemandRule.MONTH_ENERGY:
        start, end, whole_wh = us_of(bill.from_at), us_of(bill.to_at), bill.energy_wh
    elif line.peak_from is None or line.peak_to is None:
        return [0] * len(sessions)
    else:
        start, end = us_of(line.peak_from), us_of(line.peak_to)
        whole_wh = _peak_wh(line, bill, end - start)
    weights = [_within(session.cost, start, end) for session in sessions]
    site_wh = max(int(whole_wh) - sum(weights), 0)
    return allocate(line.amount_minor, [site_wh, *weights])[1:]


def _peak_wh(line: BillLine, bill: MonthBill, length_us: int) -> Fraction:
    """kW in the window, all tiers of its peak together, back as Wh."""
    kilowatts = sum(
        (
            other.quantity
            for other in bill.lines
            if other.kind is line.kind and other.period == line.period
        ),
        Fraction(0),
    )
    return kilowatts * 1000 * Fraction(length_us, 3_600_000_000)


def _within(cost: SessionCost, start_us: int, end_us: int) -> int:
    """The session's Wh in a stretch of time."""
    found = 0
    for part in cost.parts:
        from_us, to_us = us_of(part.from_at), us_of(part.to_at)
        if from_us == to_us:
            found += part.energy_wh if start_us <= from_us < end_us else 0
        else:
            found += cut_wh(part.energy_wh, from_us, to_us, end_us)
            found -= cut_wh(part.energy_wh, from_us, to_us, start_us)
    return found

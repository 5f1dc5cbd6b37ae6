"""An oracle that prices a session minute by minute, in fractions.

It shares nothing with the engine but the data of the tariff, the terms and the delivery: it walks
the session minute by minute, asks each element's restrictions as they are written, and adds up
``Fraction``s on both sides of tax. The sessions it is given therefore have whole minutes; readings
have not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo

from wattledger.money import Rounding, exponent
from wattledger.rating import Tax, Terms
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs import Component, Dimension, PriceLimit, Restrictions, Tariff

MINUTE = timedelta(minutes=1)
ZERO = Fraction(0)
PER = {"kWh": 1000, "minute": 60, "hour": 3600, "session": 1}


@dataclass(frozen=True)
class Answer:
    """Both sides of tax in the smallest unit, unrounded, and each tax by name and percent (none of
    an excise, and of what only a limit makes)."""

    before: Fraction
    after: Fraction
    taxes: dict[tuple[str, str], Fraction]


@dataclass
class Minute:
    """What holds in a minute of the session."""

    wall: datetime
    elapsed_s: int
    charged_s: int
    idle_s: int
    idle_whole_s: int


@dataclass
class Tally:
    """Uses of each dimension in time order: which component, if any, and how much of it."""

    uses: dict[Dimension, list[tuple[Component | None, Fraction]]] = field(default_factory=dict)
    flat_of: set[int] = field(default_factory=set)
    left: dict[Dimension, int] = field(default_factory=dict)
    priced_last: Dimension | None = None

    def use(self, dimension: Dimension, component: Component | None, quantity: int) -> None:
        if component is not None:
            free = min(self.left.get(dimension, 0), quantity)
            self.left[dimension] = self.left.get(dimension, 0) - free
            quantity -= free
            if quantity and dimension in {Dimension.CHARGING_TIME, Dimension.IDLE_TIME}:
                self.priced_last = dimension
        self.uses.setdefault(dimension, []).append((component, Fraction(quantity)))


def oracle(delivery: Delivery, tariff: Tariff, terms: Terms) -> Answer:
    """What the session costs by the words of the tariff's documentation."""
    policies = tariff.policies
    energy = delivery.readings[-1].register_wh - delivery.readings[0].register_wh
    stay_s = (delivery.ended_at - delivery.started_at) // timedelta(seconds=1)
    none = energy == 0 or energy < policies.floor_wh
    if policies.floor_s and stay_s > policies.floor_s:
        none = False
    if none and policies.zero_energy == "release":
        return Answer(ZERO, ZERO, {})
    tally = walk(delivery, tariff, terms)
    add_steps(tally, tariff)
    if none and policies.zero_energy == "idle_only":
        tally.uses = {d: uses for d, uses in tally.uses.items() if d is Dimension.IDLE_TIME}
        return Bill(tariff, terms).of(tally)
    bill = Bill(tariff, terms)
    bill.of(tally)
    bill.limit()
    bill.add_fees(energy)
    return bill.answer()


# --- What was used ------------------------------------------------------------------------


def walk(delivery: Delivery, tariff: Tariff, terms: Terms) -> Tally:
    tally = Tally(left={draw.dimension: draw.quantity for draw in terms.draws})
    minutes = (delivery.ended_at - delivery.started_at) // MINUTE
    doing = [activity_at(delivery, delivery.started_at + n * MINUTE) for n in range(minutes)]
    stop = delivery.readings[-1].at
    charged_s = 0
    for n, activity in enumerate(doing):
        at = delivery.started_at + n * MINUTE
        idle_s, whole_s = idle_of(doing, n, of_session=tariff.policies.idle_scope == "session")
        minute = Minute(shown(delivery, tariff, at), 60 * n, charged_s, idle_s, whole_s)
        count_energy(tally, tariff, delivery, at, minute)
        so_far = register_at(delivery, at) - delivery.readings[0].register_wh
        flat_fees(tally, tariff, so_far, minute)
        if activity is Activity.CHARGING:
            charged_s += 60
            component = chosen(tariff, Dimension.CHARGING_TIME, so_far, minute)
            tally.use(Dimension.CHARGING_TIME, component, 60)
        billed = at < stop or tariff.policies.idle_after_stop
        if activity is Activity.VEHICLE_IDLE and billed:
            component = chosen(tariff, Dimension.IDLE_TIME, so_far, minute)
            tally.use(Dimension.IDLE_TIME, component, 60)
    return tally


def idle_of(doing: list[Activity], n: int, *, of_session: bool) -> tuple[int, int]:
    """The idle time before minute ``n`` and in all, of its stretch or of the session; none in a
    minute that is not idle."""
    if doing[n] is not Activity.VEHICLE_IDLE:
        return 0, 0
    if of_session:
        idle = [d is Activity.VEHICLE_IDLE for d in doing]
        return 60 * sum(idle[:n]), 60 * sum(idle)
    first, last = n, n
    while first and doing[first - 1] is Activity.VEHICLE_IDLE:
        first -= 1
    while last + 1 < len(doing) and doing[last + 1] is Activity.VEHICLE_IDLE:
        last += 1
    return 60 * (n - first), 60 * (last + 1 - first)


def shown(delivery: Delivery, tariff: Tariff, at: datetime) -> datetime:
    """What the tariff's clock shows."""
    if tariff.price_lock == "session_start":
        at = delivery.started_at
    wall = at.astimezone(ZoneInfo(delivery.time_zone)).replace(tzinfo=None)
    if tariff.policies.clock == "standard":
        summer = at.astimezone(ZoneInfo(delivery.time_zone)).dst()
        assert summer is not None
        wall -= summer
    return wall


def flat_fees(tally: Tally, tariff: Tariff, so_far: int, minute: Minute) -> None:
    """The first that is active, and that once; or each element's, when it is first chosen."""
    if tally.flat_of and tariff.policies.flat == "once_a_session":
        return
    for n, element in enumerate(tariff.elements):
        component = element.component(Dimension.FLAT)
        if component and matches(tariff, element.restrictions, component, so_far, minute):
            if n not in tally.flat_of:
                tally.flat_of.add(n)
                tally.use(Dimension.FLAT, component, 1)
            return


def count_energy(
    tally: Tally, tariff: Tariff, delivery: Delivery, at: datetime, minute: Minute
) -> None:
    """The minute's energy, Wh by Wh where a limit could be in between."""
    first = delivery.readings[0].register_wh
    so_far, until = register_at(delivery, at) - first, register_at(delivery, at + MINUTE) - first
    if at == delivery.started_at:
        so_far = 0  # what a second reading in the first second shows was delivered, too
    limits = {
        int(Fraction(limit) * 1000)
        for element in tariff.elements
        for limit in (element.restrictions.min_kwh, element.restrictions.max_kwh)
        if limit is not None
    }
    while so_far < until:
        end = min([limit for limit in limits if limit > so_far] + [until])
        end = min(end, until)
        component = chosen(tariff, Dimension.ENERGY, so_far, minute)
        tally.use(Dimension.ENERGY, component, end - so_far)
        so_far = end


def activity_at(delivery: Delivery, at: datetime) -> Activity:
    said = [change.activity for change in delivery.changes if change.at <= at]
    activity = said[-1] if said else Activity.CHARGING
    if at >= delivery.readings[-1].at and activity is Activity.CHARGING:
        return Activity.VEHICLE_IDLE
    return activity


def register_at(delivery: Delivery, at: datetime) -> int:
    before = [r for r in delivery.readings if r.at <= at][-1]
    after = [r for r in delivery.readings if r.at > at]
    if not after:
        return before.register_wh
    share = Fraction(
        (at - before.at) // timedelta(seconds=1), (after[0].at - before.at) // timedelta(seconds=1)
    )
    return floor(before.register_wh + share * (after[0].register_wh - before.register_wh))


def chosen(
    tariff: Tariff, dimension: Dimension, energy_wh: int, minute: Minute
) -> Component | None:
    for element in tariff.elements:
        component = element.component(dimension)
        if component and matches(tariff, element.restrictions, component, energy_wh, minute):
            return component
    return None


def matches(
    tariff: Tariff, limits: Restrictions, component: Component, energy_wh: int, minute: Minute
) -> bool:
    kwh = Fraction(energy_wh, 1000)
    return bool(
        in_clock(tariff, limits, minute.wall)
        and in_season(limits, minute.wall)
        and (
            limits.holiday is None
            or limits.holiday == (minute.wall.date().isoformat() in tariff.holidays)
        )
        and (limits.min_kwh is None or kwh >= Fraction(limits.min_kwh))
        and (limits.max_kwh is None or kwh < Fraction(limits.max_kwh))
        and past_grace(tariff, limits, component, minute)
        and (limits.max_idle_s is None or minute.idle_s < limits.max_idle_s)
        and (limits.min_charging_s is None or minute.charged_s >= limits.min_charging_s)
        and (limits.max_charging_s is None or minute.charged_s < limits.max_charging_s)
        and (limits.min_duration_s is None or minute.elapsed_s >= limits.min_duration_s)
        and (limits.max_duration_s is None or minute.elapsed_s < limits.max_duration_s)
    )


def in_clock(tariff: Tariff, limits: Restrictions, wall: datetime) -> bool:
    clock, today = wall.strftime("%H:%M"), wall.date()
    start = limits.start_time or "00:00"
    end = limits.end_time if limits.end_time not in {None, "00:00"} else "24:00"
    timed = bool(limits.start_time or limits.end_time)
    if tariff.policies.date_window == "continuous" and timed and dated(limits):
        begun = limits.start_date is None or (today.isoformat(), clock) >= (
            limits.start_date,
            start,
        )
        last = end if limits.end_time else "00:00"
        over = limits.end_date is not None and (today.isoformat(), clock) >= (limits.end_date, last)
        return begun and not over and on_day(limits, today)
    in_dates = (limits.start_date or "") <= today.isoformat() < (limits.end_date or "9999")
    if start < end:
        return in_dates and start <= clock < end and on_day(limits, today)
    if clock >= start:
        return in_dates and on_day(limits, today)
    began = tariff.policies.wrap_weekday == "start_day"
    return in_dates and clock < end and on_day(limits, today - timedelta(days=began))


def dated(limits: Restrictions) -> bool:
    return bool(limits.start_date or limits.end_date)


def on_day(limits: Restrictions, day: date) -> bool:
    return not limits.days or day.strftime("%A").upper() in limits.days


def in_season(limits: Restrictions, wall: datetime) -> bool:
    if limits.start_season is None or limits.end_season is None:
        return True
    day, start, end = wall.strftime("%m-%d"), limits.start_season, limits.end_season
    return start <= day < end if start < end else (day >= start or day < end)


def past_grace(tariff: Tariff, limits: Restrictions, component: Component, minute: Minute) -> bool:
    """Not yet while the car is in its grace, which can be all of the time or the first of it."""
    grace_s = limits.min_idle_s or 0
    if component.dimension is Dimension.IDLE_TIME:
        grace_s = max(grace_s, tariff.policies.idle_grace_s)
        if grace_s and tariff.policies.idle_grace == "waive_if_within":
            return minute.idle_whole_s > grace_s
    return minute.idle_s >= grace_s


def add_steps(tally: Tally, tariff: Tariff) -> None:
    """Energy is rounded once; of charging and idle time one is: idle, where some of it is priced
    (or, by policy, whichever was priced last)."""
    policies, uses = tariff.policies, tally.uses
    to_steps(uses.get(Dimension.ENERGY, []), tariff, all_of_it=policies.step_base == "all")
    charging = uses.get(Dimension.CHARGING_TIME, [])
    idle = uses.get(Dimension.IDLE_TIME, [])
    takes_it = priced(idle)
    if policies.step_time == "last":
        takes_it = tally.priced_last is Dimension.IDLE_TIME
    if takes_it:
        to_steps(idle, tariff, all_of_it=policies.step_idle == "all")
    else:
        to_steps(charging, tariff, all_of_it=policies.step_base == "all")


def priced(uses: list[tuple[Component | None, Fraction]]) -> bool:
    return any(component is not None and quantity for component, quantity in uses)


def to_steps(
    uses: list[tuple[Component | None, Fraction]], tariff: Tariff, *, all_of_it: bool
) -> None:
    used = [(i, c, q) for i, (c, q) in enumerate(uses) if c is not None and q]
    if not used:
        return
    _, last, _ = used[-1]
    step = last.step or 1
    whole = sum((q for c, q in uses if c is not None or all_of_it), ZERO)
    if tariff.policies.step_rounding == "up":
        uses.append((last, ceil(whole / step) * step - whole))
        return
    less = whole - floor(whole / step) * step
    for _, component, quantity in reversed(used):
        taken = min(less, quantity)
        uses.append((component, -taken))
        less -= taken


# --- What it costs ------------------------------------------------------------------------


class Bill:
    """Adds up both sides of tax."""

    def __init__(self, tariff: Tariff, terms: Terms) -> None:
        self.tariff, self.terms = tariff, terms
        self.scale = 10 ** exponent(tariff.currency)
        self.before = self.after = ZERO
        self.taxes: dict[tuple[str, str], Fraction] = {}

    def answer(self) -> Answer:
        return Answer(self.before, self.after, self.taxes)

    def of(self, tally: Tally) -> Answer:
        for dimension, uses in tally.uses.items():
            self.dimension(dimension, [(c, q) for c, q in uses if c is not None])
        return self.answer()

    def dimension(self, dimension: Dimension, uses: list[tuple[Component, Fraction]]) -> None:
        before = after = ZERO
        taxes: dict[tuple[str, str], Fraction] = {}
        for component, quantity in uses:
            stated = quantity * Fraction(component.price) / PER[component.unit] * self.scale
            net, parts = self.split(stated * self.kept(dimension), self.rates(component))
            before += net
            after += net + sum(parts.values(), ZERO)
            add(taxes, parts)
        for cap in self.tariff.caps:
            due = after if self.tariff.tax_included == "yes" else before
            most = Fraction(cap.amount) * self.scale
            if cap.dimension is dimension and due > most:
                before, after = before * most / due, after * most / due
                taxes = {key: tax * most / due for key, tax in taxes.items()}
        self.before += before
        self.after += after
        add(self.taxes, taxes)

    def rates(self, component: Component) -> list[tuple[str, str, int, bool]]:
        """Name, percent, stack, and whether it is charged at all."""
        if component.taxes is not None:
            return [(r.name, r.percent, r.stack, True) for r in component.taxes]
        return [
            (t.name, t.percent, t.stack, t.exempt is None)
            for t in self.terms.taxes
            if t.percent is not None and (not t.dimensions or component.dimension in t.dimensions)
        ]

    def split(
        self, stated: Fraction, rates: list[tuple[str, str, int, bool]]
    ) -> tuple[Fraction, dict[tuple[str, str], Fraction]]:
        """The price before taxes, and each tax on it, out of a price as the tariff states it."""
        if self.tariff.tax_included == "not_applicable":
            return stated, {}
        shares: dict[tuple[str, str], Fraction] = {}
        whole = Fraction(1)
        for stack in sorted({stack for _, _, stack, _ in rates}):
            base = whole
            for name, percent, at, charged in rates:
                if at == stack:
                    share = base * Fraction(percent) / 100 if charged else ZERO
                    shares[name, percent] = shares.get((name, percent), ZERO) + share
                    whole += share
        net = stated / whole if self.tariff.tax_included == "yes" else stated
        return net, {key: net * share for key, share in shares.items()}

    def limit(self) -> None:
        """Each side on its own; where the limit that binds states one side only, the other
        follows, within its own limits."""
        least, most = self.tariff.min_price, self.tariff.max_price
        before = self.held(self.before, "before_taxes")
        after = self.held(self.after, "after_taxes")
        if before != self.before and after == self.after:
            binding = least if before > self.before else most
            if binding and binding.after_taxes is None:
                after = self.held(before * self.tax_factor(), "after_taxes")
        elif after != self.after and before == self.before:
            binding = least if after > self.after else most
            if binding and binding.before_taxes is None:
                before = self.held(after / self.tax_factor(), "before_taxes")
        tax = self.after - self.before
        if tax:
            self.taxes = {key: each * (after - before) / tax for key, each in self.taxes.items()}
        elif after != before:
            add(self.taxes, {("Tax", ""): after - before})
        self.before, self.after = before, after

    def tax_factor(self) -> Fraction:
        """After over before taxes; of a session that costs nothing it is the tariff's, if it has
        one only (of what costs something, if anything does), else no tax is known and the sides
        are equal."""
        if self.before and self.after:
            return self.after / self.before
        components = [c for element in self.tariff.elements for c in element.components]
        costing = [c for c in components if Fraction(c.price) and self.kept(c.dimension)]
        splits = [self.split(Fraction(1), self.rates(c)) for c in costing or components]
        factors = {1 + sum(parts.values(), ZERO) / net for net, parts in splits}
        (factor,) = factors if len(factors) == 1 else (Fraction(1),)
        return factor

    def kept(self, dimension: Dimension) -> Fraction:
        """What a discount leaves of a price."""
        for discount in self.terms.discounts:
            if not discount.dimensions or dimension in discount.dimensions:
                return 1 - Fraction(discount.percent) / 100
        return Fraction(1)

    def held(self, value: Fraction, side: str) -> Fraction:
        def of(limit: PriceLimit | None) -> Fraction | None:
            amount = getattr(limit, side) if limit else None
            return None if amount is None else Fraction(amount) * self.scale

        most, least = of(self.tariff.max_price), of(self.tariff.min_price)
        value = value if most is None else min(value, most)
        return value if least is None else max(value, least)

    def add_fees(self, energy_wh: int) -> None:
        for fee in self.terms.fees:
            if self.tariff.policies.payment_fee == "none":
                break
            rates = [
                (t.name, t.percent, t.stack, t.exempt is None)
                for t in self.terms.taxes
                if t.percent is not None and not t.dimensions
            ]
            net, parts = self.split(Fraction(fee.amount) * self.scale, rates)
            self.before += net
            self.after += net + sum(parts.values(), ZERO)
            add(self.taxes, parts)
        for tax in self.terms.taxes:
            if tax.per_kwh is None or self.tariff.tax_included == "not_applicable":
                continue
            excise = Fraction(tax.per_kwh) * self.scale * energy_wh / 1000
            if tax.exempt:
                excise = ZERO
            add(self.taxes, {(tax.name, ""): excise})
            low, high = (
                on_top([
                    rate
                    for rate in self.terms.taxes
                    if rate.percent is not None
                    and (not rate.dimensions or Dimension.ENERGY in rate.dimensions)
                    and (rate.stack > tax.stack) is higher
                ])
                for higher in (False, True)
            )  # fmt: skip
            if self.tariff.tax_included == "yes":
                # price = (net x (1 + low) + excise) x (1 + high): the net is less by this.
                less = excise / (1 + sum(low.values()))
                self.before -= less
                add(self.taxes, {key: -less * share for key, share in low.items()})
            else:
                self.after += excise * (1 + sum(high.values()))
                add(self.taxes, {key: excise * share for key, share in high.items()})


def on_top(rates: list[Tax]) -> dict[tuple[str, str], Fraction]:
    """What each of some percentages adds to 1, a higher stack on all that is below it."""
    found: dict[tuple[str, str], Fraction] = {}
    for level in sorted({rate.stack for rate in rates}):
        base = 1 + sum(found.values(), ZERO)
        same = {}
        for rate in rates:
            if rate.stack == level and not rate.exempt:
                add(
                    same,
                    {(rate.name, rate.percent or ""): base * Fraction(rate.percent or 0) / 100},
                )
        add(found, same)
    return found


def add(sums: dict[tuple[str, str], Fraction], more: dict[tuple[str, str], Fraction]) -> None:
    for key, value in more.items():
        sums[key] = sums.get(key, ZERO) + value


def rounded(value: Fraction, rounding: Rounding, increment: int = 1) -> int:
    """Away from zero or towards it, so that a credit is what the same charge would be."""
    sign = -1 if value < 0 else 1
    size = abs(value) / increment
    if rounding is Rounding.UP:
        whole = ceil(size)
    elif rounding is Rounding.DOWN:
        whole = floor(size)
    elif rounding is Rounding.HALF_EVEN:
        whole = round(size)
    else:
        whole = floor(size + Fraction(1, 2))
    return sign * whole * increment

"""What holds for every charge, and an oracle that prices minute by minute in fractions.

The oracle shares nothing with the engine but the tariff's data: it walks the session minute
by minute, asks each element's restrictions as they are written, and adds up ``Fraction``s.
The sessions it is given therefore have whole minutes; readings have not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wattledger.errors import CantPrice
from wattledger.money import Rounding, exponent
from wattledger.rating import Charge, LineKind, Source, Terms, decode, encode, price
from wattledger.sessions.model import Activity, Change, Delivery, Reading
from wattledger.tariffs import Component, Day, Dimension, Restrictions, Tariff, read_tariff, to_body

MINUTE = timedelta(minutes=1)
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"]
# Around ordinary midnights, and around the hours in which the clocks change.
STARTS = [
    datetime(2026, 7, 3, 12, tzinfo=UTC),
    datetime(2026, 3, 8, 4, tzinfo=UTC),
    datetime(2026, 11, 1, 3, tzinfo=UTC),
    datetime(2026, 10, 24, 23, tzinfo=UTC),
    datetime(2026, 10, 3, 12, tzinfo=UTC),
]


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    start = draw(st.sampled_from(STARTS)) + MINUTE * draw(st.integers(0, 600))
    minutes = draw(st.integers(1, 240))
    between = draw(st.lists(st.integers(1, minutes * 60 - 1), unique=True, max_size=6))
    register = draw(st.integers(0, 10_000_000))
    readings = [Reading(start, register)]
    for second in [*sorted(between), minutes * 60]:
        register += draw(st.integers(0, 15_000))
        readings.append(Reading(start + timedelta(seconds=second), register))
    stay = draw(st.sampled_from([0, 0, 1, 30, 200]))
    marks = draw(st.lists(st.integers(0, minutes + stay), max_size=6))
    return Delivery(
        session_id="ses_1",
        time_zone=draw(st.sampled_from(ZONES)),
        started_at=start,
        ended_at=start + MINUTE * (minutes + stay),
        readings=tuple(readings),
        changes=tuple(
            Change(start + MINUTE * mark, draw(st.sampled_from(Activity))) for mark in sorted(marks)
        ),
    )


PRICES = st.one_of(
    st.decimals(0, 5, places=2).map(str), st.decimals(0, 2, places=4).map(str), st.just("0")
)
TIMES = st.tuples(st.integers(0, 23), st.sampled_from([0, 15, 30])).map(
    lambda t: f"{t[0]:02d}:{t[1]:02d}"
)


def component_of(dimension: Dimension) -> st.SearchStrategy[dict[str, object]]:
    if dimension is Dimension.FLAT:
        units, steps = ["session"], [1]
    elif dimension is Dimension.ENERGY:
        units, steps = ["kWh"], [1, 100, 1000]
    else:
        units, steps = ["minute", "hour"], [1, 60, 900, 7]
    return st.fixed_dictionaries(
        {
            "dimension": st.just(dimension.value),
            "price": PRICES,
            "unit": st.sampled_from(units),
            "step": st.sampled_from(steps),
        }
    )


@st.composite
def elements(draw: st.DrawFn) -> dict[str, object]:
    dimensions = draw(st.lists(st.sampled_from(Dimension), min_size=1, max_size=4, unique=True))
    limits: dict[str, Any] = {}
    if draw(st.booleans()):
        start, end = draw(TIMES), draw(TIMES)
        if start != end:
            limits |= {"start_time": start, "end_time": end}
    if draw(st.booleans()):
        limits["days"] = draw(st.lists(st.sampled_from(Day), min_size=1, unique=True))
    if draw(st.booleans()):
        limits["min_duration_s"] = 60 * draw(st.integers(0, 120))
    elif draw(st.booleans()):
        limits["max_duration_s"] = 60 * draw(st.integers(1, 120))
    if draw(st.booleans()):
        limits["min_idle_s"] = 60 * draw(st.integers(0, 40))
    elif draw(st.booleans()):
        limits["max_idle_s"] = 60 * draw(st.integers(1, 40))
    if dimensions == [Dimension.ENERGY] and draw(st.booleans()):
        # Energy only: when within a minute a limit is reached, the oracle does not know.
        limits[draw(st.sampled_from(["min_kwh", "max_kwh"]))] = draw(
            st.sampled_from(["0.5", "3", "12.345"])
        )
    return {
        "name": draw(st.sampled_from(["a", "b", ""])),
        "components": [draw(component_of(dimension)) for dimension in dimensions],
        "restrictions": limits,
    }


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    capped = draw(st.lists(st.sampled_from(Dimension), max_size=2, unique=True))
    raw: dict[str, object] = {
        "id": "t",
        "currency": draw(st.sampled_from(["USD", "JPY", "KWD"])),
        "elements": draw(st.lists(elements(), min_size=1, max_size=4)),
        "caps": [{"dimension": d.value, "amount": draw(st.integers(0, 9))} for d in capped],
        "policies": {
            "rounding": draw(st.sampled_from(Rounding)).value,
            "step_rounding": draw(st.sampled_from(["up", "down"])),
            "zero_energy": draw(st.sampled_from(["bill", "release"])),
            "idle_after_stop": draw(st.booleans()),
            "minimum_energy_wh": draw(st.sampled_from([0, 500])),
        },
    }
    return read_tariff(raw, "$")


TERMS = st.builds(
    Terms,
    tax_name=st.just("Tax"),
    tax_percent=st.sampled_from(["0", "19", "9.5", "7.75"]),
    discount_percent=st.sampled_from(["0", "10", "33.3", "100"]),
)


# --- The oracle ---------------------------------------------------------------------------


@dataclass
class Tally:
    """Uses of each dimension in time order: the component and how much of it."""

    uses: dict[Dimension, list[tuple[Component, Fraction]]] = field(default_factory=dict)

    def use(self, component: Component | None, quantity: int) -> None:
        if component is not None:
            uses = self.uses.setdefault(component.dimension, [])
            uses.append((component, Fraction(quantity)))


def oracle(delivery: Delivery, tariff: Tariff, terms: Terms) -> Fraction:
    """The total with tax in the smallest unit, unrounded."""
    policies = tariff.policies
    energy = delivery.readings[-1].register_wh - delivery.readings[0].register_wh
    if policies.zero_energy == "release" and (energy == 0 or energy < policies.minimum_energy_wh):
        return Fraction(0)
    tally = Tally()
    zone, idle_from = ZoneInfo(delivery.time_zone), None
    at, stop = delivery.started_at, delivery.readings[-1].at
    while at < delivery.ended_at:
        activity = activity_at(delivery, at)
        if activity is not Activity.VEHICLE_IDLE:
            idle_from = None
        elif idle_from is None:
            idle_from = at
        state = {
            "wall": at.astimezone(zone),
            "elapsed": (at - delivery.started_at) // timedelta(seconds=1),
            "idle": (at - idle_from) // timedelta(seconds=1) if idle_from else 0,
        }
        count_energy(tally, tariff, delivery, at, state)
        so_far = register_at(delivery, at) - delivery.readings[0].register_wh
        if Dimension.FLAT not in tally.uses:
            tally.use(chosen(tariff, Dimension.FLAT, so_far, state), 1)
        if activity is Activity.CHARGING:
            tally.use(chosen(tariff, Dimension.CHARGING_TIME, so_far, state), 60)
        if activity is Activity.VEHICLE_IDLE and (at < stop or policies.idle_after_stop):
            tally.use(chosen(tariff, Dimension.IDLE_TIME, so_far, state), 60)
        at += MINUTE
    return total(tally, tariff, terms)


def count_energy(
    tally: Tally, tariff: Tariff, delivery: Delivery, at: datetime, state: dict[str, Any]
) -> None:
    """The minute's energy, Wh by Wh where a limit could be in between."""
    first = delivery.readings[0].register_wh
    so_far, until = register_at(delivery, at) - first, register_at(delivery, at + MINUTE) - first
    limits = {
        int(Fraction(limit) * 1000)
        for element in tariff.elements
        for limit in (element.restrictions.min_kwh, element.restrictions.max_kwh)
        if limit is not None
    }
    while so_far < until:
        end = min([limit for limit in limits if limit > so_far] + [until])
        end = min(end, until)
        tally.use(chosen(tariff, Dimension.ENERGY, so_far, state), end - so_far)
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
    share = Fraction((at - before.at) // timedelta(seconds=1)) / (
        (after[0].at - before.at) // timedelta(seconds=1)
    )
    return floor(before.register_wh + share * (after[0].register_wh - before.register_wh))


def chosen(
    tariff: Tariff, dimension: Dimension, energy_wh: int, state: dict[str, Any]
) -> Component | None:
    for element in tariff.elements:
        for component in element.components:
            if component.dimension == dimension and matches(element.restrictions, energy_wh, state):
                return component
    return None


def matches(limits: Restrictions, energy_wh: int, state: dict[str, Any]) -> bool:
    clock = state["wall"].strftime("%H:%M")
    start = limits.start_time or "00:00"
    end = limits.end_time if limits.end_time not in {None, "00:00"} else "24:00"
    in_time = start <= clock < end if start < end else (start <= clock or clock < end)
    in_days = not limits.days or state["wall"].strftime("%A").upper() in limits.days
    kwh = Fraction(energy_wh, 1000)
    return bool(
        in_time
        and in_days
        and (limits.min_kwh is None or kwh >= Fraction(limits.min_kwh))
        and (limits.max_kwh is None or kwh < Fraction(limits.max_kwh))
        and (limits.min_idle_s is None or state["idle"] >= limits.min_idle_s)
        and (limits.max_idle_s is None or state["idle"] < limits.max_idle_s)
        and (limits.min_duration_s is None or state["elapsed"] >= limits.min_duration_s)
        and (limits.max_duration_s is None or state["elapsed"] < limits.max_duration_s)
    )


def total(tally: Tally, tariff: Tariff, terms: Terms) -> Fraction:
    net = Fraction(0)
    per = {"kWh": 1000, "minute": 60, "hour": 3600, "session": 1}
    for dimension, uses in tally.uses.items():
        cost = sum((q / per[c.unit] * Fraction(c.price) for c, q in uses), Fraction(0))
        used = [(c, q) for c, q in uses if q]
        if used:
            whole = sum(q for _, q in used)
            last = used[-1][0]
            if tariff.policies.step_rounding == "up":
                more = ceil(whole / last.step) * last.step - whole
                cost += more / per[last.unit] * Fraction(last.price)
            else:
                less = whole - floor(whole / last.step) * last.step
                for component, quantity in reversed(used):
                    taken = min(less, quantity)
                    cost -= taken / per[component.unit] * Fraction(component.price)
                    less -= taken
        cost *= 1 - Fraction(terms.discount_percent) / 100
        for cap in tariff.caps:
            if cap.dimension == dimension:
                cost = min(cost, Fraction(cap.amount))
        net += cost
    return net * (1 + Fraction(terms.tax_percent) / 100) * 10 ** exponent(tariff.currency)


def rounded(value: Fraction, rounding: Rounding) -> int:
    if rounding is Rounding.UP:
        return ceil(value)
    if rounding is Rounding.DOWN:
        return floor(value)
    if rounding is Rounding.HALF_EVEN:
        return round(value)
    return floor(value + Fraction(1, 2))


def priced(delivery: Delivery, tariff: Tariff, terms: Terms) -> Charge:
    try:
        return price(delivery, tariff, terms)
    except CantPrice as refusal:
        # Whatever else is refused here is a fault: these deliveries are fit to be priced.
        assume(refusal.code != "no_tariff_component")
        raise


# --- The properties -----------------------------------------------------------------------


@settings(max_examples=250, deadline=None)
@given(deliveries(), tariffs(), TERMS)
def test_the_oracle_gives_the_same_total(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    charge = priced(delivery, tariff, terms)
    exact = oracle(delivery, tariff, terms)
    assert charge.total_minor == rounded(exact, tariff.policies.rounding)
    shown = Fraction(charge.exact_total) * 10 ** exponent(tariff.currency)
    assert abs(shown - exact) <= Fraction(1, 10**9)


@settings(max_examples=250, deadline=None)
@given(deliveries(), tariffs(), TERMS)
def test_everything_adds_up(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    charge = priced(delivery, tariff, terms)
    assert sum(line.net_minor for line in charge.lines) == charge.net_minor
    assert sum(amount for _, amount in charge.streams) == charge.net_minor
    assert all(amount >= 0 for _, amount in charge.streams)
    assert charge.net_minor + charge.tax_minor == charge.total_minor
    assert charge.net_minor >= 0
    assert charge.tax_minor >= 0
    assert charge.energy_wh == delivery.energy_wh
    of_energy = [line for line in charge.lines if line.quantity_unit == "Wh"]
    assert sum(line.quantity for line in of_energy) == charge.energy_wh
    whole = (delivery.ended_at - delivery.started_at) // timedelta(seconds=1)
    assert charge.charging_s + charge.idle_s + charge.pause_s == whole


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(), TERMS)
def test_the_evidence_accounts_for_each_quantity(
    delivery: Delivery, tariff: Tariff, terms: Terms
) -> None:
    charge = priced(delivery, tariff, terms)
    gaps = [0] + [
        after.register_wh - before.register_wh
        for before, after in zip(delivery.readings, delivery.readings[1:], strict=False)
    ]
    for line in charge.lines:
        if not line.evidence:
            continue
        assert sum(part.quantity for part in line.evidence) == line.quantity
        for part in line.evidence:
            assert part.error_wh <= 2 * max(gaps)
            assert (part.source is Source.INTERPOLATED) == (part.error_wh > 0)
            if part.from_register_wh is not None and part.to_register_wh is not None:
                assert part.to_register_wh - part.from_register_wh == part.quantity
            if part.source is Source.CLOCK and line.kind is not LineKind.FLAT:
                assert (part.to_at - part.from_at) // timedelta(seconds=1) == part.quantity


@settings(max_examples=100, deadline=None)
@given(deliveries(), tariffs(), TERMS)
def test_the_same_input_is_the_same_bytes(delivery: Delivery, tariff: Tariff, terms: Terms) -> None:
    raw = encode(priced(delivery, tariff, terms))
    again = read_tariff(to_body(tariff), "$")
    assert again == tariff
    copy = msgspec.json.decode(msgspec.json.encode(delivery), type=Delivery)
    assert encode(price(copy, again, terms)) == raw
    assert encode(decode(raw)) == raw


@settings(max_examples=150, deadline=None)
@given(deliveries(), tariffs(), TERMS, st.data())
def test_a_reading_on_the_line_between_two_changes_nothing(
    delivery: Delivery, tariff: Tariff, terms: Terms, data: st.DataObject
) -> None:
    # Stretch a gap so that every second of it has a whole register: n Wh a second.
    first = delivery.readings[0]
    seconds = (delivery.readings[-1].at - first.at) // timedelta(seconds=1)
    wh = data.draw(st.integers(1, 40))
    middle = data.draw(st.integers(0, seconds))

    def reading(second: int) -> Reading:
        return Reading(first.at + timedelta(seconds=second), first.register_wh + wh * second)

    two = msgspec.structs.replace(delivery, readings=(reading(0), reading(seconds)))
    three = msgspec.structs.replace(
        delivery, readings=(reading(0), reading(middle), reading(seconds))
    )
    assert priced(two, tariff, terms).exact_total == priced(three, tariff, terms).exact_total


@settings(max_examples=150, deadline=None)
@given(
    delivery=deliveries(),
    per_minute=PRICES,
    step=st.sampled_from([1, 60, 900]),
    way=st.sampled_from(["up", "down"]),
    more=st.integers(0, 300),
    terms=TERMS,
)
def test_more_idle_never_costs_less(
    *, delivery: Delivery, per_minute: str, step: int, way: str, more: int, terms: Terms
) -> None:
    idle = {"dimension": "idle_time", "price": per_minute, "unit": "minute", "step": step}
    tariff = read_tariff(
        {
            "id": "t",
            "currency": "USD",
            "elements": [
                {"components": [idle], "restrictions": {"min_idle_s": 600}},
                {"components": [{"dimension": "energy", "price": "0.30", "unit": "kWh"}]},
            ],
            "caps": [{"dimension": "idle_time", "amount": "12.00"}],
            "policies": {"step_rounding": way},
        },
        "$",
    )
    longer = msgspec.structs.replace(delivery, ended_at=delivery.ended_at + MINUTE * more)
    before, after = price(delivery, tariff, terms), price(longer, tariff, terms)
    assert after.total_minor >= before.total_minor
    idle_net = dict(after.streams)["idle"]
    assert idle_net <= 1200 + 1  # the cap, and the cent that the streams share

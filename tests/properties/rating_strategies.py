"""Deliveries, tariffs and terms for the properties of rating."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from wattledger.money import Rounding
from wattledger.rating import Discount, Draw, Fee, Tax, Terms
from wattledger.sessions.model import Activity, Change, Delivery, Reading
from wattledger.tariffs import Day, Dimension, Tariff, read_tariff

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
# Days around those starts.
DATES = ["2026-03-08", "2026-03-09", "2026-07-04", "2026-10-04", "2026-10-25", "2026-11-01"]
USED = [Dimension.ENERGY, Dimension.CHARGING_TIME, Dimension.IDLE_TIME, Dimension.FLAT]


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    start = draw(st.sampled_from(STARTS)) + MINUTE * draw(st.integers(0, 600))
    minutes = draw(st.integers(1, 240))
    # Several in one second too, also in the first and the last.
    between = draw(st.lists(st.integers(0, minutes * 60), max_size=6))
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
CREDITS = st.one_of(PRICES, PRICES, PRICES, st.decimals(-1, 0, places=2).map(str))
PERCENTS = st.sampled_from(["0", "19", "9.5", "7.75"])
TIMES = st.tuples(st.integers(0, 23), st.sampled_from([0, 15, 30])).map(
    lambda t: f"{t[0]:02d}:{t[1]:02d}"
)
RATES = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["State", "City"]),
            "percent": PERCENTS,
            "stack": st.integers(0, 1),
        }
    ),
    max_size=2,
)


@st.composite
def components(
    draw: st.DrawFn, dimension: Dimension, prices: st.SearchStrategy[str]
) -> dict[str, Any]:
    units: list[str] = ["minute", "hour"]
    steps = [1, 60, 900, 7, 0]
    if dimension is Dimension.FLAT:
        units, steps = ["session"], [1]
    elif dimension is Dimension.ENERGY:
        units, steps = ["kWh"], [1, 100, 1000, 0]
    return {
        "dimension": dimension.value,
        "price": draw(prices),
        "unit": draw(st.sampled_from(units)),
        "step": draw(st.sampled_from(steps)),
    } | ({"taxes": draw(RATES)} if draw(st.integers(0, 3)) == 0 else {})


@st.composite
def hours(draw: st.DrawFn) -> dict[str, Any]:
    start, end = draw(TIMES), draw(TIMES)
    if start == end:
        return {}
    both = {"start_time": start, "end_time": end}
    if draw(st.integers(0, 4)) == 0:
        both.pop(draw(st.sampled_from(["start_time", "end_time"])))
    return both


@st.composite
def days(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["", "", "", "", "days", "dates", "season", "holiday"]))
    two = draw(st.lists(st.sampled_from(DATES), min_size=2, max_size=2, unique=True))
    if kind == "days":
        return {"days": draw(st.lists(st.sampled_from(Day), min_size=1, unique=True))}
    if kind == "dates":
        which = draw(st.sampled_from([["start_date"], ["end_date"], ["start_date", "end_date"]]))
        return dict(zip(which, sorted(two), strict=False))
    if kind == "season":
        return {"start_season": two[0][5:], "end_season": two[1][5:]}
    return {"holiday": draw(st.booleans())} if kind == "holiday" else {}


@st.composite
def minutes(draw: st.DrawFn, name: str, most: int) -> dict[str, Any]:
    """A least or a most in whole minutes, or nothing."""
    kind = draw(st.sampled_from(["", "", "min", "max"]))
    least = 0 if kind == "min" else 1
    return {f"{kind}_{name}_s": 60 * draw(st.integers(least, most))} if kind else {}


@st.composite
def restrictions(draw: st.DrawFn, dimensions: list[Dimension], *, waived: bool) -> dict[str, Any]:
    limits = draw(hours()) | draw(days()) | draw(minutes("duration", 120))
    limits |= draw(minutes("charging", 60)) | draw(minutes("idle", 40))
    if waived and dimensions != [Dimension.IDLE_TIME]:
        # What is waived if the car leaves in time is idle time alone.
        limits.pop("min_idle_s", None)
    if dimensions == [Dimension.ENERGY] and draw(st.booleans()):
        # Energy only: when within a minute a limit is reached, the oracle does not know.
        limits[draw(st.sampled_from(["min_kwh", "max_kwh"]))] = draw(
            st.sampled_from(["0.5", "3", "12.345"])
        )
    return limits


@st.composite
def elements(draw: st.DrawFn, prices: st.SearchStrategy[str], *, waived: bool) -> dict[str, Any]:
    dimensions = draw(st.lists(st.sampled_from(USED), min_size=1, max_size=4, unique=True))
    return {
        "name": draw(st.sampled_from(["a", "b", ""])),
        "components": [draw(components(dimension, prices)) for dimension in dimensions],
        "restrictions": draw(restrictions(dimensions, waived=waived)),
    }


POLICIES = st.fixed_dictionaries(
    {
        "rounding": st.sampled_from(Rounding).map(str),
        "step_rounding": st.sampled_from(["up", "down"]),
        "zero_energy": st.sampled_from(["minimum", "release", "idle_only"]),
        "idle_after_stop": st.booleans(),
        "floor_wh": st.sampled_from([0, 500]),
    },
    optional={
        "rounding_increment": st.sampled_from([1, 5]),
        "rounding_closes": st.sampled_from(["taxes", "before_taxes"]),
        "step_base": st.sampled_from(["priced", "all"]),
        "step_idle": st.sampled_from(["priced", "all"]),
        "step_time": st.sampled_from(["idle_if_any", "last"]),
        "flat": st.sampled_from(["once_a_session", "once_an_element"]),
        "date_window": st.sampled_from(["daily", "continuous"]),
        "wrap_weekday": st.sampled_from(["instant", "start_day"]),
        "clock": st.sampled_from(["wall", "standard"]),
        "idle_grace": st.sampled_from(["deduct", "waive_if_within"]),
        "idle_grace_s": st.integers(0, 20).map(lambda n: 60 * n),
        "idle_scope": st.sampled_from(["stretch", "session"]),
        "floor_s": st.sampled_from([0, 600]),
        "payment_fee": st.sampled_from(["line", "none"]),
    },
)
LIMITS = st.sampled_from(
    [
        {},
        {},
        {},
        {"min_price": {"before_taxes": "4.50"}},
        {"max_price": {"after_taxes": "7"}},
        {"min_price": {"before_taxes": "2", "after_taxes": "3"}, "max_price": {"after_taxes": "9"}},
    ]
)


@st.composite
def tariffs(draw: st.DrawFn, prices: st.SearchStrategy[str] = PRICES) -> Tariff:
    """What the native reader takes, without the prices of a reservation."""
    capped = draw(st.lists(st.sampled_from(USED), max_size=2, unique=True))
    policies = draw(POLICIES)
    waived = policies.get("idle_grace") == "waive_if_within"
    raw: dict[str, Any] = {
        "id": "t",
        "currency": draw(st.sampled_from(["USD", "JPY", "KWD"])),
        "elements": draw(st.lists(elements(prices, waived=waived), min_size=1, max_size=4)),
        "caps": [{"dimension": d.value, "amount": draw(st.integers(0, 9))} for d in capped],
        "tax_included": draw(st.sampled_from(["no", "no", "yes", "not_applicable"])),
        "price_lock": draw(st.sampled_from(["by_interval", "by_interval", "session_start"])),
        "holidays": draw(st.sampled_from([[], ["2026-07-04", "2026-11-01"]])),
        "policies": policies,
    }
    return read_tariff(raw | draw(LIMITS), "$")


SIMPLE = st.builds(
    Terms.simple,
    tax_name=st.just("Tax"),
    tax_percent=PERCENTS,
    discount_percent=st.sampled_from(["0", "10", "33.3", "100"]),
)
SOME = st.lists(st.sampled_from(USED), max_size=2, unique=True).map(tuple)
TAXES = st.one_of(
    st.builds(Tax, st.just("VAT"), PERCENTS, dimensions=SOME),
    st.builds(Tax, st.just("Local"), PERCENTS, stack=st.integers(0, 1)),
    st.builds(Tax, st.just("Relief"), PERCENTS, exempt=st.just("by law")),
    st.builds(Tax, st.just("Excise"), per_kwh=st.sampled_from(["0.03", "0.0205"])),
)
TERMS = st.one_of(
    SIMPLE,
    st.builds(
        Terms,
        taxes=st.lists(TAXES, max_size=3, unique_by=lambda tax: tax.name).map(tuple),
        discounts=st.lists(
            st.builds(Discount, st.sampled_from(["0", "12.5", "100"]), SOME), max_size=2
        ).map(tuple),
        draws=st.lists(
            st.builds(
                Draw,
                st.sampled_from(USED[:3]),
                st.sampled_from([1, 599, 3_000]),
                st.just("the plan"),
            ),
            max_size=2,
            unique_by=lambda given: given.dimension,
        ).map(tuple),
        fees=st.lists(
            st.builds(Fee, st.just("Card fee"), st.sampled_from(["0.35", "1"])), max_size=1
        ).map(tuple),
    ),
)

"""Every value of every policy, on a case in which it decides: each figure is worked out beside it.

The letters are those of the questions that OCPI leaves open (see ``tariffs/policies.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from enum import StrEnum
from itertools import product
from typing import Any, NamedTuple, get_type_hints

import pytest
from rating_samples import (
    CHARGING,
    IDLE,
    charging,
    delivery,
    element,
    energy,
    flat,
    idle,
    tariff,
)
from record_samples import component, ocpi_tariff, part, period, record, sums

from wattledger.errors import CantPrice
from wattledger.rating import Charge, Fee, Terms, price
from wattledger.rating.records import price_cdr
from wattledger.tariffs import Tariff, read_tariff
from wattledger.tariffs.policies import Policies

NONE = Terms()
HOUR = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000))


class Case(NamedTuple):
    """What a charge comes to under each value: the net, or the code it is refused with."""

    policy: str
    price: Callable[..., object]
    outcomes: dict[object, object]


def of_record(
    elements: list[dict[str, Any]], periods: list[dict[str, Any]], end: str, **head: Any
) -> Callable[..., int]:
    raw = record([ocpi_tariff(*elements, **head)], periods, end)
    return lambda **policies: price_cdr(raw, policies=policies).net_minor


def of_session(
    session: Any, *elements: dict[str, object], terms: Terms = NONE, **always: Any
) -> Callable[..., int]:
    return lambda **policies: (
        price(session, tariff(*elements, **(always | policies)), terms).net_minor
    )


# --- The cases ----------------------------------------------------------------------------


def rounded(**policies: Any) -> tuple[int, ...]:
    """10 kWh at three prices: 0.025, 0.035 and 0.021."""
    return tuple(
        price(HOUR, tariff(element("", energy(each)), **policies), NONE).net_minor
        for each in ("0.0025", "0.0035", "0.0021")
    )


def levels(**policies: Any) -> int:
    """Three lines of 1.004 at 19 % and one of 1.004 at 7 %.

    Lines: 4 x 1.00. Rates: 3.012 is 3.01, and 1.00. The sum: 4.016 is 4.02.
    """
    rates = [{"name": "VAT", "percent": "19"}]
    components = [
        flat("1.004") | {"taxes": rates},
        energy("0.1004") | {"taxes": rates},
        charging("1.004", "hour") | {"taxes": rates},
    ]
    last = idle("1.004", "hour") | {"taxes": [{"name": "VAT", "percent": "7"}]}
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 12:00"
    )
    return price(session, tariff(element("", *components, last), **policies), NONE).net_minor


def closes(**policies: Any) -> tuple[int, int, int]:
    """0.99 with 20 % in it is 0.825 before tax and 0.165 of tax: both halves go up."""
    raw = {
        "id": "t", "currency": "EUR", "elements": [element("", flat("0.99"))],
        "tax_included": "yes", "policies": policies,
    }  # fmt: skip
    return sums(price(HOUR, read_tariff(raw, "$"), Terms.simple("VAT", "20")))


def limited(**policies: Any) -> tuple[int, int, int]:
    """0.50 and 10 % of tax; the least is 2.00 before taxes, and says nothing of after."""
    least = {"excl_vat": 2}
    offer = ocpi_tariff(part(component("ENERGY", "0.25", vat="10")), min_price=least)
    return sums(price_cdr(record([offer], [period("10:00", energy="2")], "11:00"),
                          policies=policies))  # fmt: skip


def chosen(**policies: Any) -> int:
    """10 kWh in a period that names the second tariff."""
    offers = [
        ocpi_tariff(part(component("ENERGY", "0.10")), key="a"),
        ocpi_tariff(part(component("ENERGY", "1.00")), key="b"),
    ]
    raw = record(offers, [period("10:00", "b", energy="10")], "11:00")
    return price_cdr(raw, policies=policies).net_minor


def ended(**policies: Any) -> int:
    """The session starts in the tariff's last moment."""
    raw = {
        "id": "t", "currency": "EUR", "elements": [element("", energy("1"))],
        "valid_to": "2026-07-01T10:00:00Z", "policies": policies,
    }  # fmt: skip
    return price(HOUR, read_tariff(raw, "$"), NONE).net_minor


def in_germany(**policies: Any) -> int:
    """16:30 UTC is 18:30 in Berlin, and nobody says so but the country."""
    offer = ocpi_tariff(
        part(component("ENERGY", "1"), start_time="18:00", end_time="00:00"),
        part(component("ENERGY", "0.10")),
    )
    raw = record([offer], [period("16:30", energy="10")], "17:30", cdr_location={"country": "DEU"})
    return price_cdr(raw, policies=policies).net_minor


def outside(**policies: Any) -> int:
    offer = ocpi_tariff(part(component("ENERGY", "1")))
    periods = [period("10:00", energy="2"), period("11:00", energy="3")]
    raw = record([offer], periods, "12:00", start_date_time="2026-07-01T10:30:00Z")
    return price_cdr(raw, policies=policies).net_minor


PEAK = [element("", energy("1"), start_time="18:00", end_time="00:00"), element("", energy("0.1"))]
IN_SUMMER = delivery(("2026-07-01 15:00", 0), ("2026-07-01 16:00", 10_000), zone="Europe/Berlin")
FRIDAY_NIGHT = element(
    "", energy("1"), start_time="22:00", end_time="06:00", days=["FRIDAY"]
)  # fmt: skip
SATURDAY_AT_2 = delivery(("2026-07-04 02:00", 0), ("2026-07-04 03:00", 10_000))
EVENING_OF_THE_FIRST = delivery(("2026-07-01 20:00", 0), ("2026-07-01 21:00", 10_000))
TWO_DAYS = element("", energy("1"), start_time="08:00", end_time="18:00",
                   start_date="2026-07-01", end_date="2026-07-03")  # fmt: skip
SIX_IDLE = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 11:06")
TWICE_SIX_IDLE = delivery(
    ("2026-07-01 10:00", 0),
    ("2026-07-01 12:00", 10_000),
    changes=(
        ("2026-07-01 10:30", IDLE),
        ("2026-07-01 10:36", CHARGING),
        ("2026-07-01 11:54", IDLE),
    ),
)
STAYED = delivery(("2026-07-01 10:00", 700), ("2026-07-01 11:00", 700), ended="2026-07-01 11:10")
AFTER_TEN_MINUTES = delivery(
    ("2026-07-01 10:00", 0), ("2026-07-01 10:10", 0), ("2026-07-01 11:10", 6_000)
)
UNREAD = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:50", 10_000))
UNREAD = type(UNREAD)(
    **{
        **{name: getattr(UNREAD, name) for name in UNREAD.__struct_fields__},
        "ended_at": HOUR.ended_at,
        "stopped_at": HOUR.ended_at,
    }
)

CASES = [
    Case("rounding", rounded, {
        "half_up": (3, 4, 2), "half_even": (2, 4, 2), "down": (2, 3, 2), "up": (3, 4, 3),
    }),
    Case("rounding_level", levels, {"line": 400, "tax_rate": 401, "total": 402}),
    # 0.83 + 0.16 or 0.82 + 0.17, and 0.99 in any case.
    Case("rounding_closes", closes, {"taxes": (83, 16, 99), "before_taxes": (82, 17, 99),
                                     "after_taxes": (83, 17, 100)}),
    # 10 kWh x 0.0403 = 0.403: 0.40; to steps of 0.05 0.40; of 0.25 0.50.
    Case("rounding_increment", of_session(HOUR, element("", energy("0.0403"))),
         {1: 40, 25: 50, 100: 0}),
    # A18. 21 minutes at 0.10 in steps of ten: 30, or 20.
    Case("step_rounding", of_record(
        [part(component("TIME", "6", 600))], [period("10:00", time="0.35")], "10:21",
    ), {"up": 300, "down": 200}),
    # A6. 0.3 kWh that nothing prices and 1.1 kWh at 1.00 in steps of 0.5: 1.1 is 1.5; or the
    # whole 1.4 is 1.5, and 1.2 are billed.
    Case("step_base", of_record(
        [part(component("ENERGY", "1", 500), start_time="17:00", end_time="20:00"),
         part(component("FLAT", "0"))],
        [period("16:00", energy="0.3"), period("17:00", energy="1.1")], "18:00",
    ), {"priced": 150, "all": 120}),
    # A1. 8 minutes at 1.00 an hour and 12 free ones, in steps of 15: 15, or of 20 to 30 eight and
    # ten; 12 minutes of charging at 2.40 before them are 0.48.
    Case("step_idle", of_record(
        [part(component("TIME", "2.40", 900)),
         part(component("PARKING_TIME", "1", 900), start_time="17:00", end_time="20:00")],
        [period("19:40", time="0.2"), period("19:52", parking_time="0.1333"),
         period("20:00", parking_time="0.2")], "20:12",
    ), {"priced": 73, "all": 78}),
    # A5. 20 minutes of charging, 7 idle, 21 charging at 0.10 and 1.00, in steps of ten: ten idle
    # and 41 charging, 14.10; or 7 idle and 50 charging, 12.00.
    Case("step_time", of_record(
        [part(component("TIME", "6", 600), component("PARKING_TIME", "60", 600))],
        [period("10:00", time="0.3333"), period("10:20", parking_time="0.1167"),
         period("10:27", time="0.35")], "10:48",
    ), {"idle_if_any": 1410, "last": 1200}),
    # A7. 13 minutes reserved at 1.00 and 12 charging at 0.10, steps of ten: 20 and 20, 22.00;
    # or 25 is 30, the five at the later price: 13.00 + 1.70.
    Case("step_reservation", of_record(
        [part(component("TIME", "60", 600), reservation="RESERVATION"),
         part(component("TIME", "6", 600))],
        [period("10:00", reservation_time="0.2167"), period("10:13", time="0.2")], "10:25",
    ), {"own": 2200, "with_time": 1470}),
    # A2. A period between 10 and 40 kW: not all of it is below 16, some is.
    Case("range_match", of_record(
        [part(component("ENERGY", "0.20"), max_power=16), part(component("ENERGY", "0.50"))],
        [period("10:00", energy="10", min_power="10", max_power="40")], "11:00",
    ), {"whole_period": 500, "reached": 200}),
    # A3. No power at all.
    Case("missing_measurement", of_record(
        [part(component("ENERGY", "0.20"), max_power=16), part(component("ENERGY", "0.50"))],
        [period("10:00", energy="10")], "11:00",
    ), {"refuse": "missing_measurement", "match": 200, "no_match": 500}),
    # A4. 1.00 from the start, 5.00 after half an hour.
    Case("flat", of_session(
        HOUR, element("", flat("5"), min_duration_s=1800), element("", flat("1")),
    ), {"once_a_session": 100, "once_an_element": 600}),
    # A8. 2.00 and 10 % of that; or the 0.05 of tax that were there.
    Case("limit_tax", limited, {"proportional": (200, 20, 220), "untaxed": (200, 5, 205)}),
    # A9. The first day's evening: outside the hours of the day, inside the span.
    Case("date_window", of_session(EVENING_OF_THE_FIRST, TWO_DAYS, element("", energy("0.1"))),
         {"daily": 100, "continuous": 1000}),
    # A10.
    Case("one_sided_time", of_session(
        EVENING_OF_THE_FIRST, element("", energy("1"), start_time="18:00"),
        element("", energy("0.1")),
    ), {"day_bounds": 1000, "refuse": "one_sided_time"}),
    # A11. Saturday at 2, and the night that began on Friday.
    Case("wrap_weekday", of_session(SATURDAY_AT_2, FRIDAY_NIGHT, element("", energy("0.1"))),
         {"instant": 100, "start_day": 1000}),
    Case("tariff_choice", chosen, {"period_id": 1000, "first_valid": 100}),  # A12
    Case("tariff_end", ended, {"exclusive": "no_valid_tariff", "inclusive": 1000}),  # A13
    Case("time_zone", in_germany, {"country": 1000, "explicit": "missing_time_zone"}),  # A14
    # A15. 15:00 to 16:00 UTC in July is 17:00 on Berlin's wall and 16:00 in standard time.
    Case("clock", of_session(
        IN_SUMMER, element("", energy("1"), start_time="17:00", end_time="18:00"),
        element("", energy("0.1")),
    ), {"wall": 1000, "standard": 100}),
    # A16. 10 kWh at 0.25; an hour at 6.00 that the period does not list.
    Case("missing_time", of_record(
        [part(component("ENERGY", "0.25"), component("TIME", "6"))],
        [period("10:00", energy="10")], "11:00",
    ), {"none": 250, "from_timestamps": 850}),
    # A17. Six idle minutes at 0.50, five of grace.
    Case("idle_grace", of_session(SIX_IDLE, element("", idle("0.50")), idle_grace_s=300),
         {"deduct": 50, "waive_if_within": 300}),
    # Twice six minutes: one of each is billed, or seven of twelve.
    Case("idle_scope", of_session(TWICE_SIX_IDLE, element("", idle("0.50")), idle_grace_s=300),
         {"stretch": 100, "session": 350}),
    Case("idle_grace_s", of_session(SIX_IDLE, element("", idle("0.50"))),
         {0: 300, 300: 50, 360: 0}),
    # A19. Five minutes as 0.0833 h are 299.88 s: at 600 an hour 49.98.
    Case("time_volume", of_record(
        [part(component("TIME", "600", 0))], [period("10:00", time="0.0833")], "10:05",
    ), {"timestamps_if_close": 5000, "as_given": 4998}),
    # A20. Neither the tariff nor the terms say a word on tax.
    Case("vat_omitted", of_session(HOUR, element("", energy("1"))),
         {"terms": 1000, "refuse": "tax_not_stated"}),
    Case("outside_period", outside, {"price": 500, "refuse": "period_outside"}),  # A21
    # A22.
    Case("payment_fee", of_session(
        HOUR, element("", energy("1")), terms=Terms(fees=(Fee("Card fee", "0.35"),)),
    ), {"line": 1035, "none": 1000}),
    # A fee of 1.00 and ten idle minutes at 0.20, without any energy.
    Case("zero_energy", of_session(STAYED, element("", flat("1"), idle("0.20"))),
         {"release": 0, "idle_only": 200, "minimum": 300}),
    # 10 kWh at 0.05 are 0.50: enough, or not.
    Case("floor_wh", of_session(HOUR, element("", energy("0.05"))), {10_000: 50, 10_001: 0}),
    # Nothing is charged for a stay without energy of up to so many seconds: this is one of 4,200.
    Case("floor_s", of_session(STAYED, element("", flat("1"))), {0: 0, 4199: 100, 4200: 0}),
    # V2G: 10 kWh in, 4 kWh out, at 0.25.
    Case("negative_energy", of_record(
        [part(component("ENERGY", "0.25"))],
        [period("10:00", energy="10"), period("11:00", energy="-4")], "12:00",
    ), {"refuse": "negative_energy", "credit": 150}),
    # 70 minutes at 0.10, of which 60 since the register moved.
    Case("clock_starts", of_session(AFTER_TEN_MINUTES, element("", charging("0.10"))),
         {"plug_in": 700, "first_energy": 600}),
    Case("idle_after_stop", of_session(SIX_IDLE, element("", idle("0.50"), flat("1"))),
         {True: 400, False: 100}),
    Case("unread_ends", of_session(UNREAD, element("", energy("1"))),
         {"stand": 1000, "refuse": "missing_reading"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "value"),
    [(case, value) for case in CASES for value in case.outcomes],
    ids=lambda each: each.policy if isinstance(each, Case) else str(each),
)
def test_each_value(case: Case, value: object) -> None:
    try:
        outcome = case.price(**{case.policy: value})
    except CantPrice as refusal:
        outcome = refusal.code
    assert outcome == case.outcomes[value]


def test_every_value_of_every_policy_is_here_and_makes_a_difference() -> None:
    cases = {case.policy: case.outcomes for case in CASES}
    hints = get_type_hints(Policies)
    assert set(cases) == set(hints)
    for name, kind in hints.items():
        if issubclass(kind, StrEnum):
            assert set(cases[name]) == {member.value for member in kind}, name
            assert len(set(map(str, cases[name].values()))) == len(cases[name]), name
        elif kind is bool:
            assert set(cases[name]) == {True, False}
        assert len(set(map(str, cases[name].values()))) > 1, name


def test_a_policy_stands_on_the_charge_it_decided() -> None:
    raw = record(
        [ocpi_tariff(part(component("ENERGY", "1")))], [period("10:00", energy="1")], "11:00"
    )
    charge = price_cdr(raw, policies={"rounding": "down", "floor_wh": 5})
    assert (charge.policies.rounding, charge.policies.floor_wh) == ("down", 5)
    # What nobody named is as other standards have it.
    assert charge.policies.zero_energy == "minimum"


# --- Rounding, in all its ways --------------------------------------------------------------

MODES = {
    "half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN, "up": ROUND_UP,
}  # fmt: skip
# Net amounts and their rates of tax in percent.
LINES = [("1.015", "19"), ("2.025", "19"), ("0.335", "7"), ("3.33", "0")]


def three_and_one(currency: str, **policies: Any) -> Charge:
    made = zip(
        (flat, lambda p: energy(str(Decimal(p) / 10)), lambda p: charging(p, "hour"),
         lambda p: idle(p, "hour")), LINES, strict=True,
    )  # fmt: skip
    parts = [
        make(net) | {"taxes": [{"name": "VAT", "percent": rate}]} for make, (net, rate) in made
    ]
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 12:00"
    )
    offer: Tariff = tariff(element("", *parts), currency=currency, **policies)
    return price(session, offer, NONE)


@pytest.mark.parametrize(
    ("mode", "level", "increment", "closes", "currency"),
    list(product(MODES, ["line", "tax_rate", "total"], [1, 5],
                 ["taxes", "before_taxes", "after_taxes"], ["EUR", "JPY", "KWD", "CLF"])),
)  # fmt: skip
def test_mode_level_increment_and_what_closes(
    *, mode: str, level: str, increment: int, closes: str, currency: str
) -> None:
    """Against decimals rounded by the standard library."""
    unit = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}[currency]

    def whole(amount: Decimal) -> int:
        steps = amount.scaleb(unit) / increment
        return int(steps.quantize(Decimal(1), rounding=MODES[mode])) * increment

    def sides(pairs: list[tuple[Decimal, Decimal]]) -> tuple[int, int]:
        net = sum((net for net, _ in pairs), Decimal(0))
        after = sum((after for _, after in pairs), Decimal(0))
        if closes == "taxes" or net == after:
            return whole(net), whole(after)
        if closes == "after_taxes":
            return whole(net), whole(net) + whole(after - net)
        return whole(after) - whole(after - net), whole(after)

    lines = [(Decimal(net), Decimal(net) * (1 + Decimal(rate) / 100)) for net, rate in LINES]
    groups = {
        "line": [[line] for line in lines],
        "tax_rate": [lines[:2], lines[2:3], lines[3:]],
        "total": [lines],
    }[level]
    rounded_groups = [sides(group) for group in groups]
    net, total = (sum(each) for each in zip(*rounded_groups, strict=True))
    charge = three_and_one(
        currency, rounding=mode, rounding_level=level, rounding_increment=increment,
        rounding_closes=closes,
    )  # fmt: skip
    assert sums(charge) == (net, total - net, total)
    for line, expected in zip(charge.lines, lines, strict=False):
        assert (line.net_minor, line.total_minor) == sides([expected])


def test_three_lines_by_hand() -> None:
    """1.015, 2.025 and 0.335: 3.39 by line, half up, and 3.38 in one sum."""
    parts = [flat("1.015"), energy("0.2025"), charging("0.335", "hour")]
    by_line = price(HOUR, tariff(element("", *parts), rounding_level="line"), NONE)
    at_once = price(HOUR, tariff(element("", *parts)), NONE)
    assert [line.net_minor for line in by_line.lines] == [102, 203, 34]
    assert (by_line.net_minor, at_once.net_minor) == (339, 338)
    assert at_once.lines[-1].net_minor == -1


def test_three_times_3_33_at_19_percent() -> None:
    """1.89 of tax by line, 1.90 on the sum: 9.99 x 0.19 = 1.8981."""
    parts = [flat("3.33"), energy("0.333"), charging("3.33", "hour")]
    terms = Terms.simple("VAT", "19")
    by_line = price(HOUR, tariff(element("", *parts), rounding_level="line"), terms)
    at_once = price(HOUR, tariff(element("", *parts)), terms)
    assert sums(by_line) == (999, 189, 1188)
    assert sums(at_once) == (999, 190, 1189)
    assert at_once.lines[-1].tax_minor == 1

"""What is found in a tariff before it is published, each by the smallest tariff that has it."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from wattledger.tariffs import (
    Component,
    Day,
    Dimension,
    Element,
    EvseKind,
    Reservation,
    Restrictions,
    Tariff,
    Unit,
    read_tariff,
)
from wattledger.tariffs.findings import Finding, Severity, in_order
from wattledger.tariffs.lint import lint, unreachable
from wattledger.tariffs.model import PriceLimit, PriceLock, TaxIncluded, TaxRate
from wattledger.tariffs.policies import (
    DateWindow,
    FlatTimes,
    OneSidedTime,
    Policies,
    RangeMatch,
    VatOmitted,
    WrapWeekday,
)

UNITS = {
    Dimension.ENERGY: Unit.KWH, Dimension.CHARGING_TIME: Unit.MINUTE,
    Dimension.IDLE_TIME: Unit.MINUTE, Dimension.FLAT: Unit.SESSION,
    Dimension.RESERVATION_TIME: Unit.MINUTE, Dimension.RESERVATION_FLAT: Unit.SESSION,
}  # fmt: skip
WORKDAYS = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY)
WEEKEND = (Day.SATURDAY, Day.SUNDAY)


def part(
    dimension: Dimension = Dimension.ENERGY, price: str = "0.40", **restrictions: Any
) -> Element:
    """An element of one component."""
    component = Component(dimension, price, UNITS[dimension])
    return Element("", (component,), Restrictions(**restrictions))


def tariff(*elements: Element, **more: Any) -> Tariff:
    return Tariff("t", "USD", "T", elements, **more)


def codes(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(f.code, f.path) for f in found]


def only(found: tuple[Finding, ...], code: str) -> Finding:
    (finding,) = [f for f in found if f.code == code]
    return finding


ANY = part(price="0.30")
IDLE = Dimension.IDLE_TIME
FLAT = Dimension.FLAT


def test_nothing_is_said_of_a_plain_tariff() -> None:
    assert lint(tariff(part())) == ()
    assert lint(tariff(part(start_time="16:00", end_time="21:00"), ANY)) == ()


# Never reached

UNREACHABLE: list[tuple[str, list[Element], tuple[int, ...]]] = [
    ("all first", [ANY, part(start_time="16:00", end_time="21:00")], (0,)),
    ("longer hours", [part(start_time="08:00", end_time="22:00"),
                      part(start_time="10:00", end_time="12:00")], (0,)),
    ("wrapping hours", [part(start_time="22:00", end_time="06:00"),
                        part(start_time="23:00", end_time="05:00", days=(Day.FRIDAY,))], (0,)),
    ("end of the day", [part(start_time="20:00"), part(start_time="21:00", end_time="00:00")],
     (0,)),
    ("two halves of the day", [part(start_time="12:00"), part(end_time="12:00"), ANY], (0, 1)),
    ("days and hours", [part(days=WEEKEND), part(start_time="21:00", end_time="09:00"),
                        part(start_time="09:00", end_time="21:00", days=WORKDAYS), ANY],
     (0, 1, 2)),
    ("more days", [part(days=WORKDAYS), part(days=(Day.MONDAY, Day.FRIDAY))], (0,)),
    ("wider dates", [part(start_date="2026-01-01"),
                     part(start_date="2026-06-01", end_date="2026-07-01")], (0,)),
    ("dates side by side", [part(end_date="2026-06-15"), part(start_date="2026-06-15"), ANY],
     (0, 1)),
    ("a season over New Year", [part(start_season="10-01", end_season="04-01"),
                                part(start_season="12-01", end_season="03-01")], (0,)),
    ("seasons side by side", [part(start_season="04-01", end_season="10-01"),
                              part(start_season="10-01", end_season="04-01"), ANY], (0, 1)),
    ("tiers", [part(max_kwh="10"), part(min_kwh="10", max_kwh="20.5"), part(min_kwh="20.5"),
               part(min_kwh="5", max_kwh="15")], (0, 1)),
    ("more than the minimum", [part(min_kwh="10"), part(min_kwh="10.001")], (0,)),
    ("power within", [part(min_power_kw="11"), part(min_power_kw="22", max_power_kw="50")], (0,)),
    ("current within", [part(max_current_a="32"), part(max_current_a="16")], (0,)),
    ("durations", [part(max_duration_s=3600), part(min_duration_s=3600), ANY], (0, 1)),
    ("charging time", [part(min_charging_s=60), part(min_charging_s=61)], (0,)),
    ("kind", [part(evse_kind=EvseKind.DC), part(evse_kind=EvseKind.DC, min_power_kw="50")], (0,)),
    ("brand in other letters", [part(payment_brand="Visa"), part(payment_brand="VISA")], (0,)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "by"), [(e, b) for _, e, b in UNREACHABLE], ids=[n for n, _, _ in UNREACHABLE]
)
def test_never_reached(elements: list[Element], by: tuple[int, ...]) -> None:
    last = len(elements) - 1
    assert unreachable(tariff(*elements), Dimension.ENERGY) == {last: by}
    changed = [*elements[:-1], msgspec.structs.replace(
        elements[-1], components=(Component(Dimension.ENERGY, "9", Unit.KWH),))]  # fmt: skip
    found = only(lint(tariff(*changed)), "unreachable")
    assert (found.severity, found.path) == (
        Severity.ERROR, f"$.elements[{last}].components[0]",
    )  # fmt: skip
    assert " and ".join(f"elements[{i}]" for i in by) in found.message
    assert only(lint(tariff(ANY, ANY)), "unreachable").severity is Severity.WARNING


REACHABLE: list[tuple[str, list[Element]]] = [
    ("other hours", [part(start_time="08:00", end_time="12:00"), part(start_time="11:59")]),
    ("a minute is left", [part(start_time="12:00", end_time="23:59"), part(end_time="12:00"), ANY]),
    ("a day is left", [part(days=WORKDAYS), part(days=(Day.SUNDAY,)), ANY]),
    ("another dimension", [part(IDLE), part()]),
    ("fewer kWh", [part(min_kwh="10"), part(min_kwh="9.999")]),
    ("powers side by side, which a period of a CDR may lie across",
     [part(max_power_kw="22"), part(min_power_kw="22"), ANY]),
    ("power that may not be measured", [part(min_power_kw="0"), ANY]),
    ("kinds that may not be known",
     [part(evse_kind=EvseKind.AC), part(evse_kind=EvseKind.DC), ANY]),
    ("another brand", [part(payment_brand="Visa"), part(payment_brand="Mastercard")]),
    ("29 February", [part(start_season="03-01", end_season="02-28"), ANY]),
    ("expired comes first when it did", [
        part(Dimension.RESERVATION_FLAT, reservation=Reservation.USED),
        part(Dimension.RESERVATION_FLAT, reservation=Reservation.EXPIRED)]),
]  # fmt: skip


@pytest.mark.parametrize("elements", [e for _, e in REACHABLE], ids=[n for n, _ in REACHABLE])
def test_reached(elements: list[Element]) -> None:
    for dimension in Dimension:
        assert unreachable(tariff(*elements), dimension) == {}


def test_whose_day_it_is_after_midnight_is_asked() -> None:
    """Friday 22:00 to 06:00: by the moment Friday's own early hours, by the start Saturday's."""
    friday = part(start_time="22:00", end_time="06:00", days=(Day.FRIDAY,))
    early = {d: part(end_time="06:00", days=(d,)) for d in (Day.FRIDAY, Day.SATURDAY)}
    for policy, day in ((WrapWeekday.INSTANT, Day.FRIDAY), (WrapWeekday.START_DAY, Day.SATURDAY)):
        for asked, element in early.items():
            found = unreachable(
                tariff(friday, element, policies=Policies(wrap_weekday=policy)), Dimension.ENERGY
            )
            assert found == ({1: (0,)} if asked is day else {})


def test_dates_and_hours_may_be_one_span() -> None:
    span = part(start_date="2026-06-01", end_date="2026-06-05",
                start_time="20:00", end_time="06:00")  # fmt: skip
    noon = part(start_date="2026-06-02", end_date="2026-06-03",
                start_time="12:00", end_time="13:00")  # fmt: skip
    for policy, found in ((DateWindow.DAILY, {}), (DateWindow.CONTINUOUS, {1: (0,)})):
        changed = tariff(span, noon, policies=Policies(date_window=policy))
        assert unreachable(changed, Dimension.ENERGY) == found


def test_holidays_and_other_days_are_all_days() -> None:
    elements = (part(holiday=True), part(holiday=False), ANY)
    assert unreachable(tariff(*elements, holidays=("2026-12-25",)), Dimension.ENERGY) == {2: (0, 1)}
    assert unreachable(tariff(*elements), Dimension.ENERGY) == {2: (1,)}


# Free by omission


def test_the_hours_at_which_energy_is_free_are_named() -> None:
    elements = (
        part(start_time="06:00", end_time="21:00", days=WORKDAYS), part(end_time="06:00"),
        part(days=WEEKEND),
    )  # fmt: skip
    found = only(lint(tariff(*elements)), "gap_in_hours")
    assert found.severity is Severity.WARNING
    assert "energy is free at: MONDAY to FRIDAY 21:00–24:00, because" in found.message
    assert lint(tariff(*elements, part(price="0"))) == ()


@pytest.mark.parametrize(
    ("element", "words"),
    [
        (part(start_time="08:00", end_time="20:00"), "00:00–08:00 and 20:00–24:00"),
        (part(start_time="22:00", end_time="06:00", days=(Day.MONDAY,)),
         "MONDAY 06:00–22:00, TUESDAY to SUNDAY all day"),
        (part(min_kwh="10.5"), "below 10.5 kWh"),
        (part(max_kwh="100"), "from 100 kWh on"),
        (part(min_power_kw="7.4", max_power_kw="50"), "below 7.4 kW and from 50 kW on"),
        (part(start_date="2026-06-01"), "before 2026-06-01"),
        (part(start_date="2026-06-01", end_date="2026-07-01"),
         "before 2026-06-01 and from 2026-07-01 on"),
        (part(start_season="06-01", end_season="10-01"),
         "01-01 to 05-31 (inclusive) and 10-01 to 12-31 (inclusive)"),
        (part(min_duration_s=600), "below 600 s of the session"),
        (part(evse_kind=EvseKind.DC), "at AC"),
        (part(payment_brand="Visa"), "paid with otherwise"),
        (part(holiday=False), "on holidays"),
        (part(end_time="12:00", max_kwh="5"), "12:00–24:00; 00:00–12:00, from 5 kWh on"),
    ],
)  # fmt: skip
def test_when_it_is_free(element: Element, words: str) -> None:
    (found,) = lint(tariff(element, holidays=("2026-12-25",)))
    assert found.code in ("gap_in_hours", "no_fallback")
    assert f"free at: {words}, because" in found.message


def test_a_grace_is_no_gap_and_a_fee_that_ends_is_one() -> None:
    capped = {"policies": Policies(), "max_price": PriceLimit(after_taxes="50.00")}
    assert lint(tariff(part(IDLE, "0.40", min_idle_s=600), **capped)) == ()
    found = only(lint(tariff(part(IDLE, "0.40", min_idle_s=600, max_idle_s=7200), **capped)),
                 "no_fallback")  # fmt: skip
    assert "idle_time is free at: from 7200 s of idle on" in found.message
    found = only(lint(tariff(part(IDLE, "0.40", min_idle_s=600, end_time="08:00"), **capped)),
                 "gap_in_hours")  # fmt: skip
    assert "idle_time is free at: 08:00–24:00, because" in found.message


# Order decides


def test_where_two_elements_meet_the_earlier_is_named() -> None:
    found = only(lint(tariff(
        part(price="0.60", start_time="16:00", end_time="21:00", days=WORKDAYS),
        part(price="0.50", start_season="06-01", end_season="10-01"),
        ANY,
    )), "order_decides")  # fmt: skip
    assert (found.severity, found.path) == (Severity.INFO, "$.elements[1].components[0]")
    assert "elements[0] and elements[1] both price energy at: MONDAY to FRIDAY 16:00–21:00, " in (
        found.message
    )
    assert "06-01 to 09-30 (inclusive)" in found.message


def test_seasons_that_overlap_are_told() -> None:
    summer = part(price="0.60", start_season="05-01", end_season="10-01")
    winter = part(price="0.50", start_season="09-01", end_season="05-02")
    message = only(lint(tariff(summer, winter, ANY)), "order_decides").message
    assert "05-01 to 05-01 (inclusive) and 09-01 to 09-30 (inclusive)" in message


# Values


def with_component(**changes: Any) -> Tariff:
    base = Component(Dimension.ENERGY, "0.40", Unit.KWH)
    return tariff(Element("", (msgspec.structs.replace(base, **changes),)))


VALUES: list[tuple[Tariff, str, str, Severity]] = [
    (tariff(part(min_kwh="10", max_kwh="10"), ANY), "never_applies",
     "$.elements[0].restrictions.max_kwh", Severity.ERROR),
    (tariff(part(min_power_kw="50", max_power_kw="7"), ANY), "never_applies",
     "$.elements[0].restrictions.max_power_kw", Severity.ERROR),
    (tariff(part(max_idle_s=0), ANY), "never_applies",
     "$.elements[0].restrictions.max_idle_s", Severity.ERROR),
    (tariff(part(start_date="2026-06-02", end_date="2026-06-01"), ANY), "never_applies",
     "$.elements[0].restrictions.end_date", Severity.ERROR),
    # 2026-06-01 is a Monday.
    (tariff(part(start_date="2026-06-01", end_date="2026-06-03", days=WEEKEND), ANY),
     "never_applies", "$.elements[0].restrictions", Severity.ERROR),
    (tariff(part(holiday=True, days=(Day.MONDAY,)), ANY, holidays=("2026-12-25",)),
     "never_applies", "$.elements[0].restrictions", Severity.ERROR),
    (tariff(part(holiday=True), ANY), "no_holidays",
     "$.elements[0].restrictions.holiday", Severity.ERROR),
    (tariff(part(holiday=False)), "no_holidays",
     "$.elements[0].restrictions.holiday", Severity.WARNING),
    (tariff(part(start_time="08:00", end_time="08:00"), ANY), "start_is_end",
     "$.elements[0].restrictions.end_time", Severity.ERROR),
    (tariff(part(start_time="08:00", end_time="23:59"), ANY), "end_of_day",
     "$.elements[0].restrictions.end_time", Severity.WARNING),
    (tariff(part(end_time="08:00"), ANY,
            policies=Policies(one_sided_time=OneSidedTime.REFUSE)), "one_sided_time",
     "$.elements[0].restrictions.start_time", Severity.ERROR),
    (tariff(part(days=(Day.MONDAY, Day.MONDAY)), ANY), "day_twice",
     "$.elements[0].restrictions.days", Severity.WARNING),
    (tariff(part(), min_price=PriceLimit(after_taxes="5.00"),
            max_price=PriceLimit(after_taxes="4.99")), "limits_cross",
     "$.min_price.after_taxes", Severity.ERROR),
    (tariff(part(), max_price=PriceLimit("5.01", "5.00")), "limit_sides",
     "$.max_price.before_taxes", Severity.ERROR),
    (tariff(part(), min_price=PriceLimit("5.001")), "decimals",
     "$.min_price.before_taxes", Severity.WARNING),
    (tariff(part(FLAT, "1.005")), "decimals", "$.elements[0].components[0].price",
     Severity.WARNING),
    (with_component(step=1000), "step", "$.elements[0].components[0].step", Severity.INFO),
    (with_component(price="-0.05"), "negative_price", "$.elements[0].components[0].price",
     Severity.WARNING),
    (with_component(dimension=Dimension.CHARGING_TIME, unit=Unit.HOUR, price="2.50"),
     "not_per_minute", "$.elements[0].components[0].price", Severity.WARNING),
    (tariff(Element("", (Component(Dimension.ENERGY, "1", Unit.KWH, taxes=()),
                         Component(FLAT, "1", Unit.SESSION)))), "taxes_mixed",
     "$.elements[0].components[1].taxes", Severity.WARNING),
    (tariff(part(), policies=Policies(vat_omitted=VatOmitted.REFUSE)), "taxes_mixed",
     "$.elements[0].components[0].taxes", Severity.ERROR),
    (msgspec.structs.replace(with_component(taxes=(TaxRate("VAT", "19"),)),
                             tax_included=TaxIncluded.NOT_APPLICABLE), "taxes_not_applicable",
     "$.elements[0].components[0].taxes", Severity.WARNING),
    (tariff(part(Dimension.CHARGING_TIME, start_time="12:00"),
            Element("", (Component(Dimension.CHARGING_TIME, "6", Unit.HOUR),))), "units_mixed",
     "$.elements[1].components[0].unit", Severity.WARNING),
    (tariff(Element("", (Component(FLAT, "1", Unit.SESSION),) * 2)), "component_twice",
     "$.elements[0].components[1].dimension", Severity.ERROR),
    (tariff(part(start_time="12:00"), ANY, price_lock=PriceLock.SESSION_START), "locked_at_start",
     "$.elements[0].restrictions.start_time", Severity.INFO),
    (tariff(part(), valid_from=datetime(2026, 2, 1, tzinfo=UTC),
            valid_to=datetime(2026, 2, 1, tzinfo=UTC)), "never_valid", "$.valid_to",
     Severity.ERROR),
    (tariff(part(Dimension.RESERVATION_TIME, reservation=Reservation.EXPIRED)),
     "reservation_free_when_used", "$.elements[0].components[0]", Severity.WARNING),
    (tariff(part(Dimension.RESERVATION_TIME, reservation=Reservation.USED)),
     "reservation_same_when_expired", "$.elements[0].components[0]", Severity.INFO),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "code", "path", "severity"), VALUES, ids=[f"{v[1]}-{i}" for i, v in enumerate(VALUES)]
)
def test_a_value_is_named_with_its_path(
    given: Tariff, code: str, path: str, severity: Severity
) -> None:
    found = only(lint(given), code)
    assert (found.path, found.severity) == (path, severity)
    assert len(found.message) > 40


def test_what_is_fine_is_not_told() -> None:
    assert lint(with_component(dimension=FLAT, unit=Unit.SESSION, price="1.500")) == ()
    assert lint(with_component(dimension=Dimension.CHARGING_TIME, unit=Unit.HOUR, price="6")) == ()
    fine = tariff(part(), min_price=PriceLimit("1.00", "1.10"), max_price=PriceLimit("1.00"))
    assert lint(fine) == ()
    both = (part(Dimension.RESERVATION_FLAT, "1", reservation=state) for state in Reservation)
    assert lint(tariff(*both)) == ()
    assert lint(tariff(part(start_date="2026-06-01", end_date="2026-06-07", days=WEEKEND), ANY)) == ()  # noqa: E501  # fmt: skip


def test_yen_have_no_decimals() -> None:
    yen = msgspec.structs.replace(tariff(part(FLAT, "100.5")), currency="JPY")
    assert "JPY has 0 decimal places" in only(lint(yen), "decimals").message


def test_the_bill_of_four_hours_at_an_idle_fee_without_a_cap() -> None:
    """Four hours less ten minutes at 0.40 a minute: 230 x 0.40 = 92.00."""
    found = only(lint(tariff(part(IDLE, "0.40", min_idle_s=600))), "idle_without_cap")
    assert "pays $92.00 for it" in found.message
    hourly = Element("", (Component(IDLE, "6.00", Unit.HOUR),), Restrictions(min_idle_s=600))
    assert "pays $23.00" in only(lint(tariff(hourly)), "idle_without_cap").message
    raw = {"id": "t", "currency": "USD", "caps": [{"dimension": "idle_time", "amount": "12.00"}],
           "elements": [{"restrictions": {"min_idle_s": 600}, "components": [
               {"dimension": "idle_time", "price": "0.40", "unit": "minute"}]}]}  # fmt: skip
    assert lint(read_tariff(raw, "$")) == ()


def test_an_idle_fee_without_a_grace() -> None:
    limit = {"max_price": PriceLimit(after_taxes="50.00")}
    found = lint(tariff(part(IDLE, "0.40"), **limit))
    assert codes(found) == [("idle_without_grace", "$.elements[0].components[0]")]
    grace = Policies(idle_grace_s=300)
    assert lint(tariff(part(IDLE, "0.40"), policies=grace, **limit)) == ()
    assert lint(tariff(part(IDLE, "0"))) == ()


def test_a_cap_on_nothing() -> None:
    raw = {"id": "t", "currency": "USD", "caps": [{"dimension": "idle_time", "amount": "12.00"}],
           "elements": [{"components": [
               {"dimension": "energy", "price": "0.40", "unit": "kWh"}]}]}  # fmt: skip
    assert codes(lint(read_tariff(raw, "$"))) == [("cap_without_price", "$.caps[0].dimension")]


def test_what_has_ended_depends_on_the_day_asked_about() -> None:
    ending = tariff(
        part(end_date="2026-06-01"), ANY, valid_from=datetime(2026, 1, 2, tzinfo=UTC),
        valid_to=datetime(2026, 7, 1, tzinfo=UTC), holidays=("2026-05-01",),
    )  # fmt: skip
    seen = {
        day: {f.code for f in lint(ending, on=day)}
        for day in (date(2026, 1, 1), date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1))
    }
    assert list(seen.values()) == [
        {"not_yet_valid"}, set(), {"element_ended", "holidays_over"},
        {"element_ended", "holidays_over", "expired"},
    ]  # fmt: skip
    assert lint(ending) == ()


# Fees that come too late


def late(*elements: Element, flat: FlatTimes = FlatTimes.ONCE_A_SESSION) -> list[str]:
    found = lint(tariff(*elements, policies=Policies(flat=flat)))
    return [f.path for f in found if f.code == "flat_never_billed"]


def test_a_fee_that_begins_after_another_is_never_billed() -> None:
    penalty = part(FLAT, "10", min_duration_s=14_400)
    assert late(penalty, part(FLAT, "1")) == ["$.elements[0].restrictions.min_duration_s"]
    assert late(penalty, part(FLAT, "1"), flat=FlatTimes.ONCE_AN_ELEMENT) == []
    assert late(penalty) == []
    # Started outside these hours, the session has its first fee after four hours.
    assert late(penalty, part(FLAT, "1", end_time="12:00")) == []
    halves = (part(FLAT, "1", end_time="12:00"), part(FLAT, "2", start_time="12:00"))
    assert late(penalty, *halves) == ["$.elements[0].restrictions.min_duration_s"]
    assert late(part(FLAT, "9", min_kwh="50"), part(FLAT, "1", max_kwh="50")) == [
        "$.elements[0].restrictions.min_kwh"
    ]
    assert late(part(FLAT, "9", min_kwh="50"), part(FLAT, "1", min_kwh="1")) == []


def test_the_law_of_a_place_is_asked_too() -> None:
    by_time = tariff(part(Dimension.CHARGING_TIME), tax_included=TaxIncluded.YES)
    on = date(2026, 11, 24)
    assert {f.rule_id for f in lint(by_time, "FR", on, 50_000) if f.severity is Severity.ERROR} == {
        "eu-afir-50kw-per-kwh", "eu-afir-50kw-components",
    }  # fmt: skip
    assert lint(by_time, "FR", on, 22_000) == ()
    found = lint(tariff(part(start_time="12:00"), ANY), None, on, programmes=("US-NEVI",))
    assert found[0].rule_id == "us-nevi-price-lock"


def test_the_worst_comes_first_and_each_once() -> None:
    made = [Finding("c", severity, "$", "m") for severity in reversed(Severity)] * 2
    assert [f.severity for f in in_order(made)] == list(Severity)


# Never reached, against brute force


class Moment(NamedTuple):
    at: datetime
    kwh: int
    power: tuple[int, int] | None
    kind: str | None
    idle_s: int
    duration_s: int


def matches(given: Restrictions, at: Moment, tariff: Tariff) -> bool:
    """Straight from the words about restrictions."""
    policies = tariff.policies
    clock, today = f"{at.at:%H:%M}", at.at.date()
    ok = True
    weekday = today
    if given.start_time or given.end_time:
        start, end = given.start_time or "00:00", given.end_time or "00:00"
        if end == "00:00":
            ok &= clock >= start
        elif start < end:
            ok &= start <= clock < end
        else:
            ok &= clock >= start or clock < end
            if clock < end and policies.wrap_weekday is WrapWeekday.START_DAY:
                weekday = today - timedelta(days=1)
    ok &= not given.days or list(Day)[weekday.weekday()] in given.days
    ok &= not given.start_date or today.isoformat() >= given.start_date
    ok &= not given.end_date or today.isoformat() < given.end_date
    if given.start_season and given.end_season:
        season = today.isoformat()[5:]
        inside = given.start_season <= season, season < given.end_season
        ok &= all(inside) if given.start_season < given.end_season else any(inside)
    ok &= given.holiday in (None, today.isoformat() in tariff.holidays)
    ok &= int(given.min_kwh or 0) <= at.kwh < int(given.max_kwh or 10**9)
    ok &= (given.min_idle_s or 0) <= at.idle_s < (given.max_idle_s or 10**9)
    ok &= (given.min_duration_s or 0) <= at.duration_s < (given.max_duration_s or 10**9)
    if given.min_power_kw or given.max_power_kw:
        if at.power is None:
            return False  # the policy no_match
        least, most = at.power
        if policies.range_match is RangeMatch.REACHED:
            least, most = most, least
        ok &= int(given.min_power_kw or 0) <= least and most < int(given.max_power_kw or 10**9)
    return ok and given.evse_kind in (None, at.kind)


HOURS = ("06:00", "12:00", "18:00", "00:00")


@st.composite
def restrictions(draw: st.DrawFn, *, plain: bool = False) -> Restrictions:
    made: dict[str, Any] = {}
    one = st.integers(0, 2).map(lambda n: n == 0)
    if draw(one):
        start = draw(st.sampled_from((None, *HOURS)))
        end = draw(st.sampled_from([hour for hour in (None, *HOURS) if hour != start]))
        made |= {"start_time": start, "end_time": end}
    if draw(one):
        made["days"] = tuple(draw(st.sets(st.sampled_from(Day), min_size=1)))
    bounds = [("kwh", ("5", "10"), True), ("idle_s", (300, 600), True)]
    if not plain:
        bounds += [("duration_s", (600, 3600), True), ("power_kw", ("7", "22"), True),
                   ("date", ("2026-03-02", "2026-03-05"), False),
                   ("season", ("03-01", "03-04"), False)]  # fmt: skip
    for name, (low, high), wide in bounds:
        if not draw(one):
            continue
        prefix = ("min_", "max_") if wide else ("start_", "end_")
        least, most = draw(st.sampled_from([(low, None), (None, high), (low, high), (high, None),
                                            (None, low)]))  # fmt: skip
        if name == "season":
            least, most = draw(st.sampled_from([(low, high), (high, low)]))
        keys = [f"{p}{name}" for p in prefix]
        made |= dict(zip(keys, (least, most), strict=True))
    if not plain and draw(one):
        made["holiday"] = draw(st.booleans())
    if not plain and draw(one):
        made["evse_kind"] = draw(st.sampled_from(EvseKind))
    return Restrictions(**made)


@st.composite
def relatives(draw: st.DrawFn) -> list[Restrictions]:
    """Variants of one element, so that they lie in each other more often than by chance."""
    base = msgspec.structs.asdict(draw(restrictions()))
    found = []
    for _ in range(draw(st.integers(2, 5))):
        other = msgspec.structs.asdict(draw(restrictions()))
        names = ("time", "days", "kwh", "idle_s", "duration_s", "power_kw", "date", "season",
                 "holiday", "evse_kind")  # fmt: skip
        # Two in three are as in the base, so that an element differs from another in little.
        changed = [name for name in names if draw(st.integers(0, 2)) == 0]
        found.append(Restrictions(**{
            key: other[key] if any(key.endswith(name) for name in changed) else value
            for key, value in base.items()
        }))  # fmt: skip
    return found


MOMENTS = [
    Moment(datetime(2026, 3, day, hour, tzinfo=UTC), kwh, power, kind, idle_s, duration_s)
    for day, hour, kwh, power, kind, (idle_s, duration_s) in itertools.product(
        range(1, 9), (5, 11, 17, 23), (4, 5, 10), (None, (6, 6), (7, 21), (6, 40)), (None, "AC"),
        ((0, 0), (299, 599), (300, 3600), (600, 600)),
    )
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    relatives(),
    st.sampled_from(WrapWeekday),
    st.sampled_from(RangeMatch),
    st.booleans(),
)
def test_what_is_never_reached_is_selected_at_no_moment(
    given_: list[Restrictions], wrap: WrapWeekday, power: RangeMatch, holidays: bool
) -> None:
    made = tariff(
        *(part(**msgspec.structs.asdict(r)) for r in given_),
        policies=Policies(wrap_weekday=wrap, range_match=power),
        holidays=("2026-03-03",) if holidays else (),
    )
    dead = unreachable(made, Dimension.ENERGY)
    event(f"{len(dead)} never reached")
    if dead:
        taken = {
            next((i for i, r in enumerate(given_) if matches(r, at, made)), -1) for at in MOMENTS
        }
        assert not taken & dead.keys()


PLAIN = [
    Moment(datetime(2026, 3, day, hour, tzinfo=UTC), kwh, None, None, idle_s, 0)
    for day, hour, kwh, idle_s in itertools.product(
        range(2, 9), (0, 6, 12, 18), (0, 5, 10), (0, 300, 600)
    )
]


@settings(max_examples=150, deadline=None)
@given(st.lists(restrictions(plain=True), min_size=2, max_size=6), st.sampled_from(WrapWeekday))
def test_with_hours_days_and_counts_alone_nothing_is_overlooked(
    given_: list[Restrictions], wrap: WrapWeekday
) -> None:
    """One moment for each cell of the week, the energy and the idle time: both directions."""
    made = tariff(
        *(part(**msgspec.structs.asdict(r)) for r in given_), policies=Policies(wrap_weekday=wrap)
    )
    taken = {next((i for i, r in enumerate(given_) if matches(r, at, made)), -1) for at in PLAIN}
    assert set(unreachable(made, Dimension.ENERGY)) == set(range(len(given_))) - taken
    free = any(f.code in ("gap_in_hours", "no_fallback") for f in lint(made))
    assert free is (-1 in taken)

"""Where two rules meet, and what another party may send: one test for each."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from rating_samples import at as utc
from rating_samples import charging, delivery, element, energy, flat, idle, line, tariff
from record_samples import component, ocpi_tariff, part, period, record, session_file, sums

from wattledger.errors import BadInput, CantPrice
from wattledger.rating import (
    Charge,
    Discount,
    Draw,
    Fee,
    Tax,
    Terms,
    encode,
    price,
    price_cdr,
    price_file,
    report,
    tax_return,
    why,
)
from wattledger.rating.compiled import compile_tariff
from wattledger.rating.moments import SEASON, WIDTH, LocalClock, Moment
from wattledger.rating.periods import sections
from wattledger.rating.record_sections import Record
from wattledger.rating.sections import second_of
from wattledger.sessions.model import Reserved
from wattledger.sessions.session_file import read_session
from wattledger.tariffs import Dimension, Tariff, read_tariff
from wattledger.tariffs.ocpi import read_ocpi
from wattledger.wire import exact
from wattledger.wire.ocpi.cdrs import decode_cdr

HOUR = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000))
EMPTY = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 0))
ENERGY = ocpi_tariff(part(component("ENERGY", "0.25")))


def offer(*elements: dict[str, object], key: str = "t", **head: Any) -> Tariff:
    return read_tariff({"id": key, "currency": "EUR", "elements": list(elements), **head}, "$")


def reserved(price: str, unit: str = "hour") -> dict[str, object]:
    return {"dimension": "reservation_time", "price": price, "unit": unit}


def reserved_flat(price: str) -> dict[str, object]:
    return {"dimension": "reservation_flat", "price": price, "unit": "session"}


# --- Several tariffs, several versions --------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "net"),
    [
        # 4 kWh at 0.50; 2 kWh at B's price of 12:00, which is 1.00.
        ("by_interval", "session_start", 200 + 200),
        # The same 2.00; 2 kWh at B's price of 17:00, which is 9.00.
        ("session_start", "by_interval", 200 + 1800),
    ],
)
def test_each_period_is_locked_by_its_own_tariffs_word(first: str, second: str, net: int) -> None:
    a = offer(element("", energy("0.50")), key="A", price_lock=first)
    b = offer(
        element("", energy("9"), start_time="16:00"), element("", energy("1")),
        key="B", price_lock=second,
    )  # fmt: skip
    periods = [period("12:00", "A", energy="4"), period("17:00", "B", energy="2")]
    assert sums(price_cdr(record([], periods, "18:00"), [a, b]))[0] == net


@pytest.mark.parametrize(("end", "each"), [("exclusive", "2"), ("inclusive", "1")])
@pytest.mark.parametrize("kind", ["session", "record"])
def test_of_two_versions_that_meet_at_the_start_the_one_that_priced_comes_back(
    kind: str, end: str, each: str
) -> None:
    """10 kWh at 1.00 until 10:00, at 2.00 from 10:00 on; the session starts at 10:00."""
    meet = "2026-07-01T10:00:00Z"
    versions = [
        offer(element("", energy("1")), valid_to=meet),
        offer(element("", energy("2")), valid_from=meet),
    ]
    raw = (
        session_file([("10:00", 0), ("11:00", 10_000)])
        if kind == "session"
        else record([], [period("10:00", energy="10")], "11:00")
    )
    charge, (used,) = price_file(raw, versions, policies={"tariff_end": end})
    assert charge.net_minor == 10 * int(each) * 100
    assert used.elements[0].components[0].price == each
    assert line(charge, "Energy").unit_price == each


def test_a_warning_of_a_tariff_names_its_place_in_its_own_record() -> None:
    """The very same bytes stand first in one record and second in the other."""
    odd = ocpi_tariff(part(component("ENERGY", "0.25")), key="odd", unheard_of=1)
    other = ocpi_tariff(part(component("ENERGY", "0.25")), key="other")
    for offers, place in (([odd, other], 0), ([other, odd], 1), ([odd, other], 0)):
        charge = price_cdr(record(offers, [period("10:00", "odd", energy="1")], "11:00"))
        (warning,) = charge.warnings
        assert warning.startswith(f"$.tariffs[{place}].unheard_of")


# --- Limits, caps, reservations ---------------------------------------------------------------


def test_the_most_holds_where_only_idle_time_is_billed() -> None:
    """60 minutes idle at 1.00 are 60.00, and a session costs 10.00 at most."""
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 10:10", 0), ended="2026-07-01 11:10"
    )  # fmt: skip
    sold = offer(
        element("", flat("2"), energy("0.30"), idle("1")),
        max_price={"before_taxes": "10"}, min_price={"before_taxes": "50"},
        policies={"zero_energy": "idle_only"},
    )  # fmt: skip
    assert sums(price(session, sold)) == (1000, 0, 1000)


@pytest.mark.parametrize(
    ("capped", "text", "named"),
    [
        # 1 h at 3.00, and 5.00: each is held to 2.00.
        ("reservation_time", "Reservation cap", "A session's reservation time costs 2.00 EUR"),
        ("reservation_flat", "Reservation fee cap", "A session's reservation flat costs 2.00 EUR"),
    ],
)
def test_a_cap_on_a_reservation_is_explained(capped: str, text: str, named: str) -> None:
    kept = Reserved(utc("2026-07-01 09:00"), utc("2026-07-01 10:00"))
    sold = offer(
        element("", reserved("3"), reserved_flat("5")), element("", energy("1")),
        caps=[{"dimension": capped, "amount": "2"}],
    )  # fmt: skip
    charge = price(msgspec.structs.replace(HOUR, reserved=kept), sold)
    cap = line(charge, text)
    assert cap.net_minor == {"reservation_time": 200 - 300, "reservation_flat": 200 - 500}[capped]
    (sentence,) = why(charge, cap, sold)
    assert sentence.startswith(named)
    said = next(each for each in report(charge, sold)["lines"] if each["text"] == text)
    assert said["why"] == [sentence]


@pytest.mark.parametrize(
    ("expired", "net"),
    [(True, 500 + 300), (False, 300)],  # the 5.00 are for one that expired; an hour at 3.00
)
def test_a_reservation_is_billed_though_the_session_is_released(expired: bool, net: int) -> None:
    raw = session_file(
        [("10:00", 0), ("11:00", 0)],
        reservation={
            "from": "2026-07-01T09:00:00Z",
            "to": "2026-07-01T10:00:00Z",
            "expired": expired,
        },
    )
    sold = offer(
        element("", reserved_flat("5"), reservation="expired"),
        element("", reserved("3")),
        element("", flat("7"), energy("1"), charging("1")),
        policies={"zero_energy": "release"},
    )
    charge, _ = price_file(raw, [sold])
    assert sums(charge) == (net, 0, net)


# --- Taxes ------------------------------------------------------------------------------------


def test_one_tax_owed_on_energy_and_exempt_on_idle_time() -> None:
    """10 kWh at 1.00 with 19 % and 60 idle minutes at 0.10 without: 1.90 of tax on 16.00."""
    terms = Terms(
        taxes=(
            Tax("VAT", "19", dimensions=(Dimension.ENERGY,)),
            Tax("VAT", "19", dimensions=(Dimension.IDLE_TIME,), exempt="charity"),
        )
    )
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 12:00"
    )
    sold = offer(element("", energy("1"), idle("0.10")))
    charge = price(session, sold, terms)
    assert sums(charge) == (1600, 190, 1790)
    assert [(tax.name, tax.percent, tax.tax_minor, tax.exempt) for tax in charge.taxes] == [
        ("VAT", "19", 190, None),
        ("VAT", "19", 0, "charity"),
    ]
    exempt = "VAT is not charged: charity."
    assert exempt in why(charge, line(charge, "Idle"), sold)
    assert exempt not in why(charge, line(charge, "Energy"), sold)


def test_a_return_counts_the_excise_and_not_the_percentage_of_its_name() -> None:
    """10.25025 kWh at 1.00 and 8 %, which is 0.82; at 0.10 a kWh the excise is 1.03."""
    terms = Terms(taxes=(Tax("Levy", "8"), Tax("Levy", per_kwh="0.10")))
    raw = record([], [period("10:00", energy="10.25025", time="1")], "11:00")
    charge = price_cdr(raw, [offer(element("", energy("1")))], terms=terms)
    assert sums(charge) == (1025, 82 + 103, 1025 + 82 + 103)
    found = tax_return([charge], "Levy")
    assert (found.by_session_minor, found.by_return_minor) == (103, 103)
    assert found.rates[0].energy_wh == "10250.25"


def test_a_whole_number_of_wh_on_a_return_has_no_exponent() -> None:
    terms = Terms(taxes=(Tax("Levy", per_kwh="0.10"),))
    charge = price(HOUR, offer(element("", energy("1"))), terms)
    assert tax_return([charge] * 100, "Levy").rates[0].energy_wh == "1000000"


def test_a_tariff_with_too_many_percentages_is_refused() -> None:
    """Prices with 10.000 %, 10.001 %, and so on in them: no denominator holds them all."""
    rates = [{"name": "VAT", "percent": f"1{i // 1000}.{i % 1000:03}"} for i in range(1500)]
    elements = [element("", energy("1") | {"taxes": [rate]}) for rate in rates]
    with pytest.raises(CantPrice) as caught:
        price(HOUR, offer(*elements, tax_included="yes"))
    assert caught.value.code == "too_fine"


# --- Terms of another program -----------------------------------------------------------------

VAT = Tax("VAT", "19")


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        (Terms(taxes=(VAT, Tax("Excise", per_kwh="abc"))), "$.terms.taxes[1].per_kwh"),
        (Terms(taxes=(Tax("Excise", per_kwh="1", unit_kwh=0),)), "$.terms.taxes[0].unit_kwh"),
        (Terms(taxes=(Tax("VAT", "19", per_kwh="1"),)), "$.terms.taxes[0]"),
        (Terms(taxes=(VAT, Tax("VAT"))), "$.terms.taxes[1]"),
        (Terms(taxes=(Tax("VAT", "abc"),)), "$.terms.taxes[0].percent"),
        (Terms(taxes=[VAT]), "$.terms"),  # type: ignore[arg-type]
        (Terms(discounts=(Discount("101"),)), "$.terms.discounts[0].percent"),
        (Terms(fees=(Fee("Card", "abc"),)), "$.terms.fees[0].amount"),
        (Terms(fees=(Fee("Card", "1"), Fee("Card", "1e300000"))), "$.terms.fees[1].amount"),
        (Terms(draws=(Draw(Dimension.FLAT, 1, "plan"),)), "$.terms.draws[0].dimension"),
        (Terms(draws=(Draw(Dimension.ENERGY, -1, "plan"),)), "$.terms.draws[0].quantity"),
    ],
)
@pytest.mark.parametrize("session", [HOUR, EMPTY], ids=["billed", "released"])
def test_terms_that_are_none(session: Any, terms: Terms, path: str) -> None:
    """EMPTY has no energy, so that nothing is charged: its terms are looked at all the same."""
    sold = offer(element("", energy("1")), policies={"zero_energy": "release"})
    price(session, sold, Terms(taxes=(VAT,)))
    with pytest.raises(BadInput) as caught:
        price(session, sold, terms)
    assert caught.value.path == path


# --- What a record's numbers and keys may be --------------------------------------------------


def test_a_volume_of_34_digits_forty_places_down_is_priced() -> None:
    raw = record([ENERGY], [period("10:00", energy="12345", time="1")], "11:00")
    tiny = raw.replace(b"12345", b"1.234567890123456789012345678901234e-40")
    assert tiny != raw
    charge = price_cdr(tiny)
    assert sums(charge) == (0, 0, 0)
    assert 0 < charge.energy < charge.quantity_scale


@pytest.mark.parametrize(
    ("once", "twice", "path"),
    [
        (b'"type":"TIME"', b'"type":"TIME","type":"TIME"', ".dimensions[1].type"),
        (b'"volume":7', b'"volume":7,"volume":8', ".dimensions[0].volume"),
        (
            b'"start_date_time":"2026-07-01T10:30:00Z"',
            b'"start_date_time":"2026-07-01T10:30:00Z","start_date_time":"2026-07-01T10:30:00Z"',
            ".start_date_time",
        ),
    ],
)
def test_a_key_that_stands_twice_in_a_period(once: bytes, twice: bytes, path: str) -> None:
    periods = [period("10:00", energy="1"), period("10:30", energy="7", time="0.5")]
    raw = record([ENERGY], periods, "11:00")
    price_cdr(raw)
    assert raw.count(once) == 1
    with pytest.raises(BadInput) as caught:
        price_cdr(raw.replace(once, twice))
    assert caught.value.path == f"$.charging_periods[1]{path}"


def test_a_volume_in_quotes_is_read() -> None:
    """8 kWh at 0.25."""
    raw = record([ENERGY], [period("10:00", energy="8")], "11:00")
    quoted = raw.replace(b'"volume":8', b'"volume":"8"')
    assert quoted != raw
    assert sums(price_cdr(quoted))[0] == sums(price_cdr(raw))[0] == 200


def test_down_to_whole_steps_where_energy_was_given_back() -> None:
    """6.3 kWh at 1.00 and -0.5 at 10.00 are 5.8, of which 5 are billed. The 0.8 come off what was
    used: 5.5 x 1.00 - 0.5 x 10.00 = 0.50."""
    sold = offer(
        element("", energy("1", 1000), end_time="11:00"),
        element("", energy("10", 1000)),
        policies={"step_rounding": "down", "negative_energy": "credit"},
    )
    periods = [period("10:00", energy="6.3", time="1"), period("11:00", energy="-0.5", time="1")]
    assert sums(price_cdr(record([], periods, "12:00"), [sold]))[0] == 50


@pytest.mark.parametrize("end", ["10:10", "10:11"])
def test_less_than_a_second_beyond_a_grace_is_a_step(end: str) -> None:
    """0.1668 h are 600.48 s: 0.48 beyond the 600 that are free, so one minute at 1.00."""
    sold = offer(
        element("", idle("1", step=60)),
        policies={"idle_grace_s": 600, "time_volume": "as_given", "zero_energy": "minimum"},
    )
    raw = record([], [period("10:00", parking_time="0.1668")], end)
    assert sums(price_cdr(raw, [sold]))[0] == 100


# --- What a record is told of -----------------------------------------------------------------


def told(sold: Tariff, start: str, end: str, **volumes: str) -> tuple[str, ...]:
    return price_cdr(record([], [period(start, **volumes)], end), [sold]).warnings


@pytest.mark.parametrize(
    ("start", "end", "when"),
    [("12:00", "22:00", "16:00"), ("12:00", "15:00", None), ("16:00", "22:00", None)],
)
def test_a_change_of_what_is_billed_is_found_behind_one_that_is_not(
    start: str, end: str, when: str | None
) -> None:
    """At 14:00 the idle price changes, and nobody was idle; at 16:00 that of energy."""
    sold = offer(
        element("", idle("1"), end_time="14:00"), element("", idle("2")),
        element("", energy("1"), end_time="16:00"), element("", energy("2")),
    )  # fmt: skip
    said = told(sold, start, end, energy="10")
    if when is None:
        assert said == ()
    else:
        (warning,) = said
        assert f"$.charging_periods[0]: runs over a change of price at {when}" in warning


@pytest.mark.parametrize(
    ("start", "end", "crosses"),
    [
        ("2026-07-01T22:00:00", "2026-07-02T02:00:00", True),
        ("2026-07-01T20:00:00", "2026-07-01T23:00:00", False),
        ("2026-07-02T00:00:00", "2026-07-02T03:00:00", False),
    ],
)
def test_a_period_that_runs_over_a_last_day_is_said(start: str, end: str, crosses: bool) -> None:
    sold = offer(element("", energy("1"), end_date="2026-07-02"), element("", energy("2")))
    said = told(sold, start, end, energy="10")
    assert [("00:00 local time" in warning) for warning in said] == ([True] if crosses else [])


# 10 kWh at 0.30, 0.5 h at 2.00, 0.5 h idle at 4.00, 1.50, and 0.25 h kept at 6.00: 9.00.
SOLD_BY_ALL = [
    part(component("TIME", "6"), reservation="RESERVATION"),
    part(component("FLAT", "1.50"), component("ENERGY", "0.30"), component("TIME", "2"),
         component("PARKING_TIME", "4")),
]  # fmt: skip
STAYED = [
    period("10:00", reservation_time="0.25"),
    period("10:15", energy="10", time="0.5"),
    period("10:45", parking_time="0.5"),
]


def stated(**totals: Any) -> Charge:
    raw = record([ocpi_tariff(*SOLD_BY_ALL)], STAYED, "11:15", **totals)
    return price_cdr(raw)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("total_energy_cost", "3.00", "3.20"),
        ("total_time_cost", "1.00", "2.00"),
        ("total_parking_cost", "2.00", "1.90"),
        ("total_fixed_cost", "1.50", "0.00"),
        ("total_reservation_cost", "1.50", "6.00"),
        ("total_cost", "9.00", "9.10"),
    ],
)
def test_a_cost_that_the_record_states_otherwise(name: str, ours: str, theirs: str) -> None:
    assert stated(**{name: {"excl_vat": Decimal(ours)}}).differences == ()
    (found,) = stated(**{name: {"excl_vat": Decimal(theirs)}}).differences
    assert (found.path, found.stated) == (f"$.{name}.excl_vat", theirs)
    assert Decimal(found.priced) == Decimal(ours)
    assert Decimal(found.difference) == Decimal(ours) - Decimal(theirs)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    # 10:00 to 11:15 is 1.25 h, and the session without what was kept 1 h: both are found.
    [("total_time", ("1.25", "1.00"), "1.20"), ("total_energy", ("10", "10.0001"), "10.5"),
     ("total_parking_time", ("0.5",), "0.4")],
)  # fmt: skip
def test_a_quantity_that_the_record_states_otherwise(
    name: str, ours: tuple[str, ...], theirs: str
) -> None:
    for each in ours:
        assert stated(**{name: Decimal(each)}).differences == ()
    (found,) = stated(**{name: Decimal(theirs)}).differences
    assert (found.path, found.stated) == (f"$.{name}", theirs)


@pytest.mark.parametrize(("amount", "differs"), [("0.40", True), ("0.57", False)])
def test_the_taxes_of_a_total_are_compared_as_taxes(amount: str, differs: bool) -> None:
    """10 kWh at 0.30 and 19 %: 3.00 and 0.57."""
    sold = ocpi_tariff(part(component("ENERGY", "0.30", vat="19")), tax_included="NO")
    taxes = [{"name": "VAT", "amount": Decimal(amount)}]
    raw = record([sold], [period("10:00", energy="10")], "11:00",
                 total_cost={"before_taxes": Decimal("3.00"), "taxes": taxes})  # fmt: skip
    found = price_cdr(raw).differences
    assert [(each.path, each.stated, each.difference) for each in found] == (
        [("$.total_cost.taxes", "0.40", "+0.1700")] if differs else []
    )
    assert all(Decimal(each.priced) == Decimal("0.57") for each in found)


def test_a_credit_takes_back_what_the_session_cost() -> None:
    """10 kWh at 0.25 and 10 %: 2.50 and 2.75, in the record with the other sign."""
    sold = ocpi_tariff(part(component("ENERGY", "0.25", vat="10")))
    charge = price_cdr(
        record(
            [sold], [period("10:00", energy="10")], "11:00", credit=True,
            credit_reference_id="cdr-7",
            total_cost={"excl_vat": Decimal("-2.50"), "incl_vat": Decimal("-2.75")},
            total_energy_cost={"excl_vat": Decimal("-2.50")},
        )
    )  # fmt: skip
    assert sums(charge) == (250, 25, 275)
    assert charge.differences == ()
    (warning,) = charge.warnings
    assert warning.startswith("$.credit: it takes back cdr-7")


# --- The clock, the caller, the moment --------------------------------------------------------

NO_ZONES = pytest.mark.parametrize("zone", ["localtime", "right/Europe/Berlin", "Factory"])


@NO_ZONES
def test_a_zone_that_is_not_a_places_in_a_record(zone: str) -> None:
    raw = record([ENERGY], [period("10:00", energy="1")], "11:00")
    with pytest.raises(BadInput) as caught:
        price_cdr(raw, time_zone=zone)
    assert caught.value.path == "time_zone"


@NO_ZONES
def test_a_zone_that_is_not_a_places_in_a_session_file(zone: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_session(session_file([("10:00", 0), ("11:00", 1)], zone=zone))
    assert caught.value.path == "$.location.time_zone"


@NO_ZONES
def test_a_zone_that_is_not_a_places_in_a_session(zone: str) -> None:
    with pytest.raises(CantPrice) as caught:
        price(msgspec.structs.replace(HOUR, time_zone=zone), tariff(element("", energy("1"))))
    assert caught.value.code == "unknown_time_zone"


def of_a_session() -> bytes:
    readings = [{"at": f"2026-07-01T{hour}:00:00Z", "energy_wh": Decimal(wh),
                 "power_w": Decimal("12345.678")}
                for hour, wh in ((10, "123456.5"), (11, "234567.4"))]  # fmt: skip
    raw = exact.dump(
        {
            "session_id": "s", "location": {"time_zone": "UTC"}, "readings": readings,
            "started_at": "2026-07-01T10:00:00Z", "ended_at": "2026-07-01T11:00:00Z",
            "evse": {"max_power_w": Decimal("123456.7")},
        }
    )  # fmt: skip
    sold = offer(element("", energy("0.123457"), min_power_kw="12.345"))
    assert read_session(raw).delivery.readings[0].register_wh == 123_457
    return encode(price_file(raw, [sold])[0])


def of_a_record() -> bytes:
    sold = ocpi_tariff(
        part(component("ENERGY", "0.123457", vat="19.2575"), min_power=Decimal("12.3456")),
        tax_included="NO", min_price={"before_taxes": Decimal("1.23456")},
    )  # fmt: skip
    one = period("10:00", energy="12345.6789", time="1", min_power="12.34567")
    total = {
        "before_taxes": Decimal("1524.12"),
        "taxes": [{"name": "VAT", "amount": Decimal("290.004")},
                  {"name": "City", "amount": Decimal("3.394")}],
    }  # fmt: skip
    raw = record([], [one], "11:00", total_cost=total, total_energy=Decimal("12345.6789"))
    read, _ = read_ocpi(exact.dump(sold), "2.3.0", "$")  # here, since a record's is remembered
    return encode(price_cdr(raw, [read]))


@pytest.mark.parametrize("made", [of_a_session, of_a_record])
def test_the_callers_decimal_context_is_not_asked(made: Any) -> None:
    plain = made()
    with decimal.localcontext() as context:
        context.prec = 4
        assert made() == plain


def moments_of_record(raw: bytes, sold: Tariff) -> list[Moment]:
    _, cdr, _ = decode_cdr(raw)
    compiled = [compile_tariff(sold, Terms())]
    places = [0] * len(cdr.charging_periods)
    made = Record(cdr, compiled, places, ZoneInfo("UTC"), Terms(), [])
    return [section.moment for section in made.sections()]


@pytest.mark.parametrize(
    ("seasons", "skipped"),
    [({}, {SEASON}), ({"start_season": "06-01", "end_season": "09-01"}, set())],
)
def test_a_moment_of_a_record_is_that_of_a_metered_session(
    seasons: dict[str, str], skipped: set[int]
) -> None:
    """Charging to 11:00, idle to 12:00; at 10:30 the price changes. The season, and how long an
    idle stretch becomes, are put into a record's where some price asks for them."""
    sold = offer(
        element("", energy("1"), end_time="10:30", **seasons), element("", energy("2"), idle("1")),
        policies={"idle_grace": "waive_if_within", "idle_grace_s": 600},
    )  # fmt: skip
    clock = LocalClock(ZoneInfo("UTC"), sold.policies.clock, second_of(utc("2026-07-01 10:00")),
                       second_of(utc("2026-07-01 12:00")))  # fmt: skip
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 12:00"
    )
    metered = sections(session, compile_tariff(sold, Terms()), clock, Terms())
    raw = record(
        [],
        [period("10:00", energy="5", time="0.5"), period("10:30", energy="5", time="0.5"),
         period("11:00", parking_time="1")],
        "12:00",
    )  # fmt: skip
    recorded = moments_of_record(raw, sold)
    assert len(recorded) == len(metered) == 3
    for ours, theirs in zip((section.moment for section in metered), recorded, strict=True):
        assert len(ours) == len(theirs) == WIDTH
        for index in set(range(WIDTH)) - skipped:
            assert ours[index] == theirs[index], index


# --- A tariff that has no price ---------------------------------------------------------------


@pytest.mark.parametrize(
    "never",
    [
        {"start_time": "22:00", "end_time": "06:00"},
        {"days": ["SATURDAY"]},
        {"end_date": "2026-07-01"},
        {"start_season": "12-01", "end_season": "03-01"},
    ],
)
def test_a_tariff_without_a_price_at_any_time_of_the_session(never: dict[str, Any]) -> None:
    """10:00 to 11:00 on Wednesday, 1 July."""
    sold = offer(element("", energy("1"), **never))
    raw = record([], [period("10:00", energy="10")], "11:00")
    with pytest.raises(CantPrice) as caught:
        price(HOUR, sold)
    assert caught.value.code == "no_tariff_component"
    with pytest.raises(CantPrice) as caught:
        price_cdr(raw, [sold])
    assert caught.value.code == "no_tariff_component"


@pytest.mark.parametrize(
    ("made", "after"),
    [
        (energy("1"), {"min_kwh": "20"}),  # 10 were delivered
        (charging("1"), {"min_duration_s": 7200}),  # an hour was stayed
        (idle("1"), {"min_idle_s": 600}),  # nobody was idle
    ],
)
def test_a_price_that_begins_later_makes_a_session_free(
    made: dict[str, object], after: dict[str, Any]
) -> None:
    sold = offer(element("", made, **after))
    assert sums(price(HOUR, sold)) == (0, 0, 0)
    raw = record([], [period("10:00", energy="10", time="1")], "11:00")
    assert sums(price_cdr(raw, [sold])) == (0, 0, 0)

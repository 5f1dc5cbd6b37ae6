"""Tax, rounding, currencies, free sessions, and the charge as bytes and as text."""

from __future__ import annotations

import pytest
from rating_samples import (
    IDLE,
    NO_TAX,
    charging,
    delivery,
    element,
    energy,
    flat,
    idle,
    line,
    nets,
    tariff,
)

from wattledger.errors import BadInput, Malformed
from wattledger.rating import LineKind, Terms, decode, driver_text, encode, price, why
from wattledger.rating.model import TaxAmount
from wattledger.tariffs import read_tariff

HOUR = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10000))
NOTHING = delivery(("2026-07-01 10:00", 700), ("2026-07-01 11:00", 700))


def test_the_total_is_rounded_once_and_a_line_closes_the_gap() -> None:
    # 1.005 + 1.005 + 1.005 = 3.015 net; lines show 1.01 each, 3.03 together.
    # With 10 % tax: 3.3165, total 3.32; tax 0.3015, 0.30; net 3.02; rounding 3.02 - 3.03.
    three = tariff(
        element("", flat("1.005"), energy("0.1005"), charging("1.005", "hour")), currency="USD"
    )
    charge = price(HOUR, three, Terms.simple("Sales tax", "10"))
    assert nets(charge) == {
        "Session fee": 101,
        "Energy": 101,
        "Charging time": 101,
        "Rounding": -1,
    }
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (302, 30, 332)
    assert charge.exact_total == "3.316500000000"
    assert charge.lines[-1].kind is LineKind.ROUNDING
    # Each stream has its lines, 1.01; the cent too much is taken from the largest, here the first
    # of equals.
    assert charge.streams == (("energy", 100), ("time", 101), ("idle", 0), ("fee", 101))


@pytest.mark.parametrize(
    ("rounding", "total"), [("half_up", 3), ("half_even", 2), ("down", 2), ("up", 3)]
)
def test_the_rounding_policy(rounding: str, total: int) -> None:
    # 10 kWh x 0.0025 = 0.025
    charge = price(HOUR, tariff(element("", energy("0.0025")), rounding=rounding), NO_TAX)
    assert (charge.total_minor, charge.net_minor) == (total, total)


@pytest.mark.parametrize(
    ("currency", "exact", "total"),
    [
        ("JPY", "31.500000000000", 32),  # 10 x 3.15 yen, no smaller unit
        ("USD", "31.500000000000", 3150),
        ("KWD", "31.500000000000", 31500),  # three places
    ],
)
def test_currencies_have_their_own_smallest_unit(currency: str, exact: str, total: int) -> None:
    charge = price(HOUR, tariff(element("", energy("3.15")), currency=currency), NO_TAX)
    assert (charge.exact_total, charge.total_minor) == (exact, total)


def test_the_tax_is_on_the_net_with_the_discount() -> None:
    # 10 x 0.45 = 4.50, less 20 % = 3.60, 9.5 % tax = 0.342, total 3.942
    charge = price(
        HOUR, tariff(element("", energy("0.45"))), Terms.simple("Sales tax", "9.5", "20", "Member")
    )
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (360, 34, 394)
    assert charge.exact_total == "3.942000000000"


def test_both_sides_of_tax_are_rounded_and_the_tax_is_the_difference() -> None:
    # 10 kWh x 0.4533 = 4.533 net, 7 % tax: 4.85031. Rounded 4.53 and 4.85, the tax 0.32, though
    # 0.31731 alone would be 0.32 too; at 0.4545: 4.545 and 4.86315 are 4.55 and 4.86, the tax
    # 0.31 where 0.31815 alone is 0.32.
    terms = Terms.simple("Sales tax", "7")
    sums = {}
    for each in ("0.4533", "0.4545"):
        charge = price(HOUR, tariff(element("", energy(each))), terms)
        sums[each] = (charge.net_minor, charge.tax_minor, charge.total_minor)
    assert sums == {"0.4533": (453, 32, 485), "0.4545": (455, 31, 486)}
    before = tariff(element("", energy("0.4545")), rounding_closes="before_taxes")
    charge = price(HOUR, before, terms)
    # Tax and total are rounded, and the net is what is left.
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (454, 32, 486)


def test_prices_that_contain_their_tax() -> None:
    given = {
        "id": "t",
        "currency": "EUR",
        "tax_included": "yes",
        "elements": [element("", energy("0.60"), flat("1.00"))],
    }
    charge = price(HOUR, read_tariff(given, "$"), Terms.simple("MwSt.", "19"))
    # 10 x 0.60 + 1.00 = 7.00 with tax; 7.00 / 1.19 = 5.8824 before, the tax 1.12.
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (588, 112, 700)
    # 6.00 / 1.19 = 5.0420 and 1.00 / 1.19 = 0.8403: 5.04 + 0.84 are 5.88.
    assert nets(charge) == {"Session fee": 84, "Energy": 504}
    assert [one.total_minor for one in charge.lines] == [100, 600]
    assert charge.taxes == (TaxAmount("MwSt.", 112, "19"),)


def test_only_idle_time_of_a_session_without_energy() -> None:
    fee = tariff(element("", flat("1.00"), idle("0.20"), charging("0.10")), zero_energy="idle_only")
    session = delivery(
        ("2026-07-01 10:00", 700),
        ("2026-07-01 11:00", 700),
        changes=(("2026-07-01 10:50", IDLE),),
    )
    charge = price(session, fee, NO_TAX)
    # 10 min idle x 0.20
    assert nets(charge) == {"Idle": 200, "Not charged": 0}
    assert charge.free_reason is None
    assert why(charge, line(charge, "Not charged"), fee) == (
        "What does not stand above is free of charge: no energy was delivered.",
    )


def test_no_energy_costs_nothing_by_default() -> None:
    fee = tariff(element("", flat("1.00"), idle("0.20"), charging("0.10")))
    charge = price(NOTHING, fee, Terms.simple("Sales tax", "10"))
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (0, 0, 0)
    assert charge.free_reason == "no energy was delivered"
    assert nets(charge) == {"Not charged": 0}
    assert charge.charging_s == 3600
    billed = price(
        NOTHING,
        tariff(element("", flat("1.00"), charging("0.10")), zero_energy="minimum"),
        NO_TAX,
    )
    assert nets(billed) == {"Session fee": 100, "Charging time": 600}
    assert billed.free_reason is None


def test_less_than_the_least_energy_is_no_energy() -> None:
    least = tariff(element("", energy("0.30")), floor_wh=100)
    below = price(delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:01", 99)), least, NO_TAX)
    assert below.free_reason == "less than the least amount of 100 Wh was delivered"
    assert (below.total_minor, below.energy_wh) == (0, 99)
    assert below.lines[0].quantity == 99
    enough = price(delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:01", 100)), least, NO_TAX)
    assert enough.total_minor == 3


def test_energy_that_took_no_time_is_billed() -> None:
    # A clock that was corrected can leave start and stop in one second: 10 kWh x 0.30 are 3.00.
    at_once = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:00", 10000))
    by_kwh = tariff(element("", energy("0.30")))
    assert price(at_once, by_kwh, NO_TAX).net_minor == 300
    # And so is what a second reading in the first second shows: 0.05 of the 10 kWh.
    in_steps = delivery(
        ("2026-07-01 10:00:00.100", 0),
        ("2026-07-01 10:00:00.900", 50),
        ("2026-07-01 11:00", 10000),
    )
    charge = price(in_steps, by_kwh, NO_TAX)
    assert (charge.net_minor, line(charge, "Energy").quantity) == (300, 10000)
    tiers = tariff(element("first", energy("1.00"), max_kwh="4"), element("rest", energy("0.10")))
    # 4 x 1.00 + 6 x 0.10
    assert price(at_once, tiers, NO_TAX).net_minor == 460


def test_a_session_that_took_no_time_has_its_fee() -> None:
    instant = delivery(("2026-07-01 10:00", 5), ("2026-07-01 10:00", 5))
    fee = tariff(element("", flat("1.00")), zero_energy="minimum")
    charge = price(instant, fee, NO_TAX)
    assert charge.total_minor == 100
    assert charge.started_at == charge.ended_at
    alone = delivery(("2026-07-01 10:00", 5))
    assert price(alone, fee, NO_TAX) == charge


@pytest.mark.parametrize("field", ["tax_percent", "discount_percent"])
@pytest.mark.parametrize("text", ["-1", "101", "x", "NaN", "1e1", ""])
def test_a_percentage_is_from_0_to_100(field: str, text: str) -> None:
    percents = {"tax_percent": "0", "discount_percent": "0", field: text}
    terms = Terms.simple("Sales tax", percents["tax_percent"], percents["discount_percent"])
    with pytest.raises(BadInput) as caught:
        price(HOUR, tariff(element("", energy("0.30"))), terms)
    listed = {"tax_percent": "taxes", "discount_percent": "discounts"}[field]
    assert caught.value.path == f"$.terms.{listed}[0].percent"


def test_the_same_charge_is_the_same_bytes_and_back() -> None:
    tou = tariff(element("peak", energy("0.35"), start_time="10:30"), element("", energy("0.25")))
    one, other = (price(HOUR, tou, Terms.simple("MwSt.", "19")) for _ in range(2))
    assert encode(one) == encode(other)
    assert decode(encode(one)) == one
    assert b'"engine":"rating 2"' in encode(one)
    with pytest.raises(Malformed):
        decode(b'{"session_id": 1}')


def test_the_bill_as_text() -> None:
    session = delivery(
        ("2026-07-01 22:30", 0),
        ("2026-07-01 23:30", 10000),
        ended="2026-07-02 00:40",
        zone="America/Los_Angeles",
    )
    bill = tariff(
        element("peak", energy("0.35"), start_time="16:00", end_time="21:00"),
        element("off-peak", energy("0.25")),
        element("idle", idle("0.20", step=60), min_idle_s=600),
        caps={"idle_time": "5.00"},
    )
    # 15:30 to 16:00: 5 x 0.25 = 1.25; 16:00 to 16:30: 5 x 0.35 = 1.75; 60 min x 0.20 = 12.00,
    # 5.00 at most. Net 8.00, tax 0.76.
    text = driver_text(price(session, bill, Terms.simple("Sales tax", "9.5")))
    assert text == (
        "Session ses_1\n"
        "Test (tariff t)\n"
        "2026-07-01 15:30 to 17:40 (America/Los_Angeles)\n"
        "10.000 kWh, 1 h charging, 1 h 10 min idle\n"
        "\n"
        "Energy, off-peak    5.000 kWh at 0.25 USD/kWh   $1.25\n"
        "Energy, peak        5.000 kWh at 0.35 USD/kWh   $1.75\n"
        "Idle, grace period  10 min                      $0.00\n"
        "Idle                1 h at 0.20 USD/minute     $12.00\n"
        "Idle fee cap                                   −$7.00\n"
        "-----------------------------------------------------\n"
        "Net                                             $8.00\n"
        "Sales tax 9.5 %                                 $0.76\n"
        "Total                                           $8.76\n"
    )


def test_the_bill_with_its_reasons() -> None:
    tou = tariff(element("peak", energy("0.35"), start_time="10:30"), element("", energy("0.25")))
    text = driver_text(price(HOUR, tou, NO_TAX), tou, reasons=True)
    assert "    0.35 USD per kWh, from 10:30 to 24:00 local time.\n" in text
    # At 10:30 the register was anywhere from 0 to 10,000 Wh: 5,000 is off by 5,000 at the most.
    assert (
        "    2026-07-01 10:30 to 11:00, register 5000 to 10000 Wh, interpolated within 5000 Wh\n"
    ) in text
    free = driver_text(price(NOTHING, tou, NO_TAX))
    assert free.endswith("\nNot charged: no energy was delivered.\n")


def test_every_line_says_why_in_full_sentences() -> None:
    mixed = tariff(
        element("", flat("1.005"), energy("0.30"), charging("0.011", step=7)),
        element("idle", idle("0.20"), min_idle_s=600, max_duration_s=90000, days=["WEDNESDAY"]),
        caps={"idle_time": "1"},
    )
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10000), ended="2026-07-01 12:00"
    )
    charge = price(session, mixed, Terms.simple("Sales tax", "7.7", "5", "Fleet"))
    for one in charge.lines:
        said = why(charge, one, mixed)
        assert said
        assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in said)
        assert all(sentence.endswith(".") for sentence in said)
    assert why(charge, line(charge, "Idle"), mixed)[0] == (
        "0.20 USD per minute, on WEDNESDAY, idle so far at least 600 s, "
        "session so far below 90000 s."
    )

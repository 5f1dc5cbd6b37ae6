"""Tax, rounding, currencies, free sessions, and the charge as bytes and as text."""

from __future__ import annotations

import pytest
from rating_samples import (
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
from wattledger.rating import LineKind, Terms, decode, driver_text, encode, price

HOUR = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10000))
NOTHING = delivery(("2026-07-01 10:00", 700), ("2026-07-01 11:00", 700))


def test_the_total_is_rounded_once_and_a_line_closes_the_gap() -> None:
    # 1.005 + 1.005 + 1.005 = 3.015 net; lines show 1.01 each, 3.03 together.
    # With 10 % tax: 3.3165, total 3.32; tax 0.3015, 0.30; net 3.02; rounding 3.02 - 3.03.
    three = tariff(
        element("", flat("1.005"), energy("0.1005"), charging("1.005", "hour")), currency="USD"
    )
    charge = price(HOUR, three, Terms("Sales tax", "10"))
    assert nets(charge) == {
        "Session fee": 101,
        "Energy": 101,
        "Charging time": 101,
        "Rounding": -1,
    }
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (302, 30, 332)
    assert charge.exact_total == "3.316500000000"
    assert charge.lines[-1].kind is LineKind.ROUNDING
    # A third of 3.02 each is 1.00 2/3: two get 1.01, the first ones of equals.
    assert charge.streams == (("energy", 101), ("time", 101), ("idle", 0), ("fee", 100))


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
        HOUR, tariff(element("", energy("0.45"))), Terms("Sales tax", "9.5", "20", "Member")
    )
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (360, 34, 394)
    assert charge.exact_total == "3.942000000000"


def test_no_energy_costs_nothing_by_default() -> None:
    fee = tariff(element("", flat("1.00"), idle("0.20"), charging("0.10")))
    charge = price(NOTHING, fee, Terms("Sales tax", "10"))
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (0, 0, 0)
    assert charge.free_reason == "no energy was delivered"
    assert nets(charge) == {"Not charged": 0}
    assert charge.charging_s == 3600
    billed = price(
        NOTHING,
        tariff(element("", flat("1.00"), charging("0.10")), zero_energy="bill"),
        NO_TAX,
    )
    assert nets(billed) == {"Session fee": 100, "Charging time": 600}
    assert billed.free_reason is None


def test_less_than_the_least_energy_is_no_energy() -> None:
    least = tariff(element("", energy("0.30")), minimum_energy_wh=100)
    below = price(delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:01", 99)), least, NO_TAX)
    assert below.free_reason == "less than the least amount of 100 Wh was delivered"
    assert (below.total_minor, below.energy_wh) == (0, 99)
    assert below.lines[0].quantity == 99
    enough = price(delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:01", 100)), least, NO_TAX)
    assert enough.total_minor == 3


def test_a_session_that_took_no_time_has_its_fee() -> None:
    instant = delivery(("2026-07-01 10:00", 5), ("2026-07-01 10:00", 5))
    fee = tariff(element("", flat("1.00")), zero_energy="bill")
    charge = price(instant, fee, NO_TAX)
    assert charge.total_minor == 100
    assert charge.started_at == charge.ended_at
    alone = delivery(("2026-07-01 10:00", 5))
    assert price(alone, fee, NO_TAX) == charge


@pytest.mark.parametrize("field", ["tax_percent", "discount_percent"])
@pytest.mark.parametrize("text", ["-1", "101", "x", "NaN", "1e1", ""])
def test_a_percentage_is_from_0_to_100(field: str, text: str) -> None:
    percents = {"tax_percent": "0", "discount_percent": "0", field: text}
    terms = Terms("Sales tax", percents["tax_percent"], percents["discount_percent"])
    with pytest.raises(BadInput) as caught:
        price(HOUR, tariff(element("", energy("0.30"))), terms)
    assert caught.value.path == f"$.terms.{field}"


def test_the_same_charge_is_the_same_bytes_and_back() -> None:
    tou = tariff(element("peak", energy("0.35"), start_time="10:30"), element("", energy("0.25")))
    one, other = (price(HOUR, tou, Terms("MwSt.", "19")) for _ in range(2))
    assert encode(one) == encode(other)
    assert decode(encode(one)) == one
    assert b'"engine":"rating 1"' in encode(one)
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
    text = driver_text(price(session, bill, Terms("Sales tax", "9.5")))
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
    text = driver_text(price(HOUR, tou, NO_TAX), why=True)
    assert "    0.35 USD per kWh, from 10:30 to 24:00 local time.\n" in text
    assert (
        "    2026-07-01 10:30 to 11:00, register 5000 to 10000 Wh, interpolated within 10000 Wh\n"
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
    charge = price(session, mixed, Terms("Sales tax", "7.7", "5", "Fleet"))
    for one in charge.lines:
        assert one.why
        assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in one.why)
        assert all(sentence.endswith(".") for sentence in one.why)
    assert line(charge, "Idle").why[0] == (
        "0.20 USD per minute, on WEDNESDAY, idle so far at least 600 s, "
        "session so far below 90000 s."
    )

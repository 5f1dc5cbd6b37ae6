"""Another party's records: what they list twice, mix up, leave out or date oddly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from record_samples import component, ocpi_tariff, part, period, record, sums

from wattledger.errors import BadInput, CantPrice
from wattledger.rating import LineKind
from wattledger.rating.inputs import price_file
from wattledger.rating.records import price_cdr

ENERGY = part(component("ENERGY", "0.25"))
BOTH = part(component("ENERGY", "0.25"), component("TIME", "6"))


def test_a_dimension_that_stands_twice_is_added_up() -> None:
    """10 and 2 kWh at 0.25, 45 and 15 minutes at 6.00 an hour: 3.00 + 6.00."""
    one = period("10:00", energy="10", time="0.75")
    one["dimensions"] += period("10:00", energy="2", time="0.25")["dimensions"]
    assert sums(price_cdr(record([ocpi_tariff(BOTH)], [one], "11:00")))[0] == 900


@pytest.mark.parametrize(("reserved", "net"), [("0", 850), ("0.25", 850 + 150 + 200)])
def test_reserved_time_in_a_period_that_charges(reserved: str, net: int) -> None:
    """A zero is no reservation; a quarter of an hour is one, and the energy is not lost."""
    offer = ocpi_tariff(
        part(component("FLAT", "2"), component("TIME", "6"), reservation="RESERVATION"), BOTH
    )
    raw = record([offer], [period("10:00", energy="10", time="1", reservation_time=reserved)],
                 "11:00")  # fmt: skip
    charge = price_cdr(raw)
    assert sums(charge)[0] == net
    assert sum(line.quantity for line in charge.lines if line.kind is LineKind.ENERGY) == (
        charge.energy
    )


@pytest.mark.parametrize(
    ("volumes", "net"),
    [
        ([("5", "-5")], 150),  # used, though nothing is left of it
        ([("0", "0")], 400 + 150),  # nothing was counted: it expired
    ],
)
def test_a_reservation_expired_if_nothing_came_after_it(
    volumes: list[tuple[str, str]], net: int
) -> None:
    """15 minutes at 6.00 an hour; 4.00 where nobody came. Energy is free here."""
    ((one, other),) = volumes
    offer = ocpi_tariff(
        part(component("FLAT", "4"), reservation="RESERVATION_EXPIRES"),
        part(component("TIME", "6"), reservation="RESERVATION"),
        part(component("ENERGY", "0")),
    )
    periods = [period("10:00", reservation_time="0.25"), period("10:15", energy=one),
               period("10:30", energy=other)]  # fmt: skip
    charge = price_cdr(record([offer], periods, "11:00"), policies={"negative_energy": "credit"})
    assert sums(charge)[0] == net


def test_a_charging_period_ends_the_idle_stretch_though_it_lists_parking() -> None:
    """Two stretches of 15 minutes with ten of grace each: 5 and 5 minutes at 1.00."""
    periods = [
        period("10:00", parking_time="0.25"),
        period("10:15", time="0.5", parking_time="0"),
        period("10:45", parking_time="0.25"),
    ]
    raw = record([ocpi_tariff(part(component("PARKING_TIME", "60")))], periods, "11:00")
    assert sums(price_cdr(raw, policies={"idle_grace_s": 600}))[0] == 1000
    waived = price_cdr(raw, policies={"idle_grace_s": 900, "idle_grace": "waive_if_within"})
    assert waived.net_minor == 0
    session = price_cdr(raw, policies={"idle_grace_s": 600, "idle_scope": "session"})
    assert session.net_minor == 2000


def test_a_period_before_the_clocks_change_in_a_record_after() -> None:
    """00:30Z is 01:30 in Berlin that night, 02:00Z is 04:00: the record starts after the change."""
    offer = ocpi_tariff(part(component("ENERGY", "1"), start_time="02:00", end_time="00:00"),
                        part(component("ENERGY", "0.10")))  # fmt: skip
    raw = record(
        [offer],
        [period("2026-03-29T00:30:00", energy="10"), period("2026-03-29T02:00:00", energy="10")],
        "2026-03-29T04:00:00",
        start_date_time="2026-03-29T02:00:00Z",
        cdr_location={"country": "DEU"},
    )
    charge = price_cdr(raw)
    assert sums(charge)[0] == 100 + 1000
    assert any("before the CDR's start" in warning for warning in charge.warnings)


def test_a_period_that_runs_over_a_change_of_price_is_said() -> None:
    offer = ocpi_tariff(
        part(component("ENERGY", "1"), start_time="17:00", end_time="20:00"), ENERGY
    )
    (warning,) = price_cdr(record([offer], [period("16:30", energy="10")], "17:30")).warnings
    assert "charging_periods[0]: runs over a change of price at 17:00 local time" in warning


@pytest.mark.parametrize(
    ("policies", "path"),
    [
        ({"floor_wh": [1]}, "$.policies.floor_wh"),
        ({"floor_wh": {}}, "$.policies.floor_wh"),
        ({"rounding_increment": True}, "$.policies.rounding_increment"),
        ({"idle_after_stop": 1}, "$.policies.idle_after_stop"),
        ({"unheard_of": 1}, "$.policies.unheard_of"),
    ],
)
def test_policies_that_are_none(policies: dict[str, Any], path: str) -> None:
    raw = record([ocpi_tariff(ENERGY)], [period("10:00", energy="10")], "11:00")
    price_cdr(raw, policies={"rounding_increment": 1, "idle_after_stop": True})
    with pytest.raises(BadInput) as caught:
        price_cdr(raw, policies=policies)
    assert caught.value.path == path


@pytest.mark.parametrize("zone", ["", "Berlin", "Europe", "../../etc/passwd", "Europe/Berlin\x00"])
def test_a_time_zone_that_is_none(zone: str) -> None:
    raw = record([ocpi_tariff(ENERGY)], [period("10:00", energy="10")], "11:00")
    with pytest.raises(BadInput, match="an IANA time zone"):
        price_cdr(raw, time_zone=zone)


@pytest.mark.parametrize(
    ("stated", "differs"),
    [("4.997", False), ("5.00", False), ("4.993", False), ("4.991", True), ("5.01", True)],
)
def test_a_total_is_ours_to_half_of_the_smallest_unit(stated: str, differs: bool) -> None:
    """4.997 exactly, 5.00 rounded: either of them, or within 0.005 of the first."""
    raw = record(
        [ocpi_tariff(part(component("TIME", "1.9988", 60)))],
        [period("10:00", time="2.5")], "12:30", total_cost={"excl_vat": Decimal(stated)},
    )  # fmt: skip
    assert bool(price_cdr(raw).differences) is differs


def test_periods_out_of_order() -> None:
    raw = record([ocpi_tariff(ENERGY)],
                 [period("10:00", energy="1"), period("09:00", energy="1")], "11:00")  # fmt: skip
    with pytest.raises(BadInput) as caught:
        price_cdr(raw)
    assert caught.value.path == "$.charging_periods[1].start_date_time"


def test_a_record_without_a_tariff() -> None:
    with pytest.raises(CantPrice) as caught:
        price_cdr(record([], [period("10:00", None, energy="1")], "11:00"))
    assert caught.value.code == "no_valid_tariff"


def test_the_tariffs_that_come_back_are_those_that_priced() -> None:
    """Two versions under one id: the explanation is the valid one's."""
    old = ocpi_tariff(part(component("ENERGY", "9")), end_date_time="2026-06-01T00:00:00Z")
    new = ocpi_tariff(ENERGY, start_date_time="2026-06-01T00:00:00Z")
    raw = record([old, new], [period("10:00", energy="10")], "11:00")
    charge, (tariff,) = price_file(raw)
    assert charge.net_minor == 250
    assert tariff.elements[0].components[0].price == "0.25"


def test_the_id_of_a_tariff_knows_no_case() -> None:
    """OCPI's ids are CiStrings: DAY is the tariff Day. 10 kWh at 0.20 and 10 kWh at 0.50."""
    tariffs = [
        ocpi_tariff(part(component("ENERGY", "0.20")), key="Day"),
        ocpi_tariff(part(component("ENERGY", "0.50")), key="Night"),
    ]
    periods = [period("10:00", "DAY", energy="10"), period("11:00", "night", energy="10")]
    assert price_cdr(record(tariffs, periods, "12:00")).net_minor == 700

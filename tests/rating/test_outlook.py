"""What goes on costing: the prices that a bill would take, beforehand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from rating_samples import (
    CHARGING,
    IDLE,
    NO_TAX,
    PAUSE,
    at,
    charging,
    delivery,
    element,
    energy,
    flat,
    idle,
    tariff,
)

from wattledger.errors import CantPrice
from wattledger.rating import Discount, Tax, Terms
from wattledger.rating.outlook import Goes, idle_begins, outlook
from wattledger.tariffs import Unit

EVENING = (
    element("night", energy("0.30"), idle("0.10"), start_time="21:00", end_time="06:00"),
    element("day", energy("0.40"), charging("0.05"), idle("0.20", unit="hour")),
    element("fee", flat("1.00")),
)
NOON = at("2026-07-01 12:00")


def _ahead(given, activity, *, terms=NO_TAX, now=NOON, stopped=False, until="2026-07-02 12:00"):  # type: ignore[no-untyped-def]
    session = delivery(("2026-07-01 11:00", 0), ("2026-07-01 12:00", 5_000))
    return outlook(session, given, terms, Goes(activity, now, at(until), stopped))


def test_prices_change_by_the_clock_and_back() -> None:
    day, night, again = _ahead(tariff(*EVENING), CHARGING)
    assert [s.from_at for s in (day, night, again)] == [
        NOON, at("2026-07-01 21:00"), at("2026-07-02 06:00"),
    ]  # fmt: skip
    assert day.energy is not None
    assert (day.energy.unit, day.energy.gross) == (Unit.KWH, Fraction("0.40"))
    assert day.charging is not None
    assert day.charging.gross_per(Unit.HOUR) == 3  # 0.05 a minute
    assert night.energy is not None
    assert night.energy.gross == Fraction("0.30")
    assert day.idle is None, "it charges"
    assert again.same_as(day)


def test_discount_tax_and_excise_are_in_it() -> None:
    """0.40 less 10 % is 0.36; with 8 % 0.3888; an excise of 0.03 for 10 kWh adds 0.003."""
    terms = Terms(
        taxes=(Tax("Sales tax", "8"), Tax("Excise", per_kwh="0.03", unit_kwh=10)),
        discounts=(Discount("10"),),
    )
    (first, *_) = _ahead(tariff(element("", energy("0.40"))), CHARGING, terms=terms)
    assert (first.energy.net, first.energy.gross) == (Fraction("0.36"), Fraction("0.3918"))


@pytest.mark.parametrize("policy", ["deduct", "waive_if_within"])
def test_the_end_of_the_grace(policy: str) -> None:
    given = tariff(element("", energy("0.40"), idle("0.20"), min_idle_s=600), idle_grace=policy)
    begins = idle_begins(_ahead(given, IDLE), given, NO_TAX, NOON)
    assert begins is not None
    assert (begins[0], begins[1].gross) == (at("2026-07-01 12:10"), Fraction("0.20"))


def test_idle_time_that_never_costs() -> None:
    for given in (
        tariff(element("", energy("0.40"))),
        tariff(element("", energy("0.40"), idle("0"))),
        tariff(element("", energy("0.40"), idle("1.00"), min_idle_s=100_000)),
    ):
        assert idle_begins(_ahead(given, IDLE), given, NO_TAX, NOON) is None
    after_stop = tariff(element("", energy("0.40"), idle("1.00")), idle_after_stop=False)
    assert _ahead(after_stop, IDLE, stopped=True)[0].idle is None
    assert _ahead(after_stop, IDLE)[0].idle is not None


def test_a_pause_of_the_charger_costs_no_time() -> None:
    (first, *_) = _ahead(tariff(*EVENING), PAUSE)
    assert (first.charging, first.idle) == (None, None)


def test_what_needs_a_measurement_can_not_be_told() -> None:
    given = tariff(element("", energy("0.40"), max_current_a="16"))
    with pytest.raises(CantPrice):
        _ahead(given, CHARGING)

"""Taxes and what they meet: limits, caps, discounts, allowances, fees, several tariffs."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

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
)
from record_samples import component, ocpi_tariff, part, period, record, sums

from wattledger.errors import BadInput, CantPrice
from wattledger.rating import Charge, Discount, Draw, Fee, LineKind, Tax, Terms, price, why
from wattledger.rating.records import price_cdr
from wattledger.tariffs import Dimension, Tariff, read_tariff

NONE = Terms()
VAT_20 = Terms.simple("VAT", "20")
HOUR = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000))
STAY = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 14:00")


def vat(made: dict[str, object], *rates: str) -> dict[str, object]:
    return made | {"taxes": [{"name": "VAT", "percent": rate} for rate in rates]}


def offer(*elements: dict[str, object], **head: Any) -> Tariff:
    return read_tariff({"id": "t", "currency": "EUR", "elements": list(elements), **head}, "$")


def shares(charge: Charge) -> dict[str, int]:
    """Each tax by its name and percent."""
    return {f"{tax.name} {tax.percent}": tax.tax_minor for tax in charge.taxes}


# --- Rates ----------------------------------------------------------------------------------


def test_each_component_has_its_own_rate() -> None:
    """0.50 at 20 % and 2.50 at 10 %: 0.10 and 0.25."""
    charge = price(HOUR, offer(element("", vat(flat("0.50"), "20"), vat(energy("0.25"), "10"))))
    assert sums(charge) == (300, 35, 335)
    assert shares(charge) == {"VAT 20": 10, "VAT 10": 25}


@pytest.mark.parametrize(
    ("included", "expected"),
    [("no", (1200, 240, 1440)), ("yes", (1000, 200, 1200)), ("not_applicable", (1200, 0, 1200))],
)
def test_whether_prices_contain_their_tax(included: str, expected: tuple[int, int, int]) -> None:
    """10 kWh at 1.20 and 20 %."""
    charge = price(HOUR, offer(element("", energy("1.20")), tax_included=included), VAT_20)
    assert sums(charge) == expected
    assert bool(charge.taxes) is (included != "not_applicable")


def test_a_tax_on_a_tax() -> None:
    """5 %, and 10 % of the price with the 5 in it: 15.5 % together. Of 100.00: 5.00 and 10.50."""
    rates = [{"name": "GST", "percent": "5"}, {"name": "Levy", "percent": "10", "stack": 1}]
    stacked = price(HOUR, offer(element("", energy("10") | {"taxes": rates})))
    assert sums(stacked) == (10_000, 1550, 11_550)
    assert shares(stacked) == {"GST 5": 500, "Levy 10": 1050}
    # Beside each other they are 15 %.
    rates[1]["stack"] = 0
    assert sums(price(HOUR, offer(element("", energy("10") | {"taxes": rates})))) == (
        10_000, 1500, 11_500,
    )  # fmt: skip


def test_a_tax_on_a_tax_comes_out_of_a_price_that_has_both() -> None:
    """115.50 with them in it is 100.00 before."""
    rates = [{"name": "Levy", "percent": "10", "stack": 1}, {"name": "GST", "percent": "5"}]
    charge = price(HOUR, offer(element("", energy("11.55") | {"taxes": rates}), tax_included="yes"))
    assert sums(charge) == (10_000, 1550, 11_550)
    assert shares(charge) == {"GST 5": 500, "Levy 10": 1050}


def test_the_terms_stack_too() -> None:
    terms = Terms(taxes=(Tax("GST", "5"), Tax("Levy", "10", stack=1)))
    assert sums(price(HOUR, offer(element("", energy("10"))), terms)) == (10_000, 1550, 11_550)


def test_what_a_tariff_says_of_tax_goes_before_the_terms() -> None:
    """Nothing said: the terms' 20 %. A rate of 0 and an empty list are said, and are no tax."""
    for made, tax in ((energy("1"), 200), (vat(energy("1"), "0"), 0), (vat(energy("1")), 0)):
        assert sums(price(HOUR, offer(element("", made)), VAT_20)) == (1000, tax, 1000 + tax)
    said = price(HOUR, offer(element("", vat(energy("1"), "0"))), VAT_20)
    assert shares(said) == {"VAT 0": 0}
    assert price(HOUR, offer(element("", vat(energy("1")))), VAT_20).taxes == ()


@pytest.mark.parametrize(
    ("dimensions", "tax"),
    [((), 54), ((Dimension.ENERGY,), 36), ((Dimension.IDLE_TIME, Dimension.FLAT), 18)],
)
def test_a_place_may_tax_some_components_only(dimensions: Any, tax: int) -> None:
    """1.00 + 20 min at 0.30 + 5 idle min at 0.40 = 9.00; 6 % of all is 0.54.

    Here the 6.00 are energy: 20 kWh at 0.30.
    """
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 10:20", 20_000), ended="2026-07-01 10:25"
    )
    tariff = offer(element("", flat("1.00"), energy("0.30"), idle("0.40")))
    terms = Terms(taxes=(Tax("Sales tax", "6", dimensions=dimensions),))
    assert sums(price(session, tariff, terms)) == (900, tax, 900 + tax)


def test_an_exemption_is_on_the_bill_with_nothing() -> None:
    terms = Terms(taxes=(Tax("State", "6", exempt="municipal fleet"), Tax("City", "1")))
    tariff = offer(element("", energy("1")))
    charge = price(HOUR, tariff, terms)
    assert sums(charge) == (1000, 10, 1010)
    assert [(tax.name, tax.tax_minor, tax.exempt) for tax in charge.taxes] == [
        ("State", 0, "municipal fleet"),
        ("City", 10, None),
    ]
    assert "State is not charged: municipal fleet." in why(charge, charge.lines[0], tariff)


def test_a_tax_engine_elsewhere_takes_the_place_of_all() -> None:
    terms = Terms(taxes=(Tax("VAT", "20"),), assessed=())
    assert sums(price(HOUR, offer(element("", vat(energy("1"), "7"))), terms)) == (1000, 0, 1000)


def test_a_credit_is_taxed_like_a_price() -> None:
    """10 kWh at −0.10 and 20 %: −1.00 and −0.20."""
    charge = price(HOUR, offer(element("", energy("-0.10"))), VAT_20)
    assert sums(charge) == (-100, -20, -120)


@pytest.mark.parametrize("percent", ["101", "-1", "1e1", "NaN", "", "100.0000001"])
def test_a_rate_that_is_none(percent: str) -> None:
    with pytest.raises(BadInput):
        price(HOUR, offer(element("", energy("1"))), Terms(taxes=(Tax("VAT", percent),)))


# --- Excise ---------------------------------------------------------------------------------


def test_an_excise_on_a_session_sold_by_the_minute() -> None:
    """30 min at 0.30 are 9.00; 9.537 kWh at 0.026 are 0.247962."""
    session = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:30", 9_537))
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.026"),))
    charge = price(session, offer(element("", charging("0.30"))), terms)
    assert sums(charge) == (900, 25, 925)
    assert charge.exact_tax == "0.247962000000"
    made = line(charge, "Excise")
    assert (made.kind, made.quantity, made.unit_price) == (LineKind.EXCISE, 9_537, "0.026")


def test_an_excise_stated_for_more_than_one_kwh() -> None:
    """0.26 for every ten kWh is 0.026 for one: 9.537 kWh are 0.247962 here too."""
    session = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:30", 9_537))
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.26", unit_kwh=10),))
    charge = price(session, offer(element("", charging("0.30"))), terms)
    assert charge.exact_tax == "0.247962000000"


def test_a_thousand_sessions_and_the_return() -> None:
    """Session by session 250.00, by the return on the kWh 247.96: 2.04 apart."""
    session = delivery(("2026-07-01 10:00", 0), ("2026-07-01 10:30", 9_537))
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.026"),))
    charge = price(session, offer(element("", charging("0.30"))), terms)
    exact = 1000 * Fraction(int(charge.exact[1]) - int(charge.exact[0]), int(charge.exact[2]))
    assert 1000 * charge.tax_minor == 25_000
    assert exact == Fraction("247.962")
    assert 25_000 - round(exact * 100) == 204


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        # 5.00 with 0.26 of excise in it.
        ((Tax("Excise", per_kwh="0.026"),), (474, 26, 500)),
        # And with 20 % of the price alone: (5.00 - 0.26) / 1.2 = 3.95, of it 0.79, and 0.26.
        ((Tax("VAT", "20"), Tax("Excise", per_kwh="0.026")), (395, 105, 500)),
        # With 20 % of price and excise: 5.00 / 1.2 = 4.1667, less 0.26 is 3.9067.
        ((Tax("VAT", "20", stack=1), Tax("Excise", per_kwh="0.026")), (391, 109, 500)),
        # An exempt one is not taken out.
        ((Tax("Excise", per_kwh="0.026", exempt="embassy"),), (500, 0, 500)),
    ],
)
def test_an_excise_in_prices_that_have_it(terms: Any, expected: tuple[int, int, int]) -> None:
    charge = price(HOUR, offer(element("", energy("0.50")), tax_included="yes"), Terms(taxes=terms))
    assert sums(charge) == expected


def test_a_tax_of_a_higher_stack_is_on_the_excise_too() -> None:
    # 10 kWh at 0.474 are 4.74; (4.74 + 0.26) x 1.19 = 5.95, of which 0.95 and 0.26 are taxes.
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.026"), Tax("VAT", "19", stack=1)))
    charge = price(HOUR, offer(element("", energy("0.474"))), terms)
    assert sums(charge) == (474, 121, 595)
    assert {tax.name: tax.tax_minor for tax in charge.taxes} == {"VAT": 95, "Excise": 26}
    # The same price with everything in it comes back to the same net.
    inside = price(HOUR, offer(element("", energy("0.595")), tax_included="yes"), terms)
    assert sums(inside) == (474, 121, 595)


def test_no_excise_where_no_tax_applies_or_nothing_was_delivered() -> None:
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.026"),))
    free = offer(element("", energy("0.50")), tax_included="not_applicable")
    assert sums(price(HOUR, free, terms)) == (500, 0, 500)
    empty = delivery(("2026-07-01 10:00", 7), ("2026-07-01 11:00", 7))
    fee = offer(element("", flat("1")), policies={"zero_energy": "minimum"})
    assert sums(price(empty, fee, terms)) == (100, 0, 100)


# --- Limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        # 10 kWh at 1.00 and 10 %: 10.00 and 11.00.
        ({"min_price": {"before_taxes": "20", "after_taxes": "25"}}, (2000, 500, 2500)),
        # What is stated is held, though no tax comes to it.
        ({"min_price": {"before_taxes": "20", "after_taxes": "1"}}, (2000, -900, 1100)),
        ({"max_price": {"before_taxes": "4", "after_taxes": "4.40"}}, (400, 40, 440)),
        # Each side on its own: before is below its bound, after is above.
        ({"max_price": {"before_taxes": "10.50", "after_taxes": "10.80"}}, (1000, 80, 1080)),
        # One side only: the other in proportion, 5.50 / 1.1 and 5.00 x 1.1.
        ({"max_price": {"after_taxes": "5.50"}}, (500, 50, 550)),
        ({"max_price": {"before_taxes": "5"}}, (500, 50, 550)),
        ({"min_price": {"after_taxes": "22"}}, (2000, 200, 2200)),
        # A least of one side and a most of the other: 12.00 and 13.20, held to 13.00.
        (
            {"min_price": {"before_taxes": "12"}, "max_price": {"after_taxes": "13"}},
            (1200, 100, 1300),
        ),
        # The least says nothing of after taxes, though the most does: 12.00 and 10 %.
        (
            {
                "min_price": {"before_taxes": "12"},
                "max_price": {"before_taxes": "50", "after_taxes": "55"},
            },
            (1200, 120, 1320),
        ),
        (
            {
                "min_price": {"before_taxes": "2", "after_taxes": "2.20"},
                "max_price": {"after_taxes": "5.50"},
            },
            (500, 50, 550),
        ),
        # Neither is reached.
        ({"min_price": {"before_taxes": "10"}, "max_price": {"after_taxes": "11"}},
         (1000, 100, 1100)),
    ],
)  # fmt: skip
def test_the_least_and_the_most(limits: Any, expected: tuple[int, int, int]) -> None:
    charge = price(HOUR, offer(element("", vat(energy("1"), "10")), **limits))
    assert sums(charge) == expected
    kinds = {line.kind for line in charge.lines} & {LineKind.MINIMUM, LineKind.MAXIMUM}
    assert bool(kinds) is (expected != (1000, 100, 1100))


def test_the_taxes_share_what_a_limit_changes() -> None:
    """5.00 at 20 % and 5.00 at 10 %: 1.00 and 0.50 of tax, doubled with the price."""
    both = element("", vat(flat("5"), "20"), vat(energy("0.50"), "10"))
    charge = price(HOUR, offer(both, min_price={"before_taxes": "20"}))
    assert sums(charge) == (2000, 300, 2300)
    assert shares(charge) == {"VAT 20": 200, "VAT 10": 100}
    assert dict(charge.streams) == {"energy": 1000, "time": 0, "idle": 0, "fee": 1000}


@pytest.mark.parametrize(
    ("elements", "total", "warned"),
    [
        # The tariff's only rate is that of the least price too.
        ([element("", vat(flat("0"), "10"), vat(energy("1"), "10"))], 220, False),
        # It has two: nobody knows which, so it is untaxed, and said.
        ([element("", vat(idle("1"), "20"), vat(energy("1"), "10"))], 200, True),
    ],
)
def test_a_least_price_of_a_session_that_costs_nothing(
    elements: Any, total: int, warned: bool
) -> None:
    empty = delivery(("2026-07-01 10:00", 7), ("2026-07-01 11:00", 7))
    tariff = offer(*elements, min_price={"before_taxes": "2"}, policies={"zero_energy": "minimum"})
    charge = price(empty, tariff)
    assert sums(charge) == (200, total - 200, total)
    assert bool(charge.warnings) is warned


def test_limits_can_make_a_tax_where_there_was_none() -> None:
    """0.25 of energy without a word on tax; at least 0.50 before and 0.55 after."""
    least = {"excl_vat": Decimal("0.50"), "incl_vat": Decimal("0.55")}
    raw = record(
        [ocpi_tariff(part(component("ENERGY", "0.25")), min_price=least)],
        [period("10:00", energy="1")], "11:00",
    )  # fmt: skip
    assert sums(price_cdr(raw)) == (50, 5, 55)


def test_fees_and_excise_lie_outside_the_limits() -> None:
    """10.00 held to 4.00, and then 0.35 of a fee and 0.26 of excise."""
    terms = Terms(taxes=(Tax("Excise", per_kwh="0.026"),), fees=(Fee("Card fee", "0.35"),))
    charge = price(HOUR, offer(element("", energy("1")), max_price={"before_taxes": "4"}), terms)
    assert sums(charge) == (435, 26, 461)


# --- Discounts, allowances, fees ------------------------------------------------------------


def test_a_discount_on_energy_only() -> None:
    """30 kWh x 0.48 + 15 of 25 idle minutes x 0.40 = 20.40; a quarter off the energy: 16.80."""
    session = delivery(
        ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 30_000), ended="2026-07-01 11:25"
    )
    tariff = offer(element("", energy("0.48")), element("", idle("0.40"), min_idle_s=600))
    assert sums(price(session, tariff, NO_TAX)) == (2040, 0, 2040)
    member = Terms(discounts=(Discount("25", (Dimension.ENERGY,)),), plan="Members")
    charge = price(session, tariff, member)
    assert nets(charge)["Energy"] == 1080
    assert sums(charge) == (1680, 0, 1680)
    assert line(charge, "Energy").unit_price == "0.48"
    assert (line(charge, "Energy").discount_percent, line(charge, "Idle").discount_percent) == (
        "25", "",
    )  # fmt: skip


def test_the_first_discount_that_fits_is_the_one() -> None:
    terms = Terms(discounts=(Discount("50", (Dimension.ENERGY,)), Discount("10")))
    charge = price(HOUR, offer(element("", flat("1"), energy("1"))), terms)
    assert nets(charge) == {"Session fee": 90, "Energy": 500}


def test_discount_then_cap_then_tax() -> None:
    """3 h idle at 0.20 are 36.00, less 10 % 32.40, at most 12.00; 20 % of that is 2.40."""
    tariff = offer(
        element("", energy("0.30")), element("", idle("0.20")),
        caps=[{"dimension": "idle_time", "amount": "12"}],
    )  # fmt: skip
    terms = Terms(taxes=(Tax("VAT", "20"),), discounts=(Discount("10", (Dimension.IDLE_TIME,)),))
    charge = price(STAY, tariff, terms)
    assert nets(charge) == {"Energy": 300, "Idle": 3240, "Idle fee cap": -2040}
    assert sums(charge) == (1500, 300, 1800)


def test_a_cap_has_the_tax_in_it_where_prices_have() -> None:
    """12.00 with 20 % in it are 10.00 before; the energy's 3.00 are 2.50."""
    tariff = offer(
        element("", energy("0.30")), element("", idle("0.20")), tax_included="yes",
        caps=[{"dimension": "idle_time", "amount": "12"}],
    )  # fmt: skip
    charge = price(STAY, tariff, VAT_20)
    assert sums(charge) == (1250, 250, 1500)


def test_a_cap_over_two_rates_takes_from_both_taxes() -> None:
    """An hour at 6.00 and 20 %, two at 3.00 and 10 %: 12.00 and 1.80 of tax, halved by the cap."""
    tariff = offer(
        element("", vat(idle("6", "hour"), "20"), max_idle_s=3600),
        element("", vat(idle("3", "hour"), "10")),
        element("", energy("0")),
        caps=[{"dimension": "idle_time", "amount": "6"}],
    )
    charge = price(STAY, tariff)
    assert sums(charge) == (600, 90, 690)
    assert shares(charge) == {"VAT 20": 60, "VAT 10": 30}


@pytest.mark.parametrize(
    ("quantity", "net", "left"), [(10_000, 100, 2_000), (12_000, 0, 0), (50_000, 0, 0)]
)
def test_an_allowance_of_energy(quantity: int, net: int, left: int) -> None:
    """12 kWh at 0.50, of which the plan gives some."""
    session = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 12_000))
    terms = Terms(draws=(Draw(Dimension.ENERGY, quantity, "50 kWh a month"),))
    charge = price(session, offer(element("", energy("0.50"))), terms)
    assert sums(charge) == (net, 0, net)
    given = line(charge, "Energy, included: 50 kWh a month")
    assert given.quantity + sum(each.quantity for each in charge.lines if each is not given) == (
        12_000
    )
    assert given.quantity == 12_000 - left


def test_an_allowance_takes_the_earliest() -> None:
    """8 kWh at 0.10 and 4 at 1.00: ten are given, and two are left of the dear ones."""
    session = delivery(("2026-07-01 15:00", 0), ("2026-07-01 18:00", 12_000))
    tariff = offer(
        element("", energy("1"), start_time="17:00", end_time="21:00"), element("", energy("0.10"))
    )
    terms = Terms(draws=(Draw(Dimension.ENERGY, 10_000, "plan"),))
    assert sums(price(session, tariff, terms)) == (200, 0, 200)


def test_two_allowances_are_used_one_after_the_other() -> None:
    session = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 12_000))
    terms = Terms(
        draws=(Draw(Dimension.ENERGY, 5_000, "voucher"), Draw(Dimension.ENERGY, 3_000, "plan"))
    )
    charge = price(session, offer(element("", energy("0.50"))), terms)
    assert [(each.text, each.quantity) for each in charge.lines] == [
        ("Energy, included: voucher", 5_000),
        ("Energy, included: plan", 3_000),
        ("Energy", 4_000),
    ]
    assert sums(charge) == (200, 0, 200)


def test_an_allowance_of_minutes_and_what_it_leaves_is_rounded_to_steps() -> None:
    """Of 60 minutes 20 are given; 40 in steps of 30 are 60."""
    terms = Terms(draws=(Draw(Dimension.CHARGING_TIME, 1_200, "plan"),))
    tariff = offer(element("", charging("0.10", step=1800), flat("1")))
    assert sums(price(HOUR, tariff, terms)) == (700, 0, 700)


@pytest.mark.parametrize(
    ("fee", "included", "expected"),
    [
        # 10.00 and 20 %; a fee of 0.36.
        (Fee("Card fee", "0.36"), "no", (1036, 207, 1243)),
        (Fee("Card fee", "0.36", ()), "no", (1036, 200, 1236)),
        (Fee("Card fee", "0.36"), "not_applicable", (1036, 0, 1036)),
        # 10.00 and 0.36 with their tax in them: 8.3333 and 0.30.
        (Fee("Card fee", "0.36"), "yes", (863, 173, 1036)),
    ],
)
def test_a_fee_of_the_way_of_paying(
    fee: Fee, included: str, expected: tuple[int, int, int]
) -> None:
    tariff = offer(element("", energy("1")), tax_included=included)
    charge = price(HOUR, tariff, Terms(taxes=(Tax("VAT", "20"),), fees=(fee,)))
    assert sums(charge) == expected
    assert dict(charge.streams)["fee"] == line(charge, "Card fee").net_minor


# --- Several tariffs in one record ----------------------------------------------------------

A = ocpi_tariff(part(component("ENERGY", "0.25", 1, "10"), component("FLAT", "1", 1)), key="A")
B = ocpi_tariff(part(component("ENERGY", "0.50", 1000, "20")), key="B")


def test_each_period_has_the_tariff_it_names() -> None:
    """4 kWh at 0.25 and 10 %, 6 at 0.50 and 20 %, and A's fee: 5.00 and 0.10 + 0.60 of tax."""
    raw = record([A, B], [period("10:00", "A", energy="4"), period("11:00", "b", energy="6")],
                 "12:00")  # fmt: skip
    charge = price_cdr(raw)
    assert sums(charge) == (500, 70, 570)
    assert [tariff.id for tariff in charge.tariffs] == ["A", "B"]
    assert [(each.tariff, each.net_minor) for each in charge.lines] == [
        (0, 100),
        (0, 100),
        (1, 300),
    ]
    assert [each.tariff for each in charge.periods] == [0, 1]


def test_the_step_of_the_last_tariff_rounds_the_session() -> None:
    """0.4 and 0.3 kWh: 0.7 is 1.0 by B's step, the 0.3 at B's price."""
    raw = record([A, B], [period("10:00", "A", energy="0.4"), period("11:00", "B", energy="0.3")],
                 "12:00")  # fmt: skip
    assert sums(price_cdr(raw))[0] == 100 + 10 + 30


def test_a_period_without_a_tariff_is_not_priced() -> None:
    raw = record([A, B], [period("10:00", "B", energy="4"), period("11:00", None, energy="6")],
                 "12:00")  # fmt: skip
    charge = price_cdr(raw)
    assert sums(charge) == (200, 40, 240)
    assert charge.energy_wh == 10_000
    assert sum(each.quantity for each in charge.lines) == charge.energy
    assert any("names no tariff" in warning for warning in charge.warnings)


def test_a_tariff_that_is_not_there() -> None:
    raw = record([A, B], [period("10:00", "C", energy="4")], "12:00")
    with pytest.raises(CantPrice, match="is 'C', and the tariffs given are 'A', 'B'") as caught:
        price_cdr(raw)
    assert caught.value.code == "no_valid_tariff"


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_versions_of_a_tariff_the_valid_one_counts(order: int) -> None:
    old = A | {"end_date_time": "2026-07-15T00:00:00Z"}
    new = A | {"elements": B["elements"], "start_date_time": "2026-07-15T00:00:00Z"}
    raw = record([old, new][::order], [period("10:00", "A", energy="4")], "12:00")
    assert sums(price_cdr(raw)) == (200, 10, 210)


def test_a_record_and_a_tariff_in_two_currencies() -> None:
    raw = record([A], [period("10:00", "A", energy="4")], "12:00", currency="USD")
    with pytest.raises(CantPrice) as caught:
        price_cdr(raw)
    assert caught.value.code == "currency_differs"

"""A tax engine outside: what it is asked, and its answer on the bill to the cent."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
    tariff,
)

from wattledger.errors import BadInput
from wattledger.rating import Assessed, Charge, Fee, Tax, Terms, decode, encode, price
from wattledger.rating.assessment import (
    TaxAssessment,
    TaxEngine,
    TaxRequest,
    tax_request,
    unassessed,
    with_assessment,
)
from wattledger.tariffs import PriceLimit, Tariff, TaxIncluded

# 10.005 kWh in an hour, then 20 idle minutes; 23:30 in New York at the end.
STAY = delivery(
    ("2026-07-02 02:10", 0), ("2026-07-02 03:10", 10_005), ("2026-07-02 03:30", 10_005),
    changes=(("2026-07-02 03:10", IDLE),), zone="America/New_York",
)  # fmt: skip
MIXED = tariff(
    element("day", energy("0.333"), flat("1.00")), element("", idle("0.40")),
    caps={"idle_time": "5.00"},
)  # fmt: skip
TERMS = Terms(
    taxes=(Tax("Sales tax", "8"), Tax("Excise", per_kwh="0.03")), fees=(Fee("Card", "0.35"),),
    plan="member",
)  # fmt: skip


class Engine:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self, *taxes: Assessed) -> None:
        self.taxes = taxes
        self.asked: TaxRequest | None = None

    def assess(self, request: TaxRequest) -> TaxAssessment:
        self.asked = request
        return TaxAssessment(self.taxes, reference="T-1")


def assessed(engine: TaxEngine, sold: Tariff = MIXED, terms: Terms = TERMS) -> Charge:
    """As an adapter does it: priced without, asked, priced with."""
    first = price(STAY, sold, unassessed(terms))
    answer = engine.assess(tax_request(
        first, place="US-NY", tax_included=sold.tax_included is TaxIncluded.YES
    ))  # fmt: skip
    return price(STAY, sold, with_assessment(terms, answer))


def adds_up(charge: Charge) -> None:
    lines = charge.lines
    assert sum(each.net_minor for each in lines) == charge.net_minor
    assert sum(each.tax_minor for each in lines) == charge.tax_minor
    assert sum(each.total_minor for each in lines) == charge.total_minor
    assert charge.net_minor + charge.tax_minor == charge.total_minor
    assert sum(tax.tax_minor for tax in charge.taxes) == charge.tax_minor
    assert sum(net for _, net in charge.streams) == charge.net_minor
    assert decode(encode(charge)) == charge


def test_an_engine_is_asked_line_by_line() -> None:
    engine = Engine()
    charge = assessed(engine)
    assert (charge.tax_minor, charge.taxes) == (0, ())
    assert engine.asked is not None
    # 10.005 x 0.333 = 3.331665; 1.00; 20 x 0.40 = 8.00, of which 5.00 are due; 0.35.
    assert [(each.dimension, each.amount_minor) for each in engine.asked.lines] == [
        ("flat", 100), ("energy", 333), ("idle_time", 800), ("idle_time", -300), ("fee", 35),
    ]  # fmt: skip
    asked = msgspec.json.decode(msgspec.json.encode(engine.asked))
    assert asked["date"] == "2026-07-01", "the place's day at the end of the supply"
    assert (asked["place"], asked["currency"], asked["reference"]) == ("US-NY", "USD", "ses_1")
    assert asked["lines"][1] == {
        "number": 1, "dimension": "energy", "text": "Energy, day", "amount_minor": 333,
        "quantity": "10005 Wh",
    }  # fmt: skip


def test_the_answer_is_the_bill_s_to_the_cent() -> None:
    charge = assessed(Engine(
        Assessed("energy", "State", 17, "5"), Assessed("idle_time", "State", 25, "5"),
        Assessed("idle_time", "City", 7), Assessed("fee", "State", 2, "5"),
    ))  # fmt: skip
    adds_up(charge)
    # All other taxes are off: neither 8 % nor an excise.
    assert [(tax.name, tax.tax_minor, tax.percent) for tax in charge.taxes] == [
        ("State", 44, "5"), ("City", 7, None),
    ]  # fmt: skip
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (968, 51, 1019)
    assert charge.exact_tax == "0.510000000000"
    assert charge.exact_net == "9.681665000000"
    # 32 on 8.00 and -3.00: 51.2 and -19.2 of it.
    assert (line(charge, "Idle").tax_minor, line(charge, "Idle fee cap").tax_minor) == (51, -19)
    assert line(charge, "Energy, day").taxes == (("State", "5"),)
    assert line(charge, "Session fee, day").tax_minor == 0


def test_where_prices_contain_their_tax_the_answer_is_taken_out_of_them() -> None:
    gross = msgspec.structs.replace(MIXED, tax_included=TaxIncluded.YES)
    engine = Engine(Assessed("energy", "VAT", 53, "19"), Assessed("idle_time", "VAT", 80, "19"))
    charge = assessed(engine, gross)
    adds_up(charge)
    assert engine.asked is not None
    assert engine.asked.tax_included
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (835, 133, 968)
    assert dict(charge.streams) == {"energy": 280, "time": 0, "idle": 420, "fee": 135}
    assert (charge.exact_total, charge.exact_tax) == ("9.681665000000", "1.330000000000")


def test_a_tax_on_what_is_not_on_the_bill_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        assessed(Engine(Assessed("energy", "State", 1), Assessed("charging_time", "State", 5)))
    assert caught.value.path == "$.terms.assessed[1].dimension"
    assert "energy, fee, flat, idle_time" in caught.value.expected


def test_a_charge_with_taxes_on_it_is_not_asked_about() -> None:
    with pytest.raises(BadInput, match=r"\$\.charge\.taxes"):
        tax_request(price(STAY, MIXED, TERMS))
    with pytest.raises(BadInput, match=r"\$\.charge\.taxes"):
        tax_request(price(STAY, MIXED, NO_TAX))


def test_a_limit_on_the_side_that_is_not_known_yet_does_not_hold_and_says_so() -> None:
    for limit, total in ((("after_taxes", "5.00"), 968), (("before_taxes", "5.00"), 500)):
        held = msgspec.structs.replace(MIXED, max_price=_limit(*limit))
        terms = msgspec.structs.replace(TERMS, fees=())
        charge = assessed(Engine(Assessed("energy", "State", 17)), held, terms)
        adds_up(charge)
        assert charge.total_minor == (total - 35 * (total == 968)) + 17
        assert any("assessed outside" in w for w in charge.warnings) is (total == 968)


def _limit(side: str, amount: str) -> PriceLimit:
    return PriceLimit(**{side: amount})


@pytest.mark.parametrize("level", ["total", "line", "tax_rate"])
@pytest.mark.parametrize("increment", [1, 5])
def test_whatever_the_rounding_the_engines_amounts_stand(level: str, increment: int) -> None:
    sold = tariff(
        element("", energy("0.3333"), charging("0.0333")), rounding_level=level,
        rounding_increment=increment,
    )  # fmt: skip
    charge = assessed(Engine(Assessed("energy", "State", 17)), sold, Terms())
    adds_up(charge)
    assert charge.tax_minor == 17


@given(
    amounts=st.lists(st.integers(-50, 500), min_size=1, max_size=4),
    prices=st.lists(st.integers(0, 3_000), min_size=2, max_size=2),
    included=st.booleans(),
)
def test_every_answer_adds_up(amounts: list[int], prices: list[int], included: bool) -> None:
    sold = msgspec.structs.replace(
        tariff(
            element("a", energy(f"0.{prices[0]:04d}"), max_kwh="4"),
            element("b", energy(f"0.{prices[1]:04d}"), idle("0.4")), caps={"idle_time": "5"},
        ),
        tax_included=TaxIncluded.YES if included else TaxIncluded.NO,
    )  # fmt: skip
    dimensions = ("energy", "idle_time")
    taxes = [Assessed(dimensions[i % 2], f"T{i}", tax) for i, tax in enumerate(amounts)]
    charge = assessed(Engine(*taxes), sold, Terms())
    adds_up(charge)
    assert charge.tax_minor == sum(amounts)

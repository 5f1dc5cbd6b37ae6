"""What is given back: which lines, at which taxes, of which revenue, to the last cent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rating_samples import delivery, element, energy, flat, idle, line

from wattledger.errors import BadInput
from wattledger.rating import (
    Charge,
    Concession,
    LineKind,
    Terms,
    carried,
    decode,
    driver_text,
    encode,
    one_more,
    price,
    with_concessions,
)
from wattledger.sessions.model import Activity
from wattledger.tariffs import Tariff, read_tariff

VAT = Terms.simple("VAT", "20")
# 10 kWh in an hour, then 30 minutes idle.
STAY = delivery(
    ("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000), ended="2026-07-01 11:30",
    changes=(("2026-07-01 11:00", Activity.VEHICLE_IDLE),),
)  # fmt: skip


def offer(*components: dict[str, Any], **head: Any) -> Tariff:
    return read_tariff(
        {"id": "t", "currency": "EUR", "elements": [element("", *components)], **head}, "$"
    )


def vat(made: dict[str, Any], *rates: str) -> dict[str, Any]:
    return made | {"taxes": [{"name": "VAT", "percent": rate} for rate in rates]}


# A fee of 1.00, 10 kWh at 0.40 (4.00) and 30 minutes at 0.10 (3.00); 20 %: 0.20, 0.80, 0.60.
PLAIN = offer(flat("1.00"), energy("0.40"), idle("0.10"))
# The fee 1.00 and idle 3.00 at 20 % (0.80), energy 4.00 at 10 % (0.40): 4.80 and 4.40 of 9.20.
MIXED = offer(vat(flat("1.00"), "20"), vat(energy("0.40"), "10"), vat(idle("0.10"), "20"))


def back(*concessions: Concession, of: Tariff = PLAIN, terms: Terms = VAT) -> Charge:
    return with_concessions(price(STAY, of, terms), concessions)


def correction(**what: Any) -> Concession:
    return Concession("Refund", "correction", **what)


def goodwill(**what: Any) -> Concession:
    return Concession("Goodwill", "goodwill", **what)


def sums(charge: Charge) -> tuple[int, int, int]:
    return charge.net_minor, charge.tax_minor, charge.total_minor


def adds_up(charge: Charge) -> None:
    for side in ("net_minor", "tax_minor", "total_minor"):
        assert sum(getattr(each, side) for each in charge.lines) == getattr(charge, side)
    assert charge.net_minor + charge.tax_minor == charge.total_minor
    assert sum(net for _, net in charge.streams) == charge.net_minor
    assert sum(tax.tax_minor for tax in charge.taxes) == charge.tax_minor


def test_a_line_is_given_back_with_exactly_its_own_net_and_tax() -> None:
    priced = price(STAY, PLAIN, VAT)
    assert sums(priced) == (800, 160, 960)
    number = priced.lines.index(line(priced, "Idle")) + 1
    found = back(correction(lines=(number,)))
    given_back = found.lines[-1]
    assert (given_back.kind, given_back.text) == (LineKind.CONCESSION, "Refund: Idle")
    assert (given_back.net_minor, given_back.tax_minor, given_back.total_minor) == (-300, -60, -360)
    assert (given_back.quantity, found.energy_wh) == (0, 10_000), "the energy was delivered"
    assert sums(found) == (500, 100, 600)
    # A correction takes back the revenue of the line itself: idle is nothing any more.
    assert dict(found.streams) == {"energy": 400, "time": 0, "idle": 0, "fee": 100}
    adds_up(found)


def test_an_amount_is_spread_over_the_taxes_in_proportion() -> None:
    """9.20 of it 4.80 at 20 % and 4.40 at 10 %: 1.00 is 52.17 and 47.83 cents, so 52 and 48. Of the
    52 the tax is 52 * 80/480 = 8.67, so 9; of the 48 it is 48 * 40/440 = 4.36, so 4."""
    assert sums(price(STAY, MIXED)) == (800, 120, 920)
    found = back(correction(amount=100), of=MIXED, terms=Terms())
    parts = [(x.net_minor, x.tax_minor, x.taxes) for x in found.lines if x.total_minor < 0]
    assert parts == [(-43, -9, (("VAT", "20"),)), (-44, -4, (("VAT", "10"),))]
    assert sums(found) == (713, 107, 820)
    assert {tax.percent: tax.tax_minor for tax in found.taxes} == {"20": 71, "10": 36}
    adds_up(found)


def test_goodwill_leaves_the_revenue_as_it_is() -> None:
    """0.60 with 20 % in it: 0.50 and 0.10."""
    found = back(goodwill(amount=60))
    assert dict(found.streams) == {
        "energy": 400, "time": 0, "idle": 300, "fee": 100, "goodwill": -50,
    }  # fmt: skip
    assert sums(found) == (750, 150, 900)
    assert "Goodwill" in driver_text(found, PLAIN, reasons=True)
    assert "at the taxes that were on it" in driver_text(found, PLAIN, reasons=True)
    adds_up(found)


def test_all_of_it_comes_to_nothing_and_nothing_is_given_twice() -> None:
    everything = [
        (correction(whole=True),), (goodwill(whole=True),), (correction(amount=960),),
        (correction(amount=2_000),), (correction(lines=(1, 2, 3)),),
        (goodwill(amount=500), correction(lines=(1, 2, 3))), (correction(lines=(2, 2, 2, 1, 3)),),
    ]  # fmt: skip
    for concessions in everything:
        found = back(*concessions)
        assert sums(found) == (0, 0, 0), concessions
        adds_up(found)
        assert all(tax.tax_minor == 0 for tax in found.taxes)


def test_the_same_terms_give_the_same_bytes_and_none_at_all_change_nothing() -> None:
    found = back(goodwill(amount=60), correction(lines=(1,)))
    again = price(STAY, PLAIN, found.terms)
    assert encode(again) == encode(found)
    assert decode(encode(found)) == found
    assert b"concession" not in encode(price(STAY, PLAIN, VAT))


def test_a_most_that_a_session_costs_is_given_back_no_more_than_it_cost() -> None:
    """At most 6.00 with tax: 5.00 and 1.00. The energy alone would be 4.80."""
    held = offer(flat("1.00"), energy("0.40"), idle("0.10"), max_price={"after_taxes": "6.00"})
    assert sums(back(of=held)) == (500, 100, 600)
    found = back(correction(lines=(2,)), of=held)
    assert sums(found) == (100, 20, 120)
    adds_up(found)
    assert sums(back(correction(lines=(2,)), correction(lines=(3,)), of=held)) == (0, 0, 0)


def test_a_line_that_is_not_there_or_costs_nothing_is_refused() -> None:
    for lines in ((0,), (4,), (-1,)):
        with pytest.raises(BadInput, match=r"concessions\[0\].lines"):
            back(correction(lines=lines))
    for wrong in (correction(), correction(amount=0), correction(amount=5, whole=True)):
        with pytest.raises(BadInput, match=r"concessions\[0\]"):
            price(STAY, PLAIN, Terms(concessions=(wrong,)))


def test_late_data_keep_what_was_given_back() -> None:
    """The idle line is the third of three, and the second where there is no fee: it is found by
    what it is. Where it is gone, its 3.60 stay given."""
    before = back(correction(lines=(3,)), goodwill(amount=60))
    without_fee = price(STAY, offer(energy("0.40"), idle("0.10")), VAT)
    assert carried(before, without_fee) == (correction(lines=(2,)), goodwill(amount=60))
    drove_off = delivery(("2026-07-01 10:00", 0), ("2026-07-01 11:00", 10_000))
    after = price(drove_off, PLAIN, VAT)
    kept = carried(before, after)
    assert kept == (correction(amount=360), goodwill(amount=60))
    # 6.00 less 3.60 less 0.60.
    assert with_concessions(after, kept).total_minor == 180


@given(
    st.lists(
        st.one_of(
            st.builds(
                Concession, st.just("Refund"), st.sampled_from(["correction", "goodwill"]),
                amount=st.integers(1, 1_000),
            ),
            st.builds(
                Concession, st.just("Refund"), st.sampled_from(["correction", "goodwill"]),
                lines=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
            ),
        ),
        max_size=4,
    ),
    st.sampled_from([PLAIN, MIXED]),
)  # fmt: skip
def test_whatever_is_given_back_adds_up(concessions: list[Concession], of: Tariff) -> None:
    found = back(*concessions, of=of, terms=Terms() if of is MIXED else VAT)
    adds_up(found)
    one_by_one = back(of=of, terms=Terms() if of is MIXED else VAT)
    for concession in concessions:
        one_by_one = one_more(one_by_one, concession)
    assert encode(one_by_one) == encode(found)
    assert 0 <= found.total_minor <= 960
    asked = sum(c.amount or 0 for c in concessions)
    if all(c.amount for c in concessions):
        whole = 920 if of is MIXED else 960
        assert found.total_minor == max(0, whole - asked), "to the cent"

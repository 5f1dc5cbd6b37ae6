"""Every worked example of the OCPI specification comes out, by whichever way it comes in."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from ocpi_examples import EXAMPLES, Example

from wattledger.errors import CantSay
from wattledger.money import major_text
from wattledger.rating import Charge
from wattledger.rating.inputs import price_file
from wattledger.rating.records import price_cdr
from wattledger.tariffs.ocpi import read_ocpi
from wattledger.tariffs.ocpi_writer import write_ocpi
from wattledger.wire import exact

ALL = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
# What 2.1.1 has words for: no VAT, no limits, no reservation, no current.
SAYABLE_IN_211 = {
    "S09", "S16", "S23", "S24", "S25", "S28", "S29", "S30", "S31", "S32a", "S32b", "S32c", "S33",
    "S35",
}  # fmt: skip
# 115.2 Wh is no register: the meter says 115, which is a multiple of a step of 1.
NOT_METERED = {"S32a"}


def check(example: Example, charge: Charge) -> None:
    """Both sides, unrounded and rounded, and what is billed."""
    before, after, whole = (int(part) for part in charge.exact)
    for stated, ours in ((example.before, before), (example.after, after)):
        if stated is not None:
            assert Fraction(ours, whole) == Fraction(stated), example.note
    for printed, stated, minor in (
        (example.printed[0], example.before, charge.net_minor),
        (example.printed[1], example.after, charge.total_minor),
    ):
        if stated is not None:
            shown = Fraction(major_text(minor, charge.currency))
            assert shown == (Fraction(printed) if printed else half_up(Fraction(stated)))
    for kind, quantities in example.billed.items():
        billed = [
            Fraction(line.billed_quantity, charge.quantity_scale)
            for line in charge.lines
            if line.kind == kind
        ]
        assert billed == [Fraction(quantity) for quantity in quantities], example.note
    assert sum(line.net_minor for line in charge.lines) == charge.net_minor
    assert sum(line.total_minor for line in charge.lines) == charge.total_minor


def half_up(value: Fraction) -> Fraction:
    """To cents."""
    return Fraction((value * 200 + 1) // 2, 100)


def in_221(example: Example, places: int = 10) -> bytes:
    return exact.dump(example.cdr(example.tariff(), places=places))


def test_there_are_38_and_each_names_an_edition() -> None:
    assert len({example.id for example in EXAMPLES}) == len(EXAMPLES) == 38
    assert all(example.edition for example in EXAMPLES)


@ALL
@pytest.mark.parametrize("places", [4, 10])
def test_as_a_record(example: Example, places: int) -> None:
    """Hours with the four places that OCPI has, and with ten."""
    charge = price_cdr(in_221(example, places))
    check(example, charge)
    assert [w for w in charge.warnings if "tax_included" not in w] == []


@ALL
def test_as_a_record_of_230(example: Example) -> None:
    raw = exact.dump(example.tariff())
    tariff, _ = read_ocpi(raw)
    record = example.cdr(write_ocpi(tariff, "2.3.0"), places=4)
    record["total_cost"] = {"before_taxes": 0, "taxes": []}
    check(example, price_cdr(exact.dump(record), version="2.3.0"))


@ALL
def test_as_a_record_of_211(example: Example) -> None:
    tariff, _ = read_ocpi(exact.dump(example.tariff()))
    if example.id not in SAYABLE_IN_211:
        with pytest.raises(CantSay):
            write_ocpi(tariff, "2.1.1")
        return
    record = example.cdr(write_ocpi(tariff, "2.1.1"), places=4)
    record["stop_date_time"] = record.pop("end_date_time")
    for gone in ("country_code", "party_id", "cdr_location"):
        del record[gone]
    for period in record["charging_periods"]:
        del period["tariff_id"]
    record |= {"auth_id": "A", "total_cost": 0, "location": {"id": "L", "time_zone": "UTC"}}
    check(example, price_cdr(exact.dump(record), version="2.1.1"))


@ALL
def test_as_a_session_file(example: Example) -> None:
    """What the meter says goes through the same engine."""
    if example.id in NOT_METERED:
        pytest.skip("finer than a register")
    tariff, _ = read_ocpi(exact.dump(example.tariff()))
    charge, _ = price_file(exact.dump(example.session()), [tariff])
    check(example, charge)


@ALL
def test_the_totals_of_the_record_are_compared(example: Example) -> None:
    """A record that states the exact figures has no difference, one that is a unit off has one."""
    before, after = example.before or "0", example.after or "0"
    record: dict[str, Any] = example.cdr(example.tariff(), places=10)
    if "tax_included" in example.head or "/" in before:
        pytest.skip("its totals are of another shape")
    right = {"excl_vat": exact.number(before, "$"), "incl_vat": exact.number(after, "$")}
    assert price_cdr(exact.dump(record | {"total_cost": right})).differences == ()
    wrong = {"excl_vat": exact.number(before, "$") + 1}
    (found,) = price_cdr(exact.dump(record | {"total_cost": wrong})).differences
    assert (found.path, found.difference) == ("$.total_cost.excl_vat", "-1.0000")


@pytest.mark.parametrize(
    ("name", "policies", "before"),
    [
        # Peers that round all the time parked: 20 minutes to 30, and the ten at 1.00 an hour.
        ("S25", {"step_idle": "all"}, Fraction("0.48") + Fraction(18, 60)),
        # With nothing rounded up, 8 minutes are no quarter hour, and cost nothing.
        ("S25", {"step_rounding": "down"}, Fraction("0.48")),
    ],
)
def test_other_readings_of_the_text_are_policies(
    name: str, policies: dict[str, str], before: Fraction
) -> None:
    (example,) = [each for each in EXAMPLES if each.id == name]
    charge = price_cdr(in_221(example), policies=policies)
    assert Fraction(int(charge.exact[0]), int(charge.exact[2])) == before

"""A tax per kWh: what the bills took, what the return says, and the difference by name."""

from __future__ import annotations

import msgspec
import pytest
from rating_samples import delivery, element, energy, tariff

from wattledger.errors import BadInput
from wattledger.rating import Charge, Tax, Terms, price
from wattledger.rating.returns import tax_return

EXCISE = Tax("Iowa excise", per_kwh="0.026")


def charge(wh: int = 9_537, tax: Tax = EXCISE, currency: str = "USD") -> Charge:
    stay = delivery(("2026-07-01 08:00", 0), ("2026-07-01 09:00", wh))
    sold = tariff(element("", energy("0")), currency=currency)
    return price(stay, sold, Terms(taxes=(Tax("Sales tax", "8"), tax)))


def test_a_thousand_sessions_differ_by_two_dollars_and_four_cents() -> None:
    found = tax_return([charge()] * 1_000, "Iowa excise")
    # Session by session 0.247962 is 0.25; the return says 9,537 kWh x 0.026 = 247.962.
    assert (found.by_session_minor, found.by_return_minor) == (25_000, 24_796)
    assert found.difference_minor == 204
    assert found.difference_text == "Iowa excise: rounding session by session"
    assert (found.sessions, found.rates[0].energy_wh) == (1_000, "9537000")


def test_a_rate_that_changed_is_two_lines() -> None:
    dearer = Tax("Iowa excise", per_kwh="0.03")
    found = tax_return([charge(), charge(), charge(tax=dearer)], "Iowa excise")
    assert [(r.per_kwh, r.sessions, r.due_minor) for r in found.rates] == [
        ("0.026", 2, 50), ("0.03", 1, 29),
    ]  # fmt: skip
    assert (found.by_session_minor, found.difference_minor) == (79, 0)


def test_for_every_eleven_kwh() -> None:
    georgia = Tax("Excise", per_kwh="0.26", unit_kwh=11)
    found = tax_return([charge(11_000, georgia)] * 3, "Excise")
    assert (found.by_session_minor, found.by_return_minor) == (78, 78)


def test_who_is_exempt_is_counted_and_owes_nothing() -> None:
    exempt = msgspec.structs.replace(EXCISE, exempt="certificate 7")
    found = tax_return([charge(), charge(tax=exempt)], "Iowa excise")
    assert (found.sessions, found.exempt_sessions) == (1, 1)
    assert (found.by_session_minor, found.by_return_minor) == (25, 25)


def test_a_session_without_energy_is_none_of_it() -> None:
    assert tax_return([charge(), charge(0)], "Iowa excise").sessions == 1


@pytest.mark.parametrize("name", ["Sales tax", "Nothing"])
def test_a_tax_that_nobody_has_by_the_kwh_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="a tax per kWh"):
        tax_return([charge()], name)


def test_two_currencies_are_two_returns() -> None:
    with pytest.raises(BadInput, match="one currency"):
        tax_return([charge(), charge(currency="EUR")], "Iowa excise")

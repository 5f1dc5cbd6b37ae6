"""The site says how much, the dated matrix on what, the customer's class whether."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from sample_config import whole
from wattledger.config import Config, parse, versions
from wattledger.contract import Contract, FeeTaxTerm, FeeTerm, Route, TaxTerm
from wattledger.entitlements import Directory, Snapshot, decide, make_contract, publication
from wattledger.entitlements.taxation import Buyer, taxes_of
from wattledger.rating import Charge, Discount, Fee, Tax, Terms, decode, encode, price
from wattledger.section import Activation
from wattledger.sessions.model import Delivery, Reading
from wattledger.tariffs import Dimension, Tariff, TaxRate, read_tariff
from wattledger.tariffs.findings import Severity
from wattledger.tariffs.jurisdictions import Customer, Rules

DAY = date(2026, 11, 2)
NOW = datetime(2026, 11, 2, 18, tzinfo=UTC)
CONSUMER, BUSINESS, EXEMPT = (
    Buyer(),
    Buyer(Customer.BUSINESS),
    Buyer(Customer.EXEMPT, "certificate 7"),
)


def taxes(
    buyer: Buyer = CONSUMER, on: date = DAY, power_w: int | None = 22_000, **site: Any
) -> tuple[TaxTerm, ...]:
    """Of the first site; without a simple tax where it has others."""
    found = _config(**site)
    return taxes_of(found.site[0], buyer, Rules(found.jurisdiction), on, power_w)


def _config(jurisdictions: tuple[dict[str, Any], ...] = (), **site: Any) -> Config:
    raw = whole(jurisdiction=list(jurisdictions))
    if "tax" in site:
        del raw["site"][0]["tax_percent"]
    raw["site"][0] |= site
    return parse(raw)


def test_a_place_with_one_tax_has_that_on_everything() -> None:
    assert taxes() == (TaxTerm("Sales tax", "8.875"),)
    assert taxes(BUSINESS) == taxes()
    assert taxes(EXEMPT) == (TaxTerm("Sales tax", "8.875", exempt="certificate 7"),)


def test_several_taxes_of_a_site() -> None:
    given = [
        {"name": "State", "percent": "6"},
        {"name": "City", "percent": "2", "stack": 1, "dimensions": ["idle_time", "flat"]},
        {"name": "Excise", "per_kwh": "0.26", "unit_kwh": 11},
        {"name": "Consumers", "percent": "1", "customers": ["consumer"]},
    ]
    state, city = TaxTerm("State", "6"), TaxTerm("City", "2", stack=1,
                                                 dimensions=("idle_time", "flat"))  # fmt: skip
    excise = TaxTerm("Excise", per_kwh="0.26", unit_kwh=11, dimensions=("energy",))
    assert taxes(tax=given) == (state, city, excise, TaxTerm("Consumers", "1"))
    assert taxes(BUSINESS, tax=given)[3] == TaxTerm(
        "Consumers", "1", exempt="not charged to business customers"
    )
    # An excise is on the energy, whoever buys it.
    assert [t.exempt for t in taxes(EXEMPT, tax=given)] == [
        "certificate 7", "certificate 7", None, "certificate 7",
    ]  # fmt: skip


@pytest.mark.parametrize("by", ["name", "rate"])
def test_the_matrix_says_on_what_the_sites_rate_is(by: str) -> None:
    """South Carolina taxes all parts of a price, Georgia none but energy."""
    named = {"name": "sales TAX"} if by == "name" else {"name": "Local", "rate": "us-sc-sales"}
    (found,) = taxes(jurisdiction="US-SC", tax=[{**named, "percent": "6"}])
    assert (found.name, found.percent, found.dimensions) == (named["name"], "6", ())
    (found,) = taxes(jurisdiction="US-GA", tax_percent="4")
    assert found.dimensions == ("energy", "reservation_time", "reservation_flat")
    assert taxes(jurisdiction="US-GA", tax_percent="4", on=date(2018, 12, 31)) == (
        TaxTerm("Sales tax", "4"),
    )


def test_what_the_site_lists_itself_stands_against_the_matrix() -> None:
    listed = [{"name": "Sales tax", "percent": "4", "dimensions": ["flat"]}]
    assert taxes(jurisdiction="US-GA", tax=listed) == (
        TaxTerm("Sales tax", "4", dimensions=("flat",)),
    )


def test_the_matrix_adds_its_own_taxes_by_date_and_power() -> None:
    sales = TaxTerm("Sales tax", "8.875")
    iowa = TaxTerm("Iowa electric fuel excise", per_kwh="0.026", dimensions=("energy",))
    assert taxes(jurisdiction="US-IA") == (sales, iowa)
    assert taxes(EXEMPT, jurisdiction="US-IA")[1] == iowa
    assert taxes(jurisdiction="US-IA", on=date(2023, 6, 30)) == (sales,)
    slow, fast = (len(taxes(jurisdiction="US-OK", power_w=w)) for w in (49_999, 50_000))
    assert (slow, fast) == (1, 2)
    # 12.5 % of what is sold by the kWh and by the hour, of those who are not exempt.
    utah = taxes(EXEMPT, jurisdiction="US-UT")[1]
    assert (utah.percent, utah.dimensions) == ("12.5", ("energy", "charging_time"))
    assert utah.exempt == "certificate 7"


def test_a_site_may_state_a_tax_of_the_matrix_with_another_amount() -> None:
    stated = [{"name": "Iowa electric fuel excise", "per_kwh": "0.03"}]
    assert [t.per_kwh for t in taxes(jurisdiction="US-IA", tax=stated)] == ["0.03"]


def test_what_nobody_verified_is_not_charged_but_told() -> None:
    day = date(2027, 1, 1)
    assert [t.name for t in taxes(jurisdiction="US-GA", on=day, tax_percent="4")] == ["Sales tax"]
    found = publication.objections(_config(jurisdiction="US-GA"), NOW)
    (told,) = [o for o in found if o.finding.code == "tax_unverified"]
    assert (told.path, told.on, told.finding.severity) == (
        "$.site[0].tax", day, Severity.WARNING,
    )  # fmt: skip
    assert "'Georgia motor fuel excise' is not charged, because nobody has verified it" in (
        publication.in_words(told)
    )


def test_a_local_rate_that_is_not_stated_is_told() -> None:
    """Also where the site has the tax of nothing that it has by default."""
    for site in ({"tax": [{"name": "Other", "percent": "1"}]}, {"tax_percent": "0"}):
        found = publication.objections(_config(jurisdiction="US-SC", **site), NOW)
        (told,) = [o for o in found if o.finding.code == "tax_rate_missing"]
        assert 'rate = "us-sc-sales"' in told.finding.message
        publication.refuse(found)  # the row is of the second hand: it warns
    sure = {"id": "here", "taxes": [{"id": "t", "name": "Local tax", "text": "The place's.",
                                     "dimensions": ["energy"], "rate": "local"}]}  # fmt: skip
    found = publication.objections(_config((sure,), jurisdiction="here"), NOW)
    with pytest.raises(publication.BadInput, match="taxes that can be charged at site 'depot'"):
        publication.refuse(found)
    stated = {"tax": [{"name": "Local tax", "percent": "0"}]}
    assert publication.objections(_config((sure,), jurisdiction="here", **stated), NOW) == ()


def test_a_tax_on_what_is_not_taxed_is_told() -> None:
    listed = {"tax": [{"name": "Sales tax", "percent": "4", "dimensions": ["flat"]}]}
    found = publication.objections(_config(jurisdiction="US-GA", **listed), NOW)
    assert "tax_not_due" in {o.finding.code for o in found}


# In the contract, and from there in the price


def _snapshot(**changes: Any) -> Snapshot:
    return Directory([
        Activation(seq, v.kind, v.key, NOW.replace(year=2020), v.digest, v.body)
        for seq, v in enumerate(versions(parse(whole(**changes))), start=1)
    ]).at(NOW)  # fmt: skip


def _contract(token: str = "ACME-1", at: datetime = NOW, **changes: Any) -> Contract:
    state = _snapshot(**changes)
    decision = decide(state, token, "D-1", at)
    return make_contract(state, decision, "D-1", as_of=at, known_at=NOW)


def test_the_day_is_the_sites_at_the_sessions_start() -> None:
    """Wisconsin's tax began with 2025: 06:00 UTC in Chicago."""
    before, after = (
        _contract(at=datetime(2025, 1, 1, hour, 59 if hour == 5 else 0, tzinfo=UTC),
                  site__0__jurisdiction="US-WI")
        for hour in (5, 6)
    )  # fmt: skip
    assert before.taxes == (TaxTerm("Sales tax", "8.875"),)
    assert after.taxes is not None
    assert [t.name for t in after.taxes] == ["Sales tax", "Wisconsin EV charging tax"]
    assert "energy" not in after.taxes[0].dimensions


def test_a_tax_of_ones_own_is_known_to_the_running_system() -> None:
    own = [{"id": "here", "taxes": [{"id": "t", "name": "Harbour due", "text": "Due.",
                                     "dimensions": ["flat"], "percent": "3"}]}]  # fmt: skip
    found = _contract(jurisdiction=own, site__0__jurisdiction="here").taxes
    assert found == (
        TaxTerm("Sales tax", "8.875"), TaxTerm("Harbour due", "3", dimensions=("flat",)),
    )  # fmt: skip


def test_a_fee_is_taxed_as_a_price_per_session_is() -> None:
    fee = [{"text": "Terminal", "amount": "0.35"}]
    assert _contract(fee=fee).fees == (FeeTerm("Terminal", "0.35"),)
    georgia = _contract(fee=fee, site__0__jurisdiction="US-GA")
    assert georgia.fees == (FeeTerm("Terminal", "0.35", ()),)
    own = [{"text": "Terminal", "amount": "0.35",
            "taxes": [{"name": "Service tax", "percent": "5"}]}]  # fmt: skip
    assert _contract(fee=own).fees == (
        FeeTerm("Terminal", "0.35", (FeeTaxTerm("Service tax", "5"),)),
    )


def test_terms_are_what_the_contract_says() -> None:
    found = Terms.of(_contract(
        fee=[{"text": "Terminal", "amount": "0.35"}], plan__1__discount_on=["energy"],
        plan__1__unlimited_sites=["depot"], plan__1__unlimited=["idle_time"],
    ))  # fmt: skip
    assert found == Terms(
        taxes=(Tax("Sales tax", "8.875"),),
        discounts=(
            Discount("100", (Dimension.IDLE_TIME,), "Fleet, unlimited at Depot"),
            Discount("10", (Dimension.ENERGY,)),
        ),
        fees=(Fee("Terminal", "0.35"),),
        plan="fleet",
        choice=("Tariff 'cheap': plan Fleet has its own at site Depot.",),
    )


BEFORE = Contract(
    entity_id="north", site_id="depot", time_zone="America/Chicago",
    entity_time_zone="America/New_York", currency="USD", route=Route.INVOICE,
    tariff_id="standard", tariff_digest="a" * 64, tax_name="Sales tax", tax_percent="8.875",
    as_of=NOW, known_at=NOW, known_seq=1, plan_id="fleet", discount_percent="10",
)  # fmt: skip


def test_a_contract_from_before_prices_as_before() -> None:
    assert Terms.of(BEFORE) == Terms.simple("Sales tax", "8.875", "10", "fleet")
    now = Terms.of(_contract(plan__1__tariffs={}))
    assert (now.taxes, now.discounts) == (Terms.of(BEFORE).taxes, Terms.of(BEFORE).discounts)


def test_no_taxes_at_all_is_not_the_same_as_none_said() -> None:
    contract = _contract(jurisdiction=[{"id": "here", "taxes": [
        {"id": "t", "name": "Sales tax", "text": "None.", "dimensions": list(Dimension),
         "taxable": False}]}], site__0__jurisdiction="here")  # fmt: skip
    assert contract.taxes == ()
    assert Terms.of(contract).taxes == ()


# Public figures

STAY = Delivery(
    "ses_1", "America/New_York", NOW, NOW.replace(hour=19), changes=(),
    readings=(Reading(NOW, 0), Reading(NOW.replace(hour=19), 9_537)),
)  # fmt: skip


def _tariff(*components: tuple[str, str, str], **more: Any) -> Tariff:
    given = [{"dimension": d, "price": p, "unit": u} for d, p, u in components]
    return read_tariff(
        {"id": "t", "currency": "USD", "elements": [{"components": given}], **more}, "$"
    )


def _charge(tariff: Tariff, jurisdiction: str, percent: str, on: date = DAY) -> Charge:
    found = taxes(jurisdiction=jurisdiction, tax_percent=percent, on=on)
    terms = Terms.of(Contract(**{
        **{f: getattr(BEFORE, f) for f in Contract.__struct_fields__},
        "taxes": found, "discounts": (),
    }))  # fmt: skip
    charge = price(STAY, tariff, terms)
    assert decode(encode(charge)) == charge
    return charge


def test_the_same_price_in_georgia_and_in_south_carolina() -> None:
    """1.00 + 20 x 0.30 + 5 x 0.40 = 9.00: no tax, or 6 % of all of it."""
    tariff = _tariff(("flat", "9.00", "session"))
    assert _charge(tariff, "US-GA", "6").tax_minor == 0
    assert _charge(tariff, "US-SC", "6").tax_minor == 54


def test_an_excise_is_on_the_energy_of_a_session_sold_by_the_minute() -> None:
    by_minute = _tariff(("charging_time", "0.10", "minute"))
    charge = _charge(by_minute, "US-IA", "0")
    # 60 x 0.10 = 6.00; 9.537 kWh x 0.026 = 0.247962
    assert (charge.net_minor, charge.tax_minor, charge.total_minor) == (600, 25, 625)


def test_an_excise_for_every_eleven_kwh() -> None:
    own = ({"id": "here", "taxes": [{"id": "t", "name": "Excise", "text": "Per 11 kWh.",
           "dimensions": ["energy"], "per_kwh": "0.26", "unit_kwh": 11}]},)  # fmt: skip
    found = taxes(jurisdictions=own, jurisdiction="here", tax_percent="0")
    terms = Terms(taxes=tuple(
        Tax(t.name, t.percent, t.per_kwh, unit_kwh=t.unit_kwh) for t in found
    ))  # fmt: skip
    charge = price(STAY, _tariff(("energy", "0", "kWh")), terms)
    # 9.537 / 11 x 0.26 = 0.22542
    assert charge.tax_minor == 23
    (line,) = [line for line in charge.lines if line.kind.value == "excise"]
    assert (line.text, line.unit_price) == ("Excise, 0.26 per 11 kWh", "0.023636363636")
    assert [tax.percent for tax in charge.taxes if tax.name == "Excise"] == [None]


def test_a_fee_with_a_tax_of_its_own() -> None:
    fee = Fee("Terminal", "1.00", (TaxRate("Service tax", "5"),))
    terms = Terms(taxes=(Tax("Sales tax", "10"),), fees=(fee,))
    charge = price(STAY, _tariff(("flat", "2.00", "session")), terms)
    assert (charge.net_minor, charge.tax_minor) == (300, 25)

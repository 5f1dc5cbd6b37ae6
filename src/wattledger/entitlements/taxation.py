"""The taxes of a session: the site says how much, the dated matrix of its jurisdiction on what.

Guarantees: the same site, customer, day, power and rules give the same taxes; the answer is plain
data and stands in the contract. Rows of the matrix that nobody has verified add nothing and free
from nothing: they are told when a configuration is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from wattledger.contract import TaxTerm
from wattledger.entitlements.model import TAX_PERCENT, Site, SiteTax
from wattledger.tariffs.findings import Finding, Severity
from wattledger.tariffs.jurisdictions import Confidence, Customer, Rules, TaxRow
from wattledger.tariffs.model import Dimension


class Buyer(NamedTuple):
    """Who owes taxes, as far as they care."""

    customer: Customer = Customer.CONSUMER
    exemption: str | None = None

    @property
    def why_exempt(self) -> str:
        """What the bill says of a tax that this class does not owe."""
        return self.exemption or f"not charged to {self.customer} customers"


def taxes_of(
    site: Site, buyer: Buyer, rules: Rules, on: date, power_w: int | None
) -> tuple[TaxTerm, ...]:
    """All taxes there on that day, the site's own first."""
    known = _Matrix(site, buyer.customer, rules, on, power_w)
    own = [term for tax in site.taxes for term in _own(tax, buyer, known)]
    return (*own, *_of_matrix(site, buyer, known))


class _Matrix:
    """The rows that hold for a session: by dimension, the nearest first."""

    def __init__(
        self, site: Site, customer: Customer, rules: Rules, on: date, power_w: int | None
    ) -> None:
        def rows(who: Customer) -> Mapping[Dimension, tuple[TaxRow, ...]]:
            return {
                each: rules.tax_rows(site.jurisdiction, on, each, who, power_w=power_w)
                for each in Dimension
            }

        # What a consumer owes is what everybody owes who is not exempt.
        self.told = rows(customer)
        self.usual = self.told if customer is Customer.CONSUMER else rows(Customer.CONSUMER)

    def verdict(self, tax: SiteTax, dimension: Dimension) -> tuple[bool, bool] | None:
        """Whether a site's tax is on a dimension, and whether this customer owes it; None where
        the matrix says nothing of it."""
        for rows, owed in ((self.told, True), (self.usual, False)):
            for row in rows[dimension]:
                if claims(tax, row) and _counts(row) and (row.taxable or owed):
                    return row.taxable, owed
        return None

    def taxes(self) -> Iterator[tuple[TaxRow, bool]]:
        """Each row that taxes, and whether this customer owes it."""
        seen: set[str] = set()
        for rows, owed in ((self.told, True), (self.usual, False)):
            for row in (row for dimension in Dimension for row in rows[dimension]):
                if row.id not in seen and row.taxable and _counts(row):
                    yield row, owed
                seen.add(row.id)


def claims(tax: SiteTax, row: TaxRow) -> bool:
    """Whether a tax of the site is the one that a row of the matrix speaks of."""
    if tax.rate is not None and tax.rate == row.rate:
        return True
    return tax.name.casefold() == row.name.casefold()


def _counts(row: TaxRow) -> bool:
    return row.confidence is not Confidence.UNVERIFIED


def _own(tax: SiteTax, buyer: Buyer, known: _Matrix) -> Iterator[TaxTerm]:
    """One term, or two where the customer owes it on some dimensions only."""
    usual = _owes(tax, buyer)
    owed: list[Dimension] = []
    exempt: list[Dimension] = []
    everything = tuple(Dimension) if tax.per_kwh is None else (Dimension.ENERGY,)
    for dimension in tax.dimensions or everything:
        verdict = known.verdict(tax, dimension)
        if verdict is not None and not verdict[0] and not tax.dimensions:
            continue
        owes = usual if verdict is None or tax.customers else verdict[1]
        (owed if owes else exempt).append(dimension)
    for dimensions, why in ((owed, None), (exempt, buyer.why_exempt)):
        if dimensions:
            yield TaxTerm(
                name=tax.name,
                percent=tax.percent,
                per_kwh=tax.per_kwh,
                unit_kwh=tax.unit_kwh,
                stack=tax.stack,
                dimensions=() if len(dimensions) == len(Dimension) else tuple(dimensions),
                exempt=why,
            )


def _owes(tax: SiteTax, buyer: Buyer) -> bool:
    if tax.customers:
        return buyer.customer in tax.customers
    # A tax on the energy itself is everybody's; who is exempt is so from taxes on a price.
    return tax.per_kwh is not None or buyer.customer is not Customer.EXEMPT


def _of_matrix(site: Site, buyer: Buyer, known: _Matrix) -> Iterator[TaxTerm]:
    for row, owed in known.taxes():
        if row.rate is None and not any(claims(tax, row) for tax in site.taxes):
            yield TaxTerm(
                name=row.name,
                percent=row.percent,
                per_kwh=row.per_kwh,
                unit_kwh=row.unit_kwh,
                stack=row.stack,
                dimensions=tuple(row.dimensions),
                exempt=None if owed else buyer.why_exempt,
            )


def findings(site: Site, rules: Rules, on: date, power_w: int | None) -> Iterator[Finding]:
    """What a person should look at: a local rate that is not stated, a row that nobody verified,
    a dimension that the site taxes although the matrix says that it is not taxed."""
    rows = {
        row.id: row
        for customer in Customer
        for dimension in Dimension
        for row in rules.tax_rows(site.jurisdiction, on, dimension, customer, power_w=power_w)
    }
    # A site that says nothing has a tax of nothing under the usual name, which states no rate.
    stated = site.tax or (site.taxes if site.tax_percent != TAX_PERCENT else ())
    for row in rows.values():
        mine = [tax for tax in stated if claims(tax, row)]
        says = f"{row.text} ({row.source})"
        if row.rate is not None and row.taxable and not mine:
            enforced = row.confidence is Confidence.VERIFIED
            yield _finding(
                row, "tax_rate_missing", Severity.ERROR if enforced else Severity.WARNING,
                f"no rate is stated for {row.name!r}, so it is not charged: give it a [[site.tax]] "
                f'with rate = "{row.rate}". {says}',
            )  # fmt: skip
        elif not _counts(row) and not mine:
            what = "charged" if row.taxable else "taken into account"
            yield _finding(
                row, "tax_unverified", Severity.WARNING,
                f"{row.name!r} is not {what}, because nobody has verified it: state it as a "
                "[[site.tax]], or in a row of your own that replaces it. " + says,
            )  # fmt: skip
        elif not row.taxable and any(set(tax.dimensions) & set(row.dimensions) for tax in mine):
            yield _finding(
                row, "tax_not_due", Severity.WARNING,
                f"{row.name!r} is charged on what the matrix says is not taxed, because the site "
                f"lists its dimensions. {says}",
            )  # fmt: skip


def _finding(row: TaxRow, code: str, severity: Severity, message: str) -> Finding:
    return Finding(code, severity, "$.tax", f"{message} [{row.confidence}]", row.id, row.source)

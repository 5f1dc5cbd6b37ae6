"""What the law, a programme or the operator's own policy asks of a price, as dated data.

Guarantees: rules are data with a source, dates and a confidence; only what is verified is ever
enforced; an unknown place is permissive and says so. Does not guarantee that the rules are
complete, current, or legal advice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from wattledger.tariffs.jurisdictions.checks import check, unknown
from wattledger.tariffs.jurisdictions.model import (
    Confidence,
    Customer,
    Jurisdiction,
    ReceiptField,
    Rule,
    Sold,
    Tax,
    TaxRow,
    TimeDisplay,
)
from wattledger.tariffs.jurisdictions.reader import read_jurisdictions, shipped
from wattledger.tariffs.jurisdictions.rules import Rules, of_sessions, value_of
from wattledger.tariffs.model import Dimension

__all__ = [
    "Confidence",
    "Customer",
    "Jurisdiction",
    "ReceiptField",
    "Rule",
    "Rules",
    "Sold",
    "Tax",
    "TaxRow",
    "TimeDisplay",
    "check",
    "load",
    "of_sessions",
    "read_jurisdictions",
    "rules_for",
    "shipped",
    "taxes_for",
    "unknown",
    "value_of",
]


def load(own: Sequence[Jurisdiction] = ()) -> Rules:
    """What we ship, and the operator's ``own`` beside it. Raises BadInput where they clash."""
    return Rules(own)


def rules_for(
    jurisdiction: str | None,
    on: date | None,
    power_w: int | None,
    programmes: Sequence[str] = (),
) -> tuple[Rule, ...]:
    """Of what we ship, the rules that hold there, on that day, at that power."""
    return load().rules_for(jurisdiction, on, power_w, programmes)


def taxes_for(
    jurisdiction: str | None,
    on: date | None,
    dimension: Dimension,
    customer: Customer = Customer.CONSUMER,
    *,
    power_w: int | None = None,
    rates: Mapping[str, str] | None = None,
) -> tuple[Tax, ...]:
    """Of what we ship, the taxes on a dimension there and then."""
    return load().taxes_for(jurisdiction, on, dimension, customer, power_w=power_w, rates=rates)

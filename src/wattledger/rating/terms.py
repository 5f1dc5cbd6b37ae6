"""What the customer, the place and the way of paying add to a tariff: data, decided elsewhere."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

import msgspec

from wattledger.contract import Contract, DiscountTerm, FeeTerm, TaxTerm
from wattledger.errors import BadInput
from wattledger.tariffs.model import Dimension, TaxRate


class Tax(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tax that the place knows and the tariff does not.

    Either ``percent`` of the price of ``dimensions`` (none listed: all of them), or ``per_kwh`` in
    major units for every ``unit_kwh`` kWh delivered, whatever they were sold by (an excise; a part
    of them is a part of it). Rates of a higher ``stack`` are on the price with the lower ones in
    it. ``exempt`` says why it is not charged: the bill then shows it with nothing.
    """

    name: str
    percent: str | None = None
    per_kwh: str | None = None
    stack: int = 0
    dimensions: tuple[Dimension, ...] = ()
    exempt: str | None = None
    unit_kwh: int = 1


class Discount(msgspec.Struct, frozen=True, omit_defaults=True):
    """Taken off the price of ``dimensions`` (none listed: all), before caps and before tax. Of
    several the first that names a dimension is its; ``text`` says by what, if not by the plan."""

    percent: str
    dimensions: tuple[Dimension, ...] = ()
    text: str | None = None


class Draw(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a plan's allowance gives to this session: the first ``quantity`` Wh or seconds of
    ``dimension`` cost nothing. Who may draw how much was decided before; ``text`` says from what.
    """

    dimension: Dimension
    quantity: int
    text: str


class Fee(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that the way of paying adds (OCPI has no words for it). ``taxes`` None: the terms'."""

    text: str
    amount: str
    taxes: tuple[TaxRate, ...] | None = None


class Assessed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an external tax engine answered for one dimension's net: amounts in minor units.

    ``dimension`` is a line's, as ``rating.assessment`` names it."""

    dimension: str
    name: str
    tax_minor: int
    percent: str | None = None


class Concession(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is given back of a session after it was billed (see ``rating.concessions``): the
    ``whole``, an ``amount`` with its taxes in minor units, or ``lines`` by their numbers on the
    bill (the first is 1). A ``correction`` was never owed; ``goodwill`` was, and is given all the
    same.
    """

    text: str
    kind: Literal["correction", "goodwill"]
    lines: tuple[int, ...] = ()
    amount: int | None = None
    whole: bool = False


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of them. Percents and amounts are plain decimals as text.

    ``plan`` names where a discount comes from, in words for the driver; ``choice`` says why this
    tariff was chosen. ``assessed`` replaces every other tax (see ``rating.assessment``).
    ``payment_brand`` and ``payment_recognition`` are what OCPP 2.1's fixed fees may ask for.
    """

    taxes: tuple[Tax, ...] = ()
    discounts: tuple[Discount, ...] = ()
    draws: tuple[Draw, ...] = ()
    fees: tuple[Fee, ...] = ()
    plan: str | None = None
    choice: tuple[str, ...] = ()
    assessed: tuple[Assessed, ...] | None = None
    payment_brand: str | None = None
    payment_recognition: str | None = None
    concessions: tuple[Concession, ...] = ()

    @classmethod
    def simple(
        cls, tax_name: str, tax_percent: str, discount_percent: str = "0", plan: str | None = None
    ) -> Terms:
        """One tax on everything, one discount on everything."""
        return cls(
            taxes=(Tax(tax_name, tax_percent),),
            discounts=(Discount(discount_percent),) if discount_percent != "0" else (),
            plan=plan,
        )

    @classmethod
    def of(cls, contract: Contract, draws: tuple[Draw, ...] = ()) -> Terms:
        """What a session was promised beside its tariff. ``draws`` are what it gets of the plan's
        allowances: whoever books sessions one after the other knows."""
        simple = cls.simple(
            contract.tax_name, contract.tax_percent, contract.discount_percent, contract.plan_id
        )
        taxes, discounts = contract.taxes, contract.discounts
        return msgspec.structs.replace(
            simple,
            taxes=simple.taxes if taxes is None else tuple(map(_tax, taxes)),
            discounts=simple.discounts if discounts is None else tuple(map(_discount, discounts)),
            draws=draws,
            fees=tuple(map(_fee, contract.fees)),
            choice=contract.choice,
        )


def _dimensions(names: tuple[str, ...]) -> tuple[Dimension, ...]:
    return tuple(Dimension(name) for name in names)


def _tax(term: TaxTerm) -> Tax:
    return Tax(
        name=term.name,
        percent=term.percent,
        per_kwh=term.per_kwh,
        unit_kwh=term.unit_kwh,
        stack=term.stack,
        dimensions=_dimensions(term.dimensions),
        exempt=term.exempt,
    )


def _discount(term: DiscountTerm) -> Discount:
    return Discount(term.percent, _dimensions(term.dimensions), term.text)


def _fee(term: FeeTerm) -> Fee:
    taxes = None
    if term.taxes is not None:
        taxes = tuple(TaxRate(tax.name, tax.percent, tax.stack) for tax in term.taxes)
    return Fee(term.text, term.amount, taxes)


_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DRAWN = (Dimension.ENERGY, Dimension.CHARGING_TIME, Dimension.IDLE_TIME)


def check_terms(terms: Terms) -> None:
    """Raises BadInput, with the path, for terms that no contract of ours would have: they may come
    from another program."""
    for i, tax in enumerate(terms.taxes):
        path = f"$.terms.taxes[{i}]"
        if (tax.percent is None) == (tax.per_kwh is None):
            raise BadInput(path, tax.name, "either percent or per_kwh")
        _check_percent(tax.percent, f"{path}.percent")
        _check_amount(tax.per_kwh, f"{path}.per_kwh")
        if tax.unit_kwh < 1:
            raise BadInput(f"{path}.unit_kwh", tax.unit_kwh, "a whole number of kWh, at least 1")
    for i, discount in enumerate(terms.discounts):
        _check_percent(discount.percent, f"$.terms.discounts[{i}].percent")
    for i, fee in enumerate(terms.fees):
        _check_amount(fee.amount, f"$.terms.fees[{i}].amount")
        for n, rate in enumerate(fee.taxes or ()):
            _check_percent(rate.percent, f"$.terms.fees[{i}].taxes[{n}].percent")
    for i, draw in enumerate(terms.draws):
        if draw.dimension not in _DRAWN:
            raise BadInput(f"$.terms.draws[{i}].dimension", str(draw.dimension),
                           "energy, charging_time or idle_time: what is counted")  # fmt: skip
        if draw.quantity < 0:
            raise BadInput(f"$.terms.draws[{i}].quantity", draw.quantity, "Wh or s, not negative")
    for i, concession in enumerate(terms.concessions):
        ways = (concession.whole, concession.amount is not None, bool(concession.lines))
        if sum(ways) != 1:
            raise BadInput(f"$.terms.concessions[{i}]", concession.text,
                           "one of whole, amount and lines")  # fmt: skip
        if concession.amount is not None and concession.amount <= 0:
            raise BadInput(f"$.terms.concessions[{i}].amount", concession.amount,
                           "an amount above zero, in minor units")  # fmt: skip


def _check_percent(text: str | None, path: str) -> None:
    if text is not None and (not _PERCENT.fullmatch(text) or Fraction(text) > 100):
        raise BadInput(path, text, 'a percentage from "0" to "100"')


def _check_amount(text: str | None, path: str) -> None:
    if text is not None and not _AMOUNT.fullmatch(text):
        raise BadInput(path, text, 'an amount such as "0.35", not negative')

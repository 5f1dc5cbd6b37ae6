"""All jurisdictions that are known, ours and the operator's own, and what holds where and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

import msgspec

from wattledger.errors import BadInput
from wattledger.tariffs import fields
from wattledger.tariffs.jurisdictions.model import (
    Customer,
    Jurisdiction,
    Rule,
    Sold,
    Tax,
    TaxRow,
    in_force,
    may_apply,
)
from wattledger.tariffs.jurisdictions.reader import shipped
from wattledger.tariffs.model import Dimension

_R = TypeVar("_R", Rule, TaxRow)


class Rules:
    """Jurisdictions by id. What an operator writes under the id of one of ours adds to it.

    Raises BadInput where the two clash, which is not ``checked`` again for what was published
    before: what we ship may have changed since.
    """

    def __init__(
        self,
        own: Sequence[Jurisdiction] = (),
        path: str = "$.jurisdiction",
        *,
        checked: bool = True,
    ) -> None:
        self._known: dict[str, list[Jurisdiction]] = {}
        for jurisdiction in (*own, *shipped()):
            self._known.setdefault(jurisdiction.id, []).append(jurisdiction)
        ids = {row.id for j in shipped() for row in _rows(j)}
        for i, jurisdiction in enumerate(own if checked else ()):
            self._check(jurisdiction, f"{path}[{i}]", ids)

    def _check(self, own: Jurisdiction, path: str, shipped_ids: set[str]) -> None:
        parents = {j.inherits for j in self._known[own.id] if j.inherits is not None}
        if len(parents) > 1:
            raise BadInput(f"{path}.inherits", own.inherits, "what the jurisdiction inherits now")
        if own.inherits is not None and own.inherits not in self._known:
            names = ", ".join(sorted(self._known))
            raise BadInput(f"{path}.inherits", own.inherits, f"the id of a jurisdiction ({names})")
        if own.id in (chain := self._parents(own.id)[1:]):
            raise BadInput(f"{path}.inherits", own.inherits, f"no circle: {' > '.join(chain)}")
        kinds: tuple[tuple[str, Sequence[Rule | TaxRow]], ...] = (
            ("rules", own.rules), ("taxes", own.taxes),
        )  # fmt: skip
        for kind, rows in kinds:
            for n, row in enumerate(rows):
                if row.id in shipped_ids:
                    raise BadInput(f"{path}.{kind}[{n}].id", row.id, "an id of your own, and this"
                                   " one in replaces if yours stands in for it")  # fmt: skip
                for m, replaced in enumerate(row.replaces):
                    if replaced not in shipped_ids:
                        raise BadInput(f"{path}.{kind}[{n}].replaces[{m}]", replaced,
                                       "the id of a rule that is shipped")  # fmt: skip

    def __contains__(self, jurisdiction: object) -> bool:
        return jurisdiction in self._known

    def _parents(self, jurisdiction: str) -> list[str]:
        """The jurisdiction, what it inherits, and so on; the nearest first, one circle at most."""
        found: list[str] = []
        at: str | None = jurisdiction
        while at is not None and at in self._known:
            found.append(at)
            if at in found[:-1]:
                break
            at = next((j.inherits for j in self._known[at] if j.inherits is not None), None)
        return found

    def nearest(self, jurisdiction: str) -> str | None:
        """The jurisdiction itself where it is known, else what its name lies in: ``US-TX`` in
        ``US``."""
        while jurisdiction not in self._known:
            jurisdiction, dash, _ = jurisdiction.rpartition("-")
            if not dash:
                return None
        return jurisdiction

    def _chain(self, jurisdiction: str | None, programmes: Sequence[str]) -> list[Jurisdiction]:
        ids: list[str] = []
        for asked in (jurisdiction, *programmes):
            known = self.nearest(asked) if asked is not None else None
            ids += self._parents(known) if known is not None else []
        return [j for known in dict.fromkeys(ids) for j in self._known[known]]

    def rules_for(
        self,
        jurisdiction: str | None,
        on: date | None,
        power_w: int | None,
        programmes: Sequence[str] = (),
        sold: Sold | None = None,
    ) -> tuple[Rule, ...]:
        """What holds on a day at a connector: the place's own rules first, then what it inherits,
        then the programmes'. ``sold`` leaves out what is for the others only."""
        rows = (rule for j in self._chain(jurisdiction, programmes) for rule in j.rules)
        found = _standing(rows, on, power_w)
        return tuple(r for r in found if sold is None or r.sold is None or r.sold is sold)

    def tax_rows(
        self,
        jurisdiction: str | None,
        on: date | None,
        dimension: Dimension,
        customer: Customer = Customer.CONSUMER,
        *,
        power_w: int | None = None,
    ) -> tuple[TaxRow, ...]:
        """What is known of a dimension's taxes, also that it has none; the nearest first."""
        rows = (row for j in self._chain(jurisdiction, ()) for row in j.taxes)
        return tuple(
            row for row in _standing(rows, on, power_w)
            if dimension in row.dimensions and customer in row.customers
        )  # fmt: skip

    def taxes_for(
        self,
        jurisdiction: str | None,
        on: date | None,
        dimension: Dimension,
        customer: Customer = Customer.CONSUMER,
        *,
        power_w: int | None = None,
        rates: Mapping[str, str] | None = None,
    ) -> tuple[Tax, ...]:
        """The taxes on a dimension. ``rates`` gives the local ones by name; with it, one that is
        missing is an error: nothing is guessed."""
        rows = self.tax_rows(jurisdiction, on, dimension, customer, power_w=power_w)
        return tuple(_tax(row, rates) for row in rows if row.taxable)

    def dates(
        self, jurisdiction: str | None, programmes: Sequence[str], after: date, until: date
    ) -> tuple[date, ...]:
        """The days after ``after`` and before ``until`` on which a rule or tax begins or ends."""
        found = {
            day
            for j in self._chain(jurisdiction, programmes)
            for row in _rows(j)
            for day in (row.effective_from, row.effective_to)
            if day is not None and after.isoformat() < day < until.isoformat()
        }
        return tuple(date.fromisoformat(day) for day in sorted(found))


def value_of(rules: Iterable[Rule], name: str) -> Any:
    """What the nearest rule that speaks of ``name`` says: ``kwh_decimals``, ``receipt_fields``,
    ``component_order``, ``time_display``, ``signed_meter`` …; None if none does."""
    return next((v for r in rules if (v := getattr(r, name)) not in (None, ())), None)


def of_sessions(jurisdiction: Jurisdiction) -> Jurisdiction:
    """What sessions and their receipts ask of a jurisdiction after its prices were published: its
    taxes, and of its rules those about receipts and signed values, and those that stand in for one
    of ours."""
    kept = [
        Rule(
            id=rule.id, text=rule.text, source=rule.source, confidence=rule.confidence,
            advice=rule.advice, effective_from=rule.effective_from, effective_to=rule.effective_to,
            min_power_w=rule.min_power_w, max_power_w=rule.max_power_w, replaces=rule.replaces,
            receipt_fields=rule.receipt_fields, signed_meter=rule.signed_meter,
        )
        for rule in jurisdiction.rules
        if rule.receipt_fields or rule.signed_meter is not None or rule.replaces
    ]  # fmt: skip
    return msgspec.structs.replace(jurisdiction, rules=tuple(kept))


def _rows(jurisdiction: Jurisdiction) -> Iterator[Rule | TaxRow]:
    yield from jurisdiction.rules
    yield from jurisdiction.taxes


def _standing(rows: Iterable[_R], on: date | None, power_w: int | None) -> list[_R]:
    found = [row for row in rows if in_force(row, on) and may_apply(row, power_w)]
    replaced = {row_id for row in found for row_id in row.replaces}
    return [row for row in found if row.id not in replaced]


def _tax(row: TaxRow, rates: Mapping[str, str] | None) -> Tax:
    percent = row.percent
    if row.rate is not None and rates is not None:
        if row.rate not in rates:
            raise BadInput(f"$.rates.{row.rate}", None, f"a percentage: {row.text} ({row.source})")
        percent = fields.percent(rates[row.rate], f"$.rates.{row.rate}")
    return Tax(
        name=row.name,
        percent=percent,
        per_kwh=row.per_kwh,
        stack=row.stack,
        dimensions=row.dimensions,
        unit_kwh=row.unit_kwh,
        rate=row.rate,
        row_id=row.id,
        confidence=row.confidence,
    )

"""A charge as JSON for other programs: decimal strings in major units, rendered on demand.

The shape is documented in docs/pricing.md. The stored form of a charge is another (``codec``).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.money import major_text
from wattledger.rating.explain import evidence, tariff_of, why
from wattledger.rating.model import Charge, Evidence, Line, LineKind, Period
from wattledger.rating.sums import decimal_text
from wattledger.tariffs.model import Tariff

_PER_UNIT = {"kWh": 1000, "minute": 60, "hour": 3600, "session": 1}
_SHOWN = {"Wh": "kWh", "s": "minute", "session": "session"}


def report(charge: Charge, tariffs: Tariff | Sequence[Tariff]) -> dict[str, Any]:
    """Everything that is known of the charge. ``tariffs`` are those it refers to."""
    given = (tariffs,) if isinstance(tariffs, Tariff) else tuple(tariffs)
    currency = charge.currency
    return {
        "session_id": charge.session_id,
        "engine": charge.engine,
        "currency": currency,
        "time_zone": charge.time_zone,
        "started_at": utc_text(charge.started_at),
        "ended_at": utc_text(charge.ended_at),
        "energy_kwh": quantity_text(charge.energy, charge.quantity_scale, 1000),
        "exact": {
            "before_taxes": charge.exact_net,
            "taxes": charge.exact_tax,
            "after_taxes": charge.exact_total,
        },
        "total": _amounts(charge.net_minor, charge.tax_minor, charge.total_minor, currency),
        "taxes": [_without_none({
            "name": tax.name, "percentage": tax.percent,
            "amount": major_text(tax.tax_minor, currency), "exempt": tax.exempt,
        }) for tax in charge.taxes],
        "tariffs": [{"id": tariff.id, "name": tariff.name} for tariff in charge.tariffs],
        "lines": [_line(charge, line, given) for line in charge.lines],
        "periods": _periods(charge),
        "policies": msgspec.to_builtins(charge.policies),
        "terms": msgspec.to_builtins(charge.terms),
        "free_reason": charge.free_reason,
        "warnings": list(charge.warnings),
        "differences": [msgspec.to_builtins(each) for each in charge.differences],
    }  # fmt: skip


def _line(charge: Charge, line: Line, tariffs: Sequence[Tariff]) -> dict[str, Any]:
    unit = line.unit or _SHOWN.get(line.quantity_unit, "")
    scale, per = charge.quantity_scale, _PER_UNIT.get(unit, 1)
    counted = bool(line.quantity_unit)
    priced = counted and line.kind is not LineKind.NOTICE
    element = None if line.element < 0 else line.element
    return {
        "dimension": line.kind.value,
        "text": line.text,
        "quantity": quantity_text(line.quantity, scale, per) if counted else None,
        "billed_quantity": quantity_text(line.billed_quantity, scale, per) if counted else None,
        "unit": unit or None,
        "unit_price": line.unit_price if priced else None,
        "discount_percent": (line.discount_percent or "0") if priced else None,
        **_amounts(line.net_minor, line.tax_minor, line.total_minor, charge.currency),
        "tax_rates": [_tax_rate(name, percent) for name, percent in line.taxes],
        "tariff": charge.tariffs[line.tariff].id,
        "element": element,
        "element_name": _name(charge, line, tariffs),
        "why": list(why(charge, line, tariffs)),
        "evidence": [_evidence(part, scale) for part in evidence(charge, line)],
    }


def _tax_rate(name: str, percent: str) -> dict[str, str]:
    amount, per, _ = percent.partition("/kWh")
    return {"name": name, "per_kwh" if per else "percentage": amount}


def _name(charge: Charge, line: Line, tariffs: Sequence[Tariff]) -> str | None:
    if line.element < 0:
        return None
    found = tariff_of(charge, line, tariffs)
    return found.elements[line.element].name or None


def _amounts(net: int, tax: int, total: int, currency: str) -> dict[str, str]:
    return {
        "before_taxes": major_text(net, currency),
        "taxes": major_text(tax, currency),
        "after_taxes": major_text(total, currency),
    }


def _evidence(part: Evidence, scale: int) -> dict[str, Any]:
    return {
        "from": utc_text(part.from_at),
        "to": utc_text(part.to_at),
        "quantity": quantity_text(part.quantity, scale, 1),
        "source": part.source.value,
        "error_wh": part.error_wh,
        "from_register_wh": part.from_register_wh,
        "to_register_wh": part.to_register_wh,
    }


def _periods(charge: Charge) -> list[dict[str, Any]]:
    priced: list[list[dict[str, Any]]] = [[] for _ in charge.periods]
    for line in charge.lines:
        if line.element >= 0:
            by = {"dimension": line.kind.value, "element": line.element, "tariff": line.tariff}
            for place, _ in line.uses:
                priced[place].append(by)
    return [_period(charge, *pair) for pair in zip(charge.periods, priced, strict=True)]


def _period(charge: Charge, period: Period, priced: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "from": utc_text(period.from_at),
        "to": utc_text(period.to_at),
        "activity": period.activity,
        "energy_wh": quantity_text(period.energy, charge.quantity_scale, 1),
        "source": period.source.value,
        "from_register_wh": period.from_register_wh,
        "to_register_wh": period.to_register_wh,
        "from_error_wh": period.from_error_wh,
        "to_error_wh": period.to_error_wh,
        "priced_by": priced,
    }


def quantity_text(quantity: int, scale: int, per: int) -> str:
    """In a unit of ``per`` Wh or seconds: exact where a decimal can be, else to 12 places."""
    amount = Fraction(quantity, scale * per)
    text = decimal_text(amount.numerator, amount.denominator)
    return text.rstrip("0").rstrip(".") or "0"


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}

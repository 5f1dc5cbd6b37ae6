"""A station's own calculation (OCPP 2.1 CostDetails, I07 to I12) held against ours.

The bill is ours. A difference means that the driver was shown another amount than is billed, so a
person is shown both, component by component.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from wattledger.db.work import Transaction
from wattledger.errors import BadInput
from wattledger.ingest import anomalies
from wattledger.money import Rounding, divide, exponent
from wattledger.pipeline.display.figures import Figures
from wattledger.rating import Charge
from wattledger.wire.ocpp import v21

# Of ours: the kinds of lines; of theirs: the fields.
_COMPONENTS = ("energy", "charging_time", "idle_time", "flat", "reservation_time",
               "reservation_flat")  # fmt: skip
_THEIRS = {"flat": "fixed", "reservation_flat": "reservation_fixed"}


async def compare(
    tx: Transaction, figures: Figures, raw: Any, event_type: str, tariff_id: str | None,
    ours_id: str | None,
) -> None:  # fmt: skip
    """``raw`` as it came; ``ours_id``: the tariff it should be calculated by, if a station can."""
    try:
        details = v21.read(raw, v21.CostDetails)
    except BadInput as error:
        await _record(tx, figures, event_type, {"unreadable": str(error)})
        return
    ids = {p.tariff_id for p in details.charging_periods or [] if p.tariff_id}
    ids |= {tariff_id} if tariff_id else set()
    theirs = _minor(details.total_cost.total, figures.charge.currency)
    why = []
    if details.failure_to_calculate:
        why.append(f"the station could not calculate: {details.failure_reason or 'no reason'}")
    elif details.total_cost.currency != figures.charge.currency:
        why.append(f"in {details.total_cost.currency}")
    elif theirs != figures.total_minor:
        why.append("another total")
    if ids and ids != {ours_id}:
        why.append("by another tariff" if ours_id else "by a tariff that OCPP 2.1 can't say")
    if why:
        detail = {
            "why": why,
            "tariff": {"ours": ours_id, "theirs": sorted(ids)},
            "ours": _ours(figures),
            "theirs": _theirs(details),
        }
        await _record(tx, figures, event_type, detail)


async def _record(
    tx: Transaction, figures: Figures, event_type: str, detail: dict[str, Any]
) -> None:
    await anomalies.record(
        tx.conn, at=tx.now, code="cost.differs", subject=figures.row.id,
        detail={"event": event_type, **detail}, cause=event_type,
    )  # fmt: skip


def _minor(price: v21.TotalPrice, currency: str) -> int | None:
    """With tax, in the smallest unit; without a price with tax the one before it."""
    value = price.incl_tax if price.incl_tax is not None else price.excl_tax
    if value is None:
        return None
    scaled = Fraction(value) * 10 ** exponent(currency)
    return divide(scaled.numerator, scaled.denominator, Rounding.HALF_UP)


def _ours(figures: Figures) -> dict[str, str]:
    charge, found = figures.charge, {"total": figures.total_minor}
    for name in _COMPONENTS:
        found[name] = sum(line.total_minor for line in charge.lines if line.kind.value == name)
    found["other"] = charge.total_minor - sum(found[name] for name in _COMPONENTS)
    return {name: _text(charge, minor) for name, minor in found.items() if minor or name == "total"}


def _text(charge: Charge, minor: int) -> str:
    return str(Decimal(minor).scaleb(-exponent(charge.currency)))


def _theirs(details: v21.CostDetails) -> dict[str, Any]:
    total = details.total_cost
    found: dict[str, Any] = {"total": _said(total.total), "type_of_cost": total.type_of_cost,
                             "currency": total.currency}  # fmt: skip
    for name in _COMPONENTS:
        price = getattr(total, _THEIRS.get(name, name))
        if price is not None:
            found[name] = _said(price)
    usage = details.total_usage
    found["usage"] = {"energy": str(usage.energy), "charging_time_s": usage.charging_time,
                      "idle_time_s": usage.idle_time}  # fmt: skip
    return found


def _said(price: v21.TotalPrice) -> dict[str, str]:
    sides = {"before_tax": price.excl_tax, "with_tax": price.incl_tax}
    return {name: str(value) for name, value in sides.items() if value is not None}

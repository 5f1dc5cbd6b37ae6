"""What another party's record says of its own totals, beside what came out here."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal
from fractions import Fraction

from wattledger.money import exponent
from wattledger.rating.model import Charge, Difference, LineKind
from wattledger.rating.sums import decimal_text
from wattledger.rating.words import CAPPED
from wattledger.wire.ocpi import v211, v230
from wattledger.wire.ocpi.cdrs import Cdr

_EXACT = Context(prec=100)
# OCPI's places: 0.0001 kWh, 0.0001 h.
_PLACE = Fraction(1, 10_000)
_COSTS = {
    "total_fixed_cost": (LineKind.FLAT,),
    "total_energy_cost": (LineKind.ENERGY,),
    "total_time_cost": (LineKind.CHARGING_TIME,),
    "total_parking_cost": (LineKind.IDLE_TIME,),
    "total_reservation_cost": (LineKind.RESERVATION_TIME, LineKind.RESERVATION_FLAT),
}
Stated = tuple[str, Decimal, Fraction, Fraction]
"""Path, what is stated, ours, and how far they may be apart."""


def compare(cdr: Cdr, charge: Charge) -> tuple[Difference, ...]:
    """Where the record's totals are not ours: the whole cost on both sides of tax, to half of the
    smallest unit; the costs by kind, to that for each of their lines; energy and hours, to 0.0001.
    What a credit CDR takes back is compared with its sign turned.
    """
    if _is_plainly_equal(cdr, charge):
        return ()
    stated = [*_sums(cdr, charge), *_costs(cdr, charge), *_volumes(cdr, charge)]
    return tuple(
        Difference(path, f"{theirs:f}", _text(ours, money="cost" in path),
                   _signed(ours - Fraction(theirs)))
        for path, theirs, ours, apart in stated
        if abs(ours - Fraction(theirs)) > apart
    )  # fmt: skip


def _is_plainly_equal(cdr: Cdr, charge: Charge) -> bool:
    """The common case, without a fraction."""
    if isinstance(cdr, v211.Cdr):
        return False
    places = exponent(charge.currency)
    before, after = cdr.before_taxes, cdr.after_taxes
    return (
        (before is None or before.scaleb(places, _EXACT) == charge.net_minor)
        and (after is None or after.scaleb(places, _EXACT) == charge.total_minor)
        and cdr.total_energy_cost is None
        and cdr.total_time_cost is None
        and cdr.total_fixed_cost is None
        and cdr.total_parking_cost is None
        and cdr.total_reservation_cost is None
        and cdr.total_parking_time is None
        and _is_near(cdr.total_energy, charge.energy, 1000 * charge.quantity_scale)
        and _is_near(cdr.total_time, (charge.ended_at - charge.started_at).seconds, 3600)
        and (charge.ended_at - charge.started_at).days == 0
    )


def _is_near(stated: Decimal | None, quantity: int, per: int) -> bool:
    if stated is None:
        return True
    numerator, denominator = stated.as_integer_ratio()
    return abs(quantity * denominator - numerator * per) * 10_000 <= per * denominator


def _sums(cdr: Cdr, charge: Charge) -> Iterator[Stated]:
    half = Fraction(1, 2 * 10 ** exponent(charge.currency))
    net, total = (Fraction(int(part), int(charge.exact[2])) for part in charge.exact[:2])
    before, after = cdr.before_taxes, cdr.after_taxes
    if isinstance(cdr, v230.Cdr):
        if before is not None:
            yield "$.total_cost.before_taxes", before, _turned(cdr, net, before), half
        if before is not None and after is not None:
            taxes = _EXACT.subtract(after, before)
            yield "$.total_cost.taxes", taxes, _turned(cdr, total - net, taxes), 2 * half
        return
    excl, incl = ("", "") if isinstance(cdr, v211.Cdr) else (".excl_vat", ".incl_vat")
    for path, stated, ours in ((excl, before, net), (incl, after, total)):
        if stated is not None:
            yield f"$.total_cost{path}", stated, _turned(cdr, ours, stated), half


def _costs(cdr: Cdr, charge: Charge) -> Iterator[Stated]:
    unit = Fraction(1, 10 ** exponent(charge.currency))
    for name, kinds in _COSTS.items():
        cost = getattr(cdr, name, None)
        if cost is None:
            continue
        word = "before_taxes" if isinstance(cdr, v230.Cdr) else "excl_vat"
        stated: Decimal = getattr(cost, word)
        lines = [line for line in charge.lines if _kind(line.kind, line.text) in kinds]
        ours = sum(line.net_minor for line in lines) * unit
        apart = unit * (len(lines) + 1) / 2
        yield f"$.{name}.{word}", stated, _turned(cdr, ours, stated), apart


def _kind(kind: LineKind, text: str) -> LineKind:
    return LineKind(CAPPED[text].value) if kind is LineKind.CAP else kind


def _volumes(cdr: Cdr, charge: Charge) -> Iterator[Stated]:
    scale = charge.quantity_scale
    if cdr.total_energy is not None:
        yield "$.total_energy", cdr.total_energy, Fraction(charge.energy, 1000 * scale), _PLACE
    if cdr.total_parking_time is not None:
        idle = Fraction(charge.idle, 3600 * scale)
        yield "$.total_parking_time", cdr.total_parking_time, idle, _PLACE
    if cdr.total_time is not None:
        # From the first moment to the last, or what the periods count: both are found.
        whole = charge.ended_at - charge.started_at
        spans = [Fraction(whole.days * 86_400 + whole.seconds, 3600),
                 Fraction(charge.charging + charge.idle + charge.pause, 3600 * scale)]  # fmt: skip
        near = min(spans, key=lambda span: abs(span - Fraction(cdr.total_time or 0)))
        yield "$.total_time", cdr.total_time, near, _PLACE


def _turned(cdr: Cdr, ours: Fraction, stated: Decimal) -> Fraction:
    is_credit = getattr(cdr, "credit", None) and stated < 0
    return -ours if is_credit else ours


def _text(value: Fraction, *, money: bool) -> str:
    return decimal_text(value.numerator, value.denominator) if money else _signed(value).lstrip("+")


def _signed(value: Fraction) -> str:
    """With 4 places, half to even, and its sign."""
    rounded = round(value * 10_000)
    digits = str(abs(rounded)).rjust(5, "0")
    return f"{'-' if rounded < 0 else '+'}{digits[:-4]}.{digits[-4:]}"

"""From a delivery to a charge: ``price``, a pure function of its three arguments.

Amounts are integers over one denominator until they are rounded. The total with tax is
rounded once, from the unrounded value, and so is the tax; the net is what lies between. Each
line shows its own rounded amount, and a rounding line closes what is left open.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from wattledger.errors import CantPrice
from wattledger.money import Rounding, allocate, divide, exponent, major_text
from wattledger.rating import words
from wattledger.rating.checks import check
from wattledger.rating.compiled import Compiled, compile_tariff
from wattledger.rating.drafts import Draft, Gathering, Notice, Run
from wattledger.rating.model import (
    ENGINE,
    Charge,
    Evidence,
    Line,
    LineKind,
    Source,
    Terms,
)
from wattledger.rating.periods import METERED, Period, moment_of, periods
from wattledger.sessions.model import Activity, Delivery
from wattledger.tariffs.model import Dimension, Tariff, ZeroEnergy

_STREAMS = {
    Dimension.ENERGY: "energy",
    Dimension.CHARGING_TIME: "time",
    Dimension.IDLE_TIME: "idle",
    Dimension.FLAT: "fee",
}
_BASE_UNITS: dict[Dimension | Notice, str] = {
    **dict.fromkeys(Notice, "s"),
    Notice.FREE_ENERGY: "Wh",
    Dimension.ENERGY: "Wh",
    Dimension.CHARGING_TIME: "s",
    Dimension.IDLE_TIME: "s",
    Dimension.FLAT: "session",
}


@dataclass(frozen=True, slots=True)
class _Amounts:
    """The sums of a charge, rounded."""

    net_minor: int
    tax_minor: int
    total_minor: int
    exact_total: str


def price(delivery: Delivery, tariff: Tariff, terms: Terms) -> Charge:
    """What ``delivery`` costs. The same arguments give the same charge, byte for byte.

    Raises CantPrice for a delivery that is not fit to be priced (see ``checks.check``), and
    with no_tariff_component when nothing in the tariff applies at any time of the session;
    BadInput for a percentage in the terms that is none.
    """
    zone = check(delivery)
    compiled = compile_tariff(tariff, terms)
    parts = periods(delivery, compiled, zone)
    free_reason = _free_reason(delivery, tariff)
    if free_reason is not None:
        lines = [_released(delivery, parts, free_reason)]
        return _charge(delivery, compiled, parts, lines=lines, exact={}, free_reason=free_reason)
    if not any(period.chosen for period in parts):
        raise CantPrice(
            "no_tariff_component",
            f"session {delivery.session_id}: no element of tariff {tariff.id!r} applies at any "
            "time of it; give the tariff an element without restrictions, at price 0 if it is free",
        )
    gathering = Gathering(compiled)
    for period in parts:
        gathering.add(period)
    exact: dict[Dimension, int] = {}
    lines = []
    drafts = gathering.drafts()
    for i, draft in enumerate(drafts):
        lines.append(_line(draft, compiled))
        dimension = draft.kind
        if isinstance(dimension, Notice):
            continue
        exact[dimension] = exact.get(dimension, 0) + draft.amount
        # The cap stands under the last line of its dimension.
        if all(later.kind is not dimension for later in drafts[i + 1 :]):
            beyond = exact[dimension] - compiled.caps.get(dimension, exact[dimension])
            if beyond > 0:
                lines.append(_cap_line(dimension, exact[dimension], beyond, compiled, parts))
                exact[dimension] -= beyond
    return _charge(delivery, compiled, parts, lines=lines, exact=exact, free_reason=None)


def _free_reason(delivery: Delivery, tariff: Tariff) -> str | None:
    policies = tariff.policies
    energy_wh = delivery.energy_wh
    if policies.zero_energy is not ZeroEnergy.RELEASE:
        return None
    if energy_wh == 0:
        return "no energy was delivered"
    if energy_wh < policies.minimum_energy_wh:
        return f"less than the least amount of {policies.minimum_energy_wh} Wh was delivered"
    return None


def _charge(
    delivery: Delivery,
    compiled: Compiled,
    parts: list[Period],
    *,
    lines: list[Line],
    exact: dict[Dimension, int],
    free_reason: str | None,
) -> Charge:
    tariff, terms = compiled.tariff, compiled.terms
    amounts = _amounts(compiled, sum(exact.values()))
    gap = amounts.net_minor - sum(line.net_minor for line in lines)
    if gap:
        lines = [*lines, _rounding_line(gap, compiled, parts)]
    shares = allocate(amounts.net_minor, [exact.get(dimension, 0) for dimension in _STREAMS])
    spent = dict.fromkeys(Activity, 0)
    for period in parts:
        spent[period.activity] += period.duration_s
    return Charge(
        session_id=delivery.session_id,
        tariff_id=tariff.id,
        tariff_name=tariff.name,
        engine=ENGINE,
        currency=tariff.currency,
        time_zone=delivery.time_zone,
        started_at=moment_of(parts[0].start.at_s),
        ended_at=moment_of(parts[-1].end.at_s),
        energy_wh=delivery.energy_wh,
        charging_s=spent[Activity.CHARGING],
        idle_s=spent[Activity.VEHICLE_IDLE],
        pause_s=spent[Activity.CHARGER_PAUSE],
        lines=tuple(lines),
        net_minor=amounts.net_minor,
        tax_name=terms.tax_name,
        tax_percent=terms.tax_percent,
        tax_minor=amounts.tax_minor,
        total_minor=amounts.total_minor,
        exact_total=amounts.exact_total,
        streams=tuple(zip(_STREAMS.values(), shares, strict=True)),
        plan=terms.plan,
        free_reason=free_reason,
    )


def _amounts(compiled: Compiled, net: int) -> _Amounts:
    """``net`` is exact, over the tariff's denominator."""
    rounding = compiled.tariff.policies.rounding
    whole = compiled.denominator * compiled.tax_denominator
    tax = net * compiled.tax_numerator
    total = net * compiled.tax_denominator + tax
    tax_minor = divide(tax, whole, rounding)
    total_minor = divide(total, whole, rounding)
    places = 10 ** exponent(compiled.tariff.currency)
    digits = str(divide(total * 10**12, whole * places, Rounding.HALF_EVEN)).rjust(13, "0")
    return _Amounts(
        net_minor=total_minor - tax_minor,
        tax_minor=tax_minor,
        total_minor=total_minor,
        exact_total=f"{digits[:-12]}.{digits[-12:]}",
    )


def _line(draft: Draft, compiled: Compiled) -> Line:
    evidence = tuple(_evidence(run, draft) for run in draft.runs)
    component = draft.rate.component if draft.rate else None
    return Line(
        kind=LineKind.NOTICE if isinstance(draft.kind, Notice) else LineKind(draft.kind.value),
        element=compiled.tariff.elements[draft.element].name if component else "",
        text=words.line_text(draft, compiled),
        quantity=draft.quantity,
        billed_quantity=draft.billed if component else 0,
        quantity_unit=_BASE_UNITS[draft.kind],
        unit=component.unit.value if component else "",
        unit_price=component.price if component else "0",
        discount_percent=compiled.terms.discount_percent if component else "0",
        net_minor=_rounded(draft.amount, compiled),
        from_at=evidence[0].from_at,
        to_at=evidence[-1].to_at,
        why=words.why(draft, compiled, evidence),
        evidence=evidence,
    )


def _evidence(run: Run, draft: Draft) -> Evidence:
    from_at, to_at = moment_of(run.start.at_s), moment_of(run.end.at_s)
    if _BASE_UNITS[draft.kind] != "Wh":
        return Evidence(from_at, to_at, run.quantity, Source.CLOCK)
    # An end in one and the same gap is counted once: the whole gap bounds both.
    gaps = {k.segment: k.error_wh for k in (run.start, run.end) if k.segment != METERED}
    return Evidence(
        from_at=from_at,
        to_at=to_at,
        quantity=run.quantity,
        source=Source.INTERPOLATED if gaps else Source.METERED,
        error_wh=sum(gaps.values()),
        from_register_wh=run.start.register_wh,
        to_register_wh=run.end.register_wh,
    )


def _cap_line(
    dimension: Dimension, due: int, beyond: int, compiled: Compiled, parts: list[Period]
) -> Line:
    currency = compiled.tariff.currency
    cap = _rounded(compiled.caps[dimension], compiled)
    name = dimension.value.replace("_", " ")
    reason = (
        f"A session's {name} costs {major_text(cap, currency)} {currency} at most before tax; "
        f"{major_text(_rounded(due, compiled), currency)} {currency} were due."
    )
    net_minor = _rounded(-beyond, compiled)
    return _plain_line(LineKind.CAP, words.cap_text(dimension), net_minor, reason, parts)


def _rounding_line(gap: int, compiled: Compiled, parts: list[Period]) -> Line:
    reason = (
        "The total is rounded once, from the unrounded amounts; this is how far the rounded "
        "lines above lie from it."
    )
    return _plain_line(LineKind.ROUNDING, "Rounding", gap, reason, parts)


def _released(delivery: Delivery, parts: list[Period], free_reason: str) -> Line:
    """The one line of a session that is not charged, with what energy there was."""
    line = _plain_line(
        LineKind.NOTICE,
        "Not charged",
        0,
        f"The session is free of charge: {free_reason}.",
        parts,
    )
    return msgspec.structs.replace(line, quantity=delivery.energy_wh, quantity_unit="Wh")


def _plain_line(
    kind: LineKind, text: str, net_minor: int, reason: str, parts: list[Period]
) -> Line:
    """A line of the session as a whole, without a quantity."""
    return Line(
        kind=kind,
        element="",
        text=text,
        quantity=0,
        billed_quantity=0,
        quantity_unit="",
        unit="",
        unit_price="0",
        discount_percent="0",
        net_minor=net_minor,
        from_at=moment_of(parts[0].start.at_s),
        to_at=moment_of(parts[-1].end.at_s),
        why=(reason,),
        evidence=(),
    )


def _rounded(amount: int, compiled: Compiled) -> int:
    return divide(amount, compiled.denominator, compiled.tariff.policies.rounding)

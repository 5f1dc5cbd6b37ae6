"""Why a charge came out as it did, rendered on demand from the charge and its tariff.

Nothing here decides anything: the figures stand in the charge, the rules in the tariff's version.
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from wattledger.errors import BadInput
from wattledger.money import format_minor, major_text
from wattledger.rating.model import Charge, Evidence, Line, LineKind, Period, Source
from wattledger.rating.notices import NOTICES
from wattledger.rating.words import CAPPED, applies, duration_text, quantity_text, span_text
from wattledger.tariffs.model import Restrictions, Tariff, TaxIncluded

_INDENT = "    "
_OWN_SENTENCES = {
    LineKind.ROUNDING: "The sums are rounded once, from the unrounded amounts; this is how far the "
    "rounded lines above lie from them.",
    LineKind.FEE: "The way of paying has a fee of its own.",
    LineKind.CONCESSION: "Given back after the session was billed, at the taxes that were on it.",
    LineKind.EXCISE: "A tax on every kWh delivered, whatever it was sold by.",
}


def evidence(charge: Charge, line: Line) -> tuple[Evidence, ...]:
    """The uninterrupted stretches of a line's quantity, in time order."""
    runs: list[list[tuple[Period, int]]] = []
    last = -2
    for index, quantity in line.uses:
        period = charge.periods[index]
        if runs and (index == last + 1 or period.from_at == runs[-1][-1][0].to_at):
            runs[-1].append((period, quantity))
        else:
            runs.append([(period, quantity)])
        last = index
    return tuple(_run(run, line.quantity_unit == "Wh") for run in runs)


def _run(run: list[tuple[Period, int]], is_energy: bool) -> Evidence:
    first, last = run[0][0], run[-1][0]
    quantity = sum(each for _, each in run)
    if not is_energy:
        # Time is the clock's, unless another party reported it.
        source = Source.REPORTED if first.source is Source.REPORTED else Source.CLOCK
        return Evidence(first.from_at, last.to_at, quantity, source)
    return Evidence(
        from_at=first.from_at,
        to_at=last.to_at,
        quantity=quantity,
        source=_source(first, last),
        error_wh=_error(first, last),
        from_register_wh=first.from_register_wh,
        to_register_wh=last.to_register_wh,
    )


def _source(first: Period, last: Period) -> Source:
    if Source.REPORTED in (first.source, last.source):
        return Source.REPORTED
    if first.from_segment < -1 or last.to_segment < -1:
        return Source.EXTRAPOLATED
    metered = first.from_segment == last.to_segment == -1
    return Source.METERED if metered else Source.INTERPOLATED


def _error(first: Period, last: Period) -> int | None:
    """How far a stretch's energy can be off: by what either end can be."""
    if first.from_error_wh is None or last.to_error_wh is None:
        return None
    return first.from_error_wh + last.to_error_wh


def why(charge: Charge, line: Line, tariffs: Tariff | Sequence[Tariff]) -> tuple[str, ...]:
    """Why this quantity, at this price: one sentence each. ``tariffs`` are the charge's."""
    tariff = tariff_of(charge, line, tariffs)
    said = list(_of_kind(charge, line, tariff))
    if line.kind not in _PRICED:
        return tuple(said)
    if line.step_quantity:
        said.append(_step(charge, line))
    if line.discount_percent.strip("0.") != "":
        plan = _discounted_by(charge, line)
        words = f" ({plan})" if plan else ""
        said.append(f"A discount of {line.discount_percent} %{words} is taken off.")
    said += [
        f"{tax.name} is not charged: {tax.exempt}."
        for tax in charge.terms.taxes
        if tax.exempt
        and (tax.name, tax.percent) in line.taxes
        and (not tax.dimensions or line.kind.value in tax.dimensions)
    ]
    return tuple(said)


def tariff_of(charge: Charge, line: Line, tariffs: Tariff | Sequence[Tariff]) -> Tariff:
    """The tariff of a line among the charge's; raises BadInput where it is not there, or is
    another version than the one that priced the line."""
    given = (tariffs,) if isinstance(tariffs, Tariff) else tariffs
    wanted = charge.tariffs[line.tariff].id
    for tariff in given:
        if tariff.id == wanted and line.element < len(tariff.elements):
            return tariff
    ids = [tariff.id for tariff in given]
    raise BadInput("$.tariffs", ids, f"tariff {wanted!r} as it was when it priced the charge")


def _discounted_by(charge: Charge, line: Line) -> str | None:
    for discount in charge.terms.discounts:
        if not discount.dimensions or line.kind.value in discount.dimensions:
            return discount.text or charge.terms.plan
    return charge.terms.plan


_PRICED = {
    LineKind.ENERGY,
    LineKind.CHARGING_TIME,
    LineKind.IDLE_TIME,
    LineKind.FLAT,
    LineKind.RESERVATION_TIME,
    LineKind.RESERVATION_FLAT,
}


def _of_kind(charge: Charge, line: Line, tariff: Tariff) -> list[str]:
    if line.kind in _PRICED:
        said = [f"{line.unit_price} {charge.currency} per {line.unit}, {_applies(tariff, line)}."]
        return [*said, *_how_known(charge, line)]
    if line.kind is LineKind.NOTICE:
        if line.due:
            what = "The session is" if charge.free_reason else "What does not stand above is"
            return [f"{what} free of charge: {line.due}."]
        known = dict(NOTICES.values())
        return [known.get(line.text, "The plan's allowance covers it.")]
    currency = charge.currency
    if line.kind is LineKind.CAP:
        side = "with" if tariff.tax_included is TaxIncluded.YES else "before"
        cap = next(c for c in tariff.caps if c.dimension is CAPPED[line.text])
        kind = cap.dimension.value.replace("_", " ")
        return [
            f"A session's {kind} costs {_money(cap.amount, currency)} {currency} at most {side} "
            f"tax; {_money(line.due, currency)} {currency} were due."
        ]
    if line.kind in (LineKind.MINIMUM, LineKind.MAXIMUM):
        limit = tariff.min_price if line.kind is LineKind.MINIMUM else tariff.max_price
        word = "least" if line.kind is LineKind.MINIMUM else "most"
        sides = [] if limit is None else [
            f"{amount} {currency} {side}" for amount, side in
            ((limit.before_taxes, "before taxes"), (limit.after_taxes, "after taxes")) if amount
        ]  # fmt: skip
        return [
            f"The {word} a session costs is {' and '.join(sides)}; "
            f"{_money(line.due, currency)} {currency} before taxes came out."
        ]
    return [_OWN_SENTENCES[line.kind]]


def _applies(tariff: Tariff, line: Line) -> str:
    """When the price holds; one without restrictions behind others is what is left of them."""
    given = tariff.elements[line.element].restrictions
    before = tariff.elements[: line.element]
    if given == Restrictions() and any(
        component.dimension.value == line.kind.value
        for element in before
        for component in element.components
    ):
        return "whenever no price before it applies"
    return applies(given)


def _how_known(charge: Charge, line: Line) -> list[str]:
    if line.quantity_unit != "Wh":
        return []
    parts = evidence(charge, line)
    between = [e for e in parts if e.source is Source.INTERPOLATED]
    unread = [e for e in parts if e.source is Source.EXTRAPOLATED]
    said = []
    if between:
        error = sum(e.error_wh or 0 for e in between)
        said.append(
            "The register was not read at every change of price; there it lies on the straight "
            f"line between two readings, by which this energy can be off by {error} Wh at most."
        )
    if unread:
        bounds = [e.error_wh for e in unread]
        most = None if None in bounds else sum(bound or 0 for bound in bounds)
        bound = "without a bound" if most is None else f"off by {most} Wh at most"
        said.append(
            "The register was not read at the very start or end; it is taken to stand there, "
            f"{bound}."
        )
    return said


def _step(charge: Charge, line: Line) -> str:
    unit = line.quantity_unit
    way = "up" if line.step_quantity > 0 else "down"
    change = "added" if line.step_quantity > 0 else "taken off"
    scale = charge.quantity_scale
    total, moved = exact_text(line.step_total, scale), exact_text(abs(line.step_quantity), scale)
    return (
        f"The session's {total} {unit} are rounded {way} to whole steps: "
        f"{moved} {unit} {change} here."
    )


def exact_text(quantity: int, scale: int) -> str:
    """A quantity over its scale as a plain decimal; the scale is a power of ten."""
    places = len(str(scale)) - 1
    if not places:
        return str(quantity)
    digits = str(abs(quantity)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return f"-{text}" if quantity < 0 else text


def _money(amount: str, currency: str) -> str:
    """A decimal at the currency's places: the figures in a sentence are those of the bill."""
    places = len(major_text(0, currency).partition(".")[2])
    whole, _, rest = amount.partition(".")
    kept = rest[:places].ljust(places, "0")
    if rest[places:].strip("0"):
        return amount.rstrip("0")
    return f"{whole}.{kept}" if places else whole


def driver_text(
    charge: Charge, tariffs: Tariff | Sequence[Tariff] | None = None, *, reasons: bool = False
) -> str:
    """The bill, amounts aligned; with ``reasons`` (which need the tariffs), why under each line."""
    zone = ZoneInfo(charge.time_zone)
    rows = [(line.text, _quantity(line, charge), _amount(line, charge)) for line in charge.lines]
    sums = [("Net", charge.net_minor)]
    for tax in charge.taxes:
        percent = f" {tax.percent} %" if tax.percent else ""
        exempt = f" (exempt: {tax.exempt})" if tax.exempt else ""
        sums.append((f"{tax.name}{percent}{exempt}", tax.tax_minor))
    sums.append(("Total", charge.total_minor))
    shown = [*rows, *((text, "", format_minor(minor, charge.currency)) for text, minor in sums)]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    names = ", ".join(
        each.name if each.name == each.id else f"{each.name} (tariff {each.id})"
        for each in charge.tariffs
    )
    out = [
        f"Session {charge.session_id}",
        names,
        f"{span_text(charge.started_at, charge.ended_at, zone)} ({charge.time_zone})",
        _facts(charge),
        *charge.terms.choice,
        "",
    ]
    for i, (text, quantity, amount) in enumerate(shown):
        if i == len(rows):
            out.append("-" * (sum(widths) + 4))
        out.append(f"{text:<{widths[0]}}  {quantity:<{widths[1]}}  {amount:>{widths[2]}}")
        if reasons and tariffs is not None and i < len(rows):
            out += _reasons(charge, charge.lines[i], tariffs, zone)
    if charge.free_reason:
        out += ["", f"Not charged: {charge.free_reason}."]
    if charge.warnings:
        out += ["", *(f"Note: {warning}" for warning in charge.warnings)]
    return "\n".join(out) + "\n"


def _amount(line: Line, charge: Charge) -> str:
    """The net; of what is nothing but tax, the tax, and that it is."""
    if line.net_minor or not line.tax_minor:
        return format_minor(line.net_minor, charge.currency)
    return f"tax {format_minor(line.tax_minor, charge.currency)}"


def _quantity(line: Line, charge: Charge) -> str:
    if not line.quantity_unit:
        return ""
    scale = charge.quantity_scale
    if line.kind is LineKind.NOTICE:
        return quantity_text(line.quantity, line.quantity_unit, scale)
    at = f" at {line.unit_price} {charge.currency}/{line.unit}"
    off = f" less {line.discount_percent} %" if line.discount_percent.strip("0.") else ""
    return quantity_text(line.billed_quantity, line.quantity_unit, scale) + at + off


def _facts(charge: Charge) -> str:
    times = [("charging", charge.charging_s), ("idle", charge.idle_s), ("paused", charge.pause_s)]
    spent = [f"{duration_text(seconds)} {what}" for what, seconds in times if seconds]
    energy = quantity_text(charge.energy, "Wh", charge.quantity_scale)
    return ", ".join([energy, *spent])


def _figures(charge: Charge, line: Line) -> list[str]:
    """Which element, what was used where that is not what is billed, and the tax on the line."""
    said = []
    if line.element >= 0:
        said.append(f"$.elements[{line.element}] of the tariff")
        if line.billed_quantity != line.quantity:
            scale = charge.quantity_scale
            used, billed = (
                quantity_text(each, line.quantity_unit, scale)
                for each in (line.quantity, line.billed_quantity)
            )
            said[0] += f": {used} used, {billed} billed"
    if line.tax_minor and line.net_minor:
        named = ", ".join(f"{name} {percent} %" for name, percent in line.taxes)
        said.append(f"{named or 'Tax'}: {format_minor(line.tax_minor, charge.currency)}")
    return [f"{fact}." for fact in said]


def _reasons(
    charge: Charge, line: Line, tariffs: Tariff | Sequence[Tariff], zone: ZoneInfo
) -> list[str]:
    out = [_INDENT + sentence for sentence in why(charge, line, tariffs)]
    out += [_INDENT + fact for fact in _figures(charge, line)]
    for part in evidence(charge, line):
        text = f"{span_text(part.from_at, part.to_at, zone)}"
        if part.from_register_wh is not None:
            text += f", register {part.from_register_wh} to {part.to_register_wh} Wh, {part.source}"
            text += f" within {part.error_wh} Wh" if part.error_wh else ""
        out.append(_INDENT + text)
    return out

"""The port for a tax engine outside: what it is asked, what it answers, and the answer on the bill.

A session is priced with ``Terms.assessed`` empty, which turns every other tax off; ``tax_request``
is made of that charge; the engine's answer goes into ``Terms.assessed``, and the same session is
priced again. Guarantees: the answer's amounts are the bill's to the smallest unit, whatever the
tariff's rounding; each is spread over the lines of its dimension. Calls nobody: an adapter does.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from wattledger.errors import BadInput
from wattledger.money import exponent
from wattledger.rating.model import Charge, Line, LineKind, TaxAmount
from wattledger.rating.rates import STREAM_OF, STREAMS
from wattledger.rating.terms import Assessed, Terms
from wattledger.rating.words import cap_text
from wattledger.tariffs.model import Dimension, TaxIncluded

_CAPS = {cap_text(dimension): dimension for dimension in Dimension}
_STREAMS = {dimension.value: STREAMS[STREAM_OF[dimension]] for dimension in Dimension}
_FEE = STREAMS[-1]


class TaxLine(msgspec.Struct, frozen=True):
    """A line of the bill: ``number`` is its place there, ``amount_minor`` what it costs.

    ``dimension`` is ``energy``, ``charging_time``, ``idle_time``, ``flat``, ``reservation_time``,
    ``reservation_flat`` (a cap is in its own), ``fee``, ``minimum``, ``maximum`` or ``rounding``.
    """

    number: int
    dimension: str
    text: str
    amount_minor: int
    quantity: str = ""


class TaxRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an engine has to know, as plain data: ``msgspec.json.encode`` makes JSON of it.

    Amounts are before taxes, unless ``tax_included``: then the tax is to be taken out of them.
    ``date`` is that of the place at the end of the supply. ``place`` is where the charge point is,
    in the words that the engine's adapter understands ("US-CA").
    """

    reference: str
    currency: str
    date: str
    lines: tuple[TaxLine, ...]
    place: str | None = None
    customer_class: str = "consumer"
    exemption: str | None = None
    tax_included: bool = False


class TaxAssessment(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer; ``reference`` is what the engine calls it."""

    taxes: tuple[Assessed, ...]
    reference: str | None = None


class TaxEngine(Protocol):
    """Whoever knows the taxes of a place."""

    def assess(self, request: TaxRequest) -> TaxAssessment:
        """The taxes on what is asked about, each on all lines of a dimension."""
        ...


def unassessed(terms: Terms) -> Terms:
    """The terms under which a session is priced for an engine to be asked."""
    return msgspec.structs.replace(terms, assessed=())


def with_assessment(terms: Terms, assessment: TaxAssessment) -> Terms:
    """The terms under which it is priced then."""
    return msgspec.structs.replace(terms, assessed=assessment.taxes)


def tax_request(
    charge: Charge,
    *,
    place: str | None = None,
    customer_class: str = "consumer",
    exemption: str | None = None,
    tax_included: bool = False,
) -> TaxRequest:
    """What to ask about a charge. Raises BadInput for one that has taxes on it already."""
    if charge.terms.assessed != () or charge.tax_minor:
        raise BadInput("$.charge.taxes", charge.tax_minor, "a charge priced with no assessed taxes")
    lines = tuple(
        TaxLine(number, dimension, line.text, line.total_minor, _quantity(line, charge))
        for number, line in enumerate(charge.lines)
        if (dimension := dimension_of(line)) is not None
    )
    return TaxRequest(
        reference=charge.session_id,
        currency=charge.currency,
        date=charge.ended_at.astimezone(ZoneInfo(charge.time_zone)).date().isoformat(),
        lines=lines,
        place=place,
        customer_class=customer_class,
        exemption=exemption,
        tax_included=tax_included,
    )


def dimension_of(line: Line) -> str | None:
    """What a line is, for taxes: a cap is its dimension's; None for a notice, which is nothing."""
    if line.kind is LineKind.NOTICE:
        return None
    if line.kind is LineKind.CAP:
        return _CAPS[line.text].value
    return line.kind.value


def _quantity(line: Line, charge: Charge) -> str:
    if not line.quantity_unit:
        return ""
    scale = "" if charge.quantity_scale == 1 else f"/{charge.quantity_scale}"
    return f"{line.billed_quantity}{scale} {line.quantity_unit}"


def put_on(charge: Charge, assessed: Sequence[Assessed], included: TaxIncluded) -> Charge:
    """The charge with the assessed taxes on it, or in it where prices contain their taxes.

    Raises BadInput for a tax on a dimension that no line has.
    """
    taxes = [0] * len(charge.lines)
    named: list[list[tuple[str, str]]] = [[] for _ in charge.lines]
    by_name: dict[tuple[str, str | None], int] = {}
    for i, tax in enumerate(assessed):
        mine = [n for n, line in enumerate(charge.lines) if dimension_of(line) == tax.dimension]
        if not mine:
            known = {d for line in charge.lines if (d := dimension_of(line)) is not None}
            expected = f"a dimension of the bill ({', '.join(sorted(known)) or 'it has none'})"
            raise BadInput(f"$.terms.assessed[{i}].dimension", tax.dimension, expected)
        parts = _shares(tax.tax_minor, [charge.lines[n].total_minor for n in mine])
        for n, part in zip(mine, parts, strict=True):
            taxes[n] += part
            named[n].append((tax.name, tax.percent or ""))
        key = (tax.name, tax.percent)
        by_name[key] = by_name.get(key, 0) + tax.tax_minor
    whole = sum(taxes)
    inside = whole if included is TaxIncluded.YES else 0
    before, after, denominator = (int(text) for text in charge.exact)
    minor = denominator // _per_major(charge)
    return msgspec.structs.replace(
        charge,
        lines=tuple(
            _taxed(line, tax, tuple(names), included)
            for line, tax, names in zip(charge.lines, taxes, named, strict=True)
        ),
        net_minor=charge.net_minor - inside,
        tax_minor=whole,
        total_minor=charge.total_minor - inside + whole,
        exact=(str(before - inside * minor), str(after + (whole - inside) * minor),
               str(denominator)),
        taxes=tuple(TaxAmount(n, amount, percent) for (n, percent), amount in by_name.items()),
        streams=_streams(charge, taxes) if inside else charge.streams,
    )  # fmt: skip


def _taxed(line: Line, tax: int, names: tuple[tuple[str, str], ...], included: TaxIncluded) -> Line:
    if not names:
        return line
    inside = tax if included is TaxIncluded.YES else 0
    return msgspec.structs.replace(
        line,
        net_minor=line.net_minor - inside,
        tax_minor=tax,
        total_minor=line.total_minor - inside + tax,
        taxes=names,
    )


def _streams(charge: Charge, taxes: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Revenue without the tax that was in it."""
    left = dict(charge.streams)
    for line, tax in zip(charge.lines, taxes, strict=True):
        left[_STREAMS.get(dimension_of(line) or "", _FEE)] -= tax
    return tuple(left.items())


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in proportion to ``weights``, of either sign: largest remainder, a tie to the
    earlier. With no weight at all the first takes everything."""
    whole = sum(weights)
    if whole == 0:
        return [total] + [0] * (len(weights) - 1)
    exact = [Fraction(total * weight, whole) for weight in weights]
    parts = [floor(each) for each in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _per_major(charge: Charge) -> int:
    places: int = 10 ** exponent(charge.currency)
    return places

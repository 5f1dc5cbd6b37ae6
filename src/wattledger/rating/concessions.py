"""What is given back of a session that was priced: lines below zero, at the taxes it was charged.

Everything happens to a finished charge, so the same facts, tariff and terms give the same bytes.
A line is given back with exactly its own net and tax. An amount is spread over the tax groups (the
lines with the same taxes) in proportion to what they cost with tax: largest remainder, a tie to the
group that comes first on the bill; within a group the tax is rounded half up and the net is what is
left, so that the parts sum to the amount to the smallest unit. Nothing is given back twice: what
comes to more than is left is what is left. A correction takes back the revenue of its lines;
goodwill leaves it as it is and is a stream of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from wattledger.errors import BadInput
from wattledger.money import allocate, divide, exponent
from wattledger.rating.assessment import dimension_of
from wattledger.rating.model import Charge, Line, LineKind, TaxAmount
from wattledger.rating.rates import STREAM_OF, STREAMS
from wattledger.rating.terms import Concession
from wattledger.tariffs.model import Dimension

GOODWILL = "goodwill"
"""The stream of what is given without being owed."""
_STREAM = {
    **{dimension.value: STREAMS[STREAM_OF[dimension]] for dimension in Dimension},
    LineKind.FEE.value: STREAMS[-1],
    LineKind.EXCISE.value: STREAMS[0],
}
_ANYTHING = (LineKind.MINIMUM, LineKind.MAXIMUM, LineKind.ROUNDING)
Taxes = tuple[tuple[str, str], ...]


def with_concessions(charge: Charge, concessions: Sequence[Concession]) -> Charge:
    """``charge``, priced without any, as its terms with these price it."""
    terms = msgspec.structs.replace(charge.terms, concessions=tuple(concessions))
    return conceded(msgspec.structs.replace(charge, terms=terms))


def conceded(charge: Charge) -> Charge:
    """The charge with what its terms give back of it.

    Raises BadInput for a line that is not there, or that costs nothing.
    """
    left = _Left(charge)
    for i, concession in enumerate(charge.terms.concessions):
        left.give(concession, f"$.terms.concessions[{i}].lines")
    return left.charge()


def one_more(charge: Charge, concession: Concession) -> Charge:
    """A charge that may have given back something already, with one concession more: the very
    bytes that all of them together give, and without pricing it again."""
    kept = charge.terms.concessions
    left = _Left(charge)
    left.give(concession, f"$.terms.concessions[{len(kept)}].lines")
    terms = msgspec.structs.replace(charge.terms, concessions=(*kept, concession))
    return msgspec.structs.replace(left.charge(), terms=terms)


def carried(before: Charge, after: Charge) -> tuple[Concession, ...]:
    """The concessions of ``before`` for ``after``, the same session priced anew without any.

    A line is found again by what it is, wherever it stands now; where it is not there any more,
    what was given back of it stays given, as an amount.
    """
    found: list[Concession] = []
    taken: set[int] = set()
    for concession in before.terms.concessions:
        numbers: list[int] = []
        gone = 0
        for number in concession.lines:
            old = before.lines[number - 1]
            place = next(
                (i for i, line in enumerate(after.lines)
                 if i not in taken and line.total_minor > 0 and _is(line) == _is(old)), None,
            )  # fmt: skip
            if place is None:
                gone += old.total_minor
            else:
                taken.add(place)
                numbers.append(place + 1)
        if numbers or not concession.lines:
            found.append(msgspec.structs.replace(concession, lines=tuple(numbers)))
        if gone:
            found.append(Concession(concession.text, concession.kind, amount=gone))
    return tuple(found)


def _is(line: Line) -> object:
    return line.kind, line.text, line.tariff, line.element, line.unit_price


class _Left:
    """What of a charge has not been given back yet."""

    def __init__(self, charge: Charge) -> None:
        self._priced = charge
        self._net, self._tax = charge.net_minor, charge.tax_minor
        self._taxes = [tax.tax_minor for tax in charge.taxes]
        self._streams = dict(charge.streams)
        # By the taxes of the lines, in the order of the bill: net and tax.
        self._groups: dict[Taxes, list[int]] = {}
        for line in charge.lines:
            group = self._groups.setdefault(line.taxes, [0, 0])
            group[0] += line.net_minor
            group[1] += line.tax_minor
        self._given: list[Line] = []

    @property
    def _total(self) -> int:
        return self._net + self._tax

    def give(self, concession: Concession, path: str) -> None:
        """All that a concession gives."""
        if concession.whole:
            self._give_rest(concession)
        elif concession.amount is not None:
            self._give_amount(concession, concession.amount)
        for number in concession.lines:
            self._give_line(concession, number, path)

    def _give_line(self, concession: Concession, number: int, path: str) -> None:
        """One line, or what is left of its taxes' group, or of all."""
        lines = self._priced.lines
        if not 1 <= number <= len(lines) or lines[number - 1].total_minor <= 0:
            raise BadInput(path, number, f"a line that costs something, of 1 to {len(lines)}")
        line = lines[number - 1]
        net, tax = self._groups[line.taxes]
        most = min(line.total_minor, net + tax, self._total)
        if most <= 0:
            return
        if most == self._total:
            self._give_rest(concession, line)
        elif most == line.total_minor:
            self._give(concession, line.taxes, line.net_minor, line.tax_minor, line)
        else:
            self._give(concession, line.taxes, *_split(most, net, tax), line)

    def _give_amount(self, concession: Concession, amount: int) -> None:
        """An amount with its taxes."""
        if amount >= self._total:
            self._give_rest(concession)
            return
        groups = [(taxes, net, tax) for taxes, (net, tax) in self._groups.items() if net + tax > 0]
        shares = allocate(amount, [net + tax for _, net, tax in groups])
        for share, (taxes, net, tax) in zip(shares, groups, strict=True):
            if share:
                self._give(concession, taxes, *_split(share, net, tax))

    def _give_rest(self, concession: Concession, line: Line | None = None) -> None:
        """All that is left, to the smallest unit."""
        for taxes, (net, tax) in list(self._groups.items()):
            if net or tax:
                self._give(concession, taxes, net, tax, line)
        self._taxes = [0] * len(self._taxes)

    def _give(
        self, concession: Concession, taxes: Taxes, net: int, tax: int, line: Line | None = None
    ) -> None:
        text = f"{concession.text}: {line.text}" if line else concession.text
        tariff = line.tariff if line else 0
        self._given.append(
            Line(LineKind.CONCESSION, text, -net, -tax, -net - tax, taxes=taxes, tariff=tariff)
        )
        group = self._groups[taxes]
        group[0] -= net
        group[1] -= tax
        self._net -= net
        self._tax -= tax
        self._take_tax(taxes, tax)
        self._take_revenue(concession, net, line)

    def _take_tax(self, taxes: Taxes, tax: int) -> None:
        """Off the taxes of the group, by their percents; off all where it names none."""
        if not tax or not self._taxes:
            return
        named = [
            (i, percent) for name, percent in taxes for i, each in enumerate(self._priced.taxes)
            if each.exempt is None and (each.name, each.percent) == (name, _shown(percent))
        ]  # fmt: skip
        places = [i for i, _ in named] or list(range(len(self._taxes)))
        weights = [_weight(percent) for _, percent in named]
        if not named:
            weights = [max(minor, 0) for minor in self._taxes]
        for place, part in zip(places, allocate(tax, weights), strict=True):
            self._taxes[place] -= part

    def _take_revenue(self, concession: Concession, net: int, line: Line | None) -> None:
        if concession.kind == GOODWILL:
            self._streams[GOODWILL] = self._streams.get(GOODWILL, 0) - net
            return
        if line is not None and line.kind not in _ANYTHING:
            self._streams[_STREAM[dimension_of(line) or STREAMS[-1]]] -= net
            return
        revenue = [stream for stream in self._streams if stream != GOODWILL]
        weights = [max(self._streams[stream], 0) for stream in revenue]
        for stream, part in zip(revenue, allocate(net, weights), strict=True):
            self._streams[stream] -= part

    def charge(self) -> Charge:
        """What is left of it, with the lines that say what was given."""
        priced = self._priced
        before, after, denominator = (int(text) for text in priced.exact)
        places: int = 10 ** exponent(priced.currency)
        minor = denominator // places
        net = priced.net_minor - self._net
        total = priced.total_minor - self._total
        return msgspec.structs.replace(
            priced,
            lines=(*priced.lines, *self._given),
            net_minor=self._net,
            tax_minor=self._tax,
            total_minor=self._total,
            exact=(str(before - net * minor), str(after - total * minor), str(denominator)),
            taxes=tuple(
                TaxAmount(tax.name, left, tax.percent, tax.exempt)
                for tax, left in zip(priced.taxes, self._taxes, strict=True)
            ),
            streams=tuple(self._streams.items()),
        )


def _split(share: int, net: int, tax: int) -> tuple[int, int]:
    """Net and tax of a part of a group."""
    of_tax = divide(share * tax, net + tax)
    return share - of_tax, of_tax


def _shown(percent: str) -> str | None:
    """As the bill's sum of a tax says it (``closing``): none for one that is per kWh."""
    return None if not percent or percent.endswith("/kWh") else percent


def _weight(percent: str) -> int:
    shown = _shown(percent)
    return int(Fraction(shown) * 10**6) if shown else 1

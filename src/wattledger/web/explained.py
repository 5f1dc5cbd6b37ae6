"""The lines of a bill as the page shows them: what, why, from which readings, and when."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wattledger.errors import BadInput
from wattledger.rating import Evidence, Line, evidence, why
from wattledger.tariffs import Tariff, read_tariff
from wattledger.web.bill import Bill
from wattledger.web.curve import second_of


class Explained(msgspec.Struct, frozen=True):
    """A line with all that is rendered from the charge and its tariff."""

    line: Line
    evidence: tuple[Evidence, ...]
    why: tuple[str, ...]

    @property
    def from_at(self) -> datetime:
        """The beginning of the first stretch; only where there is evidence."""
        return self.evidence[0].from_at

    @property
    def to_at(self) -> datetime:
        """The end of the last stretch; only where there is evidence."""
        return self.evidence[-1].to_at

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """When it was earned, for its mark in the chart."""
        return [(second_of(piece.from_at), second_of(piece.to_at)) for piece in self.evidence]


def explained(bill: Bill) -> list[Explained]:
    """All lines in their order; without reasons where the tariff's version is not there."""
    charge = bill.charge
    if charge is None:
        return []
    tariff = _tariff(bill)
    return [
        Explained(line, evidence(charge, line), why(charge, line, tariff) if tariff else ())
        for line in charge.lines
    ]


def _tariff(bill: Bill) -> Tariff | None:
    """The tariff that the charge names, as it was stored."""
    try:
        tariff = read_tariff(bill.tariff, "$")
    except BadInput:
        return None
    return tariff if bill.charge is not None and tariff.id == bill.charge.tariff_id else None

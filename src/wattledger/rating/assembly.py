"""Drafts become the lines of a bill: amounts, caps, notices."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from math import lcm

import msgspec

from wattledger.rating import words
from wattledger.rating.compiled import Compiled
from wattledger.rating.drafts import Draft
from wattledger.rating.model import Line, LineKind
from wattledger.rating.notices import NOTICES, Notice
from wattledger.rating.notices import ORDER as NOTICE_ORDER
from wattledger.rating.rates import BASE_UNITS, Rate
from wattledger.rating.sections import Section
from wattledger.rating.sums import Exact, Sums
from wattledger.rating.taxes import TaxKey
from wattledger.rating.terms import Terms
from wattledger.tariffs.model import TaxIncluded
from wattledger.tariffs.policies import RoundingLevel

Taxes = tuple[tuple[str, str], ...]
"""Names and percents."""
FEE = 3
"""The stream of what belongs to no dimension."""


# Bound once: looking a member up on its enumeration costs Python 3.11 as much as a call.
_TAX_RATE = RoundingLevel.TAX_RATE
_NOTICE = LineKind.NOTICE
_FREE_ENERGY = Notice.FREE_ENERGY


class Header(msgspec.Struct, frozen=True):
    """What is known of a session beside what is priced."""

    session_id: str
    time_zone: str
    started_at: datetime
    ended_at: datetime
    energy: int
    scale: int
    terms: Terms
    warnings: tuple[str, ...] = ()


class Bill:
    """Collects lines and sums; ``charge`` closes it."""

    def __init__(self, sections: list[Section], compiled: list[Compiled], header: Header) -> None:
        self.sections = sections
        self.compiled = compiled
        self.header = header
        self.main = compiled[0]
        self.terms = header.terms
        self.tariff = self.main.tariff
        self.policies = self.tariff.policies
        if len(compiled) == 1:
            self.factors = [1]
            known = self.main.sums.get(header.scale)
            if known is None:
                whole = self.main.denominator * header.scale
                known = Sums(whole, self.tariff.currency, self.policies)
                self.main.sums[header.scale] = known
            self.sums = known
        else:
            common = lcm(*(each.denominator for each in compiled))
            self.factors = [common // each.denominator for each in compiled]
            self.sums = Sums(common * header.scale, self.tariff.currency, self.policies)
        self.lines: list[Line] = []
        # Exact, over the sums' whole.
        self.before: Exact = 0
        self.after: Exact = 0
        self.taxes: dict[TaxKey, Exact] = {}
        by_rate = self.policies.rounding_level is _TAX_RATE
        self.by_rate: dict[Taxes, list[Exact]] | None = {} if by_rate else None
        # What the lines say, rounded.
        self.net = 0
        self.total = 0
        self.streams = [0, 0, 0, 0]
        self.warnings = list(header.warnings)

    # --- what was used ---------------------------------------------------------------------

    def add(self, drafts: list[Draft]) -> None:
        """Every draft a line, in the order of a bill; a cap under the last of its dimension."""
        drafts.sort(key=_bill_order)
        capped = any(each.caps for each in self.compiled)
        for i, draft in enumerate(drafts):
            if draft.rate is None:
                self._notice(draft)
                continue
            self._priced(draft, draft.rate)
            if capped and all(
                later.rate is None
                or later.rate.kind is not draft.rate.kind
                or later.tariff != draft.tariff
                for later in drafts[i + 1 :]
            ):
                self._cap(draft, draft.rate, drafts)

    def _priced(self, draft: Draft, rate: Rate) -> None:
        billed = draft.quantity + draft.step_quantity
        weight = billed * self.factors[draft.tariff]
        before, after = rate.before * weight, rate.after * weight
        net, tax, total = self.sums.whole_sides(before, after)
        # By position: this is made for every line of every charge.
        self.lines.append(
            Line(
                rate.kind, rate.text, net, tax, total, draft.quantity, billed, rate.base_unit,
                rate.unit, rate.unit_price, rate.discount_percent, rate.taxes, draft.tariff,
                rate.element, draft.step_quantity, draft.step_total, "", tuple(draft.uses),
            )
        )  # fmt: skip
        taxes = self.taxes
        for key, share in rate.shares:
            taxes[key] = taxes.get(key, 0) + share * weight
        if self.by_rate is None:
            self.before += before
            self.after += after
            self.net += net
            self.total += total
            self.streams[rate.stream] += net
        else:
            self._sum(before, after, rate.taxes, net, total, rate.stream)

    def _sum(
        self, before: Exact, after: Exact, taxes: Taxes, net: int, total: int, stream: int
    ) -> None:
        self.before += before
        self.after += after
        self.net += net
        self.total += total
        self.streams[stream] += net
        if self.by_rate is not None:
            group = self.by_rate.setdefault(taxes, [0, 0])
            group[0] += before
            group[1] += after

    def _notice(self, draft: Draft) -> None:
        assert draft.notice is not None, "a draft without a rate is a notice"
        text, unit = NOTICES[draft.notice][0], "s"
        if draft.draw is not None:
            text = words.included_text(draft.draw.dimension, draft.draw.text)
            unit = BASE_UNITS[draft.draw.dimension]
        elif draft.notice in (_FREE_ENERGY, Notice.NO_TARIFF):
            unit = "Wh"
        self.lines.append(
            Line(
                _NOTICE, text, 0, 0, 0, draft.quantity, 0, unit, tariff=draft.tariff,
                uses=tuple(draft.uses),
            )
        )  # fmt: skip

    def _cap(self, last: Draft, rate: Rate, drafts: list[Draft]) -> None:
        compiled = self.compiled[last.tariff]
        dimension = rate.dimension
        if dimension not in compiled.caps:
            return
        before = after = 0
        shares_of: dict[TaxKey, int] = {}
        factor_ = self.factors[last.tariff]
        for draft in drafts:
            each = draft.rate
            if each is not None and each.kind is rate.kind and draft.tariff == last.tariff:
                weight = (draft.quantity + draft.step_quantity) * factor_
                before += each.before * weight
                after += each.after * weight
                for key, share in each.shares:
                    shares_of[key] = shares_of.get(key, 0) + share * weight
        cap = compiled.caps[dimension] * factor_ * self.header.scale
        due = after if compiled.tariff.tax_included is TaxIncluded.YES else before
        if due <= cap:
            return
        off = Fraction(cap - due, due)
        for key, share in shares_of.items():
            self.taxes[key] += share * off
        self.adjust(
            LineKind.CAP, words.cap_text(dimension), before * off, after * off,
            due=self.sums.text(due), taxes=rate.taxes, stream=rate.stream, tariff=last.tariff,
        )  # fmt: skip

    def adjust(
        self, kind: LineKind, text: str, before: Exact, after: Exact, *, due: str = "",
        taxes: Taxes = (), stream: int = FEE, tariff: int = 0, energy: int = 0, price: str = "",
    ) -> None:  # fmt: skip
        """A line that no rate made; with ``energy``, at ``price`` per kWh."""
        net, tax, total = self.sums.sides(before, after)
        unit, base = ("kWh", "Wh") if energy else ("", "")
        self.lines.append(
            Line(
                kind, text, net, tax, total, energy, energy, base, unit, price, taxes=taxes,
                tariff=tariff, due=due,
            )
        )  # fmt: skip
        self._sum(before, after, taxes, net, total, stream)

    def release(self, reason: str, energy: int) -> None:
        """The line that says what is not charged, with what energy there was."""
        self.lines.append(
            Line(
                kind=_NOTICE,
                text="Not charged",
                net_minor=0,
                tax_minor=0,
                total_minor=0,
                quantity=energy,
                quantity_unit="Wh",
                due=reason,
            )
        )  # fmt: skip


def _bill_order(draft: Draft) -> tuple[int, int, int]:
    """Reservation, fee, energy, charging time, idle, pauses; within each in time order."""
    if draft.rate is not None:
        return draft.rate.order, draft.uses[0][0], draft.rate.element
    assert draft.notice is not None, "a draft without a rate is a notice"
    return NOTICE_ORDER[draft.notice], draft.uses[0][0], -1

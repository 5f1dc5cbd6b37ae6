"""Periods gathered into drafts of lines: how much of what, at which rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from wattledger.rating.compiled import Compiled, Rate
from wattledger.rating.periods import Knot, Period
from wattledger.sessions.model import Activity
from wattledger.tariffs.model import Dimension, StepRounding


class Notice(StrEnum):
    """What costs nothing and is said all the same."""

    FREE_ENERGY = "free_energy"
    GRACE = "grace"
    FREE_IDLE = "free_idle"
    IDLE_AFTER_STOP = "idle_after_stop"
    PAUSE = "pause"


@dataclass(slots=True)
class Run:
    """One uninterrupted stretch of a draft."""

    start: Knot
    end: Knot
    quantity: int


@dataclass(slots=True)
class Draft:
    """A line to be: of a component, or a notice, which has no rate and no element.

    ``step_quantity`` is what rounding to steps added (or took away) and ``step_total`` the
    session's total of the dimension it was taken on.
    """

    kind: Dimension | Notice
    element: int = -1
    rate: Rate | None = None
    quantity: int = 0
    step_quantity: int = 0
    step_total: int = 0
    runs: list[Run] = field(default_factory=list)

    @property
    def matters(self) -> bool:
        """Whether there is any quantity or time in it."""
        return self.quantity > 0 or any(run.end.at_s > run.start.at_s for run in self.runs)

    @property
    def billed(self) -> int:
        return self.quantity + self.step_quantity

    @property
    def amount(self) -> int:
        """The net, in parts of the smallest unit over the tariff's denominator."""
        return self.rate.per_unit * self.billed if self.rate else 0


class Gathering:
    """Collects periods in time order into one draft per component, and per kind of notice."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self._drafts: dict[tuple[Dimension | Notice, int], Draft] = {}
        self._uses: dict[Dimension, list[tuple[Draft, int]]] = {}

    def add(self, period: Period) -> None:
        """The period's energy, its time, and the flat fee if this is where it becomes active."""
        self._add_energy(period)
        flat = period.chosen.get(Dimension.FLAT)
        if flat is not None and Dimension.FLAT not in self._uses:
            self._price(period, Dimension.FLAT, flat, 1)
        if period.activity is Activity.CHARGING:
            self._add_time(period, Dimension.CHARGING_TIME)
        elif period.activity is Activity.CHARGER_PAUSE:
            self._note(period, Notice.PAUSE, period.duration_s)
        elif period.after_stop and not self.compiled.tariff.policies.idle_after_stop:
            self._note(period, Notice.IDLE_AFTER_STOP, period.duration_s)
        elif not self._add_time(period, Dimension.IDLE_TIME):
            waiting = any(
                Dimension.IDLE_TIME in rates and rules.min_idle_s > period.idle_s
                for rules, rates in zip(self.compiled.rules, self.compiled.rates, strict=True)
            )
            notice = Notice.GRACE if waiting else Notice.FREE_IDLE
            self._note(period, notice, period.duration_s)

    def drafts(self) -> list[Draft]:
        """What was gathered, steps applied, in the order of a bill."""
        for uses in self._uses.values():
            _apply_step(uses, self.compiled.tariff.policies.step_rounding)
        return sorted((d for d in self._drafts.values() if d.matters), key=_bill_order)

    def _add_energy(self, period: Period) -> None:
        element = period.chosen.get(Dimension.ENERGY)
        charging = period.activity is Activity.CHARGING
        if element is not None and (period.energy_wh or charging):
            self._price(period, Dimension.ENERGY, element, period.energy_wh)
        elif element is None and (
            period.energy_wh or (charging and Dimension.CHARGING_TIME not in period.chosen)
        ):
            self._note(period, Notice.FREE_ENERGY, period.energy_wh)

    def _add_time(self, period: Period, dimension: Dimension) -> bool:
        element = period.chosen.get(dimension)
        if element is not None:
            self._price(period, dimension, element, period.duration_s)
        return element is not None

    def _price(self, period: Period, dimension: Dimension, element: int, quantity: int) -> None:
        rate = self.compiled.rates[element][dimension]
        draft = self._drafts.setdefault((dimension, element), Draft(dimension, element, rate))
        _extend(draft, period, quantity)
        self._uses.setdefault(dimension, []).append((draft, quantity))

    def _note(self, period: Period, notice: Notice, quantity: int) -> None:
        draft = self._drafts.setdefault((notice, -1), Draft(notice))
        _extend(draft, period, quantity)


def _extend(draft: Draft, period: Period, quantity: int) -> None:
    draft.quantity += quantity
    if draft.runs and draft.runs[-1].end is period.start:
        draft.runs[-1].end = period.end
        draft.runs[-1].quantity += quantity
    else:
        draft.runs.append(Run(period.start, period.end, quantity))


def _apply_step(uses: Iterable[tuple[Draft, int]], rounding: StepRounding) -> None:
    """Round the session's total of a dimension to the step of the last component in use.

    What is missing is billed at that component's price (OCPI); what is too much is taken off
    from the last use backwards.
    """
    used = [(draft, quantity) for draft, quantity in uses if quantity]
    if not used:
        return
    last = used[-1][0]
    step = last.rate.component.step if last.rate else 1
    total = sum(quantity for _, quantity in used)
    beyond = total % step
    if not beyond:
        return
    last.step_total = total
    if rounding is StepRounding.UP:
        last.step_quantity += step - beyond
        return
    for draft, quantity in reversed(used):
        taken = min(beyond, quantity)
        draft.step_quantity -= taken
        draft.step_total = total
        beyond -= taken
        if not beyond:
            break


_ORDER: dict[Dimension | Notice, int] = {
    Dimension.FLAT: 0,
    Dimension.ENERGY: 1,
    Notice.FREE_ENERGY: 1,
    Dimension.CHARGING_TIME: 2,
    Dimension.IDLE_TIME: 3,
    Notice.GRACE: 3,
    Notice.FREE_IDLE: 3,
    Notice.IDLE_AFTER_STOP: 3,
    Notice.PAUSE: 4,
}


def _bill_order(draft: Draft) -> tuple[int, int, int]:
    """Fee, energy, charging time, idle, pauses; within each in time order."""
    return _ORDER[draft.kind], draft.runs[0].start.at_s, draft.element

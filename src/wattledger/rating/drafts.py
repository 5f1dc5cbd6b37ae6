"""Sections gathered into drafts of lines: how much of what, at which rate; steps applied."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wattledger.rating.compiled import Compiled
from wattledger.rating.moments import CELL, IDLE_S, IDLE_WHOLE_S
from wattledger.rating.notices import Notice
from wattledger.rating.rates import Rate
from wattledger.rating.sections import RESERVED, SECOND, WAITING, Section
from wattledger.rating.terms import Draw
from wattledger.sessions.model import Activity
from wattledger.tariffs.model import RESERVED as RESERVATION_DIMENSIONS
from wattledger.tariffs.model import Dimension
from wattledger.tariffs.policies import (
    FlatTimes,
    Policies,
    StepBase,
    StepReservation,
    StepRounding,
    StepTime,
)

# Bound once: looking a member up on its enumeration costs Python 3.11 as much as a call.
_ENERGY = Dimension.ENERGY
_CHARGING_TIME = Dimension.CHARGING_TIME
_IDLE_TIME = Dimension.IDLE_TIME
_RESERVATION_TIME = Dimension.RESERVATION_TIME
_FLAT = Dimension.FLAT
_CHARGER_PAUSE = Activity.CHARGER_PAUSE
_ONCE_A_SESSION = FlatTimes.ONCE_A_SESSION
_UP = StepRounding.UP
_IDLE_IF_ANY = StepTime.IDLE_IF_ANY
_ALL = StepBase.ALL


class Draft(msgspec.Struct, gc=False):
    """A line to be: of a rate, or a notice, which has none.

    ``step_quantity`` is what rounding to steps added (or took away) and ``step_total`` the
    quantity it was taken on. ``uses`` are (section, quantity).
    """

    tariff: int
    rate: Rate | None
    notice: Notice | None = None
    draw: Draw | None = None
    quantity: int = 0
    step_quantity: int = 0
    step_total: int = 0
    uses: list[tuple[int, int]] = []


class Gathering:
    """Collects sections in time order into one draft per rate, and per kind of notice."""

    def __init__(
        self, compiled: list[Compiled], policies: Policies, draws: Sequence[Draw], scale: int
    ) -> None:
        self.compiled = compiled
        self.policies = policies
        self.priced: dict[Rate, Draft] = {}
        self.notices: dict[tuple[Notice, Draw | None, int], Draft] = {}
        # Both for the steps: the drafts of a dimension, and how much of it nothing prices.
        self.by_dimension: dict[Dimension, list[Draft]] = {}
        self.unpriced: dict[Dimension, int] = {}
        # With what is left of each; several of one dimension are used up one after the other.
        self._draws = [(draw, [draw.quantity * scale]) for draw in draws]
        self._flat: dict[Dimension, set[Rate]] = {}
        self._scale = scale

    def all(self) -> list[Draft]:
        """Every draft."""
        return [*self.priced.values(), *self.notices.values()]

    def add_all(self, sections: list[Section]) -> None:
        """Every section, with its energy, its time, and the flat fee that begins with it."""
        once = self.policies.flat is _ONCE_A_SESSION
        for index, section in enumerate(sections):
            if section.tariff < 0:
                if section.energy:
                    self._note(index, section, Notice.NO_TARIFF, section.energy)
                continue
            if section.reserved is not None:
                self._reserved(index, section)
                if section.activity == RESERVED:
                    continue
            if not once or _FLAT not in self._flat:
                rate = self.compiled[section.tariff].select(_FLAT, section.moment)
                if rate is not None:
                    self._flat_once(index, section, _FLAT, rate)
            self._used(index, section)
            if section.idle is not None:
                self._idle(index, section, section.idle)
            elif section.charging is not None:
                continue
            elif section.activity == _CHARGER_PAUSE:
                self._note(index, section, Notice.PAUSE, self._length(section))
            elif section.activity == WAITING:
                self._note(index, section, Notice.WAITING, self._length(section))

    def _length(self, section: Section) -> int:
        return (section.to_at - section.from_at) // SECOND * self._scale

    def _used(self, index: int, section: Section) -> None:
        """Energy and charging time."""
        compiled, at = self.compiled[section.tariff], section.moment
        energy, charging = section.energy, section.charging
        time_rate = None
        if charging is not None:
            time_rate = compiled.select(_CHARGING_TIME, at)
        if energy is not None:
            rate = compiled.select(_ENERGY, at)
            if rate is not None:
                if energy or charging is not None:
                    self._price(index, section, rate, energy)
            elif energy or (charging is not None and time_rate is None):
                self._note(index, section, Notice.FREE_ENERGY, energy)
                self._unpriced(_ENERGY, energy)
        if charging is not None:
            if time_rate is not None:
                self._price(index, section, time_rate, charging)
            elif charging:
                self._unpriced(_CHARGING_TIME, charging)

    def _idle(self, index: int, section: Section, quantity: int) -> None:
        if section.after_stop and not self.policies.idle_after_stop:
            self._note(index, section, Notice.IDLE_AFTER_STOP, quantity)
            return
        compiled = self.compiled[section.tariff]
        rate = compiled.select(_IDLE_TIME, section.moment)
        if rate is not None:
            self._price(index, section, rate, quantity)
            return
        measure = IDLE_WHOLE_S if compiled.looks_back else IDLE_S
        notice = Notice.FREE_IDLE
        if section.moment[measure] < compiled.first_idle_s:
            notice = Notice.GRACE
        self._note(index, section, notice, quantity)
        self._unpriced(_IDLE_TIME, quantity)

    def _reserved(self, index: int, section: Section) -> None:
        quantity = section.reserved or 0
        priced = False
        for dimension in RESERVATION_DIMENSIONS:
            rate = self._reservation_rate(section, dimension)
            if rate is None:
                continue
            priced = True
            if dimension is _RESERVATION_TIME:
                self._price(index, section, rate, quantity)
            else:
                self._flat_once(index, section, dimension, rate)
        if not priced:
            self._note(index, section, Notice.RESERVED, quantity)

    def _reservation_rate(self, section: Section, dimension: Dimension) -> Rate | None:
        compiled = self.compiled[section.tariff]
        if not section.expired:
            return compiled.select(dimension, section.moment)
        for rates in compiled.expired:
            table = rates.get(dimension)
            for rate in table[section.moment[CELL]] if table else ():
                if rate.matches(section.moment):
                    return rate
        return None

    def _flat_once(self, index: int, section: Section, dimension: Dimension, rate: Rate) -> None:
        billed = self._flat.setdefault(dimension, set())
        if rate in billed or (billed and self.policies.flat is _ONCE_A_SESSION):
            return
        billed.add(rate)
        draft = self.priced[rate] = Draft(section.tariff, rate)
        draft.quantity = self._scale
        draft.uses.append((index, self._scale))

    def _price(self, index: int, section: Section, rate: Rate, quantity: int) -> None:
        if self._draws:
            quantity = self._included(index, section, rate.dimension, quantity)
        draft = self.priced.get(rate)
        if draft is None:
            draft = self.priced[rate] = Draft(section.tariff, rate)
            self.by_dimension.setdefault(rate.dimension, []).append(draft)
        draft.quantity += quantity
        draft.uses.append((index, quantity))

    def _unpriced(self, dimension: Dimension, quantity: int) -> None:
        self.unpriced[dimension] = self.unpriced.get(dimension, 0) + quantity

    def _included(self, index: int, section: Section, dimension: Dimension, quantity: int) -> int:
        """What is left to price after the allowance took its part, the earliest first."""
        for draw, left in self._draws:
            taken = min(left[0], quantity) if draw.dimension == dimension else 0
            if taken > 0:
                left[0] -= taken
                quantity -= taken
                self._note(index, section, Notice.INCLUDED, taken, draw)
        return quantity

    def _note(
        self, index: int, section: Section, notice: Notice, quantity: int, draw: Draw | None = None
    ) -> None:
        key = (notice, draw, section.tariff)
        draft = self.notices.get(key)
        if draft is None:
            draft = self.notices[key] = Draft(max(section.tariff, 0), None, notice, draw)
        draft.quantity += quantity
        draft.uses.append((index, quantity))


def apply_steps(gathering: Gathering, scale: int) -> None:
    """Round what was used to the steps of the last component in use (OCPI 2.2.1
    mod_cdrs_step_size): energy once, charging and idle time together once, reserved time once."""
    policies, by_dimension = gathering.policies, gathering.by_dimension
    base = policies.step_base
    energy = by_dimension.get(_ENERGY)
    if energy:
        _round(energy, gathering, scale, _ENERGY, base)
    idle, charging = (
        by_dimension.get(_IDLE_TIME),
        by_dimension.get(_CHARGING_TIME),
    )
    reserved = by_dimension.get(_RESERVATION_TIME)
    if reserved and policies.step_reservation is StepReservation.WITH_TIME:
        charging, reserved = [*(charging or ()), *reserved], None
    if idle and _idle_takes_it(policies, charging or [], idle):
        _round(idle, gathering, scale, _IDLE_TIME, policies.step_idle)
    elif charging:
        _round(charging, gathering, scale, _CHARGING_TIME, base)
    if reserved:
        _round(reserved, gathering, scale, _RESERVATION_TIME, base)


def _idle_takes_it(policies: Policies, charging: list[Draft], idle: list[Draft]) -> bool:
    last_idle, at = _last_used(idle)
    if last_idle is None or policies.step_time is _IDLE_IF_ANY:
        return last_idle is not None
    return at >= _last_used(charging)[1]


def _last_used(drafts: list[Draft]) -> tuple[Draft | None, int]:
    """The draft that was used last, and in which section."""
    found, at = None, -1
    for draft in drafts:
        for index, quantity in reversed(draft.uses):
            if index <= at:
                break
            if quantity:
                found, at = draft, index
                break
    return found, at


def _round(
    drafts: list[Draft], gathering: Gathering, scale: int, dimension: Dimension, base: StepBase
) -> None:
    """What is missing to a whole step is billed at the last component's price; what is too much
    is taken off from the last use backwards."""
    last = _last_used(drafts)[0]
    if last is None or last.rate is None:
        return
    step = last.rate.step * scale
    if step <= 1:
        return
    total = 0
    for draft in drafts:
        total += draft.quantity
    if base is _ALL:
        total += gathering.unpriced.get(dimension, 0)
    beyond = total % step
    if not beyond or total < 0:
        return
    if gathering.policies.step_rounding is _UP:
        last.step_total = total
        last.step_quantity += step - beyond
        return
    uses = [(index, quantity, draft) for draft in drafts for index, quantity in draft.uses]
    for _, quantity, draft in sorted(uses, key=lambda use: -use[0]):
        if quantity <= 0:
            continue  # energy that was given back is no begun step
        taken = min(beyond, quantity)
        draft.step_quantity -= taken
        draft.step_total = total
        beyond -= taken
        if not beyond:
            break

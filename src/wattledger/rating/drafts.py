"""Sections gathered into drafts of lines: how much of what, at which rate; steps applied."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from wattledger.rating.compiled import Compiled, Rate, first
from wattledger.rating.moments import IDLE_S, IDLE_WHOLE_S
from wattledger.rating.notices import Notice
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
        self, compiled: list[Compiled], policies: Policies, draws: Iterable[Draw], scale: int
    ) -> None:
        self.compiled = compiled
        self.policies = policies
        self.priced: dict[Rate, Draft] = {}
        self.notices: dict[tuple[Notice, Dimension | None, int], Draft] = {}
        # In time order, for the steps: (draft or None where nothing prices it, quantity).
        self.used: dict[Dimension, list[tuple[Draft | None, int]]] = {}
        self._draws = {draw.dimension: draw for draw in draws}
        self._left = {draw.dimension: draw.quantity * scale for draw in draws}
        self._flat: dict[Dimension, set[Rate]] = {}
        self._scale = scale

    def all(self) -> list[Draft]:
        """Every draft."""
        return [*self.priced.values(), *self.notices.values()]

    def add_all(self, sections: list[Section]) -> None:
        """Every section, with its energy, its time, and the flat fee that begins with it."""
        once = self.policies.flat is FlatTimes.ONCE_A_SESSION
        for index, section in enumerate(sections):
            if section.tariff < 0:
                if section.energy:
                    self._note(index, section, Notice.FREE_ENERGY, section.energy)
                continue
            if section.activity == RESERVED:
                self._reserved(index, section)
                continue
            if not once or Dimension.FLAT not in self._flat:
                rate = self.compiled[section.tariff].select(Dimension.FLAT, section.moment)
                if rate is not None:
                    self._flat_once(index, section, Dimension.FLAT, rate)
            if section.energy is not None:
                self._energy(index, section, section.energy)
            if section.charging is not None:
                self._charging(index, section, section.charging)
            if section.idle is not None:
                self._idle(index, section, section.idle)
            elif section.activity == Activity.CHARGER_PAUSE:
                self._note(index, section, Notice.PAUSE, self._length(section))
            elif section.activity == WAITING:
                self._note(index, section, Notice.WAITING, self._length(section))

    def _length(self, section: Section) -> int:
        return (section.to_at - section.from_at) // SECOND * self._scale

    def _energy(self, index: int, section: Section, quantity: int) -> None:
        compiled = self.compiled[section.tariff]
        rate = compiled.select(Dimension.ENERGY, section.moment)
        if rate is not None:
            if quantity or section.charging is not None:
                self._price(index, section, Dimension.ENERGY, rate, quantity)
        elif quantity or (
            section.charging is not None
            and compiled.select(Dimension.CHARGING_TIME, section.moment) is None
        ):
            self._note(index, section, Notice.FREE_ENERGY, quantity)
            self._unpriced(Dimension.ENERGY, quantity)

    def _charging(self, index: int, section: Section, quantity: int) -> None:
        rate = self.compiled[section.tariff].select(Dimension.CHARGING_TIME, section.moment)
        if rate is not None:
            self._price(index, section, Dimension.CHARGING_TIME, rate, quantity)
        elif quantity:
            self._unpriced(Dimension.CHARGING_TIME, quantity)

    def _idle(self, index: int, section: Section, quantity: int) -> None:
        if section.after_stop and not self.policies.idle_after_stop:
            self._note(index, section, Notice.IDLE_AFTER_STOP, quantity)
            return
        compiled = self.compiled[section.tariff]
        rate = compiled.select(Dimension.IDLE_TIME, section.moment)
        if rate is not None:
            self._price(index, section, Dimension.IDLE_TIME, rate, quantity)
            return
        measure = IDLE_WHOLE_S if compiled.looks_back else IDLE_S
        notice = Notice.FREE_IDLE
        if section.moment[measure] < compiled.first_idle_s:
            notice = Notice.GRACE
        self._note(index, section, notice, quantity)
        self._unpriced(Dimension.IDLE_TIME, quantity)

    def _reserved(self, index: int, section: Section) -> None:
        quantity = section.reserved or 0
        priced = False
        for dimension in RESERVATION_DIMENSIONS:
            rate = self._reservation_rate(section, dimension)
            if rate is None:
                continue
            priced = True
            if dimension is Dimension.RESERVATION_TIME:
                self._price(index, section, dimension, rate, quantity)
            else:
                self._flat_once(index, section, dimension, rate)
        if not priced:
            self._note(index, section, Notice.RESERVED, quantity)

    def _reservation_rate(self, section: Section, dimension: Dimension) -> Rate | None:
        compiled = self.compiled[section.tariff]
        if not section.expired:
            return compiled.select(dimension, section.moment)
        for rates in compiled.expired:
            rate = first(rates.get(dimension, ()), section.moment)
            if rate is not None:
                return rate
        return None

    def _flat_once(self, index: int, section: Section, dimension: Dimension, rate: Rate) -> None:
        billed = self._flat.setdefault(dimension, set())
        if rate in billed or (billed and self.policies.flat is FlatTimes.ONCE_A_SESSION):
            return
        billed.add(rate)
        draft = self.priced[rate] = Draft(section.tariff, rate)
        draft.quantity = self._scale
        draft.uses.append((index, self._scale))

    def _price(
        self, index: int, section: Section, dimension: Dimension, rate: Rate, quantity: int
    ) -> None:
        if self._left:
            quantity = self._included(index, section, dimension, quantity)
        draft = self.priced.get(rate)
        if draft is None:
            draft = self.priced[rate] = Draft(section.tariff, rate)
        draft.quantity += quantity
        draft.uses.append((index, quantity))
        used = self.used.get(dimension)
        if used is None:
            used = self.used[dimension] = []
        used.append((draft, quantity))

    def _unpriced(self, dimension: Dimension, quantity: int) -> None:
        self.used.setdefault(dimension, []).append((None, quantity))

    def _included(self, index: int, section: Section, dimension: Dimension, quantity: int) -> int:
        """What is left to price after the allowance took its part, the earliest first."""
        taken = min(self._left.get(dimension, 0), quantity)
        if taken <= 0:
            return quantity
        self._left[dimension] -= taken
        self._note(index, section, Notice.INCLUDED, taken, self._draws[dimension])
        return quantity - taken

    def _note(
        self, index: int, section: Section, notice: Notice, quantity: int, draw: Draw | None = None
    ) -> None:
        key = (notice, draw.dimension if draw else None, section.tariff)
        draft = self.notices.get(key)
        if draft is None:
            draft = self.notices[key] = Draft(max(section.tariff, 0), None, notice, draw)
        draft.quantity += quantity
        draft.uses.append((index, quantity))


def apply_steps(gathering: Gathering, scale: int) -> None:
    """Round what was used to the steps of the last component in use (OCPI 2.2.1
    mod_cdrs_step_size): energy once, charging and idle time together once, reserved time once."""
    used, policies = gathering.used, gathering.policies
    energy = used.get(Dimension.ENERGY)
    if energy:
        _round(energy, policies, policies.step_base, scale)
    charging, idle = used.get(Dimension.CHARGING_TIME), used.get(Dimension.IDLE_TIME)
    reserved = used.get(Dimension.RESERVATION_TIME)
    if reserved and policies.step_reservation is StepReservation.WITH_TIME:
        charging, reserved = [*reserved, *(charging or [])], None
    if idle and _idle_takes_it(gathering, charging, idle):
        _round(idle, policies, policies.step_idle, scale)
    elif charging:
        _round(charging, policies, policies.step_base, scale)
    if reserved:
        _round(reserved, policies, policies.step_base, scale)


def _idle_takes_it(
    gathering: Gathering,
    charging: list[tuple[Draft | None, int]] | None,
    idle: list[tuple[Draft | None, int]],
) -> bool:
    last_idle = _last_priced(idle)
    if last_idle is None:
        return False
    last_charging = _last_priced(charging or [])
    if last_charging is None or gathering.policies.step_time is StepTime.IDLE_IF_ANY:
        return True
    return last_idle.uses[-1][0] >= last_charging.uses[-1][0]


def _last_priced(used: list[tuple[Draft | None, int]]) -> Draft | None:
    for draft, quantity in reversed(used):
        if draft is not None and quantity:
            return draft
    return None


def _round(
    used: list[tuple[Draft | None, int]], policies: Policies, base: StepBase, scale: int
) -> None:
    """What is missing to a whole step is billed at the last component's price; what is too much
    is taken off from the last use backwards."""
    last = _last_priced(used)
    if last is None or last.rate is None:
        return
    step = last.rate.step * scale
    if step <= 1:
        return
    every = base is StepBase.ALL
    total = 0
    for draft, quantity in used:
        if every or draft is not None:
            total += quantity
    beyond = total % step
    if not beyond or total < 0:
        return
    last.step_total = total
    if policies.step_rounding is StepRounding.UP:
        last.step_quantity += step - beyond
        return
    for draft, quantity in reversed(used):
        if draft is None:
            continue
        taken = min(beyond, quantity)
        draft.step_quantity -= taken
        draft.step_total = total
        beyond -= taken
        if not beyond:
            break

"""What a tariff leaves out, says twice, or can never say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from wattledger.tariffs.coverage import (
    AXES,
    Box,
    Space,
    day_of_year,
    joined,
    measured_alike,
    uncovered,
    unmeasured,
    within,
)
from wattledger.tariffs.coverage_words import pieces_in_words
from wattledger.tariffs.findings import Finding, Severity
from wattledger.tariffs.model import (
    RESERVED,
    Component,
    Day,
    Dimension,
    Reservation,
    Restrictions,
    Tariff,
)
from wattledger.tariffs.policies import FlatTimes, WrapWeekday

_WEEK, _IDLE = AXES.index("week"), AXES.index("idle")
_COUNTED_ON = (Dimension.ENERGY, Dimension.CHARGING_TIME, Dimension.IDLE_TIME)
_STARTING = ("min_duration_s", "min_kwh", "min_charging_s", "min_idle_s")
_DAYS = list(Day)
_YEARS_SEARCHED = 28  # after that the weekdays of the dates repeat


def coverage_findings(tariff: Tariff) -> Iterator[Finding]:
    """Never, never reached, free by omission, and decided by order."""
    space = Space(tariff)
    yield from _never(tariff)
    for dimension in Dimension:
        priced = _priced(tariff, dimension)
        yield from _unreachable(tariff, space, dimension, priced)
        yield from _overlaps(tariff, space, dimension, priced)
        if dimension in _COUNTED_ON:
            yield from _free(tariff, space, dimension, priced)
    yield from _late_flats(tariff, space)
    yield from _reservations(tariff)


def unreachable(tariff: Tariff, dimension: Dimension) -> dict[int, tuple[int, ...]]:
    """Elements whose price of ``dimension`` no moment selects, and the earlier ones that take
    every moment of theirs. An element that is not named may be unreachable too, where power,
    payment or the calendar would have to be reasoned with."""
    space = Space(tariff)
    return _reached_by(tariff, space, _priced(tariff, dimension))


def _priced(tariff: Tariff, dimension: Dimension) -> list[int]:
    return [i for i, element in enumerate(tariff.elements) if element.component(dimension)]


def _reached_by(tariff: Tariff, space: Space, priced: Sequence[int]) -> dict[int, tuple[int, ...]]:
    found = {}
    for place, index in enumerate(priced):
        given = tariff.elements[index].restrictions
        target = space.box(given, outer=True)
        if 0 in target:
            continue
        before = {
            i: unmeasured(space.box(tariff.elements[i].restrictions, outer=False), space.full)
            for i in priced[:place]
            if tariff.elements[i].restrictions.reservation is given.reservation
            and measured_alike(tariff.elements[i].restrictions, given)
        }
        if before and not uncovered(target, before.values()):
            found[index] = _needed(target, before)
    return found


def _needed(target: Box, before: dict[int, Box]) -> tuple[int, ...]:
    """Few of ``before`` that cover ``target``: one if one does."""
    for index, box in before.items():
        if not uncovered(target, [box]):
            return (index,)
    kept = dict(before)
    for index in before:
        rest = [box for i, box in kept.items() if i != index]
        if not uncovered(target, rest):
            del kept[index]
    return tuple(kept)


def _unreachable(
    tariff: Tariff, space: Space, dimension: Dimension, priced: Sequence[int]
) -> Iterator[Finding]:
    for index, before in _reached_by(tariff, space, priced).items():
        names = " and ".join(f"elements[{i}]" for i in before)
        ours = _component(tariff, index, dimension)
        same = all(_same(ours, _component(tariff, i, dimension)) for i in before)
        yield Finding(
            "unreachable",
            Severity.WARNING if same else Severity.ERROR,
            _component_path(tariff, index, dimension),
            f"this {dimension} price of {ours.price} is never used: {names} come"
            f"{'s' if len(before) == 1 else ''} first and match{'es' if len(before) == 1 else ''} "
            "at every moment it matches at; move it up, narrow what stands before it, or take it "
            "out",
        )


def _overlaps(
    tariff: Tariff, space: Space, dimension: Dimension, priced: Sequence[int]
) -> Iterator[Finding]:
    boxes = {i: space.box(tariff.elements[i].restrictions, outer=False) for i in priced}
    for place, second in enumerate(priced):
        for first in priced[:place]:
            one, other = tariff.elements[first].restrictions, tariff.elements[second].restrictions
            both = tuple(a & b for a, b in zip(boxes[first], boxes[second], strict=True))
            nested = within(boxes[first], boxes[second]) or within(boxes[second], boxes[first])
            if 0 in both or nested or one.reservation is not other.reservation:
                continue
            if _same(_component(tariff, first, dimension), _component(tariff, second, dimension)):
                continue
            yield Finding(
                "order_decides",
                Severity.INFO,
                _component_path(tariff, second, dimension),
                f"elements[{first}] and elements[{second}] both price {dimension} at: "
                f"{pieces_in_words([both], space)}; the earlier one, elements[{first}], sets the "
                "price; exchange them if it should be the other",
            )


def _free(
    tariff: Tariff, space: Space, dimension: Dimension, priced: Sequence[int]
) -> Iterator[Finding]:
    """A dimension that is priced under restrictions only, and when it costs nothing."""
    if not any(_costs(_component(tariff, i, dimension)) for i in priced):
        return
    everything = space.full
    if dimension is Dimension.IDLE_TIME:
        # A grace is meant: what is free before the earliest of them is no gap.
        grace = min(tariff.elements[i].restrictions.min_idle_s or 0 for i in priced)
        skipped = (1 << space.edges["idle"].index(grace)) - 1
        everything = (*everything[:_IDLE], everything[_IDLE] & ~skipped, *everything[_IDLE + 1 :])
    boxes = [space.box(tariff.elements[i].restrictions, outer=False) for i in priced]
    left = joined(uncovered(everything, boxes))
    if not left:
        return
    by_clock = all(
        mask == whole
        for piece in left
        for axis, (mask, whole) in enumerate(zip(piece, everything, strict=True))
        if axis != _WEEK
    )
    shown = [_restored(piece, everything, space) for piece in left]
    yield Finding(
        "gap_in_hours" if by_clock else "no_fallback",
        Severity.WARNING,
        "$.elements",
        f"{dimension} is free at: {pieces_in_words(shown, space)}, because no element prices it "
        "then; add an element without restrictions at the end, or write the price 0 there if it "
        "is meant",
    )


def _restored(piece: Box, everything: Box, space: Space) -> Box:
    """An axis that is whole in what was asked about is whole in words, too."""
    return tuple(
        whole if mask == asked else mask
        for mask, asked, whole in zip(piece, everything, space.full, strict=True)
    )


def _late_flats(tariff: Tariff, space: Space) -> Iterator[Finding]:
    """A fee that begins later, where another one has always come first."""
    if tariff.policies.flat is not FlatTimes.ONCE_A_SESSION:
        return
    flats = _priced(tariff, Dimension.FLAT)
    start = space.at_start()
    for index in flats:
        given = tariff.elements[index].restrictions
        late = next((name for name in _STARTING if _positive(getattr(given, name))), None)
        if late is None:
            continue
        others = [
            space.box(tariff.elements[i].restrictions, outer=False)
            for i in flats
            if i != index and measured_alike(tariff.elements[i].restrictions, Restrictions())
        ]
        if not uncovered(start, others):
            yield Finding(
                "flat_never_billed",
                Severity.ERROR,
                f"$.elements[{index}].restrictions.{late}",
                "this fee begins after the start, and another one is active at every start: a "
                "session has the first and no other (policy flat = once_a_session); set the "
                "policy flat to once_an_element, or take the fee out",
            )


def _never(tariff: Tariff) -> Iterator[Finding]:
    """Dates, weekdays, seasons and holidays that never meet."""
    for index, element in enumerate(tariff.elements):
        given, path = element.restrictions, f"$.elements[{index}].restrictions"
        if given.holiday is True and not tariff.holidays:
            yield Finding(
                "no_holidays", Severity.ERROR, f"{path}.holiday",
                "this element applies on holidays, and the tariff names none, so it never does: "
                "list the dates in holidays",
            )  # fmt: skip
        elif given.holiday is False and not tariff.holidays:
            yield Finding(
                "no_holidays", Severity.WARNING, f"{path}.holiday",
                "this element is to rest on holidays, and the tariff names none, so it never "
                "rests: list the dates in holidays",
            )  # fmt: skip
        elif not _some_day(tariff, given):
            yield Finding(
                "never_applies", Severity.ERROR, path,
                "no day is in its dates, on its weekdays, in its season and right as to holidays "
                "at once: the element never applies; compare the dates with a calendar",
            )  # fmt: skip


def _some_day(tariff: Tariff, given: Restrictions) -> bool:
    if not (given.end_date or given.holiday):
        return True
    policies = tariff.policies
    after = policies.wrap_weekday is WrapWeekday.START_DAY and bool(given.start_time)
    days: Iterator[date] | Sequence[date]
    if given.holiday:
        days = [date.fromisoformat(day) for day in tariff.holidays]
    else:
        last = date.fromisoformat(given.end_date or "")
        first = date.fromisoformat(given.start_date) if given.start_date else date.min
        if first >= last:
            return True  # an error of its own
        span = min((last - first).days + 1, _YEARS_SEARCHED * 366)
        days = (last - timedelta(days=n) for n in range(span))
    return any(_may_be(day, given, tariff, after) for day in days)


def _may_be(day: date, given: Restrictions, tariff: Tariff, after: bool) -> bool:
    text = day.isoformat()
    # The last date itself is let in: with hours that run on it may count (policy date_window).
    if (given.start_date and text < given.start_date) or (given.end_date and text > given.end_date):
        return False
    if text == given.end_date and not given.end_time:
        return False
    weekdays = {day.weekday()} | ({(day.weekday() - 1) % 7} if after else set())
    if given.days and not weekdays & {_DAYS.index(d) for d in given.days}:
        return False
    if given.holiday is False and text in tariff.holidays:
        return False
    if given.start_season is None or given.end_season is None:
        return True
    start, end, at = (
        day_of_year(given.start_season), day_of_year(given.end_season), day_of_year(text[5:])
    )  # fmt: skip
    return start <= at < end if start < end else at >= start or at < end


def _reservations(tariff: Tariff) -> Iterator[Finding]:
    for dimension in RESERVED:
        priced = _priced(tariff, dimension)
        states = {tariff.elements[i].restrictions.reservation for i in priced}
        if states == {Reservation.EXPIRED}:
            yield Finding(
                "reservation_free_when_used", Severity.WARNING,
                _component_path(tariff, priced[0], dimension),
                f"{dimension} is priced for reservations that expire only: one that is used is "
                "free; add an element with reservation = \"used\" if that is not meant",
            )  # fmt: skip
        elif states == {Reservation.USED}:
            yield Finding(
                "reservation_same_when_expired", Severity.INFO,
                _component_path(tariff, priced[0], dimension),
                f"{dimension} has no price of its own for reservations that expire: they cost "
                "what a used one costs; add an element with reservation = \"expired\" if that is "
                "not meant",
            )  # fmt: skip


def _component(tariff: Tariff, index: int, dimension: Dimension) -> Component:
    found = tariff.elements[index].component(dimension)
    assert found is not None, "only elements that price it are asked"
    return found


def _component_path(tariff: Tariff, index: int, dimension: Dimension) -> str:
    place = tariff.elements[index].components.index(_component(tariff, index, dimension))
    return f"$.elements[{index}].components[{place}]"


def _same(one: Component, other: Component) -> bool:
    return (one.price, one.unit, one.step, one.taxes) == (
        other.price, other.unit, other.step, other.taxes,
    )  # fmt: skip


def _costs(component: Component) -> bool:
    return bool(component.price.strip("-0."))


def _positive(value: object) -> bool:
    return value is not None and bool(str(value).strip("0."))

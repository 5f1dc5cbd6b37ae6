"""Values that contradict each other, that a driver can't be shown, or that surprise on the bill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal

from wattledger.money import divide, exponent, format_minor
from wattledger.tariffs.findings import Finding, Severity
from wattledger.tariffs.model import (
    Component,
    Dimension,
    PriceLimit,
    PriceLock,
    Restrictions,
    Tariff,
    TaxIncluded,
    Unit,
)
from wattledger.tariffs.policies import OneSidedTime, VatOmitted

_TIMES = (Dimension.CHARGING_TIME, Dimension.IDLE_TIME, Dimension.RESERVATION_TIME)
_CLOCK = ("start_time", "end_time", "days", "start_date", "end_date", "start_season",
          "end_season", "holiday")  # fmt: skip
# The median of 27,407 stays at workplace chargers is idle for 242 minutes at 6.6 kW.
_LEFT_MIN = 240


def value_findings(tariff: Tariff, on: date | None) -> Iterator[Finding]:
    """Everything that is seen by looking at the values one by one."""
    for index, element in enumerate(tariff.elements):
        path = f"$.elements[{index}]"
        yield from _restrictions(tariff, element.restrictions, f"{path}.restrictions")
        seen: set[Dimension] = set()
        for place, component in enumerate(element.components):
            yield from _component(tariff, component, f"{path}.components[{place}]")
            if component.dimension in seen:
                yield Finding(
                    "component_twice", Severity.ERROR, f"{path}.components[{place}].dimension",
                    f"this element has {component.dimension} twice, and only the first counts: "
                    "take one out, or give it an element of its own",
                )  # fmt: skip
            seen.add(component.dimension)
    yield from _limits(tariff)
    yield from _taxes(tariff)
    yield from _units(tariff)
    yield from _idle(tariff)
    yield from _lock(tariff)
    yield from _validity(tariff, on)
    priced = {c.dimension for e in tariff.elements for c in e.components}
    for index, cap in enumerate(tariff.caps):
        if cap.dimension not in priced:
            yield Finding(
                "cap_without_price", Severity.WARNING, f"$.caps[{index}].dimension",
                f"{cap.dimension} is capped and has no price: take the cap out, or price it",
            )  # fmt: skip


def charges(component: Component) -> bool:
    """Whether the price is another than 0."""
    return bool(component.price.strip("-0."))


def per_minute_is_plain(component: Component) -> bool:
    """Whether the price of a minute is a decimal that ends: 60 has a factor of three."""
    return component.unit is not Unit.HOUR or int(component.price.replace(".", "")) % 3 == 0


def places(price: str) -> int:
    """The decimal places that are needed to write ``price``: 1 for ``0.50``."""
    return len(price.partition(".")[2].rstrip("0"))


def _restrictions(tariff: Tariff, given: Restrictions, path: str) -> Iterator[Finding]:
    for unit in ("kwh", "power_kw", "current_a", "idle_s", "charging_s", "duration_s"):
        low, high = getattr(given, f"min_{unit}"), getattr(given, f"max_{unit}")
        if high is not None and Decimal(low or 0) >= Decimal(high):
            yield Finding(
                "never_applies", Severity.ERROR, f"{path}.max_{unit}",
                f"the maximum {high} is exclusive and not above the minimum {low or 0}, so the "
                "element never applies: exchange them, or take one out",
            )  # fmt: skip
    if given.end_date and given.start_date and given.end_date <= given.start_date:
        yield Finding(
            "never_applies", Severity.ERROR, f"{path}.end_date",
            f"the end {given.end_date} is exclusive and not after the start {given.start_date}, "
            "so the element never applies: for one day, write the day after as the end",
        )  # fmt: skip
    for what in ("time", "season"):
        start, end = getattr(given, f"start_{what}"), getattr(given, f"end_{what}")
        if start is not None and start == end:
            yield Finding(
                "start_is_end", Severity.ERROR, f"{path}.end_{what}",
                f"start_{what} and end_{what} are both {end}, which may mean always or never: "
                "leave both out for always",
            )  # fmt: skip
    if given.end_time in ("23:59", "24:00"):
        yield Finding(
            "end_of_day", Severity.WARNING, f"{path}.end_time",
            f"the end is exclusive, and {given.end_time} is not the end of the day: write 00:00, "
            "or the last minute has another price",
        )  # fmt: skip
    one_sided = (given.start_time is None) != (given.end_time is None)
    if one_sided and tariff.policies.one_sided_time is OneSidedTime.REFUSE:
        missing = "start_time" if given.start_time is None else "end_time"
        yield Finding(
            "one_sided_time", Severity.ERROR, f"{path}.{missing}",
            "one of start_time and end_time is missing, and the policy one_sided_time refuses "
            "that: write 00:00 for the missing one",
        )  # fmt: skip
    if len(set(given.days)) != len(given.days):
        yield Finding(
            "day_twice", Severity.WARNING, f"{path}.days",
            "a weekday stands here twice: take it out, or write the one that was meant",
        )  # fmt: skip


def _component(tariff: Tariff, component: Component, path: str) -> Iterator[Finding]:
    if component.step > 1:
        yield Finding(
            "step", Severity.INFO, f"{path}.step",
            f"the quantity is rounded to steps of {component.step}: drivers pay for what they did "
            "not take, OCPI 3 drops it, and OCPP 2.1 has no word for it; 1 rounds nothing",
        )  # fmt: skip
    if component.price.startswith("-") and charges(component):
        yield Finding(
            "negative_price", Severity.WARNING, f"{path}.price",
            f"{component.price} pays the driver: take the sign out if it is a discount, which "
            "belongs into the plan",
        )  # fmt: skip
    if not per_minute_is_plain(component):
        yield Finding(
            "not_per_minute", Severity.WARNING, f"{path}.price",
            f"{component.price} an hour has no exact price a minute, which is what drivers are "
            "shown: take an hourly price that three divides, or write it per minute",
        )  # fmt: skip
    digits = exponent(tariff.currency)
    if component.unit is Unit.SESSION and places(component.price) > digits:
        yield Finding(
            "decimals", Severity.WARNING, f"{path}.price",
            f"{tariff.currency} has {digits} decimal places, and the fee {component.price} has "
            "more: the bill shows a rounded one",
        )  # fmt: skip


def _limits(tariff: Tariff) -> Iterator[Finding]:
    digits = exponent(tariff.currency)
    for name in ("min_price", "max_price"):
        limit: PriceLimit | None = getattr(tariff, name)
        if limit is None:
            continue
        before, after = limit.before_taxes, limit.after_taxes
        if before is not None and after is not None and Decimal(before) > Decimal(after):
            yield Finding(
                "limit_sides", Severity.ERROR, f"$.{name}.before_taxes",
                f"{before} before taxes is more than {after} after taxes: exchange them",
            )  # fmt: skip
        for side in ("before_taxes", "after_taxes"):
            amount = getattr(limit, side)
            if amount is not None and places(amount) > digits:
                yield Finding(
                    "decimals", Severity.WARNING, f"$.{name}.{side}",
                    f"{tariff.currency} has {digits} decimal places, and {amount} has more: "
                    "nobody can pay it",
                )  # fmt: skip
    if tariff.min_price is None or tariff.max_price is None:
        return
    for side in ("before_taxes", "after_taxes"):
        least, most = getattr(tariff.min_price, side), getattr(tariff.max_price, side)
        if least is not None and most is not None and Decimal(least) > Decimal(most):
            yield Finding(
                "limits_cross", Severity.ERROR, f"$.min_price.{side}",
                f"a session costs {least} at least and {most} at most: exchange them",
            )  # fmt: skip


def _taxes(tariff: Tariff) -> Iterator[Finding]:
    paths: dict[bool, str] = {}
    for index, element in enumerate(tariff.elements):
        for place, component in enumerate(element.components):
            paths.setdefault(
                component.taxes is not None, f"$.elements[{index}].components[{place}].taxes"
            )
    refused = tariff.policies.vat_omitted is VatOmitted.REFUSE
    if False in paths and (True in paths or refused):
        yield Finding(
            "taxes_mixed", Severity.ERROR if refused else Severity.WARNING, paths[False],
            "some prices state their taxes and this one does not"
            + (", which the policy vat_omitted refuses" if refused else
               ": the site's tax applies to it, which may be another")
            + "; state them everywhere, [] for none, or nowhere",
        )  # fmt: skip
    if True in paths and tariff.tax_included is TaxIncluded.NOT_APPLICABLE:
        yield Finding(
            "taxes_not_applicable", Severity.WARNING, paths[True],
            "the tariff says that no tax applies, and this price states one that is not charged: "
            "set tax_included to yes or no, or take the taxes out",
        )  # fmt: skip


def _units(tariff: Tariff) -> Iterator[Finding]:
    for dimension in _TIMES:
        found = [
            (component.unit, f"$.elements[{index}].components[{place}].unit")
            for index, element in enumerate(tariff.elements)
            for place, component in enumerate(element.components)
            if component.dimension is dimension
        ]
        other = next((path for unit, path in found if unit is not found[0][0]), None)
        if other is not None:
            yield Finding(
                "units_mixed", Severity.WARNING, other,
                f"{dimension} is priced per minute here and per hour there, which nobody can "
                "compare: take one of them everywhere",
            )  # fmt: skip


def _idle(tariff: Tariff) -> Iterator[Finding]:
    priced = [
        (component, element.restrictions, f"$.elements[{index}].components[{place}]")
        for index, element in enumerate(tariff.elements)
        for place, component in enumerate(element.components)
        if component.dimension is Dimension.IDLE_TIME and charges(component)
    ]
    if not priced:
        return
    capped = any(cap.dimension is Dimension.IDLE_TIME for cap in tariff.caps)
    if not capped and tariff.max_price is None:
        component, given, path = priced[0]
        # In parts of a unit; the hour of a price is 60 of its minutes.
        minutes = _LEFT_MIN - max(given.min_idle_s or 0, tariff.policies.idle_grace_s) // 60
        per = 60 if component.unit is Unit.HOUR else 1
        scale = 10 ** places(component.price)
        price = int(Decimal(component.price) * scale)
        cost = divide(price * max(minutes, 0) * 10 ** exponent(tariff.currency), per * scale)
        yield Finding(
            "idle_without_cap", Severity.WARNING, path,
            "nothing limits the idle fee: a car that is left for four hours after charging, as "
            "half of the cars at workplace chargers are, pays "
            f"{format_minor(cost, tariff.currency)} for it; add "
            '{ dimension = "idle_time", amount = … } to caps',
        )  # fmt: skip
    for _, given, path in priced:
        if not given.min_idle_s and not tariff.policies.idle_grace_s and not _late(given):
            yield Finding(
                "idle_without_grace", Severity.WARNING, path,
                "the idle fee begins with the second in which charging ends: give a grace, "
                "min_idle_s = 600 for ten minutes that are never billed",
            )  # fmt: skip


def _late(given: Restrictions) -> bool:
    return bool(given.min_duration_s or given.min_charging_s)


def _lock(tariff: Tariff) -> Iterator[Finding]:
    if tariff.price_lock is not PriceLock.SESSION_START:
        return
    for index, element in enumerate(tariff.elements):
        given = element.restrictions
        clock = next((n for n in _CLOCK if getattr(given, n) not in (None, ())), None)
        if clock is not None:
            yield Finding(
                "locked_at_start", Severity.INFO, f"$.elements[{index}].restrictions.{clock}",
                "hours and dates are those of the session's start (price_lock = session_start): "
                "who starts just before a cheap hour pays the dear one to the end",
            )  # fmt: skip
            return


def _validity(tariff: Tariff, on: date | None) -> Iterator[Finding]:
    since, until = tariff.valid_from, tariff.valid_to
    if since is not None and until is not None and since >= until:
        yield Finding(
            "never_valid", Severity.ERROR, "$.valid_to",
            "valid_to is not after valid_from, so the tariff is never valid: exchange them",
        )  # fmt: skip
    if on is None:
        return
    if until is not None and until <= datetime.combine(on, time(), UTC):
        yield Finding(
            "expired", Severity.WARNING, "$.valid_to",
            f"the tariff ended at {until.isoformat()}: no session is priced by it any more",
        )  # fmt: skip
    if since is not None and since.date() > on:
        yield Finding(
            "not_yet_valid", Severity.INFO, "$.valid_from",
            f"the tariff begins at {since.isoformat()}: until then no session is priced by it",
        )  # fmt: skip
    for index, element in enumerate(tariff.elements):
        end = element.restrictions.end_date
        if end is not None and end <= on.isoformat():
            yield Finding(
                "element_ended", Severity.INFO, f"$.elements[{index}].restrictions.end_date",
                f"this element ended before {end}: it can be taken out",
            )  # fmt: skip
    if tariff.holidays and tariff.holidays[-1] < on.isoformat():
        yield Finding(
            "holidays_over", Severity.WARNING, "$.holidays",
            f"the last holiday of the list is {tariff.holidays[-1]}: add those to come",
        )  # fmt: skip

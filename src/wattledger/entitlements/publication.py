"""Before a configuration is published, every price in it passes the rules of its place.

Guarantees: whatever a session can be contracted by (its plan, or none, and its route, at a site, on
a connector of a power, by an offer, the plan's tariff there or the site's, with the fees of the
route) is checked on every day of the year ahead on which a rule of that place begins or ends.
Does not follow the hours of the day: what is offered at some hour is held against the whole day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from wattledger.contract import Route
from wattledger.entitlements import taxation, windows
from wattledger.entitlements.checking import Configuration, Payer, payers
from wattledger.entitlements.model import ChargePoint, Plan, RouteFee, Selector, Site
from wattledger.entitlements.offers import for_payer, for_place
from wattledger.errors import BadInput
from wattledger.tariffs import Component, Dimension, Element, Tariff, Unit, jurisdictions
from wattledger.tariffs.findings import Finding, Severity
from wattledger.tariffs.jurisdictions import Jurisdiction, Rules

AHEAD_DAYS = 365


class Published(Configuration, Protocol):
    """What of a configuration is published."""

    @property
    def jurisdiction(self) -> Sequence[Jurisdiction]: ...


class Combination(NamedTuple):
    """One way to be sold energy: ``plan`` None is the site's own price, for anybody who comes.

    ``path`` is where the configuration names the tariff. ``power_w`` is None at a site without
    charge points. ``free`` are the dimensions that cost this plan nothing here. ``since`` and
    ``until`` are the dates of an offer, the last exclusive. Fees are told by their number.
    """

    site: Site
    plan: Plan | None
    route: Route
    tariff: Tariff
    power_w: int | None
    ad_hoc: bool
    discount_percent: str
    path: str
    discount_on: tuple[Dimension, ...] = ()
    free: tuple[Dimension, ...] = ()
    fees: tuple[tuple[int, RouteFee], ...] = ()
    since: str | None = None
    until: str | None = None


class Objection(msgspec.Struct, frozen=True):
    """A finding about a combination, and the first day it holds on. Those of one tariff by one
    rule are told once. ``tariff`` is empty where it is about none; ``fee`` is a fee's text."""

    path: str
    site: str
    plan: str | None
    tariff: str
    power_w: int | None
    on: date
    finding: Finding
    fee: str | None = None


class _Way(NamedTuple):
    """A tariff that a combination may be sold by."""

    tariff: Tariff
    path: str
    since: str | None = None
    until: str | None = None


def combinations(config: Published) -> Iterator[Combination]:
    """Every combination that a session can be contracted by."""
    named = any(each.routes for each in [*config.offer, *config.fee])
    # Another way to pay than the plan's own makes a difference only where a route does.
    who = [
        payer for payer in payers(config)
        if named or payer[1] is Route.NONE or _is_usual(payer)
    ]  # fmt: skip
    tariffs = {tariff.id: tariff for tariff in config.tariff}
    for i, site in enumerate(config.site):
        points = _alike(config, site)
        for plan, route in who:
            for point in points:
                fees = tuple(
                    (n, fee) for n, fee in enumerate(config.fee)
                    if for_place(fee, site, point) and for_payer(fee, plan, route)
                )  # fmt: skip
                for way in _ways(config, tariffs, i, point, (plan, route)):
                    yield _combination(site, point, plan, route, way, fees)


def _is_usual(payer: Payer) -> bool:
    plan, route = payer
    return plan is not None and plan.route is route


def _combination(
    site: Site, point: ChargePoint | None, plan: Plan | None, route: Route, way: _Way,
    fees: tuple[tuple[int, RouteFee], ...],
) -> Combination:  # fmt: skip
    unlimited = plan is not None and site.id in plan.unlimited_sites
    return Combination(
        site=site,
        plan=plan,
        route=route,
        tariff=way.tariff,
        power_w=point.power_w if point else None,
        ad_hoc=plan is None or plan.ad_hoc,
        discount_percent=plan.discount_percent if plan else "0",
        path=way.path,
        discount_on=plan.discount_on if plan else (),
        free=plan.unlimited if plan and unlimited else (),
        fees=fees,
        since=way.since,
        until=way.until,
    )


def _alike(config: Published, site: Site) -> list[ChargePoint | None]:
    """One charge point of each kind that something tells apart, None where there is none."""
    kinds: dict[object, ChargePoint | None] = {}
    selectors: list[Selector] = [*config.offer, *config.fee]
    for point in site.charge_points or (None,):
        told = tuple(for_place(each, site, point) for each in selectors)
        kinds.setdefault((point.power_w if point else None, told), point)
    return list(kinds.values())


def _ways(
    config: Published, tariffs: dict[str, Tariff], number: int, point: ChargePoint | None,
    payer: Payer,
) -> Iterator[_Way]:  # fmt: skip
    """The tariffs that can come to be chosen, the first first."""
    site, plan = config.site[number], payer[0]
    taken = 0
    for n, offer in enumerate(config.offer):
        week = windows.week_of(offer)
        if not (for_place(offer, site, point) and for_payer(offer, *payer) and week & ~taken):
            continue
        tariff = tariffs[offer.tariff]
        yield _Way(tariff, f"$.offer[{n}].tariff", offer.start_date, offer.end_date)
        if _always(tariff) and not (offer.connectors or offer.start_date or offer.end_date):
            taken |= week
    if taken == windows.WHOLE_WEEK:
        return
    if plan is not None and site.id in plan.tariffs:
        tariff = tariffs[plan.tariffs[site.id]]
        place = next(n for n, each in enumerate(config.plan) if each.id == plan.id)
        yield _Way(tariff, f"$.plan[{place}].tariffs.{site.id}")
        if _always(tariff):
            return
    yield _Way(tariffs[site.tariff], f"$.site[{number}].tariff")


def _always(tariff: Tariff) -> bool:
    return tariff.valid_from is None and tariff.valid_to is None


def objections(
    config: Published, start: datetime, now: datetime | None = None
) -> tuple[Objection, ...]:
    """What the rules have against a configuration that is in force from ``start`` on, until a year
    after that or after ``now``; the worst first."""
    end = max(start, now or start) + timedelta(days=AHEAD_DAYS)
    rules = Rules(config.jurisdiction)
    found = {(o.path, o.finding.message): o for o in _unknown(config, rules, start)}
    for objection in _of_taxes(config, rules, start, end):
        told = (objection.path, f"{objection.finding.rule_id} {objection.finding.code}")
        found.setdefault(told, objection)
    for objection in _of_prices(config, rules, start, end):
        finding = objection.finding
        told = (objection.path, f"{finding.rule_id} {finding.code} {finding.path}")
        found.setdefault(told, objection)
    found |= {(o.path, o.finding.code): o for o in _without_effect(config, start)}
    return tuple(sorted(found.values(), key=lambda o: o.finding.severity is not Severity.ERROR))


def _of_prices(
    config: Published, rules: Rules, start: datetime, end: datetime
) -> Iterator[Objection]:
    known: dict[tuple[object, ...], tuple[tuple[int | None, Finding], ...]] = {}
    for offer in combinations(config):
        site = offer.site
        for on, until in _stretches(site, rules, start, end):
            if not _in_force(offer, on, until):
                continue
            key = (offer.tariff.id, site.jurisdiction, site.programmes, on, offer.power_w,
                   offer.ad_hoc, offer.discount_percent, offer.discount_on, offer.free,
                   tuple(n for n, _ in offer.fees))  # fmt: skip
            if key not in known:
                known[key] = tuple(_check(offer, on, rules))
            for fee, finding in known[key]:
                yield Objection(
                    path=offer.path if fee is None else f"$.fee[{fee}]",
                    site=site.id,
                    plan=offer.plan.id if offer.plan else None,
                    tariff=offer.tariff.id,
                    power_w=offer.power_w,
                    on=on,
                    finding=finding,
                    fee=None if fee is None else config.fee[fee].text,
                )


def _check(offer: Combination, on: date, rules: Rules) -> Iterator[tuple[int | None, Finding]]:
    """What there is against it, and against which fee of it, if it is about one."""

    def against(tariff: Tariff) -> list[Finding]:
        found = jurisdictions.check(
            tariff, offer.site.jurisdiction, on, offer.power_w, ad_hoc=offer.ad_hoc,
            programmes=offer.site.programmes, discount_percent=offer.discount_percent,
            discount_on=offer.discount_on, rules=rules,
        )  # fmt: skip
        return [each for each in found if each.code != "unknown_jurisdiction"]

    tariff = _without_free(offer)
    own = against(tariff)
    yield from ((None, finding) for finding in own)
    for number, fee in offer.fees:
        # What comes on top of a session is a price per session, whoever adds it.
        price = Component(Dimension.FLAT, fee.amount, Unit.SESSION)
        more = (*tariff.elements, Element(fee.text, (price,)))
        for finding in against(msgspec.structs.replace(tariff, elements=more)):
            if finding not in own:
                yield number, msgspec.structs.replace(finding, path="$.amount")


def _without_free(offer: Combination) -> Tariff:
    """The tariff with a price of nothing where the plan takes all of it off."""
    free = set(offer.free)
    if Decimal(offer.discount_percent) == 100:
        free |= set(offer.discount_on or Dimension)
    if not free:
        return offer.tariff
    elements = tuple(
        msgspec.structs.replace(element, components=tuple(
            msgspec.structs.replace(c, price="0") if c.dimension in free else c
            for c in element.components
        ))
        for element in offer.tariff.elements
    )  # fmt: skip
    return msgspec.structs.replace(offer.tariff, elements=elements)


def _of_taxes(
    config: Published, rules: Rules, start: datetime, end: datetime
) -> Iterator[Objection]:
    for i, site in enumerate(config.site):
        powers: Iterable[int | None] = [point.power_w for point in site.charge_points] or [None]
        for on, _ in _stretches(site, rules, start, end):
            for power_w in dict.fromkeys(powers):
                for finding in taxation.findings(site, rules, on, power_w):
                    yield Objection(f"$.site[{i}].tax", site.id, None, "", power_w, on, finding)


def _without_effect(config: Published, start: datetime) -> Iterator[Objection]:
    """What is understood and does nothing yet is said, not passed over."""
    for i, plan in enumerate(config.plan):
        for n, allowance in enumerate(plan.allowance):
            yield Objection(
                f"$.plan[{i}].allowance[{n}]", "", plan.id, "", None, start.date(),
                Finding(
                    "allowance_not_counted", Severity.WARNING, "$",
                    f"the allowance {allowance.text!r} of plan {plan.id!r} has no effect yet: "
                    "nobody counts what was used of it, so no session gets any of it and all is "
                    "billed at the tariff's price",
                ),
            )  # fmt: skip


def refuse(found: Sequence[Objection]) -> None:
    """Raises BadInput for the first error among ``found``: its path, the rule, its source."""
    errors = [o for o in found if o.finding.severity is Severity.ERROR]
    if not errors:
        return
    first, more = errors[0], len(errors) - 1
    sold = "a fee that may be charged" if first.fee else "a tariff that may be sold"
    if not first.tariff:
        sold = "taxes that can be charged"
    raise BadInput(
        first.path,
        first.fee or first.tariff or None,
        f"{sold} {_where(first)}: {first.finding.path}: "
        f"{first.finding.message} (rule {first.finding.rule_id})"
        + (f"; and {more} more like this" if more else ""),
    )


def in_words(objection: Objection) -> str:
    """One line for a person."""
    finding = objection.finding
    rule = f" (rule {finding.rule_id})" if finding.rule_id else ""
    what = f"tariff {objection.tariff!r}, {finding.path}: " if objection.tariff else ""
    if objection.fee is not None:
        what = f"fee {objection.fee!r} beside {what}"
    where = f"{_where(objection)}: " if objection.tariff else ""
    return f"{objection.path}: {what}{where}{finding.message}{rule}"


def _where(objection: Objection) -> str:
    plan = f" under plan {objection.plan!r}" if objection.plan else ""
    power = f", {objection.power_w} W" if objection.power_w is not None else ""
    return f"at site {objection.site!r}{power}{plan} from {objection.on} on"


def _unknown(config: Published, rules: Rules, start: datetime) -> Iterator[Objection]:
    for i, site in enumerate(config.site):
        on = start.astimezone(ZoneInfo(site.time_zone)).date()
        for finding in jurisdictions.unknown(rules, site.jurisdiction, ()):
            yield Objection(f"$.site[{i}].jurisdiction", site.id, None, "", None, on, finding)
        for finding in jurisdictions.unknown(rules, None, site.programmes):
            yield Objection(f"$.site[{i}].programmes", site.id, None, "", None, on, finding)


def _stretches(
    site: Site, rules: Rules, start: datetime, end: datetime
) -> Iterator[tuple[date, date]]:
    """The days on which the same rules hold, as (first, after the last)."""
    if site.jurisdiction is None and not site.programmes:
        return
    zone = ZoneInfo(site.time_zone)
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    changes = rules.dates(site.jurisdiction, site.programmes, first, last)
    yield from zip((first, *changes), (*changes, last), strict=True)


def _in_force(offer: Combination, on: date, until: date) -> bool:
    """Whether a session can start by it within these days."""
    if offer.since is not None and until.isoformat() <= offer.since:
        return False
    if offer.until is not None and offer.until <= on.isoformat():
        return False
    zone = ZoneInfo(offer.site.time_zone)
    first, after = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (on, until))
    since, end = offer.tariff.valid_from, offer.tariff.valid_to
    return (since is None or since < after) and (end is None or first <= end)

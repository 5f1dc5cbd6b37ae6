"""Before a configuration is published, every price in it passes the rules of its place.

Guarantees: whatever a session can be contracted by (its plan, or none, at a site, on a connector
of a power) is checked on every day of the year ahead on which a rule of that place begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec

from wattledger.contract import Route
from wattledger.entitlements.decide import tariff_of
from wattledger.entitlements.model import Plan, Site
from wattledger.errors import BadInput
from wattledger.tariffs import Tariff, jurisdictions
from wattledger.tariffs.findings import Finding, Severity
from wattledger.tariffs.jurisdictions import Jurisdiction, Rules

AHEAD_DAYS = 365


class Offers(Protocol):
    """What of a configuration is published."""

    @property
    def site(self) -> Sequence[Site]: ...
    @property
    def plan(self) -> Sequence[Plan]: ...
    @property
    def tariff(self) -> Sequence[Tariff]: ...
    @property
    def jurisdiction(self) -> Sequence[Jurisdiction]: ...


class Combination(NamedTuple):
    """One way to be sold energy: ``plan`` None is the site's own price, for anybody who comes.

    ``path`` is where the configuration names the tariff. ``power_w`` is None at a site without
    charge points.
    """

    site: Site
    plan: Plan | None
    route: Route
    tariff: Tariff
    power_w: int | None
    ad_hoc: bool
    discount_percent: str
    path: str


class Objection(msgspec.Struct, frozen=True):
    """A finding about a combination, and the first day it holds on. Those of one tariff by one
    rule are told once."""

    path: str
    site: str
    plan: str | None
    tariff: str
    power_w: int | None
    on: date
    finding: Finding


def combinations(config: Offers) -> Iterator[Combination]:
    """Every combination that a session can be contracted by."""
    tariffs = {tariff.id: tariff for tariff in config.tariff}
    for i, site in enumerate(config.site):
        powers: list[int | None] = list(dict.fromkeys(p.power_w for p in site.charge_points))
        own = f"$.site[{i}].tariff"
        offers: list[tuple[Plan | None, str]] = [(None, own)]
        offers += [
            (plan, f"$.plan[{n}].tariffs.{site.id}" if site.id in plan.tariffs else own)
            for n, plan in enumerate(config.plan)
        ]
        for plan, path in offers:
            for power_w in powers or [None]:
                yield Combination(
                    site=site,
                    plan=plan,
                    route=plan.route if plan else Route.NONE,
                    tariff=tariffs[tariff_of(site.id, site.tariff, plan)],
                    power_w=power_w,
                    ad_hoc=plan is None or plan.ad_hoc,
                    discount_percent=plan.discount_percent if plan else "0",
                    path=path,
                )


def objections(
    config: Offers, start: datetime, now: datetime | None = None
) -> tuple[Objection, ...]:
    """What the rules have against a configuration that is in force from ``start`` on, until a year
    after that or after ``now``; the worst first."""
    end = max(start, now or start) + timedelta(days=AHEAD_DAYS)
    rules = Rules(config.jurisdiction)
    found = {(o.path, o.finding.message): o for o in _unknown(config, rules, start)}
    known: dict[tuple[object, ...], tuple[Finding, ...]] = {}
    for offer in combinations(config):
        site = offer.site
        for on, until in _stretches(site, rules, start, end):
            if not _in_force(offer.tariff, on, until, ZoneInfo(site.time_zone)):
                continue
            key = (offer.tariff.id, site.jurisdiction, site.programmes, on, offer.power_w,
                   offer.ad_hoc, offer.discount_percent)  # fmt: skip
            if key not in known:
                known[key] = jurisdictions.check(
                    offer.tariff, site.jurisdiction, on, offer.power_w, ad_hoc=offer.ad_hoc,
                    programmes=site.programmes, discount_percent=offer.discount_percent,
                    rules=rules,
                )  # fmt: skip
            for finding in known[key]:
                if finding.code != "unknown_jurisdiction":
                    told = (offer.path, f"{finding.rule_id} {finding.code} {finding.path}")
                    found.setdefault(told, Objection(
                        offer.path, site.id, offer.plan.id if offer.plan else None,
                        offer.tariff.id, offer.power_w, on, finding,
                    ))  # fmt: skip
    return tuple(sorted(found.values(), key=lambda o: o.finding.severity is not Severity.ERROR))


def refuse(found: Sequence[Objection]) -> None:
    """Raises BadInput for the first error among ``found``: its path, the rule, its source."""
    errors = [o for o in found if o.finding.severity is Severity.ERROR]
    if not errors:
        return
    first, more = errors[0], len(errors) - 1
    raise BadInput(
        first.path,
        first.tariff,
        f"a tariff that may be sold {_where(first)}: {first.finding.path}: "
        f"{first.finding.message} (rule {first.finding.rule_id})"
        + (f"; and {more} more like this" if more else ""),
    )


def in_words(objection: Objection) -> str:
    """One line for a person."""
    finding = objection.finding
    rule = f" (rule {finding.rule_id})" if finding.rule_id else ""
    what = f"tariff {objection.tariff!r}, {finding.path}: " if objection.tariff else ""
    where = f"{_where(objection)}: " if objection.tariff else ""
    return f"{objection.path}: {what}{where}{finding.message}{rule}"


def _where(objection: Objection) -> str:
    plan = f" under plan {objection.plan!r}" if objection.plan else ""
    power = f", {objection.power_w} W" if objection.power_w is not None else ""
    return f"at site {objection.site!r}{power}{plan} from {objection.on} on"


def _unknown(config: Offers, rules: Rules, start: datetime) -> Iterator[Objection]:
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


def _in_force(tariff: Tariff, on: date, until: date, zone: ZoneInfo) -> bool:
    """Whether a session can start by ``tariff`` within these days."""
    first, after = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (on, until))
    since, end = tariff.valid_from, tariff.valid_to
    return (since is None or since < after) and (end is None or first <= end)

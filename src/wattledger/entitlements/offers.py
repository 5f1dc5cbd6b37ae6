"""Which tariff a session gets, and which fees: plan, route, site, connector and time decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from wattledger.clock import utc_text
from wattledger.contract import Route
from wattledger.entitlements import windows
from wattledger.entitlements.directory import Snapshot
from wattledger.entitlements.model import (
    ChargePoint,
    PaymentRule,
    Plan,
    RouteFee,
    Selector,
    Site,
)
from wattledger.tariffs.validity import is_valid


class Asked(NamedTuple):
    """Where and when a session starts, and for whom. ``connector_id`` None is not known yet."""

    site: Site
    point: ChargePoint
    plan: Plan | None
    route: Route
    connector_id: int | None
    at: datetime

    @property
    def local(self) -> datetime:
        """The site's time."""
        return self.at.astimezone(ZoneInfo(self.site.time_zone))


class Choice(NamedTuple):
    """A tariff in force and valid, and why it is that one."""

    tariff_id: str
    digest: str
    said: tuple[str, ...]


def matches(selector: Selector, asked: Asked) -> bool:
    """Whether it is for this session, as far as its connector is known."""
    return (
        for_place(selector, asked.site, asked.point)
        and for_payer(selector, asked.plan, asked.route)
        and (asked.connector_id is None or connector_matches(selector, asked.connector_id))
        and windows.holds(selector, asked.local)
    )


def for_place(selector: Selector, site: Site, point: ChargePoint | None) -> bool:
    """Whether it can be for a session there; without a charge point: for one that is put up."""
    if selector.sites and site.id not in selector.sites:
        return False
    if isinstance(selector, PaymentRule) and not _for_entity(selector, site):
        return False
    low, high = selector.min_power_w, selector.max_power_w
    return point is None or (
        (not selector.charge_points or point.id in selector.charge_points)
        and (low is None or low <= point.power_w)
        and (high is None or point.power_w < high)
    )


def _for_entity(rule: PaymentRule, site: Site) -> bool:
    return not rule.entities or site.entity in rule.entities


def for_payer(selector: Selector, plan: Plan | None, route: Route) -> bool:
    """Whether it can be for who pays so."""
    return (
        (not selector.plans or (plan is not None and plan.id in selector.plans))
        and (not selector.routes or route in selector.routes)
        and (selector.ad_hoc is None or selector.ad_hoc is (plan is None or plan.ad_hoc))
    )


def connector_matches(selector: Selector, connector_id: int) -> bool:
    """Whether it is for that connector."""
    return not selector.connectors or connector_id in selector.connectors


def choose(snapshot: Snapshot, asked: Asked) -> Choice | None:
    """The first offer that matches and whose tariff is in force and valid at that time; else the
    plan's tariff at the site, else the site's. None where no tariff is left."""
    said: list[str] = []
    for tariff_id, why, wants_connector in _candidates(snapshot, asked):
        if wants_connector and asked.connector_id is None:
            said.append(f"Tariff {tariff_id!r} on some connectors: {why}.")
            continue
        digest, problem = _problem(snapshot, tariff_id, asked.at)
        if digest is not None:
            return Choice(tariff_id, digest, (*said, f"Tariff {tariff_id!r}: {why}."))
        said.append(f"Not tariff {tariff_id!r} ({why}): {problem}.")
    return None


def can_choose(snapshot: Snapshot, asked: Asked) -> bool:
    """Whether there is a tariff, at least on some connector."""
    return any(
        _problem(snapshot, tariff_id, asked.at)[0] is not None
        for tariff_id, _, _ in _candidates(snapshot, asked)
    )


def _candidates(snapshot: Snapshot, asked: Asked) -> Iterator[tuple[str, str, bool]]:
    """A tariff, why, and whether it depends on the connector."""
    for number, offer in enumerate(snapshot.offers, start=1):
        if matches(offer, asked):
            why = f"offer {number} of the configuration{in_words(offer, asked)}"
            yield offer.tariff, why, bool(offer.connectors)
    site, plan = asked.site, asked.plan
    if plan is not None and site.id in plan.tariffs:
        yield plan.tariffs[site.id], f"plan {plan.name} has its own at site {site.name}", False
    yield site.tariff, f"the tariff of site {site.name}", False


def _problem(snapshot: Snapshot, tariff_id: str, at: datetime) -> tuple[str | None, str]:
    tariff, digest = snapshot.tariff(tariff_id), snapshot.digest("tariff", tariff_id)
    if tariff is None or digest is None:
        return None, "it is not in force"
    if is_valid(tariff, at):
        return digest, ""
    if tariff.valid_from is not None and at < tariff.valid_from:
        return None, f"it is valid from {utc_text(tariff.valid_from)} on only"
    return None, f"it was valid until {utc_text(tariff.valid_to)} only" if tariff.valid_to else ""


def in_words(selector: Selector, asked: Asked) -> str:
    """What it selects by, as it is in this session: ``, for plan Member at site Pasadena, from
    18:00 to 22:00``."""
    site, point, plan = asked.site, asked.point, asked.plan
    who = f" for plan {plan.name}" if selector.plans and plan is not None else ""
    where = f" at site {site.name}" if selector.sites else ""
    parts = [f"{who}{where}".strip()]
    if selector.routes:
        parts.append(f"paid by {asked.route}")
    if selector.ad_hoc is not None:
        parts.append("sold without a contract" if selector.ad_hoc else "sold by contract")
    if selector.charge_points:
        parts.append(f"at charge point {point.id}")
    if selector.min_power_w is not None or selector.max_power_w is not None:
        parts.append(f"at {point.power_w} W")
    if selector.connectors:
        one = "connector" if len(selector.connectors) == 1 else "connectors"
        parts.append(f"on {one} {', '.join(map(str, selector.connectors))}")
    parts += time_words(selector)
    told = [part for part in parts if part]
    return f", {', '.join(told)}" if told else ""


def time_words(selector: Selector) -> list[str]:
    """Hours, weekdays and dates."""
    parts = []
    if selector.start_time or selector.end_time:
        start, end = selector.start_time or "00:00", selector.end_time or "00:00"
        parts.append(f"from {start} to {end} local time")
    if selector.days:
        parts.append("on " + ", ".join(day.value.capitalize() for day in selector.days))
    if selector.start_date:
        parts.append(f"from {selector.start_date} on")
    if selector.end_date:
        parts.append(f"before {selector.end_date}")
    return parts


def fees_of(snapshot: Snapshot, asked: Asked) -> tuple[RouteFee, ...]:
    """All fees for this session, in the order of the configuration."""
    return tuple(fee for fee in snapshot.fees if matches(fee, asked))

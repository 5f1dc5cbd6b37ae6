"""What a configuration may say of offers, fees, plans, taxes and customers, beyond its form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from wattledger.contract import Route
from wattledger.entitlements import windows
from wattledger.entitlements.model import (
    TAX_NAME,
    TAX_PERCENT,
    Account,
    Allowance,
    ChargePoint,
    Entity,
    FeeTax,
    Offer,
    Plan,
    RouteFee,
    Selector,
    Site,
    SiteTax,
)
from wattledger.entitlements.offers import for_payer, for_place
from wattledger.entitlements.proxies import check_proxies
from wattledger.errors import BadInput
from wattledger.money import parse_minor
from wattledger.section import check_known, check_percent
from wattledger.tariffs import Dimension, Tariff, fields
from wattledger.tariffs.jurisdictions import Customer

ROUTES = frozenset(Route) - {Route.NONE}
"""How a session can be paid."""
_COUNTED_WH = (Dimension.ENERGY,)
_COUNTED_S = (Dimension.CHARGING_TIME, Dimension.IDLE_TIME, Dimension.RESERVATION_TIME)


class Configuration(Protocol):
    """What of a configuration is looked at here."""

    @property
    def entity(self) -> Sequence[Entity]: ...
    @property
    def site(self) -> Sequence[Site]: ...
    @property
    def plan(self) -> Sequence[Plan]: ...
    @property
    def account(self) -> Sequence[Account]: ...
    @property
    def tariff(self) -> Sequence[Tariff]: ...
    @property
    def offer(self) -> Sequence[Offer]: ...
    @property
    def fee(self) -> Sequence[RouteFee]: ...


_T = TypeVar("_T", str, datetime)
_Validity = tuple[datetime | None, datetime | None]
Payer = tuple[Plan | None, Route]
Place = tuple[Site, ChargePoint | None]


def payers(config: Configuration) -> list[Payer]:
    """Everybody who can come: nobody's token, each plan, each by an external session, and whoever
    pays by card by an app, or as a guest by the page at the charge point and at a terminal."""
    usual: list[Payer] = [(None, Route.NONE), *((plan, plan.route) for plan in config.plan)]
    cards: list[Payer] = []
    for plan in config.plan:
        if plan.route in (Route.CARD, Route.APP):
            cards.append((plan, Route.APP))
        if plan.ad_hoc and plan.route.by_card:
            cards += [(plan, Route.CHECKOUT), (plan, Route.TERMINAL)]
    return list(_distinct([*usual, *((plan, Route.EXTERNAL) for plan, _ in usual), *cards]))


def _distinct(found: list[Payer]) -> Iterator[Payer]:
    seen: set[tuple[str | None, Route]] = set()
    for plan, route in found:
        key = (plan.id if plan else None, route)
        if key not in seen:
            seen.add(key)
            yield plan, route


def check_entitlements(config: Configuration) -> None:
    """Raises BadInput with the path of the first thing that can't be meant."""
    for i, site in enumerate(config.site):
        _check_taxes(f"$.site[{i}]", site)
        check_proxies(f"$.site[{i}]", site)
    for i, plan in enumerate(config.plan):
        _check_plan(config, f"$.plan[{i}]", plan)
    for i, account in enumerate(config.account):
        _check_customer(f"$.account[{i}]", account)
    reach = Reach(config)
    tariffs = {tariff.id: tariff for tariff in config.tariff}
    for i, offer in enumerate(config.offer):
        path = f"$.offer[{i}]"
        check_selector(config, reach, path, offer)
        check_known(f"{path}.tariff", offer.tariff, set(tariffs), "tariff")
        for site in reach.sites(offer):
            currency, tariff = _currency(config, site), tariffs[offer.tariff]
            if tariff.currency != currency:
                expected = f"a tariff in {currency} at site {site.id!r}; or other sites"
                raise BadInput(f"{path}.tariff", tariff.currency, expected)
        _check_reachable(reach, path, config.offer[: i + 1], tariffs)
    for i, fee in enumerate(config.fee):
        _check_fee(config, reach, f"$.fee[{i}]", fee)


class Reach:
    """Where and for whom a selector can be at all."""

    def __init__(self, config: Configuration) -> None:
        self._places: list[Place] = [
            (site, point) for site in config.site for point in (site.charge_points or (None,))
        ]
        self._payers = payers(config)

    def places(self, selector: Selector) -> frozenset[int]:
        """The charge points (and the sites that have none yet) it can be at."""
        return frozenset(i for i, place in enumerate(self._places) if for_place(selector, *place))

    def payers(self, selector: Selector) -> frozenset[int]:
        """Who it can be for."""
        return frozenset(i for i, who in enumerate(self._payers) if for_payer(selector, *who))

    def sites(self, selector: Selector) -> list[Site]:
        """The sites it can be at."""
        found = {self._places[i][0].id: self._places[i][0] for i in sorted(self.places(selector))}
        return list(found.values())


def check_selector(config: Configuration, reach: Reach, path: str, selector: Selector) -> None:
    """Raises BadInput where it names what is not there, or can be for no session."""
    points = {point.id for site in config.site for point in site.charge_points}
    for name, known, kind in (
        ("plans", {plan.id for plan in config.plan}, "plan"),
        ("sites", {site.id for site in config.site}, "site"),
        ("charge_points", points, "charge point"),
    ):
        for i, value in enumerate(getattr(selector, name)):
            check_known(f"{path}.{name}[{i}]", value, known, kind)
    for i, route in enumerate(selector.routes):
        if route not in ROUTES:
            expected = "one of " + ", ".join(sorted(ROUTES))
            raise BadInput(f"{path}.routes[{i}]", route.value, expected)
    _check_times(path, selector)
    low, high = selector.min_power_w, selector.max_power_w
    if low is not None and high is not None and not low < high:
        raise BadInput(f"{path}.max_power_w", high, f"more than {low} (exclusive)")
    if not reach.places(selector):
        raise BadInput(path, None, "a charge point that it is for: no charge point is at one of its"
                       " sites, in its list and within its power")  # fmt: skip
    if not reach.payers(selector):
        raise BadInput(path, None, "somebody that it is for: no plan is in its list, is paid by one"
                       " of its routes and is sold as ad_hoc says")  # fmt: skip


def _check_times(path: str, selector: Selector) -> None:
    for name in ("start_time", "end_time"):
        if (clock := getattr(selector, name)) is not None:
            fields.local_time(clock, f"{path}.{name}")
    for name in ("start_date", "end_date"):
        if (day := getattr(selector, name)) is not None:
            fields.local_date(day, f"{path}.{name}")
    if selector.start_time is not None and selector.start_time == selector.end_time:
        raise BadInput(f"{path}.end_time", selector.end_time, "a time other than start_time")
    start, end = selector.start_date, selector.end_date
    if start is not None and end is not None and not start < end:
        raise BadInput(f"{path}.end_date", end, f"a date after {start} (exclusive)")


def _check_reachable(
    reach: Reach, path: str, offers: Sequence[Offer], tariffs: dict[str, Tariff]
) -> None:
    """Some earlier offers, together, may be for every session that the last is for."""
    valid = [_validity(tariffs[offer.tariff]) for offer in offers]
    if by := covered(reach, offers, valid):
        raise BadInput(path, offers[-1].tariff,
                       f"an offer that can match: {before_it('offer', by)} for all its"
                       " sessions")  # fmt: skip


def before_it(kind: str, numbers: Sequence[int]) -> str:
    """``offer 1 before it is``, ``offers 1, 2 are``: for all that the last one is for."""
    if len(numbers) == 1:
        return f"{kind} {numbers[0]} before it is"
    return f"{kind}s {', '.join(map(str, numbers))} are"


def covered(
    reach: Reach, selectors: Sequence[Selector], valid: Sequence[_Validity] | None = None
) -> tuple[int, ...]:
    """The numbers of the earlier ones that together are for every session that the last is for;
    none where one is left for it. ``valid``: from when to when each counts at all."""
    *earlier, last = selectors
    places, who, week = reach.places(last), reach.payers(last), windows.week_of(last)
    spans = valid or [(None, None)] * len(selectors)
    taken, by = 0, []
    for number, selector in enumerate(earlier, start=1):
        wider = (
            _within(last.connectors, selector.connectors)
            and _spans(selector.start_date, selector.end_date, last.start_date, last.end_date)
            and _spans(*spans[number - 1], *spans[-1])
            and places <= reach.places(selector)
            and who <= reach.payers(selector)
        )
        if wider and windows.week_of(selector) & week & ~taken:
            taken |= windows.week_of(selector)
            by.append(number)
    return () if week & ~taken else tuple(by)


def _within(inner: Sequence[int], outer: Sequence[int]) -> bool:
    return not outer or (bool(inner) and set(inner) <= set(outer))


def _validity(tariff: Tariff) -> _Validity:
    return tariff.valid_from, tariff.valid_to


def _spans(
    outer_from: _T | None, outer_to: _T | None, inner_from: _T | None, inner_to: _T | None
) -> bool:
    return (outer_from is None or (inner_from is not None and outer_from <= inner_from)) and (
        outer_to is None or (inner_to is not None and inner_to <= outer_to)
    )


def _check_fee(config: Configuration, reach: Reach, path: str, fee: RouteFee) -> None:
    check_selector(config, reach, path, fee)
    fields.text(fee.text, f"{path}.text")
    fields.amount(fee.amount, f"{path}.amount")
    for i, tax in enumerate(fee.taxes or ()):
        _check_rate(f"{path}.taxes[{i}]", tax)
    currencies = {_currency(config, site): site for site in reach.sites(fee)}
    if len(currencies) > 1:
        expected = f"sites of one currency, not of {' and '.join(sorted(currencies))}"
        raise BadInput(f"{path}.sites", list(fee.sites), expected)
    for currency in currencies:
        parse_minor(fee.amount, currency, f"{path}.amount")


def _check_rate(path: str, tax: FeeTax | SiteTax) -> None:
    fields.text(tax.name, f"{path}.name")
    if tax.percent is not None:
        check_percent(f"{path}.percent", tax.percent)


def _check_taxes(path: str, site: Site) -> None:
    if site.tax and (site.tax_name, site.tax_percent) != (TAX_NAME, TAX_PERCENT):
        raise BadInput(f"{path}.tax", site.tax_name,
                       "either tax_name and tax_percent, or [[site.tax]]")  # fmt: skip
    for i, tax in enumerate(site.tax):
        here = f"{path}.tax[{i}]"
        _check_rate(here, tax)
        if (tax.percent is None) is (tax.per_kwh is None):
            raise BadInput(f"{here}.percent", tax.percent, "one of percent and per_kwh")
        if tax.per_kwh is not None:
            fields.amount(tax.per_kwh, f"{here}.per_kwh")
            if tax.dimensions:
                raise BadInput(f"{here}.dimensions", [d.value for d in tax.dimensions],
                               "none: a tax per kWh is on all energy delivered")  # fmt: skip
        elif tax.unit_kwh != 1:
            raise BadInput(f"{here}.unit_kwh", tax.unit_kwh, "per_kwh as well")
        if tax.rate is not None and site.jurisdiction is None:
            raise BadInput(f"{here}.rate", tax.rate, "a site with a jurisdiction")


def _check_plan(config: Configuration, path: str, plan: Plan) -> None:
    sites = {site.id for site in config.site}
    for i, site_id in enumerate(plan.unlimited_sites):
        check_known(f"{path}.unlimited_sites[{i}]", site_id, sites, "site")
    if not plan.unlimited:
        raise BadInput(f"{path}.unlimited", [], "a dimension such as energy; or leave it out")
    if plan.unlimited != (Dimension.ENERGY,) and not plan.unlimited_sites:
        raise BadInput(f"{path}.unlimited_sites", None, "the sites at which it is unlimited")
    if plan.discount_on and not plan.discount_percent.strip("0."):
        raise BadInput(f"{path}.discount_on", [d.value for d in plan.discount_on],
                       "a discount_percent as well")  # fmt: skip
    seen: set[Dimension] = set()
    for i, allowance in enumerate(plan.allowance):
        _check_allowance(f"{path}.allowance[{i}]", allowance)
        if allowance.dimension in seen:
            raise BadInput(f"{path}.allowance[{i}].dimension", allowance.dimension.value,
                           "one allowance a dimension")  # fmt: skip
        seen.add(allowance.dimension)


def _check_allowance(path: str, allowance: Allowance) -> None:
    fields.text(allowance.text, f"{path}.text")
    if allowance.dimension not in _COUNTED_WH + _COUNTED_S:
        names = ", ".join([*_COUNTED_WH, *_COUNTED_S])
        raise BadInput(f"{path}.dimension", allowance.dimension.value, f"one of {names}")
    energy = allowance.dimension in _COUNTED_WH
    given = (allowance.quantity_wh is not None, allowance.quantity_s is not None)
    if given != (energy, not energy):
        wanted = "quantity_wh" if energy else "quantity_s"
        raise BadInput(f"{path}.{wanted}", None, f"{wanted} alone for {allowance.dimension.value}")


def _check_customer(path: str, account: Account) -> None:
    if account.exemption is not None:
        fields.text(account.exemption, f"{path}.exemption")
        if account.customer_class is Customer.CONSUMER:
            raise BadInput(f"{path}.customer_class", account.customer_class.value,
                           "business or exempt, where there is an exemption")  # fmt: skip
    elif account.customer_class is Customer.EXEMPT:
        raise BadInput(f"{path}.exemption", None, "the certificate that makes it exempt")


def _currency(config: Configuration, site: Site) -> str:
    return next(entity.currency for entity in config.entity if entity.id == site.entity)

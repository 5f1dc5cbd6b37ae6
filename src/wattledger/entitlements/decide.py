"""The decision, and the contract a session stands on. Pure: from a snapshot to a value."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from wattledger.contract import (
    AllowanceTerm,
    Contract,
    Decision,
    DiscountTerm,
    FeeTaxTerm,
    FeeTerm,
    Reason,
    Route,
    TaxTerm,
)
from wattledger.entitlements import offers
from wattledger.entitlements.directory import Snapshot
from wattledger.entitlements.model import Account, ChargePoint, Plan, RouteFee, Site
from wattledger.entitlements.offers import Asked
from wattledger.entitlements.taxation import Buyer, taxes_of
from wattledger.tariffs.jurisdictions import value_of
from wattledger.tariffs.model import Dimension


def decide(
    snapshot: Snapshot,
    token: str,
    charge_point_id: str,
    now: datetime,
    *,
    at: datetime | None = None,
    connector_id: int | None = None,
    route: Route | None = None,
) -> Decision:
    """May ``token`` charge at ``charge_point_id``? Never a call to anybody.

    ``at`` is when the session starts, if not now; ``route`` overrides the plan's. OCPP 1.6
    Authorize names no connector: one tariff, on whichever connector, is enough then, and it is
    looked for at the start again.
    """
    account = snapshot.account_of(token)
    plan = snapshot.plan(account.plan) if account else None
    place = snapshot.place_of(charge_point_id)
    asked = None
    if place is not None:
        asked = _asked(place, plan, route, connector_id, at or now)
    choice = offers.choose(snapshot, asked) if asked else None
    reason = _reason(snapshot, account, plan, asked, choice)
    return Decision(
        accepted=reason is Reason.ACCEPTED,
        reason=reason,
        token=token,
        decided_at=now,
        known_seq=snapshot.seq,
        account_id=account.id if account else None,
        plan_id=plan.id if plan else None,
        route=plan.route if plan else Route.NONE,
        choice=choice.said if choice else (),
    )


def _asked(
    place: tuple[Site, ChargePoint],
    plan: Plan | None,
    route: Route | None,
    connector_id: int | None,
    at: datetime,
) -> Asked:
    """A refused token is asked for by its plan's route: it gets the plan's tariff too."""
    usual = plan.route if plan else Route.NONE
    return Asked(*place, plan=plan, route=route or usual, connector_id=connector_id, at=at)


def _reason(
    snapshot: Snapshot,
    account: Account | None,
    plan: Plan | None,
    asked: Asked | None,
    choice: offers.Choice | None,
) -> Reason:
    if asked is None:
        return Reason.UNKNOWN_LOCATION
    if account is None or plan is None:
        return Reason.UNKNOWN_TOKEN
    if account.blocked:
        return Reason.BLOCKED
    if plan.route is Route.CARD and (
        account.payment_method is None or asked.site.processor is None
    ):
        return Reason.NO_PAYMENT_METHOD
    if choice is None and not offers.can_choose(snapshot, asked):
        return Reason.NO_TARIFF
    return Reason.ACCEPTED


def make_contract(
    snapshot: Snapshot,
    decision: Decision,
    charge_point_id: str,
    *,
    as_of: datetime,
    known_at: datetime,
    route: Route | None = None,
    connector_id: int | None = None,
) -> Contract:
    """What the session will be billed by. ``route`` overrides the plan's (external sessions).

    A refused token gets a contract too, with route ``none``: a charge point may deliver energy
    all the same (1.6 errata 3.17), and those Wh need a price to be waived or owed by.
    Raises LookupError when the charge point's site or its tariff is not in force at ``as_of``.
    """
    place = snapshot.place_of(charge_point_id)
    if place is None:
        raise LookupError(f"charge point {charge_point_id} stands at no site at {as_of}")
    plan = snapshot.plan(decision.plan_id) if decision.plan_id else None
    account = snapshot.account_of(decision.token)
    asked = _asked(place, plan, route, connector_id, as_of)
    site, point = place
    entity = snapshot.entity(site.entity)
    choice = offers.choose(snapshot, asked)
    if entity is None or choice is None:
        raise LookupError(f"no tariff or entity is in force for site {site.id} at {as_of}")
    chosen = (route or decision.route) if decision.accepted else Route.NONE
    contract = Contract(
        entity_id=entity.id,
        site_id=site.id,
        time_zone=site.time_zone,
        entity_time_zone=entity.time_zone,
        currency=entity.currency,
        route=chosen,
        tariff_id=choice.tariff_id,
        tariff_digest=choice.digest,
        tax_name=site.tax_name,
        tax_percent=site.tax_percent,
        as_of=as_of,
        known_at=known_at,
        known_seq=snapshot.seq,
        account_id=decision.account_id,
        plan_id=decision.plan_id,
        discount_percent=plan.discount_percent if plan else "0",
        processor_id=site.processor if chosen is Route.CARD else None,
        payment_method=account.payment_method if account and chosen is Route.CARD else None,
        customer=account.customer if account and chosen is Route.CARD else None,
        shortfall=snapshot.policies.refused_energy,
        power_w=point.power_w,
        refused=None if decision.accepted else decision.reason,
        choice=choice.said,
    )
    if account and decision.accepted:
        contract = msgspec.structs.replace(contract, shortfall=account.shortfall)
    contract = _with_meter(snapshot, contract, asked)
    return _with_terms(snapshot, contract, asked._replace(route=chosen), account)


def _with_meter(snapshot: Snapshot, contract: Contract, asked: Asked) -> Contract:
    """What of the charge point decides how its messages are read, and whether we may stop it."""
    point, proxy = asked.point, asked.site.proxy_of(asked.point)
    return msgspec.structs.replace(
        contract,
        idle_below_w=snapshot.policies.idle_below_w,
        may_stop=proxy is None or proxy.commands,
        meter_unit=point.meter_unit,
        meter_keys=point.meter_keys,
        signed_required=_signed_required(snapshot, asked),
    )


def _with_terms(
    snapshot: Snapshot, contract: Contract, asked: Asked, account: Account | None
) -> Contract:
    """What beside the tariff makes the price, as plain data: nothing of it is read live again."""
    site, plan = asked.site, asked.plan
    buyer = Buyer(account.customer_class, account.exemption) if account else Buyer()
    taxes = taxes_of(site, buyer, snapshot.rules, asked.local.date(), asked.point.power_w)
    return msgspec.structs.replace(
        contract,
        taxes=taxes,
        discounts=_discounts(plan, site),
        fees=tuple(_fee(fee, taxes) for fee in offers.fees_of(snapshot, asked)),
        allowances=_allowances(plan),
        jurisdiction=site.jurisdiction,
        customer_class=buyer.customer.value,
        exemption=buyer.exemption,
    )


def _signed_required(snapshot: Snapshot, asked: Asked) -> bool:
    """Whether the site, or a rule of its jurisdiction that is sure, wants signed meter values."""
    site = asked.site
    if site.signed_values is not None:
        return site.signed_values
    rules = snapshot.rules.rules_for(
        site.jurisdiction, asked.local.date(), asked.point.power_w, site.programmes
    )
    return value_of([rule for rule in rules if rule.enforced], "signed_meter") is True


def _discounts(plan: Plan | None, site: Site) -> tuple[DiscountTerm, ...]:
    """What is unlimited here first: of several the first that names a dimension counts."""
    if plan is None:
        return ()
    found = []
    if site.id in plan.unlimited_sites:
        words = f"{plan.name}, unlimited at {site.name}"
        found.append(DiscountTerm("100", tuple(plan.unlimited), words))
    if Decimal(plan.discount_percent):
        found.append(DiscountTerm(plan.discount_percent, tuple(plan.discount_on)))
    return tuple(found)


def _fee(fee: RouteFee, taxes: tuple[TaxTerm, ...]) -> FeeTerm:
    """A fee that names no taxes is taxed as a price per session is."""
    if fee.taxes is not None:
        return FeeTerm(
            fee.text, fee.amount, tuple(FeeTaxTerm(t.name, t.percent, t.stack) for t in fee.taxes)
        )
    on_a_price = [tax for tax in taxes if tax.percent is not None]
    if not any(tax.dimensions for tax in on_a_price):
        return FeeTerm(fee.text, fee.amount)
    own = tuple(
        FeeTaxTerm(tax.name, tax.percent or "0", tax.stack)
        for tax in on_a_price
        if not tax.exempt and (not tax.dimensions or Dimension.FLAT in tax.dimensions)
    )
    return FeeTerm(fee.text, fee.amount, own)


def _allowances(plan: Plan | None) -> tuple[AllowanceTerm, ...]:
    given = plan.allowance if plan else ()
    return tuple(AllowanceTerm(each.dimension, each.quantity, each.text) for each in given)

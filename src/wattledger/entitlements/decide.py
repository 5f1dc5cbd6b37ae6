"""The decision, and the contract a session stands on. Pure: from a snapshot to a value."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

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
from wattledger.entitlements import offers, payment_rules
from wattledger.entitlements.directory import Snapshot
from wattledger.entitlements.model import Account, Plan, RouteFee, Site
from wattledger.entitlements.offers import Asked
from wattledger.entitlements.taxation import Buyer, taxes_of
from wattledger.tariffs.jurisdictions import value_of
from wattledger.tariffs.model import Dimension


class Blocks(Protocol):
    """Who may not charge for now, in memory."""

    def why(self, account_id: str | None, token: str) -> str | None:
        """Why not; None: nothing is against it."""
        ...


class Paid(msgspec.Struct, frozen=True):
    """Who starts with a request of its own, beside the token that it was given for it: an account
    by its app, or a guest (no account). ``method``: a card came with the request, or is held."""

    plan_id: str
    route: Route
    account_id: str | None = None
    method: bool = True
    start_id: str | None = None
    email: str | None = None
    consent: bool = False


def decide(
    snapshot: Snapshot,
    token: str,
    charge_point_id: str,
    now: datetime,
    *,
    at: datetime | None = None,
    connector_id: int | None = None,
    route: Route | None = None,
    paid: Paid | None = None,
    blocks: Blocks | None = None,
) -> Decision:
    """May ``token`` charge at ``charge_point_id``? Never a call to anybody.

    ``at`` is when the session starts, if not now; ``route`` overrides the plan's; ``paid`` says
    whose token it is where it is that of a start of its own. OCPP 1.6 Authorize names no
    connector: one tariff, on whichever connector, is enough then, and it is looked for at the
    start again.
    """
    account = _account(snapshot, token, paid)
    plan = _plan(snapshot, account, paid)
    usual = route_of(plan, paid)
    place = snapshot.place_of(charge_point_id)
    asked = None
    if place is not None:
        asked = Asked(*place, plan=plan, route=route or usual, connector_id=connector_id,
                      at=at or now)  # fmt: skip
    choice = offers.choose(snapshot, asked) if asked else None
    reason = _reason(snapshot, account, asked, choice, paid)
    if reason is Reason.ACCEPTED and blocks is not None:
        owed = blocks.why(account.id if account else None, token)
        if owed is not None:  # a person lifts the one, money the other
            reason = Reason.BLOCKED if owed == Reason.BLOCKED else Reason.IN_DEBT
    return Decision(
        accepted=reason is Reason.ACCEPTED,
        reason=reason,
        token=token,
        decided_at=now,
        known_seq=snapshot.seq,
        account_id=account.id if account else None,
        plan_id=plan.id if plan else None,
        route=usual,
        choice=choice.said if choice else (),
    )


def route_of(plan: Plan | None, paid: Paid | None = None) -> Route:
    """How whoever has this plan pays. What is asked for by an app or a page is paid by it, unless
    the plan needs no card at all."""
    if plan is None:
        return Route.NONE
    return paid.route if paid is not None and plan.route.by_card else plan.route


def _account(snapshot: Snapshot, token: str, paid: Paid | None) -> Account | None:
    if paid is None:
        return snapshot.account_of(token)
    return snapshot.account(paid.account_id) if paid.account_id else None


def _plan(snapshot: Snapshot, account: Account | None, paid: Paid | None) -> Plan | None:
    if account is not None:
        return snapshot.plan(account.plan)
    return snapshot.plan(paid.plan_id) if paid is not None and not paid.account_id else None


def _reason(
    snapshot: Snapshot,
    account: Account | None,
    asked: Asked | None,
    choice: offers.Choice | None,
    paid: Paid | None,
) -> Reason:
    if asked is None:
        return Reason.UNKNOWN_LOCATION
    guest = paid is not None and paid.account_id is None
    if asked.plan is None or (account is None and not guest):
        return Reason.UNKNOWN_TOKEN
    if account is not None and account.blocked:
        return Reason.BLOCKED
    if not (offered := is_offered(snapshot, asked)) or not _can_pay(account, asked, paid):
        return Reason.NO_PAYMENT_METHOD if offered else Reason.NO_ROUTE
    if choice is None and not offers.can_choose(snapshot, asked):
        return Reason.NO_TARIFF
    return Reason.ACCEPTED


def is_offered(snapshot: Snapshot, asked: Asked) -> bool:
    """Whether the legal entity, the site and the plan all offer this way of paying. What was paid
    elsewhere was paid, whoever offers it."""
    entity = snapshot.entity(asked.site.entity)
    lists = [asked.site.routes, entity.routes if entity else (), asked.plan and asked.plan.routes]
    return asked.route is Route.EXTERNAL or all(
        asked.route in offered for offered in lists if offered
    )


def _can_pay(account: Account | None, asked: Asked, paid: Paid | None) -> bool:
    """Whether there is a card, and a processor that takes it. A terminal's vendor may be one."""
    usual = route_of(asked.plan, paid)
    if not usual.by_card or usual is Route.TERMINAL:
        return True
    if asked.site.processor is None:
        return False
    if usual is Route.CHECKOUT:
        return paid is not None
    own = account is not None and account.payment_method is not None
    return own or (paid is not None and paid.method)


def make_contract(
    snapshot: Snapshot,
    decision: Decision,
    charge_point_id: str,
    *,
    as_of: datetime,
    known_at: datetime,
    route: Route | None = None,
    connector_id: int | None = None,
    paid: Paid | None = None,
) -> Contract:
    """What the session will be billed by. ``route`` overrides the plan's (external sessions);
    ``paid`` as in the decision.

    A refused token gets a contract too, with route ``none``: a charge point may deliver energy
    all the same (1.6 errata 3.17), and those Wh need a price to be waived or owed by.
    Raises LookupError when the charge point's site or its tariff is not in force at ``as_of``.
    """
    place = snapshot.place_of(charge_point_id)
    if place is None:
        raise LookupError(f"charge point {charge_point_id} stands at no site at {as_of}")
    plan = snapshot.plan(decision.plan_id) if decision.plan_id else None
    account = _account(snapshot, decision.token, paid)
    usual = route_of(plan, paid)
    asked = Asked(*place, plan=plan, route=route or usual, connector_id=connector_id, at=as_of)
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
        processor_id=site.processor if chosen.by_card else None,
        payment_method=account.payment_method if account and chosen.by_card else None,
        customer=account.customer if account and chosen.by_card else None,
        power_w=point.power_w,
        refused=None if decision.accepted else decision.reason,
        choice=choice.said,
    )
    contract = _with_meter(snapshot, contract, asked)
    asked = asked._replace(route=chosen)
    contract = _with_payment(snapshot, contract, asked, account, paid)
    return _with_terms(snapshot, contract, asked, account)


def _with_payment(
    snapshot: Snapshot,
    contract: Contract,
    asked: Asked,
    account: Account | None,
    paid: Paid | None,
) -> Contract:
    """How its money is collected. The size of its hold is added by the pipeline, which knows the
    processor and what sessions cost here."""
    rule = payment_rules.rule_for(snapshot, asked)
    terms = payment_rules.terms_of(rule, snapshot.policies, contract.currency)
    accepted = contract.refused is None
    shortfall = account.shortfall if account is not None else "waive"
    if not accepted:
        shortfall = snapshot.policies.refused_energy
    elif rule is not None and rule.shortfall is not None:
        shortfall = rule.shortfall
    return msgspec.structs.replace(
        contract,
        payment=terms,
        shortfall=shortfall,
        consent=accepted and (paid.consent if paid else account is not None and account.consent),
        email=(paid.email if paid else None) or (account.email if account else None),
        start_id=paid.start_id if paid else None,
    )


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

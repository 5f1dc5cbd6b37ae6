"""The decision, and the contract a session stands on. Pure: from a snapshot to a value."""

from __future__ import annotations

from datetime import datetime

from wattledger.contract import Contract, Decision, Reason, Route
from wattledger.entitlements.directory import Snapshot
from wattledger.entitlements.model import Account, Plan


def decide(snapshot: Snapshot, token: str, charge_point_id: str, now: datetime) -> Decision:
    """May ``token`` charge at ``charge_point_id``? Never a call to anybody.

    OCPP 1.6 Authorize names no connector, so the tariff is looked for at the start again.
    """
    account = snapshot.account_of(token)
    plan = snapshot.plan(account.plan) if account else None
    reason = _reason(snapshot, account, plan, charge_point_id)
    return Decision(
        accepted=reason is Reason.ACCEPTED,
        reason=reason,
        token=token,
        decided_at=now,
        known_seq=snapshot.seq,
        account_id=account.id if account else None,
        plan_id=plan.id if plan else None,
        route=plan.route if plan else Route.NONE,
    )


def _reason(
    snapshot: Snapshot, account: Account | None, plan: Plan | None, charge_point_id: str
) -> Reason:
    place = snapshot.place_of(charge_point_id)
    if place is None:
        return Reason.UNKNOWN_LOCATION
    if account is None or plan is None:
        return Reason.UNKNOWN_TOKEN
    if account.blocked:
        return Reason.BLOCKED
    if plan.route is Route.CARD and (account.payment_method is None or place[0].processor is None):
        return Reason.NO_PAYMENT_METHOD
    if snapshot.digest("tariff", tariff_of(place[0].id, place[0].tariff, plan)) is None:
        return Reason.NO_TARIFF
    return Reason.ACCEPTED


def tariff_of(site_id: str, site_tariff: str, plan: Plan | None) -> str:
    """The plan's tariff at this site where it has one, else the site's."""
    return plan.tariffs.get(site_id, site_tariff) if plan else site_tariff


def make_contract(
    snapshot: Snapshot,
    decision: Decision,
    charge_point_id: str,
    *,
    as_of: datetime,
    known_at: datetime,
    route: Route | None = None,
) -> Contract:
    """What the session will be billed by. ``route`` overrides the plan's (external sessions).

    A refused token gets a contract too, with route ``none``: a charge point may deliver energy
    all the same (1.6 errata 3.17), and those Wh need a price to be waived or owed by.
    Raises LookupError when the charge point's site or its tariff is not in force at ``as_of``.
    """
    place = snapshot.place_of(charge_point_id)
    if place is None:
        raise LookupError(f"charge point {charge_point_id} stands at no site at {as_of}")
    site, point = place
    entity = snapshot.entity(site.entity)
    plan = snapshot.plan(decision.plan_id) if decision.plan_id else None
    account = snapshot.account_of(decision.token)
    tariff_id = tariff_of(site.id, site.tariff, plan)
    digest = snapshot.digest("tariff", tariff_id)
    if entity is None or digest is None:
        raise LookupError(f"no tariff or entity is in force for site {site.id} at {as_of}")
    chosen = (route or decision.route) if decision.accepted else Route.NONE
    refused_shortfall = snapshot.policies.refused_energy
    return Contract(
        entity_id=entity.id,
        site_id=site.id,
        time_zone=site.time_zone,
        entity_time_zone=entity.time_zone,
        currency=entity.currency,
        route=chosen,
        tariff_id=tariff_id,
        tariff_digest=digest,
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
        shortfall=account.shortfall if account and decision.accepted else refused_shortfall,
        power_w=point.power_w,
        refused=None if decision.accepted else decision.reason,
    )

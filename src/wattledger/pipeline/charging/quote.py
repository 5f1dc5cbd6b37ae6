"""Step authorize, over HTTP: the decision, and what it would cost, before anything starts.

From memory, by the same functions as a start: what is told here is what a session that starts
while ``valid_until`` has not passed is contracted by, unless the operator changes the
configuration meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.clock import utc_text
from wattledger.contract import AllowanceTerm, Contract, Decision, DiscountTerm, FeeTerm
from wattledger.entitlements import Blocks, Paid, Snapshot, decide, make_contract
from wattledger.entitlements.model import ChargePoint, Site
from wattledger.errors import BadInput
from wattledger.pipeline.charging.authorize import record
from wattledger.pipeline.starting.hold_sizes import with_hold
from wattledger.pipeline.world import World
from wattledger.tariffs.text import price_text
from wattledger.wire.numbers import OLDEST

# An answer is good for this long at most, and no longer than its terms are the same.
VALID_FOR = timedelta(minutes=15)
_STEP = timedelta(minutes=1)
_AHEAD_MAX = timedelta(days=366)


class Question(msgspec.Struct, frozen=True):
    """Who, where and when; without a charge point: anywhere at the site. ``at`` None is now."""

    token: str
    charge_point_id: str | None = None
    connector_id: int | None = None
    site_id: str | None = None
    at: datetime | None = None
    paid: Paid | None = None
    """Whoever comes without a token: a guest, by the page at the charge point."""


class Quote(msgspec.Struct, frozen=True):
    """The answer. Without ``tariff`` there is no one price to tell, and ``note`` says why."""

    accepted: bool
    reason: str
    token: str
    plan: dict[str, str] | None
    route: str | None
    tariff: dict[str, str] | None
    price_text: str | None
    currency: str | None
    hold_amount: dict[str, Any] | None
    discounts: tuple[DiscountTerm, ...]
    fees: tuple[FeeTerm, ...]
    allowances: tuple[AllowanceTerm, ...]
    valid_until: str | None
    decision_id: int
    note: str | None = None


class _Offer(msgspec.Struct, frozen=True):
    """A place and what it would be contracted by."""

    decision: Decision
    contract: Contract | None


async def quote(world: World, asked: Question) -> Quote:
    """Decide, log the decision (kind ``api``), and say the terms. Raises BadInput for a place
    that contradicts itself and a time that can't be."""
    now = world.now
    at = asked.at or now
    if not OLDEST <= at <= now + _AHEAD_MAX:
        raise BadInput("$.at", utc_text(at), f"a time from 2015 to a year after {utc_text(now)}")
    snapshot = await world.snapshot(at)
    offers = list(_offers(snapshot, asked, now, at, world.blocks))
    # Of several places the first that lets the driver charge answers.
    first = next((offer for offer in offers if offer.decision.accepted), offers[0])
    point = asked.charge_point_id or asked.site_id or ""
    async with world.work.transaction("authorize", now=now) as tx:
        decision_id = await record(tx, first.decision, point, "api")
    plan = snapshot.plan(first.decision.plan_id) if first.decision.plan_id else None
    same = {_terms(offer) for offer in offers if offer.decision.accepted}
    told = first.contract if first.decision.accepted and len(same) == 1 else None
    note = None
    if len(same) > 1:
        missing = "connector_id" if asked.charge_point_id else "charge_point_id"
        note = f"The terms differ here: name the {missing} to be told the price."
    elif first.decision.accepted and told is None:
        note = "No tariff is in force here."
    until = await _until(world, asked, first.decision, at) if told is not None else None
    if told is not None:
        told = await _with_hold(world, snapshot, told, asked, now)
    return Quote(
        accepted=first.decision.accepted,
        reason=str(first.decision.reason),
        token=asked.token,
        plan={"id": plan.id, "name": plan.name} if plan else None,
        route=str(first.decision.route) if first.decision.accepted else None,
        decision_id=decision_id,
        valid_until=utc_text(until) if until else None,
        note=note,
        **_said(snapshot, told, at),
    )


def _offers(
    snapshot: Snapshot, asked: Question, now: datetime, at: datetime, blocks: Blocks | None
) -> Iterator[_Offer]:
    for point_id, connector_id in _places(snapshot, asked):
        decision = decide(
            snapshot, asked.token, point_id, now, at=at, connector_id=connector_id,
            paid=asked.paid, blocks=blocks,
        )  # fmt: skip
        contract = None
        if decision.accepted:
            try:
                contract = make_contract(
                    snapshot, decision, point_id, as_of=at, known_at=now,
                    connector_id=connector_id, paid=asked.paid,
                )  # fmt: skip
            except LookupError:
                contract = None
        yield _Offer(decision, contract)


def _places(snapshot: Snapshot, asked: Question) -> list[tuple[str, int | None]]:
    """Every connector that is meant; a charge point that nobody knows is one too."""
    site = snapshot.get("site", asked.site_id, Site) if asked.site_id else None
    if asked.charge_point_id is None:
        if site is None:
            raise BadInput("$.location.id", asked.site_id, "the id of a site")
        points = list(site.charge_points)
        if not points:
            raise BadInput("$.location.id", asked.site_id, "a site that has charge points")
    else:
        place = snapshot.place_of(asked.charge_point_id)
        if place is None:
            return [(asked.charge_point_id, asked.connector_id)]
        if asked.site_id not in (None, place[0].id):
            expected = f"{place[0].id}, the site of {asked.charge_point_id}, or none"
            raise BadInput("$.location.id", asked.site_id, expected)
        points = [place[1]]
    return [(point.id, n) for point in points for n in _connectors(point, asked.connector_id)]


def _connectors(point: ChargePoint, connector_id: int | None) -> list[int]:
    return [connector_id] if connector_id is not None else [*range(1, point.connectors + 1)]


def _terms(offer: _Offer) -> tuple[object, ...] | None:
    """What tells one price from another."""
    found = offer.contract
    if found is None:
        return None
    return (found.tariff_digest, found.discounts, found.fees, found.allowances, found.taxes,
            found.route, found.power_w if found.route.by_card else 0)  # fmt: skip


async def _until(world: World, asked: Question, decision: Decision, at: datetime) -> datetime:
    """To the minute: as long as whoever starts then gets the same terms."""
    until, first = at, None
    while until <= at + VALID_FOR:
        snapshot = await world.snapshot(until)
        offers = list(_offers(snapshot, asked, decision.decided_at, until, world.blocks))
        terms = {(offer.decision.accepted, _terms(offer)) for offer in offers}
        first = terms if first is None else first
        if terms != first:
            break
        until += _STEP
    return until - _STEP


async def _with_hold(
    world: World, snapshot: Snapshot, contract: Contract, asked: Question, now: datetime
) -> Contract:
    """Wherever it is, the terms are the same: any of the places says how much is held."""
    point_id, connector_id = _places(snapshot, asked)[0]
    async with world.work.pool.connection() as conn:
        return await with_hold(conn, world, snapshot, contract, point_id, connector_id, now)


def _said(snapshot: Snapshot, contract: Contract | None, at: datetime) -> dict[str, Any]:
    if contract is None:
        return {
            "tariff": None, "price_text": None, "currency": None, "hold_amount": None,
            "discounts": (), "fees": (), "allowances": (),
        }  # fmt: skip
    tariff = snapshot.tariff(contract.tariff_id)
    assert tariff is not None, "the contract was made by it"
    hold = None
    if contract.route.by_card and contract.processor_id:
        hold = {"minor": contract.hold_minor, "currency": contract.currency}
    return {
        "tariff": {"id": tariff.id, "name": tariff.name, "version": contract.tariff_digest},
        "price_text": price_text(tariff, at, contract.time_zone),
        "currency": contract.currency,
        "hold_amount": hold,
        "discounts": contract.discounts or (),
        "fees": contract.fees,
        "allowances": contract.allowances,
    }

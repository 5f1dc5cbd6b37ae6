"""Step ask: a start that is paid for first: by an app, by the page at the charge point, at a
terminal. The hold, then the remote start, then the session (``starts``)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.contract import Contract, Reason, Route
from wattledger.db.work import Transaction
from wattledger.entitlements import Paid, Snapshot, decide, make_contract, reader_at
from wattledger.errors import Conflict
from wattledger.ids import derive
from wattledger.payments import blocks, starts_store
from wattledger.payments import store as payments
from wattledger.payments.starts_store import StartRequest
from wattledger.payments.store import Payment
from wattledger.pipeline import timed
from wattledger.pipeline.charging.authorize import record
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.starting import asking, room
from wattledger.pipeline.starting.hold_sizes import with_hold
from wattledger.pipeline.starting.starts import EXPIRE, KEPT, tell
from wattledger.pipeline.world import World


class Wanted(msgspec.Struct, frozen=True):
    """A start as it is asked for. ``reference`` is the asker's own name for it: it counts once.

    ``nonce`` makes the token one that nobody guesses. ``retry_of``: a start of the same driver,
    whose hold may go on; accounts are known without it. ``present``: whether the driver can
    authenticate now. ``command_key``: what the remote start is to be called.
    """

    route: Route
    charge_point_id: str
    reference: str
    nonce: str
    connector_id: int | None = None
    token: str | None = None
    account_id: str | None = None
    reader_id: str | None = None
    email: str | None = None
    consent: bool = False
    payment_method: str | None = None
    token_type: str | None = None
    retry_of: str | None = None
    present: bool = True
    command_key: str | None = None
    actor: str | None = None
    """Who asks, for the audit record."""
    page: bool = False
    """Whether a page of ours is open for it, and says so."""


class Asked(msgspec.Struct, frozen=True):
    """What came of it: the start, or why there is none."""

    reason: Reason
    start: StartRequest | None = None


class _Terms(msgspec.Struct, frozen=True):
    """A start and what it would be contracted by now."""

    wanted: Wanted
    start: StartRequest
    contract: Contract


async def ask(world: World, wanted: Wanted) -> Asked:
    """Decide, and ask for the hold; with the same reference once.

    Raises Conflict where the reference came before with something else, and TooMany where there is
    no room for a start that anybody may ask for.
    """
    now = world.now
    snapshot = await world.snapshot(now)
    wanted = _at_reader(snapshot, wanted)
    paid = _who(snapshot, wanted)
    start_id = derive("sta", wanted.charge_point_id, wanted.reference)
    token = starts_store.token_for(start_id, wanted.nonce)
    decision = decide(
        snapshot, token, wanted.charge_point_id, now, connector_id=wanted.connector_id, paid=paid,
        blocks=world.blocks,
    )  # fmt: skip
    if paid.plan_id == "" and decision.reason is Reason.UNKNOWN_TOKEN and _is_guest(wanted):
        decision = msgspec.structs.replace(decision, reason=Reason.NO_ROUTE)
    async with world.work.transaction("ask", now=now) as tx:
        await starts_store.take_turns(tx.conn, f"{wanted.charge_point_id}/{wanted.reference}")
        known = await starts_store.get(tx.conn, start_id)
        if known is not None:
            return Asked(Reason.ACCEPTED, await _same(tx, known, wanted, paid))
        await record(tx, decision, wanted.charge_point_id, "api")
        if not decision.accepted:
            return Asked(decision.reason)
        try:
            contract = make_contract(
                snapshot, decision, wanted.charge_point_id, as_of=now, known_at=now,
                connector_id=wanted.connector_id, paid=paid,
            )  # fmt: skip
        except LookupError:
            return Asked(Reason.NO_TARIFF)
        if contract.route.by_card and contract.processor_id is None:
            return Asked(Reason.NO_PAYMENT_METHOD)  # a vendor's terminal begins by itself
        if not contract.may_stop:
            return Asked(Reason.NO_ROUTE)  # another CPMS alone commands it
        contract = await with_hold(
            tx.conn, world, snapshot, contract, wanted.charge_point_id, wanted.connector_id, now
        )
        terms = _Terms(wanted, _request(snapshot, wanted, contract, start_id, token, now), contract)
        await room.at_connector(tx, snapshot, terms.start)
        start = await _begin(tx, snapshot, terms)
        if wanted.actor is not None:
            await money_acts.record(
                tx, actor=wanted.actor, act="start.ask", subject=start.id,
                detail={"hold_minor": contract.hold_minor, "payment_id": start.payment_id,
                        "payment_method": wanted.payment_method},
            )  # fmt: skip
        return Asked(Reason.ACCEPTED, start)


def _at_reader(snapshot: Snapshot, wanted: Wanted) -> Wanted:
    if wanted.reader_id is None:
        return wanted
    reader_id = reader_at(
        snapshot, wanted.charge_point_id, wanted.connector_id, wanted.reader_id, "$.reader"
    )
    return msgspec.structs.replace(wanted, reader_id=reader_id)


def _is_guest(wanted: Wanted) -> bool:
    return wanted.account_id is None and wanted.token is None


def _who(snapshot: Snapshot, wanted: Wanted) -> Paid:
    """An account by its id or its token; a guest has the site's plan for guests. Nobody: no plan,
    and the decision says so."""
    if _is_guest(wanted):
        place = snapshot.place_of(wanted.charge_point_id)
        plan = snapshot.guest_plan(place[0]) if place else None
        return Paid(plan.id if plan else "", wanted.route)
    account = (
        snapshot.account(wanted.account_id)
        if wanted.account_id is not None
        else snapshot.account_of(wanted.token or "")
    )
    if account is None:
        return Paid("", wanted.route, account_id=wanted.account_id or f"token:{wanted.token}")
    return Paid(
        account.plan, wanted.route, account_id=account.id,
        method=(wanted.payment_method or account.payment_method) is not None,
    )  # fmt: skip


async def _same(tx: Transaction, known: StartRequest, wanted: Wanted, paid: Paid) -> StartRequest:
    """Where to mail the receipt, and the consent, may be said otherwise the second time."""
    same = (
        known.route, known.connector_id, known.account_id, known.asked_token, known.reader_id,
    ) == (
        wanted.route, wanted.connector_id, paid.account_id, wanted.token, wanted.reader_id,
    )  # fmt: skip
    asked = await money_acts.first(tx, "start.ask", known.id) if same else None
    if asked is not None and "payment_method" in asked:
        same = asked["payment_method"] == wanted.payment_method
    if not same:
        raise Conflict(f"the reference {wanted.reference!r} came before with another start")
    return known


def _request(
    snapshot: Snapshot, wanted: Wanted, contract: Contract, start_id: str, token: str, now: datetime
) -> StartRequest:
    policies, site = snapshot.policies, snapshot.site(contract.site_id)
    own = site.connection_timeout_s if site else None
    account = snapshot.account(contract.account_id) if contract.account_id else None
    return StartRequest(
        id=start_id,
        reference=wanted.reference,
        route=str(wanted.route),
        entity_id=contract.entity_id,
        site_id=contract.site_id,
        charge_point_id=wanted.charge_point_id,
        connector_id=wanted.connector_id,
        token=token,
        account_id=contract.account_id,
        plan_id=contract.plan_id or "",
        driver=contract.account_id,
        email=wanted.email or (account.email if account else None),
        reader_id=wanted.reader_id,
        payment_id=None,
        state="paying",
        asked_at=now,
        expires_at=now + timedelta(seconds=policies.pay_within_s),
        least_hold_minor=contract.payment.least_hold_minor,
        consent=wanted.consent or (account.consent if account else False),
        token_type=wanted.token_type,
        asked_token=wanted.token,
        command_key=wanted.command_key,
        wait_s=own or policies.connection_timeout_s,
        keep_s=policies.retry_window_s,
        kept_until=now + KEPT if wanted.page else None,
    )


async def _begin(tx: Transaction, snapshot: Snapshot, terms: _Terms) -> StartRequest:
    """With a hold that goes on, or where nobody needs one, the charge point is told at once."""
    start, contract = terms.start, terms.contract
    if not contract.hold_minor:
        await room.unpaid(tx, snapshot, start)
        await starts_store.add(tx.conn, start)
        return await tell(tx, start)
    payment = await _hold_to_go_on(tx, terms)
    if payment is not None:
        start = msgspec.structs.replace(start, payment_id=payment.id, driver=payment.driver)
        await starts_store.add(tx.conn, start)
        return await tell(tx, start)
    await room.unpaid(tx, snapshot, start)
    payment_id = derive("pay", start.id)
    start = msgspec.structs.replace(start, payment_id=payment_id)
    on_file = start.route == Route.APP
    await payments.add(
        tx.conn,
        Payment(
            id=payment_id, session_id=None, entity_id=contract.entity_id,
            processor_id=contract.processor_id or "", currency=contract.currency,
            hold_minor=contract.hold_minor, state="holding" if on_file else "waiting",
            route=start.route, account_id=start.account_id, driver=start.driver,
            method=starts_store.method_of(start.route), reader_id=start.reader_id,
            consent=start.consent, created_at=tx.now,
        ),
    )  # fmt: skip
    await starts_store.add(tx.conn, start)
    await asking.ask(tx, contract, payment_id, *_asked_for(terms, payment_id))
    await timed.put_off(tx, EXPIRE, start.id, start.expires_at)
    return start


def _asked_for(terms: _Terms, payment_id: str) -> tuple[str, dict[str, Any]]:
    """Of an app the hold; of others an intent, whose card comes at the page or at the reader."""
    start, contract, wanted = terms.start, terms.contract, terms.wanted
    named = {"start_id": start.id}
    described = {"description": f"EV charging at {start.charge_point_id}"}
    if start.route == Route.APP:
        method = wanted.payment_method or contract.payment_method
        contract = msgspec.structs.replace(contract, payment_method=method)
        params = asking.hold_params(contract, payment_id, named) | described
        if not wanted.present:
            params |= {"error_on_requires_action": True}
            params |= {"off_session": True} if contract.customer else {}
        return "hold", params
    params = {
        "amount": contract.hold_minor,
        "currency": contract.currency.lower(),
        "capture_method": "manual",
        "allowed_payment_method_types": [starts_store.method_of(start.route)],
        "metadata": {"payment_id": payment_id, **named, "attempt": "1"},
        **described,
        **asking.card_options(contract.payment, contract.route),
    }
    if start.consent:
        params["setup_future_usage"] = "off_session"
    return "intent", params


async def _hold_to_go_on(tx: Transaction, terms: _Terms) -> Payment | None:
    """The live hold of a start before, of the same driver at the site."""
    start, contract = terms.start, terms.contract
    driver = start.driver
    if driver is None and terms.wanted.retry_of is not None:
        before = await starts_store.get(tx.conn, terms.wanted.retry_of)
        if before is not None and before.account_id is None:
            driver = before.driver
    if driver is None:
        return None
    if start.account_id is None and await blocks.why(tx.conn, None, None, driver):
        return None  # asked for anew, and refused once the card is known
    await starts_store.take_turns(tx.conn, driver)
    return await starts_store.hold_of(
        tx.conn, driver, start, contract.processor_id or "", contract.currency,
        contract.hold_minor,
    )  # fmt: skip

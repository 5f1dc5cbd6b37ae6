"""One function per page: read in a snapshot, then render."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from wattledger.errors import BadInput, NotFound
from wattledger.web import anomalies, books
from wattledger.web.bill import read_bill
from wattledger.web.curve import chart
from wattledger.web.events import read_page, render, seen_digest
from wattledger.web.explained import explained
from wattledger.web.models import ROUTES, model_name, model_of
from wattledger.web.page import Site, asked_day, chosen
from wattledger.web.reconciled import LEGS, read_reconciled
from wattledger.web.sessions import (
    COLLECTED,
    MONEY_FILTERS,
    STATES,
    read_refused,
    read_sessions,
    route_names,
)
from wattledger.web.timeline import timeline


async def overview(site: Site, request: Request) -> Response:
    """GET /: the day."""
    view, day = await read_page(site, request)
    if day is None or not day.days.ever:
        return site.html("first_run.html", request, view, ocpp_url=ocpp_url(site, request))
    parts = render(site, request, view, day, frozenset())
    return site.html(
        "overview.html",
        request,
        view,
        o=day,
        span=chosen(request, "flow", ("week", "day")),
        parts=parts,
        seen=seen_digest(parts),
        live=site.live is None or site.live.connected,
    )


def ocpp_url(site: Site, request: Request) -> str:
    """Where a charge point connects, as far as this process knows."""
    return site.ocpp_url or f"ws://{request.url.hostname}:8016/<charge point id>"


async def sessions(site: Site, request: Request) -> Response:
    """GET /sessions: the list with its filters."""
    state = chosen(request, "state", ("", *STATES))
    route = chosen(request, "route", ("", *ROUTES))
    money = chosen(request, "money", ("", *MONEY_FILTERS))
    query = request.query_params
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        if view.entity is None:
            return site.html("first_run.html", request, view, ocpp_url=ocpp_url(site, request))
        wanted = {
            "site": query.get("site"),
            "state": state,
            "route": route,
            "money": money,
            "day": asked_day(request),
            "q": query.get("q", "").strip(),
            "before": query.get("before"),
            "hold_before": view.now + timedelta(hours=24),
        }
        listed = await read_sessions(conn, view.places, view.entity, wanted)
    return site.html(
        "sessions.html",
        request,
        view,
        listed=listed,
        wanted=wanted,
        states=STATES,
        routes=route_names(),
        monies=MONEY_FILTERS,
        sites=view.places.sites_of(view.entity.id),
        ocpp_url=ocpp_url(site, request),
    )


async def refused(site: Site, request: Request) -> Response:
    """GET /sessions/refused: attempts that were turned away."""
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        rows, follow = await read_refused(conn, number(request, "before"))
    return site.html("refused.html", request, view, rows=rows, next=follow)


async def session(site: Site, request: Request) -> Response:
    """GET /sessions/{id}: the bill."""
    return await show_session(site, request, {}, None, 200)


async def show_session(
    site: Site, request: Request, form: dict[str, Any], problem: str | None, status: int
) -> Response:
    """The page of a session; with what was typed into its form for a refund, and what was wrong."""
    from wattledger.web import refunding  # noqa: PLC0415  (it shows this page again)

    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        bill = await read_bill(conn, request.path_params["session_id"])
        doubts = await anomalies.of_session(site, conn, request, view, bill.session["id"])
        money = await refunding.of_session(site, conn, request, bill, form)
    entity = view.places.entities.get(bill.contract.entity_id, view.entity)
    model = model_of(bill.contract.route, bill.contract.discount_percent, bill.tariff)
    return site.html(
        "session.html",
        request,
        view,
        status=status,
        problem=problem,
        m=money,
        b=bill,
        owner=entity,
        here=bill.contract.time_zone,
        events=timeline(bill, bill.contract.time_zone),
        lines=explained(bill),
        chart=chart(bill, view.now),
        model=model_name(model),
        state=STATES[bill.session["state"]],
        collected=COLLECTED,
        route=ROUTES[bill.contract.route],
        account_name=books.account_name,
        **doubts,
    )


async def reconciliation(site: Site, request: Request) -> Response:
    """GET /reconciliation: the chain; ``?leg=`` shows the breaks of one leg."""
    leg = chosen(request, "leg", ("", *LEGS))
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        found = await read_reconciled(conn, view.books, view.now)
    shown = found.of_leg(leg)
    return site.html(
        "reconciliation.html",
        request,
        view,
        r=found,
        leg=leg,
        breaks=shown,
        ages=found.ages(found.breaks),
        picked=next((one for one in found.legs if one["leg"] == leg), None),
    )


async def ledger(site: Site, request: Request) -> Response:
    """GET /ledger: trial balance and journal; ``?account=`` shows one account's postings."""
    account = request.query_params.get("account") or None
    before = number(request, "before")
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        trial = await books.read_trial(conn, view.books)
        if account and account not in {row.code for row in trial}:
            raise NotFound(f"there is no account {account!r} in these books")
        postings, follow = await books.read_postings(conn, view.books, account, before)
    return site.html(
        "ledger.html",
        request,
        view,
        trial=trial,
        account=account,
        postings=postings,
        next=follow,
        account_name=books.account_name,
    )


async def deliveries(site: Site, request: Request) -> Response:
    """GET /deliveries: webhooks, or with ``?kind=all`` every call sent out."""
    kind = request.query_params.get("kind") or "webhook.deliver"
    state = chosen(
        request, "state", ("", "pending", "claimed", "unknown", "done", "rejected", "late")
    )
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        rows, counts, follow = await books.read_sent(
            conn, kind, state, number(request, "before"), view.now
        )
    return site.html(
        "deliveries.html",
        request,
        view,
        rows=rows,
        counts=counts,
        kind=kind,
        state=state,
        next=follow,
    )


async def missing(site: Site, request: Request) -> Response:
    """Everything else. What belongs to the API is left to the API's own answer."""
    if request.url.path.startswith("/v1/"):
        raise HTTPException(404)
    raise NotFound(f"nothing is kept under {request.url.path}: start from the overview")


def number(request: Request, name: str) -> int | None:
    """A whole number out of the address, if it is there."""
    text = request.query_params.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadInput(f"?{name}", text, "the key that the link to the next page has")
    return int(text)

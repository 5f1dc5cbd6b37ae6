"""Payments: what needs somebody, all of them, one with its timeline; and what a person decides."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wattledger.errors import BadInput, Conflict, Forbidden, NotFound
from wattledger.money import parse_minor
from wattledger.payments import blocks
from wattledger.pipeline.deciding import money_desk, money_view
from wattledger.pipeline.deciding.money_desk import Asked
from wattledger.pipeline.deciding.money_view import Row
from wattledger.pipeline.returning import disputes, evidence_files
from wattledger.receipts.paid import method
from wattledger.web import forms
from wattledger.web.models import ROUTES
from wattledger.web.money_words import (
    ACTS,
    CALLS,
    DEBT_WHY,
    DISPUTES,
    LEGS,
    REFUNDS,
    SHOW,
    STATES,
    SUSPENSE_WHY,
    said,
    timeline,
    until,
)
from wattledger.web.page import Site, View, chosen
from wattledger.web.places import Conn

ROWS = 50


async def listed(site: Site, request: Request) -> Response:
    """GET /payments: what needs somebody, then all, the newest first."""
    return await _list(site, request, {}, None, 200)


async def one(site: Site, request: Request) -> Response:
    """GET /payments/{id}"""
    return await _one(site, request, {}, None, 200)


async def dispute(site: Site, request: Request) -> Response:
    """GET /payments/disputes/{id}: what would be sent to the bank, and the form that sends it."""
    return await _dispute(site, request, {}, None, 200)


async def decide(site: Site, request: Request) -> Response:
    """POST /payments/act: do it, and go back to where the form stood."""
    if site.world is None:
        raise NotFound("decisions are taken on the page of `wattledger serve`")
    if not forms.same_page(request):
        return forms.from_elsewhere(site, request)
    form = await forms.read(request)
    by, name = form.get("by", "").strip(), form.get("act", "")
    try:
        _known(name)
        asked = Asked(
            subject=form.get("subject", "")[:200], actor=f"page:{forms.person(form)}",
            reason=form.get("reason", ""), note=form.get("note", ""),
            session_id=form.get("session_id", "").strip() or None,
            kind=form.get("kind", "correction"), parts=_parts(form),
        )  # fmt: skip
        await money_desk.do(site.world, name, asked)
    except (BadInput, Conflict, Forbidden, NotFound) as error:
        answer = await _again(site, request, form, error)
    else:
        site.wake()
        answer = RedirectResponse(await back(site, form), 303)
    return forms.remember(request, answer, by)


def _parts(form: dict[str, str]) -> dict[str, int]:
    """How much of an amount is of which session, where somebody has divided it."""
    found = {}
    for name, text in form.items():
        kind, _, session_id = name.partition(":")
        if kind == "part" and text.strip():
            plain = text.strip().replace(",", ".")
            found[session_id] = parse_minor(plain, form.get("currency", ""), "$.parts")
    return found


def _known(name: str) -> None:
    if name not in ACTS:
        raise BadInput("The act", name, f"one of {', '.join(ACTS)}")


async def words(site: Site, conn: Conn, request: Request, form: Row) -> dict[str, Any]:
    """What every page with such forms needs."""
    did = request.query_params.get("did", "")
    found: list[Row] = []
    if did.isascii() and did.isdecimal() and len(did) < 19:
        cursor = await conn.execute(
            "SELECT actor, act, subject, reason FROM money_act WHERE id = %s", (int(did),)
        )
        found = await cursor.fetchall()
    return {
        "by": form.get("by") or forms.name_of(request),
        "back": form.get("back") or request.url.path,
        "can_act": site.world is not None,
        "did": said(found[0]) if found else None,
        "form": form,
        "acts": ACTS,
        "words": {
            "states": STATES, "legs": LEGS, "debts": DEBT_WHY, "suspense": SUSPENSE_WHY,
            "refunds": REFUNDS, "disputes": DISPUTES, "calls": CALLS,
            "routes": {route.value: name for route, name in ROUTES.items()},
        },
        "method": method,
        "until": until,
    }  # fmt: skip


async def _again(site: Site, request: Request, form: dict[str, str], error: Exception) -> Response:
    """The page that the form stood on, with what is wrong and what was typed."""
    status = {BadInput: 422, Conflict: 409, Forbidden: 403, NotFound: 404}[type(error)]
    problem = _problem(error)
    path = _path(form.get("back", ""))
    kind, _, key = path.removeprefix("/payments").strip("/").partition("/")
    if kind == "disputes" and key:
        request.path_params["dispute_id"] = key
        return await _dispute(site, request, form, problem, status)
    if path.startswith("/payments/") and kind:
        request.path_params["payment_id"] = kind
        return await _one(site, request, form, problem, status)
    return await _list(site, request, form, problem, status)


def _problem(error: Exception) -> str:
    if isinstance(error, BadInput):
        names = {"$.reason": "The reason", "$.by": "Your name", "$.session_id": "The session",
                 "$.parts": "The division"}  # fmt: skip
        got = "nothing" if error.got in (None, "") else f"“{error.got}”"
        return f"{names.get(error.path, error.path)}: this was {got}, expected {error.expected}."
    return f"{error}."


async def _list(
    site: Site, request: Request, form: dict[str, str], problem: str | None, status: int
) -> Response:
    query = request.query_params
    wanted: Row = {
        "state": chosen(request, "state", ("", *STATES)),
        "show": chosen(request, "show", ("", *SHOW)),
        "q": query.get("q", "").strip()[:100].replace("\0", ""),
        "before": query.get("before"),
    }
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        found = await _read(conn, view, wanted) if view.entity else ([], None, None)
        rows, needs, following = found
        blocked = await blocks.listed(conn, limit=ROWS) if needs else []
        more = await words(site, conn, request, form)
    return site.html(
        "payments.html", request, view, status=status, rows=rows, needs=needs, next=following,
        blocked=blocked,
        wanted=wanted, shows=SHOW, problem=problem, by_key=await _by_key(site), **more,
    )  # fmt: skip


async def _by_key(site: Site) -> bool:
    """Whether only keys of the API approve refunds, and the page has no button for it."""
    if site.world is None:
        return False
    return (await site.world.snapshot(site.world.now)).policies.approve_by == "key"


async def _read(
    conn: Conn, view: View, wanted: Row
) -> tuple[list[Row], money_view.Needs | None, str | None]:
    """The list; and what needs somebody, on its first page."""
    entity = view.books.id
    asked = {"entity": entity, **{name: wanted[name] for name in ("state", "q", "before")}}
    asked |= {wanted["show"]: True} if wanted["show"] else {}
    found = await money_view.payments(conn, asked, view.now, ROWS + 1, newest_first=True)
    rows = found[:ROWS]
    following = money_view.following(rows, ROWS) if len(found) > ROWS else None
    alone = any(wanted.values())
    needs = None if alone else await money_view.needs(conn, entity, view.now)
    return rows, needs, following


async def _one(
    site: Site, request: Request, form: dict[str, str], problem: str | None, status: int
) -> Response:
    payment_id = request.path_params["payment_id"].replace("\0", "")
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        found = await money_view.payment(conn, payment_id, view.now)
        zone = await _zone(conn, view, found)
        more = await words(site, conn, request, form)
    return site.html(
        "payment.html", request, view, status=status, p=found, events=timeline(found),
        here=zone, problem=problem, owner=view.places.entities.get(found["entity_id"]), **more,
    )  # fmt: skip


async def _dispute(
    site: Site, request: Request, form: dict[str, str], problem: str | None, status: int
) -> Response:
    dispute_id = request.path_params["dispute_id"].replace("\0", "")
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        rows = await money_view.disputes(conn, open_only=False, dispute=dispute_id)
        if not rows:
            raise NotFound(f"there is no dispute {dispute_id}")
        pack = await disputes.evidence(conn, dispute_id)
        done = await money_view.acts(conn, dispute_id)
        more = await words(site, conn, request, form)
    return site.html(
        "dispute.html", request, view, status=status, d=rows[0], pack=pack, done=done,
        problem=problem, **more,
    )  # fmt: skip


async def dispute_file(site: Site, request: Request) -> Response:
    """A PDF that goes, or went, with the evidence."""
    dispute_id, field = (request.path_params[name].replace("\0", "")
                         for name in ("dispute_id", "field"))  # fmt: skip
    async with site.snapshot() as conn:
        content = await evidence_files.shown(conn, dispute_id, field)
    return Response(content, media_type="application/pdf", headers={"Cache-Control": "no-store"})


async def _zone(conn: Conn, view: View, found: Row) -> str:
    """The site's clock where there is a session, else the books'."""
    cursor = await conn.execute(
        "SELECT contract->>'time_zone' AS zone FROM session WHERE id = %s", (found["session_id"],)
    )
    row = await cursor.fetchone()
    owner = view.places.entities.get(found["entity_id"])
    return str(row["zone"]) if row else owner.time_zone if owner else "UTC"


async def back(site: Site, form: dict[str, str]) -> str:
    """To where the form stood, saying what was done by the record of it."""
    assert site.world is not None, "it has just acted"
    async with site.world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT max(id) AS id FROM money_act WHERE actor = %s",
            (f"page:{form.get('by', '').strip()}",),
        )
        row = await cursor.fetchone()
    did = row["id"] if row else ""
    return f"{quote(_path(form.get('back', '')), safe='/')}?did={did}#did"


def _path(text: str) -> str:
    """A page of ours, or the list."""
    path = urlsplit(text).path
    ours = path.startswith(("/payments", "/sessions/")) and text == path and "\\" not in path
    return path if ours else "/payments"

"""Receipts: by link for drivers, and by the API for who serves them.

``/r/{token}`` asks for no password: the token is the proof. A wrong one and one of a session that
is not there are answered alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from wattledger import receipts
from wattledger.api import query
from wattledger.api.answers import json_answer
from wattledger.api.state import State
from wattledger.errors import BadInput, NotFound
from wattledger.rate import Rate
from wattledger.receipts import links, page, store
from wattledger.receipts.settings import RECEIPTS, ReceiptSettings

Handler = Callable[[Request], Awaitable[Response]]
_KINDS = ("pdf", "xml")
_HEADERS = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


def routes() -> list[BaseRoute]:
    """All of them."""
    at = "/v1/sessions/{session_id}/receipt"
    return [
        Route("/r/{token}", _rated(by_link)),
        Route(at, get_one),
        *(Route(f"{at}.{kind}", get_one) for kind in (*_KINDS, "html")),
    ]


def _rated(handler: Handler) -> Handler:
    """As often as the page at the charge point: whoever has a link, or guesses at one, keeps
    nobody else waiting."""
    rate = Rate(per_minute=120, burst=60)

    async def answer(request: Request) -> Response:
        if not rate.allows(request.client.host if request.client else ""):
            headers = {**_HEADERS, "Retry-After": str(rate.retry_after_s)}
            return PlainTextResponse("That was often. Try again in a minute.\n", 429, headers)
        return await handler(request)

    return answer


async def get_one(request: Request) -> Response:
    """``/v1/sessions/{id}/receipt`` as JSON, with ``.pdf``, ``.html`` or ``.xml`` (the signed
    records) as that; ``?document=`` is the revision of a document that is not the one in force."""
    state: State = request.app.state.wattledger
    state.keys.require(request, "sessions:read")
    session_id = query.an_id(request.path_params["session_id"], "session_id")
    path = request.url.path
    kind = path.rpartition(".")[2] if not path.endswith("/receipt") else "json"
    async with state.reader.connection() as conn:
        receipt = await store.read(conn, session_id, _revision(request))
    if kind == "json":
        shown = {**msgspec.to_builtins(receipt), "number": receipt.number,
                 "open_minor": receipt.open_minor}  # fmt: skip
        return json_answer(shown)
    return await _as(receipt, kind, None, None)


async def by_link(request: Request) -> Response:
    """``/r/{token}``, ``/r/{token}.pdf`` and ``/r/{token}.xml``"""
    state: State = request.app.state.wattledger
    token, _, kind = request.path_params["token"].partition(".")
    session_id = await _session_of(state, token) if kind in ("", *_KINDS) else None
    if session_id is None:
        return _nothing()
    try:
        asked = _revision(request)
        async with state.reader.connection() as conn:
            receipt = await store.read(conn, session_id, asked)
    except BadInput:
        return _nothing()
    except NotFound:
        async with state.reader.connection() as conn:
            there = await store.place_of(conn, session_id)
        if kind or there is None or request.query_params:
            return _nothing()
        headers = {**_HEADERS, "Content-Security-Policy": page.policy()}
        return Response(page.not_yet(*there), media_type="text/html", headers=headers)
    return await _as(receipt, kind or "html", f"/r/{token}", asked)


async def _as(receipt: receipts.Receipt, kind: str, at: str | None, asked: int | None) -> Response:
    if kind == "html":
        headers = {**_HEADERS, "Content-Security-Policy": page.policy()}
        return Response(receipts.html(receipt, at, asked), media_type="text/html", headers=headers)
    if kind == "xml" and not receipt.records:
        return _nothing()
    paper = kind == "pdf"
    name = f"receipt-{receipt.number.replace('/', '-')}.{kind}"
    how = "inline" if paper else "attachment"
    # Paper takes long enough to keep charge points waiting.
    made = await asyncio.to_thread(receipts.pdf, receipt) if paper else receipts.xml(receipt)
    return Response(
        made,
        media_type=f"application/{kind}",
        headers={**_HEADERS, "Content-Disposition": f'{how}; filename="{name}"'},
    )


async def _session_of(state: State, token: str) -> str | None:
    snapshot = await state.world.snapshot(state.world.now)
    settings = snapshot.get(RECEIPTS, RECEIPTS, ReceiptSettings)
    if settings is None or settings.link_secret_env is None or "\0" in token:
        return None
    return links.session_of(state.secrets(settings.link_secret_env), token)


def _revision(request: Request) -> int | None:
    given = query.text(request, "document")
    return min(query.number(given, "document"), 2**31 - 1) if given else None


def _nothing() -> Response:
    return PlainTextResponse("There is no such receipt.\n", 404, headers=_HEADERS)

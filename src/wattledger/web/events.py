"""The live first page: one message carries every figure that an event changed.

The page may be behind, but it is never out of balance: what is sent was read in one snapshot,
and a fragment that did not change is not sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import datetime

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wattledger.errors import WattledgerError
from wattledger.ids import content_digest
from wattledger.web.numbers import clock
from wattledger.web.overview import Overview, read_overview
from wattledger.web.page import Site, View, asked_day, chosen

# A demo books hundreds of sessions in seconds: no page gets more than two messages in one.
MIN_INTERVAL_S = 0.5
# Without a notification the state is read again this often.
POLL_S = 3.0

FRAGMENTS = {
    "when": "fragments/when.html",
    "charged": "fragments/charged.html",
    "through": "fragments/through.html",
    "tape": "fragments/tape.html",
    "flow": "fragments/flow.html",
    "todo": "fragments/todo.html",
    "sites": "fragments/sites.html",
}


async def read_page(site: Site, request: Request) -> tuple[View, Overview | None]:
    """The names and the day; no day where no legal entity is configured yet."""
    span = chosen(request, "flow", ("week", "day"))
    async with site.snapshot() as conn:
        view = await site.view(conn, request)
        if view.entity is None:
            return view, None
        day = asked_day(request)
        return view, await read_overview(
            conn, view.places, view.entity, view.now, asked=day, span=span
        )


def render(
    site: Site, request: Request, view: View, overview: Overview, fresh: frozenset[str]
) -> dict[str, str]:
    """Each fragment's HTML by the id of the element that holds it."""
    span = chosen(request, "flow", ("week", "day"))
    return {
        name: site.text(template, request, view, o=overview, fresh=fresh, span=span)
        for name, template in FRAGMENTS.items()
    }


def seen_digest(parts: dict[str, str]) -> str:
    """What the page has when it is written: of that nothing is sent again."""
    return content_digest("\n".join(parts[name] for name in FRAGMENTS).encode())[:16]


async def events(site: Site, request: Request) -> Response:
    """GET /events: a stream of messages for the first page."""
    # Refused before the stream begins, with a page that says why.
    asked_day(request)
    chosen(request, "flow", ("week", "day"))
    return StreamingResponse(
        _stream(site, request),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(site: Site, request: Request) -> AsyncIterator[str]:
    live = site.live
    woken = live.subscribe() if live else asyncio.Event()
    last = _Last()
    last.seen = request.query_params.get("seen", "")
    try:
        while not (live and live.closing):
            woken.clear()
            started = time.monotonic()
            yield await _message(site, request, last)
            await asyncio.sleep(max(0.0, MIN_INTERVAL_S - (time.monotonic() - started)))
            with contextlib.suppress(TimeoutError):  # not wait_for: as at the worker's desks
                async with asyncio.timeout(POLL_S):
                    await woken.wait()
    finally:
        if live:
            live.unsubscribe(woken)


class _Last:
    """What one subscriber has on the page."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self.seen = ""
        self.charges: frozenset[str] | None = None
        self.read_at: datetime | None = None
        self.zone = "UTC"
        self.state = ""


async def _message(site: Site, request: Request, last: _Last) -> str:
    try:
        view, overview = await read_page(site, request)
    except (psycopg.OperationalError, PoolTimeout, WattledgerError):
        return _not_live(site, request, last, "The database does not answer.")
    if overview is None:
        return ": nothing is configured\n\n"
    parts = render(site, request, view, overview, frozenset())
    if last.seen and last.seen == seen_digest(parts):
        last.sent = parts
    last.seen = ""
    changed = {name for name, html in parts.items() if last.sent.get(name) != html}
    charges = frozenset(row.charge_id for row in overview.tape)
    if last.charges is not None and charges - last.charges:
        fresh = charges - last.charges
        shown = render(site, request, view, overview, fresh)
        body = {name: shown[name] for name in changed}
    else:
        body = {name: parts[name] for name in changed}
    last.sent = parts
    last.charges = charges
    last.read_at = overview.now
    last.zone = overview.entity.time_zone
    connected = site.live is None or site.live.connected
    state = "live" if connected else "deaf"
    if not body and state == last.state:
        return ": still so\n\n"
    last.state = state
    status = site.text("fragments/status.html", request, view, state=state, at=overview.now)
    return _sse({**body, "live": status, "trouble": ""})


def _not_live(site: Site, request: Request, last: _Last, why: str) -> str:
    if last.state == "gone":
        return ": still away\n\n"
    last.state = "gone"
    since = clock(last.read_at, last.zone, seconds=True) if last.read_at else None
    status = site.text("fragments/status.html", request, None, state="gone", at=None, since=since)
    trouble = site.text("fragments/trouble.html", request, None, since=since, why=why)
    last.sent = {}
    return _sse({"live": status, "trouble": trouble})


def _sse(parts: dict[str, str]) -> str:
    body = "".join(
        f'<hx-partial hx-target="#{name}" hx-swap="innerHTML">{html}</hx-partial>'
        for name, html in parts.items()
    )
    lines = "".join(f"data: {line}\n" for line in body.splitlines())
    return f"{lines}\n"

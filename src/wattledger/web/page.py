"""What every page shares: the templates, the entity whose books are shown, headers, errors."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec
import psycopg
from markupsafe import Markup
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from wattledger.clock import Clock
from wattledger.errors import BadInput, NotFound
from wattledger.pipeline.world import World
from wattledger.web import numbers
from wattledger.web.flow import nodes
from wattledger.web.live import Live
from wattledger.web.places import Conn, Entity, Places, read_places

Pool = AsyncConnectionPool[Conn]
Handler = Callable[["Site", Request], Awaitable[Response]]
HERE = Path(__file__).parent
STATIC = HERE / "static"
_log = logging.getLogger(__name__)

FILTERS = (
    "money",
    "money_or_dash",
    "plain_money",
    "kwh",
    "plain_kwh",
    "per_kwh",
    "percent",
    "price",
    "quantity",
    "share",
    "clock",
    "stamp",
    "long_day",
    "weekday",
    "short_day",
    "duration",
    "counted",
    "short_digest",
    "local",
)
NAV = (
    ("/", "Overview"),
    ("/sessions", "Sessions"),
    ("/payments", "Payments"),
    ("/reconciliation", "Reconciliation"),
    ("/ledger", "Ledger"),
    ("/deliveries", "Deliveries"),
    ("/anomalies", "Anomalies"),
)
HEADERS = {
    # Nothing from anywhere else, nothing inline; htmx and the charts need no exception.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class View(msgspec.Struct, frozen=True):
    """For one request: whose books, under which names, at what time."""

    places: Places
    entity: Entity | None
    now: datetime
    still: bool

    @property
    def books(self) -> Entity:
        """The entity; NotFound where none is configured, which the first-run page is shown for."""
        if self.entity is None:
            raise NotFound("no legal entity is configured: write one into wattledger.toml")
        return self.entity


class Site:
    """The pages' common ground."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        live: Live | None,
        ocpp_url: str | None = None,
        world: World | None = None,
        wake: Callable[[], None] = lambda: None,
        secrets: Callable[[str], str] | None = None,
    ) -> None:
        self.secrets = secrets
        self.pool = pool
        self.clock = clock
        self.live = live
        self.ocpp_url = ocpp_url
        self.world = world
        self.wake = wake
        self.templates = _templates()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Conn]:
        """A connection in a read-only transaction that sees one state of the database."""
        async with self.pool.connection(timeout=5) as conn, conn.transaction():
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield conn

    async def view(self, conn: Conn, request: Request) -> View:
        """Read the names and choose the entity: ``?entity=``, or the first."""
        places = await read_places(conn)
        asked = request.query_params.get("entity")
        if asked is not None and asked not in places.entities:
            raise NotFound(f"there is no legal entity {asked!r}; there are {list(places.entities)}")
        chosen = asked or next(iter(places.entities), None)
        return View(
            places=places,
            entity=places.entities[chosen] if chosen else None,
            now=self.clock.now(),
            still="still" in request.query_params,
        )

    def text(self, name: str, request: Request, view: View | None, **values: Any) -> str:
        """A template, with what all of them know."""
        keep = {}
        if view and view.entity and "entity" in request.query_params:
            keep["entity"] = view.entity.id
        if view and view.still:
            keep["still"] = ""
        return self.templates.get_template(name).render(
            request=request,
            view=view,
            nav=NAV,
            path=request.url.path,
            url=partial(link, keep),
            keep=keep,
            entity=view.entity if view else None,
            currency=view.entity.currency if view and view.entity else "XXX",
            zone=view.entity.time_zone if view and view.entity else "UTC",
            **values,
        )

    def html(
        self, name: str, request: Request, view: View | None, *, status: int = 200, **values: Any
    ) -> Response:
        """The page as an answer."""
        return HTMLResponse(self.text(name, request, view, **values), status_code=status)

    def endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler with headers, and with a page for each way in which it can fail."""

        async def answer(request: Request) -> Response:
            try:
                _check_path(request)
                response = await handler(self, request)
            except NotFound as error:
                response = self.failed(request, 404, "There is no such page", str(error))
            except BadInput as error:
                response = self.failed(
                    request, 400, "The address asks for the impossible", str(error)
                )
            except (PoolTimeout, psycopg.OperationalError) as error:
                _log.warning("%s: the database does not answer: %s", request.url.path, error)
                response = self.failed(
                    request,
                    503,
                    "The database does not answer",
                    "Nothing can be shown without it, and nothing is lost: what charge points"
                    " report is kept by them until it is back. Check that PostgreSQL runs and"
                    " that the connection in wattledger.toml is right, then load this page again.",
                )
            except HTTPException:
                raise
            except Exception as error:
                _log.exception("%s failed", request.url.path)
                response = self.failed(
                    request,
                    500,
                    "This page has a fault",
                    f"It ended with {type(error).__name__}. The log has the whole story under"
                    f" “{request.url.path} failed”. The figures themselves are not touched by"
                    " it: what a page changes, it changes as a whole or not at all.",
                )
            response.headers.update(HEADERS)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return answer

    def failed(self, request: Request, status: int, title: str, text: str) -> Response:
        """The page of an error: what it is and what to do, without asking the database."""
        return self.html("error.html", request, None, status=status, title=title, text=text)


def _check_path(request: Request) -> None:
    """The database takes no zero byte in a text."""
    if "\0" in request.scope["path"]:
        raise NotFound("no address of ours has a zero byte in it")


def asked_day(request: Request) -> date | None:
    """``?day=YYYY-MM-DD``; BadInput for what is no date."""
    text = request.query_params.get("day")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput("?day", text, "a date such as 2026-11-03") from None


def chosen(request: Request, name: str, allowed: tuple[str, ...]) -> str:
    """A parameter that is one of ``allowed``; the first where it is not given."""
    value = request.query_params.get(name) or allowed[0]
    if value not in allowed:
        raise BadInput(f"?{name}", value, f"one of {', '.join(a for a in allowed if a)}")
    return value


def link(keep: dict[str, str], href: str, /, **params: object) -> str:
    """An address inside the pages that keeps the entity and the stillness of this one."""
    path, _, anchor = href.partition("#")
    path, _, query = path.partition("?")
    merged = {k: str(v) for k, v in params.items() if v not in (None, "")} | keep
    full = "&".join(part for part in (query, urlencode(merged)) if part)
    return path + (f"?{full}" if full else "") + (f"#{anchor}" if anchor else "")


def block(value: object) -> Markup:
    """JSON for a script block: nothing in it can end the block."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(safe)


def _templates() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in FILTERS:
        env.filters[name] = getattr(numbers, name)
    env.filters["block"] = block
    env.filters["sum_signed"] = lambda rows: sum(row.amount_minor or 0 for row in rows)
    env.filters["sum_abs"] = lambda rows: sum(abs(row.amount_minor or 0) for row in rows)
    env.globals["nodes"] = nodes
    env.globals["sign"] = numbers.sign
    env.globals["static"] = _versioned()
    return env


def _versioned() -> Callable[[str], str]:
    """Addresses of static files that change with their content, so that they may be kept."""
    digests = {
        path.name: sha256(path.read_bytes()).hexdigest()[:10]
        for path in STATIC.iterdir()
        if path.suffix in {".js", ".css"}
    }
    return lambda name: f"/static/{name}?v={digests[name]}"

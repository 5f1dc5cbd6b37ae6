"""The web page: the same figures as the books, for people. It reads; only what
people decide about anomalies and payments writes.

``page_routes`` is all that a server needs; the routes go behind those of the API, because the
last one answers whatever is left.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattledger.clock import Clock
from wattledger.pipeline.world import World
from wattledger.web import anomalies, handlers, payments, refunding
from wattledger.web.events import events
from wattledger.web.live import Live
from wattledger.web.page import HEADERS, STATIC, Handler, Pool, Site

__all__ = ["Live", "page_routes"]

_PAGES: tuple[tuple[str, Handler], ...] = (
    ("/", handlers.overview),
    ("/events", events),
    ("/sessions", handlers.sessions),
    ("/sessions/refused", handlers.refused),
    ("/sessions/{session_id}", handlers.session),
    ("/payments", payments.listed),
    ("/payments/disputes/{dispute_id}", payments.dispute),
    ("/payments/disputes/{dispute_id}/{field}.pdf", payments.dispute_file),
    ("/payments/{payment_id}", payments.one),
    ("/reconciliation", handlers.reconciliation),
    ("/ledger", handlers.ledger),
    ("/deliveries", handlers.deliveries),
    ("/anomalies", anomalies.listed),
    ("/anomalies/{anomaly_id}", anomalies.one),
    ("/{path:path}", handlers.missing),
)


def page_routes(
    pool: Pool,
    clock: Clock,
    live: Live | None,
    *,
    ocpp_url: str | None = None,
    world: World | None = None,
    wake: Callable[[], None] = lambda: None,
    secrets: Callable[[str], str] | None = None,
) -> list[Route | Mount]:
    """The pages over ``pool``, whose connections read as wattledger_reader with dict rows.

    Without ``live`` the first page still renews itself, every few seconds. ``ocpp_url`` is the
    address that the first-run page tells a charge point to connect to. With ``world`` a person can
    decide about anomalies and payments; ``wake`` is called when there may be work from that.
    ``secrets`` finds the secret that links to receipts are made from.
    """
    site = Site(pool, clock, live, ocpp_url, world, wake, secrets)
    static = Mount(
        "/static", StaticFiles(directory=STATIC), middleware=[Middleware(_StaticHeaders)]
    )
    pages = [
        Route(path, site.endpoint(handler), methods=["GET"], name=f"page {path}")
        for path, handler in _PAGES
    ]
    decided = {
        "/anomalies/{anomaly_id}": anomalies.decide,
        "/payments/act": payments.decide,
        "/sessions/{session_id}/refund": refunding.ask,
        "/sessions/{session_id}/receipt": refunding.mail,
    }
    acts = [Route(at, site.endpoint(do), methods=["POST"]) for at, do in decided.items()]
    return [static, *acts, *pages]


class _StaticHeaders:
    """The pages' headers for files too; a file named with its digest may be kept for ever."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keep = b"v=" in scope.get("query_string", b"")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                age = b"public, max-age=31536000, immutable" if keep else b"no-cache"
                extra = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *extra, (b"cache-control", age)]
            await send(message)

        await self.app(scope, receive, with_headers)

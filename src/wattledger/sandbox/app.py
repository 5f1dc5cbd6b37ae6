"""The application: which of Stripe's URLs we stand in for, and the parts put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from wattledger.sandbox import files, routes_cards, routes_money, routes_terminal
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.browser import Browser
from wattledger.sandbox.control import Control
from wattledger.sandbox.disputes import Disputes
from wattledger.sandbox.events import Deliveries
from wattledger.sandbox.faults import Faults
from wattledger.sandbox.gateway import Gateway, Handler, Operation
from wattledger.sandbox.habits import Habits
from wattledger.sandbox.happenings import Happenings
from wattledger.sandbox.intents import Intents
from wattledger.sandbox.listed import Row
from wattledger.sandbox.payouts import Payouts
from wattledger.sandbox.receiver import Receiver
from wattledger.sandbox.refunds import Refunds
from wattledger.sandbox.routes_money import Money
from wattledger.sandbox.search import Index
from wattledger.sandbox.setups import Setups
from wattledger.sandbox.store import Store
from wattledger.sandbox.terminal import Terminal
from wattledger.sandbox.traffic import Traffic
from wattledger.sandbox.webhooks import Endpoints

_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """What the sandbox is started with."""

    start: datetime
    api_key: str
    stripe_webhook_url: str | None
    stripe_webhook_secret: str
    receiver_secret: str
    payout_arrival_business_days: int = 1
    account: str = "sbx"
    """In every id, because Stripe's are unique over all accounts."""
    clock: str = "driven"
    """``running``: the clock runs as the machine's does from ``start`` on."""
    limits: str = "off"
    """The rate limits from the start: ``off``, ``test`` or ``live``."""


def build(settings: Settings) -> Starlette:
    """The application, its state in memory from ``settings.start`` on."""
    store = Store(settings.start, settings.account)
    faults = Faults()
    balance = Balance(store, Habits())
    refunds = Refunds(balance)
    disputes = Disputes(balance, refunds)
    payouts = Payouts(balance, settings.payout_arrival_business_days)
    intents = Intents(store, balance)
    setups = Setups(store, intents.attempts)
    index = Index(store)
    terminal = Terminal(store, intents)
    endpoints = Endpoints(store, settings.stripe_webhook_url, settings.stripe_webhook_secret)
    gateway = Gateway(store, faults, settings.api_key)
    gateway.limits.switch(settings.limits)
    deliveries = Deliveries(store, faults, endpoints)
    receiver = Receiver(faults, settings.receiver_secret)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        deliveries.start()
        ticking = _tick(store) if settings.clock == "running" else None
        yield
        if ticking:
            ticking.cancel()
        await deliveries.stop()

    async def unknown(request: Request) -> Response:
        return await gateway.answer(request, None)

    routes = [
        *_stripe_routes(
            gateway,
            [
                *routes_cards.table(intents, setups, index),
                *routes_money.table(Money(balance, refunds, disputes, payouts, endpoints)),
                *routes_terminal.table(terminal),
                *files.table(),
            ],
        ),
        Route("/v1/{rest:path}", unknown, methods=["GET", "POST", "DELETE"]),
        *Control(gateway, balance, deliveries, endpoints, faults).routes(),
        *Happenings(balance, refunds, disputes, payouts, terminal).routes(),
        *Traffic(gateway.limits).routes(),
        *Browser(store, intents, setups).routes(),
        Route("/receiver/{name}", receiver.receive, methods=["POST"]),
        Route("/receiver/{name}/_report", receiver.report),
        Route("/receiver/{name}/_messages", receiver.messages),
    ]
    # A payment page is another origin: what it may do is told by the keys, not by CORS.
    anyone = Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"])
    return Starlette(routes=routes, lifespan=lifespan, middleware=[anyone])


def _tick(store: Store) -> asyncio.Task[None]:
    """Let the clock run, and what falls due happen, be there a request or not."""
    store.run()

    async def run() -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            store.tick()

    return asyncio.create_task(run())


def _stripe_routes(gateway: Gateway, table: list[Row]) -> list[Route]:
    return [
        Route(
            f"/v1/{path}",
            _endpoint(gateway, _operation(f"{method} {path}", declared, handle)),
            methods=[method],
        )
        for method, path, declared, handle in table
    ]


def _operation(name: str, declared: type, handle: Handler) -> Operation:
    return Operation(declared, handle, name, name in routes_cards.BROWSER)


def _endpoint(gateway: Gateway, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await gateway.answer(request, operation)
        except ClientDisconnect:  # who asked was killed before it had said what: nothing is done
            return Response(status_code=400)

    return endpoint

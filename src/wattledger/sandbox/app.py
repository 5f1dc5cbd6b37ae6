"""The application: which of Stripe's URLs we stand in for, and the parts put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wattledger.sandbox import routes_cards, routes_money
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.control import Control
from wattledger.sandbox.events import Deliveries
from wattledger.sandbox.faults import Faults
from wattledger.sandbox.gateway import Gateway, Operation
from wattledger.sandbox.intents import Intents
from wattledger.sandbox.receiver import Receiver
from wattledger.sandbox.store import Store


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


def build(settings: Settings) -> Starlette:
    """The application, its state in memory from ``settings.start`` on."""
    store = Store(settings.start, settings.account)
    faults = Faults()
    balance = Balance(store, settings.payout_arrival_business_days)
    gateway = Gateway(store, faults, settings.api_key)
    deliveries = Deliveries(
        store, faults, settings.stripe_webhook_url, settings.stripe_webhook_secret
    )
    receiver = Receiver(faults, settings.receiver_secret)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        deliveries.start()
        yield
        await deliveries.stop()

    async def unknown(request: Request) -> Response:
        return await gateway.answer(request, None)

    routes = [
        *_stripe_routes(gateway, balance, Intents(store, balance)),
        Route("/v1/{rest:path}", unknown, methods=["GET", "POST", "DELETE"]),
        *Control(gateway, balance, deliveries, faults).routes(),
        Route("/receiver/{name}", receiver.receive, methods=["POST"]),
        Route("/receiver/{name}/_report", receiver.report),
        Route("/receiver/{name}/_messages", receiver.messages),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _stripe_routes(gateway: Gateway, balance: Balance, intents: Intents) -> list[Route]:
    table = [*routes_cards.table(intents), *routes_money.table(balance)]
    return [
        Route(f"/v1/{path}", _endpoint(gateway, Operation(declared, handle)), methods=[method])
        for method, path, declared, handle in table
    ]


def _endpoint(gateway: Gateway, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await gateway.answer(request, operation)

    return endpoint

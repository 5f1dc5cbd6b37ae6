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
from stripe.params._balance_retrieve_params import BalanceRetrieveParams
from stripe.params._balance_transaction_list_params import BalanceTransactionListParams
from stripe.params._balance_transaction_retrieve_params import BalanceTransactionRetrieveParams
from stripe.params._charge_list_params import ChargeListParams
from stripe.params._charge_retrieve_params import ChargeRetrieveParams
from stripe.params._customer_create_params import CustomerCreateParams
from stripe.params._customer_retrieve_params import CustomerRetrieveParams
from stripe.params._event_list_params import EventListParams
from stripe.params._event_retrieve_params import EventRetrieveParams
from stripe.params._payment_intent_cancel_params import PaymentIntentCancelParams
from stripe.params._payment_intent_capture_params import PaymentIntentCaptureParams
from stripe.params._payment_intent_confirm_params import PaymentIntentConfirmParams
from stripe.params._payment_intent_create_params import PaymentIntentCreateParams
from stripe.params._payment_intent_list_params import PaymentIntentListParams
from stripe.params._payment_intent_retrieve_params import PaymentIntentRetrieveParams
from stripe.params._payment_method_attach_params import PaymentMethodAttachParams
from stripe.params._payment_method_retrieve_params import PaymentMethodRetrieveParams
from stripe.params._payout_list_params import PayoutListParams
from stripe.params._payout_retrieve_params import PayoutRetrieveParams
from stripe.params._refund_create_params import RefundCreateParams
from stripe.params._refund_list_params import RefundListParams
from stripe.params._refund_retrieve_params import RefundRetrieveParams

from wattledger.sandbox import cards, views
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.control import Control
from wattledger.sandbox.events import Deliveries
from wattledger.sandbox.faults import Faults
from wattledger.sandbox.gateway import Gateway, Handler, Operation
from wattledger.sandbox.intents import Intents
from wattledger.sandbox.receiver import Receiver
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj


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
    table: list[tuple[str, str, type, Handler]] = [
        ("POST", "customers", CustomerCreateParams, cards.create_customer),
        ("GET", "customers/{id}", CustomerRetrieveParams, _one("customer")),
        ("GET", "payment_methods/{id}", PaymentMethodRetrieveParams, cards.retrieve_method),
        ("POST", "payment_methods/{id}/attach", PaymentMethodAttachParams, cards.attach),
        ("POST", "payment_intents", PaymentIntentCreateParams, intents.create),
        ("GET", "payment_intents", PaymentIntentListParams, intents.list),
        ("GET", "payment_intents/{id}", PaymentIntentRetrieveParams, intents.retrieve),
        ("POST", "payment_intents/{id}/confirm", PaymentIntentConfirmParams, intents.confirm),
        ("POST", "payment_intents/{id}/capture", PaymentIntentCaptureParams, intents.capture),
        ("POST", "payment_intents/{id}/cancel", PaymentIntentCancelParams, intents.cancel),
        ("GET", "charges", ChargeListParams, _newest("charge", "charges")),
        ("GET", "charges/{id}", ChargeRetrieveParams, _one("charge")),
        ("POST", "refunds", RefundCreateParams, balance.create_refund),
        ("GET", "refunds", RefundListParams, _newest("refund", "refunds")),
        ("GET", "refunds/{id}", RefundRetrieveParams, _one("refund")),
        ("GET", "balance", BalanceRetrieveParams, balance.retrieve),
        (
            "GET",
            "balance_transactions",
            BalanceTransactionListParams,
            balance.list_transactions,
        ),
        (
            "GET",
            "balance_transactions/{id}",
            BalanceTransactionRetrieveParams,
            _one("balance_transaction"),
        ),
        ("GET", "payouts", PayoutListParams, _newest("payout", "payouts")),
        ("GET", "payouts/{id}", PayoutRetrieveParams, _one("payout")),
        ("GET", "events", EventListParams, _events),
        ("GET", "events/{id}", EventRetrieveParams, _one("event")),
    ]
    return [
        Route(f"/v1/{path}", _endpoint(gateway, Operation(declared, handle)), methods=[method])
        for method, path, declared, handle in table
    ]


def _endpoint(gateway: Gateway, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await gateway.answer(request, operation)

    return endpoint


def _one(kind: str) -> Handler:
    def retrieve(store: Store, path: Obj, _: Obj) -> Obj:
        return store.get(kind, path["id"])

    return retrieve


def _newest(kind: str, url: str) -> Handler:
    def listed(store: Store, _: Obj, p: Obj) -> Obj:
        return views.page(store, reversed(store.tables[kind].values()), p, f"/v1/{url}")

    return listed


def _events(store: Store, _: Obj, p: Obj) -> Obj:
    """``types`` is a choice of types, and ``delivery_success`` asks what was acknowledged."""
    types = p.pop("types", None)
    delivered = p.pop("delivery_success", None)
    rows = [
        event
        for event in reversed(store.tables["event"].values())
        if (types is None or event["type"] in types)
        and (delivered is None or delivered == (event["pending_webhooks"] == 0))
    ]
    return views.page(store, rows, p, "/v1/events")

"""The driver's side, not Stripe's: the clock, the faults, and what the stand-in knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wattledger.clock import require_utc, utc_text
from wattledger.errors import BadInput
from wattledger.sandbox.balance import Balance
from wattledger.sandbox.events import Deliveries
from wattledger.sandbox.faults import Faults
from wattledger.sandbox.gateway import Gateway
from wattledger.sandbox.webhooks import Endpoints
from wattledger.sandbox.wire import StripeError

Endpoint = Callable[[Request], Awaitable[Response]]


class Control:
    """The endpoints under ``/_sim``."""

    def __init__(
        self,
        gateway: Gateway,
        balance: Balance,
        deliveries: Deliveries,
        endpoints: Endpoints,
        faults: Faults,
    ) -> None:
        self._gateway = gateway
        self._endpoints = endpoints
        self._habits = balance.habits
        self._store = gateway.store
        self._balance = balance
        self._deliveries = deliveries
        self._faults = faults

    def routes(self) -> list[Route]:
        return [
            Route("/_sim/clock", guarded(self._clock), methods=["GET", "POST"]),
            Route("/_sim/faults", guarded(self._fault), methods=["GET", "POST", "DELETE"]),
            Route("/_sim/webhook", guarded(self._webhook), methods=["POST"]),
            Route("/_sim/account", guarded(self._account), methods=["GET", "POST"]),
            Route("/_sim/state", self._state),
            Route("/_sim/report", self._report),
            Route("/_sim/requests", self._requests),
        ]

    async def _clock(self, request: Request) -> Response:
        """Move on to ``now``, do what falls due, deliver every webhook, then answer."""
        delivered = 0
        if request.method == "POST":
            text = str((await json_body(request)).get("now"))
            try:
                self._store.advance(require_utc(datetime.fromisoformat(text)))
            except ValueError as error:
                raise BadInput(
                    "$.now", text, f"an ISO time not before the clock ({error})"
                ) from None
            delivered = await self._deliveries.flush()
        return JSONResponse({"now": utc_text(self._store.clock.now()), "delivered": delivered})

    async def _fault(self, request: Request) -> Response:
        if request.method == "POST":
            self._faults.order(await json_body(request))
        if request.method == "DELETE":
            self._faults.clear()
        return JSONResponse({"pending": self._faults.pending()})

    async def _webhook(self, request: Request) -> Response:
        """Where the endpoint given at the start is from now on; null: nowhere."""
        url = (await json_body(request)).get("url")
        if url is not None and not isinstance(url, str):
            raise BadInput("$.url", url, "a URL or null")
        self._endpoints.given.url = url
        return JSONResponse({"url": url})

    async def _account(self, request: Request) -> Response:
        """The settings of the account; POST changes those named."""
        wanted = await json_body(request) if request.method == "POST" else {}
        return JSONResponse(self._habits.change(wanted))

    async def _state(self, _: Request) -> Response:
        return JSONResponse(
            {
                "now": utc_text(self._store.clock.now()),
                "counts": {kind: len(rows) for kind, rows in self._store.tables.items()},
                "balance": self._balances(),
                "totals": self._balance.totals(),
                "webhooks": {
                    "pending": self._deliveries.pending,
                    "delivered": self._deliveries.delivered,
                    "failed": self._deliveries.failed,
                    "dropped": self._deliveries.dropped,
                },
            }
        )

    def _balances(self) -> dict[str, dict[str, int]]:
        balance = self._balance
        return {
            currency: {
                "pending_minor": balance.pending_minor.get(currency, 0),
                "available_minor": balance.available_minor.get(currency, 0),
            }
            for currency in sorted({*balance.pending_minor, *balance.available_minor})
        }

    async def _report(self, _: Request) -> Response:
        """What an account that takes it in must come to: by currency, and by kind and status."""
        statuses = {
            kind: dict(Counter(row["status"] for row in self._store.tables[kind].values()))
            for kind in ("payment_intent", "charge", "refund", "dispute", "payout")
        }
        # A release of what was not captured looks like a refund, and is none.
        releases = sum(
            entry["reporting_category"] == "partial_capture_reversal"
            for entry in self._store.tables["balance_transaction"].values()
        )
        return JSONResponse(
            {
                "now": utc_text(self._store.clock.now()),
                "totals": self._balance.totals(),
                "balance": self._balances(),
                "statuses": statuses,
                "releases": releases,
                "fraud_warnings": len(self._store.tables["radar.early_fraud_warning"]),
            }
        )

    async def _requests(self, request: Request) -> Response:
        """The log, oldest first; ``path`` (a pattern) and ``method`` narrow it."""
        path = request.query_params.get("path", "*")
        method = request.query_params.get("method")
        return JSONResponse(
            [
                entry
                for entry in self._gateway.log
                if fnmatchcase(entry["path"], path) and method in (None, entry["method"])
            ]
        )


async def json_body(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadInput("$", body[:80], f"a JSON object ({error})") from None


def guarded(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadInput as error:
            return JSONResponse({"error": str(error)}, 400)
        except StripeError as error:  # what the API would refuse is refused here, too
            return JSONResponse({"error": error.error["message"]}, 400)

    return answer

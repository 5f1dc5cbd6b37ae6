"""The driver's side, not Stripe's: the clock, the faults, and what the stand-in knows."""

from __future__ import annotations

from collections import defaultdict
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
from wattledger.sandbox.wire import StripeError

Endpoint = Callable[[Request], Awaitable[Response]]


class Control:
    """The endpoints under ``/_sim``."""

    def __init__(
        self, gateway: Gateway, balance: Balance, deliveries: Deliveries, faults: Faults
    ) -> None:
        self._gateway = gateway
        self._store = gateway.store
        self._balance = balance
        self._deliveries = deliveries
        self._faults = faults

    def routes(self) -> list[Route]:
        return [
            Route("/_sim/clock", _guarded(self._clock), methods=["GET", "POST"]),
            Route("/_sim/faults", _guarded(self._fault), methods=["GET", "POST", "DELETE"]),
            Route("/_sim/webhook", _guarded(self._webhook), methods=["POST"]),
            Route("/_sim/payouts/{id}/fail", _guarded(self._fail_payout), methods=["POST"]),
            Route("/_sim/state", self._state),
            Route("/_sim/requests", self._requests),
        ]

    async def _clock(self, request: Request) -> Response:
        """Move on to ``now``, do what falls due, deliver every webhook, then answer."""
        delivered = 0
        if request.method == "POST":
            text = str((await _json(request)).get("now"))
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
            self._faults.order(await _json(request))
        if request.method == "DELETE":
            self._faults.clear()
        return JSONResponse({"pending": self._faults.pending()})

    async def _webhook(self, request: Request) -> Response:
        """Where events go from now on; null: nowhere."""
        url = (await _json(request)).get("url")
        if url is not None and not isinstance(url, str):
            raise BadInput("$.url", url, "a URL or null")
        self._deliveries.url = url
        return JSONResponse({"url": url})

    async def _fail_payout(self, request: Request) -> Response:
        """The bank sends a payout back, at the present time of the clock."""
        payout_id = request.path_params["id"]
        try:
            payout = self._balance.fail_payout(payout_id)
        except StripeError as error:
            raise BadInput("$.id", payout_id, f"a payout that can fail ({error})") from None
        return JSONResponse({"id": payout["id"], "status": payout["status"]})

    async def _state(self, _: Request) -> Response:
        balance = self._balance
        currencies = sorted({*balance.pending_minor, *balance.available_minor})
        return JSONResponse(
            {
                "now": utc_text(self._store.clock.now()),
                "counts": {kind: len(rows) for kind, rows in self._store.tables.items()},
                "balance": {
                    currency: {
                        "pending_minor": balance.pending_minor.get(currency, 0),
                        "available_minor": balance.available_minor.get(currency, 0),
                    }
                    for currency in currencies
                },
                "totals": self._totals(),
                "webhooks": {
                    "pending": self._deliveries.pending,
                    "delivered": self._deliveries.delivered,
                    "failed": self._deliveries.failed,
                    "dropped": self._deliveries.dropped,
                },
            }
        )

    def _totals(self) -> dict[str, dict[str, int]]:
        """Per currency: captured − refunded − fees == balance + paid out."""
        totals: defaultdict[str, dict[str, int]] = defaultdict(
            lambda: dict.fromkeys(
                ("captured_minor", "refunded_minor", "fees_minor", "paid_out_minor"), 0
            )
        )
        for entry in self._store.tables["balance_transaction"].values():
            of_currency = totals[entry["currency"]]
            of_currency["fees_minor"] += entry["fee"]
            category = entry["reporting_category"]
            if category in ("charge", "partial_capture_reversal"):
                of_currency["captured_minor"] += entry["amount"]
            elif category == "refund":
                of_currency["refunded_minor"] -= entry["amount"]
            elif category in ("payout", "payout_reversal"):
                of_currency["paid_out_minor"] -= entry["amount"]
        return dict(totals)

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


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadInput("$", body[:80], f"a JSON object ({error})") from None


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadInput as error:
            return JSONResponse({"error": str(error)}, 400)

    return answer

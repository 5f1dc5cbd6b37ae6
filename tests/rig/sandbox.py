"""The stand-in processor and the receiver of webhooks, on a socket of this event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import uvicorn

from rig.network import SECRETS, TARGET
from wattledger.sandbox.app import Settings, build
from wattledger.sandbox.faults import DroppableProtocol

# A connection that is closed in the moment that it is used looks like a fault that nobody ordered.
_KEPT_S = 600


class Sandbox:
    """What a test asks of it, over HTTP as anybody would."""

    def __init__(self, port: int, http: httpx.AsyncClient) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._http = http

    async def fault(self, **spec: Any) -> None:
        """Order a fault: ``match`` and ``kind``, or ``webhooks``."""
        await self._post("/_sim/faults", spec)

    async def pending_faults(self) -> list[dict[str, Any]]:
        return list((await self._get("/_sim/faults"))["pending"])

    async def events_to(self, url: str | None) -> None:
        """Where Stripe's events go from now on."""
        await self._post("/_sim/webhook", {"url": url})

    async def stripe(self, path: str, **fields: str) -> dict[str, Any]:
        """POST to Stripe's API, as somebody else than the server: an app, a browser."""
        key = {"Authorization": f"Bearer {SECRETS['RIG_STRIPE_KEY']}"}
        answer = await self._http.post(f"{self.url}/v1/{path}", headers=key, data=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def all_of(self, path: str) -> list[dict[str, Any]]:
        """All objects of a list of Stripe's, newest first."""
        return list((await self._get(f"/v1/{path}?limit=100"))["data"])

    async def fail_payout(self, payout_id: str) -> None:
        """The bank sends a payout back."""
        await self._post(f"/_sim/payouts/{payout_id}/fail", {})

    async def sim(self, path: str, **body: Any) -> dict[str, Any]:
        """Make something happen outside of the API: ``dispute``, ``reader/{id}/present`` …"""
        answer = await self._http.post(f"{self.url}/_sim/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def told(self) -> dict[str, Any]:
        """What an account that takes it all in must come to."""
        return dict(await self._get("/_sim/report"))

    async def state(self) -> dict[str, Any]:
        return dict(await self._get("/_sim/state"))

    async def requests(self, path: str, method: str = "POST") -> list[dict[str, Any]]:
        """The log of what came to Stripe, oldest first."""
        return list(await self._get(f"/_sim/requests?path={path}&method={method}"))

    async def intents(self) -> list[dict[str, Any]]:
        """All PaymentIntents, newest first."""
        return list((await self._get("/v1/payment_intents?limit=100"))["data"])

    async def books(self, name: str = TARGET) -> dict[str, Any]:
        """What the receiver of the accounting webhooks counts."""
        return dict(await self._get(f"/receiver/{name}/_report"))

    async def messages(self, name: str = TARGET) -> list[dict[str, Any]]:
        return list(await self._get(f"/receiver/{name}/_messages"))

    async def _get(self, path: str) -> Any:
        key = {"Authorization": f"Bearer {SECRETS['RIG_STRIPE_KEY']}"}
        answer = await self._http.get(self.url + path, headers=key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def _post(self, path: str, body: Any) -> None:
        answer = await self._http.post(self.url + path, json=body)
        assert answer.status_code == 200, answer.text


class Quiet(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening(port: int = 0) -> socket.socket:
    """A socket on this machine. asyncio asks for no delay only where a socket says that it is TCP,
    which one made so does not: each answer over a kept connection would wait 40 ms for an ACK."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@asynccontextmanager
async def sandbox(now: datetime, port: int = 0, account: str = "sbx") -> AsyncIterator[Sandbox]:
    """Up at business time ``now``, with nothing in it."""
    app = build(
        Settings(
            start=now,
            api_key=SECRETS["RIG_STRIPE_KEY"],
            stripe_webhook_url=None,
            stripe_webhook_secret=SECRETS["RIG_STRIPE_WEBHOOK"],
            receiver_secret=SECRETS["RIG_BOOKS"],
            account=account,
        )
    )
    listener = listening(port)
    config = uvicorn.Config(
        app, http=DroppableProtocol, ws="none", lifespan="on", log_level="warning",
        access_log=False, timeout_graceful_shutdown=1, timeout_keep_alive=_KEPT_S,
    )  # fmt: skip
    server = Quiet(config)
    task = asyncio.create_task(server.serve([listener]), name="sandbox")
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    # A connection that was idle may be closed in the moment that it is used: none is kept.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as http:
        yield Sandbox(int(listener.getsockname()[1]), http)
    server.should_exit = True
    await task

"""Webhooks out: events delivered one after the other in the order they were made, signed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import time

import httpx

from wattledger.sandbox.faults import Faults
from wattledger.sandbox.store import Store
from wattledger.sandbox.webhooks import Endpoint, Endpoints
from wattledger.sandbox.wire import Obj

_TRIES = 8
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_TIMEOUT_S = 10.0


def signature(secret: str, body: bytes, at_s: int) -> str:
    """``Stripe-Signature``. ``at_s`` is machine time: the SDK checks it against its own clock."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


class Deliveries:
    """Empties the store's outbox to the endpoints; without any, events are only recorded.

    A delivery is repeated until it is answered with 2xx, at most eight times with a growing
    pause of the machine's time, and the next event waits for it: order holds unless a fault
    was ordered.
    """

    def __init__(self, store: Store, faults: Faults, endpoints: Endpoints) -> None:
        self.delivered = 0
        self.failed = 0
        self.dropped = 0
        self._store = store
        self._faults = faults
        self._endpoints = endpoints
        self._held: list[tuple[str, bytes]] = []
        self._busy = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._reported = 0
        self._task: asyncio.Task[None] | None = None
        store.on_event = self._wake

    @property
    def pending(self) -> int:
        return len(self._store.outbox) + len(self._held) + self._busy

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def flush(self) -> int:
        """Wait until nothing is pending; how many were delivered since the last flush."""
        await self._idle.wait()
        while self._held or self._store.outbox:
            # An event held back to come late comes now: nothing follows that it could pass.
            self._store.outbox.extendleft(reversed(self._held))
            self._held.clear()
            self._wake(reorder=False)
            await self._idle.wait()
        count, self._reported = self.delivered - self._reported, self.delivered
        return count

    def _wake(self, *, reorder: bool = True) -> None:
        self._reorder = reorder
        self._idle.clear()
        self._work.set()

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            while True:
                await self._work.wait()
                self._work.clear()
                while self._store.outbox:
                    self._busy = True
                    await self._next(client)
                    self._busy = False
                self._idle.set()

    async def _next(self, client: httpx.AsyncClient) -> None:
        event_id, body = self._store.outbox.popleft()
        event = self._store.tables["event"][event_id]
        if next(self._endpoints.for_event(event["type"]), None) is None:
            return  # nobody is told of it
        fault = self._faults.for_webhook(event["type"])
        if fault == "reorder" and self._reorder:
            self._held.append((event_id, body))
            return
        if fault == "drop":
            self.dropped += 1
            event["pending_webhooks"] = 0
            return
        for _ in range(2 if fault == "duplicate" else 1):
            await self._send(client, event, body)
        while self._held:
            held_id, held_body = self._held.pop(0)
            await self._send(client, self._store.tables["event"][held_id], held_body)

    async def _send(self, client: httpx.AsyncClient, event: Obj, body: bytes) -> None:
        """To every endpoint that wants it, at the same time."""
        wanting = list(self._endpoints.for_event(event["type"]))
        sent = await asyncio.gather(*(self._deliver(client, to, body) for to in wanting))
        event["pending_webhooks"] = min(event["pending_webhooks"], sent.count(False))

    async def _deliver(self, client: httpx.AsyncClient, to: Endpoint, body: bytes) -> bool:
        assert to.url is not None
        url, body = to.url, to.rendered(body)
        pause_s = _FIRST_PAUSE_S
        for last in [False] * (_TRIES - 1) + [True]:
            headers = {
                "content-type": "application/json; charset=utf-8",
                "stripe-signature": signature(to.secret, body, int(time.time())),
                "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            }
            with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL):
                answer = await client.post(url, content=body, headers=headers)
                if answer.is_success:
                    self.delivered += 1
                    return True
            if not last:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self.failed += 1
        return False

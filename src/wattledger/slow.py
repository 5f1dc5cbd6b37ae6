"""Clients that send slowly, or nothing: they hold a connection for a while and no longer.

uvicorn ends a connection that is idle between two requests; one whose request never becomes whole
it waits for without end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 15
"""For the head of a request, from its first byte, or from the connection."""
BODY_S = 30
"""For its body, and as long again as it takes at the least pace."""
PACE_BYTES_PER_S = 16 * 1024


class Impatient(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """Closes a connection whose request's head does not come."""

    head_s = HEAD_S
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The first head is awaited."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """A head is whole once its request is at work; what comes after its answer is another."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._no_more()
        elif self._head is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._no_more()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.head_s, self.transport.close)

    def _no_more(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class InTime:
    """Around an application: a body that does not come is answered 408."""

    def __init__(self, app: ASGIApp, body_s: float = BODY_S) -> None:
        self._app = app
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        until: float | None = asyncio.get_running_loop().time() + self._body_s
        begun = late = False

        async def hurried() -> Message:
            nonlocal until, late
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                late = True
                return {"type": "http.disconnect"}
            if not message.get("more_body", False):
                until = None  # what is awaited now is only the client's leaving
            elif until is not None:
                until += len(message.get("body", b"")) / PACE_BYTES_PER_S
            return message

        async def unless_late(message: Message) -> None:
            nonlocal begun
            if not late:
                begun = True
                await send(message)

        try:
            await self._app(scope, hurried, unless_late)
        except Exception:
            if not late:
                raise
        if late and not begun:
            await send({"type": "http.response.start", "status": 408,
                        "headers": [(b"connection", b"close")]})  # fmt: skip
            await send({"type": "http.response.body", "body": b"The request did not come whole.\n"})

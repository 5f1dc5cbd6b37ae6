"""A mail server and a terminals' vendor, on sockets of this event loop: they outlive the server."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rig.sandbox import Quiet, listening


@dataclass
class Outside:
    """``mails``: what was taken, in order; ``settled``: by reference, what the vendor was told;
    ``vendor_fails``: how it fails next, in the stand-in processor's words."""

    mail_port: int = 0
    vendor_port: int = 0
    mails: list[Message] = field(default_factory=list)
    settled: dict[str, list[str]] = field(default_factory=dict)
    vendor_fails: list[str] = field(default_factory=list)
    _keys: dict[str, Any] = field(default_factory=dict)

    async def handle_DATA(self, *given: Any) -> str:
        self.mails.append(email.message_from_bytes(given[2].content))
        return "250 OK"

    async def settle(self, request: Request) -> Response:
        """Under the same key it is the same settlement."""
        key, told = request.headers["idempotency-key"], await request.json()
        fault = self.vendor_fails.pop(0) if self.vendor_fails else ""
        if fault == "429":
            return Response(status_code=429)
        if fault.endswith(("_before", "_stored")):
            return Response(status_code=500)
        if key not in self._keys:
            self.settled.setdefault(told["reference"], []).append(told["amount"])
            self._keys[key] = {"status": "settled", "amount": told["amount"]}
        if fault == "hang":
            await asyncio.sleep(1.5)  # longer than we wait
        return Response(status_code=500) if fault else JSONResponse(self._keys[key])

    async def look(self, request: Request) -> Response:
        found = self.settled.get(request.path_params["reference"])
        if found is None:
            return JSONResponse({}, 404)
        return JSONResponse({"status": "settled", "amount": found[-1]})


@asynccontextmanager
async def outside(found: Outside | None = None) -> AsyncIterator[Outside]:
    """Both of them, up; ``found``: as they are when they behave in their own way."""
    found, loop = found or Outside(), asyncio.get_running_loop()
    mail = await loop.create_server(lambda: SMTP(found, hostname="here", loop=loop), "127.0.0.1", 0)
    found.mail_port = mail.sockets[0].getsockname()[1]
    app = Starlette(
        routes=[
            Route("/settlements", found.settle, methods=["POST"]),
            Route("/settlements/{reference}", found.look),
        ]
    )
    listener = listening()
    found.vendor_port = listener.getsockname()[1]
    vendor = Quiet(uvicorn.Config(app, ws="none", log_level="warning", access_log=False,
                                  timeout_graceful_shutdown=1))  # fmt: skip
    task = asyncio.create_task(vendor.serve([listener]), name="vendor")
    while not vendor.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    yield found
    vendor.should_exit = True
    await task
    mail.close()
    await mail.wait_closed()

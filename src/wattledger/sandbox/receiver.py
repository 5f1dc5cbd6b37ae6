"""The far end of our accounting webhooks: verifies Standard Webhooks with the PyPI library.

Its signature code is not ours, so a wrong signer can't be confirmed by the same mistake.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wattledger.sandbox import faults as fault_kinds
from wattledger.sandbox.faults import Faults


@dataclass(slots=True)
class Inbox:
    """What arrived under one name; the first content of a webhook-id is the one that counts."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    payloads: dict[str, Any] = field(default_factory=dict)
    duplicates: int = 0
    conflicting: int = 0
    rejected: int = 0

    def take(self, message_id: str, body: bytes, payload: Any) -> None:
        if message_id not in self.bodies:
            self.bodies[message_id] = body
            self.payloads[message_id] = payload
            return
        self.duplicates += 1
        self.conflicting += self.bodies[message_id] != body

    def report(self) -> dict[str, Any]:
        total_minor: Counter[str] = Counter()
        for payload in self.payloads.values():
            data = payload["data"]
            if payload["type"] == "session.billed":
                total_minor[data["currency"]] += data["total_minor"]
            elif payload["type"] in ("session.adjusted", "session.refunded"):
                total_minor[data["currency"]] += data["change"]["total_minor"]
        return {
            "received": len(self.bodies),
            "duplicates": self.duplicates,
            "conflicting": self.conflicting,
            "rejected": self.rejected,
            "by_type": dict(Counter(payload["type"] for payload in self.payloads.values())),
            "total_minor": dict(total_minor),
        }


class Receiver:
    """``POST /receiver/{name}`` and what it got."""

    def __init__(self, faults: Faults, secret: str) -> None:
        self._faults = faults
        self._webhook = Webhook(secret)
        self._inboxes: defaultdict[str, Inbox] = defaultdict(Inbox)

    async def receive(self, request: Request) -> Response:
        """200 for a verified message, duplicates too; 400 otherwise."""
        body = await request.body()
        fault = self._faults.for_request(request.method, request.url.path)
        kind = fault.kind if fault else ""
        if kind == "drop_before":
            return await fault_kinds.drop(request)
        if kind in ("500_before", "429"):
            return Response(status_code=int(kind[:3]))
        if fault and await fault_kinds.held_up(request, fault):
            return Response(status_code=500)
        answer = self._take(self._inboxes[request.path_params["name"]], request, body)
        if kind == "drop_after":
            return await fault_kinds.drop(request)
        if kind == "hang":
            return await fault_kinds.hang(request)
        return Response(status_code=500) if kind == "500_after" else answer

    def _take(self, inbox: Inbox, request: Request, body: bytes) -> Response:
        try:
            # A malformed signature or body raises ValueError inside the library.
            self._webhook.verify(body, dict(request.headers), json_parse=False)
            payload = msgspec.json.decode(body)
            problem = _problem(payload)
        except (WebhookVerificationError, ValueError) as error:
            problem = str(error)
        if problem:
            inbox.rejected += 1
            return JSONResponse({"error": problem}, 400)
        inbox.take(request.headers["webhook-id"], body, payload)
        return JSONResponse({"received": True})

    async def report(self, request: Request) -> Response:
        return JSONResponse(self._inboxes[request.path_params["name"]].report())

    async def messages(self, request: Request) -> Response:
        return JSONResponse(list(self._inboxes[request.path_params["name"]].payloads.values()))


def _problem(payload: Any) -> str | None:
    """What keeps the payload from being ``{"type", "timestamp", "data"}``."""
    if not isinstance(payload, dict) or set(payload) < {"type", "timestamp", "data"}:
        return "the payload needs type, timestamp and data"
    if not isinstance(payload["type"], str) or not isinstance(payload["data"], dict):
        return "type must be a string and data an object"
    if payload["type"] == "session.billed" and not (
        isinstance(payload["data"].get("total_minor"), int)
        and isinstance(payload["data"].get("currency"), str)
    ):
        return "data of session.billed needs an integer total_minor and a currency"
    return None

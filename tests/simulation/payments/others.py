"""The mail server and the terminals' vendors: they fail too, and what they did stands here.

A ``Tap`` is a card at a vendor's terminal. One vendor waits for our price and takes it; the other
takes what it thinks is right, and reports. Reports come twice, late, in any order, or never.
"""

from __future__ import annotations

import asyncio
import email
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rig.outside import Outside

TIMEOUT_S = 0.3
"""Nobody waits longer than this for an answer."""
_HANGS_S = 0.5
HELD_MINOR = 3_000
_VENDOR_FAILS = ("429", "500_before", "500_after", "hang", "hang_before")
_MAIL_FAILS = ("451 later", "421 busy", "550 no such box", "hang", "drop")


@dataclass
class Tap:
    """A payment at a vendor's terminal. ``manner``: what the vendor makes of it; ``asked_minor``:
    what we told it to take; ``taken_minor``: what it took."""

    reference: str
    vendor: str
    point_id: str
    at: datetime
    manner: str
    asked_minor: set[int] = field(default_factory=set)
    taken_minor: int | None = None
    returned: bool = False


@dataclass
class Others(Outside):
    """Both of them. ``taps``: by reference."""

    rng: Random = field(default_factory=Random)
    faulty: bool = False
    taps: dict[str, Tap] = field(default_factory=dict)
    by_message: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: Counter[str] = field(default_factory=Counter)

    def calm(self) -> None:
        """They fail no more."""
        self.faulty = False

    def _fault(self, kinds: tuple[str, ...], chance: float) -> str:
        if not self.faulty or self.rng.random() >= chance:
            return ""
        kind = self.rng.choice(kinds)
        self.failed[kind] += 1
        return kind

    async def handle_DATA(self, *given: Any) -> str:
        fault = self._fault(_MAIL_FAILS, 0.4)
        if fault[:1].isdigit():
            return fault
        self.by_message[email.message_from_bytes(given[2].content)["Message-ID"]] += 1
        if fault == "drop":
            given[0].transport.abort()
        if fault == "hang":
            await asyncio.sleep(_HANGS_S)
        return "250 OK"

    async def settle(self, request: Request) -> Response:
        """The price of a session, once under its key."""
        fault = self._fault(_VENDOR_FAILS, 0.4)
        if fault == "hang_before":
            await asyncio.sleep(_HANGS_S)
        if fault == "429":
            return Response(status_code=429)
        if fault.endswith("_before"):
            return Response(status_code=500)
        told = await request.json()
        tap = self.taps[told["reference"]]
        tap.asked_minor.add(int(told["amount"].replace(".", "")))
        if tap.manner == "takes" and not tap.returned and tap.taken_minor is None:
            (tap.taken_minor,) = tap.asked_minor
        if fault == "hang":
            await asyncio.sleep(_HANGS_S)
        return Response(status_code=500) if fault else _as_it_is(tap)

    async def look(self, request: Request) -> Response:
        tap = self.taps[request.path_params["reference"]]
        return _as_it_is(tap) if tap.asked_minor else JSONResponse({}, 404)


def _as_it_is(tap: Tap) -> Response:
    if tap.taken_minor is not None:
        amount = f"{tap.taken_minor // 100}.{tap.taken_minor % 100:02}"
        return JSONResponse({"status": "settled", "amount": amount})
    if tap.returned or tap.manner == "refuses":
        return JSONResponse({"status": "refused", "why": "not any more"})
    return JSONResponse({"status": "pending"})

"""Faults on request: errors, lost answers, silence, and webhooks that go astray.

``before`` means nothing happened, ``after`` that everything happened and only the answer
is wrong or missing; ``500_stored`` is a 500 without effect that is kept under its key, so that
asking again under that key gets it again. Faults are used up in the order they were ordered.
With a ``probability`` a fault happens to that share of the matches, drawn from its ``seed``:
the same requests meet the same faults.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from wattledger.errors import BadInput

REQUEST_KINDS = frozenset(
    {
        "429",
        "500_before",
        "500_after",
        "500_stored",
        "drop_before",
        "drop_after",
        "hang",
        "hang_before",
        "slow_ms",
    }
)
_FOREVER = 10**9
WEBHOOK_KINDS = frozenset({"duplicate", "reorder", "drop"})


@dataclass(slots=True)
class Fault:
    """``kind`` happens to ``times`` matches after the first ``skip``; or by chance, for ever."""

    kind: str
    match: str
    times: int = 1
    skip: int = 0
    wait_ms: int = 0
    probability: float | None = None
    seed: int = 0
    _dice: Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = Random(self.seed)

    def strikes(self) -> bool:
        """Whether this match meets it. Each match takes one draw, hit or not."""
        if self.skip:
            self.skip -= 1
            return False
        if self.probability is not None and self._dice.random() >= self.probability:
            return False
        self.times -= 1
        return True


class Faults:
    """The faults still to happen."""

    def __init__(self) -> None:
        self._requests: list[Fault] = []
        self._webhooks: list[Fault] = []

    def order(self, spec: dict[str, Any]) -> Fault:
        """Take a fault as ``POST /_sim/faults`` describes it; BadInput when it can't be one."""
        chance = _chance(spec)
        # What happens by chance goes on until it is cleared, unless a number is given.
        times, skip = spec.get("times", 1 if chance is None else _FOREVER), spec.get("skip", 0)
        seed = spec.get("seed", 0)
        if not (isinstance(times, int) and isinstance(skip, int) and times > 0 and skip >= 0):
            raise BadInput("$.times", [times, skip], "times of at least 1, skip of at least 0")
        if not isinstance(seed, int):
            raise BadInput("$.seed", seed, "a whole number")
        if "webhooks" in spec:
            kind = spec["webhooks"]
            if kind not in WEBHOOK_KINDS:
                raise BadInput("$.webhooks", kind, f"one of {sorted(WEBHOOK_KINDS)}")
            events = str(spec.get("match", "*"))
            fault = Fault(kind, events, times, skip, probability=chance, seed=seed)
            self._webhooks.append(fault)
            return fault
        kind, _, wait_ms = str(spec.get("kind")).partition(":")
        if kind not in REQUEST_KINDS or (kind == "slow_ms") != wait_ms.isdecimal():
            raise BadInput(
                "$.kind", spec.get("kind"), f"one of {sorted(REQUEST_KINDS)}, slow_ms:N with ms"
            )
        match = spec.get("match")
        if not isinstance(match, str):
            raise BadInput("$.match", match, "a pattern such as POST /v1/payment_intents/*/capture")
        fault = Fault(kind, match, times, skip, int(wait_ms or 0), chance, seed)
        self._requests.append(fault)
        return fault

    def clear(self) -> None:
        self._requests.clear()
        self._webhooks.clear()

    def pending(self) -> list[dict[str, Any]]:
        return [
            {
                "on": on,
                "kind": f.kind,
                "match": f.match,
                "times": f.times,
                "skip": f.skip,
                "probability": f.probability,
            }
            for on, faults in (("requests", self._requests), ("webhooks", self._webhooks))
            for f in faults
        ]

    def for_request(self, method: str, path: str) -> Fault | None:
        """The fault this request meets, used up by one."""
        return _take(self._requests, f"{method} {path}")

    def for_webhook(self, event_type: str) -> str | None:
        """What happens to this delivery: ``duplicate``, ``reorder``, ``drop`` or nothing."""
        fault = _take(self._webhooks, event_type)
        return fault.kind if fault else None


def _chance(spec: dict[str, Any]) -> float | None:
    chance = spec.get("probability")
    if chance is None:
        return None
    if not isinstance(chance, int | float) or not 0 < chance <= 1:
        raise BadInput("$.probability", chance, "above 0, at most 1")
    return float(chance)


def _take(faults: list[Fault], subject: str) -> Fault | None:
    for fault in faults:
        if not fnmatchcase(subject, fault.match):
            continue
        if not fault.strikes():
            continue
        if not fault.times:
            faults.remove(fault)
        return fault
    return None


class DroppableProtocol(H11Protocol):
    """HTTP/1.1 that lets the application cut the line: the transport is in the scope's state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


async def drop(request: Request) -> Response:
    """Close the connection without a byte: the client sees a connection error."""
    request.scope["state"]["transport"].abort()
    return await hang(request)


async def hang(request: Request) -> Response:
    """Say nothing until the client is gone. The response returned reaches nobody."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response(status_code=500)


async def held_up(request: Request, fault: Fault) -> bool:
    """Wait as ``slow_ms`` or ``hang_before`` say; True when the client went away meanwhile."""
    if fault.kind == "slow_ms":
        await asyncio.sleep(fault.wait_ms / 1000)
    if fault.kind == "hang_before":
        await hang(request)
        return True
    return False

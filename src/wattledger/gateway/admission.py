"""Who gets in: a place in the queue of handshakes, a known charge point, its password.

Passwords are scrypt hashes, and thousands of charge points come back at once after an outage: a
password that was right once is remembered by an HMAC of it, so that it costs no scrypt again.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import NamedTuple

from wattledger.gateway import auth
from wattledger.gateway.limits import Failures, Limits
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

PREFIX = "/ocpp/"
_REMEMBERED_MAX = 20_000
RETRY_AFTER_S = 10


class Refusal(NamedTuple):
    """An HTTP answer instead of a WebSocket."""

    status: HTTPStatus
    text: str
    headers: tuple[tuple[str, str], ...] = ()


class Remembered:
    """Passwords that were right, as HMACs under a key of this process. Bounded."""

    def __init__(self, most: int = _REMEMBERED_MAX) -> None:
        self._key = os.urandom(32)
        self._most = most
        self._known: dict[bytes, None] = {}

    def __contains__(self, what: tuple[str, str, str]) -> bool:
        """``what``: charge point, password, stored hash."""
        return self._digest(what) in self._known

    def add(self, what: tuple[str, str, str]) -> None:
        """It was right."""
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[self._digest(what)] = None

    def _digest(self, what: tuple[str, str, str]) -> bytes:
        # Lengths first: no two triples run into each other.
        raw = [part.encode("utf-8", "surrogateescape") for part in what]
        text = b"".join(len(part).to_bytes(4, "big") + part for part in raw)
        return hmac.digest(self._key, text, "sha256")


class Admission:
    """Decides about handshakes."""

    def __init__(self, world: World, limits: Limits) -> None:
        self._world = world
        self._limits = limits
        self._turn = asyncio.Semaphore(limits.handshakes_max)
        self._failures = Failures(limits.failures_per_minute)
        self._remembered = Remembered()

    async def refusal(
        self,
        charge_point_id: str | None,
        path: str,
        header: str | None,
        address: str,
        open_now: int,
    ) -> Refusal | None:
        """Why this handshake is not completed, or None: come in."""
        if open_now >= self._limits.connections_max:
            return _later("too many connections")
        try:
            async with self._its_turn():
                found = await self._identify(charge_point_id, path, header, address)
        except TimeoutError:
            return _later("too many handshakes at a time")
        if found is not None:
            log.warning("refused at %s: %s: %s", address, path, found.text.strip())
        return found

    @asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._limits.handshake_wait_s):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    async def _identify(
        self, charge_point_id: str | None, path: str, header: str | None, address: str
    ) -> Refusal | None:
        snapshot = await self._world.snapshot(self._world.now)
        place = snapshot.place_of(charge_point_id) if charge_point_id else None
        stored = place[1].auth if place else None
        if place is not None and stored is None:
            return None
        proof = _proof(charge_point_id, auth.basic(header), stored)
        if proof is not None and proof in self._remembered:
            return None
        wait_s = self._failures.wait_s(address)
        if wait_s > 0:
            # Before the scrypt: guessing from one address costs us nothing.
            retry = ("Retry-After", str(int(wait_s) + 1))
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many refused attempts\n", (retry,))
        if place is None:
            self._failures.failed(address)
            return _unknown(path)
        if proof is not None and await asyncio.to_thread(auth.verify, proof[1], proof[2]):
            self._remembered.add(proof)
            return None
        self._failures.failed(address)
        return Refusal(
            HTTPStatus.UNAUTHORIZED,
            "expected HTTP Basic auth: charge point id and password\n",
            (("WWW-Authenticate", 'Basic realm="OCPP"'),),
        )


def _proof(
    charge_point_id: str | None, given: tuple[str, str] | None, stored: str | None
) -> tuple[str, str, str] | None:
    """Charge point, password, stored hash: where the user that was given is the charge point."""
    if charge_point_id is None or given is None or stored is None:
        return None
    user, password = given
    return (charge_point_id, password, stored) if user == charge_point_id else None


def _unknown(path: str) -> Refusal:
    return Refusal(
        HTTPStatus.NOT_FOUND,
        f"{path}: expected {PREFIX}<charge point id> with an id of a [[site]] in the"
        " configuration; add it and run `wattledger apply`\n",
    )


def _later(why: str) -> Refusal:
    headers = (("Retry-After", str(RETRY_AFTER_S)),)
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}: come back later\n", headers)

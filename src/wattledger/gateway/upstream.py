"""The way to the CPMS that a charge point belongs to: how it is asked, and how often."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from wattledger.entitlements.model import PLACE, Proxy
from wattledger.errors import ConfigError
from wattledger.gateway.limits import Limits
from wattledger.ids import content_digest
from wattledger.installation import secret
from wattledger.pipeline import proxied
from wattledger.pipeline.world import World

log = logging.getLogger(__name__)

# A charge point waits for its handshake meanwhile: past this it is served without its CPMS.
FIRST_WITHIN_S = 3.0
WITHIN_S = 10.0
_CLOSE_WITHIN_S = 5
# What a CPMS sends can be longer than what a charge point may.
_FRAME_LEAST_MAX = 1024 * 1024
# What may be sent of the codes that a close can have been for (RFC 6455 §7.4.1).
_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
# HTTP answers that say that the CPMS does not want this charge point. Others are an outage.
_REFUSALS = frozenset({400, 401, 403, 404, 405, 410, 426})


class Refused(Exception):
    """The CPMS is there, and does not let the charge point in."""


class Unreachable(Exception):
    """It is not there."""


class Door(NamedTuple):
    """Where a charge point's CPMS lets it in, and with what. ``authorization`` is the charge
    point's own header, passed on unless the configuration has another login."""

    proxy: Proxy
    charge_point_id: str
    authorization: str | None
    limits: Limits

    @property
    def url(self) -> str:
        """The CPMS's, for this charge point."""
        return self.proxy.url.replace(PLACE, quote(self.charge_point_id, safe=""))

    def header(self) -> str | None:
        """What the CPMS is sent as Authorization. Raises Refused where our secret is not there."""
        proxy = self.proxy
        if proxy.password_env is None:
            return self.authorization
        try:
            login = f"{proxy.user or self.charge_point_id}:{secret(proxy.password_env)}"
        except ConfigError as error:
            raise Refused(str(error)) from None
        return "Basic " + base64.b64encode(login.encode()).decode()

    async def open(self, subprotocols: Sequence[str], within_s: float) -> ClientConnection:
        """A connection on which one of ``subprotocols`` is spoken. Raises Refused, Unreachable."""
        limits = self.limits
        header = self.header()
        try:
            socket = await connect(
                self.url,
                subprotocols=[Subprotocol(each) for each in subprotocols],
                additional_headers={"Authorization": header} if header else {},
                user_agent_header=None,
                compression=None,
                open_timeout=within_s,
                close_timeout=_CLOSE_WITHIN_S,
                ping_interval=limits.ping_s,
                ping_timeout=limits.pong_s,
                max_size=max(limits.frame_max_bytes, _FRAME_LEAST_MAX),
            )
        except InvalidStatus as error:
            status = error.response.status_code
            kind = Refused if status in _REFUSALS else Unreachable
            raise kind(f"HTTP {status}") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"its certificate: {error.verify_message}") from None
        except (InvalidHandshake, InvalidURI) as error:
            raise Refused(f"no WebSocket of ours: {error}") from None
        except (OSError, TimeoutError) as error:
            raise Unreachable(str(error) or type(error).__name__) from None
        if socket.subprotocol is None:
            await socket.close(CloseCode.PROTOCOL_ERROR)
            raise Refused(f"it speaks none of {', '.join(subprotocols)}")
        return socket

    async def reach(
        self, world: World, version: str, backoff: Backoff, tries: int
    ) -> ClientConnection:
        """A connection, when there is one at last. ``tries``: how many were in vain before."""
        refused = False
        while True:
            await asyncio.sleep(backoff.wait_s(self.charge_point_id, tries, refused=refused))
            tries += 1
            try:
                return await self.open([version], WITHIN_S)
            except Unreachable as error:
                log.info("%s: its CPMS can't be reached: %s", self.charge_point_id, error)
                refused = False
            except Refused as error:
                refused = True
                await self.refused(world, str(error))

    async def refused(self, world: World, why: str) -> None:
        """Shown to a person, who alone can do something about it."""
        log.warning("%s: its CPMS refuses it: %s", self.charge_point_id, why)
        try:
            await proxied.refused(world, self.charge_point_id, self.url, why)
        except Exception:
            log.exception("proxy.refused of %s could not be stored", self.charge_point_id)


def close_code(code: int | None) -> int:
    """What to close the other hop with, where one was closed with ``code``."""
    return code if code is not None and code in _CODES else int(CloseCode.GOING_AWAY)


def spread(charge_point_id: str, tries: int) -> float:
    """A number from 0 to 1 that is another for each charge point and try: after an outage they
    don't all come back at once."""
    return int(content_digest(f"{charge_point_id}:{tries}".encode())[:8], 16) / 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the CPMS is asked again: twice as long each time, up to a bound."""

    first_s: float = 1.0
    most_s: float = 60.0
    refused_s: float = 300.0
    """After it was refused: that takes a person, and is tried again all the same."""
    jitter: Callable[[str, int], float] = spread

    def wait_s(self, charge_point_id: str, tries: int, *, refused: bool = False) -> float:
        """Half to all of the time after so many ``tries`` in vain."""
        longest = min(self.first_s * 2.0 ** min(tries, 30), self.most_s)
        if refused:
            longest = max(longest, self.refused_s)
        return longest * (0.5 + self.jitter(charge_point_id, tries) / 2)

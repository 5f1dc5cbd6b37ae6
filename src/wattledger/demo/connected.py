"""A connection of a simulated charge point, of any version: the PyPI ``ocpp`` package on a real
WebSocket.

Its code is not ours, so a mistake of our gateway can't be confirmed by the same mistake.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self

import ocpp.messages
import websockets
from websockets.asyncio.client import ClientConnection

from wattledger.errors import ExternalFault

# Validation in a thread pool costs more than the validation.
ocpp.messages.ASYNC_VALIDATION = False

_ANSWER_TIMEOUT_S = 30


class Afar(Protocol):
    """Who is asked when a command comes from afar."""

    def start(self, token: str) -> bool:
        """Whether somebody waits here to be started with this token."""
        ...

    def stop(self, ref: str) -> bool:
        """Whether what the charge point calls so runs."""
        ...


class Connected:
    """A charge point that is connected; ``afar`` decides about commands.

    What it says is in the words of OCPP 1.6, whatever its version makes of them.
    """

    version: ClassVar[str]
    protocol: ClassVar[Any]
    """The package's charge point, with what ours answers to commands."""

    def __init__(self, point_id: str, connection: ClientConnection, afar: Afar) -> None:
        self.id = point_id
        self._connection = connection
        self._protocol = self.protocol(point_id, connection, _ANSWER_TIMEOUT_S)
        self._protocol.remote_start = afar.start
        self._protocol.remote_stop = afar.stop
        self._listening = asyncio.create_task(self._protocol.start())

    @classmethod
    async def connect(cls, base_url: str, point_id: str, password: str, afar: Afar) -> Self:
        """Open the socket, with Basic auth as OCPP's security profile 1 asks."""
        login = base64.b64encode(f"{point_id}:{password}".encode()).decode()
        connection = await websockets.connect(
            f"{base_url}/{point_id}",
            subprotocols=[websockets.Subprotocol(cls.version)],
            additional_headers={"Authorization": f"Basic {login}"},
            compression=None,
            # Business time runs far ahead of the machine's: silence means nothing here.
            ping_interval=None,
            open_timeout=_ANSWER_TIMEOUT_S,
            proxy=None,
        )
        if connection.subprotocol != cls.version:
            await connection.close()
            raise ExternalFault(f"{point_id}: the server does not speak {cls.version}")
        return cls(point_id, connection, afar)

    async def boot(self, power_w: int) -> None:
        """Say what it is, and be accepted."""
        answer = await self._call(self._boot_notification(f"Simulated {power_w // 1000} kW"))
        if answer.status != "Accepted":
            raise ExternalFault(f"{self.id}: BootNotification was answered {answer.status}")

    def _boot_notification(self, model: str) -> Any:
        raise NotImplementedError

    async def status(self, status: str, at: datetime) -> None:
        """What the connector's state is now."""
        raise NotImplementedError

    async def authorize(self, token: str) -> bool:
        """Whether the token is accepted."""
        raise NotImplementedError

    async def start(self, token: str, at: datetime, register_wh: int) -> tuple[str, bool]:
        """What the charge point calls the transaction, and whether the token is still accepted."""
        raise NotImplementedError

    async def meter(self, ref: str, at: datetime, register_wh: int, power_w: int) -> None:
        """A reading of the register and of the power."""
        raise NotImplementedError

    async def stop(
        self,
        ref: str,
        *,
        token: str | None,
        reason: str,
        began: tuple[datetime, int],
        ended: tuple[datetime, int],
    ) -> None:
        """``began`` and ``ended`` are time and register; ``token`` where a driver showed it."""
        raise NotImplementedError

    async def close(self) -> None:
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._listening
        await self._connection.close()

    async def _call(self, request: Any) -> Any:
        """The answer; ExternalFault when it is an error, or none comes."""
        name = type(request).__name__
        calling = asyncio.ensure_future(self._protocol.call(request, suppress=False))
        # A lost connection ends the listening task, and would leave the call to its time-out.
        await asyncio.wait({calling, self._listening}, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            calling.cancel()
            raise ExternalFault(f"{self.id}: the connection was lost during {name}")
        try:
            return calling.result()
        except Exception as error:  # the package raises its own, websockets' and time-outs
            what = f"{type(error).__name__}: {error}"
            raise ExternalFault(f"{self.id}: {name} failed: {what}") from error

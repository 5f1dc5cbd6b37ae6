"""``wattledger serve``, as a process that a test can kill, or in this event loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from rig.network import SECRETS, STARTS_AT
from wattledger.clock import utc_text
from wattledger.serve import Options, running

_READY_S = 30


class Serving(Protocol):
    """A server that may be down."""

    http_url: str
    ocpp_url: str

    @property
    def died(self) -> int | None:
        """The exit code of a process that has ended by itself."""
        ...

    async def start(self) -> None: ...


class ServerProcess:
    """The command as an operator runs it. Each ``kill_at`` holds for one start, in order."""

    def __init__(
        self,
        config: Path,
        environment: dict[str, str],
        *options: str,
        kill_at: str | Sequence[str] = (),
    ) -> None:
        self.http_url = ""
        self.ocpp_url = ""
        self._command = [
            *(sys.executable, "-m", "wattledger.cli.main", "serve", "--config", str(config)),
            *("--json-ready", "--log-level", "warning", *options),
        ]
        self._environment = {**os.environ, **SECRETS, **environment}
        self.kill_at = [kill_at] if isinstance(kill_at, str) else list(kill_at)
        self._log = config.with_suffix(f".{id(self)}.log")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def died(self) -> int | None:
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        """Returns when it listens, or has died on the way."""
        command = list(self._command)
        if self.kill_at:
            command += ["--kill-at", self.kill_at.pop(0)]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _READY_S)
        if not line:
            await self._process.wait()
            return
        ports: dict[str, Any] = json.loads(line)
        self.http_url = f"http://127.0.0.1:{ports.get('http_port', 0)}"
        self.ocpp_url = f"ws://127.0.0.1:{ports.get('ocpp_port', 0)}/ocpp"

    async def gone(self) -> None:
        """Return when it has died by itself."""
        assert self._process is not None
        await self._process.wait()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        try:
            return await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise AssertionError(f"it did not end:\n{self.said()}") from None

    def said(self) -> str:
        """The log, all starts of it."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def driven() -> list[str]:
    """The option that starts business time."""
    return ["--business-time", utc_text(STARTS_AT)]


class _Here:
    """In this event loop: it does not die."""

    died: int | None = None

    def __init__(self, ports: dict[str, int]) -> None:
        self.http_url = f"http://127.0.0.1:{ports['http_port']}"
        self.ocpp_url = f"ws://127.0.0.1:{ports['ocpp_port']}/ocpp"

    async def start(self) -> None:
        raise AssertionError("it has not died")


@asynccontextmanager
async def serving_here(config: Path) -> AsyncIterator[Serving]:
    """All roles in this event loop; the secrets have to be in ``os.environ``."""
    async with running(Options(config=config, business_time=STARTS_AT)) as ports:
        yield _Here(ports)

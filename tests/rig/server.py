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
    """The command as an operator runs it, forked from a process that has imported it (``zygote``):
    a test that kills it again and again does not pay for that. Each ``kill_at`` holds for one
    start, in order."""

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
            *("serve", "--config", str(config), "--json-ready", "--log-level", "warning"),
            *options,
        ]
        self._environment = {**os.environ, **SECRETS, **environment}
        self.kill_at = [kill_at] if isinstance(kill_at, str) else list(kill_at)
        self._log = config.with_suffix(f".{id(self)}.log")
        self._zygote: asyncio.subprocess.Process | None = None
        self._pid = 0
        self._watching: asyncio.Task[int] | None = None

    @property
    def died(self) -> int | None:
        watching = self._watching
        return watching.result() if watching is not None and watching.done() else None

    async def start(self) -> None:
        """Returns when it listens, or has died on the way."""
        command = list(self._command)
        if self.kill_at:
            command += ["--kill-at", self.kill_at.pop(0)]
        if self._zygote is None:
            with self._log.open("ab") as log:
                self._zygote = await asyncio.create_subprocess_exec(
                    *(sys.executable, str(Path(__file__).with_name("zygote.py"))),
                    env=self._environment, stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE, stderr=log,
                )  # fmt: skip
        assert self._zygote.stdin is not None
        asked = {"command": command, "log": str(self._log)}
        self._zygote.stdin.write(json.dumps(asked).encode() + b"\n")
        self._pid = int((await self._line())["pid"])
        ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._watching = asyncio.create_task(self._watch(ready), name=f"server {self._pid}")
        ports = await asyncio.wait_for(ready, _READY_S)
        if ports:
            self.http_url = f"http://127.0.0.1:{ports.get('http_port', 0)}"
            self.ocpp_url = f"ws://127.0.0.1:{ports.get('ocpp_port', 0)}/ocpp"

    async def _watch(self, ready: asyncio.Future[dict[str, Any]]) -> int:
        """Its exit code, when it has one."""
        while True:
            found = await self._line()
            if not ready.done():
                ready.set_result(found if "exit" not in found else {})
            if "exit" in found:
                return int(found["exit"])

    async def _line(self) -> dict[str, Any]:
        assert self._zygote is not None
        assert self._zygote.stdout is not None
        line = await self._zygote.stdout.readline()
        assert line, f"nothing can be started:\n{self.said()}"
        return dict(json.loads(line))

    async def gone(self) -> None:
        """Return when it has died by itself."""
        assert self._watching is not None
        await asyncio.wait({self._watching})

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit code."""
        assert self._watching is not None
        if not self._watching.done():
            os.kill(self._pid, number)
        try:
            code = await asyncio.wait_for(asyncio.shield(self._watching), 20)
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            await self.gone()
            raise AssertionError(f"it did not end:\n{self.said()}") from None
        finally:
            await self._end_zygote()
        return code

    async def _end_zygote(self) -> None:
        zygote, self._zygote = self._zygote, None
        if zygote is not None and zygote.stdin is not None:
            zygote.stdin.close()
            await zygote.wait()

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

"""The demo's child processes: started with a log each, watched, and always cleaned up."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from wattledger.errors import ExternalFault

_TAIL_LINES = 15
_GRACE_S = 20


class Child:
    """A process in a group of its own. Its stderr goes to ``log``, its stdout comes by line."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*_dying_with_us(), *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        if self._process.stdout is not None:
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def _read(self, stdout: IO[str]) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us at the end
            for line in stdout:
                self._lines.put(line)
        self._lines.put(None)

    def line(self, timeout_s: int | float) -> str | None:
        """The next line, or None when there will be no more. Raises queue.Empty in time."""
        return self._lines.get(timeout=timeout_s)

    def ready(self, timeout_s: int) -> dict[str, Any]:
        """The JSON line with ``"ready": true``. Raises ExternalFault when it does not come."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                line = self.line(left_s)
            except queue.Empty:
                break
            if line is None:
                self._process.wait(timeout=_GRACE_S)
                raise self.died()
            if (said := _json(line)).get("ready"):
                return said
        raise ExternalFault(f"{self.name} was not ready after {timeout_s} s.\n{self.tail()}")

    def died(self) -> ExternalFault:
        """What to raise when it ended and should not have."""
        code = self._process.poll()
        return ExternalFault(f"{self.name} ended with code {code}.\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of its log and where the rest is."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        said = "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"
        return f"{said}\nThe whole log: {self.log}"

    def wait(self, timeout_s: int) -> int:
        """Its exit code. Raises ExternalFault when it does not end in time."""
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ExternalFault(f"{self.name} did not end.\n{self.tail()}") from None

    def stop(self) -> None:
        """Ask its group to end, then make it."""
        for number, grace_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, 5)):
            if not self.running:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=grace_s)
        # Children of its that outlived it are in its group still.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Children:
    """The processes of a run; on leaving they are stopped, the last started first."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = environment
        self._started: list[Child] = []

    def start(self, name: str, command: Sequence[str]) -> Child:
        child = Child(name, command, self._environment, self._logs / f"{name}.log")
        self._started.append(child)
        return child

    def check(self, *, but: Child | None = None) -> None:
        """Raises ExternalFault when one of them, other than ``but``, has ended."""
        for child in self._started:
            if child is not but and not child.running:
                raise child.died()

    def tails(self, *, but: Child) -> str:
        """The last words of all of them other than ``but``."""
        others = [child for child in self._started if child is not but]
        return "\n".join(f"{child.name} said last:\n{child.tail()}" for child in others)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self._started):
            child.stop()


def read_lines(
    child: Child, children: Children, take: Callable[[dict[str, Any]], None], silence_s: int
) -> None:
    """Hand each JSON line of ``child`` to ``take`` until it ends; the others must stay alive.

    Raises ExternalFault when one of them dies, or the child is silent for ``silence_s``.
    """
    last = time.monotonic()
    while True:
        try:
            line = child.line(0.5)
        except queue.Empty:
            children.check(but=child)
            if time.monotonic() - last > silence_s:
                raise ExternalFault(
                    f"{child.name} said nothing for {silence_s} s.\n{child.tail()}"
                ) from None
            continue
        if line is None:
            return
        last = time.monotonic()
        take(_json(line))


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listened on a moment ago."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for listening in sockets:
            listening.bind(("127.0.0.1", 0))
        return [int(listening.getsockname()[1]) for listening in sockets]


def _dying_with_us() -> list[str]:
    """A prefix that ends the child when we are killed in a way that lets us end nothing."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _json(line: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}

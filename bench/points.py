"""Charge points for the gateway's bench, as cheap as they can be made: the client shares the
machine with the server that it measures.

A process of its own: jobs come as lines of JSON on standard input, results go as lines of JSON to
standard output. Frames are masked with zeros, so that masking costs the client nothing.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import select
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import uvloop

WARM_S = 0.5
PASSWORD = "a-password-of-twenty-c"
_UPGRADE = (
    "GET /ocpp/{id} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: {version}\r\nAuthorization: Basic {login}\r\n\r\n"
)


def frame(message: bytes) -> bytes:
    """A text frame."""
    length = len(message)
    if length < 126:
        return bytes([0x81, 0x80 | length]) + b"\0\0\0\0" + message
    return b"\x81\xfe" + length.to_bytes(2, "big") + b"\0\0\0\0" + message


class Point(asyncio.Protocol):
    """One charge point; ``answered`` hears each message."""

    def __init__(self, point_id: str, version: str) -> None:
        self.id = point_id
        self.version = version
        self.opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.answered: Callable[[Point, bytes], None] = lambda point, message: None
        self.sent_at = 0.0
        self._transport: Any = None
        self._buffer = b""
        self._open = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        login = base64.b64encode(f"{self.id}:{PASSWORD}".encode()).decode()
        upgrade = _UPGRADE.format(id=self.id, version=self.version, login=login)
        transport.write(upgrade.encode())

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._open:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._open = True
            self.opened.set_result(int(head[9:12]))
        while len(buffer) >= 2:
            length, start = buffer[1], 2
            if length == 126:
                length, start = int.from_bytes(buffer[2:4], "big"), 4
            if len(buffer) < start + length:
                break
            message, kind = buffer[start : start + length], buffer[0]
            buffer = buffer[start + length :]
            if kind == 0x81 and message.startswith(b"[2,"):  # a command: taken
                answer = [3, json.loads(message)[1], {"status": "Accepted"}]
                self._transport.write(frame(json.dumps(answer).encode()))
            elif kind == 0x81:
                self.answered(self, message)
            elif kind == 0x89:  # ping
                self._transport.write(bytes([0x8A, 0x80 | length]) + b"\0\0\0\0" + message)
        self._buffer = buffer

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_result(0)

    def send(self, message: bytes) -> None:
        """A text frame."""
        self.sent_at = time.perf_counter()
        self._transport.write(frame(message))

    async def ask(self, message: bytes) -> bytes:
        """Send a CALL; its answer."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answered = lambda point, answer: future.set_result(answer)
        self.send(message)
        return await future

    def take_socket(self) -> int:
        """From now on somebody else reads its file."""
        self._transport.pause_reading()
        return int(self._transport.get_extra_info("socket").fileno())

    def give_socket(self) -> None:
        """It reads again by itself."""
        self._transport.resume_reading()

    def drop(self) -> None:
        """The link is gone."""
        self._transport.abort()


async def connected(port: int, point_id: str, version: str = "ocpp1.6") -> Point:
    """Connected, however often it has to be tried: a refused one comes back a second later."""
    while True:
        try:
            _, point = await asyncio.get_running_loop().create_connection(
                lambda: Point(point_id, version), "127.0.0.1", port
            )
        except OSError:
            await asyncio.sleep(1)
            continue
        if await point.opened == 101:
            return point
        point.drop()
        await asyncio.sleep(1)


def authorize(number: int, token: int) -> bytes:
    """Ids of one length."""
    return b'[2,"%09d","Authorize",{"idTag":"T-%d"}]' % (number, token)


async def several(port: int, first: int, count: int, version: str = "ocpp1.6") -> list[Point]:
    """Points first..first+count, all connected."""
    points: list[Point] = []
    for begin in range(first, first + count, 100):
        some = range(begin, min(begin + 100, first + count))
        points += await asyncio.gather(*(connected(port, f"CP-{i}", version) for i in some))
    return points


async def closed(points: list[Point], seconds: float) -> dict[str, Any]:
    """Each sends the next as soon as it has its answer, on all at once.

    The client looks at its sockets every half a millisecond only: a client that sleeps on them is
    woken by each answer of a server that is not faster than it, which costs that server more than
    its own work, and one that is faster nothing.
    """
    await asyncio.sleep(0.2)
    sockets = {point.take_socket(): point for point in points}
    poll, wrong, number = select.epoll(), 0, len(points)
    for i, (fd, point) in enumerate(sockets.items()):
        poll.register(fd, select.EPOLLIN)
        point.send(authorize(i, i % 100))
    began, before, cpu = time.perf_counter() + WARM_S, 0, 0.0
    count, until, sending = 0, began + seconds, True
    while True:
        time.sleep(0.0005)  # noqa: ASYNC251  (nothing else is done meanwhile)
        now = time.perf_counter()
        if sending and now >= until:
            sending, took, last = False, now - began, count
            busy = (time.process_time() - cpu) / took
        if cpu == 0.0 and now >= began:
            began, before, cpu = now, count, time.process_time()
            until = now + seconds
        ready = poll.poll(0)
        for fd, _ in ready:
            answer = os.read(fd, 4096)
            count += 1
            wrong += answer[0] != 0x81 or len(answer) != answer[1] + 2 or b"Accepted" not in answer
            if sending:
                number += 1
                os.write(fd, frame(authorize(number, number % 100)))
        if not sending and not ready and now > until + 0.3:
            break
    for point in points:
        point.give_socket()
    return {"per_s": (last - before) / took, "wrong": wrong, "unanswered": number - count,
            "client_cpu": busy}  # fmt: skip


async def paced(points: list[Point], rate: int, seconds: float) -> dict[str, Any]:
    """So many a second in all; latency from when it was due."""
    due: dict[str, float] = {}
    took: list[float] = []

    def answered(point: Point, message: bytes) -> None:
        took.append(time.perf_counter() - due[point.id])

    for point in points:
        point.answered = answered
    began, number = time.perf_counter(), 0
    while number < rate * seconds:
        now = time.perf_counter() - began
        while number < now * rate and number < rate * seconds:
            point = points[number % len(points)]
            due[point.id] = began + number / rate
            point.send(authorize(number, number % 100))
            number += 1
        await asyncio.sleep(max(0.0, number / rate - (time.perf_counter() - began)))
    await asyncio.sleep(1)
    return {"sent": number, **latency(took)}


def latency(took: list[float]) -> dict[str, Any]:
    """In milliseconds."""
    took = sorted(took)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found = {name: took[min(len(took) - 1, int(len(took) * q))] * 1000 for name, q in at.items()}
    return {"answered": len(took), **found}


def boot(number: int) -> bytes:
    return (
        b'[2,"b%d","BootNotification",{"chargePointVendor":"Bench","chargePointModel":"B"}]'
        % number
    )


def stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def meter(number: int, wh: int, transaction: int | None = None) -> bytes:
    """A MeterValues with one register reading and four more measurands."""
    more = [{"value": "230.1", "measurand": "Voltage", "unit": "V", "phase": f"L{i}"}
            for i in (1, 2, 3)]  # fmt: skip
    values = [{"value": str(wh)}, {"value": "11000", "measurand": "Power.Active.Import",
                                   "unit": "W"}, *more]  # fmt: skip
    body: dict[str, Any] = {
        "connectorId": 1, "meterValue": [{"timestamp": stamp(), "sampledValue": values}],
    }  # fmt: skip
    if transaction is not None:
        body["transactionId"] = transaction
    return json.dumps([2, f"m{number}", "MeterValues", body]).encode()


def event(point: Point, number: int, kind: str) -> bytes:
    """A TransactionEvent of 2.0.1 with the same values."""
    whole = {"value": number * 10}
    power = {"value": 11000, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}}
    more = [{"value": 230.1, "measurand": "Voltage", "phase": f"L{i}"} for i in (1, 2, 3)]
    body: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(),
        "triggerReason": "MeterValuePeriodic" if number else "Authorized",
        "seqNo": number,
        "transactionInfo": {"transactionId": f"tx-{point.id}", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": stamp(), "sampledValue": [whole, power, *more]}],
    }
    if kind == "Started":
        body["idToken"] = {"idToken": "T-1", "type": "ISO14443"}
    return json.dumps([2, f"e{number}", "TransactionEvent", body]).encode()


async def storm(port: int, first: int, count: int) -> tuple[list[Point], dict[str, Any]]:
    """All at once: connect, boot, and deliver a reading that was queued meanwhile."""
    began = time.perf_counter()
    done: list[float] = []
    points: list[Point] = []

    async def one(number: int) -> None:
        point = await connected(port, f"CP-{number}")
        points.append(point)
        answer = await point.ask(boot(number))
        assert b"Accepted" in answer, answer
        done.append(time.perf_counter() - began)
        answer = await point.ask(meter(number, 1000))
        assert answer.startswith(b"[3,"), answer

    await asyncio.gather(*(one(i) for i in range(first, first + count)))
    whole = time.perf_counter() - began
    return points, {"booted_s": max(done), "served_s": whole, "count": len(done)}


async def start(points: list[Point]) -> dict[str, int]:
    """A transaction on each."""
    found: dict[str, int] = {}
    for i, point in enumerate(points):
        body = {"connectorId": 1, "idTag": f"T-{i % 100}", "meterStart": 0, "timestamp": stamp()}
        answer = json.loads(
            await point.ask(json.dumps([2, "s", "StartTransaction", body]).encode())
        )
        assert answer[0] == 3, answer
        found[point.id] = answer[2]["transactionId"]
    return found


async def metering(points: list[Point], seconds: float) -> dict[str, Any]:
    """MeterValues of running transactions, the next as soon as the one before is answered."""
    transactions = await start(points)
    return await _telling(
        points, seconds, lambda point, number: meter(number, number, transactions[point.id])
    )


async def events(points: list[Point], seconds: float) -> dict[str, Any]:
    """The same with TransactionEvents, whose answers have the cost so far."""
    for point in points:
        answer = json.loads(await point.ask(event(point, 0, "Started")))
        assert answer[2]["idTokenInfo"] == {"status": "Accepted"}, answer
    return await _telling(points, seconds, lambda point, number: event(point, number, "Updated"))


async def _telling(
    points: list[Point], seconds: float, said: Callable[[Point, int], bytes]
) -> dict[str, Any]:
    began, until = time.perf_counter(), time.perf_counter() + seconds
    took: list[float] = []
    wrong = 0

    async def one(point: Point) -> None:
        nonlocal wrong
        number = 0
        while time.perf_counter() < until:
            number += 1
            answer = await point.ask(said(point, number))
            took.append(time.perf_counter() - point.sent_at)
            wrong += not answer.startswith(b"[3,")

    await asyncio.gather(*(one(point) for point in points))
    return {"per_s": len(took) / (time.perf_counter() - began), "wrong": wrong, **latency(took)}


async def stopping(
    points: list[Point], rate: int, meter_stop: int = 10, wait_s: int = 0
) -> dict[str, Any]:
    """A StopTransaction on each, so many a second; how long its answer takes. Between the starts
    and the stops ``wait_s`` for what follows a start."""
    transactions = await start(points)
    await asyncio.sleep(wait_s)
    took: list[float] = []
    wrong = 0

    async def one(point: Point) -> None:
        nonlocal wrong
        body = {"transactionId": transactions[point.id], "meterStop": meter_stop,
                "timestamp": stamp()}  # fmt: skip
        answer = await point.ask(json.dumps([2, "x", "StopTransaction", body]).encode())
        took.append(time.perf_counter() - point.sent_at)
        wrong += not answer.startswith(b"[3,")

    tasks = []
    for point in points:
        tasks.append(asyncio.create_task(one(point)))
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*tasks)
    return {"wrong": wrong, **latency(took)}


async def main() -> None:
    """Jobs, one after the other; the points of a job stay connected until ``drop``."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop, held = asyncio.get_running_loop(), dict[str, list[Point]]()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job = json.loads(line)
        name, group = job.pop("job"), job.pop("group", "")
        result: dict[str, Any] = {}
        if name == "connect":
            held[group] = await several(**job)
        elif name == "storm":
            held[group], result = await storm(**job)
        elif name == "drop":
            for point in held.pop(group):
                point.drop()
        else:
            run: dict[str, Callable[..., Awaitable[dict[str, Any]]]]
            run = {"closed": closed, "paced": paced, "metering": metering, "events": events,
                   "stopping": stopping}  # fmt: skip
            result = await run[name](held[group], **job)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    uvloop.run(main())

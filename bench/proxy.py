"""What the proxy adds: the same CALLs of the same charge points to a CPMS, straight and through us.

``python bench/proxy.py [--json]``. The CPMS answers at once and knows nothing: what a real one
takes for its answer hides a part of ours, since our record is made meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from points import PASSWORD
from websockets import Subprotocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from gateway import configuration, process
from wattledger.demo.setup import to_toml

CONNECTIONS, SECONDS, ROUNDS = 500, 5, 3
# Of 500 charge points that send them each minute it would be 8.
RATES = {"Heartbeat": 200, "MeterValues": 50}
_NUMBERS = iter(range(1, 10**9))


async def cpms() -> None:
    """A CPMS in a process of its own; its port is the first line it says."""

    async def answer(socket: ServerConnection) -> None:
        async for message in socket:
            _, number, action, _ = json.loads(message)
            payload: dict[str, Any] = {}
            if action == "StartTransaction":
                payload = {"transactionId": next(_NUMBERS), "idTagInfo": {"status": "Accepted"}}
            await socket.send(json.dumps([3, number, payload]))

    async with serve(answer, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")],
                     compression=None, ping_interval=None) as server:  # fmt: skip
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Event().wait()


class Points:
    """Charge points, each in a transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sockets: list[ClientConnection] = []
        self.refs: list[int] = []
        self.turns: dict[int, asyncio.Lock] = {}

    async def open(self, first: int) -> None:
        for i in range(first, first + CONNECTIONS):
            login = base64.b64encode(f"CP-{i}:{PASSWORD}".encode()).decode()
            socket = await connect(
                f"{self.url}/CP-{i}", subprotocols=[Subprotocol("ocpp1.6")], compression=None,
                ping_interval=None, additional_headers={"Authorization": f"Basic {login}"},
            )  # fmt: skip
            start = {"connectorId": 1, "idTag": f"T-{i % 100}", "meterStart": 0, "timestamp": _at()}
            self.sockets.append(socket)
            self.refs.append((await self.ask(i - first, "StartTransaction", start))[0])

    async def close(self) -> None:
        await asyncio.gather(*(socket.close() for socket in self.sockets))

    async def ask(self, point: int, action: str, payload: dict[str, Any]) -> tuple[int, float]:
        """The transaction's number, and how long it took in ms; one at a time."""
        began = time.perf_counter()
        socket = self.sockets[point]
        async with self.turns.setdefault(point, asyncio.Lock()):
            await socket.send(json.dumps([2, f"{began}", action, payload]))
            answer = json.loads(await socket.recv())
        assert answer[:2] == [3, f"{began}"], answer
        return answer[2].get("transactionId", 0), (time.perf_counter() - began) * 1000

    async def paced(self, action: str) -> list[float]:
        """So many a second, of one charge point after the other."""
        asking, rate = [], RATES[action]
        begin = time.perf_counter()
        for number in range(rate * SECONDS):
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            point = number % CONNECTIONS
            payload: dict[str, Any] = {}
            if action == "MeterValues":
                value = [{"timestamp": _at(), "sampledValue": [{"value": str(number)}]}]
                payload = {"connectorId": 1, "transactionId": self.refs[point], "meterValue": value}
            asking.append(asyncio.create_task(self.ask(point, action, payload)))
        return sorted([(await each)[1] for each in asking][rate // 2 :])


def _at() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _prepare(folder: str) -> Path:
    home = Path(folder)
    home.chmod(0o755)  # as root the database runs as another user
    return home / "wattledger.toml"


async def measure() -> dict[str, Any]:
    """p50 and p99 in ms: straight, through us, and the difference of each round."""
    with tempfile.TemporaryDirectory(prefix="wattledger-bench-") as folder:
        path = _prepare(folder)
        async with process(__file__, "--cpms") as other:
            straight = f"ws://127.0.0.1:{await other.line()}"
            config = configuration()
            config["site"][0]["proxy"] = {"url": straight + "/{charge_point_id}"}
            path.write_text(to_toml(config), encoding="utf-8")
            served = ("-m", "wattledger.cli.main", "serve", "--config", str(path), "--role",
                      "gateway", "--json-ready", "--log-level", "error")  # fmt: skip
            async with process(*served) as ours:
                port = (await ours.line())["ocpp_port"]
                ways = {
                    "straight": Points(straight),
                    "through": Points(f"ws://127.0.0.1:{port}/ocpp"),
                }
                for way in ways.values():
                    await way.open(0)
                found = {}
                for action in RATES:
                    rounds = []
                    for _ in range(ROUNDS):
                        times = {name: await way.paced(action) for name, way in ways.items()}
                        rounds.append({n: (_part(t, 50), _part(t, 99)) for n, t in times.items()})
                    found[action] = _summary(rounds)
                for way in ways.values():
                    await way.close()
    return found


def _part(times: list[float], percent: int) -> float:
    return times[min(len(times) - 1, len(times) * percent // 100)]


def _summary(rounds: list[dict[str, tuple[float, float]]]) -> dict[str, Any]:
    def median(name: str, which: int) -> float:
        return round(statistics.median(r[name][which] for r in rounds), 2)

    found = {
        f"{name}_{part}_ms": median(name, which)
        for name in ("straight", "through") for which, part in enumerate(("p50", "p99"))
    }  # fmt: skip
    for which, part in enumerate(("p50", "p99")):
        added = [r["through"][which] - r["straight"][which] for r in rounds]
        found[f"added_{part}_ms"] = round(statistics.median(added), 2)
    return found


if __name__ == "__main__":
    if "--cpms" in sys.argv:
        uvloop.run(cpms())
    else:
        result = uvloop.run(measure())
        if "--json" in sys.argv:
            print(json.dumps(result))
        for action, figures in result.items() if "--json" not in sys.argv else ():
            print(f"{action}, {CONNECTIONS} charge points, {RATES[action]}/s: "
                  + ", ".join(f"{name} {value}" for name, value in figures.items()))  # fmt: skip

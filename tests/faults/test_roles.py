"""Gateway, API and worker as processes of their own that share one PostgreSQL, on real time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rig.day import assert_identities
from rig.network import CARD, DECLINED, network, write
from rig.points import Point
from rig.sandbox import Sandbox, sandbox
from rig.server import ServerProcess
from rig.system import System, until

ROLES = ("gateway", "api", "worker")


@asynccontextmanager
async def roles(
    dsn: str, folder: Path
) -> AsyncIterator[tuple[System, System, dict[str, ServerProcess], Sandbox]]:
    """Through the gateway (its charge points), and through the API (its report)."""
    now = datetime.now(UTC)
    async with sandbox(now) as stripe, httpx.AsyncClient(trust_env=False, timeout=30) as http:
        body = network(stripe.url, {"dsn_env": "RIG_DSN"}, clock="system", clock_followers=[])
        body["policies"] = {"settle_window_s": 1}
        # What is delivered within minutes, and seconds, has to be within its power.
        body["site"][0]["charge_points"][0]["power_w"] = 4_000_000
        config = write(folder / "wattledger.toml", body)
        processes = {
            role: ServerProcess(config, {"RIG_DSN": dsn}, "--role", role) for role in ROLES
        }
        await asyncio.gather(*(process.start() for process in processes.values()))
        gateway = System(processes["gateway"], stripe, http, lambda: dsn)
        api = System(processes["api"], stripe, http, lambda: dsn)
        try:
            yield gateway, api, processes, stripe
        finally:
            for point in gateway.points.values():
                await point.close()
            codes = await asyncio.gather(*(process.end() for process in processes.values()))
            assert set(codes) <= {0, -signal.SIGKILL}


async def _says(api: System, **expected: Any) -> dict[str, Any]:
    """The report, once its sessions and money say this."""
    found = await api.report()
    values = {**found["money"], **found["sessions"]}
    return found if all(values[name] == value for name, value in expected.items()) else {}


async def _received(stripe: Sandbox) -> int:
    return int((await stripe.books())["received"])


async def _told(point: Point) -> list[int]:
    return point.remote_stops


async def test_a_session_goes_from_the_gateway_to_the_worker(dsn: str, tmp_path: Path) -> None:
    async with roles(dsn, tmp_path) as (gateway, api, processes, stripe):
        point = gateway.point("CP-1")
        await point.boot()
        began = datetime.now(UTC) - timedelta(minutes=4)
        assert await point.authorize(CARD) == "Accepted"
        transaction = await point.start(CARD, began, 0)
        await until(stripe.intents)
        ended = datetime.now(UTC)
        await point.stop(transaction, ended, 10_000)
        await point.status("Available", ended)
        # 10 kWh at 0.30 and 10 % tax
        found = await until(lambda: _says(api, billed=1, captured=330))
        assert_identities({**found, "money": found["money"] | {"in_transit": 330}})
        await until(lambda: _received(stripe))
        assert (await stripe.books())["total_minor"] == {"USD": 330}

        # The worker learns of the decline, the gateway gives the command.
        declined = await point.start(DECLINED, datetime.now(UTC), 10_000)
        await until(lambda: _told(point))
        assert point.remote_stops == [declined]

        # A worker that dies is replaced by another one, which finds what it left.
        assert await processes["worker"].end(signal.SIGKILL) == -signal.SIGKILL
        ended = datetime.now(UTC)
        await point.stop(declined, ended, 11_000, "Remote")
        await point.status("Available", ended)
        await asyncio.sleep(1.2)
        assert (await api.report())["sessions"]["billed"] == 1, "nobody is there to bill it"
        await processes["worker"].start()
        await until(lambda: _says(api, billed=2, debt=33))


@pytest.mark.parametrize("role", ["gateway", "api"])
async def test_a_role_listens_to_its_own_only(dsn: str, tmp_path: Path, role: str) -> None:
    async with sandbox(datetime.now(UTC)) as stripe:
        body = network(stripe.url, {"dsn_env": "RIG_DSN"}, clock="system", clock_followers=[])
        config = write(tmp_path / "wattledger.toml", body)
        process = ServerProcess(config, {"RIG_DSN": dsn}, "--role", role)
        await process.start()
        urls = {"gateway": process.ocpp_url, "api": process.http_url}
        assert ":0" not in urls.pop(role)
        assert all(":0" in url for url in urls.values())
        assert await process.end() == 0

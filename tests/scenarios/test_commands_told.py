"""What an applied configuration tells the charge points of a running server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rig.network import Body, at, network, write
from rig.system import System, system, until
from wattledger.cli.main import main


def _with_boundaries(body: Body) -> None:
    body["policies"] = {"meter_interval_s": 3600}
    body["site"][0]["time_zone"] = "Asia/Kolkata"


def _blocked(body: Body) -> None:
    _with_boundaries(body)
    fleet = next(account for account in body["account"] if account["id"] == "fleet")
    fleet["blocked"] = True


async def test_a_boot_and_an_apply_are_told_to_charge_points(dsn: str, tmp_path: Path) -> None:
    async with system(dsn, change=_with_boundaries) as running:
        point = running.point("CP-1")
        await point.boot()
        await point.status("Available", at("08:00"))
        await running.clock(at("08:30"))
        # Midnight in India is 18:30 UTC: the clock's readings are half-hourly, the others hourly.
        intervals = ("ClockAlignedDataInterval", "MeterValueSampleInterval")
        assert [point.settings[key] for key in intervals] == ["1800", "3600"]
        told = len(point.settings)

        body = network(running.sandbox.url, {"dsn_env": "RIG_DSN"})
        _blocked(body)
        path = write(tmp_path / "blocked.toml", body)
        assert await asyncio.to_thread(main, ["apply", "--config", str(path), "--json"]) == 0
        [cleared] = await until(lambda: _clears(running))
        assert cleared["lane"] == "cp:CP-1", "CP-2 has never been here"
        await running.clock(at("09:00"))
        assert len(point.settings) == told, "the settings are what they were"
        [cleared] = await _clears(running)
        assert (cleared["state"], point.cleared) == ("done", 1)


async def _clears(running: System) -> list[dict[str, str]]:
    return await running.rows("SELECT lane, state FROM effect WHERE kind = 'ocpp.clear_cache'")

"""A day on which every other side fails leaves no secret in the database or the logs."""

from __future__ import annotations

import logging

import pytest

from rig.day import play
from rig.network import SECRETS
from rig.system import System, system

CALLS = (
    "POST /v1/payment_intents", "POST /v1/payment_intents/*/capture",
    "POST /v1/payment_intents/*/cancel", "GET /v1/balance_transactions", "POST /receiver/*",
)  # fmt: skip


async def test_no_secret_is_in_the_database_or_in_the_logs(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wattledger")
    caplog.set_level(logging.INFO)
    async with system(dsn) as running:
        for call in CALLS:
            for kind in ("500_before", "drop_after", "429", "500_stored"):
                await running.sandbox.fault(match=call, kind=kind)
        await play(running)
        hooks = "/v1/webhooks/stripe/stripe"
        assert (await running.post(hooks, {"id": "evt_1"}, key=None)).status_code == 400
        wrong = SECRETS["RIG_API_KEY"] + "-no-more"
        assert (await running.post("/v1/sessions", {}, key=wrong)).status_code == 401
        rows = await _everything(running)
        assert len(rows) > 100
        for name, secret in SECRETS.items():
            assert not [row for row in rows if secret in row], name
            assert secret not in caplog.text, name


async def _everything(running: System) -> list[str]:
    """Every row of every table, as text."""
    tables = await running.rows(
        "SELECT table_name AS name FROM information_schema.tables"
        " WHERE table_schema = 'wattledger' AND table_type = 'BASE TABLE'"
    )
    found: list[str] = []
    for table in tables:
        found += [row["t"] for row in await running.rows(f"SELECT t::text FROM {table['name']} t")]
    return found

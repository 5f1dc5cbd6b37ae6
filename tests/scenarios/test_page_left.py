"""A guest at the page behind the QR code, over HTTP as a browser does it, with the processor's
stand-in: what is never paid can't be paid later, and what is paid too late is given back."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from rig.network import STARTS_AT, Body
from rig.system import System, system, until

KEY, OTHER = "ab" * 24, "cd" * 24


def _guests(body: Body) -> None:
    body["plan"][0]["ad_hoc"] = True
    body["processor"][0]["publishable_key_env"] = "RIG_PUBLIC_KEY"


class Browser:
    """One driver's, at the page of CP-1."""

    def __init__(self, running: System, key: str = KEY) -> None:
        self._running = running
        self._key = {"x-start-key": key}
        self._body = {"charge_point_id": "CP-1", "connector_id": 1, "key": key}
        self.secret = ""

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        url = f"{self._running.server.http_url}/q/-/start{path}"
        return await self._running.http.request(
            method, url, params={"at": "CP-1"}, headers=self._key, **more
        )

    async def start(self) -> httpx.Response:
        return await self._ask("POST", "s", json=self._body)

    async def look(self) -> dict[str, Any]:
        return dict((await self._ask("GET", "")).json())

    async def post(self, what: str) -> httpx.Response:
        return await self._ask("POST", f"/{what}", json={})

    async def asks_for_the_card(self) -> str:
        """The intent that it may confirm now."""
        assert (await self.start()).status_code == 200
        for _ in range(20):
            await self._running.clock(STARTS_AT)
            if (await self.look())["ready"]:
                break
        self.secret = (await self._ask("GET", "/secret")).json()["client_secret"]
        return self.secret.split("_secret_")[0]

    async def confirm(self) -> int:
        """What the processor's form does: the card goes there, and never to us."""
        intent_id = self.secret.split("_secret_")[0]
        answer = await self._running.http.post(
            f"{self._running.sandbox.url}/v1/payment_intents/{intent_id}/confirm",
            data={"client_secret": self.secret, "key": "pk_test_rig",
                  "payment_method": "pm_card_visa"},
        )  # fmt: skip
        return answer.status_code


@asynccontextmanager
async def _yard(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    monkeypatch.setenv("RIG_PUBLIC_KEY", os.environ.get("RIG_PUBLIC_KEY", "pk_test_rig"))
    async with system(dsn, change=_guests) as running:
        point = running.point("CP-1")
        await point.boot()
        await point.status("Available", STARTS_AT)
        yield running


async def _status(running: System, intent_id: str) -> tuple[str, int]:
    found = {each["id"]: each for each in await running.sandbox.intents()}[intent_id]
    return found["status"], found["amount_capturable"]


async def _is_canceled(running: System, intent_id: str, at: datetime = STARTS_AT) -> bool:
    await running.clock(at)
    return (await _status(running, intent_id))[0] == "canceled"


async def test_what_was_left_unpaid_is_cancelled_and_can_not_be_paid_afterwards(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _yard(dsn, monkeypatch) as running:
        browser, next_driver = Browser(running), Browser(running, OTHER)
        intent_id = await browser.asks_for_the_card()
        refused = await next_driver.start()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "90")
        assert (await browser.post("left")).status_code == 204
        assert (await next_driver.start()).status_code == 200, "at once"
        await until(lambda: _is_canceled(running, intent_id))
        assert await browser.confirm() == 400
        assert await _status(running, intent_id) == ("canceled", 0)
        found = await browser.look()
        assert found["stage"] == "failed"
        assert "Nothing was charged" in found["text"]


async def test_paid_in_the_second_in_which_it_was_given_up_all_is_given_back(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is held, and nobody told us: the page was closed, and the webhook lost."""
    async with _yard(dsn, monkeypatch) as running:
        await running.sandbox.events_to(None)
        browser = Browser(running)
        intent_id = await browser.asks_for_the_card()
        await browser.post("left")
        assert await browser.confirm() == 200
        assert await _status(running, intent_id) == ("requires_capture", 2500)
        later = STARTS_AT + timedelta(seconds=15)
        await until(lambda: _is_canceled(running, intent_id, later))
        assert await _status(running, intent_id) == ("canceled", 0)
        await running.clock(STARTS_AT + timedelta(seconds=16))
        (row,) = await running.rows("SELECT state, captured_minor FROM payment")
        assert row == {"state": "released", "captured_minor": 0}
        assert running.point("CP-1").remote_starts == []


async def test_paid_and_known_in_time_it_starts_although_the_page_is_closed(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _yard(dsn, monkeypatch) as running:
        browser = Browser(running)
        intent_id = await browser.asks_for_the_card()
        assert await browser.confirm() == 200
        await browser.post("left")

        async def told() -> list[str]:
            await running.clock(STARTS_AT)
            return list(running.point("CP-1").remote_starts)

        await until(told)
        await running.clock(STARTS_AT + timedelta(seconds=20))
        assert await _status(running, intent_id) == ("requires_capture", 2500)


async def test_what_a_payer_confirms_by_is_in_no_log_and_in_no_table(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wattledger")
    caplog.set_level(logging.INFO)
    async with _yard(dsn, monkeypatch) as running:
        browser = Browser(running)
        await browser.asks_for_the_card()
        await running.sandbox.fault(match="GET /v1/payment_intents/*", kind="500_before")
        await browser.post("paid")
        assert await browser.confirm() == 200
        await running.clock(STARTS_AT)
        tables = await running.rows(
            "SELECT table_name AS name FROM information_schema.tables"
            " WHERE table_schema = 'wattledger' AND table_type = 'BASE TABLE'"
        )
        for word in (browser.secret, KEY):
            assert word not in caplog.text
            for table in tables:
                found = await running.rows(
                    f"SELECT 1 FROM {table['name']} t WHERE t::text LIKE '%%' || %s || '%%'", word
                )
                assert found == [], table["name"]

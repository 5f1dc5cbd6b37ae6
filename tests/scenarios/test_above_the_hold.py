"""Sessions that cost more than is held, from the plug to the bank: charged again, or owed and paid
a day later. 0.30 per kWh and 10 % tax; 25.00 are held."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from rig.day import assert_identities
from rig.network import SECRETS, STARTS_AT, Body, account, at, network, write
from rig.points import Point
from rig.sandbox import sandbox
from rig.server import serving_here
from rig.system import System

AGAIN, OWES = "AGAIN-1", "OWES-1"


async def _saved(http: httpx.AsyncClient, url: str, token: str) -> dict[str, object]:
    """A driver with a saved card, who agreed to be charged again."""
    key = {"Authorization": f"Bearer {SECRETS['RIG_STRIPE_KEY']}"}
    customer = (await http.post(f"{url}/v1/customers", headers=key)).json()["id"]
    path = f"{url}/v1/payment_methods/{token}/attach"
    saved = (await http.post(path, headers=key, data={"customer": customer})).json()["id"]
    return {"customer": customer, "payment_method": saved, "consent": True, "shortfall": "debt"}


@asynccontextmanager
async def _running(
    dsn: str, card: str = "pm_card_visa", policies: Body | None = None, **rule: Any
) -> AsyncIterator[System]:
    folder = Path(tempfile.mkdtemp(prefix="wattledger-rig-"))
    try:
        async with (
            sandbox(STARTS_AT) as stripe,
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
        ):
            body = network(stripe.url, {"dsn_env": "RIG_DSN"})
            body["plan"].append({"id": "again", "name": "Again", "route": "card"})
            body["policies"] |= policies or {}
            body["payment"] = [{"plans": ["again"], **(rule or {"second_charge": True})}]
            body["account"] += [
                account("again", "again", AGAIN, **await _saved(http, stripe.url, card)),
                account("owes", "walk-up", OWES, **await _saved(http, stripe.url, card)),
            ]
            config = write(folder / "wattledger.toml", body)
            async with serving_here(config) as here:
                running = System(here, stripe, http, lambda: dsn)
                await stripe.events_to(f"{here.http_url}/v1/webhooks/stripe/stripe")
                try:
                    yield running
                finally:
                    for point in running.points.values():
                        await point.close()
                    await stripe.events_to(None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _charge(running: System, point: Point, token: str, kwh: int) -> None:
    """From 08:00 to 13:00, whatever it is told."""
    await point.boot()
    number = await point.start(token, at("08:00"), 0)
    await running.clock(at("08:01"))
    await running.clock(at("13:00"))
    await point.stop(number, at("13:00"), kwh * 1_000)
    await point.status("Available", at("13:00"))
    await running.clock(at("13:02"))


async def test_what_is_above_the_hold_is_charged_again(dsn: str) -> None:
    """100 kWh for 33.00: 25.00 captured, 8.00 charged."""
    async with _running(dsn) as running:
        await _charge(running, running.point("CP-1"), AGAIN, 100)
        assert await running.rows(
            "SELECT leg, state, hold_minor, captured_minor FROM payment ORDER BY leg"
        ) == [
            {"leg": "hold", "state": "captured", "hold_minor": 2_500, "captured_minor": 2_500},
            {"leg": "second", "state": "captured", "hold_minor": 800, "captured_minor": 800},
        ]
        await running.clock(at("03:00", 6))
        found = await running.report()
        assert_identities(found)
        assert (found["money"]["charged"], found["money"]["captured"]) == (3_300, 3_300)
        assert found["ledger"]["proved"] is True
        assert found["breaks"] == []


async def test_more_is_held_before_it_is_needed(dsn: str) -> None:
    """At 09:00 22 kWh were read. Stopped now it can come to 33 kWh for 10.89 and 13.20 of idle,
    24.09: more than half of 25.00, so 50.00 are held, and pay the 33.00."""
    async with _running(dsn, increment_at_percent=50) as running:
        point = running.point("CP-1")
        await point.boot()
        number = await point.start(AGAIN, at("08:00"), 0)
        await running.clock(at("09:00"))
        await point.meter(number, at("09:00"), 22_000)
        await running.clock(at("09:01"))
        assert await running.rows("SELECT state, authorized_minor, increments FROM payment") == [
            {"state": "held", "authorized_minor": 5_000, "increments": 1}
        ]
        assert point.remote_stops == []
        await running.clock(at("13:00"))
        await point.stop(number, at("13:00"), 100_000)
        await point.status("Available", at("13:00"))
        await running.clock(at("13:02"))
        assert await running.rows("SELECT leg, state, captured_minor FROM payment") == [
            {"leg": "hold", "state": "captured", "captured_minor": 3_300}
        ]
        await running.clock(at("03:00", 6))
        found = await running.report()
        assert_identities(found)
        assert found["breaks"] == []


async def test_a_card_that_holds_no_more_is_stopped_in_time(dsn: str) -> None:
    async with _running(
        dsn, "pm_card_credit_disableEnterpriseCardFeatures", increment_at_percent=50
    ) as running:
        point = running.point("CP-1")
        await point.boot()
        number = await point.start(AGAIN, at("08:00"), 0)
        for hour, kwh, stopped in (("09:00", 22, False), ("10:00", 44, True)):
            await running.clock(at(hour))
            await point.meter(number, at(hour), kwh * 1_000)
            await running.clock(at(hour[:3] + "01"))
            assert (number in point.remote_stops) is stopped
        assert await running.rows("SELECT state, authorized_minor FROM payment") == [
            {"state": "held", "authorized_minor": 2_500}
        ]


async def test_what_is_owed_blocks_and_is_paid_a_day_later(dsn: str) -> None:
    """25.00 captured and 8.00 owed: the card pays them on the first day of dunning."""
    async with _running(dsn) as running:
        point = running.point("CP-1")
        await _charge(running, point, OWES, 100)
        assert await running.rows("SELECT state, amount_minor FROM debt") == [
            {"state": "open", "amount_minor": 800}
        ]
        assert await point.authorize(OWES) != "Accepted"
        found = await running.report()
        assert (found["money"]["captured"], found["money"]["debt"]) == (2_500, 800)
        await running.clock(at("14:00", 3))
        assert await running.rows("SELECT state, amount_minor FROM debt") == [
            {"state": "paid", "amount_minor": 800}
        ]
        assert await point.authorize(OWES) == "Accepted"
        await running.clock(at("03:00", 6))
        found = await running.report()
        assert_identities(found)
        assert (found["money"]["captured"], found["money"]["debt"]) == (3_300, 0)
        assert found["ledger"]["proved"] is True
        assert found["breaks"] == []


async def test_a_hold_is_captured_before_it_lapses_and_the_rest_later(dsn: str) -> None:
    """Visa holds a card on file 4 days and 18 hours: from the 2nd, 08:00, to the 7th, 02:00. Twelve
    hours before, 10 kWh were read: 3.30 are
    captured. The real stop says 30 kWh, 9.90: 3.30 paid, 6.60 charged again."""
    async with _running(
        dsn, second_charge=True, policies={"silence_limit_s": 2_592_000}
    ) as running:
        point = running.point("CP-1")
        await point.boot()
        number = await point.start(AGAIN, at("08:00"), 0)
        await running.clock(at("09:00"))
        await point.meter(number, at("09:00"), 10_000)
        await running.clock(at("13:59", 6))
        assert await running.rows("SELECT state FROM session") == [{"state": "open"}]
        await running.clock(at("14:05", 6))
        assert number in point.remote_stops
        assert await running.rows("SELECT state, provisional, captured_minor FROM payment") == [
            {"state": "captured", "provisional": True, "captured_minor": 330}
        ]
        await running.clock(at("21:00", 6))
        await point.stop(number, at("21:00", 6), 30_000)
        await point.status("Available", at("21:00", 6))
        await running.clock(at("21:10", 6))
        assert await running.rows(
            "SELECT leg, state, captured_minor FROM payment ORDER BY leg"
        ) == [
            {"leg": "hold", "state": "captured", "captured_minor": 330},
            {"leg": "second", "state": "captured", "captured_minor": 660},
        ]
        await running.clock(at("12:00", 13))
        found = await running.report()
        assert_identities(found)
        assert found["ledger"]["proved"] is True
        assert (found["money"]["captured"], found["money"]["refund_due"]) == (990, 0)
        assert found["breaks"] == []


async def test_a_hold_that_lasts_longer_is_captured_later(dsn: str) -> None:
    """A Mastercard is held seven days, and thirty where that was asked for: from the 2nd, 08:00, to
    the 2nd of December. 10 kWh were read, and twelve hours before its end 3.30 are captured."""
    async with _running(
        dsn, "pm_card_mastercard", extended_authorization=True,
        policies={"silence_limit_s": 2_592_000},
    ) as running:  # fmt: skip
        point = running.point("CP-1")
        await point.boot()
        number = await point.start(AGAIN, at("08:00"), 0)
        await running.clock(at("09:00"))
        await point.meter(number, at("09:00"), 10_000)
        december = at("00:00", 30) + timedelta(days=1)
        for moment in (at("20:05", 8), december + timedelta(hours=19, minutes=59)):
            await running.clock(moment)
            assert await running.rows("SELECT state FROM session") == [{"state": "open"}]
        await running.clock(december + timedelta(hours=20, minutes=5))
        assert number in point.remote_stops
        assert await running.rows("SELECT state, provisional, captured_minor FROM payment") == [
            {"state": "captured", "provisional": True, "captured_minor": 330}
        ]


async def test_a_part_that_was_approved_pays_as_much_as_it_holds(dsn: str) -> None:
    """25.00 were asked for and 70 % of it approved: 17.50. 100 kWh cost 33.00: 15.50 are owed."""
    async with _running(
        dsn, "pm_card_debit_partialAuthorization", partial_authorization=True
    ) as running:
        await _charge(running, running.point("CP-1"), AGAIN, 100)
        assert await running.rows(
            "SELECT state, hold_minor, authorized_minor, captured_minor FROM payment"
            " WHERE leg = 'hold'"
        ) == [
            {"state": "captured", "hold_minor": 2_500, "authorized_minor": 1_750,
             "captured_minor": 1_750}
        ]  # fmt: skip
        assert await running.rows("SELECT state, amount_minor FROM debt") == [
            {"state": "open", "amount_minor": 1_550}
        ]
        await running.clock(at("03:00", 6))
        found = await running.report()
        assert_identities(found)
        assert (found["money"]["captured"], found["money"]["debt"]) == (1_750, 1_550)
        assert found["ledger"]["proved"] is True
        assert found["breaks"] == []


async def test_a_part_that_is_less_than_the_rules_least_stops_a_tokens_session(dsn: str) -> None:
    """17.50 of 25.00 are approved, and 20.00 are the least. What is held pays what was delivered
    by then: nothing."""
    async with _running(
        dsn, "pm_card_debit_partialAuthorization", partial_authorization=True, least_hold="20.00"
    ) as running:
        point = running.point("CP-1")
        await point.boot()
        number = await point.start(AGAIN, at("08:00"), 0)
        await running.clock(at("08:01"))
        assert number in point.remote_stops
        await point.stop(number, at("08:02"), 0)
        await point.status("Available", at("08:02"))
        await running.clock(at("08:10"))
        assert await running.rows("SELECT state FROM payment") == [{"state": "released"}]

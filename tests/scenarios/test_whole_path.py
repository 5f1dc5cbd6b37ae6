"""A session from the plug to the bank, with every figure worked out by hand."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from rig.day import assert_identities
from rig.network import CARD, ENTITY, FLEET, SITE, STARTS_AT, Body, account, at, network, write
from rig.points import start_of, stop_of
from rig.sandbox import sandbox
from rig.system import System, system
from wattledger.cli.main import main
from wattledger.clock import utc_text

MEMBER = "MEMBER-1"


def time_of_day(body: Body) -> None:
    """California: 0.40 per kWh from 16:00 to 21:00, else 0.25; 10.25 % tax; a member's 15 %."""
    body["policies"] = {"sample_interval_s": 900}
    body["entity"][0]["time_zone"] = "America/Los_Angeles"
    body["site"][0] |= {"time_zone": "America/Los_Angeles", "tax_percent": "10.25"}
    energy, idle = body["tariff"][0]["elements"]
    peak = {
        "name": "peak",
        "restrictions": {"start_time": "16:00", "end_time": "21:00"},
        "components": [{"dimension": "energy", "price": "0.40", "unit": "kWh"}],
    }
    energy["components"][0]["price"] = "0.25"
    body["tariff"][0]["elements"] = [peak, energy, idle]
    body["plan"].append(
        {"id": "member", "name": "Member", "route": "card", "discount_percent": "15"}
    )
    body["account"].append(account("member", "member", MEMBER, payment_method="pm_card_mastercard"))


async def test_from_the_plug_to_the_bank(dsn: str) -> None:
    async with system(dsn, change=time_of_day) as running:
        point = running.point("CP-1")
        # 15:00 in California is 23:00 UTC (no summer time in November).
        await running.clock(at("23:00"))
        await point.boot()
        await point.status("Preparing", at("23:00"))
        assert await point.authorize(CARD) == "Accepted"
        transaction = await point.start(CARD, at("23:00"), 500_000)
        await point.status("Charging", at("23:00"))
        await running.clock(at("23:01"))
        # 22 kW: a hold of 25.00, asked for once.
        held = await running.rows("SELECT state, hold_minor, captured_minor FROM payment")
        assert held == [{"state": "held", "hold_minor": 2500, "captured_minor": 0}]
        assert await running.rows("SELECT FROM entry") == [], "a hold books nothing"

        # 10 kWh until 16:00, 10 kWh until 17:00; then the car is full.
        await running.clock(at("00:00", 3))
        await point.meter(transaction, at("00:00", 3), 510_000)
        await running.clock(at("01:00", 3))
        await point.meter(transaction, at("01:00", 3), 520_000)
        await point.status("SuspendedEV", at("01:00", 3))
        # The driver comes back at 18:20.
        await running.clock(at("02:20", 3))
        await point.stop(transaction, at("02:20", 3), 520_000)
        await point.status("Finishing", at("02:20", 3))
        await point.status("Available", at("02:20", 3))
        assert point.remote_stops == []
        await running.clock(at("02:21", 3))

        # Off-peak  10 kWh x 0.25                                  =  2.50
        # Peak      10 kWh x 0.40                                  =  4.00
        # Idle      80 min less 10 = 70 x 0.20 = 14.00, capped at  = 12.00
        # Tax       10.25 % of 18.50 = 1.89625; 20.39625 is 20.40  =  1.90
        [session] = (await running.get("/v1/sessions"))["items"]
        assert session["state"] == "billed"
        assert session["energy_wh"] == 20_000
        assert (session["net_minor"], session["tax_minor"], session["total_minor"]) == (
            1850, 190, 2040,
        )  # fmt: skip
        paid = await running.rows("SELECT state, captured_minor FROM payment")
        assert paid == [{"state": "captured", "captured_minor": 2040}]
        assert await _postings(running) == [
            ("charge", "receivable.driver", "revenue.energy", 650),
            ("charge", "receivable.driver", "revenue.idle", 1200),
            ("charge", "receivable.driver", "tax.sales", 190),
        ]
        [warning, message] = await running.sandbox.messages()
        assert warning["type"] == "session.charging_ended"
        # Idle since 01:00, free until 01:10; 0.20 a minute with 10.25 % of tax.
        assert warning["data"]["grace_ends_at"] == "2026-11-03T01:10:00Z"
        assert warning["data"]["rate"]["with_tax"] == "0.2205"
        assert message["type"] == "session.billed"
        told = message["data"]
        assert told["session_id"] == session["id"]
        assert told["entity_date"] == "2026-11-02", "in California it is still Monday"
        assert told["total_minor"] == 2040
        assert told["taxes"] == [
            {"name": "Sales tax", "percent": "10.25", "tax_minor": 190, "exempt": None}
        ]
        assert sum(line["net_minor"] for line in told["lines"]) == 1850
        assert told["journal"] == [
            {"debit": "receivable.driver", "credit": "revenue.energy", "amount_minor": 650},
            {"debit": "receivable.driver", "credit": "revenue.idle", "amount_minor": 1200},
            {"debit": "receivable.driver", "credit": "tax.sales", "amount_minor": 190},
        ]

        # Captured on Tuesday (UTC), available on Thursday, at the bank on Friday.
        for day in (4, 5, 6, 7):
            await running.clock(at("12:00", day))
        # Stripe books the whole hold with its fee (2.9 % of 25.00 = 0.73, and 0.30), and the
        # release of the rest with the difference to the fee of 20.40 (0.59 and 0.30).
        settled = await _postings(running)
        assert settled[3:] == [
            ("processor_item", "clearing.stripe", "receivable.driver", 2500),
            ("processor_item", "expense.processing", "clearing.stripe", 103),
            ("processor_item", "receivable.driver", "clearing.stripe", 460),
            ("processor_item", "clearing.stripe", "expense.processing", 14),
            ("processor_item", "payouts.in_transit", "clearing.stripe", 1951),
            ("payout", "bank", "payouts.in_transit", 1951),
        ]
        assert _balances(settled) == {
            "bank": 1951,
            "expense.processing": 89,
            "revenue.energy": -650,
            "revenue.idle": -1200,
            "tax.sales": -190,
        }
        found = await running.report()
        assert_identities(found)
        assert found["money"]["paid_out"] == 1951
        assert found["money"]["in_transit"] == found["money"]["pending"] == 0
        assert found["ledger"] == {"entries": 5, "postings": 9, "proved": True}
        assert found["breaks"] == []
        [last] = await running.rows(
            "SELECT legs, breaks FROM reconciliation ORDER BY cutoff_at DESC LIMIT 1"
        )
        assert last["breaks"] == 0
        assert all(leg["tied"] for leg in last["legs"])
        matched = {leg["leg"]: leg["matched"] for leg in last["legs"]}
        assert matched == {
            "meter": 1,
            "session": 1,
            "processor": 1,
            "payout": 1,
            "external": 0,
            "refunds": 0,
            "disputes": 0,
            "holds": 0,
            "books": 1,
        }
        types = [m["type"] for m in await running.sandbox.messages()]
        assert types == ["session.charging_ended", "session.billed", "payout.paid"]


async def test_a_member_pays_less(dsn: str) -> None:
    async with system(dsn, change=time_of_day) as running:
        await _charge(running, "CP-1", MEMBER, at("18:00"), 10_000)
        # 10:00 in California: 10 kWh x 0.25 = 2.50, less 15 % = 2.125; with 10.25 % tax 2.3428.
        found = await running.report()
        assert found["money"]["charged"] == found["money"]["captured"] == 234


async def test_the_ceiling_stops_a_session(dsn: str) -> None:
    """What a stop can't stop has to fit under the hold of 25.00: 11 kWh in half an hour until
    the next reading (3.30) and the idle cap (12.00). With 10 % tax 7.42 are left: 24.75 kWh."""
    async with system(dsn) as running:
        point = running.point("CP-1")
        transaction = await point.start(CARD, STARTS_AT, 0)
        await running.clock(at("09:00"))
        await point.meter(transaction, at("09:00"), 24_700)
        await running.clock(at("09:01"))
        assert point.remote_stops == []
        await point.meter(transaction, at("09:01"), 24_800)
        await point.meter(transaction, at("09:02"), 24_900)
        await running.clock(at("09:03"))
        assert point.remote_stops == [transaction], "once, however many readings are above"
        await point.stop(transaction, at("09:03"), 25_000, "Remote")
        await point.status("Available", at("09:03"))
        await running.clock(at("09:05"))
        # 25 kWh x 0.30 = 7.50 and tax 0.75
        money = (await running.report())["money"]
        assert money["charged"] == money["captured"] == 825


async def test_what_is_said_again_changes_nothing(dsn: str) -> None:
    async with system(dsn) as running:
        point = running.point("CP-1")
        start = start_of(FLEET, STARTS_AT, 1_000)
        first = await point.once(start)
        again = await point.once(start)
        assert first.transaction_id == again.transaction_id
        assert first.id_tag_info == again.id_tag_info
        await running.clock(at("08:30"))
        stop = stop_of(first.transaction_id, at("08:30"), 11_000)
        await point.once(stop)
        await point.once(stop)
        await point.status("Available", at("08:30"))
        await running.clock(at("08:32"))
        before = await running.report()
        await point.once(stop)
        await point.once(start)
        await running.clock(at("09:00"))
        assert await running.report() == before
        assert before["money"]["charged"] == 330
        assert before["anomalies"] == {}
        assert len(await running.rows("SELECT FROM session")) == 1


async def test_a_price_that_changes_meanwhile(dsn: str, tmp_path: Path) -> None:
    """A session is billed by what was in force when it began, also when that is told late."""
    async with system(dsn) as running:
        one, two = running.point("CP-1"), running.point("CP-2")
        await running.clock(at("09:00"))
        began = await one.start(FLEET, at("09:00"), 0)
        await running.clock(at("09:30"))
        await _price(running, tmp_path, "0.60", at("09:30"))
        await running.clock(at("10:00"))
        await one.stop(began, at("10:00"), 10_000)
        await one.status("Available", at("10:00"))
        await running.clock(at("10:02"))
        assert await _totals(running) == [330], "10 kWh at 0.30 and 10 % tax"

        after = await one.start(FLEET, at("10:02"), 10_000)
        # CP-2 was offline since 09:10 and tells it now.
        offline = await two.start(FLEET, at("09:10"), 0)
        await running.clock(at("11:00"))
        await one.stop(after, at("11:00"), 20_000)
        await one.status("Available", at("11:00"))
        await two.stop(offline, at("09:50"), 10_000)
        await two.status("Available", at("09:50"))
        await running.clock(at("11:02"))
        assert sorted(await _totals(running)) == [330, 330, 660]
        contracts = await running.rows(
            "SELECT contract FROM session WHERE transaction_id = %s", offline
        )
        [contract] = [row["contract"] for row in contracts]
        assert contract["offline"] is True
        assert contract["as_of"].startswith("2026-11-02T09:10:00")
        assert contract["known_at"].startswith("2026-11-02T10:02:00")
        online = await running.rows("SELECT contract FROM session WHERE transaction_id = %s", after)
        assert online[0]["contract"].get("offline", False) is False


async def test_two_legal_entities_share_nothing(dsn: str) -> None:
    async with sandbox(STARTS_AT, account="two") as other:

        def second_entity(body: Body) -> None:
            body["server"]["clock_followers"].append(f"{other.url}/_sim/clock")
            body["entity"].append(body["entity"][0] | {"id": "bolt", "name": "Bolt"})
            body["processor"].append(
                body["processor"][0] | {"id": "stripe-2", "entity": "bolt", "base_url": other.url}
            )
            body["target"].append(
                body["target"][0]
                | {"id": "books-2", "entity": "bolt", "url": f"{other.url}/receiver/books-2"}
            )
            site = body["site"][0]
            points = site["charge_points"]
            body["site"].append(
                site
                | {"id": "dock", "entity": "bolt", "processor": "stripe-2",
                   "charge_points": points[1:2]}
            )  # fmt: skip
            body["site"][0] = site | {"charge_points": points[:1]}

        async with system(dsn, change=second_entity) as running:
            # The same driver, the same card, at both.
            await _charge(running, "CP-1", CARD, at("09:00"), 10_000)
            await _charge(running, "CP-2", CARD, at("10:00"), 20_000)
            for day in (3, 4, 5, 6):
                await running.clock(at("12:00", day))
            found = await running.report()
            assert_identities(found)
            assert found["money"]["charged"] == 330 + 660
            assert found["ledger"]["proved"] is True
            assert found["breaks"] == []

            payments = await running.rows(
                "SELECT p.entity_id, p.processor_id, p.captured_minor, s.site_id"
                " FROM payment p JOIN session s ON s.id = p.session_id ORDER BY 1"
            )
            assert [tuple(p.values()) for p in payments] == [
                (ENTITY, "stripe", 330, SITE),
                ("bolt", "stripe-2", 660, "dock"),
            ]
            bank = await running.rows(
                "SELECT entity_id, sum(debit_minor - credit_minor)::bigint AS minor"
                " FROM journal_line WHERE account = 'bank' GROUP BY 1 ORDER BY 1"
            )
            # 3.30 less 0.10 and 0.30; 6.60 less 0.19 and 0.30
            assert [tuple(b.values()) for b in bank] == [(ENTITY, 290), ("bolt", 611)]
            mixed = await running.rows(
                "SELECT FROM entry e JOIN posting p ON p.entry_id = e.id"
                " WHERE p.entity_id <> e.entity_id"
            )
            assert mixed == []
            for place, name, entity in (
                (running.sandbox, "books", ENTITY),
                (other, "books-2", "bolt"),
            ):
                told = await place.messages(name)
                billed = [m["data"] for m in told if m["type"] == "session.billed"]
                assert [data["entity_id"] for data in billed] == [entity]
                assert (await place.books(name))["by_type"] == {
                    "session.charging_ended": 1,
                    "session.billed": 1,
                    "payout.paid": 1,
                }


async def _charge(
    running: System, point_id: str, token: str, began: datetime, energy_wh: int
) -> None:
    """An hour at the charge point, billed and collected."""
    point = running.point(point_id)
    await running.clock(began)
    transaction = await point.start(token, began, 0)
    ended = began.replace(minute=50)
    await running.clock(ended)
    await point.stop(transaction, ended, energy_wh)
    await point.status("Available", ended)
    await running.clock(ended.replace(minute=52))


async def _postings(running: System) -> list[tuple[Any, ...]]:
    """Cause, debit, credit, amount: in the order in which they were booked."""
    rows = await running.rows(
        "SELECT e.cause, p.debit, p.credit, p.amount_minor FROM entry e"
        " JOIN posting p ON p.entry_id = e.id ORDER BY e.id, p.posting_no"
    )
    return [tuple(row.values()) for row in rows]


def _balances(postings: list[tuple[Any, ...]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, debit, credit, amount in postings:
        found[debit] = found.get(debit, 0) + amount
        found[credit] = found.get(credit, 0) - amount
    return {account_code: minor for account_code, minor in sorted(found.items()) if minor}


async def _totals(running: System) -> list[int]:
    rows = await running.rows("SELECT total_minor FROM charge ORDER BY issued_at, id")
    return [row["total_minor"] for row in rows]


async def _price(running: System, folder: Path, price: str, valid_from: datetime) -> None:
    """The operator changes the price of energy, and it is known everywhere."""
    body = network(running.sandbox.url, {"dsn_env": "RIG_DSN"})
    body["tariff"][0]["elements"][0]["components"][0]["price"] = price
    path = write(folder / "changed.toml", body)
    arguments = ["apply", "--config", str(path), "--valid-from", utc_text(valid_from), "--json"]
    assert await asyncio.to_thread(main, arguments) == 0
    [latest] = await running.rows("SELECT max(seq) AS seq FROM config_activation")
    known = 0
    while known < latest["seq"]:
        await running.point("CP-1").authorize(FLEET)
        [decision] = await running.rows(
            "SELECT (inputs->>'known_seq')::bigint AS seq FROM decision ORDER BY id DESC LIMIT 1"
        )
        known = decision["seq"]

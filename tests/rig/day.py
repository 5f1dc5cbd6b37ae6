"""A day on the network, in which every step of the pipeline is taken, and its figures."""

from __future__ import annotations

from functools import partial
from typing import Any

from rig.network import BLOCKED, CARD, DECLINED, FLEET, STARTS_AT, Body, at
from rig.system import System

EXTERNAL: Body = {
    "session_id": "cpms-1",
    "charge_point_id": "CP-API",
    "connector_id": 1,
    "token": "SOMEBODY",
    "started_at": "2026-11-02T12:00:00Z",
    "ended_at": "2026-11-02T13:00:00Z",
    "readings": [
        {"at": "2026-11-02T12:00:00Z", "energy_wh": 70_000},
        {"at": "2026-11-02T13:00:00Z", "energy_wh": 75_000},
    ],
    "external": {"reference": "their-1", "amount_minor": 165, "currency": "USD"},
}

# card      10 kWh at 0.30 = 3.00; idle 10:00 to 10:26 less ten minutes = 16 at 0.20 = 3.20;
#           with 10 % tax 6.82 of a hold of 25.00, of which Stripe keeps 0.20 + 0.30
# declined  1 kWh = 0.30 and tax 0.03, a debt
# fleet     10 kWh = 3.00 and tax 0.30, invoiced; the reading of its end comes late, and is 0.1 kWh
#           more than the stop said: 10.1 kWh = 3.03 and tax 0.30, after a credit of the first
# empty     nothing, and the hold is given back
# external  5 kWh = 1.50 and tax 0.15, taken elsewhere
SESSIONS = {
    "refused": 1, "held": 0, "final": 5, "billed": 4, "free": 1, "adjusted": 1, "running": 0,
}  # fmt: skip
ENERGY_WH = {"delivered": 26_000, "billed": 26_100, "free": 0, "held": 0, "explained": -100}
MONEY = {
    "currency": "USD",
    "charged": 682 + 33 + 333 + 165,
    "captured": 682,
    "invoiced": 333,
    "external": 165,
    "wallet": 0,
    "roaming": 0,
    "waived": 0,
    "debt": 33,
    "pending": 0,
    "refund_due": 0,
    "topups": 0,
    "fees": 50,
    "refunds": 0,
    "disputes_net": 0,
    "paid_out": 632,
    "in_transit": 0,
}
# 4 charges, a credit and a new charge, the debt, the processor's charge, its reversal of the rest
# and its payout, the payout
ENTRIES = 11
MESSAGES = {
    "session.billed": 4,
    "session.adjusted": 1,
    "session.free": 1,
    "payout.paid": 1,
    # The card's, the declined one and the fleet's; the empty one costs nothing.
    "session.charging_ended": 3,
}


async def play(system: System) -> None:
    """From the morning of the 2nd to the payout, two business days later."""
    one, two = system.point("CP-1"), system.point("CP-2")
    await one.boot()
    await two.boot()
    await system.clock(at("09:00"))

    assert await one.authorize(CARD) == "Accepted"
    card = await one.start(CARD, at("09:00"), 100_000)
    assert await two.authorize(DECLINED) == "Accepted"
    declined = await two.start(DECLINED, at("09:00"), 0)
    await system.clock(at("09:01"))
    assert declined in two.remote_stops, "the card was declined: the charging is stopped"
    assert card not in one.remote_stops
    await two.stop(declined, at("09:02"), 1_000, "Remote")
    await two.status("Available", at("09:02"))

    assert await two.authorize(BLOCKED) == "Blocked"
    await system.clock(at("09:20"))
    assert await two.authorize(FLEET) == "Accepted"
    fleet = await two.start(FLEET, at("09:20"), 1_000)
    await system.clock(at("09:30"))
    await one.meter(card, at("09:30"), 105_000)
    await system.clock(at("10:00"))
    await one.status("SuspendedEV", at("10:00"))
    await system.clock(at("10:20"))
    await two.stop(fleet, at("10:20"), 11_000)
    await two.status("Available", at("10:20"))
    await system.clock(at("10:26"))
    await one.stop(card, at("10:26"), 110_000)
    await one.status("Available", at("10:26"))

    await system.clock(at("11:00"))
    empty = await two.start(CARD, at("11:00"), 11_000)
    await system.clock(at("11:02"))
    await two.stop(empty, at("11:02"), 11_000)
    await two.status("Available", at("11:02"))

    await system.clock(at("13:00"))
    assert (await system.session(EXTERNAL)).status_code in (200, 201)
    await two.meter(fleet, at("10:20"), 11_100, "Transaction.End")
    for day in (3, 4, 5, 6):
        await system.clock(at("12:00", day))
    await _seen(system)


async def _seen(system: System) -> None:
    """Somebody looks at what is open, and accepts it: once, however often it is said."""
    for anomaly in (await system.get("/v1/anomalies"))["items"]:
        path, act = f"/v1/anomalies/{anomaly['id']}/acts", {"act": "accept", "reason": "seen"}
        answer = await system.insist(partial(system.post, path, act))
        assert answer.status_code in (200, 201), answer.text
    assert (await system.get("/v1/anomalies"))["items"] == []


async def assert_adds_up(system: System, *, nights: bool = True) -> None:
    """Everything once: in our figures, at the processor, in the books."""
    found = await system.report()
    assert_identities(found)
    # The record of an Authorize is not waited for: a kill may take it with it.
    assert found["sessions"].pop("refused") <= SESSIONS["refused"]
    assert found["sessions"] == {name: n for name, n in SESSIONS.items() if name != "refused"}
    assert found["energy_wh"] == ENERGY_WH
    assert found["money"] == MONEY
    assert found["ledger"]["proved"] is True
    assert found["ledger"]["entries"] == ENTRIES
    assert found["breaks"] == []
    sent = sum(MESSAGES.values())
    assert found["webhooks"] == {"sent": sent, "acknowledged": sent}
    await assert_processor(system)
    await assert_books(system)


def assert_identities(found: dict[str, Any]) -> None:
    """As src/wattledger/api/report.py states them."""
    sessions, energy, money = found["sessions"], found["energy_wh"], found["money"]
    assert sessions["final"] == sessions["billed"] + sessions["free"]
    left = energy["free"] + energy["held"] + energy["explained"]
    assert energy["delivered"] == energy["billed"] + left
    ways = ("captured", "invoiced", "external", "wallet", "roaming", "waived", "debt", "pending")
    assert money["charged"] == sum(money[way] for way in ways) - money["refund_due"]
    taken = money["captured"] + money["topups"]
    kept = taken - money["refunds"] - money["disputes_net"] - money["fees"]
    assert kept == money["paid_out"] + money["in_transit"]


async def assert_processor(system: System) -> None:
    """What the processor says itself: three holds were asked for, one was captured."""
    state = await system.sandbox.state()
    assert state["totals"] == {
        "usd": {
            "captured_minor": MONEY["captured"],
            "refunded_minor": 0,
            "disputed_minor": 0,
            "fees_minor": MONEY["fees"],
            "paid_out_minor": MONEY["paid_out"],
        }
    }
    intents = await system.sandbox.intents()
    assert sorted(i["status"] for i in intents) == [
        "canceled",
        "requires_payment_method",
        "succeeded",
    ]
    sessions = [i["metadata"]["session_id"] for i in intents]
    assert len(set(sessions)) == len(sessions), "no session is held twice"


async def assert_books(system: System) -> None:
    """The receiver got each message once and no message in two versions."""
    books = await system.sandbox.books()
    assert books["by_type"] == MESSAGES
    assert books["total_minor"] == {"USD": MONEY["charged"]}
    assert books["conflicting"] == books["rejected"] == 0
    billed = [m["data"]["session_id"] for m in await system.sandbox.messages()
              if m["type"] == "session.billed"]  # fmt: skip
    assert len(set(billed)) == len(billed) == MESSAGES["session.billed"]


__all__ = ["EXTERNAL", "MONEY", "STARTS_AT", "assert_adds_up", "assert_identities", "play"]

"""What displays and drivers are told: the bill's own figures, each once, the newest of them.

The tariff: $1.00 once, $0.40/kWh, from 21:00 on $0.30, idle $0.20/min after ten minutes, $12.00 at
most; 10 % tax on all. T0 is 19:00 in New York.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import msgspec
import pytest
from test_end import MINUTE, T0, Yard

from sample_config import whole
from wattledger.clock import DrivenClock, utc_text
from wattledger.config import parse, versions
from wattledger.db import effects
from wattledger.db import versions as store
from wattledger.db.effects import Done
from wattledger.db.work import Work
from wattledger.gateway import words
from wattledger.pipeline import outcomes
from wattledger.pipeline.charging import events
from wattledger.pipeline.charging.departure import connector_unplugged
from wattledger.pipeline.charging.end import stop
from wattledger.pipeline.display import figures, notices, shown_16, station_tariffs
from wattledger.pipeline.world import World
from wattledger.wire.ocpp import costmsg, v2, v16
from wire import ocpp_schemas

NINE = T0 + timedelta(hours=2)
CAP = [{"dimension": "idle_time", "amount": "12.00"}]


def _energy(name: str, price: str, **restrictions: Any) -> dict[str, Any]:
    component = {"dimension": "energy", "price": price, "unit": "kWh"}
    return {"name": name, "components": [component], "restrictions": restrictions}


TARIFF = [
    _energy("night", "0.30", start_time="21:00", end_time="06:00"),
    _energy("day", "0.40"),
    {"name": "fee", "components": [{"dimension": "flat", "price": "1.00", "unit": "session"}]},
    {
        "name": "idle",
        "components": [{"dimension": "idle_time", "price": "0.20", "unit": "minute"}],
        "restrictions": {"min_idle_s": 600},
    },
]


async def _open(work: Work, clock: DrivenClock, *, caps: Any, california: bool) -> Yard:
    config = whole(
        tariff__0__elements=TARIFF, tariff__0__caps=caps, plan__1__discount_percent="0",
        site__1__tax_percent="10", site__1__california_pricing=california,
    )  # fmt: skip
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(config)), datetime(2026, 1, 1, tzinfo=UTC))
    return Yard(World(work), clock)


@pytest.fixture
async def old(work: Work, clock: DrivenClock) -> Yard:
    """1.6, with displays that understand the pricing messages."""
    return await _open(work, clock, caps=CAP, california=True)


@pytest.fixture
async def new(work: Work, clock: DrivenClock) -> Yard:
    """2.x, and a tariff that OCPP 2.1 has words for."""
    return await _open(work, clock, caps=[], california=False)


async def _messages(yard: Yard, name: str) -> list[tuple[str, Any]]:
    """The state and the data of every message; each is a legal DataTransfer."""
    found = []
    for row in await yard.rows(
        "SELECT state, request FROM effect WHERE kind = 'ocpp.data_transfer' ORDER BY id"
    ):
        said = words.say("ocpp1.6", "data_transfer", row["request"])
        ocpp_schemas.check("ocpp1.6", said.action, said.payload)
        if said.payload["messageId"] == name:
            data = json.loads(said.payload["data"], parse_float=Decimal)
            found.append((row["state"], data))
    return found


async def _told(yard: Yard) -> list[dict[str, Any]]:
    rows = await yard.rows(
        "SELECT request FROM effect WHERE kind = 'webhook.deliver'"
        " AND request->>'type' = 'session.charging_ended' ORDER BY id"
    )
    return [row["request"]["data"] for row in rows]


def _unplugged(number: int, at: datetime) -> costmsg.ConnectorUnplugged:
    return costmsg.unplugged(json.dumps({"transactionId": number, "timestamp": utc_text(at)}))


async def test_a_1_6_display_from_the_start_to_the_unplug(old: Yard) -> None:
    number = await old.start(T0)
    [(state, first)] = await _messages(old, "RunningCost")
    assert (state, first["cost"], first["state"]) == ("pending", 0, "Charging")

    old.clock.advance(T0 + 30 * MINUTE)
    for _ in range(2):
        await old.meter(number, T0 + 30 * MINUTE, 5_000)
    (was, _), (state, running) = await _messages(old, "RunningCost")
    assert (was, state) == ("rejected", "pending"), "the newest alone waits"
    # 5 kWh at 0.40, and the fee: 3.00, with a tenth of tax.
    assert running == {
        "transactionId": number,
        "timestamp": utc_text(T0 + 30 * MINUTE),
        "meterValue": 5_000,
        "cost": Decimal("3.30"),
        "state": "Charging",
        "chargingPrice": {"kWhPrice": Decimal("0.44"), "hourPrice": 0, "flatFee": Decimal("1.1")},
        "idlePrice": {"hourPrice": Decimal("13.2"), "graceMinutes": 10},
        "nextPeriod": {
            "atTime": utc_text(NINE),
            "chargingPrice": {
                "kWhPrice": Decimal("0.33"), "hourPrice": 0, "flatFee": Decimal("1.1"),
            },
            "idlePrice": {"hourPrice": Decimal("13.2")},
        },
        "triggerMeterValue": {
            "atTime": utc_text(NINE),
            "atCPStatus": ["SuspendedEV", "SuspendedEVSE", "Finishing"],
        },
    }  # fmt: skip

    old.clock.advance(T0 + 40 * MINUTE)
    await old.status("SuspendedEV", T0 + 40 * MINUTE)
    _, idle = (await _messages(old, "RunningCost"))[-1]
    assert (idle["state"], idle["cost"]) == ("Idle", Decimal("3.30"))
    assert idle["triggerMeterValue"]["atTime"] == utc_text(T0 + 50 * MINUTE), "the grace ends"
    [told] = await _told(old)
    kept = {name: told[name] for name in ("at", "grace_ends_at", "rate", "cap", "token")}
    assert kept == {
        "at": utc_text(T0 + 40 * MINUTE),
        "grace_ends_at": utc_text(T0 + 50 * MINUTE),
        "rate": {"unit": "minute", "before_tax": "0.2", "with_tax": "0.22", "text": "$0.22/min"},
        "cap": {"amount": "12.00", "text": "$12.00"},
        "token": "Acme-1",
    }

    old.clock.advance(T0 + 60 * MINUTE)
    await old.meter(number, T0 + 60 * MINUTE, 5_000)
    # Idle for 20 minutes, 10 of them free: 3.00 + 10 x 0.20 = 5.00, with tax 5.50.
    assert (await _messages(old, "RunningCost"))[-1][1]["cost"] == Decimal("5.50")
    await old.stop(number, T0 + 60 * MINUTE, 5_000)
    assert [state for state, _ in await _messages(old, "RunningCost")] == ["rejected"] * 4
    [(_, final)] = await _messages(old, "FinalCost")
    assert (final["transactionId"], final["cost"]) == (number, Decimal("5.50"))
    assert final["priceText"].startswith("$5.50: ")
    assert final["priceText"].endswith("idle fee from 19:50 until unplugged")
    assert len(await _told(old)) == 1, "the same idle time is told of once"

    # Queued while it was offline, and told half an hour late: it is proof all the same.
    old.clock.advance(T0 + 105 * MINUTE)
    for _ in range(2):
        await connector_unplugged(old.world, "Y-1", _unplugged(number, T0 + 75 * MINUTE))
    # Idle for 35 minutes: 3.00 + 25 x 0.20 = 8.00.
    assert await old.billed() == ("billed", 800)
    assert (await _messages(old, "FinalCost"))[-1][1]["cost"] == Decimal("8.80")
    assert await old.rows("SELECT FROM session_fact WHERE kind = 'unplug'") == [{}]
    assert await old.codes() == []


async def test_an_unplug_that_says_nothing_of_idle_time(old: Yard) -> None:
    """Of an unknown transaction, of one that runs, after a stop that came late."""
    await connector_unplugged(old.world, "Y-1", _unplugged(4711, T0))
    assert await old.codes() == ["transaction.unknown"]
    number = await old.start(T0)
    await connector_unplugged(old.world, "Y-1", _unplugged(number, T0 + MINUTE))
    assert await old.rows("SELECT FROM session_fact WHERE kind = 'unplug'") == []
    old.clock.advance(T0 + 600 * MINUTE)
    await old.stop(number, T0 + 60 * MINUTE, 5_000)
    await connector_unplugged(old.world, "Y-1", _unplugged(number, T0 + 120 * MINUTE))
    assert await old.billed() == ("billed", 300)
    assert await _messages(old, "FinalCost") == [], "nobody stands there any more"
    assert await _told(old) == []


async def test_a_1_6_display_is_told_prices_before_a_session(old: Yard) -> None:
    for _ in range(2):
        await shown_16.booted(old.world, "Y-1")
    [row] = await old.rows("SELECT request FROM effect WHERE kind = 'ocpp.default_price'")
    said = words.say("ocpp1.6", "default_price", row["request"])
    ocpp_schemas.check("ocpp1.6", said.action, said.payload)
    value = json.loads(said.payload["value"], parse_float=Decimal)
    assert value["chargingPrice"] == {
        "kWhPrice": Decimal("0.44"), "hourPrice": 0, "flatFee": Decimal("1.1"),
    }  # fmt: skip
    assert "$0.40/kWh" in value["priceText"]
    await shown_16.user_price(old.world, "Y-1", "Acme-1")
    await shown_16.user_price(old.world, "Y-1", "LOST")  # blocked
    [(_, price)] = await _messages(old, "SetUserPrice")
    assert (price["idToken"], price["priceText"]) == ("Acme-1", value["priceText"])


class Station:
    """An OCPP 2.1 station that says its events, one after the other."""

    def __init__(self, yard: Yard) -> None:
        self.yard, self.seq = yard, 0

    async def say(
        self, kind: str, at: datetime, wh: int | None = None, state: str = "Charging",
        **more: Any,
    ) -> Decimal | None:  # fmt: skip
        self.yard.clock.advance(at)
        info = {"transactionId": "tx-1", "chargingState": state, **more.pop("info", {})}
        payload: dict[str, Any] = {
            "eventType": kind, "timestamp": utc_text(at), "triggerReason": "MeterValuePeriodic",
            "seqNo": self.seq, "transactionInfo": info, "evse": {"id": 1, "connectorId": 1}, **more,
        }  # fmt: skip
        if kind == "Started":
            payload["idToken"] = {"idToken": "Acme-1", "type": "ISO14443"}
        if wh is not None:
            payload["meterValue"] = [{"timestamp": utc_text(at), "sampledValue": [{"value": wh}]}]
        self.seq += 1
        message = v2.read(payload, v2.TransactionEvent)
        raw = msgspec.json.encode(payload)
        told = await events.take(self.yard.world, "Y-1", "ocpp2.1", message, raw)
        return told.total_cost


def _details(total: str, tariff_id: str, energy: str = "2.2") -> dict[str, Any]:
    return {
        "totalCost": {"currency": "USD", "typeOfCost": "NormalCost",
                      "energy": {"inclTax": energy}, "fixed": {"inclTax": 1.1},
                      "total": {"inclTax": total}},
        "totalUsage": {"energy": 5000, "chargingTime": 1800, "idleTime": 0},
        "chargingPeriods": [{"startPeriod": utc_text(T0), "tariffId": tariff_id}],
    }  # fmt: skip


async def test_a_2_1_display_from_the_start_to_the_end(new: Yard) -> None:
    station = Station(new)
    assert await station.say("Started", T0, 0) is None
    await station_tariffs.booted(new.world, "Y-1")
    [row] = await new.rows("SELECT request FROM effect WHERE kind = 'ocpp.set_tariff'")
    said = words.say("ocpp2.1", "set_tariff", row["request"])
    ocpp_schemas.check("ocpp2.1", said.action, said.payload)
    tariff_id = said.payload["tariff"]["tariffId"]
    assert said.payload["tariff"]["energy"]["taxRates"] == [{"type": "Sales tax", "tax": 10}]

    using = {"info": {"tariffId": tariff_id}}
    # As in 1.6: 5 kWh and the fee are 3.30.
    at = T0 + 30 * MINUTE
    agrees = _details("3.304", tariff_id)  # the station does not round
    assert await station.say("Updated", at, 5_000, costDetails=agrees, **using) == Decimal("3.30")
    assert await new.codes() == []
    assert await station.say("Updated", at + 10 * MINUTE, None, "SuspendedEV") == Decimal("3.30")
    assert len(await _told(new)) == 1
    due = "SELECT due_at, state FROM effect WHERE kind = 'cost.due' ORDER BY id"
    assert [row["due_at"] for row in await new.rows(due)] == [at + 20 * MINUTE], "the grace ends"

    # The clock reaches it: the display is told, once, and waits for nothing more.
    new.clock.advance(at + 20 * MINUTE)
    async with new.world.work.transaction("claim") as tx:
        [effect] = await effects.claim(
            tx.conn, worker=1, now=tx.now, kinds=["cost.due"], lanes=[], limit=5, lease_s=60
        )
    await outcomes.take(new.world, effect, Done({}))
    [row] = await new.rows("SELECT request FROM effect WHERE kind = 'ocpp.cost_updated'")
    said = words.say("ocpp2.1", "cost_updated", row["request"])
    ocpp_schemas.check("ocpp2.1", said.action, said.payload)
    assert said.payload == {"totalCost": Decimal("3.30"), "transactionId": "tx-1"}

    # 20 minutes idle, ten of them free: 5.50. The station has forgotten the idle time.
    differs = _details("3.30", "another")
    ended = at + 30 * MINUTE
    assert await station.say(
        "Ended", ended, 5_000, "SuspendedEV", costDetails=differs, **using
    ) == Decimal("5.50")
    [found] = await new.rows("SELECT detail FROM anomaly WHERE code = 'cost.differs'")
    assert found["detail"]["why"] == ["another total", "by another tariff"]
    assert found["detail"]["ours"] == {
        "total": "5.50", "energy": "2.20", "idle_time": "2.20", "flat": "1.10",
    }  # fmt: skip
    assert found["detail"]["theirs"]["energy"] == {"with_tax": "2.2"}


async def test_a_station_with_another_tariff_is_given_the_contracts(new: Yard) -> None:
    station = Station(new)
    await station.say("Started", T0, 0, info={"tariffId": "its-own"})
    await station.say("Updated", T0 + MINUTE, 100, info={"tariffId": "its-own"})
    [row] = await new.rows("SELECT request FROM effect WHERE kind = 'ocpp.set_tariff'")
    said = words.say("ocpp2.1", "set_tariff", row["request"])
    assert (said.action, said.payload["transactionId"]) == ("ChangeTransactionTariff", "tx-1")
    ocpp_schemas.check("ocpp2.1", said.action, said.payload)


async def test_what_2_1_can_not_say_is_not_told(old: Yard) -> None:
    """A cap on idle time. The cost that we calculate is shown all the same, and by California's
    words with the prices it comes from."""
    for _ in range(2):
        await station_tariffs.booted(old.world, "Y-1")
    assert await old.rows("SELECT FROM effect WHERE kind = 'ocpp.set_tariff'") == []
    [found] = await old.rows("SELECT detail FROM anomaly WHERE code = 'tariff.not_sayable'")
    assert found["detail"]["losses"] == ["$.caps[0]: a cap on idle_time"]
    station = Station(old)
    await station.say("Started", T0, 0)
    assert await station.say("Updated", T0 + 30 * MINUTE, 5_000) == Decimal("3.30")
    row = (await old.rows("SELECT request FROM effect WHERE kind = 'ocpp.cost_updated'"))[-1]
    said = words.say("ocpp2.0.1", "cost_updated", row["request"])
    ocpp_schemas.check("ocpp2.0.1", said.action, said.payload)
    more = said.payload["customData"]
    assert more["vendorId"] == "org.openchargealliance.costmsg"
    assert more["chargingPrice"]["kWhPrice"] == Decimal("0.440")
    assert "cost" not in more


async def test_a_fault_in_what_is_shown_loses_no_event(
    new: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = Station(new)
    assert await station.say("Started", T0) is None
    assert await station.say("Updated", T0 + MINUTE) is None, "no register yet"
    assert await station.say("Updated", T0 + 2 * MINUTE, 100) is not None
    with monkeypatch.context() as patch:
        patch.setattr(figures, "price", mock.Mock(side_effect=ZeroDivisionError))
        assert await station.say("Updated", T0 + 3 * MINUTE, 200) is None
    with monkeypatch.context() as patch:
        patch.setattr(notices, "charging_ended", mock.Mock(side_effect=ZeroDivisionError))
        await station.say("Updated", T0 + 4 * MINUTE, 200, "SuspendedEV")
    assert len(await new.rows("SELECT FROM transaction_event")) == 5
    assert len(await new.rows("SELECT FROM session_fact WHERE kind = 'meter'")) == 3


async def test_the_proof_that_a_driver_was_told(old: Yard) -> None:
    number = await old.start(T0)
    old.clock.advance(T0 + MINUTE)
    await old.meter(number, T0 + MINUTE, 100)
    await old.status("SuspendedEV", T0 + MINUTE)
    snapshot = await old.world.snapshot(T0)
    [session] = await old.rows("SELECT id FROM session")
    async with old.world.work.transaction("look") as tx:
        [notice] = await notices.of_session(tx.conn, snapshot, session["id"])
    assert (notice.target, notice.told_at, notice.state) == ("books", None, "pending")
    old.clock.advance(T0 + 3 * MINUTE)
    async with old.world.work.transaction("claim") as tx:
        [effect] = await effects.claim(
            tx.conn, worker=1, now=tx.now, kinds=["webhook.deliver"], lanes=[], limit=5, lease_s=60
        )
    await outcomes.take(old.world, effect, Done({"status": 200}))
    async with old.world.work.transaction("look") as tx:
        [notice] = await notices.of_session(tx.conn, snapshot, session["id"])
    assert notice.told_at == T0 + 3 * MINUTE


async def test_a_car_that_stays_after_the_stop_is_told_of(old: Yard) -> None:
    """It charged until the stop: idle from there on, and free for ten minutes."""
    number = await old.start(T0)
    old.clock.advance(T0 + 60 * MINUTE)
    await old.stop(number, T0 + 60 * MINUTE, 5_000)
    await old.status("Finishing", T0 + 60 * MINUTE)
    [told] = await _told(old)
    assert told["at"] == utc_text(T0 + 60 * MINUTE)
    assert told["grace_ends_at"] == utc_text(T0 + 70 * MINUTE)


async def test_where_idle_time_is_free_or_nothing_is_to_be_shown(
    work: Work, clock: DrivenClock
) -> None:
    config = whole(site__1__show_cost=False)
    async with work.transaction("apply") as tx:
        await store.apply(tx.conn, versions(parse(config)), datetime(2026, 1, 1, tzinfo=UTC))
    yard = Yard(World(work), clock)
    station = Station(yard)
    await station.say("Started", T0, 0)
    assert await station.say("Updated", T0 + MINUTE, 1_000, "SuspendedEV") is None
    assert await station.say("Ended", T0 + 2 * MINUTE, 1_000, "SuspendedEV") is None
    assert await yard.rows("SELECT FROM effect") == []


@pytest.mark.parametrize(("energy_wh", "reason"), [(5_000, "EVDisconnected"), (0, "Local")])
async def test_a_car_that_left_or_took_nothing_is_not_told_of(
    old: Yard, energy_wh: int, reason: str
) -> None:
    number = await old.start(T0)
    old.clock.advance(T0 + 60 * MINUTE)
    message = v16.StopTransaction(energy_wh, utc_text(T0 + 60 * MINUTE), number, reason=reason)
    await stop(old.world, "Y-1", message)
    assert await _told(old) == []

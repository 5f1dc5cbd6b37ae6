"""What a person decides: with the money, once, and never what can't be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wattledger.api.report import report
from wattledger.clock import DrivenClock, utc_text
from wattledger.db import effects
from wattledger.db.effects import Done
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.ingest import anomalies
from wattledger.pipeline import outcomes
from wattledger.pipeline.billing.bill import bill, hold_failed
from wattledger.pipeline.billing.decisions import offers
from wattledger.pipeline.billing.resolve import Act, Edge, Resolved, resolve
from wattledger.pipeline.charging.end import stop
from wattledger.pipeline.charging.running import meter
from wattledger.pipeline.charging.start import start
from wattledger.pipeline.importing.imports import ReadingIn, SessionIn, take
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.wire.ocpp import v16

T0 = datetime(2026, 11, 2, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ANN = "page:Ann"
HOLD = {"intent_id": "pi_1", "charge_id": "ch_1", "held_minor": 2_500}


class Desk:
    """Charge point D-1, 22 kW, 0.40 a kWh and 8.875 % tax; ANN pays by card, Acme-1 by invoice."""

    def __init__(self, world: World, clock: DrivenClock) -> None:
        self.world, self.clock = world, clock

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.world.work.pool.connection() as conn:
            return [
                tuple(r.values()) for r in await (await conn.execute(query.encode())).fetchall()
            ]

    async def fell(self, token: str = "ANN", *, answered: bool = True) -> str:
        """An hour from 1 kWh: 9 kWh are read after half of it, 8 kWh at the stop. Held."""
        begin = v16.StartTransaction(1, token, 1_000, utc_text(T0))
        number = (await start(self.world, "D-1", begin)).transaction_id
        if token == "ANN" and answered:
            await self.answered("stripe.hold", HOLD)
        self.clock.advance(T0 + HOUR)
        value = v16.MeterValue(utc_text(T0 + 30 * MINUTE), [v16.SampledValue("9000")])
        await meter(self.world, "D-1", v16.MeterValues(1, [value], number))
        await stop(self.world, "D-1", v16.StopTransaction(8_000, utc_text(T0 + HOUR), number))
        [(session_id,)] = await self.rows("SELECT id FROM session")
        assert await self.billed(session_id) == "held"
        return str(session_id)

    async def billed(self, session_id: str) -> str:
        [(due,)] = await self.rows(f"SELECT bill_due_at FROM session WHERE id = '{session_id}'")
        self.clock.advance(max(self.world.now, due))
        return await bill(self.world, session_id)

    async def answered(self, kind: str, response: dict[str, Any]) -> dict[str, Any]:
        """The processor does what it was asked for; what that was."""
        async with self.world.work.transaction("x") as tx:
            (claimed,) = await effects.claim(
                tx.conn, worker=1, now=self.world.now, kinds=[kind], lanes=[], limit=1, lease_s=60
            )
        await outcomes.take(self.world, claimed, Done(response))
        return claimed.request

    async def the(self, code: str) -> int:
        [(number,)] = await self.rows(
            f"SELECT id FROM anomaly WHERE code = '{code}' AND resolved_at IS NULL"
        )
        return int(number)

    async def act(self, number: int, act: str, reason: str = "seen", **more: Any) -> Resolved:
        return await resolve(self.world, number, Act(act, reason, **more), ANN)  # type: ignore[arg-type]

    async def offered(self, number: int) -> Any:
        async with self.world.work.pool.connection() as conn:
            found = await anomalies.get(conn, number)
            assert found is not None
            return await offers(self.world, conn, found)

    async def energy(self) -> dict[str, int]:
        async with self.world.work.pool.connection() as conn, conn.transaction():
            found = (await report(conn))["energy_wh"]
        assert found["delivered"] == (
            found["billed"] + found["free"] + found["held"] + found["explained"]
        )
        return dict(found)


@pytest.fixture
def desk(world: World, clock: DrivenClock) -> Desk:
    return Desk(world, clock)


async def test_a_corrected_card_session_is_billed_and_captured(desk: Desk) -> None:
    """From 1.0 to 9.5 kWh: 8.5 at 0.40 are 3.40, with 8.875 % tax 0.30 (0.30175): 3.70."""
    session_id = await desk.fell()
    number = await desk.the("register.fell")
    offered = await desk.offered(number)
    assert (offered.acts, offered.holding) == (("correct", "discard"), True)
    assert "9000 Wh" in offered.why
    assert (offered.known.start_wh, offered.known.stop_wh) == (1_000, 8_000)

    done = await desk.act(number, "correct", "read off the display", stop=Edge(register_wh=9_500))
    assert (done.new, done.session_state, done.actor) == (True, "ended", ANN)
    assert await desk.billed(session_id) == "billed"
    assert await desk.rows("SELECT energy_wh, net_minor, total_minor FROM charge") == [
        (8_500, 340, 370)
    ]
    asked = await desk.answered("stripe.capture", {"captured_minor": 370})
    assert asked["amount_minor"] == 370
    assert await desk.rows("SELECT state, captured_minor FROM payment") == [("captured", 370)]
    assert await desk.rows("SELECT state, amount_minor FROM collection") == [("captured", 370)]
    # The registers told 7 kWh; the person says 8.5.
    assert await desk.energy() == {
        "delivered": 7_000, "billed": 8_500, "free": 0, "held": 0, "explained": -1_500,
    }  # fmt: skip
    told = await desk.rows(
        "SELECT kind, at, register_wh, detail->>'reason' FROM session_fact"
        " WHERE kind LIKE 'correct%' ORDER BY id"
    )
    assert told == [
        ("correct_start", T0, 1_000, "read off the display"),
        ("correct_stop", T0 + HOUR, 9_500, "read off the display"),
    ]


async def test_the_same_act_counts_once_and_another_is_refused(desk: Desk) -> None:
    await desk.fell()
    number = await desk.the("register.fell")
    edge = Edge(register_wh=9_500)
    both = await asyncio.gather(
        desk.act(number, "correct", stop=edge), desk.act(number, "correct", stop=edge)
    )
    assert sorted(done.new for done in both) == [False, True]
    again = await desk.act(number, "correct", " seen ", stop=edge)
    assert not again.new
    for other in (
        desk.act(number, "correct", "another reason", stop=edge),
        desk.act(number, "correct", stop=Edge(register_wh=9_600)),
        desk.act(number, "accept"),
        desk.act(number, "discard", kind="given_away"),
    ):
        with pytest.raises(Conflict, match=r"was resolved at .* by page:Ann"):
            await other
    assert await desk.rows("SELECT act, actor FROM anomaly_act") == [("correct", ANN)]
    count = await desk.rows("SELECT count(*) FROM session_fact WHERE kind LIKE 'correct%'")
    assert count == [(2,)]
    [(resolved_at, resolution)] = await desk.rows("SELECT resolved_at, resolution FROM anomaly")
    assert (resolved_at, resolution) == (desk.world.now, "correct: seen")


@pytest.mark.parametrize(
    ("kind", "counted"), [("never_delivered", "explained"), ("given_away", "free")]
)
async def test_a_discarded_session_releases_its_hold_and_its_energy_is_accounted_for(
    desk: Desk, kind: str, counted: str
) -> None:
    session_id = await desk.fell()
    done = await desk.act(await desk.the("register.fell"), "discard", "a test", kind=kind)
    assert done.session_state == "free"
    assert await desk.rows("SELECT state, discarded, held_reason FROM session") == [
        ("free", kind, None)
    ]
    assert await desk.rows("SELECT state FROM payment") == [("releasing",)]
    sent = await desk.rows(
        "SELECT kind, request->'data'->>'reason' FROM effect WHERE state = 'pending'"
        " AND kind IN ('stripe.release', 'webhook.deliver') ORDER BY kind"
    )
    said = f"discarded: {kind.replace('_', ' ')}"
    assert sent == [("stripe.release", None), ("webhook.deliver", said)]
    none = dict.fromkeys(("billed", "free", "held", "explained"), 0)
    assert await desk.energy() == {"delivered": 7_000, **none, counted: 7_000}
    # Whatever comes later: it is not taken up again, by late data or by another act.
    async with desk.world.work.transaction("x") as tx:
        assert not await sessions.adjust_at(tx.conn, session_id, desk.world.now)
        await anomalies.record(
            tx.conn, at=tx.now, code="stop.differs", subject=session_id, detail={}, cause="x"
        )
    number = await desk.the("stop.differs")
    assert (await desk.offered(number)).acts == ("accept",)
    for refused in (
        desk.act(number, "correct", stop=Edge(register_wh=9_500)),
        desk.act(number, "discard", kind=kind),
    ):
        with pytest.raises(Conflict, match="is free"):
            await refused


async def test_what_no_card_was_held_for_is_owed_once_it_is_accepted(desk: Desk) -> None:
    """10 kWh at 0.40 are 4.00, with 8.875 % tax 4.36 (0.355); Ann's plan makes it a debt."""
    start_at, end = T0 - 2 * HOUR, T0 - HOUR
    readings = (ReadingIn(start_at, 0), ReadingIn(end, 10_000))
    taken = await take(
        desk.world, "api", SessionIn("S-1", "D-1", 1, "ANN", start_at, end, readings)
    )
    number = await desk.the("payment.missing")
    assert (await desk.offered(number)).bills.total_minor == 436
    await desk.act(number, "accept", "she pays in cash")
    assert await desk.billed(taken["session_id"]) == "billed"
    assert await desk.rows("SELECT state, amount_minor FROM collection") == [("debt", 436)]


async def test_a_hold_that_is_answered_after_the_discard_is_released(desk: Desk) -> None:
    await desk.fell(answered=False)
    await desk.act(await desk.the("register.fell"), "discard", kind="never_delivered")
    assert await desk.rows("SELECT state FROM payment") == [("holding",)]
    await desk.answered("stripe.hold", HOLD)
    assert await desk.rows("SELECT state FROM payment") == [("releasing",)]


async def test_a_session_that_nobody_stopped_is_billed_to_its_last_reading(desk: Desk) -> None:
    """From 1.0 to 9.0 kWh: 8.0 at 0.40 less 10 % are 2.88 (Acme's tariff has the same price)."""
    begin = v16.StartTransaction(1, "Acme-1", 1_000, utc_text(T0))
    number = (await start(desk.world, "D-1", begin)).transaction_id
    desk.clock.advance(T0 + HOUR)
    value = v16.MeterValue(utc_text(T0 + 30 * MINUTE), [v16.SampledValue("9000")])
    await meter(desk.world, "D-1", v16.MeterValues(1, [value], number))
    [(session_id,)] = await desk.rows("SELECT id FROM session")
    async with desk.world.work.transaction("x") as tx:
        await sessions.move(tx.conn, session_id, "held", held_reason="stop.missing")
        for code in ("stop.missing", "clock.wrong"):
            await anomalies.record(
                tx.conn, at=tx.now, code=code, subject=session_id, detail={}, cause="x"
            )
    offered = await desk.offered(await desk.the("stop.missing"))
    assert offered.acts == ("accept", "correct", "discard")
    assert (offered.bills.energy_wh, offered.bills.net_minor) == (8_000, 288)
    # Information about a held session is seen, and decides nothing.
    assert (await desk.act(await desk.the("clock.wrong"), "accept")).session_state == "held"
    await desk.act(await desk.the("stop.missing"), "accept", "the car left at half past")
    assert await desk.billed(session_id) == "billed"
    assert await desk.rows("SELECT energy_wh, net_minor FROM charge") == [(8_000, 288)]
    assert (await desk.energy())["billed"] == 8_000


async def test_a_billed_session_is_adjusted_and_one_held_again_is_shown_again(desk: Desk) -> None:
    session_id = await desk.fell("Acme-1")
    await desk.act(await desk.the("register.fell"), "correct", stop=Edge(register_wh=9_500))
    for _ in range(2):
        # A fault of ours, twice: each is an anomaly of its own, and accepting tries again.
        await hold_failed(desk.world, session_id, "out of memory")
        done = await desk.act(await desk.the("bill.failed"), "accept", "there is memory again")
        assert done.session_state == "ended"
    assert await desk.rows("SELECT count(*) FROM anomaly WHERE code = 'bill.failed'") == [(2,)]
    assert await desk.billed(session_id) == "billed"
    async with desk.world.work.transaction("x") as tx:
        await anomalies.record(
            tx.conn, at=tx.now, code="stop.differs", subject=session_id, detail={}, cause="x"
        )
    number = await desk.the("stop.differs")
    offered = await desk.offered(number)
    assert (offered.acts, offered.known.stop_wh) == (("accept", "correct"), 9_500)
    await desk.act(number, "correct", "their log", stop=Edge(register_wh=9_400))
    [(state, due)] = await desk.rows("SELECT state, adjust_due_at FROM session")
    assert (state, due) == ("billed", desk.world.now)


async def test_what_is_about_no_session_can_only_be_seen(desk: Desk) -> None:
    async with desk.world.work.transaction("x") as tx:
        await anomalies.record(
            tx.conn, at=tx.now, code="frame.malformed", subject="D-1", detail={}, cause="x"
        )
    number = await desk.the("frame.malformed")
    assert (await desk.offered(number)).acts == ("accept",)
    for refused in (
        desk.act(number, "correct", stop=Edge(register_wh=1)),
        desk.act(number, "discard", kind="given_away"),
    ):
        with pytest.raises(Conflict, match="about no session"):
            await refused
    both = await asyncio.gather(desk.act(number, "accept"), desk.act(number, "accept"))
    assert sorted(done.new for done in both) == [False, True]
    assert (await desk.offered(number)).acts == ()
    with pytest.raises(NotFound):
        await desk.act(number + 1, "accept")


async def test_what_can_not_be_is_refused_and_changes_nothing(desk: Desk) -> None:
    session_id = await desk.fell("Acme-1")
    number = await desk.the("register.fell")
    before = T0 - MINUTE
    for path, act, more in (
        ("$.reason", "correct", {"reason": "  "}),
        ("$.reason", "correct", {"reason": "x" * 1_001}),
        ("$.stop", "correct", {}),
        ("$.stop", "discard", {"stop": Edge(register_wh=1), "kind": "given_away"}),
        ("$.start", "accept", {"start": Edge(at=T0)}),
        ("$.kind", "discard", {}),
        ("$.kind", "correct", {"stop": Edge(register_wh=9_500), "kind": "given_away"}),
        ("$.stop.register_wh", "correct", {"stop": Edge(register_wh=999)}),
        ("$.stop.register_wh", "correct", {"stop": Edge(register_wh=-1)}),
        ("$.start.register_wh", "correct", {"start": Edge(register_wh=10**10 + 1)}),
        ("$.stop.at", "correct", {"stop": Edge(at=before)}),
        ("$.stop.at", "correct", {"stop": Edge(at=desk.world.now + MINUTE)}),
        ("$.stop.at", "correct", {"stop": Edge(at=datetime(2026, 11, 2, 1))}),  # noqa: DTZ001
        ("$.start.at", "correct", {"start": Edge(at=datetime(1970, 1, 1, tzinfo=UTC))}),
        # 22 kW give 26.4 kWh and some in an hour: kWh taken for Wh.
        ("$", "correct", {"stop": Edge(register_wh=9_500_000)}),
    ):
        with pytest.raises(BadInput) as error:
            await desk.act(number, act, **more)
        assert error.value.path == path, more
    with pytest.raises(BadInput, match=r"\$\.by"):
        await resolve(desk.world, number, Act("accept", "seen"), "page: ")
    with pytest.raises(Conflict, match="can't be billed as it is"):
        await desk.act(number, "accept")
    assert await desk.rows("SELECT count(*) FROM anomaly_act") == [(0,)]
    assert await desk.rows("SELECT kind FROM session_fact WHERE kind LIKE 'correct%'") == []
    assert await bill(desk.world, session_id) == "held"

"""The charge points against a fake server: what they send, when, and what they remember."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from fake_csms import SECRET, Fake

from wattledger.demo import chargers
from wattledger.demo.chargers import Simulation
from wattledger.demo.cpms import cpms_amount_minor
from wattledger.demo.drivers import Driver
from wattledger.demo.plan import Plan, Session, make_plan
from wattledger.demo.setup import (
    CHARGERS_ENV,
    CPMS_KEY_ENV,
    DRIVER_KEY_ENV,
    STRIPE_KEY_ENV,
    SUPPORT_KEY_ENV,
)
from wattledger.errors import ExternalFault

KEYS = {
    CHARGERS_ENV: SECRET, DRIVER_KEY_ENV: "clock key", CPMS_KEY_ENV: "cpms key",
    STRIPE_KEY_ENV: "stripe key", SUPPORT_KEY_ENV: "support key",
}  # fmt: skip
READERS = {"pasadena": "tmr_p", "new-york": "tmr_n"}
TODAY = date(2026, 11, 24)


async def replay(plan: Plan, fake: Fake) -> tuple[Simulation, list[dict[str, Any]]]:
    said: list[dict[str, Any]] = []
    server = await fake.listen()
    port = server.sockets[0].getsockname()[1]
    plan = msgspec.structs.replace(plan, ocpp_url=f"ws://127.0.0.1:{port}/ocpp")
    transport = httpx.MockTransport(fake.http)
    async with server, httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        simulation = Simulation(plan, http, KEYS, said.append)
        await simulation.run()
    return simulation, said


def only(plan: Plan, session: Session, **changes: Any) -> Plan:
    """The plan with one session, changed."""
    return msgspec.structs.replace(
        plan, sessions=(msgspec.structs.replace(session, **changes),), closing_steps=()
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    return msgspec.structs.replace(make_plan(100, TODAY), readers=READERS)


@pytest.fixture(params=["ocpp1.6", "ocpp2.0.1"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def idler(plan: Plan, version: str) -> Session:
    """A session at a post that is long done charging when the car leaves."""
    posts = {post.id for post in plan.posts if post.version == version}
    return next(
        s
        for s in plan.sessions
        if s.charge_point_id in posts
        and s.driver is Driver.MEMBER
        and s.stop_reason == "EVDisconnected"
        and s.departure - s.charged > timedelta(hours=1)
        and len(s.samples()) > 3
    )


def words(version: str, *names: str) -> list[str]:
    """What a connector says in its version: 2.0.1 has one word for all that have a car."""
    if version == "ocpp1.6":
        return list(names)
    return ["Occupied" if name in ("Preparing", "Finishing") else name for name in names]


async def test_one_session_sends_what_a_charge_point_sends(
    plan: Plan, idler: Session, version: str
) -> None:
    fake = Fake()
    simulation, said = await replay(only(plan, idler), fake)
    point = idler.charge_point_id
    assert fake.versions == {point: version}
    assert fake.actions(point) == words(
        version,
        *("BootNotification", "Available", "Preparing", "Authorize", "StartTransaction"),
        "Charging",
        *("SuspendedEV", "StopTransaction", "Available"),
    )
    payloads = {action: payload for _, _, action, payload in fake.frames}
    start, stop = payloads["StartTransaction"], payloads["StopTransaction"]
    assert start["meter_start"] > 0
    assert stop["meter_stop"] - start["meter_start"] == idler.energy_wh
    assert stop["reason"] == "EVDisconnected"
    told = stop["transaction_data"] if version == "ocpp1.6" else [
        *start["meter_value"], *stop["meter_value"]
    ]  # fmt: skip
    contexts = [m["sampled_value"][0]["context"] for m in told]
    assert contexts == ["Transaction.Begin", "Transaction.End"]
    meters = [(at, p["meter_value"][0]) for at, _, a, p in fake.frames if a == "MeterValues"]
    assert [at for at, _ in meters] == sorted([*idler.samples(), idler.charged])
    registers = [int(value["sampled_value"][0]["value"]) for _, value in meters]
    assert registers == sorted(registers)
    assert registers[-1] <= stop["meter_stop"]
    for at, _, _, payload in fake.frames:  # the times in the messages are business time
        if "timestamp" in payload:
            assert datetime.fromisoformat(payload["timestamp"]) == at
            assert payload["timestamp"].endswith("Z")
    assert simulation.record.errors == []
    ref = "1" if version == "ocpp1.6" else f"{point}-{idler.arrival:%Y%m%d%H%M%S}"
    assert simulation.record.delivered == [
        {
            "key": idler.key,
            "charge_point_id": point,
            "transaction_ref": ref,
            "external_id": None,
            "energy_wh": idler.energy_wh,
            "stopped_from_afar": False,
        }
    ]
    assert said[-1]["done"] == said[-1]["of"] == 1
    numbers = [payload["seq_no"] for _, _, _, payload in fake.frames if "seq_no" in payload]
    # Start, charging, readings, suspended, stop.
    events = 0 if version == "ocpp1.6" else len(meters) + 4
    assert numbers == list(range(events))


async def test_a_refused_token_starts_nothing(plan: Plan, idler: Session, version: str) -> None:
    fake = Fake(blocked={"MEMBER"})
    simulation, _ = await replay(only(plan, idler), fake)
    assert fake.actions(idler.charge_point_id)[1:] == words(
        version, "Available", "Preparing", "Authorize", "Available"
    )
    assert (simulation.record.refused, simulation.record.done) == (1, 1)
    assert simulation.record.delivered[0]["energy_wh"] == 0


async def test_a_token_refused_at_the_start_gets_no_energy(
    plan: Plan, idler: Session, version: str
) -> None:
    fake = Fake(refused_at_start={"MEMBER"})
    simulation, _ = await replay(only(plan, idler), fake)
    stop = next(p for _, _, action, p in fake.frames if action == "StopTransaction")
    assert stop["reason"] == "DeAuthorized"
    start = next(p for _, _, action, p in fake.frames if action == "StartTransaction")
    assert stop["meter_stop"] == start["meter_start"]
    assert simulation.record.delivered[0]["energy_wh"] == 0
    assert fake.actions(idler.charge_point_id)[-2:] == words(version, "Finishing", "Available")
    assert simulation.record.refused == 1


async def test_a_remote_stop_ends_it_half_a_minute_later(
    plan: Plan, idler: Session, version: str
) -> None:
    fake = Fake(declined={"MEMBER"})
    simulation, _ = await replay(only(plan, idler), fake)
    assert fake.commands == ["Accepted"]
    at, _, _, stop = next(f for f in fake.frames if f[2] == "StopTransaction")
    assert stop["reason"] == "Remote"
    assert at == idler.arrival + timedelta(seconds=31)
    delivered_wh = idler.power_w * 31 // 3600
    assert simulation.record.delivered[0]["energy_wh"] == delivered_wh
    assert simulation.record.delivered[0]["stopped_from_afar"] is True
    assert fake.actions(idler.charge_point_id)[-3:] == words(
        version, "StopTransaction", "Finishing", "Available"
    )
    assert not any(action == "MeterValues" for _, _, action, _ in fake.frames)
    left = fake.frames[-1]
    assert left[0] == idler.departure


async def test_who_pays_at_the_terminal_is_started_from_afar(
    plan: Plan, idler: Session, version: str
) -> None:
    """The post is chosen, the card is held against the reader a second later, and the start comes
    with the next; what began then is charged with the token that came."""
    fake = Fake()
    simulation, _ = await replay(only(plan, idler, driver=Driver.TERMINAL), fake)
    assert fake.offered == [
        {"route": "terminal", "charge_point_id": idler.charge_point_id, "connector_id": 1,
         "reader": READERS[idler.site_id], "reference": idler.key},
    ]  # fmt: skip
    assert fake.commands == ["Accepted"]
    assert "Authorize" not in fake.actions(idler.charge_point_id)
    at = next(at for at, _, action, _ in fake.frames if action == "StartTransaction")
    assert at == idler.arrival + timedelta(seconds=4)
    assert list(fake.tokens.values()) == [idler.key]
    assert simulation.record.errors == []
    assert simulation.record.delivered[0]["energy_wh"] == idler.energy_wh


async def test_a_post_at_which_nobody_has_paid_starts_nothing_from_afar(
    plan: Plan, idler: Session, version: str
) -> None:
    fake = Fake(no_card=True)
    terminal = only(plan, idler, driver=Driver.TERMINAL)
    simulation, _ = await replay(terminal, fake)
    assert not fake.tokens
    assert "paid at the terminal, and not started" in simulation.record.errors[0]
    state = simulation._states[idler.charge_point_id]
    assert simulation._remote_start(state, "SOMEBODY") is False


async def test_the_desk_gives_back_and_answers_and_the_bank_is_convinced(plan: Plan) -> None:
    """Once for each kind of card, of the first session that paid 5.00 or more."""
    fake = Fake(
        captured=[
            {"id": f"pay_{i}", "created_at": f"2026-11-0{day}T00:00:00Z", "route": route,
             "captured_minor": paid_minor, "session_id": f"ses_{i}"}
            for i, (day, route, paid_minor) in enumerate([
                (3, "card", 900), (2, "card", 500), (1, "card", 499), (1, "terminal", 700),
            ])
        ]
    )  # fmt: skip
    await replay(msgspec.structs.replace(plan, sessions=()), fake)
    assert [(path, body.get("session_id")) for path, body in fake.desk] == [
        ("/v1/refunds", "ses_1"), ("/v1/refunds", "ses_3"),
        ("/v1/disputes/du_1/submit", None), ("/_sim/dispute/du_1/close", None),
    ]  # fmt: skip
    assert {body.get("amount_minor") for _, body in fake.desk[:2]} == {200}
    assert fake.desk[-1][1] == {"outcome": "won"}


async def test_the_week_goes_in_the_order_of_business_time(plan: Plan) -> None:
    fake = Fake(blocked={"LOST-CARD"}, declined={"DECLINE"})
    simulation, said = await replay(plan, fake)
    assert simulation.record.errors == []
    assert set(fake.versions.values()) == {"ocpp1.6", "ocpp2.0.1"}
    assert fake.clock == sorted(set(fake.clock))
    assert fake.clock[-1] == plan.closing_steps[-1]
    assert said[-1]["done"] == 100
    blocked = sum(s.driver is Driver.BLOCKED for s in plan.sessions)
    declined = sum(s.driver is Driver.DECLINED for s in plan.sessions)
    assert simulation.record.refused == blocked > 0
    terminal = sum(s.driver is Driver.TERMINAL for s in plan.sessions)
    assert len(fake.offered) == terminal > 0
    assert len(fake.commands) == declined + terminal
    assert declined > 0
    for session in plan.sessions:
        row = next(d for d in simulation.record.delivered if d["key"] == session.key)
        if session.driver is Driver.BLOCKED:
            assert row["energy_wh"] == 0
        elif session.driver is Driver.DECLINED:
            assert 0 < row["energy_wh"] < session.energy_wh
        else:
            assert row["energy_wh"] == session.energy_wh
    # Each post's register goes on where it stood.
    for post in plan.posts:
        register_wh = post.register_wh
        for _, point, action, payload in fake.frames:
            if point == post.id and action == "StartTransaction":
                assert payload["meter_start"] == register_wh
            if point == post.id and action == "StopTransaction":
                register_wh = payload["meter_stop"]


async def test_the_cpms_posts_its_sessions_with_what_it_took(plan: Plan) -> None:
    fake = Fake()
    external = [s for s in plan.sessions if s.external]
    await replay(msgspec.structs.replace(plan, sessions=tuple(external)), fake)
    assert len(fake.posted) == len(external) == 8
    assert len({headers["idempotency-key"] for headers, _ in fake.posted}) == 8
    for headers, body in fake.posted:
        assert headers["authorization"] == "Bearer cpms key"
        session = next(s for s in external if body["started_at"][:19] == f"{s.arrival:%FT%T}")
        readings = [r["energy_wh"] for r in body["readings"]]
        assert readings == sorted(readings)
        assert readings[-1] - readings[0] == session.energy_wh
        assert body["readings"][0]["at"] == body["started_at"]
        assert body["readings"][-1]["at"] == body["states"][-1]["at"]
        assert body["external"]["amount_minor"] == cpms_amount_minor(session.energy_wh)


@pytest.mark.parametrize(
    ("energy_wh", "minor"),
    # 10 kWh: 3.10 + 9.5 % = 3.3945. The others stand on either side of half a cent.
    [(10_000, 339), (0, 0), (1, 0), (14, 0), (15, 1), (100_000, 3395)],
)
def test_the_cpms_rounds_half_up_once(energy_wh: int, minor: int) -> None:
    assert cpms_amount_minor(energy_wh) == minor


async def test_a_lost_connection_is_an_error_of_its_session_and_the_others_go_on(
    plan: Plan,
) -> None:
    lost = next(s for s in plan.sessions if s.driver is Driver.MEMBER)
    fake = Fake(dropped_at_stop={lost.charge_point_id})
    simulation, _ = await replay(plan, fake)
    assert any(f"{lost.charge_point_id}: " in e for e in simulation.record.errors)
    others = {s.key for s in plan.sessions if s.charge_point_id != lost.charge_point_id}
    assert others <= {d["key"] for d in simulation.record.delivered}
    assert not any(key in error for error in simulation.record.errors for key in others)


async def test_without_the_clock_nothing_goes_on(plan: Plan) -> None:
    with pytest.raises(ExternalFault, match="no more time"):
        await replay(plan, Fake(clock_breaks_after=10))


def test_the_process_says_why_it_gave_up(
    tmp_path: Any, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chargers.main([]) == 2
    assert chargers.main([str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err

"""What runs says most of what is said: one statement, and it belongs to whom it always would."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest
from test_end import HOUR, MINUTE, T0, Yard, yard

from wattledger.clock import utc_text
from wattledger.pipeline import proxied
from wattledger.pipeline.charging import events
from wattledger.pipeline.gathered import Gathered
from wattledger.sessions import at_once
from wattledger.sessions.store import SessionRow
from wattledger.wire.ocpp import v2, v16

__all__ = ["yard"]
FACTS = "SELECT session_id, register_wh FROM session_fact WHERE kind = 'meter' ORDER BY id"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of steps, without BEGIN and COMMIT."""
    told: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def heard(self: Any, query: Any, *more: Any, **named: Any) -> Any:
        told.append(str(query))
        return await execute(self, query, *more, **named)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", heard)
    return told


async def _facts(yard: Yard) -> list[tuple[str, int]]:
    return [(row["session_id"], row["register_wh"]) for row in await yard.rows(FACTS)]


async def test_a_reading_of_what_runs_is_one_statement(yard: Yard, said: list[str]) -> None:
    number = await yard.start(T0)
    yard.clock.advance(T0 + HOUR)
    await yard.meter(number, T0 + 10 * MINUTE, 1_000)
    said.clear()
    await yard.meter(number, T0 + 20 * MINUTE, 2_000)
    assert len(said) == 1, said
    await yard.meter(number, T0 + 20 * MINUTE, 2_000)
    assert [wh for _, wh in await _facts(yard)] == [1_000, 2_000], "sent again it counts once"

    await yard.stop(number, T0 + 30 * MINUTE, 3_000)
    state, _ = await yard.billed()
    assert state == "billed"
    await yard.meter(number, T0 + 25 * MINUTE, 2_500)
    assert "data.late" in await yard.codes(), "it is over, and what comes now is late"


async def test_a_number_that_a_cpms_gives_again_is_the_later_session(yard: Yard) -> None:
    number = await yard.start(T0)
    yard.clock.advance(T0 + HOUR)
    await yard.meter(number, T0 + 10 * MINUTE, 1_000)
    again = v16.StartTransaction(2, "Acme-1", 50_000, utc_text(T0 + 15 * MINUTE))
    await proxied.start(yard.world, "Y-1", again, number, None)
    await yard.meter(number, T0 + 20 * MINUTE, 51_000)
    (first, _), (second, wh) = await _facts(yard)
    assert (second != first, wh) == (True, 51_000)


async def _event(
    yard: Yard, kind: str, number: int, minutes: int, wh: int, token: str | None = None
) -> events.Told:
    at = utc_text(T0 + minutes * MINUTE)
    body: dict[str, Any] = {
        "eventType": kind, "timestamp": at, "triggerReason": "MeterValuePeriodic", "seqNo": number,
        "transactionInfo": {"transactionId": "T1", "chargingState": "Charging"},
        "evse": {"id": 1}, "meterValue": [{"timestamp": at, "sampledValue": [{"value": wh}]}],
    }  # fmt: skip
    if token is not None:
        body["idToken"] = {"idToken": token, "type": "ISO14443"}
    raw = json.dumps(body).encode()
    read = v2.read(json.loads(raw), v2.TransactionEvent)
    return await events.take(yard.world, "Y-1", "ocpp2.0.1", read, raw)


async def test_an_event_of_what_runs_is_one_statement_beside_its_cost(
    yard: Yard, said: list[str]
) -> None:
    yard.clock.advance(T0 + HOUR)
    session = (await _event(yard, "Started", 0, 0, 0, "Acme-1")).session_id
    await _event(yard, "Updated", 1, 10, 1_000)
    said.clear()
    assert (await _event(yard, "Updated", 2, 20, 2_000)).session_id == session
    assert [query for query in said if "INSERT" in query or "UPDATE" in query] == said[:1]
    assert len(said) <= 2, "the facts are read for the cost that is shown"
    before = await _facts(yard)
    assert [wh for _, wh in before] == [0, 1_000, 2_000]
    assert (await _event(yard, "Updated", 2, 20, 2_000)).session_id == session
    assert await _facts(yard) == before, "sent again it counts once"

    # The station begins to count anew: another transaction, which waits for its token.
    await _event(yard, "Started", 0, 40, 90_000)
    assert (await _event(yard, "Updated", 1, 45, 91_000)).session_id is None
    assert await _facts(yard) == before, "nothing of it is the first one's"
    assert (await _event(yard, "Updated", 2, 50, 92_000, "Acme-1")).session_id != session
    assert [wh for each, wh in await _facts(yard) if each != session] == [90_000, 91_000, 92_000]


async def test_what_is_kept_of_a_session_in_memory_can_not_change(yard: Yard) -> None:
    """Every column that is not read again is one that the database keeps as it was."""
    [trigger] = await yard.rows(
        "SELECT encode(tgargs, 'escape') AS names FROM pg_trigger"
        " WHERE tgname = 'session_never_changed'"
    )
    never = set(trigger["names"].split("\\000"))
    assert set(SessionRow.__struct_fields__) - set(at_once.CHANGES) <= never


async def test_questions_of_one_moment_are_put_at_once() -> None:
    asked: list[list[str]] = []

    async def ask(names: list[str]) -> dict[str, int]:
        asked.append(names)
        await asyncio.sleep(0)
        if "bad" in names:
            raise RuntimeError("away")
        return {name: len(name) for name in names if name != "nobody"}

    gathered = Gathered(ask)
    names = ("a", "bb", "nobody", "bb")
    assert await asyncio.gather(*map(gathered.about, names)) == [1, 2, None, 2]
    assert asked == [["a", "bb", "nobody"]]
    failed = await asyncio.gather(*map(gathered.about, ("bad", "a")), return_exceptions=True)
    assert [str(each) for each in failed] == ["away", "away"]
    assert await gathered.about("ccc") == 3, "it goes on after a fault"

"""What a running session says stays, and what nobody pays for is stopped until it stops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import msgspec
import pytest
from test_end import HOUR, MINUTE, T0, Yard, yard

from wattledger.contract import Contract
from wattledger.errors import CantPrice
from wattledger.pipeline.charging import start as starting
from wattledger.pipeline.collecting import ceiling

__all__ = ["yard"]
STOPS = "SELECT key, state FROM effect WHERE kind = 'ocpp.remote_stop' ORDER BY id"


async def _settle(yard: Yard, state: str) -> None:
    async with yard.world.work.pool.connection() as conn:
        await conn.execute(
            "UPDATE effect SET state = 'claimed', claim_token = 't'"
            " WHERE kind = 'ocpp.remote_stop' AND state = 'pending'"
        )
        await conn.execute(
            "UPDATE effect SET state = %s, claim_token = NULL, settled_at = %s"
            " WHERE kind = 'ocpp.remote_stop' AND state = 'claimed'",
            (state, yard.world.now),
        )


async def _card(yard: Yard) -> int:
    return await yard.start(T0, token="ANN")


@pytest.fixture
async def over_it(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """Whatever is read, it is over the ceiling."""

    async def over(tx: object, world: object, policies: object, row: object) -> int:
        return 1_000_000

    monkeypatch.setattr(ceiling, "_worst", over)
    return yard


async def _as_card(yard: Yard) -> int:
    async def held(tx: Any, world: Any, snapshot: Any, contract: Contract, *rest: Any) -> Contract:
        return msgspec.structs.replace(contract, hold_minor=2_500)

    with mock.patch.object(starting, "_with_hold", held):
        return await _card(yard)


async def test_a_rejected_remote_stop_is_followed_by_another(over_it: Yard) -> None:
    number = await _as_card(over_it)
    for n in (1, 2):
        over_it.clock.advance(T0 + n * MINUTE)
        await over_it.meter(number, T0 + n * MINUTE, n)
        assert len(await over_it.rows(STOPS)) == n
        await over_it.meter(number, T0 + n * MINUTE, n + 1)
        assert len(await over_it.rows(STOPS)) == n, "one is on its way"
        await _settle(over_it, "rejected")


async def test_an_accepted_remote_stop_has_a_quarter_of_an_hour(over_it: Yard) -> None:
    number = await _as_card(over_it)
    await over_it.meter(number, T0, 1)
    await _settle(over_it, "done")
    for minutes, count in ((14, 1), (15, 2)):
        over_it.clock.advance(T0 + minutes * MINUTE)
        await over_it.meter(number, T0 + minutes * MINUTE, minutes)
        assert len(await over_it.rows(STOPS)) == count


async def test_readings_stay_where_the_ceiling_can_not_be_priced(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(tx: object, world: object, policies: object, row: object) -> int:
        raise CantPrice("no_tariff_component", "nothing applies")

    monkeypatch.setattr(ceiling, "_worst", fails)
    number = await _as_card(yard)
    for n in (1, 2):
        await yard.meter(number, T0 + n * MINUTE, n)
    assert len(await yard.rows("SELECT FROM session_fact WHERE kind = 'meter'")) == 2
    assert await yard.codes() == ["ceiling.unpriced"]


async def test_readings_by_a_wrong_clock_are_of_when_they_came(yard: Yard) -> None:
    number = await yard.start(T0)
    yard.clock.advance(T0 + HOUR)
    for _ in range(2):
        await yard.meter(number, datetime(2000, 1, 1, tzinfo=UTC), 5_000)
    assert await yard.rows("SELECT at FROM session_fact WHERE kind = 'meter'") == [
        {"at": T0 + timedelta(hours=1)}
    ]
    assert await yard.codes() == ["clock.wrong"]


async def test_a_declined_card_is_told_to_stop_with_each_reading_until_it_does(yard: Yard) -> None:
    number = await _as_card(yard)
    async with yard.world.work.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO payment (id, session_id, entity_id, processor_id, currency, hold_minor,"
            " state) SELECT 'pay_1', id, entity_id, 'stripe', 'USD', 2500, 'holding' FROM session"
        )
        await conn.execute("UPDATE payment SET state = 'declined'")
    for n in (1, 2):
        await yard.meter(number, T0 + n * MINUTE, n)
        await _settle(yard, "rejected")
    keys = [row["key"].split(":", 1)[1] for row in await yard.rows(STOPS)]
    assert keys == ["remote_stop:hold_declined:1", "remote_stop:hold_declined:2"]


async def test_where_another_cpms_alone_may_stop_a_person_is_told(over_it: Yard) -> None:
    async def behind(tx: Any, world: Any, of: Any, contract: Contract, *rest: Any) -> Contract:
        return msgspec.structs.replace(contract, hold_minor=2_500, may_stop=False)

    with mock.patch.object(starting, "_with_hold", behind):
        number = await _card(over_it)
    over_it.clock.advance(T0 + MINUTE)
    await over_it.meter(number, T0 + MINUTE, 1)
    assert await over_it.rows(STOPS) == []
    assert await over_it.codes() == ["stop.not_ours"]

"""Acts under a key: asked again they say what was done, whatever became of the first answer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.errors import UniqueViolation
from returns_desk import ReturnsDesk, item
from terminal_yard import MINUTE, Yard, with_terminal
from till_rig import Till, till

from wattledger.clock import DrivenClock
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.errors import Conflict
from wattledger.pipeline.deciding import money_desk
from wattledger.pipeline.deciding.money_desk import ACTS, Asked
from wattledger.pipeline.world import World

__all__ = ["till"]

ASKED = Asked("", "key:support", "they called", key="k1")


def of(subject: str, **more: Any) -> Asked:
    return msgspec.structs.replace(ASKED, subject=subject, **more)


async def twice(world: World, name: str, asked: Asked) -> dict[str, Any]:
    """What it gave, both times; what is not the same is refused under its key."""
    first = await money_desk.do(world, name, asked)
    assert await money_desk.do(world, name, asked) == first
    others = [
        (name, msgspec.structs.replace(asked, reason="another")),
        (name, msgspec.structs.replace(asked, subject="another")),
        ("unblock", asked),
    ]
    for other, changed in others:
        with pytest.raises(Conflict, match="'k1' came with another request"):
            await money_desk.do(world, other, changed)
    return first


async def test_a_debt_that_is_tried(till: Till) -> None:
    declined = {"state": "declined", "decline_code": "card_declined", "authorized_minor": None}
    await till.collect(till.add(440, payment=declined))
    found = await twice(till.world, "debt.try", of("chg_1/1"))
    assert found["done"] == "being charged"
    rows = await till.rows(
        "SELECT detail->>'payment_id' AS payment, detail->>'key' AS key FROM money_act"
    )
    assert rows == [(found["payment_id"], "k1")]
    # Nobody else's key, and without one it is as ever.
    for other in (of("chg_1/1", actor="key:other"), of("chg_1/1", key=None)):
        with pytest.raises(Conflict, match="is collecting"):
            await money_desk.do(till.world, "debt.try", other)


async def test_at_the_same_moment_it_is_done_once(till: Till) -> None:
    declined = {"state": "declined", "decline_code": "card_declined", "authorized_minor": None}
    await till.collect(till.add(440, payment=declined))
    both = [money_desk.do(till.world, "debt.write_off", of("chg_1/1")) for _ in range(2)]
    assert await asyncio.gather(*both) == [{"id": "chg_1/1", "done": "written off"}] * 2
    assert await till.rows("SELECT count(*) FROM money_act") == [(1,)]


async def test_a_payment_at_a_terminal_that_is_matched(work: Work, clock: DrivenClock) -> None:
    yard = await Yard.made(work, clock, with_terminal())
    await yard.report("authorization", "A1", "50.00")
    session_id = await yard.charge(90 * MINUTE, 10_000)
    assert await yard.bill(session_id) == "held"
    payment_id = await yard.one("SELECT id FROM terminal_payment")
    found = await twice(yard.world, "suspense.match", of(payment_id, session_id=session_id))
    assert found == {"id": payment_id, "state": "matched", "session_id": session_id, "new": True,
                     "done": "matched"}  # fmt: skip


@pytest.mark.parametrize(("what", "part"), [("debt", "debt"), ("waive", "waived")])
async def test_a_session_that_nobody_pays(
    work: Work, clock: DrivenClock, what: str, part: str
) -> None:
    yard = await Yard.made(work, clock, with_terminal())
    session_id = await yard.charge(MINUTE, 10_000)
    assert await yard.bill(session_id) == "held"
    found = await twice(yard.world, f"unpaid.{what}", of(session_id))
    assert (found["id"], found["state"]) == (session_id, "ended")
    # Later it is what it has become.
    assert await yard.bill(session_id) == "billed"
    later = await money_desk.do(yard.world, f"unpaid.{what}", of(session_id))
    assert later == found | {"state": "billed"}
    assert await yard.parts(session_id) == [(part, 400)]


async def test_a_refund_that_is_taken_over(
    world: World, clock: DrivenClock, database: Database
) -> None:
    desk = ReturnsDesk(world, clock, database)
    await desk.paid()
    await desk.charge_read()
    await desk.read(item("txn_3", "refund", -200, source="re_9", charge="ch_1"))
    found = await twice(world, "refund.take_over", of("txn_3", kind="goodwill"))
    assert (found["state"], found["amount_minor"], found["done"]) == ("issued", 200, "taken over")


def test_every_act_is_once_under_its_key() -> None:
    """The mail of a receipt by the key of its effect."""
    assert [name for name, act in ACTS.items() if act.find is None] == ["receipt.mail"]


def test_the_database_keeps_a_key_of_an_actor_once(database: Database) -> None:
    insert = (
        "INSERT INTO money_act (at, actor, act, subject, detail)"
        " VALUES (now(), %s, 'unblock', %s, %s)"
    )
    with psycopg.connect(database.conninfo(Role.APP), autocommit=True) as conn:
        for actor, detail in (("key:a", '{"key": "k"}'), ("key:b", '{"key": "k"}'),
                              ("key:a", "{}"), ("key:a", "{}")):  # fmt: skip
            conn.execute(insert, (actor, "x", detail))
        with pytest.raises(UniqueViolation, match="money_act_once"):
            conn.execute(insert, ("key:a", "y", '{"key": "k"}'))

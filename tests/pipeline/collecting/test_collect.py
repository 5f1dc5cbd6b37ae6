"""What the processor's answer to a capture does to the payment, its parts and the ledger.

10 kWh for 4.40 on a card of which 25.00 are held.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
import pytest

import handmade as hand
from wattledger.contract import Route
from wattledger.db import effects
from wattledger.db.connect import Database
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.db.roles import Role
from wattledger.pipeline import outcomes
from wattledger.pipeline.world import World

ASKED = {"processor_id": "stripe", "intent_id": "pi_1", "amount_minor": 440, "currency": "USD"}
TAKEN_BACK = {"processor_id": "stripe", "intent_id": "pi_1"}


async def _answered(
    world: World, database: Database, outcome: Outcome, shortfall: str = "waive"
) -> Effect:
    """A capture of 4.40 is sent and answered."""
    with (
        psycopg.connect(database.conninfo(Role.APP)) as conn,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(hand, "contract", partial(hand.contract, shortfall=shortfall))
        session_id = hand.add_session(conn, route=Route.CARD)
        hand.add_charge(conn)
        hand.add_payment(conn, "pay_1", session_id, state="capturing", intent_id="pi_1")
        hand.add_part(conn, state="pending", payment_id="pay_1")
    now = world.now
    async with world.work.transaction("x") as tx:
        await effects.add(
            tx.conn, kind="stripe.capture", subject="pay_1", lane="pay_1",
            key="north:pay_1:capture:1", request=ASKED, due_at=now, caused_at=now,
        )  # fmt: skip
        (claimed,) = await effects.claim(
            tx.conn, worker=1, now=now, kinds=["stripe.capture"], lanes=[], limit=1, lease_s=60
        )
    await outcomes.take(world, claimed, outcome)
    return claimed


async def _rows(world: World, query: str) -> list[tuple[Any, ...]]:
    async with world.work.pool.connection() as conn:
        return [tuple(r.values()) for r in await (await conn.execute(query.encode())).fetchall()]


async def _stands(world: World) -> dict[str, Any]:
    """The payment, the parts, the journal, what is sent next, what is shown."""
    return {
        "payment": await _rows(world, "SELECT state, captured_minor FROM payment"),
        "parts": await _rows(
            world, "SELECT state, amount_minor, payment_id FROM collection ORDER BY part"
        ),
        "journal": await _rows(
            world, "SELECT e.cause, p.amount_minor FROM posting p JOIN entry e ON e.id = p.entry_id"
            " ORDER BY e.id",
        ),
        "next": await _rows(
            world, "SELECT kind, request FROM effect WHERE kind LIKE 'stripe.%' AND"
            " state = 'pending'",
        ),
        "shown": await _rows(world, "SELECT code FROM anomaly"),
    }  # fmt: skip


async def test_what_was_asked_is_taken(world: World, database: Database) -> None:
    await _answered(world, database, Done({"captured_minor": 440}))
    assert await _stands(world) == {
        "payment": [("captured", 440)], "parts": [("captured", 440, "pay_1")],
        "journal": [], "next": [], "shown": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shortfall", "state", "cause"), [("waive", "waived", "waiver"), ("debt", "debt", "debt")]
)
async def test_less_taken_than_asked_is_captured_for_what_was_taken(
    world: World, database: Database, shortfall: str, state: str, cause: str
) -> None:
    await _answered(world, database, Done({"captured_minor": 400}), shortfall)
    assert await _stands(world) == {
        "payment": [("captured", 400)],
        "parts": [("captured", 400, "pay_1"), (state, 40, None)],
        "journal": [(cause, 40)], "next": [], "shown": [("capture.differs",)],
    }  # fmt: skip
    booked = await _rows(world, "SELECT cause_id FROM entry")
    parts = await _rows(
        world, f"SELECT charge_id || '/' || part FROM collection WHERE state = '{state}'"
    )
    assert booked == parts


async def test_nothing_taken_is_captured_for_nothing(world: World, database: Database) -> None:
    await _answered(world, database, Done({"captured_minor": 0}))
    assert await _stands(world) == {
        "payment": [("captured", 0)], "parts": [("waived", 440, None)],
        "journal": [("waiver", 440)], "next": [], "shown": [("capture.differs",)],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("taken", "stored", "code"), [(600, 600, "capture.differs"), (2_600, 2_500, "capture.over")]
)
async def test_more_taken_than_asked_is_shown_with_the_true_amount(
    world: World, database: Database, taken: int, stored: int, code: str
) -> None:
    await _answered(world, database, Done({"captured_minor": taken}))
    assert await _stands(world) == {
        "payment": [("captured", stored)], "parts": [("captured", 440, "pay_1")],
        "journal": [], "next": [], "shown": [(code,)],
    }  # fmt: skip
    assert await _rows(world, "SELECT detail FROM anomaly") == [
        ({"asked_minor": 440, "taken_minor": taken, "hold_minor": 2_500},)
    ]


@pytest.mark.parametrize("code", ["attempts_exhausted", "amount_too_large", "amount_unsayable"])
async def test_a_refused_capture_gives_the_hold_back(
    world: World, database: Database, code: str
) -> None:
    await _answered(world, database, Rejected({"code": code}), "debt")
    assert await _stands(world) == {
        "payment": [("releasing", 0)], "parts": [("debt", 440, None)],
        "journal": [("debt", 440)], "next": [("stripe.release", TAKEN_BACK)],
        "shown": [("capture.refused",)],
    }  # fmt: skip


@pytest.mark.parametrize("code", ["canceled", "charge_expired_for_capture"])
async def test_a_hold_that_is_gone_is_not_given_back(
    world: World, database: Database, code: str
) -> None:
    await _answered(world, database, Rejected({"code": code, "status": "canceled"}), "debt")
    assert await _stands(world) == {
        "payment": [("released", 0)], "parts": [("debt", 440, None)],
        "journal": [("debt", 440)], "next": [], "shown": [("hold.gone_owed",)],
    }  # fmt: skip
    assert await _rows(world, "SELECT gone_why FROM payment") == [(code,)]


@pytest.mark.parametrize("shortfall", ["waive", "debt"])
async def test_what_is_below_the_processors_minimum_is_waived_by_name(
    world: World, database: Database, shortfall: str
) -> None:
    await _answered(world, database, Rejected({"code": "amount_too_small"}), shortfall)
    assert await _stands(world) == {
        "payment": [("releasing", 0)], "parts": [("waived", 440, None)],
        "journal": [("waiver", 440)], "next": [("stripe.release", TAKEN_BACK)],
        "shown": [("capture.too_small",)],
    }  # fmt: skip

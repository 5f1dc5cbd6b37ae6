"""Whatever a card answers, and in whatever order: the parts add up, nobody pays more than the
session costs, the ledger is proved, and in the end all is captured, waived or owed."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from till_rig import ANN, GUEST, Till, terms, till

from wattledger.clock import DrivenClock
from wattledger.db import effects
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.pipeline import outcomes

__all__ = ["till"]

DAY = timedelta(days=1)
_KINDS = ["stripe.hold", "stripe.capture", "stripe.release", "stripe.charge", "money.due"]
_REFUSALS = ("card_declined", "canceled", "amount_too_small", "attempts_exhausted")


def _answer(random: Random, effect: Effect) -> Outcome:
    """What the processor may say: all of it, less of it, or no."""
    request, name = effect.request, effect.subject.removeprefix("pay_")
    if effect.kind == "money.due":
        return Done({})
    if effect.kind == "stripe.release":
        return Done({"status": "canceled"})
    if random.random() < 0.4:
        refusals = _REFUSALS if effect.kind == "stripe.capture" else ("card_declined",)
        return Rejected({"code": random.choice(refusals)})
    if effect.kind == "stripe.hold":
        held = random.choice((1_000, 2_500))
        return Done({
            "intent_id": f"pi_{name}", "charge_id": f"ch_{name}", "held_minor": held,
            "capturable_minor": random.choice((held, held * 115 // 100)),
            "customer": "cus_1", "reusable_method": random.choice((None, "pm_1")),
        })  # fmt: skip
    if effect.kind == "stripe.capture":
        asked = request["amount_minor"]
        return Done({"captured_minor": random.choice((asked, asked, asked // 2))})
    taken = request["params"]["amount"]
    return Done({"intent_id": f"pi_{name}", "charge_id": f"ch_{name}", "captured_minor": taken})


def _terms(random: Random) -> dict[str, Any]:
    promised = random.choice((ANN, GUEST))
    return {
        **promised, "shortfall": random.choice(("waive", "debt")),
        "consent": random.random() < 0.7,
        "terms": terms(
            second_charge=random.random() < 0.7, overcapture=random.random() < 0.5,
            below_minimum=random.choice(("waive", "carry")),
            gone=random.choice(("second_charge", "debt", "waive")), dunning_days=(1, 3),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
async def test_it_always_adds_up(till: Till, clock: DrivenClock, seed: int) -> None:
    random = Random(seed)
    totals = {}
    for number in (1, 2, 3):
        total = random.choice((22, 440, 2_500, 2_540, 3_000, 9_999))
        holding = random.random() < 0.5
        payment: dict[str, Any] = {"authorized_minor": 2_500}
        if holding:
            payment = {"state": "holding", "intent_id": None, "authorized_minor": None}
        key = till.add(total, number=number, payment=payment, **_terms(random))
        totals[f"chg_{number}"] = total
        if holding:
            async with till.world.work.transaction("x") as tx:
                await effects.add(
                    tx.conn, kind="stripe.hold", subject=f"pay_{number}", lane=f"pay_{number}",
                    key=f"north:pay_{number}:hold:1", request={}, due_at=tx.now, caused_at=tx.now,
                )  # fmt: skip
        await till.collect(key)
    for _ in range(8):
        await _drain(till, random)
        assert await till.unproved() == []
        clock.advance(clock.now() + DAY)
    parts = await till.rows("SELECT charge_id, state, amount_minor FROM collection")
    assert {state for _, state, _ in parts} <= {"captured", "waived", "debt"}
    for charge_id, total in totals.items():
        of_it = [(state, minor) for charge, state, minor in parts if charge == charge_id]
        assert sum(minor for _, minor in of_it) == total
    captured = sum(minor for _, state, minor in parts if state == "captured")
    assert await till.rows("SELECT sum(captured_minor)::bigint FROM payment") == [(captured,)]
    owed = sum(minor for _, state, minor in parts if state == "debt")
    assert await till.balance("receivable.debt") == owed


async def _drain(till: Till, random: Random) -> None:
    """All that is due, in any order, until there is nothing more."""
    while True:
        async with till.world.work.transaction("x") as tx:
            claimed = await effects.claim(
                tx.conn, worker=1, now=tx.now, kinds=_KINDS, lanes=[], limit=20, lease_s=60
            )
        if not claimed:
            return
        random.shuffle(claimed)
        for effect in claimed:
            await outcomes.take(till.world, effect, _answer(random, effect))

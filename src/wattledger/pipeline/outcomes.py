"""What an effect's outcome does: the step that stores it and moves its subject on."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.errors import DeadlockDetected

from wattledger.db import effects
from wattledger.db.effects import Done, Effect, NewAttempt, NotSent, Outcome, Rejected, Unknown
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.ingest import anomalies
from wattledger.pipeline import settle
from wattledger.pipeline.charging import unheard
from wattledger.pipeline.collecting import lapse
from wattledger.pipeline.display import shown_2
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.reconcile import reconcile
from wattledger.pipeline.registry import HANDLERS
from wattledger.pipeline.stations import commands
from wattledger.pipeline.world import World

# The step that an outcome of each kind is.
STEP_OF = {
    "stripe.read": "settle",
    "webhook.deliver": "delivered",
    shown_2.DUE: "shown",
    **{f"ocpp.{name}": "commanded" for name in commands.KINDS},
    **{kind: handler.step for kind, handler in HANDLERS.items()},
}
ATTEMPTS_MAX = 5
_TURNS_MAX = 5
# After so many tries without an answer (minutes, by the backoff) a person is shown it; it goes on
# being tried.
TRIES_SHOWN = 12
# Books that are away for a day are not asked every minute (Standard Webhooks: hours at the end).
_WAIT_MAX_MS = {"webhook.deliver": 6 * 3_600_000, "mail.send": 3_600_000}


async def take(world: World, effect: Effect, outcome: Outcome) -> None:
    """Store the outcome under its claim and move the subject on, in one transaction.

    Raises Conflict when the claim was lost: then another worker's outcome counts. Of two steps that
    wait for each other the database ends one: that one is done again.
    """
    for left in reversed(range(_TURNS_MAX)):
        try:
            await _take(world, effect, outcome)
            break
        except DeadlockDetected:
            if not left:
                raise
    complete = isinstance(outcome, Done) and outcome.response.get("next") is None
    if effect.kind == "stripe.read" and complete:
        await reconcile(world)


async def _take(world: World, effect: Effect, outcome: Outcome) -> None:
    now = world.now
    snapshot = await world.snapshot(now)
    async with world.work.transaction(STEP_OF[effect.kind], now=now) as tx:
        if isinstance(outcome, Done):
            await effects.settle(tx.conn, effect, "done", outcome.response, tx.now)
            await _done(tx, world, snapshot, effect, outcome.response)
            if effect.kind == shown_2.DUE:
                await shown_2.due(tx, world, effect.subject)
        elif isinstance(outcome, Rejected):
            await _rejected(tx, world, snapshot, effect, outcome.response)
        elif isinstance(outcome, NewAttempt):
            await _another(tx, world, snapshot, effect, outcome)
        else:
            await _later(tx, effect, outcome)


async def set_aside(world: World, effect: Effect, why: str) -> None:
    """An outcome that can't be taken in: unknown, looked up again later, and shown to a person."""
    async with world.work.transaction(STEP_OF[effect.kind]) as tx:
        wait_ms = effects.backoff_ms(effect.tries)
        await effects.put_back(tx.conn, effect, "unknown", wait_ms=wait_ms, why=why)
        await _show(tx, effect, why)


async def _done(
    tx: Transaction, world: World, snapshot: Snapshot, effect: Effect, response: dict[str, Any]
) -> None:
    if effect.kind == "stripe.read":
        await settle.read_done(tx, snapshot, effect, response)
        await lapse.mind(tx, world, snapshot)
    elif effect.kind == "ocpp.get_transaction_status":
        await unheard.status_answered(tx, world, snapshot.policies, effect.subject, response)
    elif effect.kind == "ocpp.configure":
        await commands.settings_answered(tx, effect, response)
    elif effect.kind in HANDLERS:
        await HANDLERS[effect.kind].done(Settled(tx, world, snapshot, effect, response))


async def _rejected(
    tx: Transaction, world: World, snapshot: Snapshot, effect: Effect, response: dict[str, Any]
) -> None:
    await effects.settle(tx.conn, effect, "rejected", response, tx.now)
    handler = HANDLERS.get(effect.kind)
    if handler is not None and handler.refused is not None:
        await handler.refused(Settled(tx, world, snapshot, effect, response))
    elif effect.kind.startswith("ocpp."):
        await commands.refused(tx, effect, response)
    else:
        await anomalies.record(
            tx.conn, at=tx.now, code=f"{effect.kind}.refused", subject=effect.subject,
            detail=response, cause=effect.key,
        )  # fmt: skip


async def _another(
    tx: Transaction, world: World, snapshot: Snapshot, effect: Effect, outcome: NewAttempt
) -> None:
    """There is proof that the attempt had no effect: the next goes out under its own key."""
    if effect.attempt >= ATTEMPTS_MAX:
        exhausted = {"code": "attempts_exhausted", "why": outcome.why}
        await _rejected(tx, world, snapshot, effect, exhausted)
        return
    await effects.settle(tx.conn, effect, "rejected", {"superseded": outcome.why}, tx.now)
    stem, _, _ = effect.key.rpartition(":")
    await effects.add(
        tx.conn,
        kind=effect.kind,
        subject=effect.subject,
        lane=effect.lane,
        key=f"{stem}:{effect.attempt + 1}",
        request=_for_attempt(effect.request, effect.attempt + 1),
        due_at=tx.now,
        caused_at=tx.now,
        attempt=effect.attempt + 1,
    )


def _for_attempt(request: dict[str, Any], attempt: int) -> dict[str, Any]:
    """The request with its attempt in the metadata, by which it can be found back."""
    params = request.get("params")
    if not params:
        return request
    metadata = {**params["metadata"], "attempt": str(attempt)}
    return {**request, "params": {**params, "metadata": metadata}}


async def _later(tx: Transaction, effect: Effect, outcome: Unknown | NotSent) -> None:
    # An unknown that turns out not sent on a later try stays unknown: the first call may have had
    # its effect. Only what was never in doubt goes back to pending.
    doubtful = isinstance(outcome, Unknown) or effect.resolving
    state = "unknown" if doubtful else "pending"
    if effect.tries == TRIES_SHOWN:
        await _show(tx, effect, outcome.why)
    wait_ms = effects.backoff_ms(effect.tries, _WAIT_MAX_MS.get(effect.kind, 60_000))
    await effects.put_back(tx.conn, effect, state, wait_ms=wait_ms, why=outcome.why)


async def _show(tx: Transaction, effect: Effect, why: str) -> None:
    await anomalies.record(
        tx.conn,
        at=tx.now,
        code="effect.stuck",
        subject=effect.subject,
        detail={"kind": effect.kind, "key": effect.key, "why": why},
        cause=effect.key,
    )


def sent_text(outcome: Outcome) -> str:
    """For the log."""
    return msgspec.json.encode(outcome).decode()[:300]

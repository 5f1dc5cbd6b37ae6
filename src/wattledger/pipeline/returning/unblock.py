"""Blocks that a person lifts: of a dispute that was lost, or of a debt that is let be."""

from __future__ import annotations

from wattledger.contract import Reason, Route
from wattledger.db.work import Transaction
from wattledger.errors import NotFound
from wattledger.payments import blocks
from wattledger.payments.returns_store import Dispute
from wattledger.pipeline.deciding import money_acts
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions


async def block_disputed(tx: Transaction, dispute: Dispute) -> None:
    """Whose payment it was: the account, else the card that paid, else the token. Not the tag that
    a terminal's guests share: it is nobody's."""
    if dispute.inquiry or dispute.payment_id is None:
        return
    cursor = await tx.conn.execute(
        "SELECT account_id, driver, session_id FROM payment WHERE id = %s", (dispute.payment_id,)
    )
    payment = await cursor.fetchone()
    assert payment is not None, "a dispute has its payment (foreign key)"
    row = await sessions.get(tx.conn, payment["session_id"]) if payment["session_id"] else None
    token = row.token if row is not None and row.contract.route is not Route.TERMINAL else None
    whose = (payment["account_id"], token, payment["driver"])
    if any(whose):
        await blocks.set_block(
            tx.conn, *whose, blocked=True, why_text=str(Reason.BLOCKED), cause=dispute.id,
            at=tx.now,
        )  # fmt: skip


async def lift(world: World, whose: str, *, actor: str, reason: str) -> str:
    """An account, a guest's card or a token may charge again, whatever it owes; which of them it
    was. Raises NotFound where none of that name is blocked."""
    async with world.work.transaction("act") as tx:
        for kind, named in (
            ("account", (whose, None, None)), ("card", (None, None, whose)),
            ("token", (None, whose, None)),
        ):  # fmt: skip
            before = await blocks.why(tx.conn, *named)
            if before is None or not await blocks.set_block(
                tx.conn, *named, blocked=False, why_text=reason, cause=actor, at=tx.now
            ):
                continue
            await money_acts.record(
                tx, actor=actor, act="unblock", subject=whose, reason=reason,
                detail={"kind": kind, "why": before},
            )  # fmt: skip
            return kind
        raise NotFound(f"no account, card or token {whose} is blocked")

"""Step inbox: the answers that were given to requests with a key of their sender's."""

from __future__ import annotations

from typing import Any

from wattledger.ingest import inbox
from wattledger.pipeline.world import World


async def look(world: World, source: str, key: str, body: bytes) -> dict[str, Any] | None:
    """The answer that is kept, or None: then the request is to be done. Raises Conflict for a key
    that came with another request."""
    async with world.work.transaction("inbox") as tx:
        received = await inbox.receive(
            tx.conn, source=source, external_id=key, body=body, received_at=tx.now
        )
        answer: dict[str, Any] | None = received.answer if received.handled else None
        return answer


async def keep(world: World, source: str, key: str, answer: dict[str, Any]) -> None:
    """Keep the answer; of two that were at work on the same request the first one's stays."""
    async with world.work.transaction("inbox") as tx:
        cursor = await tx.conn.execute(
            "SELECT id, handled_at FROM inbox WHERE source = %s AND external_id = %s FOR UPDATE",
            (source, key),
        )
        row = await cursor.fetchone()
        if row is not None and row["handled_at"] is None:
            await inbox.handled(tx.conn, row["id"], tx.now, answer)

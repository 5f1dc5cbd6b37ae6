"""What an import would do, and nothing done: the checks of the step, one by one, without a step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from wattledger.errors import BadInput, Conflict
from wattledger.ids import content_digest, derive
from wattledger.ingest import inbox
from wattledger.pipeline.importing.imports import (
    Conn,
    Item,
    Outcome,
    Snapshots,
    body_of,
    check,
    elsewhere,
)
from wattledger.sessions import finished


class Preview:
    """Remembers what it has seen, so that a file that contradicts itself is told so too.

    Without ``conn`` there is no database yet: then nothing is known of what came before.
    """

    def __init__(self, snapshots: Snapshots, now: datetime, source: str, conn: Conn | None) -> None:
        self._snapshots, self._now, self._source, self._conn = snapshots, now, source, conn
        self._digests: dict[str, str] = {}
        self._paid: dict[tuple[str, str], str] = {}

    async def look(self, items: Sequence[Item]) -> list[Outcome]:
        """As ``imports.take_all`` would answer, as far as can be said beforehand."""
        policies = (await self._snapshots(self._now)).policies
        twice = await self._remember(items)
        outcomes = []
        for item in items:
            try:
                session = finished.in_utc(item.session, item.path)
                finished.check(session, item.path)
                checked = msgspec.structs.replace(item, session=session)
                session_id = derive("ses", self._source, session.id)
                digest = content_digest(body_of(checked))
                known = self._digests.get(session.id)
                if known is None:
                    snapshot = await self._snapshots(session.started_at)
                    _, contract = check(session, item.path, self._now, policies, snapshot)
                    if session.id in twice:
                        raise twice[session.id]
                    await self._alone(checked, contract.entity_id)
                    self._digests[session.id] = digest
                elif known != digest:
                    raise inbox.AnotherContent(self._source, session.id)
                outcomes.append(Outcome(session.id, session_id, new=known is None))
            except (BadInput, Conflict) as error:
                outcomes.append(Outcome(item.session.id, error=error))
        return outcomes

    async def _remember(self, items: Sequence[Item]) -> dict[str, Conflict]:
        """Which of them are here already, and what they were; which came through another door."""
        if self._conn is None:
            return {}
        found = await inbox.known(self._conn, self._source, [i.session.id for i in items])
        for key, (digest, _) in found.items():
            self._digests.setdefault(key, digest)
        return await elsewhere(self._conn, self._source, [i.session for i in items])

    async def _alone(self, item: Item, entity_id: str) -> None:
        """Raises Conflict for a payment that has paid another session."""
        session = item.session
        if session.external is None:
            return
        paid = (entity_id, session.external.reference)
        taken = self._paid.setdefault(paid, session.id) != session.id
        if self._conn is not None and not taken:
            cursor = await self._conn.execute(
                "SELECT FROM external_payment WHERE entity_id = %s AND reference = %s", paid
            )
            taken = await cursor.fetchone() is not None
        if taken:
            raise Conflict(f"the payment {paid[1]!r} has paid another session already")

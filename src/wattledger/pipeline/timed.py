"""Step due: what was put off to a business time, and whose time has come.

Nothing outside is called: an effect of this kind is an alarm clock that survives a restart, one
lane each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from wattledger.clock import utc_text
from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.pipeline.handlers import Settled

DUE = "money.due"

What = Callable[[Settled], Awaitable[None]]


async def put_off(
    tx: Transaction, what: str, subject: str, at: datetime, request: dict[str, Any] | None = None
) -> bool:
    """Do ``what`` about ``subject`` at ``at``; asked for twice, it is done once. Whoever does it
    looks first whether there is still anything to do."""
    key = f"{subject}:{what}:{utc_text(at)}"
    return await effects.add(
        tx.conn, kind=DUE, subject=subject, lane=key, key=key,
        request={"what": what, **(request or {})}, due_at=at, caused_at=tx.now,
    )  # fmt: skip

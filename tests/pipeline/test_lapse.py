"""Holds about to lapse: an open session is stopped in time, a held one is shown."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from handmade import NOW, add_payment, add_session
from wattledger.clock import DrivenClock
from wattledger.contract import Route
from wattledger.db.connect import Database
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.entitlements import Directory
from wattledger.pipeline import lapse


@pytest.mark.parametrize(
    ("state", "hours_left", "told", "stopped"),
    [("open", 40, 1, 1), ("held", 40, 1, 0), ("open", 43, 0, 0), ("billed", 40, 0, 0)],
)
async def test_only_what_lapses_before_the_night_after_next(
    database: Database, work: Work, clock: DrivenClock,
    state: str, hours_left: int, told: int, stopped: int,
) -> None:  # fmt: skip
    # A margin of 12 h and 30 h until the next look: 42 h ahead.
    now = clock.now()
    with psycopg.connect(database.conninfo(Role.APP)) as conn:
        key = add_session(conn, route=Route.CARD, state=state, started_at=NOW)
        lapses = now + timedelta(hours=hours_left)
        add_payment(conn, "pay_1", key, capture_before=lapses)
    async with work.transaction("test") as tx:
        await lapse.mind(tx, Directory([]).at(now))
        await lapse.mind(tx, Directory([]).at(now))
        row = await (
            await tx.conn.execute(
                "SELECT (SELECT count(*) FROM anomaly WHERE code = 'hold.lapsing') AS told,"
                " (SELECT count(*) FROM effect WHERE kind = 'ocpp.remote_stop') AS stopped"
            )
        ).fetchone()
    assert row == {"told": told, "stopped": stopped}

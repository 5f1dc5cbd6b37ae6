"""Whether there is room for one more start of those that anybody may ask for (``checkout``).

A start without a name costs its asker nothing, and us a call at the processor and a connector. So a
connector has one at a time; it is kept while its page is open, and the next driver's once that is
closed. How many go unpaid is bounded at each connector, and in all. All of it is counted in the
database: by every process, and after a restart.
"""

from __future__ import annotations

from datetime import timedelta

from wattledger.contract import Route
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.errors import TooMany
from wattledger.payments import starts_store
from wattledger.payments.starts_store import StartRequest
from wattledger.pipeline.starting import starts

_HOUR = timedelta(hours=1)
_SOON_S = 60
"""When to look again where nobody can say when there will be room."""


async def at_connector(tx: Transaction, snapshot: Snapshot, start: StartRequest) -> None:
    """Nobody else's start is live there. One whose page is closed is given up for this one. Raises
    TooMany."""
    if start.route != Route.CHECKOUT:
        return
    await starts_store.take_turns(tx.conn, f"connector:{start.charge_point_id}")
    place = snapshot.place_of(start.charge_point_id)
    most = place[1].connectors if place else 1
    others = await starts_store.live_at(tx.conn, start.charge_point_id)
    mine = [each for each in others if each.connector_id == start.connector_id is not None]
    taken = mine or (others if len(others) >= most else [])
    staying = [each for each in taken if not each.left_by(tx.now)]
    if staying and (mine or len(staying) >= most):
        until = min(each.kept_until or each.expires_at for each in staying)
        raise TooMany(
            "connector_taken",
            f"another start is under way at {_where(start)}: one at a time",
            _seconds(until - tx.now),
        )
    for each in taken:
        if each not in staying:
            await starts.leave(tx, each.id)


async def unpaid(tx: Transaction, snapshot: Snapshot, start: StartRequest) -> None:
    """No more go unpaid than may. Raises TooMany."""
    if start.route != Route.CHECKOUT:
        return
    policies = snapshot.policies
    unpaid = await starts_store.unpaid_at(
        tx.conn, start.charge_point_id, start.connector_id, tx.now - _HOUR
    )
    over = len(unpaid) - policies.unpaid_starts_per_hour
    if over >= 0:
        raise TooMany(
            "unpaid_starts",
            f"{len(unpaid)} starts at {_where(start)} within an hour were never paid"
            " ([policies] unpaid_starts_per_hour)",
            _seconds(unpaid[over] + _HOUR - tx.now),
        )
    await starts_store.take_turns(tx.conn, "checkout")
    waiting = await starts_store.count_unpaid(tx.conn)
    if waiting >= policies.unpaid_starts_max:
        raise TooMany(
            "too_many_open",
            f"{waiting} starts wait for their drivers' cards ([policies] unpaid_starts_max)",
            _SOON_S,
        )


def _where(start: StartRequest) -> str:
    at = "" if start.connector_id is None else f"connector {start.connector_id} of "
    return f"{at}{start.charge_point_id}"


def _seconds(left: timedelta) -> int:
    return max(1, -(-left // timedelta(seconds=1)))

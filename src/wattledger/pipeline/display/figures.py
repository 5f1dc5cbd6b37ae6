"""What a session costs as it stands, by the bill's own pricing function: for displays, for drivers.

A figure that can't be computed is none: the session itself goes on, and its bill says why.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from wattledger.contract import Route
from wattledger.db.work import Transaction
from wattledger.errors import WattledgerError
from wattledger.money import exponent
from wattledger.pipeline.charging.idle import idle_counts_on
from wattledger.pipeline.world import World
from wattledger.rating import Charge, Terms, price
from wattledger.rating.outlook import Goes, Price, Stretch, continued, idle_begins, outlook
from wattledger.sessions import Activity, Delivery, Fact, MeterRules, assemble
from wattledger.sessions import store as sessions
from wattledger.sessions.facts import place
from wattledger.sessions.store import SessionRow
from wattledger.tariffs import Tariff

log = logging.getLogger(__name__)

# How far a change of price is looked ahead.
AHEAD = timedelta(hours=24)


class Idle(msgspec.Struct, frozen=True):
    """Idle time of the car, that costs from ``costs_from`` on, grace over."""

    since: datetime
    costs_from: datetime
    price: Price


class Figures(msgspec.Struct, frozen=True):
    """A session as it stands at ``at``, its cost, and what goes on ``since`` when.

    ``goes_on``: its cost may still grow: it runs, or the car is still there and that counts.
    """

    row: SessionRow
    tariff: Tariff
    terms: Terms
    delivery: Delivery
    charge: Charge
    activity: Activity
    since: datetime
    goes_on: bool

    @property
    def at(self) -> datetime:
        """The last moment that anything is known of."""
        return self.delivery.ended_at

    @property
    def stopped(self) -> bool:
        """Whether the transaction is over."""
        return self.row.stopped_at is not None

    @property
    def total_minor(self) -> int:
        """With tax, in the smallest unit; nothing where nobody pays."""
        return 0 if self.row.contract.route is Route.FREE else self.charge.total_minor

    @property
    def total(self) -> Decimal:
        """With tax, in major units with all their decimals."""
        return Decimal(self.total_minor).scaleb(-exponent(self.charge.currency))

    @property
    def idle_since(self) -> datetime | None:
        """Since when the car asks for nothing; None while it charges or waits for the charger."""
        return self.since if self.activity is Activity.VEHICLE_IDLE else None

    def ahead(self, activity: Activity, at: datetime) -> tuple[Stretch, ...]:
        """The prices from ``at`` on; none where they can't be told."""
        goes = Goes(activity, at, max(at, self.at) + AHEAD, self.stopped)
        try:
            return outlook(self.delivery, self.tariff, self.terms, goes)
        except WattledgerError:
            return ()

    def idle_from(self, since: datetime) -> Idle | None:
        """What idle time since then costs, and from when on; None where it never does."""
        if self.stopped and not idle_counts_on(self.tariff):
            return None
        begins = idle_begins(
            self.ahead(Activity.VEHICLE_IDLE, since), self.tariff, self.terms, since
        )
        return Idle(since, *begins) if begins else None

    def later(self, at: datetime) -> Figures:
        """As it will stand then, if nothing changes but the time. Raises CantPrice."""
        if at <= self.at:
            return self
        goes = Goes(self.activity, self.at, at, self.stopped)
        found = continued(self.delivery, goes)
        charge = price(found, self.tariff, self.terms)
        return msgspec.structs.replace(self, delivery=found, charge=charge)


async def figures(tx: Transaction, world: World, session: str | SessionRow) -> Figures | None:
    """None where it can't be priced, or was refused. Only read and computed: whatever is wrong with
    it undoes nothing of the step. ``session``: its id, or its row where that is what it is now."""
    row = await sessions.get(tx.conn, session) if isinstance(session, str) else session
    if row is None or row.contract.refused is not None:
        return None
    tariff = await world.tariff(tx.conn, row.contract.tariff_digest)
    shown = row.contract.display_tariff_digest
    displayed = await world.tariff(tx.conn, shown) if shown else None
    facts = await sessions.facts(tx.conn, row.id)
    # After a stop that was told late no idle time is billed (ADR 0005).
    stop = await sessions.stop_fact(tx.conn, row.id) if row.state == "ended" else None
    try:
        return _figures(row, facts, tariff, displayed, live=stop is None or stop.live is not False)
    except WattledgerError:
        return None  # its bill will say why
    except Exception:
        log.exception("%s can't be shown its cost", row.id)
        return None


def _figures(
    row: SessionRow,
    facts: Sequence[Fact],
    tariff: Tariff,
    displayed: Tariff | None,
    *,
    live: bool,
) -> Figures | None:
    contract = row.contract
    counts_on = idle_counts_on(tariff)
    found = assemble(
        row.id, contract.time_zone, facts, idle_after_stop=counts_on,
        rules=MeterRules(contract.power_w or None, contract.idle_below_w),
    ).delivery  # fmt: skip
    if found is None:
        return None
    terms = Terms.of(contract)
    charge = price(found, tariff, terms)
    if displayed is not None and displayed is not tariff:
        # After an offline start no more than was displayed, as the bill will be.
        other = price(found, displayed, terms)
        if other.total_minor < charge.total_minor:
            charge, tariff = other, displayed
    goes_on = row.state == "open" or (counts_on and live and _still_there(row, facts))
    activity, since = _activity(found, facts, row)
    return Figures(row, tariff, terms, found, charge, activity, since, goes_on)


def _activity(
    delivery: Delivery, facts: Sequence[Fact], row: SessionRow
) -> tuple[Activity, datetime]:
    """What goes on at the end of it, and since when. A status that is the last thing that was said
    has no length yet, so no delivery has it; after the stop nothing charges."""
    activity, since = Activity.CHARGING, delivery.started_at
    for change in delivery.changes:
        if change.at < delivery.ended_at:
            activity, since = change.activity, change.at
    said = [f for f in facts if f.kind == "status" and f.at >= delivery.ended_at]
    for fact in sorted(said, key=place):
        if fact.activity is not None and fact.activity is not activity:
            activity, since = fact.activity, fact.at
    if row.stopped_at is not None and activity is Activity.CHARGING:
        return Activity.VEHICLE_IDLE, delivery.ended_at
    return activity, since


def _still_there(row: SessionRow, facts: Sequence[Fact]) -> bool:
    """Whether the bill waits for the car to go: nobody has seen it go, and it can be seen."""
    if row.state != "ended" or row.stop_provisional or row.bill_due_at is None:
        return False
    return row.stopped_at is not None and not any(fact.kind == "unplug" for fact in facts)

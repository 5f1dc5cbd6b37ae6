"""Safety bounds: what is far above the usual is not sent, but parked until a person lets it.

The bounds are read as they are now, not as they were promised: they are for us, not for drivers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.db import effects
from wattledger.db.work import Transaction
from wattledger.entitlements.model import Policies
from wattledger.ingest import anomalies
from wattledger.money import format_minor
from wattledger.payments import store as payments
from wattledger.payments.model import Processor, charge_max_minor
from wattledger.payments.store import Payment

_DAY = timedelta(days=1)
_IN_FORCE = """
    SELECT DISTINCT ON (a.kind) a.kind, v.body FROM config_activation a
      LEFT JOIN config_version v ON v.digest = a.digest
     WHERE (a.kind, a.key) IN (('processor', %s), ('policies', 'policies'))
       AND a.valid_from <= %s
     ORDER BY a.kind, a.valid_from DESC, a.seq DESC
"""


class Bounds(msgspec.Struct, frozen=True):
    """Above these a payment waits. None: its processor is not configured any more."""

    charge_max_minor: int | None
    per_driver_per_day: int


async def in_force(tx: Transaction, processor_id: str, currency: str) -> Bounds:
    """The bounds of a processor account."""
    cursor = await tx.conn.execute(_IN_FORCE, (processor_id, tx.now))
    bodies = {row["kind"]: row["body"] for row in await cursor.fetchall() if row["body"]}
    policies = msgspec.convert(bodies.get("policies", {}), Policies)
    most = None
    if "processor" in bodies:
        most = charge_max_minor(msgspec.convert(bodies["processor"], Processor), currency)
    return Bounds(most, policies.charges_per_driver_per_day_max)


async def exceeded(
    tx: Transaction, payment: Payment, amount_minor: int, *, new: bool = True
) -> str | None:
    """Which bound ``amount_minor`` of a payment is above; None: none. A ``new`` one counts among
    those of its driver's day."""
    bounds = await in_force(tx, payment.processor_id, payment.currency)
    if bounds.charge_max_minor is not None and amount_minor > bounds.charge_max_minor:
        asked = format_minor(amount_minor, payment.currency)
        return f"{asked} is above {format_minor(bounds.charge_max_minor, payment.currency)}"
    if new and payment.driver is not None:
        await take_turns(tx, payment.driver)
        before = await payments.charged_since(
            tx.conn, payment.driver, tx.now - _DAY, but=payment.id
        )
        if before >= bounds.per_driver_per_day:
            return f"{before} payments of this driver within 24 hours"
    return None


async def take_turns(tx: Transaction, driver: str) -> None:
    """Two payments of a driver at once would each be counted without the other. Whoever comes here
    has its session and its payments already, and takes none of another session after it: nobody
    waits the other way round. Who sets or lifts blocks and charges, too, comes here before the
    blocks (``payments.blocks``)."""
    await tx.conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 9))", (driver,))


async def ask(
    tx: Transaction,
    payment: Payment,
    kind: str,
    request: dict[str, Any],
    due_at: datetime | None = None,
) -> bool:
    """The effect that asks for a new payment, ``stripe.hold`` or ``stripe.charge``; above a bound
    the payment is parked instead. Whether it was sent."""
    unsent = _unsent(payment, kind, request, payment.state)
    why = await exceeded(tx, payment, payment.hold_minor)
    if why is not None:
        await _park(tx, payment, why, unsent, payment.hold_minor)
        return False
    await send(tx, payment.id, unsent, due_at or tx.now)
    return True


async def go_on(
    tx: Transaction, payment: Payment, kind: str, request: dict[str, Any], to: str
) -> bool:
    """More is asked of a payment that is held; above a bound it is parked. Whether it was sent."""
    unsent = _unsent(payment, kind, request, to)
    amount_minor = int(request.get("amount_minor", 0))
    why = await exceeded(tx, payment, amount_minor, new=False)
    if why is not None:
        await _park(tx, payment, why, unsent, amount_minor)
        return False
    await send(tx, payment.id, unsent, tx.now)
    await payments.move(tx.conn, payment.id, to)
    return True


async def send(tx: Transaction, payment_id: str, unsent: dict[str, Any], due_at: datetime) -> None:
    """The effect as it was decided."""
    await effects.add(
        tx.conn, kind=unsent["kind"], subject=payment_id, lane=payment_id, key=unsent["key"],
        request=unsent["request"], due_at=due_at, caused_at=tx.now,
    )  # fmt: skip


def _unsent(payment: Payment, kind: str, request: dict[str, Any], to: str) -> dict[str, Any]:
    what = kind.removeprefix("stripe.")
    key = f"{payment.entity_id}:{payment.id}:{what}:1"
    return {"kind": kind, "key": key, "request": request, "to": to}


async def _park(
    tx: Transaction, payment: Payment, why: str, unsent: dict[str, Any], amount_minor: int
) -> None:
    await payments.park(tx.conn, payment.id, why, unsent)
    await anomalies.record(
        tx.conn, at=tx.now, code="payment.parked", subject=payment.id,
        detail={"why": why, "amount_minor": amount_minor, "currency": payment.currency,
                "session_id": payment.session_id},
        cause=unsent["key"],
    )  # fmt: skip

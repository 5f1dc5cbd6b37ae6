"""Cards that were read at a reader of ours by somebody else's doing: a till, the dashboard.

The intent on our account is a hold like any other, but for no start: it gets a payment here, and
is matched to its session as a vendor's payment is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wattledger.entitlements.terminals import STRIPE, Terminal
from wattledger.ids import derive
from wattledger.payments import store as payments
from wattledger.payments.store import Payment
from wattledger.payments.terminal import store
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline.collecting import lapse
from wattledger.pipeline.handlers import Settled
from wattledger.pipeline.terminals import terminals


async def taken(settled: Settled, found: dict[str, Any]) -> bool:
    """Whether an intent that is no payment of ours is one now: held, at a reader of a [[terminal]],
    on the account of its site, in the currency of its legal entity."""
    terminal = _terminal(settled, found)
    if terminal is None or found["status"] != "requires_capture" or not found["amount_minor"]:
        return False
    tx, snapshot = settled.tx, settled.snapshot
    site = snapshot.site(terminal.site)
    entity = snapshot.entity(site.entity) if site else None
    processor_id = settled.effect.request["processor_id"]
    if site is None or entity is None or site.processor != processor_id:
        return False
    if found["currency"].upper() != entity.currency:
        return False
    payment_id = derive("pay", processor_id, found["id"])
    await payments.add(
        tx.conn,
        Payment(
            id=payment_id, session_id=None, entity_id=entity.id, processor_id=processor_id,
            currency=entity.currency, hold_minor=found["amount_minor"], state="waiting",
            intent_id=found["id"], route="terminal", method="card_present",
            reader_id=terminal.reader, created_at=tx.now,
        ),
    )  # fmt: skip
    await payments.held(tx.conn, payment_id, {**found, "intent_id": found["id"]})
    await lapse.watch(settled, await payments.get(tx.conn, payment_id))
    payment = TerminalPayment(
        id=derive("tpa", STRIPE, entity.id, found["id"]), entity_id=entity.id, provider=STRIPE,
        terminal_id=terminal.id, reference=found["id"], mode="we_capture",
        currency=entity.currency, authorized_at=datetime.fromisoformat(found["created_at"]),
        authorized_minor=found["held_minor"], received_at=tx.now, brand=found.get("brand"),
        last4=found.get("last4"), payment_id=payment_id,
    )  # fmt: skip
    if await store.add(tx.conn, payment):
        await terminals.look_later(tx, payment, terminal.before_s)
        await terminals.fit(tx, settled.world, payment)
    return True


def _terminal(settled: Settled, found: dict[str, Any]) -> Terminal | None:
    reader_id = found.get("reader_id")
    if reader_id is None:
        return None
    return next(
        (
            terminal
            for terminal in settled.snapshot.all("terminal", Terminal)
            if (terminal.provider, terminal.reader) == (STRIPE, reader_id)
        ),
        None,
    )

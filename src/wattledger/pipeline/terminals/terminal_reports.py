"""Step terminal_report: what vendors and charge points report of payments at terminals.

A report counts once, by its reference and kind. It may come in any order: a settlement of what
nobody authorized here is an authorization too. Whatever session waits for it is taken up.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from wattledger import money
from wattledger.clock import utc_text
from wattledger.db.work import Transaction
from wattledger.entitlements import Snapshot
from wattledger.entitlements.terminals import STRIPE, Terminal, TerminalVendor
from wattledger.errors import BadInput, NotFound
from wattledger.ids import derive
from wattledger.ingest import anomalies, inbox
from wattledger.payments.terminal import store
from wattledger.payments.terminal.reports import Report
from wattledger.payments.terminal.store import TerminalPayment
from wattledger.pipeline.terminals import terminals, unapplied
from wattledger.pipeline.terminals.terminal_match import take_turns
from wattledger.pipeline.world import World
from wattledger.sessions import store as sessions
from wattledger.wire.numbers import CLOCK_AHEAD_MAX, clock_is_wrong, device_time
from wattledger.wire.ocpp import v21

OCPP = "ocpp"
"""With the charge point's name the provider of its own terminal, where none is configured."""


# More than any session costs, in any currency.
_MOST = 10**9


class Taken(msgspec.Struct, frozen=True):
    """What became of a report. ``new`` is False where it had come before."""

    id: str
    reference: str
    state: str
    new: bool
    session_id: str | None = None


class Payee(msgspec.Struct, frozen=True):
    """To whom a report is about money."""

    provider: str
    terminal_id: str
    mode: str
    site_id: str
    entity_id: str
    currency: str
    before_s: int = 300


async def take(world: World, vendor_id: str, report: Report, path: str = "$") -> Taken:
    """Take a vendor's report. Raises NotFound, BadInput with its place, and Conflict where the same
    report came before with another content."""
    now = world.now
    payee, amount_minor = await check(world, vendor_id, report, path)
    snapshot = world.known(now)
    async with world.work.transaction("terminal_report", now=now) as tx:
        received = await inbox.receive(
            tx.conn, source=f"terminal:{payee.provider}",
            external_id=f"{report.reference}:{report.kind}", body=report.raw(), received_at=now,
            answer={"reference": report.reference},
        )  # fmt: skip
        await take_turns(tx, payee.site_id)
        payment = await store.find(tx.conn, payee.provider, payee.entity_id, report.reference)
        if payment is not None:
            _check_place(snapshot, payment, payee, report, path)
        if received.new:
            payment = await _take(tx, world, payee, report, amount_minor, payment)
        assert payment is not None, "it came before, and was stored with it"
        tx.seen()
        return Taken(payment.id, payment.reference, payment.state, received.new,
                     payment.session_id)  # fmt: skip


async def check(
    world: World, vendor_id: str, report: Report, path: str = "$"
) -> tuple[Payee, int | None]:
    """Whether a report can be taken: whose it is, and its amount. Raises NotFound and BadInput."""
    snapshot = await world.snapshot(world.now)
    payee = _payee(snapshot, vendor_of(snapshot, vendor_id), report, path)
    _check_evse(snapshot, report, path)
    for name, at in (("at", report.at), ("authorized_at", report.authorized_at)):
        if at is not None and at > world.now + CLOCK_AHEAD_MAX:  # nobody would be shown it before
            raise BadInput(f"{path}.{name}", utc_text(at), "a time that is not to come")
    if report.kind == "reversal":
        return payee, None
    return payee, report.amount_minor(payee.currency, path)


def vendor_of(snapshot: Snapshot, vendor_id: str) -> TerminalVendor:
    """The vendor with this id. Raises NotFound."""
    vendor = snapshot.get("terminal_vendor", vendor_id, TerminalVendor)
    if vendor is None:
        raise NotFound(f"no [[terminal_vendor]] {vendor_id!r}")
    return vendor


def _payee(snapshot: Snapshot, vendor: TerminalVendor, report: Report, path: str) -> Payee:
    mine = [t for t in snapshot.all("terminal", Terminal) if t.provider == vendor.id]
    for terminal in mine:
        if report.terminal in (terminal.id, terminal.reader):
            entity = snapshot.entity(vendor.entity)
            assert entity is not None, "checked where it was configured"
            return Payee(vendor.id, terminal.id, terminal.mode, terminal.site, entity.id,
                         entity.currency, terminal.before_s)  # fmt: skip
    known = ", ".join(sorted(t.id for t in mine)) or "none is configured"
    raise BadInput(f"{path}.terminal", report.terminal, f"a terminal of {vendor.id} ({known})")


def _check_place(
    snapshot: Snapshot, payment: TerminalPayment, payee: Payee, report: Report, path: str
) -> None:
    """A reference that another site's terminal comes with is another payment's."""
    known = snapshot.get("terminal", payment.terminal_id, Terminal)
    if known is not None and known.site != payee.site_id:
        raise BadInput(
            f"{path}.terminal", report.terminal, f"{known.id}, which read {report.reference}"
        )


def _check_evse(snapshot: Snapshot, report: Report, path: str) -> None:
    if report.charge_point_id is None:
        return
    place = snapshot.place_of(report.charge_point_id)
    if place is None:
        raise BadInput(
            f"{path}.charge_point_id", report.charge_point_id, "one of our charge points"
        )
    most = place[1].connectors
    if report.connector_id is not None and report.connector_id > most:
        raise BadInput(f"{path}.connector_id", report.connector_id, f"a connector up to {most}")


async def _take(
    tx: Transaction,
    world: World,
    payee: Payee,
    report: Report,
    amount_minor: int | None,
    payment: TerminalPayment | None,
) -> TerminalPayment:
    if payment is None:
        payment = await _new(tx, payee, report, amount_minor or 0)
    elif report.kind == "authorization" and amount_minor is not None:
        # What a settlement let us guess is known now.
        await store.change(tx.conn, payment.id, authorized_minor=amount_minor)
    if report.kind == "settlement" and amount_minor is not None:
        snapshot = world.known(tx.now)
        await terminals.take_settlement(tx, snapshot, payment, amount_minor, report.at)
    elif report.kind == "reversal":
        return await reversed_by(tx, world.known(tx.now), payment, report.at)
    await _fit(tx, world, payment)
    return await store.get(tx.conn, payment.id) or payment


async def _new(tx: Transaction, payee: Payee, report: Report, amount_minor: int) -> TerminalPayment:
    payment = TerminalPayment(
        id=derive("tpa", payee.provider, payee.entity_id, report.reference),
        entity_id=payee.entity_id, provider=payee.provider, terminal_id=payee.terminal_id,
        reference=report.reference, mode=payee.mode, currency=payee.currency,
        authorized_at=report.authorized_at or report.at, authorized_minor=amount_minor,
        received_at=tx.now, charge_point_id=report.charge_point_id,
        connector_id=report.connector_id, brand=report.brand, last4=report.last4,
        transaction_ref=report.session,
    )  # fmt: skip
    await store.add(tx.conn, payment)
    await terminals.look_later(tx, payment, payee.before_s)
    return payment


async def _fit(tx: Transaction, world: World, payment: TerminalPayment) -> None:
    now_stands = await store.get(tx.conn, payment.id)
    if now_stands is not None and now_stands.state in ("open", "suspense"):
        await terminals.fit(tx, world, now_stands)


async def reversed_by(
    tx: Transaction, snapshot: Snapshot, payment: TerminalPayment, at: datetime
) -> TerminalPayment:
    """Nothing is held or taken any more, whatever had been settled: it pays for no session. Of one
    that is billed already its payer is gone: a break, until a person says what becomes of it."""
    if payment.reversed_at is not None:
        return payment
    if await _is_billed(tx, payment):
        await store.change(tx.conn, payment.id, reversed_at=at)
        await anomalies.record(
            tx.conn, at=tx.now, code="terminal.reversed", subject=payment.session_id or payment.id,
            detail={"reference": payment.reference, "settled_minor": payment.settled_minor,
                    "at": utc_text(at)},
            cause=f"{payment.id}:reversed",
        )  # fmt: skip
    elif payment.state != "returned":
        await unapplied.unbook(tx, snapshot, payment)
        await store.change(
            tx.conn, payment.id, state="returned", session_id=None, why="reversed", candidates=[],
            reversed_at=at,
        )  # fmt: skip
        await anomalies.settle(
            tx.conn, "terminal.suspense", payment.id, "The payment was reversed.", tx.now
        )
    return await store.get(tx.conn, payment.id) or payment


async def _is_billed(tx: Transaction, payment: TerminalPayment) -> bool:
    if payment.session_id is None:
        return False
    row = await sessions.get(tx.conn, payment.session_id)
    return row is not None and row.state in ("billed", "adjusted")


# --- OCPP 2.1 --------------------------------------------------------------------------------


async def notify_settlement(
    world: World, charge_point_id: str, message: v21.NotifySettlement
) -> v21.NotifySettlementResponse:
    """C18 to C23: what a charge point's own terminal made of a payment. The same message again
    changes nothing. The receipt of a payment at the terminal is the terminal's to print: ours is
    named where there is one."""
    now = world.now
    snapshot = await world.snapshot(now)
    # No database keeps it: a reference that can't be told from another one names no payment.
    spoilt = "\0" in message.psp_ref
    message = msgspec.structs.replace(message, psp_ref=message.psp_ref.replace("\0", "␀"))
    payee = _at_point(snapshot, charge_point_id, message)
    async with world.work.transaction("terminal_report", now=now) as tx:
        if payee is None:
            await _unplaced(tx, charge_point_id, message)
            return v21.NotifySettlementResponse()
        amount = message.settlement_amount
        amount_minor = _minor(amount, payee.currency) if abs(amount) <= _MOST else -1
        if amount_minor < 0 or spoilt:
            await _no_payment(tx, charge_point_id, message)
            return v21.NotifySettlementResponse()
        await take_turns(tx, payee.site_id)
        at = device_time(message.settlement_time)
        at = now if clock_is_wrong(at, now) else at
        payment = await store.find(tx.conn, payee.provider, payee.entity_id, message.psp_ref)
        if payment is None:
            report = await _as_report(tx, charge_point_id, message, at)
            payment = await _new(tx, payee, report, amount_minor)
        if message.status == "Settled":
            await terminals.take_settlement(tx, snapshot, payment, amount_minor, at)
            await _fit(tx, world, payment)
        elif message.status == "Canceled":
            await reversed_by(tx, snapshot, payment, at)
        else:
            await _refused(tx, payment, message, amount_minor)
        payment = await store.find(tx.conn, payee.provider, payee.entity_id, message.psp_ref)
    session_id = payment.session_id if payment is not None else None
    url = world.receipt_link(session_id) if session_id is not None else None
    return v21.NotifySettlementResponse(receipt_url=url, receipt_id=session_id if url else None)


def _at_point(
    snapshot: Snapshot, charge_point_id: str, message: v21.NotifySettlement
) -> Payee | None:
    """Its vendor's, where one is configured for the charge point; else the charge point's own."""
    place = snapshot.place_of(charge_point_id)
    entity = snapshot.entity(place[0].entity) if place else None
    if place is None or entity is None:
        return None
    for terminal in snapshot.terminals_at(charge_point_id, None):
        if terminal.provider != STRIPE:
            return Payee(terminal.provider, terminal.id, terminal.mode, terminal.site, entity.id,
                         entity.currency, terminal.before_s)  # fmt: skip
    own = f"{OCPP}:{charge_point_id}"
    # Who takes the money behind it nobody told us: another one's may count from 1 as well.
    return Payee(own, own, "vendor_captures", place[0].id, entity.id, entity.currency)


async def _as_report(
    tx: Transaction, charge_point_id: str, message: v21.NotifySettlement, at: datetime
) -> Report:
    """The card was read when its session started, as far as anybody knows."""
    began = None
    if message.transaction_id:
        row = await sessions.by_transaction(tx.conn, charge_point_id, message.transaction_id)
        began = row.started_at if row is not None else None
    return Report(
        kind="settlement", reference=message.psp_ref, terminal="", at=at,
        charge_point_id=charge_point_id, session=message.transaction_id or None,
        authorized_at=began,
    )  # fmt: skip


def _minor(amount: Decimal, currency: str) -> int:
    """A station counts in floats: 12.340000001 is 12.34."""
    scaled = amount.scaleb(money.exponent(currency))
    return int(scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP))


async def _refused(
    tx: Transaction, payment: TerminalPayment, message: v21.NotifySettlement, amount_minor: int
) -> None:
    """Rejected or failed: nobody has paid it. It may be settled yet; until then its session is
    anybody's who pays it, or is shown as billed and unpaid."""
    subject = payment.session_id or payment.id
    billed = await _is_billed(tx, payment)
    if payment.state == "matched" and payment.settled_minor is None and not billed:
        await store.change(tx.conn, payment.id, state="open", session_id=None, matched_by=None,
                           why="refused")  # fmt: skip
    elif payment.state == "open":
        await store.change(tx.conn, payment.id, why="refused")
    await anomalies.record(
        tx.conn, at=tx.now, code="terminal.unsettled", subject=subject,
        detail={"status": message.status, "why": message.status_info or "",
                "reference": payment.reference, "asked_minor": amount_minor},
        cause=f"{payment.id}:{message.status}:{message.settlement_time}",
    )  # fmt: skip


async def _no_payment(tx: Transaction, charge_point_id: str, message: v21.NotifySettlement) -> None:
    """No payment has such an amount or name: nothing is guessed from it, and somebody is told."""
    await anomalies.record(
        tx.conn, at=tx.now, code="terminal.differs", subject=charge_point_id,
        detail={"why": "a settlement of an amount or a name that no payment can have",
                "reference": message.psp_ref, "status": message.status,
                "amount": str(message.settlement_amount)},
        cause=f"settlement:{message.psp_ref}:{message.status}:{message.settlement_amount}",
    )  # fmt: skip


async def _unplaced(tx: Transaction, charge_point_id: str, message: v21.NotifySettlement) -> None:
    """A charge point that stands nowhere: its frame is kept, and somebody is told."""
    await anomalies.record(
        tx.conn, at=tx.now, code="contract.missing", subject=charge_point_id,
        detail={"why": "a settlement of a charge point that stands at no site",
                "reference": message.psp_ref, "status": message.status},
        cause=f"settlement:{message.psp_ref}:{message.status}",
    )  # fmt: skip

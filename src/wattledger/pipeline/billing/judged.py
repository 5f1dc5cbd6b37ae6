"""What a session's facts come to before it is priced, and what its price may not exceed."""

from __future__ import annotations

from wattledger.db.work import Transaction
from wattledger.errors import CantPrice
from wattledger.ids import content_digest
from wattledger.ingest import anomalies
from wattledger.money import format_minor
from wattledger.pipeline.charging import clocks
from wattledger.pipeline.world import World
from wattledger.rating import Charge, Terms, price
from wattledger.sessions import Delivery
from wattledger.sessions import store as sessions
from wattledger.sessions.store import SessionRow


async def assembled(tx: Transaction, row: SessionRow, *, idle_after_stop: bool) -> Delivery:
    """The delivery; what was mended or left out on the way is shown to a person.

    Raises CantPrice for what contradicts itself, and where the site's rules want signed meter
    values and there are none that its meter's key has signed.
    """
    await clocks.one_scale(tx.conn, row)
    found = await sessions.assembled(tx.conn, row, idle_after_stop=idle_after_stop)
    for note in found.notes:
        await anomalies.record(
            tx.conn, at=tx.now, code=note.code, subject=row.id, detail={"why": note.message},
            cause=content_digest(note.message.encode())[:16],
        )  # fmt: skip
    if found.held is not None or found.delivery is None:
        held = found.held
        raise CantPrice(held.code if held else "start.missing", held.message if held else "")
    if row.contract.signed_required:
        await require_signed(tx.conn, row)
    return found.delivery


async def require_signed(conn: sessions.Conn, row: SessionRow) -> None:
    """Raises CantPrice where begin and end are not both signed, and nobody corrected them."""
    facts = await sessions.facts(conn, row.id)
    corrected = {f.kind for f in facts} & {"correct_start", "correct_stop"}
    origins = {fact.origin for fact in facts}
    if corrected or (row.contract.meter_keys and {"signed_begin", "signed_end"} <= origins):
        return
    why = "no key of its meter is configured (meter_keys)"
    if row.contract.meter_keys:
        why = "begin and end are not both signed by its meter"
    raise CantPrice(
        "signature.missing",
        f"session {row.id} is to be billed by signed meter values, and {why}",
    )


async def no_more_than_shown(
    tx: Transaction, world: World, row: SessionRow, delivery: Delivery, charge: Charge, terms: Terms
) -> Charge:
    """Where a session was started offline its driver saw the default price of the display: what
    comes to more than that is billed by what was shown."""
    shown = await as_shown(tx.conn, world, row, delivery, charge, terms)
    if shown is charge:
        return charge
    await anomalies.record(
        tx.conn, at=tx.now, code="price.as_displayed", subject=row.id,
        detail={
            "by_contract": format_minor(charge.total_minor, charge.currency),
            "as_displayed": format_minor(shown.total_minor, shown.currency),
            "tariff": row.contract.display_tariff_id,
        },
        cause="bill",
    )  # fmt: skip
    return shown


async def as_shown(
    conn: sessions.Conn,
    world: World,
    row: SessionRow,
    delivery: Delivery,
    charge: Charge,
    terms: Terms,
) -> Charge:
    """``charge``, or the one by the displayed price where that is less."""
    shown_digest = row.contract.display_tariff_digest
    if shown_digest is None or shown_digest == row.contract.tariff_digest:
        return charge
    shown = price(delivery, await world.tariff(conn, shown_digest), terms)
    return charge if shown.total_minor >= charge.total_minor else shown

"""The chain from the meter to the books, the breaks in it, and the processor's clearing account."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from wattledger.web.places import Conn, Entity

LEGS = ("meter", "session", "external", "processor", "payout", "books")
_TITLES = {
    "missing.internal": "Payment without a session",
    "missing.external": "Charge the other side does not know",
    "amount.capture_mismatch": "Captured another amount than charged",
    "refund.unlinked": "Refund not in the ledger",
    "hold.gone_charged": "Charged again, as the hold was gone",
    "hold.gone_owed": "Owed, as the hold was gone",
    "hold.gone_waived": "Paid by nobody, as the hold was gone",
    "meter.gap": "Register moved between two sessions",
    "session.unclosed": "Session without an end",
    "session.unbilled": "Session without a charge",
    "timing.in_transit": "Payout not arrived yet",
    "duplicate.external": "Paid twice on the other side",
}
# Days, both ends included; the last one is open.
AGES = ((0, 1), (2, 3), (4, 7), (8, 30), (31, 60), (61, None))
_OLD_DAYS = 31

_LATEST = "SELECT * FROM reconciliation WHERE entity_id = %s ORDER BY cutoff_at DESC, id LIMIT 1"
_BREAKS = """
    SELECT * FROM break WHERE entity_id = %s AND resolved_at IS NULL
     ORDER BY first_seen_at, id
"""
_CLEARING = """
    SELECT CASE WHEN j.effective_on < %(first)s THEN 'opening' ELSE j.other END AS what,
           sum(j.amount)::bigint AS amount
      FROM (SELECT e.effective_on, p.credit AS other, p.amount_minor AS amount
              FROM posting p JOIN entry e ON e.id = p.entry_id
             WHERE p.entity_id = %(entity)s AND p.debit = 'clearing.stripe'
             UNION ALL
            SELECT e.effective_on, p.debit, -p.amount_minor
              FROM posting p JOIN entry e ON e.id = p.entry_id
             WHERE p.entity_id = %(entity)s AND p.credit = 'clearing.stripe') j
     WHERE j.effective_on <= %(last)s
     GROUP BY 1
"""
# Refunds are credits back to a receivable: told from captures by the sign of their posting.
_REFUNDS = """
    SELECT COALESCE(sum(p.amount_minor), 0)::bigint AS amount
      FROM posting p JOIN entry e ON e.id = p.entry_id
     -- The rest of a hold that a partial capture gives back was never money of ours: no refund.
     WHERE p.entity_id = %(entity)s AND p.credit = 'clearing.stripe'
       AND p.debit LIKE 'receivable.%%'
       AND NOT EXISTS (SELECT FROM processor_item i WHERE i.id = e.cause_id
                       AND i.category = 'partial_capture_reversal')
       AND e.effective_on BETWEEN %(first)s AND %(last)s
"""
_THEIRS = """
    SELECT (SELECT COALESCE(sum(net_minor), 0)::bigint FROM processor_item
             WHERE entity_id = %(entity)s AND category <> 'payout'
               AND (created_at AT TIME ZONE %(zone)s)::date <= %(last)s) AS items,
           (SELECT COALESCE(sum(amount_minor), 0)::bigint FROM payout
             WHERE entity_id = %(entity)s AND status NOT IN ('failed', 'canceled')
               AND (created_at AT TIME ZONE %(zone)s)::date <= %(last)s) AS payouts
"""


class Break(msgspec.Struct, frozen=True):
    """What does not match, with its cause and what is proposed."""

    id: str
    leg: str
    code: str
    title: str
    cause: str
    proposal: str
    owner: str | None
    item_id: str
    amount_minor: int | None
    energy_wh: int | None
    age_days: int

    @property
    def old(self) -> bool:
        """Older than a month."""
        return self.age_days >= _OLD_DAYS


class Age(msgspec.Struct, frozen=True):
    """A row of the ageing table; signs ignored."""

    label: str
    count: int
    amount_minor: int
    energy_wh: int
    old: bool


class Clearing(msgspec.Struct, frozen=True):
    """The clearing account over a period, and what the processor says of its end."""

    first: date
    last: date
    opening_minor: int
    captured_minor: int
    refunded_minor: int
    fees_minor: int
    paid_out_minor: int
    other_minor: int
    closing_minor: int
    theirs_minor: int

    @property
    def ties(self) -> bool:
        """The ledger's closing balance is the processor's."""
        return self.closing_minor == self.theirs_minor


class Reconciled(msgspec.Struct, frozen=True):
    """The page. ``run`` is None before the first reconciliation."""

    run: dict[str, Any] | None
    legs: list[dict[str, Any]]
    breaks: list[Break]
    clearing: Clearing

    def of_leg(self, leg: str) -> list[Break]:
        """The breaks of one leg; all of them for ''."""
        return [found for found in self.breaks if not leg or found.leg == leg]

    @property
    def chain(self) -> list[dict[str, Any]]:
        """The legs that hang together, in their order; the external one stands beside them."""
        return [leg for leg in self.legs if leg["leg"] != "external"]

    @property
    def aside(self) -> list[dict[str, Any]]:
        """What is compared with another system than the processor."""
        return [leg for leg in self.legs if leg["leg"] == "external"]

    def ages(self, breaks: list[Break]) -> list[Age]:
        """How old what is open is."""
        found = []
        for low, high in AGES:
            inside = [
                b for b in breaks if low <= b.age_days and (high is None or b.age_days <= high)
            ]
            found.append(
                Age(
                    label=f"{low}–{high}" if high is not None else f"over {low - 1}",
                    count=len(inside),
                    amount_minor=sum(abs(b.amount_minor or 0) for b in inside),
                    energy_wh=sum(abs(b.energy_wh or 0) for b in inside),
                    old=low >= _OLD_DAYS,
                )
            )
        return found


async def read_reconciled(conn: Conn, entity: Entity, now: datetime) -> Reconciled:
    """The last run of an entity, what is open now, and the month's clearing account."""
    run = await (await conn.execute(_LATEST, (entity.id,))).fetchone()
    rows = await (await conn.execute(_BREAKS, (entity.id,))).fetchall()
    upto = (run["cutoff_at"] if run else now).astimezone(ZoneInfo(entity.time_zone))
    # A cut-off at midnight closes the day before.
    last = (upto - timedelta(microseconds=1)).date() if run else upto.date()
    return Reconciled(
        run=run,
        legs=_legs(run),
        breaks=[_break(row, now) for row in rows],
        clearing=await _clearing(conn, entity, last),
    )


def _legs(run: dict[str, Any] | None) -> list[dict[str, Any]]:
    legs: list[dict[str, Any]] = run["legs"] if run else []
    known = {leg: i for i, leg in enumerate(LEGS)}
    return sorted(legs, key=lambda leg: known.get(leg["leg"], len(known)))


def _break(row: dict[str, Any], now: datetime) -> Break:
    words = row["code"].replace(".", ", ").replace("_", " ")
    return Break(
        id=row["id"],
        leg=row["leg"],
        code=row["code"],
        title=_TITLES.get(row["code"], words.capitalize()),
        cause=row["cause"],
        proposal=row["proposal"],
        owner=row["owner"],
        item_id=row["item_id"],
        amount_minor=row["amount_minor"],
        energy_wh=row["energy_wh"],
        age_days=max((now - row["first_seen_at"]).days, 0),
    )


async def _clearing(conn: Conn, entity: Entity, last: date) -> Clearing:
    given = {
        "entity": entity.id,
        "first": last.replace(day=1),
        "last": last,
        "zone": entity.time_zone,
    }
    rows = await (await conn.execute(_CLEARING, given)).fetchall()
    sums: dict[str, int] = {row["what"]: row["amount"] for row in rows}
    refunds = await (await conn.execute(_REFUNDS, given)).fetchone()
    theirs = await (await conn.execute(_THEIRS, given)).fetchone()
    refunded = refunds["amount"] if refunds else 0
    closing = sum(sums.values())
    opening = sums.pop("opening", 0)
    fees = sums.pop("expense.processing", 0)
    paid_out = sums.pop("payouts.in_transit", 0) + sums.pop("bank", 0)
    received = sum(amount for account, amount in sums.items() if account.startswith("receivable."))
    other = sum(amount for account, amount in sums.items() if not account.startswith("receivable."))
    return Clearing(
        first=last.replace(day=1),
        last=last,
        opening_minor=opening,
        captured_minor=received + refunded,
        refunded_minor=-refunded,
        fees_minor=fees,
        paid_out_minor=paid_out,
        other_minor=other,
        closing_minor=closing,
        theirs_minor=theirs["items"] - theirs["payouts"] if theirs else 0,
    )

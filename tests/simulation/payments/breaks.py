"""Which breaks are open when everything is drained, read and matched: those that the plan made.

What others took elsewhere is compared with our price; refunds that were made past us, and that
nobody took over, stand in suspense; a hold that lapsed before its data came is owed or waived; a
register that a stop told wrong is corrected in the bill, and stays as it was told beside the next
session's. There is no other: what we took, gave back, lost and were paid out agrees to the cent.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

from simulation.payments.house import House
from simulation.payments.others import Others
from simulation.payments.people import People
from simulation.payments.processors import Processors
from simulation.payments.street import ELSEWHERE_MINOR, Visit


class Found(NamedTuple):
    """A break: what it is about is a session, a line of the processor, or a payment; how much it
    is, in minor units or Wh."""

    code: str
    about: str
    much: int | None


_OPEN = """
    SELECT b.leg, b.code, b.amount_minor, b.energy_wh, b.item_id, b.cause,
           COALESCE(c.session_id, x.session_id) AS session_id
      FROM break b LEFT JOIN charge c ON c.id = b.item_id AND b.leg = 'external'
      LEFT JOIN external_payment x ON x.reference = b.item_id AND b.leg = 'external'
     WHERE b.resolved_at IS NULL
"""
_CHARGED = """
    SELECT session_id AS id, sum(total_minor)::bigint AS minor FROM charge GROUP BY session_id
"""
_ELSEWHERE = """
    SELECT id FROM session WHERE route = 'external'
"""
_TAPPED = """
    SELECT session_id AS id, reference FROM terminal_payment
     WHERE payment_id IS NULL AND session_id IS NOT NULL
"""
# What became of what a hold that was gone should have paid.
_GONE = """
    SELECT p.id, p.intent_id, k.state, sum(k.amount_minor)::bigint AS minor FROM payment p
      JOIN standing_charge c ON c.session_id = p.session_id JOIN collection k ON k.charge_id = c.id
     WHERE p.gone_why IS NOT NULL AND k.state IN ('debt', 'waived') GROUP BY p.id, k.state
"""
_IN_ORDER = """
    SELECT id, charge_point_id AS point, transaction_id FROM session
     ORDER BY charge_point_id, started_at, id
"""
_CODES = {"debt": "hold.gone_owed", "waived": "hold.gone_waived"}


async def assert_as_planned(
    house: House, processors: Processors, others: Others, people: People, visits: list[Visit]
) -> None:
    """No break but those that follow from what happened outside, and all of those."""
    by_leg: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in await house.rows(_OPEN):
        by_leg[row["leg"]].append(row)
    _same(by_leg.pop("external", []), "session_id", await _taken_otherwise(house, others))
    _same(by_leg.pop("refunds", []), "item_id", await _past_us(house, processors, people))
    _same(by_leg.pop("meter", []), "item_id", await _told_wrong(house, visits))
    lapsed = await _lapsed(house, processors)
    _same(by_leg.pop("holds", []), "item_id", lapsed)
    assert not by_leg, dict(by_leg)


def _same(rows: list[dict[str, Any]], about: str, expected: set[Found]) -> None:
    found = {
        Found(row["code"], row[about], row["amount_minor"] or row["energy_wh"]) for row in rows
    }
    assert found == expected, f"not expected: {found - expected}, not found: {expected - found}"


async def _taken_otherwise(house: House, others: Others) -> set[Found]:
    """Sessions that somebody else took the money for, and not as much as they cost."""
    charged = {row["id"]: row["minor"] for row in await house.rows(_CHARGED)}
    taken: dict[str, int | None] = {
        row["id"]: ELSEWHERE_MINOR for row in await house.rows(_ELSEWHERE)
    }
    for row in await house.rows(_TAPPED):
        taken[row["id"]] = others.taps[row["reference"]].taken_minor
    found: set[Found] = set()
    for session_id, minor in taken.items():
        ours = charged.get(session_id)
        if ours is None and minor is not None:
            found.add(Found("missing.internal", session_id, minor))
        elif minor is None and ours:
            found.add(Found("missing.external", session_id, -ours))
        elif minor is not None and ours is not None and ours != minor:
            found.add(Found("amount.external_mismatch", session_id, minor - ours))
    return found


async def _past_us(house: House, processors: Processors, people: People) -> set[Found]:
    """Lines of refunds that were made in the dashboard, did not fail and were not taken over."""
    ours = {
        row["id"] for row in await house.rows("SELECT external_refund_id AS id FROM payment_refund")
    }
    found: set[Found] = set()
    for account in processors.accounts.values():
        foreign = set(people.past_us[account.id]) - ours
        for refund in await account.all("/v1/refunds"):
            foreign -= {refund["id"]} if refund["status"] == "failed" else set()
        for item in await account.all("/v1/balance_transactions"):
            if item["source"] in foreign:
                found.add(Found("missing.internal", item["id"], -item["amount"]))
    return found


async def _told_wrong(house: House, visits: list[Visit]) -> set[Found]:
    """Each session that comes after one whose stop told the register wrong."""
    wrong_wh = {visit.transaction_id: visit.correction_wh for visit in visits if visit.stopped}
    found: set[Found] = set()
    for before, after in pairwise(await house.rows(_IN_ORDER)):
        moved_wh = wrong_wh.get(before["transaction_id"], 0)
        if moved_wh and before["point"] == after["point"]:
            code = "meter.gap" if moved_wh > 0 else "meter.overlap"
            found.add(Found(code, after["id"], -moved_wh))
    return found


async def _lapsed(house: House, processors: Processors) -> set[Found]:
    """Holds that the processor gave up by itself, and what nobody has paid of them."""
    lapsed = {
        intent["id"]
        for account in processors.accounts.values()
        for intent in await account.all("/v1/payment_intents")
        if intent["cancellation_reason"] == "automatic"
    }
    return {
        Found(_CODES[row["state"]], row["id"], -row["minor"])
        for row in await house.rows(_GONE)
        if row["intent_id"] in lapsed
    }

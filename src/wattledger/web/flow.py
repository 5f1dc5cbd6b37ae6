"""From the meter to the bank: what was charged in a period and where that money stands now.

Every column sums to what was charged. What can't be followed to the cent is not drawn but
named under the picture.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from wattledger.web.models import MODELS, model_of
from wattledger.web.numbers import plain_kwh, plain_money
from wattledger.web.places import Conn

COLUMNS = ("Delivered", "Charged by", "Collected", "Where it stands")
# key -> (column, name, colour token); the order is the one they are drawn in.
NODES: dict[str, tuple[int, str, str]] = {
    "energy": (0, "Delivered", "ink-3"),
    **{key: (1, name, token) for key, (name, token) in MODELS.items()},
    "captured": (2, "Captured", "accent"),
    "invoiced": (2, "Invoiced", "m-fleet"),
    "roaming_cdr": (2, "By roaming record", "m-roaming"),
    "elsewhere": (2, "Taken elsewhere", "m-neutral"),
    "drawn": (2, "From wallets", "m-neutral"),
    "pending": (2, "Being collected", "m-kwh"),
    "waived": (2, "Waived", "m-neutral"),
    "debt": (2, "Debt", "bad"),
    "bank": (3, "Paid out", "ok"),
    "transit": (3, "Payout on its way", "m-kwh"),
    "processor": (3, "At the processor", "accent"),
    "unread": (3, "Not yet read there", "m-neutral"),
    "fees": (3, "Fees", "m-neutral"),
    "refunds": (3, "Refunds", "m-neutral"),
    "receivable": (3, "Invoices due", "m-fleet"),
    "partners": (3, "Due from partners", "m-roaming"),
    "operator": (3, "At your own system", "m-neutral"),
    "prepaid": (3, "Prepaid before", "m-neutral"),
    "asked": (3, "Not here yet", "m-kwh"),
    "given": (3, "Given away", "m-neutral"),
    "owed": (3, "Owed by drivers", "bad"),
}
_COLLECTED = {
    "captured": "captured",
    "invoiced": "invoiced",
    "roaming": "roaming_cdr",
    "external": "elsewhere",
    "wallet": "drawn",
    "pending": "pending",
    "waived": "waived",
    "debt": "debt",
    # What was captured beyond what is charged is at the processor, until it is given back.
    "refund_due": "captured",
}
_STANDS = {
    "invoiced": "receivable",
    "roaming_cdr": "partners",
    "elsewhere": "operator",
    "drawn": "prepaid",
    "pending": "asked",
    "waived": "given",
    "debt": "owed",
}

_CHARGED = """
    SELECT s.route, s.contract->>'discount_percent' AS discount, v.body AS tariff,
           col.state, sum(col.amount_minor)::bigint AS amount
      FROM charge c
      JOIN session s ON s.id = c.session_id
      JOIN collection col ON col.charge_id = c.id
      JOIN config_version v ON v.digest = c.tariff_digest
     WHERE c.entity_id = %(entity)s AND c.entity_date BETWEEN %(first)s AND %(last)s
       AND c.issued_at >= %(first)s::timestamptz - interval '2 days'
     GROUP BY s.route, s.contract->>'discount_percent', v.digest, v.body, col.state
"""
_ENERGY = """
    SELECT COALESCE(sum(energy_wh), 0)::bigint AS wh FROM charge
     WHERE entity_id = %(entity)s AND entity_date BETWEEN %(first)s AND %(last)s
       AND issued_at >= %(first)s::timestamptz - interval '2 days'
"""
_PROCESSOR = """
    WITH paid AS (
        SELECT DISTINCT col.payment_id FROM charge c JOIN collection col ON col.charge_id = c.id
         WHERE c.entity_id = %(entity)s AND c.entity_date BETWEEN %(first)s AND %(last)s
           AND c.issued_at >= %(first)s::timestamptz - interval '2 days'
           AND col.state = 'captured' AND col.payment_id IS NOT NULL)
    SELECT CASE WHEN i.payout_id IS NULL THEN 'processor'
                WHEN p.status = 'paid' THEN 'bank' ELSE 'transit' END AS place,
           COALESCE(sum(i.net_minor), 0)::bigint AS net,
           COALESCE(sum(i.fee_minor), 0)::bigint AS fees,
           COALESCE(-sum(i.amount_minor) FILTER (WHERE i.amount_minor < 0
               AND i.category <> 'partial_capture_reversal'), 0)::bigint AS refunds
      FROM paid JOIN processor_item i USING (payment_id)
      LEFT JOIN payout p ON p.id = i.payout_id
     GROUP BY 1
"""


class Flow(msgspec.Struct, frozen=True):
    """Nodes in their order, with what passes through them, and links from node to node."""

    first: date
    last: date
    energy_wh: int
    total_minor: int
    through: dict[str, int]
    links: list[tuple[str, str, int]]
    not_drawn_minor: int
    """Lines of the processor that say less than nothing about a place: named, not drawn."""

    def columns(self) -> list[tuple[str, list[tuple[str, str, int]]]]:
        """The same as a list: each column with (name, colour token, amount)."""
        found: list[tuple[str, list[tuple[str, str, int]]]] = [(name, []) for name in COLUMNS]
        for key, amount in self.through.items():
            column, name, token = NODES[key]
            found[column][1].append((name, token, amount))
        return found


def nodes(flow: Flow, currency: str) -> list[dict[str, Any]]:
    """The nodes for the picture, with their figures already written."""
    return [
        {
            "key": key,
            "depth": NODES[key][0],
            "name": NODES[key][1],
            "token": NODES[key][2],
            "value": amount,
            "text": plain_money(amount, currency),
            "energy": plain_kwh(flow.energy_wh) if key == "energy" else "",
        }
        for key, amount in flow.through.items()
    ]


async def read_flow(conn: Conn, entity_id: str, first: date, last: date) -> Flow:
    """The flow of what was charged from ``first`` to ``last``, the entity's days, both included."""
    given = {"entity": entity_id, "first": first, "last": last}
    charged = await (await conn.execute(_CHARGED, given)).fetchall()
    energy = await (await conn.execute(_ENERGY, given)).fetchone()
    places = await (await conn.execute(_PROCESSOR, given)).fetchall()
    sums: dict[tuple[str, str], int] = {}

    def add(source: str, target: str, amount: int) -> None:
        sums[source, target] = sums.get((source, target), 0) + amount

    for row in charged:
        model = model_of(row["route"], row["discount"], row["tariff"])
        collected = _COLLECTED[row["state"]]
        add("energy", model, row["amount"])
        add(model, collected, row["amount"])
        if collected != "captured":
            add(collected, _STANDS[collected], row["amount"])
    captured = sum(amount for (_, target), amount in sums.items() if target == "captured")
    # What adjustments took back of the charges of other days can't be drawn either.
    not_drawn = -sum(a for (_, target), a in sums.items() if a < 0 and target in _STANDS)
    for place, amount in _stands(captured, places).items():
        add("captured", place, max(amount, 0))
        not_drawn += max(-amount, 0)
    order = list(NODES)
    links = sorted(
        ((source, target, amount) for (source, target), amount in sums.items() if amount > 0),
        key=lambda link: (order.index(link[0]), order.index(link[1])),
    )
    total = sum(amount for source, _, amount in links if source == "energy")
    return Flow(
        first=first,
        last=last,
        energy_wh=energy["wh"] if energy else 0,
        total_minor=total,
        through=_through(links),
        links=links,
        not_drawn_minor=not_drawn,
    )


def _stands(captured: int, places: list[dict[str, Any]]) -> dict[str, int]:
    """Where captured money is; what the processor has no line for yet is 'unread'."""
    found = {row["place"]: int(row["net"]) for row in places}
    found["fees"] = sum(row["fees"] for row in places)
    found["refunds"] = sum(row["refunds"] for row in places)
    found["unread"] = captured - sum(found.values())
    return found


def _through(links: list[tuple[str, str, int]]) -> dict[str, int]:
    into: dict[str, int] = {}
    out: dict[str, int] = {}
    for source, target, amount in links:
        out[source] = out.get(source, 0) + amount
        into[target] = into.get(target, 0) + amount
    return {key: max(into.get(key, 0), out.get(key, 0)) for key in NODES if key in into | out}

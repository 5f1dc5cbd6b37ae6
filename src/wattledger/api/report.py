"""The figures in which the identities can be checked: one snapshot of one legal entity, or all.

    replayed = refused + held + final           (replayed is counted by whoever sent them)
    final = billed + free                       (final: ended, and neither held nor running)
    delivered = billed + free + held + explained
    charged = captured + invoiced + external + wallet + roaming + waived + debt + pending
              - refund_due
    captured + topups - refunds - disputes_net - fees = paid_out + in_transit

Each side comes from other rows than the other: charges from documents, collection from parts,
captures from payments, in transit and paid out from the ledger.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from wattledger.ledger import proof

Conn = AsyncConnection[dict[str, Any]]

# One that was adjusted is billed while a charge of it stands, and free when all is credited.
_SESSIONS = """
    WITH seen AS (
        SELECT state, ended_at, held_reason, meter_stop_wh - meter_start_wh AS wh, explained_wh,
               CASE WHEN state <> 'adjusted' THEN state
                    WHEN EXISTS (SELECT FROM standing_charge c WHERE c.session_id = session.id)
                    THEN 'billed' ELSE 'free' END AS way
          FROM session)
    SELECT count(*) FILTER (WHERE state = 'held') AS held,
           count(*) FILTER (WHERE ended_at IS NOT NULL AND held_reason IS NULL
                            AND state NOT IN ('open', 'ended')) AS final,
           count(*) FILTER (WHERE way = 'billed') AS billed,
           count(*) FILTER (WHERE way = 'free') AS free,
           count(*) FILTER (WHERE state = 'adjusted') AS adjusted,
           count(*) FILTER (WHERE state IN ('open', 'ended')) AS running,
           COALESCE(sum(wh), 0)::bigint AS delivered_wh,
           COALESCE(sum(wh - explained_wh) FILTER (WHERE way = 'free'), 0)::bigint AS free_wh,
           COALESCE(sum(wh - explained_wh) FILTER (WHERE state = 'held'), 0)::bigint AS held_wh,
           COALESCE(sum(explained_wh), 0)::bigint AS explained_wh
      FROM seen
"""
# An attempt is refused when no session came of it.
_REFUSED = "SELECT count(*) AS refused FROM decision WHERE kind = 'authorize' AND NOT accepted"
_CHARGES = """
    SELECT COALESCE(sum(total_minor), 0)::bigint AS charged,
           COALESCE(sum(energy_wh), 0)::bigint AS billed_wh,
           max(currency) AS currency, count(DISTINCT currency) AS currencies
    FROM charge
"""
_PARTS = "SELECT state, sum(amount_minor)::bigint AS amount FROM collection GROUP BY state"
_TAKEN = """
    SELECT COALESCE(sum(captured_minor) FILTER (WHERE leg <> 'topup'), 0)::bigint AS captured,
           COALESCE(sum(captured_minor) FILTER (WHERE leg = 'topup'), 0)::bigint AS topups
    FROM payment
"""
_ITEMS = """
    SELECT COALESCE(sum(fee_minor) FILTER (WHERE category NOT IN ('dispute', 'dispute_reversal')),
               0)::bigint
           - COALESCE(sum(amount_minor) FILTER (WHERE category IN ('fee', 'network_cost', 'tax')),
               0)::bigint AS fees,
           -COALESCE(sum(amount_minor) FILTER (WHERE category IN ('refund', 'refund_failure')),
               0)::bigint AS refunds,
           -COALESCE(sum(net_minor) FILTER (WHERE category IN ('dispute', 'dispute_reversal')),
               0)::bigint AS disputes_net
    FROM processor_item
"""
_LEDGER = """
    SELECT COALESCE(sum(debit_minor - credit_minor) FILTER (WHERE account = 'bank'), 0)::bigint
               AS paid_out,
           COALESCE(sum(debit_minor - credit_minor)
               FILTER (WHERE account IN ('clearing.stripe', 'reserved.stripe',
                   'payouts.in_transit')), 0)::bigint
               AS in_transit
    FROM journal_line
"""
# Each that came to something: charged, owed, matched, given back, asked by a bank.
_PAYMENTS = """
    SELECT (SELECT count(*) FROM payment WHERE leg = 'second' AND state = 'captured')
               AS second_charges,
           (SELECT count(*) FROM debt) AS debts,
           (SELECT count(*) FROM payment WHERE method = 'card_present' AND session_id IS NOT NULL
               AND state = 'captured')
           + (SELECT count(*) FROM terminal_payment WHERE state = 'matched' AND payment_id IS NULL)
               AS terminal_matched,
           (SELECT count(*) FROM payment_refund WHERE state = 'done') AS refunds,
           (SELECT count(*) FROM dispute WHERE NOT inquiry) AS disputes
"""
_HOOKS = """
    SELECT count(*) AS sent, count(*) FILTER (WHERE state = 'done') AS acknowledged
    FROM effect WHERE kind = 'webhook.deliver'
"""
_BREAKS = """
    SELECT leg, code, item_id, currency, amount_minor, energy_wh, cause, proposal
    FROM break WHERE resolved_at IS NULL ORDER BY leg, code, item_id
"""
_ANOMALIES = """
    SELECT code, count(*) AS count FROM anomaly WHERE resolved_at IS NULL
    GROUP BY code ORDER BY code
"""
_COUNTED = ("held", "final", "billed", "free", "adjusted", "running")
_STATES = ("invoiced", "external", "wallet", "roaming", "waived", "debt", "pending")


async def report(conn: Conn) -> dict[str, Any]:
    """Sessions, energy, money, ledger, webhooks and breaks; integers in Wh and minor units.

    ``conn`` is fresh: the first thing asked is the snapshot all figures are taken from.
    """
    proved = await proof.prove(conn)
    sessions = await _one(conn, _SESSIONS)
    charges = await _one(conn, _CHARGES)
    cursor = await conn.execute(_PARTS)
    parts = {row["state"]: row["amount"] for row in await cursor.fetchall()}
    hooks = await _one(conn, _HOOKS)
    cursor = await conn.execute(_ANOMALIES)
    anomalies = {row["code"]: row["count"] for row in await cursor.fetchall()}
    cursor = await conn.execute(_BREAKS)
    return {
        "sessions": {
            "refused": (await _one(conn, _REFUSED))["refused"],
            **{name: sessions[name] for name in _COUNTED},
        },
        "energy_wh": {
            "delivered": sessions["delivered_wh"],
            "billed": charges["billed_wh"],
            "free": sessions["free_wh"],
            "held": sessions["held_wh"],
            "explained": sessions["explained_wh"],
        },
        "money": {
            "currency": charges["currency"] if charges["currencies"] <= 1 else None,
            "charged": charges["charged"],
            **await _one(conn, _TAKEN),
            **{state: parts.get(state, 0) for state in _STATES},
            "refund_due": -parts.get("refund_due", 0),
            **await _one(conn, _ITEMS),
            **await _one(conn, _LEDGER),
        },
        "payments": await _one(conn, _PAYMENTS),
        "ledger": {
            "entries": proved.entries,
            "postings": proved.postings,
            "proved": proved.proved,
        },
        "webhooks": hooks,
        "anomalies": anomalies,
        "breaks": await cursor.fetchall(),
    }


async def _one(conn: Conn, query: str) -> dict[str, Any]:
    cursor = await conn.execute(query)
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has one row"
    return row

"""What needs a person: one row per kind of trouble, kept at zero because that reassures."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from wattledger.web.numbers import counted
from wattledger.web.places import Conn

_HOLD_WARNING = timedelta(hours=24)
# A webhook or a call to the processor that is still on its way is no trouble yet.
_PATIENCE = timedelta(minutes=10)

_COUNTS = """
    SELECT
      (SELECT count(*) FROM break WHERE entity_id = %(entity)s AND resolved_at IS NULL) AS breaks,
      (SELECT COALESCE(sum(abs(amount_minor)), 0)::bigint FROM break
        WHERE entity_id = %(entity)s AND resolved_at IS NULL) AS breaks_minor,
      (SELECT count(*) FROM break WHERE entity_id = %(entity)s AND resolved_at IS NULL
          AND amount_minor IS NULL) AS breaks_no_money,
      (SELECT min(first_seen_at) FROM break WHERE entity_id = %(entity)s
          AND resolved_at IS NULL) AS breaks_oldest,
      (SELECT count(*) FROM session WHERE entity_id = %(entity)s AND state = 'held') AS held,
      (SELECT COALESCE(sum(GREATEST(COALESCE(meter_stop_wh, meter_start_wh) - meter_start_wh, 0)),
              0)::bigint FROM session WHERE entity_id = %(entity)s AND state = 'held') AS held_wh,
      (SELECT held_reason FROM session WHERE entity_id = %(entity)s AND state = 'held'
        ORDER BY started_at LIMIT 1) AS held_reason,
      (SELECT count(*) FROM payment WHERE entity_id = %(entity)s AND state = 'held'
          AND capture_before < %(hold_before)s) AS lapsing,
      (SELECT COALESCE(sum(hold_minor), 0)::bigint FROM payment WHERE entity_id = %(entity)s
          AND state = 'held' AND capture_before < %(hold_before)s) AS lapsing_minor,
      (SELECT min(capture_before) FROM payment WHERE entity_id = %(entity)s AND state = 'held'
          AND capture_before < %(hold_before)s) AS lapsing_first,
      (SELECT count(*) FROM (SELECT FROM collection k JOIN charge g ON g.id = k.charge_id
          WHERE k.entity_id = %(entity)s AND k.state = 'debt' GROUP BY g.session_id
          HAVING sum(k.amount_minor) <> 0) owed) AS debts,
      (SELECT COALESCE(sum(amount_minor), 0)::bigint FROM collection WHERE entity_id = %(entity)s
          AND state = 'debt') AS debts_minor,
      (SELECT count(DISTINCT charge_id) FROM collection WHERE entity_id = %(entity)s
          AND state = 'pending') AS pending,
      (SELECT COALESCE(sum(amount_minor), 0)::bigint FROM collection WHERE entity_id = %(entity)s
          AND state = 'pending') AS pending_minor,
      (SELECT count(*) FROM payment WHERE entity_id = %(entity)s AND state = 'parked')
        + (SELECT count(*) FROM terminal_payment WHERE entity_id = %(entity)s
            AND state = 'suspense')
        + (SELECT count(*) FROM refund WHERE entity_id = %(entity)s AND state = 'asked')
        + (SELECT count(*) FROM payment_refund WHERE entity_id = %(entity)s AND state = 'failed')
        + (SELECT count(*) FROM dispute WHERE entity_id = %(entity)s AND closed_at IS NULL
            AND evidence IS NULL) AS decide,
      (SELECT count(*) FROM anomaly WHERE resolved_at IS NULL) AS anomalies,
      (SELECT count(*) FROM effect WHERE state = 'unknown') AS unknown,
      (SELECT min(caused_at) FROM effect WHERE state = 'unknown') AS unknown_oldest,
      (SELECT count(*) FROM effect WHERE state IN ('pending', 'claimed')
          AND due_at < %(late)s) AS late,
      (SELECT count(*) FROM effect WHERE state = 'rejected' AND kind = 'webhook.deliver') AS refused
"""
_CODES = """
    SELECT code, count(*) AS n FROM anomaly WHERE resolved_at IS NULL
     GROUP BY code ORDER BY n DESC, code LIMIT 4
"""


class Todo(msgspec.Struct, frozen=True):
    """One row. ``href`` leads to exactly what was counted."""

    key: str
    count: int
    what: str
    href: str
    cause: str
    amount_minor: int | None = None
    energy_wh: int | None = None
    word: str = ""
    hot: bool = False


async def read_todo(conn: Conn, entity_id: str, now: datetime) -> list[Todo]:
    """All rows in their fixed order, what costs money soonest first."""
    given = {"entity": entity_id, "hold_before": now + _HOLD_WARNING, "late": now - _PATIENCE}
    row = await (await conn.execute(_COUNTS, given)).fetchone()
    codes = await (await conn.execute(_CODES)).fetchall()
    if row is None:  # a SELECT without FROM always has a row
        return []
    return [*_money_rows(row, now), _decide(row), *_machine_rows(row, codes, now)]


def _money_rows(row: dict[str, Any], now: datetime) -> list[Todo]:
    breaks_cause = "Both sides agree in every leg that was compared."
    if row["breaks"]:
        days = (now - row["breaks_oldest"]).days
        breaks_cause = f"Signs ignored. The oldest is {counted(days, 'day')} old."
        if row["breaks_no_money"]:
            breaks_cause += f" {row['breaks_no_money']} in energy or count only."
    lapsing_cause = "No hold ends within a day without its capture."
    if row["lapsing"]:
        hours = max(int((row["lapsing_first"] - now).total_seconds()) // 3600, 0)
        lapsing_cause = f"The first in {counted(hours, 'hour')}: capture or release before that."
    held_cause = "Every session that ended could be priced."
    if row["held"]:
        held_cause = f"The oldest: {row['held_reason']}"
    return [
        Todo(
            "lapsing",
            row["lapsing"],
            "Holds about to lapse",
            "/sessions?money=lapsing",
            lapsing_cause,
            amount_minor=row["lapsing_minor"],
            hot=True,
        ),
        Todo(
            "breaks",
            row["breaks"],
            "Breaks",
            "/reconciliation#breaks",
            breaks_cause,
            amount_minor=row["breaks_minor"],
            hot=True,
        ),
        Todo(
            "held",
            row["held"],
            "Sessions held, not priced",
            "/sessions?state=held",
            held_cause,
            energy_wh=row["held_wh"],
        ),
        Todo(
            "debts",
            row["debts"],
            "Drivers in debt",
            "/sessions?money=debt",
            "What cards did not cover." if row["debts"] else "No charge is owed by a driver.",
            amount_minor=row["debts_minor"],
        ),
        Todo(
            "pending",
            row["pending"],
            "Charges being collected",
            "/sessions?money=pending",
            "A capture is on its way to the processor."
            if row["pending"]
            else "Every charge is captured, invoiced or paid elsewhere.",
            amount_minor=row["pending_minor"],
        ),
    ]


def _decide(row: dict[str, Any]) -> Todo:
    """What only a person can settle: the page has more, but none of it waits so."""
    cause = "Nothing is parked, in suspense or disputed."
    if row["decide"]:
        cause = "Parked, in suspense, refunds and disputes that wait."
    return Todo("decide", row["decide"], "Payments to decide about", "/payments", cause)


def _machine_rows(row: dict[str, Any], codes: list[dict[str, Any]], now: datetime) -> list[Todo]:
    unknown_cause = "Every call sent out has been answered."
    if row["unknown"]:
        minutes = int((now - row["unknown_oldest"]).total_seconds()) // 60
        unknown_cause = (
            f"The oldest was caused {counted(minutes, 'minute')} ago. It is looked up under its"
            " key, never sent blindly."
        )
    return [
        Todo(
            "anomalies",
            row["anomalies"],
            "Anomalies",
            "/anomalies",
            ", ".join(f"{found['n']} {found['code']}" for found in codes)
            or "No message contradicted another.",
            word="no money yet",
        ),
        Todo(
            "unknown",
            row["unknown"],
            "Sent, without an answer",
            "/deliveries?kind=all&state=unknown",
            unknown_cause,
        ),
        Todo(
            "late",
            row["late"],
            "Due, not sent yet",
            "/deliveries?kind=all&state=late",
            "Due for more than ten minutes: is the worker running?"
            if row["late"]
            else "Nothing has waited for more than ten minutes.",
        ),
        Todo(
            "refused",
            row["refused"],
            "Webhooks the receiver refused",
            "/deliveries?state=rejected",
            "They are not sent again." if row["refused"] else "Every receiver took what it got.",
        ),
    ]

"""How payments stand, for people: what the API, the page and the command line read of them.

Reads only. Rows come as they are stored, with what belongs together put together; amounts are in
minor units.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.errors import BadInput, NotFound
from wattledger.payments import foreign_store, returns, returns_store
from wattledger.pipeline.deciding import money_find

Conn = AsyncConnection[dict[str, Any]]
Row = dict[str, Any]

STATES = (
    "waiting", "holding", "held", "declined", "charging", "capturing", "captured", "releasing",
    "released", "parked",
)  # fmt: skip
LAPSE_WITHIN = timedelta(hours=24)
"""A hold that lapses so soon is one that somebody should look at."""
TRIES_STUCK = 3

# A call whose outcome is not known, or that was made often without an answer.
_STUCK = f"""
    SELECT e.subject, e.id, e.kind, e.state, e.tries, e.due_at, e.response->>'why' AS why
      FROM effect e
     WHERE e.settled_at IS NULL AND e.due_at <= %(now)s
       AND (e.kind LIKE 'stripe.%%' OR e.kind IN ('vendor.settle', 'mail.send'))
       AND (e.state = 'unknown' OR e.tries >= {TRIES_STUCK})
"""
_PAYMENT = f"""
    WITH stuck AS MATERIALIZED ({_STUCK})
    SELECT p.id, p.session_id, p.entity_id, p.processor_id, p.currency, p.leg, p.number, p.route,
           p.method, p.state, p.hold_minor, p.authorized_minor, p.capturable_minor,
           p.captured_minor, p.capture_before, p.decline_code, p.gone_why, p.parked_why,
           p.provisional, p.increments, p.brand, p.last4, p.wallet, p.account_id, p.reader_id,
           p.intent_id, p.external_charge_id,
           p.created_at,
           COALESCE((SELECT sum(r.amount_minor) FROM payment_refund r WHERE r.payment_id = p.id
                      AND r.state NOT IN ('failed', 'refused', 'otherwise')), 0)::bigint
               AS refunded_minor,
           (SELECT k.kind FROM stuck k WHERE k.subject = p.id ORDER BY k.id LIMIT 1) AS stuck,
           (SELECT k.why FROM stuck k WHERE k.subject = p.id ORDER BY k.id LIMIT 1) AS stuck_why
      FROM payment p
"""
_MADE = "COALESCE(p.created_at, '-infinity')"
_FILTERS = {
    "state": "p.state = %(state)s",
    "session": "p.session_id = %(session)s",
    "account": "p.account_id = %(account)s",
    "entity": "p.entity_id = %(entity)s",
    "stuck": "EXISTS (SELECT FROM stuck k WHERE k.subject = p.id)",
    "lapsing": "p.state = 'held' AND p.capture_before < %(lapse_before)s",
    "after": "p.id > %(after)s",
    "before": f"({_MADE}, p.id) < (%(before_at)s, %(before_id)s)",
    **money_find.FILTERS,
}
_DEBTS = """
    SELECT d.charge_id, d.part, d.charge_id || '/' || d.part AS id, d.session_id, d.entity_id,
           d.account_id, d.token, d.currency, d.amount_minor, d.why, d.carried, d.state, d.tries,
           d.next_try_at, d.payment_id, d.opened_at, d.closed_at, s.site_id
      FROM debt d JOIN session s ON s.id = d.session_id
"""
_SUSPENSE = """
    SELECT t.id, t.entity_id, t.provider, t.terminal_id, t.reference, t.mode, t.charge_point_id,
           t.connector_id, t.currency, t.authorized_at, t.authorized_minor, t.settled_at,
           t.settled_minor, t.brand, t.last4, t.state, t.session_id, t.payment_id, t.matched_by,
           t.why, t.candidates, t.received_at, t.reversed_at
      FROM terminal_payment t
"""
# Held for a payment that did not come; or billed with one that went back, or never came.
_UNPAID = """
    SELECT * FROM (
    SELECT w.session_id, w.currency, w.total_minor, w.since, s.site_id, s.charge_point_id,
           s.connector_id, s.token, s.started_at, false AS billed
      FROM terminal_wait w JOIN session s ON s.id = w.session_id
     WHERE COALESCE(w.entity_id = %(entity)s, true) AND w.decided IS NULL AND s.state = 'held'
    UNION ALL
    SELECT s.id, c.currency, k.amount_minor, COALESCE(t.reversed_at, t.authorized_at), s.site_id,
           s.charge_point_id, s.connector_id, s.token, s.started_at, true
      FROM terminal_payment t JOIN session s ON s.id = t.session_id
      JOIN standing_charge c ON c.session_id = s.id
      JOIN collection k ON k.charge_id = c.id AND k.state = 'external' AND k.amount_minor > 0
     WHERE COALESCE(t.entity_id = %(entity)s, true)
       AND (t.reversed_at IS NOT NULL OR (t.settled_minor IS NULL
           AND EXISTS (SELECT FROM anomaly a WHERE a.subject = s.id
                        AND a.code = 'terminal.unsettled')))
    ) unpaid
"""
_REFUNDS = """
    SELECT r.*, s.site_id,
           COALESCE((SELECT jsonb_agg(jsonb_build_object('id', p.id, 'payment_id', p.payment_id,
               'amount_minor', p.amount_minor, 'state', p.state, 'why', p.why,
               'external_refund_id', p.external_refund_id) ORDER BY p.id)
              FROM payment_refund p WHERE p.refund_id = r.id), '[]') AS payments
      FROM refund r JOIN session s ON s.id = r.session_id
"""
_DISPUTES = """
    SELECT d.id, d.processor_id, d.entity_id, d.payment_id, d.session_id, d.currency,
           d.amount_minor, d.reason, d.status, d.inquiry, d.evidence_due_at, d.submitted_at,
           d.opened_at, d.closed_at, d.seen_at, d.evidence IS NOT NULL AS has_evidence
      FROM dispute d
"""
# A refund helps until there is one, or the dispute has come.
_HELPS = """(w.actionable
    AND NOT EXISTS (SELECT FROM payment_refund b WHERE b.payment_id = w.payment_id)
    AND NOT EXISTS (SELECT FROM dispute d WHERE d.payment_id = w.payment_id))"""
_WARNINGS = f"""
    SELECT w.id, w.payment_id, w.session_id, w.entity_id, w.fraud_type, w.actionable, w.created_at,
           p.currency, p.captured_minor, CASE WHEN {_HELPS} THEN 'refund' END AS proposed
      FROM fraud_warning w LEFT JOIN payment p ON p.id = w.payment_id
"""
_BACK = """
    SELECT id, payment_id, refund_id, currency, amount_minor, cause, state, external_refund_id, why,
           created_at, settled_at FROM payment_refund
"""


async def payments(
    conn: Conn, wanted: Row, now: datetime, limit: int, *, newest_first: bool = False
) -> list[Row]:
    """Payments that match all of ``wanted`` (the names of the filters above; ``stuck`` and
    ``lapsing`` are flags, ``amount`` is a list), and what ``q`` finds of ``money_find``. By id, or
    the newest first."""
    given = {name: value for name, value in wanted.items() if value not in (None, "", False)}
    if given.get("state", STATES[0]) not in STATES:
        raise BadInput("state", given["state"], f"one of {', '.join(STATES)}")
    money_find.check(given)
    values = {**given, "now": now, "lapse_before": now + LAPSE_WITHIN, "limit": limit}
    if "before" in given:
        values |= _key(given["before"])
    conditions = [_FILTERS[name] for name in given if name != "q"]
    if "q" in given:
        found = money_find.finder(given["q"], await money_find.currencies(conn))
        conditions.append(found.payments)
        values |= found.values
    order = f"{_MADE} DESC, p.id DESC" if newest_first else "p.id"
    return await _rows(conn, _PAYMENT, conditions, f"{order} LIMIT %(limit)s", values)


def following(rows: list[Row], limit: int) -> str | None:
    """Where the page after ``rows`` begins, the newest first: the ``before`` of it."""
    if len(rows) < limit:
        return None
    last = rows[-1]
    at = last["created_at"].isoformat() if last["created_at"] else "-infinity"
    return f"{at}~{last['id']}"


async def payment(conn: Conn, payment_id: str, now: datetime) -> Row:
    """One with everything about it. Raises NotFound."""
    found = await _rows(conn, _PAYMENT, ["p.id = %(id)s"], "p.id", {"id": payment_id, "now": now})
    if not found:
        raise NotFound(f"there is no payment {payment_id}")
    one = {"id": payment_id}
    back = await _rows(conn, _BACK, ["payment_id = %(id)s"], "created_at, id", one)
    subjects = [payment_id, *(row["id"] for row in back)]
    effects = """SELECT id, kind, key, state, attempt, tries, caused_at, due_at, settled_at,
        COALESCE(request->'amount_minor', request->'params'->'amount') AS amount_minor, response
        FROM effect"""
    items = """SELECT i.id, i.category, i.amount_minor, i.fee_minor, i.net_minor, i.currency,
        i.created_at, i.available_at, i.payout_id, p.status AS payout_status, p.arrival_date
        FROM processor_item i LEFT JOIN payout p ON p.id = i.payout_id"""
    starts = """SELECT id, route, charge_point_id, connector_id, state, why, session_id, asked_at
        FROM start_request"""
    by_id = {"subjects": subjects, "id": payment_id}
    return {
        **found[0],
        "excess_minor": await _excess(conn, found[0]),
        "effects": await _rows(conn, effects, ["subject = ANY(%(subjects)s)"], "id", by_id),
        "items": await _rows(conn, items, ["i.payment_id = %(id)s"], "i.created_at, i.id", one),
        "refunds": back,
        "starts": await _rows(conn, starts, ["payment_id = %(id)s"], "asked_at, id", one),
        "terminal": await _rows(conn, _SUSPENSE, ["t.payment_id = %(id)s"], "t.id", one),
        "disputes": await _rows(conn, _DISPUTES, ["d.payment_id = %(id)s"], "d.opened_at", one),
        "debts": await _rows(conn, _DEBTS, ["d.payment_id = %(id)s"], "d.opened_at", one),
        "acts": await acts(conn, payment_id),
    }


async def _excess(conn: Conn, payment: Row) -> int:
    """What it took beyond what it pays for, once that is known."""
    if payment["state"] != "captured":
        return 0
    cursor = await conn.execute(
        "SELECT FROM session WHERE id = %s AND state NOT IN ('billed', 'adjusted', 'free')",
        (payment["session_id"],),
    )
    known = await cursor.fetchone() is None
    return max(0, await returns_store.excess_minor(conn, payment["id"])) if known else 0


async def acts(conn: Conn, *subjects: str) -> list[Row]:
    """Who moved money by hand, in order."""
    query = "SELECT at, actor, act, subject, reason, detail FROM money_act"
    values = {"subjects": list(subjects)}
    return await _rows(conn, query, ["subject = ANY(%(subjects)s)"], "id", values)


async def debts(
    conn: Conn, *, entity: str | None = None, account: str | None = None,
    session: str | None = None, open_only: bool = True, after: str | None = None, limit: int = 100,
) -> list[Row]:  # fmt: skip
    """What drivers owe; with ``open_only`` what is not closed. By id (``charge/part``)."""
    conditions = ["d.state IN ('open', 'collecting')"] if open_only else []
    wanted = {"entity_id": entity, "account_id": account, "session_id": session}
    conditions += [f"d.{name} = %({name})s" for name, value in wanted.items() if value]
    if after:
        conditions.append("d.charge_id || '/' || d.part > %(after)s")
    values = {**wanted, "after": after, "limit": limit}
    order = "d.charge_id || '/' || d.part LIMIT %(limit)s"
    return await _rows(conn, _DEBTS, conditions, order, values)


async def suspense(
    conn: Conn, *, entity: str | None = None, state: str = "suspense", after: str | None = None,
    limit: int = 100,
) -> list[Row]:  # fmt: skip
    """Payments at terminals in this state: in suspense are those that nobody's session fits."""
    states = ("open", "matched", "suspense", "returned", "kept")
    if state not in states:
        raise BadInput("state", state, f"one of {', '.join(states)}")
    conditions = ["t.state = %(state)s"]
    conditions += ["t.entity_id = %(entity)s"] if entity else []
    conditions += ["t.id > %(after)s"] if after else []
    values = {"state": state, "entity": entity, "after": after, "limit": limit}
    return await _rows(conn, _SUSPENSE, conditions, "t.id LIMIT %(limit)s", values)


async def refunds(
    conn: Conn, *, entity: str | None = None, state: str | None = None,
    session: str | None = None, refund: str | None = None, after: str | None = None,
    limit: int = 100,
) -> list[Row]:  # fmt: skip
    """Refunds that people asked for, each with what goes back by which payment. By id."""
    states = ("asked", "approved", "issued", "refused")
    if state is not None and state not in states:
        raise BadInput("state", state, f"one of {', '.join(states)}")
    wanted = {"entity_id": entity, "state": state, "session_id": session, "id": refund}
    conditions = [f"r.{name} = %({name})s" for name, value in wanted.items() if value]
    conditions += ["r.id > %(after)s"] if after else []
    values = {**wanted, "after": after, "limit": limit}
    return await _rows(conn, _REFUNDS, conditions, "r.id LIMIT %(limit)s", values)


async def refund(conn: Conn, refund_id: str) -> Row:
    """One with its acts. Raises NotFound."""
    found = await refunds(conn, refund=refund_id)
    if not found:
        raise NotFound(f"there is no refund {refund_id}")
    return {**found[0], "acts": await acts(conn, refund_id)}


async def disputes(
    conn: Conn, *, entity: str | None = None, open_only: bool = True, dispute: str | None = None,
    after: str | None = None, limit: int = 100,
) -> list[Row]:  # fmt: skip
    """Disputes and inquiries; with ``open_only`` those that are not closed. By id."""
    conditions = ["d.closed_at IS NULL"] if open_only else []
    conditions += ["d.entity_id = %(entity)s"] if entity else []
    conditions += ["d.id = %(dispute)s"] if dispute else []
    conditions += ["d.id > %(after)s"] if after else []
    values = {"entity": entity, "dispute": dispute, "after": after, "limit": limit}
    return await _rows(conn, _DISPUTES, conditions, "d.id LIMIT %(limit)s", values)


async def warnings(
    conn: Conn, *, entity: str | None = None, open_only: bool = True, after: str | None = None,
    limit: int = 100, order: str = "w.id",
) -> list[Row]:  # fmt: skip
    """Early fraud warnings; with ``open_only`` those that a refund still helps against. By id."""
    conditions = [_HELPS] if open_only else []
    conditions += ["w.entity_id = %(entity)s"] if entity else []
    conditions += ["w.id > %(after)s"] if after else []
    values = {"entity": entity, "after": after, "limit": limit}
    return await _rows(conn, _WARNINGS, conditions, f"{order} LIMIT %(limit)s", values)


async def unsent(
    conn: Conn, *, entity: str | None = None, states: tuple[str, ...], limit: int = 100
) -> list[Row]:
    """What goes back by one payment and is in one of these states, the oldest first."""
    conditions = ["state = ANY(%(states)s)"]
    conditions += ["entity_id = %(entity)s"] if entity else []
    values = {"entity": entity, "states": list(states), "limit": limit}
    return await _rows(conn, _BACK, conditions, "created_at, id LIMIT %(limit)s", values)


async def unpaid(conn: Conn, *, entity: str | None = None, limit: int = 100) -> list[Row]:
    """Sessions to be paid at a terminal whose payment never came, or went back (``billed``), the
    oldest first."""
    values = {"entity": entity, "limit": limit}
    return await _rows(conn, _UNPAID, [], "since, session_id LIMIT %(limit)s", values)


async def foreign(conn: Conn, *, entity: str | None = None, limit: int = 100) -> list[Row]:
    """Refunds that somebody made at the processor, past us, the oldest first, each with the
    ``shares`` of its payment; ``divides``: its amount does not say of which session it is."""
    rows = await foreign_store.listed(conn, entity, limit)
    return [
        row | {"divides": len(row["shares"]) > 1
               and returns.divided(row["shares"], row["amount_minor"]) is None}
        for row in rows
    ]  # fmt: skip


async def wallet(conn: Conn, account_id: str) -> Row:
    """What an account has prepaid, by legal entity, and the moves, the newest first."""
    balances = """SELECT entity_id, currency, sum(amount_minor)::bigint AS balance_minor
        FROM wallet_move WHERE account_id = %(account)s GROUP BY entity_id, currency"""
    moves = """SELECT id, entity_id, currency, kind, amount_minor, cause_id, at FROM wallet_move"""
    one = {"account": account_id}
    return {
        "account_id": account_id,
        "balances": await _rows(conn, balances, [], "entity_id, currency", one),
        "moves": await _rows(conn, moves, ["account_id = %(account)s"], "id DESC LIMIT 200", one),
    }


class Needs(msgspec.Struct, frozen=True):
    """What needs somebody, the most pressing first in each list."""

    parked: list[Row]
    stuck: list[Row]
    lapsing: list[Row]
    debts: list[Row]
    suspense: list[Row]
    unpaid: list[Row]
    """Sessions that were to be paid at a terminal, and no payment came, or it went back."""
    asked: list[Row]
    """Refunds that wait for a second person."""
    failed: list[Row]
    """Refunds that the processor could not send."""
    foreign: list[Row]
    """Refunds that somebody made at the processor, past us, each with the sessions it may be of."""
    disputes: list[Row]
    warnings: list[Row]

    @property
    def count(self) -> int:
        """How many in all."""
        return sum(len(getattr(self, name)) for name in self.__struct_fields__)


async def needs(conn: Conn, entity: str, now: datetime, limit: int = 200) -> Needs:
    """Of one legal entity."""
    values = {"entity": entity, "now": now, "limit": limit}
    stuck = f"""WITH stuck AS ({_STUCK}) SELECT k.*, p.session_id, p.currency, p.state AS is_now
        FROM stuck k LEFT JOIN payment p ON p.id = k.subject
        LEFT JOIN payment_refund b ON b.id = k.subject LEFT JOIN session s ON s.id = k.subject"""
    last = "LIMIT %(limit)s"
    return Needs(
        parked=await payments(conn, {"entity": entity, "state": "parked"}, now, limit),
        stuck=await _rows(
            conn, stuck,
            ["COALESCE(p.entity_id, b.entity_id, s.entity_id, %(entity)s) = %(entity)s"],
            f"k.due_at, k.id {last}", values,
        ),
        lapsing=sorted(
            await payments(conn, {"entity": entity, "lapsing": True}, now, limit),
            key=lambda row: row["capture_before"],
        ),
        debts=await debts(conn, entity=entity, limit=limit),
        suspense=await suspense(conn, entity=entity, limit=limit),
        unpaid=await unpaid(conn, entity=entity, limit=limit),
        asked=await refunds(conn, entity=entity, state="asked", limit=limit),
        failed=await unsent(conn, entity=entity, states=("failed",), limit=limit),
        foreign=await foreign(conn, entity=entity, limit=limit),
        disputes=sorted(
            await disputes(conn, entity=entity, limit=limit),
            key=lambda row: (row["evidence_due_at"] is None, row["evidence_due_at"] or now),
        ),
        warnings=await warnings(conn, entity=entity, limit=limit, order="w.created_at, w.id"),
    )  # fmt: skip


def _key(text: str) -> Row:
    at, _, payment_id = text.partition("~")
    try:
        when = at if at == "-infinity" else datetime.fromisoformat(at)
    except ValueError:
        raise BadInput("before", text, "the key that the page before it gave") from None
    return {"before_at": when, "before_id": payment_id}


async def _rows(
    conn: Conn, query: str, conditions: list[str], order: str, values: Row
) -> list[Row]:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    cursor = await conn.execute(f"{query}{where} ORDER BY {order}".encode(), values)
    return await cursor.fetchall()

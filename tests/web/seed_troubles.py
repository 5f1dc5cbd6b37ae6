"""All that goes wrong in the seeded network, and the reconciliation that finds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb
from seed import HELD, OPEN, Drive, add_session, book_payouts, contract_of, effect, facts_of, week
from seed_config import NOW, Conn

from wattledger.ids import derive


def network(conn: Conn) -> None:
    """Everything: configuration, eight days of sessions, and all that goes wrong in them."""
    week(conn)
    troubles(conn)
    reconciliation(conn)


def troubles(conn: Conn) -> None:
    """A held session, an open one, refused tokens, anomalies, a webhook without an answer."""
    held = Drive(HELD, "noord", NOW - timedelta(hours=5), 50_000, 1800)
    reason = "register.fell: 112.000 kWh after 118.350 kWh"
    add_session(conn, held, contract_of(held), facts_of(held), 3, "held", reason)
    running = Drive(OPEN, "kade", NOW - timedelta(minutes=40), 11_000, 2100)
    facts = [f for f in facts_of(running) if f.kind != "stop"]
    add_session(conn, running, contract_of(running), facts, 2, "open")
    for n, token in enumerate(("STRANGER", "EXPIRED-9")):
        conn.execute(
            "INSERT INTO decision (decided_at, kind, charge_point_id, token, accepted, reason,"
            " inputs) VALUES (%s, 'authorize', 'noord-01', %s, false, %s, '{}')",
            (NOW - timedelta(hours=n + 1), token, ("unknown_token", "expired")[n]),
        )
    conn.execute(
        "INSERT INTO anomaly (at, code, subject, detail, dedupe)"
        " VALUES (%s, 'register.fell', %s, %s, 'a1'), (%s, 'frame.malformed', 'oost-03', %s, 'a2')",
        (
            NOW - timedelta(hours=4), HELD, Jsonb({"before_wh": 118350, "after_wh": 112000}),
            NOW - timedelta(hours=2), Jsonb({"raw": "[2,<script>alert(1)</script>"}),
        ),
    )  # fmt: skip
    lost = derive("msg", "lost")
    effect(
        conn, "webhook.deliver", lost, lost, NOW - timedelta(minutes=12), state="unknown",
        request={"type": "journal.posted"},
    )  # fmt: skip


def reconciliation(conn: Conn) -> None:
    """A run with breaks in two legs; the payouts are booked before it."""
    book_payouts(conn)
    row = conn.execute(
        "SELECT count(*), sum(energy_wh)::bigint, sum(total_minor)::bigint FROM charge"
    ).fetchone()
    items = conn.execute(
        "SELECT count(*), sum(amount_minor)::bigint FROM processor_item"
    ).fetchone()
    paid = conn.execute("SELECT count(*), sum(amount_minor)::bigint FROM payout").fetchone()
    external = conn.execute(
        "SELECT count(*), sum(amount_minor)::bigint FROM external_payment"
    ).fetchone()
    assert row
    assert items
    assert paid
    assert external
    n, wh, total = row

    def side(label: str, count: int, **figure: int) -> dict[str, Any]:
        return {"label": label, "count": count, **figure}

    def leg(name: str, title: str, ours: Any, theirs: Any, breaks: int, why: str) -> dict[str, Any]:
        return {
            "leg": name,
            "title": title,
            "ours": ours,
            "theirs": theirs,
            "matched": ours["count"],
            "breaks": breaks,
            "tied": not breaks,
            "sentence": why,
        }

    card_total = items[1]
    legs = [
        leg(
            "meter", "Meters and sessions", side("Meters", 45, energy_wh=wh + 28_220),
            side("Sessions", n, energy_wh=wh), 1,
            "28.220 kWh passed a register that no session covers.",
        ),
        leg(
            "session", "Sessions and charges", side("Sessions", n, energy_wh=wh),
            side("Charges", n, amount_minor=total), 0, f"{n} sessions, {n} charges, one for each.",
        ),
        leg(
            "external", "Terminals", side("Charges", external[0], amount_minor=external[1]),
            side("Terminals", external[0], amount_minor=external[1]), 0,
            "Every charge has its terminal receipt.",
        ),
        leg(
            "processor", "Charges and the processor",
            side("Card charges", items[0], amount_minor=card_total),
            side("Processor", items[0] + 1, amount_minor=card_total + 1500), 2,
            "One payment has no session.",
        ),
        leg(
            "payout", "Payouts", side("Settled", items[0], amount_minor=paid[1]),
            side("Payouts", paid[0], amount_minor=paid[1]), 0,
            "Every transaction is in a payout or in the closing balance, to the cent.",
        ),
        leg(
            "books", "Books", side("Payouts", paid[0], amount_minor=paid[1]),
            side("Ledger", paid[0], amount_minor=paid[1]), 0, "Each payout is booked once.",
        ),
    ]  # fmt: skip
    conn.execute(
        "INSERT INTO reconciliation VALUES ('rec_1', 'lind', %s, %s, 3)",
        (NOW - timedelta(minutes=12), Jsonb(legs)),
    )
    breaks: list[tuple[str, str, str, str, int | None, int | None, str, str, str | None, int]] = [
        ("brk_1", "meter", "meter.gap", "noord-03", None, -28_220,
         "noord-03/1 was offline 02:10–03:05 on 28 October; no session covers the energy.",
         "Rebuild the session from the charger’s log, then rate it.", "Ilse", 6),
        ("brk_2", "processor", "missing.internal", "ch_unknown", 1500, None,
         "The terminal at Lindehaven Kade took €15.00 on 31 October; the charger never started.",
         "Refund in full: no energy, no session within 30 min.", None, 2),
        ("brk_3", "processor", "refund.unlinked", "re_hand", -1200, None,
         "Made by hand in the processor’s dashboard on 1 October.",
         "Link it to the session of 30 September.", "Mette", 33),
    ]  # fmt: skip
    for key, of, code, item, minor, energy, cause, proposal, owner, days in breaks:
        conn.execute(
            "INSERT INTO break VALUES (%s, %s, %s, 'lind', %s, 'EUR', %s, %s, %s, %s, %s, %s)",
            (
                key, of, code, item, minor, energy, cause, proposal, owner,
                NOW - timedelta(days=days),
            ),
        )  # fmt: skip

"""What payments need a person for, in the seeded network: one of each kind."""

from __future__ import annotations

from datetime import timedelta

from psycopg.types.json import Jsonb
from seed import FULL, OPEN, effect
from seed_config import NOW, Conn

import handmade as hand
from wattledger.ids import derive

PARKED, LAPSING, STUCK, TOPUP = "pay_parked", "pay_lapsing", "pay_stuck", "pay_topup"
DEBTOR = "ses_5_03"
UNSENT = {
    "kind": "stripe.charge", "key": f"lind:{PARKED}:charge:1", "to": "charging",
    "request": {"processor_id": "stripe", "params": {"amount": 6000, "currency": "eur"}},
}  # fmt: skip
SUSPENSE, TIE = "tpm_lonely", "tpm_tie"
ASKED, ISSUED = "rfd_asked", "rfd_approved"
DISPUTE, INQUIRY = "du_open", "du_inquiry"


def payments(conn: Conn) -> None:
    """All of it."""
    _full(conn)
    _payment(conn, TOPUP, "captured", leg="topup", captured_minor=5000, account_id="coop")
    _waiting(conn)
    _debt(conn)
    _suspense(conn)
    _refunds(conn)
    _disputes(conn)
    conn.execute(
        "INSERT INTO wallet_move"
        " (entity_id, account_id, currency, kind, amount_minor, cause_id, at) VALUES"
        " ('lind', 'coop', 'EUR', 'topup', 5000, 'pay_topup', %s),"
        " ('lind', 'coop', 'EUR', 'draw', -1240, 'chg_x/1', %s)",
        (NOW - timedelta(days=3), NOW - timedelta(days=1)),
    )


def _payment(conn: Conn, key: str, state: str, **more: object) -> None:
    values: dict[str, object] = {
        "id": key, "session_id": None, "entity_id": "lind", "processor_id": "stripe",
        "currency": "EUR", "hold_minor": 6000, "state": state, "brand": "visa", "last4": "4242",
        "created_at": NOW - timedelta(hours=3), **more,
    }  # fmt: skip
    hand.insert(conn, "payment", **values)


def _full(conn: Conn) -> None:
    """A card beside the bill that is looked at most."""
    conn.execute(
        "UPDATE payment SET brand = 'mastercard', last4 = '4444', wallet = 'apple_pay'"
        " WHERE session_id = %s",
        (FULL,),
    )


def _waiting(conn: Conn) -> None:
    """Parked, lapsing, and one whose capture nobody answered."""
    _payment(conn, PARKED, "parked", parked_why="41 charges to one driver on a day, 20 are allowed",
             driver="coop", account_id="coop", route="app", parked=Jsonb(UNSENT))  # fmt: skip
    _payment(conn, LAPSING, "held", session_id=OPEN, route="card", authorized_minor=6000,
             capture_before=NOW + timedelta(hours=5), account_id="coop")  # fmt: skip
    _payment(conn, STUCK, "capturing", route="checkout", last4="0005", brand="amex")
    effect(conn, "stripe.capture", STUCK, STUCK, NOW - timedelta(minutes=40), state="unknown",
           request={"processor_id": "stripe", "intent_id": "pi_stuck", "amount_minor": 2210,
                    "currency": "EUR"})  # fmt: skip
    conn.execute("UPDATE effect SET tries = 14, response = %s WHERE subject = %s",
                 (Jsonb({"why": "no answer from api.stripe.com: ReadTimeout"}), STUCK))  # fmt: skip


def _debt(conn: Conn) -> None:
    charge = derive("chg", DEBTOR)
    conn.execute(
        "INSERT INTO debt (charge_id, part, session_id, entity_id, token, currency, amount_minor,"
        " why, tries, next_try_at, opened_at)"
        " VALUES (%s, 2, %s, 'lind', %s, 'EUR', 150, 'above_hold', 1, %s, %s)",
        (charge, DEBTOR, f"TOK-{DEBTOR}", NOW + timedelta(days=1), NOW - timedelta(days=2)),
    )


def _suspense(conn: Conn) -> None:
    for key, why, minor, brand, last4, candidates in (
        (SUSPENSE, "no_session", 1500, "visa", "1881", []),
        (TIE, "tie", 1830, "mastercard", "5454", ["ses_7_02", "ses_7_03"]),
    ):
        conn.execute(
            "INSERT INTO terminal_payment (id, entity_id, provider, terminal_id, reference, mode,"
            " charge_point_id, currency, authorized_at, authorized_minor, settled_at,"
            " settled_minor, brand, last4, state, why, candidates, received_at) VALUES (%s, 'lind',"
            " 'payter', 'kade-reader', %s, 'vendor_captures', %s, 'EUR', %s, %s, %s, %s, %s, %s,"
            " 'suspense', %s, %s, %s)",
            (
                key, f"PT-{key[-4:]}", "kade-01" if candidates else None,
                NOW - timedelta(hours=20), minor, NOW - timedelta(hours=19), minor, brand, last4,
                why, Jsonb(candidates), NOW - timedelta(hours=19),
            ),
        )  # fmt: skip


def _refunds(conn: Conn) -> None:
    for key, session, minor, kind, reason in (
        (ASKED, FULL, 900, "goodwill", "the charger was blocked for a quarter of an hour"),
        (ISSUED, "ses_6_02", 350, "correction", "billed at the peak price after 20:00"),
    ):
        conn.execute(
            "INSERT INTO refund (id, session_id, entity_id, currency, kind, scope, amount_minor,"
            " reason, state, asked_by, asked_at, decided_by, decided_at)"
            " VALUES (%s, %s, 'lind', 'EUR', %s, %s, %s, %s, %s, 'page:Ilse', %s, %s, %s)",
            (
                key, session, kind, Jsonb({"amount_minor": minor}), minor, reason,
                "asked" if key == ASKED else "approved", NOW - timedelta(hours=2),
                None if key == ASKED else "page:Ilse", None if key == ASKED else NOW,
            ),
        )  # fmt: skip
    conn.execute(
        "INSERT INTO payment_refund (id, payment_id, entity_id, currency, amount_minor, cause,"
        " state, external_refund_id, created_at, settled_at)"
        " VALUES ('prf_1', %s, 'lind', 'EUR', 1200, 'topup', 'failed', 're_1', %s, %s)",
        (TOPUP, NOW - timedelta(days=1), NOW - timedelta(hours=20)),
    )


def _disputes(conn: Conn) -> None:
    for key, session, minor, reason, status, inquiry, due in (
        (DISPUTE, "ses_0_00", 1320, "fraudulent", "needs_response", False, timedelta(days=6)),
        (INQUIRY, "ses_1_00", 980, "unrecognized", "warning_needs_response", True, None),
    ):
        conn.execute(
            "INSERT INTO dispute (id, processor_id, entity_id, payment_id, session_id, currency,"
            " amount_minor, reason, status, inquiry, evidence_due_at, opened_at, seen_at)"
            " VALUES (%s, 'stripe', 'lind', (SELECT id FROM payment WHERE session_id = %s), %s,"
            " 'EUR', %s, %s, %s, %s, %s, %s, %s)",
            (
                key, session, session, minor, reason, status, inquiry,
                NOW + due if due else None, NOW - timedelta(days=1), NOW,
            ),
        )  # fmt: skip
    conn.execute(
        "INSERT INTO fraud_warning (id, processor_id, entity_id, payment_id, session_id,"
        " fraud_type, actionable, created_at, seen_at) VALUES ('issfr_1', 'stripe', 'lind', %s, %s,"
        " 'unauthorized_use_of_card', true, %s, %s)",
        (derive("pay", "ses_2_00"), "ses_2_00", NOW - timedelta(hours=9), NOW),
    )

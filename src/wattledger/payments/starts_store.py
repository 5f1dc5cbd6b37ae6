"""Starts that are paid for first, in the database. Nothing here commits."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from wattledger.contract import Route
from wattledger.entitlements import Paid
from wattledger.ids import derive
from wattledger.payments.store import Payment

Conn = AsyncConnection[dict[str, Any]]
LIVE = ("paying", "starting")
# ``WL`` and 90 bits: no other token looks like it, and most are told apart without the database.
_OURS = re.compile(r"WL[A-Z2-7]{18}")


class StartRequest(msgspec.Struct, frozen=True):
    """A driver who wants to start, and what became of it."""

    id: str
    reference: str
    route: str
    entity_id: str
    site_id: str
    charge_point_id: str
    connector_id: int | None
    token: str
    account_id: str | None
    plan_id: str
    driver: str | None
    email: str | None
    reader_id: str | None
    payment_id: str | None
    state: str
    asked_at: datetime
    expires_at: datetime
    why: str | None = None
    command_key: str | None = None
    session_id: str | None = None
    least_hold_minor: int = 0
    consent: bool = False
    token_type: str | None = None
    asked_token: str | None = None
    wait_s: int = 60
    """For a session to follow, once the charge point was told."""
    keep_s: int = 45
    """For another try, once it has failed."""
    kept_until: datetime | None = None
    """Its page is taken to be open until then; None: it has none that we hear of."""

    @property
    def live(self) -> bool:
        """Whether its driver still waits for it."""
        return self.state in LIVE

    def left_by(self, now: datetime) -> bool:
        """Whether it waits for a card, and its page is closed."""
        return self.state == "paying" and self.kept_until is not None and self.kept_until <= now

    @property
    def paid(self) -> Paid:
        """Whose its token is, for the decision about it."""
        return Paid(
            plan_id=self.plan_id, route=Route(self.route), account_id=self.account_id,
            start_id=self.id, email=self.email, consent=self.consent,
        )  # fmt: skip


_COLUMNS = ", ".join(StartRequest.__struct_fields__)
_PAYMENT = ", ".join(f"p.{name}" for name in Payment.__struct_fields__)


def token_for(start_id: str, nonce: str) -> str:
    """What the charge point is told: opaque, and short enough for every version of OCPP."""
    return "WL" + derive("tok", start_id, nonce).removeprefix("tok_")[:18].upper()


def is_ours(token: str) -> bool:
    """Whether it looks like a token of a start of ours."""
    return _OURS.fullmatch(token.upper()) is not None


async def add(conn: Conn, request: StartRequest) -> None:
    """A new one."""
    places = ", ".join(f"%({name})s" for name in StartRequest.__struct_fields__)
    await conn.execute(
        f"INSERT INTO start_request ({_COLUMNS}) VALUES ({places})",
        msgspec.structs.asdict(request),
    )


async def get(conn: Conn, start_id: str, *, lock: bool = False) -> StartRequest | None:
    """By its id."""
    return await _one(conn, "id = %s", (start_id,), lock=lock)


async def by_reference(
    conn: Conn, charge_point_id: str, reference: str, *, lock: bool = False
) -> StartRequest | None:
    """By its asker's own name for it."""
    where = "charge_point_id = %s AND reference = %s"
    return await _one(conn, where, (charge_point_id, reference), lock=lock)


async def by_command(conn: Conn, command_key: str) -> StartRequest | None:
    """The one whose charge point is told by this command, or will be."""
    return await _one(conn, "command_key = %s", (command_key,))


async def of_token(conn: Conn, token: str, *, lock: bool = False) -> StartRequest | None:
    """Whose token it is; None where it is none of ours. Without regard to case, as OCPP has it."""
    if not is_ours(token):
        return None
    return await _one(conn, "token = upper(%s)", (token,), lock=lock)


async def of_payment(conn: Conn, payment_id: str) -> StartRequest | None:
    """The one that a payment is for, else the last that it was for, locked."""
    where = (
        "payment_id = %s ORDER BY state IN ('paying', 'starting') DESC, asked_at DESC, id LIMIT 1"
    )
    return await _one(conn, where, (payment_id,), lock=True)


async def _one(
    conn: Conn, where: str, given: tuple[str, ...], *, lock: bool = False
) -> StartRequest | None:
    turn = " FOR UPDATE" if lock else ""
    if lock:
        # Whoever has an answer about a payment holds that first: nobody waits the other way round.
        await conn.execute(
            f"SELECT FROM payment WHERE id = (SELECT payment_id FROM start_request WHERE {where})"
            " FOR UPDATE",
            given,
        )
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM start_request WHERE {where}{turn}", given)
    row = await cursor.fetchone()
    return StartRequest(**row) if row else None


async def move(
    conn: Conn, start_id: str, state: str, *, why: str | None = None, session_id: str | None = None
) -> None:
    """To another state, with why or with the session that it began."""
    await conn.execute(
        "UPDATE start_request SET state = %s, why = %s, session_id = COALESCE(session_id, %s)"
        " WHERE id = %s",
        (state, why, session_id, start_id),
    )


async def starting(conn: Conn, start_id: str, command_key: str, expires_at: datetime) -> None:
    """The charge point is told, and a session awaited until then."""
    await conn.execute(
        "UPDATE start_request SET state = 'starting', command_key = %s, expires_at = %s"
        " WHERE id = %s",
        (command_key, expires_at, start_id),
    )


async def awaited(conn: Conn, start_id: str, expires_at: datetime) -> None:
    """Its session is awaited until then."""
    await conn.execute(
        "UPDATE start_request SET expires_at = %s WHERE id = %s", (expires_at, start_id)
    )


async def keep(conn: Conn, start_id: str, until: datetime) -> None:
    """While it waits for its card, its page is taken to be open until then."""
    await conn.execute(
        "UPDATE start_request SET kept_until = %s WHERE id = %s AND state = 'paying'"
        " AND kept_until IS NOT NULL",
        (until, start_id),
    )


async def live_at(conn: Conn, charge_point_id: str) -> list[StartRequest]:
    """Whoever waits at a charge point, the first first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM start_request WHERE charge_point_id = %s"
        " AND state IN ('paying', 'starting') ORDER BY asked_at, id",
        (charge_point_id,),
    )
    return [StartRequest(**row) for row in await cursor.fetchall()]


async def unpaid_at(
    conn: Conn, charge_point_id: str, connector_id: int | None, since: datetime
) -> list[datetime]:
    """When starts there were asked for that anybody may ask for, and that led to no hold and no
    session; the first first."""
    cursor = await conn.execute(
        "SELECT r.asked_at FROM start_request r LEFT JOIN payment p ON p.id = r.payment_id"
        " WHERE r.charge_point_id = %s AND r.connector_id IS NOT DISTINCT FROM %s"
        " AND r.asked_at > %s AND r.route = 'checkout' AND r.session_id IS NULL"
        " AND p.authorized_minor IS NULL ORDER BY r.asked_at",
        (charge_point_id, connector_id, since),
    )
    return [row["asked_at"] for row in await cursor.fetchall()]


async def count_unpaid(conn: Conn) -> int:
    """How many that anybody may ask for wait for their cards."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM start_request WHERE state = 'paying' AND route = 'checkout'"
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def take_turns(conn: Conn, whose: str) -> None:
    """One start of a driver after the other: two at once would both find a hold to go on with."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (whose,))


_FREE = """
    p.leg = 'hold' AND p.session_id IS NULL AND p.state = 'held'
    AND NOT EXISTS (SELECT FROM start_request l WHERE l.payment_id = p.id
                    AND l.state IN ('paying', 'starting'))
"""


async def hold_of(
    conn: Conn, driver: str, like: StartRequest, processor_id: str, currency: str, least_minor: int
) -> Payment | None:
    """A hold of a driver at the site that stands, pays for nothing, and is large enough."""
    cursor = await conn.execute(
        f"SELECT {_PAYMENT} FROM payment p WHERE {_FREE} AND p.driver = %(driver)s"
        " AND p.entity_id = %(entity)s AND p.processor_id = %(processor)s"
        " AND p.currency = %(currency)s AND p.method = %(method)s"
        " AND COALESCE(p.authorized_minor, p.hold_minor) >= %(least)s"
        " AND EXISTS (SELECT FROM start_request r WHERE r.payment_id = p.id"
        "             AND r.site_id = %(site)s)"
        " ORDER BY p.created_at DESC, p.id LIMIT 1 FOR UPDATE OF p",
        {
            "driver": driver, "entity": like.entity_id, "processor": processor_id,
            "currency": currency, "least": least_minor, "site": like.site_id,
            "method": method_of(like.route),
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    return Payment(**row) if row else None


async def other_holds(conn: Conn, payment: Payment) -> list[Payment]:
    """Holds of the same driver at the same entity that stand and pay for nothing: a guest is known
    by the card only once it is held again."""
    cursor = await conn.execute(
        f"SELECT {_PAYMENT} FROM payment p WHERE {_FREE} AND p.driver = %s AND p.entity_id = %s"
        " AND p.id <> %s ORDER BY p.id FOR UPDATE OF p",
        (payment.driver, payment.entity_id, payment.id),
    )
    return [Payment(**row) for row in await cursor.fetchall()]


async def attach(conn: Conn, payment_id: str, session_id: str) -> None:
    """The session that a payment came before."""
    await conn.execute("UPDATE payment SET session_id = %s WHERE id = %s", (session_id, payment_id))


async def intent_made(conn: Conn, payment_id: str, intent_id: str) -> None:
    """The processor knows of it, and its card is awaited."""
    await conn.execute("UPDATE payment SET intent_id = %s WHERE id = %s", (intent_id, payment_id))


async def guest(conn: Conn, start_id: str, driver: str | None) -> None:
    """Who it is, now that the card is known."""
    await conn.execute(
        "UPDATE start_request SET driver = COALESCE(driver, %s) WHERE id = %s", (driver, start_id)
    )


def method_of(route: str) -> str:
    """How the processor calls the card."""
    return "card_present" if route == Route.TERMINAL else "card"

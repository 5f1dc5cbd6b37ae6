"""Payments and where each charge's money stands. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from wattledger.errors import Conflict

Conn = AsyncConnection[dict[str, Any]]


class Payment(msgspec.Struct, frozen=True):
    """A hold and what became of it."""

    id: str
    session_id: str | None
    """None: it came before its session, or has none (a wallet's top-up)."""
    entity_id: str
    processor_id: str
    currency: str
    hold_minor: int
    """What was asked for first."""
    state: str
    intent_id: str | None = None
    external_charge_id: str | None = None
    capture_before: datetime | None = None
    captured_minor: int = 0
    decline_code: str | None = None
    leg: str = "hold"
    number: int = 1
    route: str | None = None
    account_id: str | None = None
    driver: str | None = None
    method: str = "card"
    reader_id: str | None = None
    authorized_minor: int | None = None
    """What the processor holds now."""
    capturable_minor: int | None = None
    """The most that it lets be captured."""
    can_increment: bool = False
    increments: int = 0
    customer: str | None = None
    reusable_method: str | None = None
    consent: bool = False
    provisional: bool = False
    brand: str | None = None
    last4: str | None = None
    wallet: str | None = None
    gone_why: str | None = None
    parked_why: str | None = None
    created_at: datetime | None = None

    @property
    def held_minor(self) -> int:
        """What may be captured without more than was authorized."""
        return self.hold_minor if self.authorized_minor is None else self.authorized_minor


class Part(msgspec.Struct, frozen=True):
    """A part of a charge and where its money stands."""

    state: str
    amount_minor: int
    payment_id: str | None = None
    leg: str | None = None
    """Of one that is planned: the payment that is to be made for it, ``second``."""
    why: str = ""
    """Of one that is planned: why nobody pays it now."""


_COLUMNS = ", ".join(Payment.__struct_fields__)


async def add(conn: Conn, payment: Payment) -> bool:
    """A new payment; False when it is there already (by id, or as this leg of its session)."""
    places = ", ".join(f"%({name})s" for name in Payment.__struct_fields__)
    cursor = await conn.execute(
        f"INSERT INTO payment ({_COLUMNS}) VALUES ({places}) ON CONFLICT DO NOTHING",
        msgspec.structs.asdict(payment),
    )
    return cursor.rowcount == 1


async def get(conn: Conn, payment_id: str) -> Payment:
    """A payment by id, locked."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM payment WHERE id = %s FOR UPDATE", (payment_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"no payment {payment_id}")
    return Payment(**row)


async def of_session(conn: Conn, session_id: str) -> Payment | None:
    """The hold of a session, locked; of several the last."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM payment WHERE session_id = %s AND leg = 'hold'"
        " ORDER BY number DESC LIMIT 1 FOR UPDATE",
        (session_id,),
    )
    row = await cursor.fetchone()
    return Payment(**row) if row else None


async def next_number(conn: Conn, session_id: str, leg: str) -> int:
    """The number that the next payment of a leg of a session has."""
    cursor = await conn.execute(
        "SELECT COALESCE(max(number), 0) + 1 AS number FROM payment"
        " WHERE session_id = %s AND leg = %s",
        (session_id, leg),
    )
    row = await cursor.fetchone()
    return int(row["number"]) if row else 1


async def unanswered(conn: Conn, session_id: str) -> bool:
    """Whether money of a session is on its way: nobody knows yet what there is to settle. What is
    owed of it stays as it is from here on: else it could be collected while it is credited."""
    await conn.execute(
        "SELECT FROM debt WHERE session_id = %s AND state IN ('open', 'collecting')"
        " ORDER BY opened_at, charge_id, part FOR UPDATE",
        (session_id,),
    )
    cursor = await conn.execute(
        "SELECT FROM payment WHERE session_id = %(id)s AND state IN ('holding', 'capturing',"
        " 'charging') UNION ALL SELECT FROM debt WHERE session_id = %(id)s"
        " AND state = 'collecting' LIMIT 1",
        {"id": session_id},
    )
    return await cursor.fetchone() is not None


async def charged_since(conn: Conn, driver: str, since: datetime, *, but: str) -> int:
    """How many payments ``but`` this were asked of a driver since then, and came to something."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM payment WHERE driver = %s AND created_at > %s AND id <> %s"
        " AND state NOT IN ('declined', 'released', 'parked')",
        (driver, since, but),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


# What the processor's answer says of the card and of what can be done with it.
_LEARNT = ("capturable_minor", "can_increment", "brand", "last4", "wallet", "customer",
           "reusable_method")  # fmt: skip


async def held(conn: Conn, payment_id: str, response: dict[str, Any]) -> None:
    """The processor holds the money: as much as it says. A guest is known by the card."""
    before = response.get("capture_before")
    learnt = {name: response[name] for name in _LEARNT if response.get(name) is not None}
    columns = "".join(f", {name} = %({name})s" for name in learnt)
    await conn.execute(
        "UPDATE payment SET state = 'held', intent_id = COALESCE(intent_id, %(intent_id)s),"
        " external_charge_id = %(charge_id)s, capture_before = %(before)s,"
        f" authorized_minor = %(held_minor)s, driver = COALESCE(driver, %(card)s){columns}"
        " WHERE id = %(id)s",
        {
            **learnt, "id": payment_id, "intent_id": response["intent_id"],
            "charge_id": response.get("charge_id"), "held_minor": response["held_minor"],
            "before": datetime.fromisoformat(before) if before else None,
            "card": response.get("fingerprint"),
        },
    )  # fmt: skip


async def waits_for_card(conn: Conn, payment_id: str, intent_id: str) -> None:
    """The card is there, and its holder has to do something more."""
    await conn.execute(
        "UPDATE payment SET state = 'waiting', intent_id = COALESCE(intent_id, %s) WHERE id = %s",
        (intent_id, payment_id),
    )


async def raised(conn: Conn, payment_id: str, response: dict[str, Any]) -> None:
    """More is held: the new total. Of a hold that is over by then nothing more is learnt."""
    before = response.get("capture_before")
    await conn.execute(
        "UPDATE payment SET authorized_minor = %s, capturable_minor = COALESCE(%s, %s),"
        " capture_before = COALESCE(%s, capture_before) WHERE id = %s"
        " AND state IN ('waiting', 'holding', 'held')",
        (
            response["held_minor"], response.get("capturable_minor"), response["held_minor"],
            datetime.fromisoformat(before) if before else None, payment_id,
        ),
    )  # fmt: skip


async def raising(conn: Conn, payment_id: str) -> None:
    """One more try to have more held: they are counted, also those that are declined."""
    await conn.execute(
        "UPDATE payment SET increments = increments + 1 WHERE id = %s", (payment_id,)
    )


async def not_raised(conn: Conn, payment_id: str, code: str) -> None:
    """The card holds no more: the earlier hold stays good, and it is not asked again."""
    await conn.execute(
        "UPDATE payment SET decline_code = %s, can_increment = false WHERE id = %s",
        (code, payment_id),
    )


async def declined(conn: Conn, payment_id: str, *, intent_id: str | None, code: str) -> None:
    """The hold, or the charge, was refused."""
    await conn.execute(
        "UPDATE payment SET state = 'declined', intent_id = COALESCE(intent_id, %s),"
        " decline_code = %s WHERE id = %s",
        (intent_id, code, payment_id),
    )


async def move(
    conn: Conn,
    payment_id: str,
    state: str,
    *,
    captured_minor: int | None = None,
    gone_why: str | None = None,
) -> None:
    """To capturing, captured, releasing or released; ``gone_why``: not by us."""
    await conn.execute(
        "UPDATE payment SET state = %s, captured_minor = COALESCE(%s, captured_minor),"
        " gone_why = COALESCE(%s, gone_why) WHERE id = %s",
        (state, captured_minor, gone_why, payment_id),
    )


async def charged(conn: Conn, payment_id: str, response: dict[str, Any], taken_minor: int) -> None:
    """Taken at once, without a hold."""
    await conn.execute(
        "UPDATE payment SET state = 'captured', captured_minor = %s, intent_id ="
        " COALESCE(intent_id, %s), external_charge_id = COALESCE(external_charge_id, %s),"
        " brand = COALESCE(%s, brand), last4 = COALESCE(%s, last4) WHERE id = %s",
        (
            taken_minor, response.get("intent_id"), response.get("charge_id"),
            response.get("brand"), response.get("last4"), payment_id,
        ),
    )  # fmt: skip


async def provisional(conn: Conn, payment_id: str) -> None:
    """It is captured before the data are complete."""
    await conn.execute("UPDATE payment SET provisional = true WHERE id = %s", (payment_id,))


async def complete(conn: Conn, session_id: str) -> None:
    """What was captured before the data were complete has been settled by them."""
    await conn.execute(
        "UPDATE payment SET provisional = false WHERE session_id = %s AND provisional",
        (session_id,),
    )


async def park(conn: Conn, payment_id: str, why: str, unsent: dict[str, Any]) -> None:
    """Nothing is sent until a person lets it: ``unsent`` is what would have been."""
    await conn.execute(
        "UPDATE payment SET state = 'parked', parked_why = %s, parked = %s WHERE id = %s",
        (why, Jsonb(unsent), payment_id),
    )


async def parked(conn: Conn, payment_id: str) -> dict[str, Any]:
    """What it would have sent."""
    cursor = await conn.execute("SELECT parked FROM payment WHERE id = %s", (payment_id,))
    row = await cursor.fetchone()
    return dict(row["parked"]) if row else {}


async def set_parts(
    conn: Conn, charge_id: str, entity_id: str, parts: Sequence[Part], now: datetime
) -> None:
    """Write the parts of a new charge; the database refuses parts that don't sum to it."""
    for number, part in enumerate(parts, start=1):
        await conn.execute(
            "INSERT INTO collection"
            " (charge_id, part, entity_id, state, amount_minor, payment_id, changed_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (charge_id, number, entity_id, part.state, part.amount_minor, part.payment_id, now),
        )


async def parts(conn: Conn, charge_id: str) -> list[Part]:
    """What a document is collected by, in order."""
    cursor = await conn.execute(
        "SELECT state, amount_minor, payment_id FROM collection WHERE charge_id = %s"
        " AND amount_minor <> 0 ORDER BY part",
        (charge_id,),
    )
    return [Part(**row) for row in await cursor.fetchall()]


async def due_back(conn: Conn, session_id: str) -> list[Part]:
    """What the credits of a session made due back to the driver, and no charge after them was paid
    out of: amounts above zero, by payment."""
    cursor = await conn.execute(
        "SELECT k.state, -sum(k.amount_minor)::bigint AS amount_minor, k.payment_id"
        " FROM collection k JOIN charge g ON g.id = k.charge_id"
        " WHERE g.session_id = %s AND k.state = 'refund_due' GROUP BY k.state, k.payment_id"
        " HAVING sum(k.amount_minor) <> 0 ORDER BY k.payment_id",
        (session_id,),
    )
    return [Part(**row) for row in await cursor.fetchall()]


async def move_pending(
    conn: Conn, payment_id: str, state: str, now: datetime
) -> list[dict[str, Any]]:
    """The pending parts of a payment go to ``state``; the rows as they now are."""
    cursor = await conn.execute(
        "UPDATE collection SET state = %s, changed_at = %s WHERE payment_id = %s"
        " AND state = 'pending' RETURNING charge_id, part, entity_id, amount_minor",
        (state, now, payment_id),
    )
    return await cursor.fetchall()


async def take_pending(conn: Conn, payment_id: str) -> list[dict[str, Any]]:
    """The pending parts of a payment make room for what they really become (``add_part``); as they
    were, in order."""
    cursor = await conn.execute(
        "DELETE FROM collection WHERE payment_id = %s AND state = 'pending'"
        " RETURNING charge_id, part, entity_id, amount_minor",
        (payment_id,),
    )
    return sorted(await cursor.fetchall(), key=lambda r: (r["charge_id"], r["part"]))


async def add_part(conn: Conn, of: dict[str, Any], part: Part, now: datetime) -> int:
    """A further part of the charge of the part ``of``; its number, which no other has had."""
    cursor = await conn.execute(
        "INSERT INTO collection"
        " (charge_id, part, entity_id, state, amount_minor, payment_id, changed_at)"
        " SELECT %(charge)s, GREATEST(COALESCE(max(part), 0), %(past)s) + 1, %(entity)s, %(state)s,"
        " %(amount)s, %(payment)s, %(now)s FROM collection WHERE charge_id = %(charge)s"
        " RETURNING part",
        {
            "charge": of["charge_id"], "past": of["part"], "entity": of["entity_id"],
            "state": part.state, "amount": part.amount_minor, "payment": part.payment_id,
            "now": now,
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row["part"])


async def replace_pending(
    conn: Conn, charge_id: str, entity_id: str, parts: Sequence[Part], now: datetime
) -> None:
    """A charge that waited for its hold gets the parts it is really collected by."""
    await conn.execute(
        "DELETE FROM collection WHERE charge_id = %s AND state = 'pending'", (charge_id,)
    )
    await set_parts(conn, charge_id, entity_id, parts, now)


async def pending_charge(conn: Conn, session_id: str) -> dict[str, Any] | None:
    """The charge of a session whose money waits for its hold, or None."""
    cursor = await conn.execute(
        "SELECT g.* FROM charge g WHERE g.session_id = %s AND EXISTS"
        " (SELECT FROM collection c WHERE c.charge_id = g.id AND c.state = 'pending')",
        (session_id,),
    )
    return await cursor.fetchone()


async def add_external(
    conn: Conn,
    session_id: str,
    entity_id: str,
    reference: str,
    amount_minor: int,
    currency: str,
    *,
    without_tax: bool = False,
) -> None:
    """What somebody else has taken for a session, or says of it ``without_tax``. Raises Conflict
    when the same payment paid another session already."""
    try:
        await conn.execute(
            "INSERT INTO external_payment"
            " (session_id, entity_id, reference, amount_minor, currency, without_tax)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (session_id) DO NOTHING",
            (session_id, entity_id, reference, amount_minor, currency, without_tax),
        )
    except UniqueViolation:
        raise Conflict(f"the payment {reference!r} has paid another session already") from None

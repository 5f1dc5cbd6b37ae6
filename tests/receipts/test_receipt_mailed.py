"""Step mailed: a receipt is planned once with its document, read when it is sent, and shown where
nobody knows whether it arrived."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from seed import FULL, OPEN
from seed_config import NOW, digest

from wattledger.clock import DrivenClock
from wattledger.db import effects
from wattledger.db.connect import Database, Pool
from wattledger.db.effects import Done, Effect, Outcome, Rejected
from wattledger.db.roles import Role
from wattledger.db.work import Work
from wattledger.entitlements import Snapshot
from wattledger.errors import BadInput, Conflict, NotFound
from wattledger.pipeline import outcomes
from wattledger.pipeline.billing import receipts_step
from wattledger.pipeline.billing.receipts_step import AGAIN_A_DAY_MAX, mail_again
from wattledger.pipeline.world import World
from wattledger.receipts.settings import ReceiptSettings
from wattledger.sessions import store as sessions

MAIL = {"host": "127.0.0.1", "security": "none", "sender": "r@example.com"}
LINKS = {"base_url": "https://pay.example.com", "link_secret_env": "LINKS"}
SECRET = "0123456789abcdef0123456789abcdef"
MAILED = "ses_mailed"


@pytest.fixture
async def world(seeded: Database, pool: Pool) -> World:
    """With a session whose driver left an address, and a mail server in the configuration."""
    with psycopg.connect(seeded.conninfo(Role.OWNER)) as conn:
        conn.execute(
            "INSERT INTO session SELECT (jsonb_populate_record(s, jsonb_build_object("
            " 'id', %s::text, 'transaction_id', NULL, 'state', 'open',"
            " 'contract', s.contract || %s))).* FROM session s WHERE id = %s",
            (MAILED, Jsonb({"email": "ann@example.com"}), FULL),
        )
        for state in ("ended", "billed"):
            conn.execute("UPDATE session SET state = %s WHERE id = %s", (state, MAILED))
        conn.execute(
            "INSERT INTO charge SELECT (jsonb_populate_record(c, jsonb_build_object("
            " 'id', 'chg_mailed', 'session_id', %s::text))).* FROM charge c WHERE session_id = %s",
            (MAILED, FULL),
        )
        for kind, body in (("mail", MAIL), ("receipts", LINKS)):
            known = digest(kind, kind, body)
            conn.execute("INSERT INTO config_version VALUES (%s, %s, %s, %s)",
                         (known, kind, kind, Jsonb(body)))  # fmt: skip
            conn.execute(
                "INSERT INTO config_activation (kind, key, valid_from, digest)"
                " VALUES (%s, %s, %s, %s)",
                (kind, kind, NOW - timedelta(days=9), known),
            )
    return World(Work(pool, DrivenClock(NOW)))


async def plan(world: World, session_id: str, snapshot: Snapshot | None = None) -> bool:
    found = snapshot or await world.snapshot(NOW)
    async with world.work.transaction("bill") as tx:
        row = await sessions.get(tx.conn, session_id)
        assert row is not None
        return await receipts_step.issued(tx, found, row, "chg_mailed")


async def claimed(world: World) -> Effect:
    async with world.work.transaction("schedule") as tx:
        (found,) = await effects.claim(
            tx.conn, worker=1, now=NOW, kinds=["mail.send"], lanes=[], limit=5, lease_s=60
        )
    return found


async def shown(world: World) -> list[tuple[str, Any]]:
    async with world.work.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT code, detail FROM anomaly WHERE code LIKE 'mail.%' ORDER BY id"
        )
        return [(row["code"], row["detail"]) for row in await cursor.fetchall()]


async def test_a_document_is_mailed_once_and_only_where_somebody_wants_it(world: World) -> None:
    assert await plan(world, MAILED)
    assert not await plan(world, MAILED)  # the step again
    assert not await plan(world, FULL)  # no address
    without = Snapshot(0, {})
    assert not await plan(world, MAILED, without)  # no mail server
    effect = await claimed(world)
    assert effect.request == {"to": "ann@example.com", "session_id": MAILED,
                              "charge_id": "chg_mailed"}  # fmt: skip


async def test_it_is_mailed_again_to_its_driver_or_to_somebody_else(world: World) -> None:
    """The same key mails once; an address that is not its driver's is recorded, that is not."""
    ask = {"actor": "key:clerk", "reason": "lost"}
    for key in ("k1", "k1"):
        assert await mail_again(world, MAILED, to=None, key=key, **ask) == "ann@example.com"
    await mail_again(world, MAILED, to=" kim@example.com ", key="k2", **ask)
    await mail_again(world, MAILED, to=None, key=None, **ask)
    async with world.work.pool.connection() as conn:
        sent = await (
            await conn.execute(
                "SELECT request FROM effect WHERE kind = 'mail.send' AND subject = %s ORDER BY id",
                (MAILED,),
            )
        ).fetchall()
        acts = await (
            await conn.execute(
                "SELECT actor, reason, detail FROM money_act WHERE act = 'receipt.mail' ORDER BY id"
            )
        ).fetchall()
    assert [row["request"]["to"] for row in sent] == [
        "ann@example.com", "kim@example.com", "ann@example.com"
    ]  # fmt: skip
    assert {row["request"]["charge_id"] for row in sent} == {"chg_mailed"}
    assert {(row["actor"], row["reason"]) for row in acts} == {("key:clerk", "lost")}
    assert [row["detail"].get("to") for row in acts] == [None, "kim@example.com", None]


async def test_it_is_mailed_again_five_times_a_day_at_most(world: World) -> None:
    for n in range(AGAIN_A_DAY_MAX):
        await mail_again(world, MAILED, to=None, actor=f"page:{n}", key="k")
    with pytest.raises(Conflict, match="5 times within 24 hours"):
        await mail_again(world, MAILED, to="x@example.com", actor="page:x", key="k")
    # What was asked for before under its key is answered, and not sent.
    await mail_again(world, MAILED, to=None, actor="page:0", key="k")
    clock = world.work.clock
    assert isinstance(clock, DrivenClock)
    clock.advance(world.now + timedelta(days=1))
    await mail_again(world, MAILED, to=None, actor="page:x", key="k")


async def test_what_can_not_be_mailed_is_said(world: World) -> None:
    for session, to, error in (
        ("ses_none", None, NotFound), (FULL, None, BadInput), (MAILED, "ann", BadInput),
        (OPEN, "ann@example.com", Conflict),
    ):  # fmt: skip
        with pytest.raises(error):
            await mail_again(world, session, to=to, actor="key:clerk")


async def test_it_is_made_when_it_is_sent_with_its_link_and_its_paper(world: World) -> None:
    await plan(world, MAILED)
    effect = await claimed(world)
    snapshot = await world.snapshot(NOW)
    load = receipts_step.loader(world.work.pool, lambda: snapshot, lambda name: SECRET)
    message = await load(effect.request)
    assert message.subject == "Receipt: Lindehaven Noord, 3 Nov 2026"
    assert "Total: €44.00" in message.text
    settings = ReceiptSettings(base_url=LINKS["base_url"], link_secret_env="LINKS")
    link = receipts_step.link_of(settings, lambda name: SECRET, MAILED)
    assert link is not None
    assert link in message.text
    assert message.attachments[0].name == "receipt-chg_mailed.pdf"
    # Neither the link nor the secret it is made from stand in the database.
    assert SECRET not in str(effect.request)
    assert "/r/" not in str(effect.request)


@pytest.mark.parametrize(
    ("outcome", "codes"),
    [
        (Done({"delivery": "taken"}), []),
        (Done({"delivery": "unknown"}), ["mail.unknown"]),
        (Rejected({"code": "550", "said": "no such mailbox"}), ["mail.refused"]),
    ],
)
async def test_what_did_not_arrive_for_sure_is_shown(
    world: World, outcome: Outcome, codes: list[str]
) -> None:
    await plan(world, MAILED)
    await outcomes.take(world, await claimed(world), outcome)
    found = await shown(world)
    assert [code for code, _ in found] == codes
    assert all(detail["to"] == "ann@example.com" for _, detail in found)

"""The files of a dispute's evidence: made once, uploaded before it, and never waited for too long.

The session cost 4.40, captured; the evidence is due nine days after the dispute was seen.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from reportlab.platypus.doctemplate import LayoutError
from test_adjust import LATER
from test_disputes import DisputeDesk

import handmade as hand
from pdf_text import text_of
from wattledger.clock import DrivenClock
from wattledger.db import effects
from wattledger.db.connect import Database
from wattledger.db.effects import Done, NewAttempt, NotSent, Rejected
from wattledger.db.roles import Role
from wattledger.pipeline import outcomes
from wattledger.pipeline.returning import disputes, evidence_files
from wattledger.pipeline.world import World
from wattledger.receipts import paper, record

DUE = LATER + timedelta(days=9)
FILED = Done({"file_id": "file_1"})


@pytest.fixture
async def desk(world: World, clock: DrivenClock, database: Database) -> DisputeDesk:
    return DisputeDesk(world, clock, database)


async def _submitted(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.seen("needs_response")
    await disputes.submit(desk.world, "du_1", actor="page:Ann")


async def _evidence(desk: DisputeDesk) -> list[dict[str, Any]]:
    return [evidence for (evidence,) in await desk.rows(
        "SELECT request->'evidence' FROM effect WHERE kind = 'stripe.evidence'")]  # fmt: skip


async def test_each_file_is_uploaded_before_the_evidence_that_names_it(desk: DisputeDesk) -> None:
    await _submitted(desk)
    assert await _evidence(desk) == []
    first, second = await desk.uploads()
    assert [first.request["field"], second.request["field"]] == ["receipt", "service_documentation"]
    assert first.lane == second.lane == "dispute:du_1"
    [evidence] = await _evidence(desk)
    assert (evidence["receipt"], evidence["service_documentation"]) == ("file_1", "file_2")
    assert "10.000 kWh" in evidence["product_description"]
    assert await desk.rows("SELECT lane FROM effect WHERE kind = 'stripe.evidence'") == [
        ("dispute:du_1",)
    ]
    async with desk.world.work.pool.connection() as conn:
        files = (await disputes.evidence(conn, "du_1"))["files"]
    assert [(file["field"], file["file_id"]) for file in files] == [
        ("receipt", "file_1"), ("service_documentation", "file_2"),
    ]  # fmt: skip


async def test_what_is_uploaded_is_what_was_made_when_it_was_sent(desk: DisputeDesk) -> None:
    """Whatever becomes of the session meanwhile, a second try has the same bytes: its name says
    so."""
    await _submitted(desk)
    load = evidence_files.loader(desk.world.work.pool)
    [[request]] = await desk.rows(
        "SELECT request FROM effect WHERE kind = 'stripe.file' ORDER BY id LIMIT 1"
    )
    content = await load(request)
    assert content.startswith(b"%PDF-")
    assert len(content) == request["size"] <= evidence_files.FILE_MAX
    await desk.late(9_000)
    assert await load(request) == content
    await desk.uploads(NewAttempt("the processor has no file of this attempt"))
    [again] = await desk.rows(
        "SELECT request, key FROM effect WHERE kind = 'stripe.file' AND state = 'pending'"
        " AND request->>'field' = 'receipt'"
    )
    assert again == (request, "north:du_1:receipt:2")


async def test_a_file_that_is_refused_is_left_out_and_shown(desk: DisputeDesk) -> None:
    await _submitted(desk)
    await desk.uploads(Rejected({"code": "invalid_request", "message": "too big"}), FILED)
    [evidence] = await _evidence(desk)
    assert "receipt" not in evidence
    assert evidence["service_documentation"] == "file_1"
    assert "evidence.file" in await desk.codes()


async def test_what_no_page_is_large_enough_for_keeps_no_evidence_back(
    desk: DisputeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(_: Any) -> bytes:
        raise LayoutError("Flowable too large")

    monkeypatch.setattr(record, "pdf", too_large)
    monkeypatch.setattr(paper, "pdf", too_large)
    await _submitted(desk)
    [evidence] = await _evidence(desk)
    assert "receipt" not in evidence
    assert "10.000 kWh" in evidence["product_description"]


async def test_evidence_without_files_is_sent_twelve_hours_before_it_is_due(
    desk: DisputeDesk,
) -> None:
    await _submitted(desk)
    await desk.uploads(FILED, NotSent("the processor does not accept our key"))
    assert await _evidence(desk) == []
    desk.clock.advance(DUE - timedelta(hours=12, seconds=1))
    await _due(desk)
    assert await _evidence(desk) == []
    desk.clock.advance(DUE - timedelta(hours=12))
    await _due(desk)
    [evidence] = await _evidence(desk)
    assert evidence["receipt"] == "file_1"
    assert "service_documentation" not in evidence
    assert await desk.rows("SELECT field, why FROM dispute_file WHERE why IS NOT NULL") == [
        ("service_documentation", "given_up")
    ]
    assert "evidence.file" in await desk.codes()
    # Nothing is before it in its lane any more.
    await desk.answer("stripe.evidence", Done({"status": "under_review"}))
    assert await desk.rows("SELECT submitted_at FROM dispute") == [(desk.world.now,)]


async def test_an_upload_in_hand_is_waited_for_a_minute(desk: DisputeDesk) -> None:
    await _submitted(desk)
    desk.clock.advance(DUE - timedelta(hours=12))
    async with desk.world.work.transaction("x") as tx:
        [in_hand] = await effects.claim(
            tx.conn, worker=1, now=tx.now, kinds=["stripe.file"], lanes=[], limit=1, lease_s=60
        )
    await _due(desk)
    assert await _evidence(desk) == []
    await outcomes.take(desk.world, in_hand, FILED)
    # The other was given up meanwhile: what was in hand is named.
    desk.clock.advance(DUE - timedelta(hours=12) + timedelta(minutes=1))
    await _due(desk)
    [evidence] = await _evidence(desk)
    assert (evidence["receipt"], "service_documentation" in evidence) == ("file_1", False)


async def test_evidence_of_too_many_pages_is_sent_again_in_short_without_files(
    desk: DisputeDesk,
) -> None:
    """What a person wrote is no part of what is cut."""
    await desk.paid()
    with psycopg.connect(desk.database.conninfo(Role.APP)) as conn:
        hand.insert(
            conn, "signed_value", session_id="ses_1", context="Transaction.End", at=LATER,
            received_at=LATER, data="x" * 15_000, encoding="OCMF", verified=False, reason="no key",
            dedupe="s1",
        )  # fmt: skip
    await desk.seen("needs_response")
    await disputes.submit(desk.world, "du_1", actor="page:Ann", note="so " * 1_000 + "!")
    await desk.uploads()
    [first] = await _evidence(desk)
    assert len(first["uncategorized_text"]) == 3_001 + 6_000
    assert first["uncategorized_text"].startswith("so so ")
    assert first["uncategorized_text"].endswith("[cut: the whole is in the file]")
    refused = Rejected({"code": "dispute_evidence_page_limit_exceeded", "message": "21 pages"})
    await desk.answer("stripe.evidence", refused)
    [_, second] = await _evidence(desk)
    assert "receipt" not in second
    assert second["product_description"] == first["product_description"]
    assert "evidence.file" in await desk.codes()
    await desk.answer("stripe.evidence", refused)
    assert len(await _evidence(desk)) == 2
    assert "evidence.refused" in await desk.codes()


async def test_nothing_is_sent_of_a_dispute_that_was_closed_meanwhile(desk: DisputeDesk) -> None:
    await _submitted(desk)
    await desk.seen("lost")
    desk.clock.advance(DUE)
    await _due(desk)
    assert await _evidence(desk) == []


async def _due(desk: DisputeDesk) -> None:
    """What was put off to a time that has come."""
    while True:
        async with desk.world.work.transaction("x") as tx:
            claimed = await effects.claim(
                tx.conn, worker=1, now=tx.now, kinds=["money.due"], lanes=[], limit=1, lease_s=60
            )
        if not claimed:
            return
        await outcomes.take(desk.world, claimed[0], Done({}))


async def test_the_record_says_what_was_told_signed_billed_and_sent(desk: DisputeDesk) -> None:
    await desk.paid()
    await desk.seen("needs_response")
    async with desk.world.work.pool.connection() as conn:
        pack = await disputes.evidence(conn, "du_1")
    pack["signed_values"] = [{"context": "Transaction.End", "at": "2026-11-02T12:00:00Z",
                              "data": "OCMF|{}|{}" * 900, "encoding": "OCMF", "verified": True,
                              "reason": "good", "keys": ["3059"]}]  # fmt: skip
    pack["notices"] = [{"what": "receipt", "by": "e-mail", "sent_at": "2026-11-02T13:00:00Z",
                        "acknowledged_at": None}]  # fmt: skip
    pack["refunds"] = [{"id": "r", "external_id": None, "amount_minor": 110, "state": "done",
                        "at": "2026-11-02T14:00:00Z"}]  # fmt: skip
    made = record.pdf(pack)
    assert made == record.pdf(pack)
    text = text_of(made)
    for said in ("du_1", "$4.40", "ses_1", "10.000 kWh", "Transaction.End", "verified (good)",
                 "receipt, by e-mail", "not acknowledged", "$1.10", "$4.00", "$0.40",
                 pack["bill"]["document_digest"],
                 "OCMF|{}|{}"):  # fmt: skip
        assert said in text, said


async def test_the_most_readings_are_a_few_pages(desk: DisputeDesk) -> None:
    """A bank reads no book: 200 readings, and two signed records of any length."""
    await desk.paid()
    await desk.seen("needs_response")
    async with desk.world.work.pool.connection() as conn:
        pack = await disputes.evidence(conn, "du_1")
    pack["readings"] = pack["readings"][:1] * 200
    value = {"context": "x", "at": "2026-11-02T12:00:00Z", "data": "OCMF|{}" * 99_000,
             "encoding": "OCMF", "verified": False, "reason": "no key", "keys": []}  # fmt: skip
    pack["signed_values"] = [value, value]
    made = record.pdf(pack)
    assert len(made) < evidence_files.FILE_MAX
    assert 3 <= made.count(b"/Type /Page\n") <= 10

"""A terminal's vendor is told what a session came to: over HTTP and by files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import standardwebhooks

from wattledger.db.effects import Done, Effect, NotSent, Outcome, Rejected, Unknown
from wattledger.entitlements.terminals import TerminalVendor
from wattledger.payments.terminal.vendor import FileVendor, HttpVendor

SECRET = "whsec_c2VjcmV0LW9mLWFjbWU="
KEY = "north:tpa_1:settle:1"
EFFECT = Effect(
    1, "vendor.settle", "tpa_1", "tpa_1", 1, KEY,
    {"vendor_id": "acme", "reference": "A/1", "amount_minor": 1_234, "currency": "USD"},
    datetime.now(UTC), 1, "t", datetime.now(UTC), resolving=False,
)  # fmt: skip
Answer = Callable[[httpx.Request], httpx.Response]


async def _asked(answer: Answer, *, resolve: bool = False) -> tuple[Outcome, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    vendor = TerminalVendor("acme", "north", "http", "https://acme.example.com/v1/", "ACME")
    async with httpx.AsyncClient(transport=httpx.MockTransport(take)) as client:
        gate = HttpVendor(vendor, lambda name: SECRET, client)
        outcome = await (gate.resolve(EFFECT) if resolve else gate.call(EFFECT))
    return outcome, asked


def _says(code: int, **body: str) -> Answer:
    return lambda request: httpx.Response(code, json=body)


async def test_a_settlement_is_sent_signed_and_under_its_key() -> None:
    outcome, [asked] = await _asked(_says(200, status="settled", amount="12.34"))
    assert outcome == Done({"captured_minor": 1_234})
    assert str(asked.url) == "https://acme.example.com/v1/settlements"
    assert asked.headers["idempotency-key"] == KEY
    told = standardwebhooks.Webhook(SECRET).verify(asked.content, dict(asked.headers))
    assert told == {"reference": "A/1", "amount": "12.34", "currency": "USD"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (_says(200, status="pending"), Done({"captured_minor": None, "status": "pending"})),
        (_says(200, status="refused", why="gone"),
         Rejected({"code": "refused", "message": "gone"})),
        (_says(429), NotSent),
        (_says(500), Unknown),  # it may have taken it
        (_says(409), Unknown),
        (_says(404), Rejected),
        (_says(200, status="maybe"), Unknown),
        (_says(200, status="settled", amount="12.345"), Unknown),
        (lambda request: httpx.Response(200, content=b"<html>"), Unknown),
    ],
)  # fmt: skip
async def test_what_an_answer_means(answer: Answer, outcome: object) -> None:
    found, _ = await _asked(answer)
    assert found == outcome if not isinstance(outcome, type) else isinstance(found, outcome)


async def test_no_answer_is_not_known_and_no_connection_is_not_sent() -> None:
    def hangs(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("late", request=request)

    def is_away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away", request=request)

    assert isinstance((await _asked(hangs))[0], Unknown)
    assert isinstance((await _asked(is_away))[0], NotSent)


async def test_what_is_not_known_is_looked_up() -> None:
    outcome, [asked] = await _asked(_says(200, status="settled", amount="12.34"), resolve=True)
    assert outcome == Done({"captured_minor": 1_234})
    assert (asked.method, asked.url.raw_path) == ("GET", b"/v1/settlements/A%2F1")


async def test_what_the_vendor_does_not_know_is_sent_again_under_the_same_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        found = {"status": "settled", "amount": "12.34"}
        return httpx.Response(404 if request.method == "GET" else 200, json=found)

    outcome, asked = await _asked(answer, resolve=True)
    assert outcome == Done({"captured_minor": 1_234})
    assert [each.method for each in asked] == ["GET", "POST"]
    assert asked[1].headers["idempotency-key"] == KEY


async def test_a_file_is_whole_or_not_there_and_twice_is_once(tmp_path: Path) -> None:
    vendor = FileVendor(TerminalVendor("acme", "north", "file", directory="out"), tmp_path)
    for outcome in (await vendor.call(EFFECT), await vendor.resolve(EFFECT)):
        # What it took is reported by the vendor.
        assert outcome == Done({"captured_minor": None, "status": "written"})
    [written] = (tmp_path / "out").iterdir()
    assert json.loads(written.read_bytes()) == {
        "reference": "A/1", "amount": "12.34", "currency": "USD",
    }  # fmt: skip


async def test_a_directory_that_can_not_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in its place")
    vendor = FileVendor(TerminalVendor("acme", "north", "file", directory="out"), tmp_path)
    assert isinstance(await vendor.call(EFFECT), NotSent)

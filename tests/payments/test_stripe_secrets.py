"""No call that fails says what opens the account, whatever the other side answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from wattledger.db.effects import Effect
from wattledger.payments.model import Processor
from wattledger.payments.stripe.client import StripeGate
from wattledger.payments.stripe.operations import OPERATIONS

KEY = "sk_test_51HxTheSecretOfTheTest"
_INTENT = {"params": {"amount": 2_500, "currency": "usd", "metadata": {"payment_id": "pay_1"}}}
_OF_INTENT = {"intent_id": "pi_1", "amount_minor": 440, "currency": "USD"}
_SPAN = {"since": "2026-11-02T00:00:00+00:00", "until": "2026-11-03T00:00:00+00:00"}
REQUESTS: dict[str, dict[str, Any]] = {
    "stripe.hold": _INTENT,
    "stripe.intent": _INTENT,
    "stripe.charge": _INTENT,
    "stripe.increment": _OF_INTENT,
    "stripe.capture": _OF_INTENT,
    "stripe.release": _OF_INTENT,
    "stripe.refund": {"external_charge_id": "ch_1", "amount_minor": 440, "currency": "USD",
                      "metadata": {"payment_refund_id": "back_1"}},
    "stripe.file": {"dispute_id": "du_1", "field": "receipt", "name": "r.pdf", "size": 5},
    "stripe.evidence": {"dispute_id": "du_1", "evidence": {}, "submit": True},
    "stripe.reader": {"reader_id": "tmr_1", "intent_id": "pi_1"},
    "stripe.reader_cancel": {"reader_id": "tmr_1"},
    "stripe.fetch": {"object": "dispute", "id": "du_1"},
    "stripe.sweep": {**_SPAN, "what": ["intents", "refunds", "disputes", "warnings"]},
    "stripe.read": {**_SPAN, "payouts": []},
}  # fmt: skip
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _content(_: dict[str, Any]) -> bytes:
    return b"%PDF-"


@asynccontextmanager
async def _answering(answer: Answer) -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _echo(status: int, **error: str) -> Answer:
    """The worst that a server can do: it says the key that it was called with."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        (sent,) = [line for line in head.splitlines() if line.lower().startswith("authorization")]
        body = msgspec.json.encode({"error": {"message": f"Not with {sent}", **error}})
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    return answer


async def _drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


def test_every_kind_of_call_is_here() -> None:
    assert set(REQUESTS) == set(OPERATIONS)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_echo(400, type="invalid_request_error"), id="400"),
        pytest.param(_echo(401, type="invalid_request_error"), id="401"),
        pytest.param(_echo(402, type="card_error", code="card_declined"), id="402"),
        pytest.param(_echo(403, type="invalid_request_error"), id="403"),
        pytest.param(_echo(404, type="e", code="resource_missing"), id="404"),
        pytest.param(_echo(409, type="idempotency_error"), id="409"),
        pytest.param(_echo(429, type="e", code="rate_limit"), id="429"),
        pytest.param(_echo(500, type="api_error"), id="500"),
        pytest.param(_drop, id="drop"),
    ],
)
async def test_nothing_that_is_known_of_a_call_and_no_log_says_the_key(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wattledger")
    caplog.set_level(logging.WARNING, "stripe")
    now = datetime.now(UTC)
    async with _answering(answer) as url:
        account = Processor("p", "e", "stripe", "KEY", "S", (), base_url=url, timeout_s=5,
                            rate_per_s=1000, endpoint_rate_per_s=1000)  # fmt: skip
        for kind, request in REQUESTS.items():
            # A gate for each: the pause after a 429 is no part of this.
            gate = StripeGate(account, {"KEY": KEY}.__getitem__, load=_content)
            for sent in (now, now - timedelta(days=2)):
                effect = Effect(1, kind, "s", "l", 1, "k:1", request, now, 1, "t", sent, True)
                for outcome in (await gate.call(effect), await gate.resolve(effect)):
                    assert KEY not in repr(outcome), (kind, outcome)
                    assert KEY not in msgspec.json.encode(outcome).decode()
    assert KEY not in caplog.text
